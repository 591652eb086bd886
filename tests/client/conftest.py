"""A cloud with one function, and a person who types commands."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from AWSSession import get_aws_session
from ecs_emulator import World
from ecs_emulator.wire.in_process import Switchboard, virtual_sleep
from ecs_task_recycle.settings.input_json import AwsCredentials
from ecs_task_recycle_client.main import main
from tests.client.cloud import FUNCTION, Cloud
from tests.client.turns import ClientClock
from tests.emulated.bench import OneSetOfClients

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, kw_only=True)
class Printed:
    """What a command has printed, and its exit code."""

    code: int
    output: str
    errors: str


@dataclass
class Person:
    """Somebody who types commands; `clock` is the client's."""

    cloud: Cloud
    clock: ClientClock
    capture: pytest.CaptureFixture[str]

    def types(self, command: str) -> Printed:
        """Type a command, without the program's name."""
        words = command.split()
        self.cloud.turns.expects_run = words[0] == "run" and "--no-follow" not in words
        try:
            code = main(words, self.clock)
        except SystemExit as ended:
            code = int(ended.code or 0)
        printed = self.capture.readouterr()
        return Printed(code=code, output=printed.out, errors=printed.err)

    def will_type(self, seconds: float, command: str) -> list[Printed]:
        """Type a command in another window, so many seconds from now on; return what it prints."""
        printed: list[Printed] = []

        def type_it() -> None:
            before = self.capture.readouterr()
            printed.append(self.types(command))
            # What the first command has printed by now is put back before the rest of it.
            sys.stdout.write(before.out)
            sys.stderr.write(before.err)

        self.clock.at(seconds, type_it)
        return printed


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture(scope="session")
def board() -> Switchboard:
    return Switchboard(World())


@pytest.fixture(scope="session")
def function_session(board: Switchboard) -> OneSetOfClients:
    """The function's session: making clients anew for each look at a run would take minutes."""
    session = get_aws_session(AwsCredentials(region_name="us-east-1"))
    # First: the worlds of other tests in the same process may answer sessions, too.
    session.events.register_first("before-send", board.answer)
    return OneSetOfClients(session)


@pytest.fixture
def cloud(
    world: World,
    board: Switchboard,
    function_session: OneSetOfClients,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Cloud]:
    board.world = world
    with Cloud(world, function_session, monkeypatch) as made, virtual_sleep(board):
        monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", made.url)
        monkeypatch.setenv("ECS_TASK_RECYCLE_FUNCTION", FUNCTION)
        yield made


@pytest.fixture
def person(cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> Person:
    return Person(cloud, ClientClock(cloud.turns), capsys)
