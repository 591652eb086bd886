"""A sweep as Lambda, EventBridge and Step Functions call the handler: answers, turns, one mail."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

import lambda_function
from ecs_emulator import World
from ecs_emulator.neighbours.tables import RUNS_TABLE
from ecs_emulator.wire.in_process import attach
from ecs_task_recycle.errors import PreconditionError, SettingsError
from tests.emulated.guarded import MACHINE_ARN
from tests.emulated.swept import SWEEP_ARN
from tests.emulated.test_handler import Context, configured, mails, subjects

if TYPE_CHECKING:
    from tests.mail_servers import MailServer

__all__ = ["configured", "mails"]

pytestmark = [pytest.mark.local_socket, pytest.mark.usefixtures("configured")]

SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:api/db-a1b2c3"


@pytest.fixture(autouse=True)
def deployed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set what the stack and Lambda set."""
    variables = {
        "AWS_REGION": "us-east-1",
        "GUARDIAN_ARN": MACHINE_ARN,
        "SWEEP_ARN": SWEEP_ARN,
        "CLUSTER_NAMES": "a",
        "RECYCLE_TAG": "recycle=yes",
        "SWEEP_WAIT_TIME": "0",
        "SWEEP_AT_ONCE": "5",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


class Deployed:
    """A function and the machine that invokes it, one lane after the other."""

    def __init__(self, world: World, patch: pytest.MonkeyPatch) -> None:
        self.world = world
        self.number = 0
        patch.setattr(lambda_function, "CLOCK", world.clock)

    def invoke(self, event: object) -> dict[str, Any]:
        self.number += 1
        with attach(self.world):
            context = Context(self.world, aws_request_id=f"request-{self.number}")
            answer = lambda_function.lambda_handler(event, context)
        return {**answer, "body": json.loads(answer.get("body", "{}"))}

    def go_on(self, sweep: str) -> dict[str, Any]:
        (execution,) = (
            each for each in self.world.executions.values() if each.machine_arn == SWEEP_ARN
        )
        begun = json.loads(execution.input)
        assert begun["sweep_end"] == sweep
        for lane in begun["lanes"]:
            turn: dict[str, Any] = {"sweep_turn": sweep, "lane": lane, "turns": 0}
            while (turn := self.invoke(turn))["continues"]:
                self.world.advance(turn["wait_seconds"])
        return self.invoke(begun)


def states(world: World) -> list[tuple[str, str]]:
    """Return the keys of all records, and whether each is open: what a deployment asks for."""
    return sorted((item["service"], item["state"]) for item in world.items(RUNS_TABLE))


@pytest.mark.parametrize("dry_run", [False, True])
def test_each_service_of_a_sweep_tells_how_old_its_oldest_task_is(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, *, dry_run: bool
) -> None:
    caplog.set_level(logging.INFO, "ecs_task_recycle")
    world = World()
    for name in ("one", "two"):
        world.create_service(cluster="a", name=name, desired_count=1)
    function = Deployed(world, monkeypatch)
    event = {"services": "all", "cluster_name": "a", "wait_time": 0, "older_than_hours": 87_600}

    begun = function.invoke({**event, "dry_run": dry_run})
    if not dry_run:
        function.go_on(begun["body"]["sweep"])

    told = [vars(each) for each in caplog.records if "OldestTaskHours" in vars(each)]
    assert [each["service"] for each in told] == ["one", "two"]
    assert all(each["OldestTaskHours"] > 0 for each in told)


def test_a_sweep_answers_202_and_mails_once_at_its_end(
    mails: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World()
    world.create_service(cluster="a", name="one", desired_count=1)
    world.create_service(cluster="a", name="two", desired_count=1, scheduling_strategy="DAEMON")
    function = Deployed(world, monkeypatch)

    begun = function.invoke({"services": "all", "cluster_name": "a", "wait_time": 0})
    assert (begun["statusCode"], begun["body"]["status"]) == (202, "sweeping")
    sweep = begun["body"]["sweep"]
    assert (sweep, begun["body"]["services_count"]) == ("request-1", 2)
    assert [key for key, state in states(world) if state != "ended"] == [f"sweep/{sweep}"]
    ended = function.go_on(sweep)
    assert (ended["continues"], ended["has_failed"]) == (False, False)
    assert states(world) == [("a/one", "ended"), (f"sweep/{sweep}", "ended")]

    (subject,) = subjects(mails)
    assert "2 services" in subject
    text = mails.mails[0].part("plain")
    assert text.index("- a/two") < text.index("- a/one")
    assert "DAEMON" in text
    assert "a/one</a>" in mails.mails[0].part("html")
    status = function.invoke({"sweep": sweep, "action": "status"})["body"]
    assert [each["status"] for each in status["services"]] == ["completed", "refused"]
    again = function.invoke({"sweep_end": sweep, "lanes": [0], "rounds": 1, "stopped": None})
    assert again["continues"] is False
    assert len(subjects(mails)) == 1


def test_a_sweep_whose_execution_was_stopped_is_mailed_with_what_it_left(
    mails: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World()
    for name in ("one", "two"):
        world.create_service(cluster="a", name=name, desired_count=1)
    function = Deployed(world, monkeypatch)
    begun = function.invoke({"services": ["a/one", "a/two"], "wait_time": 0})
    sweep = begun["body"]["sweep"]

    ended = function.invoke({"sweep_end": sweep, "lanes": [0], "rounds": 0, "stopped": "ABORTED"})

    assert (ended["continues"], ended["stopped"]) == (False, None)
    (mail,) = mails.mails
    assert "the execution of the sweep was ABORTED" in " ".join(mail.part("plain").split())
    status = function.invoke({"sweep": sweep, "action": "status"})["body"]
    assert [each["status"] for each in status["services"]] == ["not_begun", "not_begun"]
    assert world.calls_of("StopTask") == []


def test_a_secret_that_has_changed_is_understood_as_aws_sends_it(
    mails: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World()
    tags = {"recycle": "yes"}
    reads: dict[str, Any] = {"desired_count": 1, "secrets": (f"{SECRET}:password::",)}
    tagged = world.create_service(cluster="a", name="tagged", tags=tags, **reads)
    world.create_service(cluster="a", name="untagged", **reads)
    world.create_service(cluster="b", name="elsewhere", tags=tags, **reads)
    function = Deployed(world, monkeypatch)
    event = {
        "version": "0",
        "id": "1",
        "detail-type": "Secret Label Updated",
        "source": "aws.secretsmanager",
        "account": "123456789012",
        "time": datetime.fromtimestamp(world.now, UTC).isoformat(),
        "region": "us-east-1",
        "resources": [SECRET],
        "detail": {"name": "api/db", "labelUpdated": "AWSCURRENT", "versionId": "v"},
    }
    original = tagged.active_tasks[0].arn

    begun = function.invoke(event)["body"]
    assert [each["service"] for each in begun["services"]] == ["a/tagged"]
    function.go_on(begun["sweep"])

    stopped = [call.parameters["task"] for call in world.calls_of("StopTask") if call.wrote]
    assert stopped == [original]
    assert len(subjects(mails)) == 1


def test_a_sweep_that_is_refused_is_mailed_once_and_raised(
    mails: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World()
    function = Deployed(world, monkeypatch)
    with pytest.raises(PreconditionError):
        function.invoke({"services": ["a/absent"]})
    assert len(subjects(mails)) == 1
    with pytest.raises(SettingsError):
        function.invoke({"services": ["a/absent"], "tagged": {"x": "y"}})
    assert len(subjects(mails)) == 2
    with pytest.raises(PreconditionError, match="There is no sweep nobody"):
        function.invoke({"sweep": "nobody", "action": "stop"})
