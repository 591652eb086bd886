"""The mail server's login comes from Secrets Manager, and whatever goes wrong is a warning."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any, Final

import boto3
import pytest

import lambda_function
import Notification
from ecs_emulator import World
from ecs_emulator.wire.in_process import attach
from ecs_task_recycle.channels.mail_secret import ACTION, with_login
from ecs_task_recycle.errors import SettingsError
from ecs_task_recycle.log import configure_logging
from ecs_task_recycle.settings.input_json import AwsCredentials, Configuration, Mail

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import NoReturn

SECRET_ID: Final = "mail/login"
PASSWORD: Final = "planted-mail-password"
MAIL: Final = Mail(
    host="smtp.example.com",
    port=587,
    from_email="noreply@example.com",
    to=("admin@example.com",),
    secret_id=SECRET_ID,
)


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    with attach(world):
        yield world


def session() -> boto3.Session:
    return boto3.Session(region_name="us-east-1")


def keep(world: World, secret: object) -> None:
    world.put_secret(SECRET_ID, secret if isinstance(secret, str) else json.dumps(secret))


def test_a_mail_without_a_secret_stays_as_it_is_and_no_session_is_made() -> None:
    mail = Mail(host="h", port=25, from_email="f", to=("t",), username="u", password="p")
    assert with_login(mail, fail) is mail


def test_username_and_password_come_from_the_secret_and_the_rest_stays(world: World) -> None:
    keep(world, {"username": "user", "password": PASSWORD, "host": "elsewhere.example.com"})
    mail = with_login(MAIL, session)
    assert mail
    assert (mail.username, mail.password, mail.secret_id) == ("user", PASSWORD, None)
    assert (mail.host, mail.to) == (MAIL.host, MAIL.to)


def test_the_secret_is_read_anew_for_every_mail(world: World) -> None:
    keep(world, {"username": "user", "password": "old"})
    with_login(MAIL, session)
    keep(world, {"username": "user", "password": PASSWORD})
    mail = with_login(MAIL, session)
    assert mail
    assert mail.password == PASSWORD


@pytest.mark.parametrize(
    "secret, reason",
    [
        (PASSWORD, "is not JSON"),
        ("[" * 100_000 + PASSWORD, "is not JSON"),
        ([PASSWORD], "is not an object with username and password"),
        ({"password": PASSWORD}, "is not an object with username and password"),
        ({"username": PASSWORD}, "is not an object with username and password"),
        ({"username": "u", "password": 3}, "is not an object with username and password"),
        ({"username": "", "password": PASSWORD}, "is not an object with username and password"),
    ],
)
def test_what_is_no_login_is_a_warning_that_holds_nothing_of_it(
    world: World, secret: object, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    keep(world, secret)
    assert with_login(MAIL, session) is None
    assert f"The summary was not mailed: the secret of smtpCredentials.secret_id {reason}." in (
        caplog.messages
    )
    assert PASSWORD not in told(caplog)


def test_the_log_level_debug_shows_neither_the_secret_nor_a_token(
    world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lambda's setting for the application's log level is that of the root logger."""
    monkeypatch.setenv("AWS_SESSION_TOKEN", "planted-session-token")
    keep(world, {"username": "user", "password": PASSWORD})
    with caplog.at_level(logging.DEBUG):
        configure_logging()
        assert with_login(MAIL, session)
        logging.getLogger("another").debug("is shown")
    assert "is shown" in caplog.text
    assert PASSWORD not in caplog.text
    assert "planted-session-token" not in caplog.text


def test_a_secret_that_is_not_there_is_a_warning(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    assert world.secrets == {}
    assert with_login(MAIL, session) is None
    assert "was answered with ResourceNotFoundException" in caplog.text


def test_a_denial_is_a_warning_that_names_the_action(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    keep(world, {"username": "user", "password": PASSWORD})
    world.faults.deny(ACTION)
    assert with_login(MAIL, session) is None
    assert f"{ACTION} for smtpCredentials.secret_id was answered with AccessDenied" in caplog.text


def test_a_session_that_cannot_be_made_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    assert with_login(MAIL, fail) is None
    assert caplog.messages == ["The summary was not mailed: No region."]


@pytest.mark.parametrize("secret", [None, {"username": "user", "password": PASSWORD}])
def test_a_refused_event_keeps_its_error_whatever_becomes_of_the_secret(
    world: World, secret: object, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    mails: list[Mail | None] = []
    configuration = Configuration(aws=AwsCredentials(region_name="us-east-1"), mail=MAIL)
    monkeypatch.setattr(lambda_function, "read_configuration", lambda *_, **__: configuration)
    monkeypatch.setattr(lambda_function, "configure_logging", lambda **_: None)
    monkeypatch.setattr(
        Notification, "send_notification", lambda mail, *_, **__: mails.append(mail)
    )
    if secret is not None:
        keep(world, secret)
    with pytest.raises(SettingsError, match="cluster_name is missing"):
        lambda_function.lambda_handler({}, None)
    assert [mail and mail.password for mail in mails] == [PASSWORD if secret else None]
    assert PASSWORD not in told(caplog)


def fail() -> NoReturn:
    raise SettingsError("No region.")


def told(caplog: pytest.LogCaptureFixture) -> str:
    records: list[dict[str, Any]] = [vars(record) for record in caplog.records]
    return "\n".join(str(value) for record in records for value in record.values())
