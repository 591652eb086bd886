"""The fence around every test: no network, no real account."""

from __future__ import annotations

import os
import socket

import boto3
import pytest
from pytest_socket import SocketBlockedError, SocketConnectBlockedError

from tests.conftest import MADE_UP_ACCOUNT

SOMEBODY_ELSE = "192.0.2.1"
"""An address set aside for documentation: nobody has it (RFC 5737)."""


def test_an_ordinary_test_gets_no_socket() -> None:
    with pytest.raises(SocketBlockedError):
        socket.create_connection(("127.0.0.1", 9))


def test_an_ordinary_test_gets_no_name_looked_up() -> None:
    with pytest.raises(SocketBlockedError):
        socket.getaddrinfo("example.com", 80)


def test_an_ordinary_test_may_have_the_pair_of_sockets_of_an_event_loop() -> None:
    for end in socket.socketpair():
        end.close()


@pytest.mark.local_socket
def test_a_test_with_a_local_server_reaches_it() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
    ):
        assert client.getpeername() == server.getsockname()


@pytest.mark.local_socket
def test_a_test_with_a_local_server_reaches_nobody_else() -> None:
    with pytest.raises(SocketConnectBlockedError):
        socket.create_connection((SOMEBODY_ELSE, 80))


@pytest.mark.e2e
def test_an_end_to_end_test_reaches_nobody_else_either() -> None:
    with pytest.raises(SocketConnectBlockedError):
        socket.create_connection((SOMEBODY_ELSE, 80))


def test_no_test_has_the_credentials_of_a_real_account() -> None:
    seen = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    # The AWS CLI, which checks the README's commands in process, leaves the place of its own data.
    seen.pop("AWS_DATA_PATH", None)
    assert seen == MADE_UP_ACCOUNT
    credentials = boto3.Session().get_credentials()
    assert credentials is not None
    assert credentials.access_key == MADE_UP_ACCOUNT["AWS_ACCESS_KEY_ID"]
