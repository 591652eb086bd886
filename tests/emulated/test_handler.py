"""The handler as Lambda calls it: answers, errors, and who is mailed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

import lambda_function
from ecs_emulator import FailingStart, Killed, Knobs, World
from ecs_emulator.in_process import attach
from ecs_task_recycle.errors import AlreadyRunningError, ReplacementError, SettingsError
from tests.emulated.bench import LAMBDA_SECONDS, a_service, capacity
from tests.mail_servers import MailServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.local_socket

EVENT = {"cluster_name": "demo", "service_name": "web", "wait_time": 5}


@dataclass
class Context:
    """What Lambda hands to the handler, for an invocation that begins now."""

    world: World
    aws_request_id: str = "request-1"

    def __post_init__(self) -> None:
        self._limit = self.world.now + LAMBDA_SECONDS

    def get_remaining_time_in_millis(self) -> int:
        return int((self._limit - self.world.now) * 1000)


@pytest.fixture
def mails() -> Iterator[MailServer]:
    with MailServer("starttls", username="user", password="planted-secret") as server:
        yield server


@pytest.fixture
def configured(mails: MailServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the handler read an input.json that mails to the server, and trust its certificate."""
    document = {
        "smtpCredentials": {
            "host": mails.hostname,
            "port": mails.port,
            "username": "user",
            "password": "planted-secret",
            "from_email": "recycler@example.com",
        },
        "emailNotification": {"subject_prefix": "AWS ECS", "to": ["oncall@example.com"]},
    }
    path = tmp_path / "input.json"
    path.write_text(json.dumps(document))
    monkeypatch.setattr(lambda_function, "CONFIGURATION_FILE", path)
    monkeypatch.setenv("SSL_CERT_FILE", str(mails.certificate))


def invoke(world: World, monkeypatch: pytest.MonkeyPatch, event: object = EVENT) -> dict[str, Any]:
    """Invoke the handler in a world, by its clock."""
    monkeypatch.setattr(lambda_function, "CLOCK", world.clock)
    with attach(world):
        return lambda_function.lambda_handler(event, Context(world))


def subjects(mails: MailServer) -> list[str]:
    return [str(mail.message["subject"]) for mail in mails.mails]


@pytest.mark.usefixtures("configured")
def test_a_completed_run_answers_200_and_mails_once(
    mails: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World()
    a_service(world)

    answer = invoke(world, monkeypatch)

    assert answer["statusCode"] == 200
    assert json.loads(answer["body"])["status"] == "completed"
    assert json.loads(answer["body"])["run_id"] == "request-1"
    (subject,) = subjects(mails)
    assert "demo/web" in subject


@pytest.mark.usefixtures("configured")
def test_a_part_answers_206(mails: MailServer, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    a_service(world, tasks=30)

    answer = invoke(world, monkeypatch)

    assert answer["statusCode"] == 206
    assert "PARTIAL" in subjects(mails)[0]


@pytest.mark.usefixtures("configured")
def test_a_failed_run_puts_back_then_mails_then_raises(
    mails: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(knobs=Knobs(failing_starts=(FailingStart(after=1),)))
    a_service(world)

    with pytest.raises(ReplacementError, match="CannotPullContainerError"):
        invoke(world, monkeypatch)

    assert capacity(world)[0] == 3
    assert "FAILED (ReplacementError)" in subjects(mails)[0]
    assert "planted-secret" not in str(mails.mails[0].message)


@pytest.mark.usefixtures("configured")
def test_neither_a_dry_run_nor_a_refused_second_run_is_mailed(
    mails: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World()
    a_service(world)
    world.kill_at(60)
    with pytest.raises(Killed):
        invoke(world, monkeypatch)
    world.revive()

    with pytest.raises(AlreadyRunningError, match="Run request-1"):
        invoke(world, monkeypatch)
    world.advance(LAMBDA_SECONDS + 31)
    planned = invoke(world, monkeypatch, {**EVENT, "dry_run": True})

    assert json.loads(planned["body"])["status"] == "planned"
    assert subjects(mails) == []


@pytest.mark.usefixtures("configured")
@pytest.mark.parametrize(
    "event, words",
    [
        ({}, ["cluster_name is missing", "service_name is missing"]),
        ({"key1": "value1", "key2": "value2"}, ["'key1' is not a parameter", "cluster_name"]),
        ([], ["it is list"]),
        (None, ["it is NoneType"]),
        ({**EVENT, "started_before": "2126-01-05T09:00:00Z"}, ["expected no instant to come"]),
        (
            {**EVENT, "cluster_name": "arn:aws:ecs:eu-west-1:123456789012:cluster/demo"},
            ["its ARNs lie in eu-west-1, the function works in us-east-1"],
        ),
    ],
)
def test_a_wrong_event_is_refused_before_anything_is_called(
    mails: MailServer, monkeypatch: pytest.MonkeyPatch, event: object, words: list[str]
) -> None:
    world = World()
    a_service(world)

    with pytest.raises(SettingsError) as refused:
        invoke(world, monkeypatch, event)

    assert [each for each in words if each not in str(refused.value)] == []
    assert world.calls == []
    assert "FAILED (SettingsError)" in subjects(mails)[0]


@pytest.mark.usefixtures("configured")
def test_the_parameters_may_stand_under_detail_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    a_service(world)
    detail = {**EVENT, "wait_time": "0", "maintain_service_state": "false"}

    answer = invoke(
        world, monkeypatch, {"source": "custom", "detail-type": "Recycle", "detail": detail}
    )

    assert json.loads(answer["body"])["status"] == "completed"
    assert world.lowest_in_service() == 2
