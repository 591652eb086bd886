"""The handler as Lambda calls it: answers, errors, and who is mailed."""

from __future__ import annotations

import json
import logging
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import lambda_function
from ecs_emulator import FailingStart, Killed, Knobs, World
from ecs_emulator.wire.in_process import attach
from ecs_task_recycle.errors import (
    AlreadyRunningError,
    AwsCallError,
    PreconditionError,
    ReplacementError,
    SettingsError,
)
from ecs_task_recycle.log import JsonFormatter
from tests.emulated.bench import LAMBDA_SECONDS, a_service, capacity
from tests.mail_servers import MailServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.local_socket

EVENT = {"cluster_name": "demo", "service_name": "web", "wait_time": 5}
NOTE_OF_MAIL = {"service": {"S": "refused-events"}}
"""The key of the item that says when somebody was last mailed of a wrong event."""


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


def has_only_noted_the_mail(world: World) -> bool:
    """Whether nothing was called but for when somebody was last mailed of a wrong event."""
    return all(
        each.service == "dynamodb" and each.parameters["Key"] == NOTE_OF_MAIL
        for each in world.calls
    )


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
def test_a_mail_leads_to_the_service_and_to_the_log_of_the_run(
    mails: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "recycler")
    monkeypatch.setenv("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/recycler")
    world = World()
    world.protect_task(a_service(world).active_tasks[0], minutes=600)

    invoke(world, monkeypatch, {**EVENT, "protected_tasks": "skip"})

    text = mails.mails[0].part("plain")
    console = "https://us-east-1.console.aws.amazon.com"
    assert f"Service: {console}/ecs/v2/clusters/demo/services/web/health?region=us-east-1" in text
    assert f"Log: {console}/cloudwatch/home?region=us-east-1#logsV2:log-groups/log-group/" in text
    assert "$252Faws$252Flambda$252Frecycler/log-events$3FfilterPattern$3D$2522request-1" in text
    assert "aws lambda invoke --function-name recycler --region us-east-1 " in text


@pytest.mark.usefixtures("configured")
def test_a_refused_event_is_mailed_with_a_link_to_the_log(
    mails: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/recycler")

    with pytest.raises(SettingsError):
        invoke(World(), monkeypatch, {"cluster_name": "demo"})

    text = mails.mails[0].part("plain").replace("\r\n", "\n")
    assert "Did it work? No.\nWhy? 1 problem in the event: service_name is missing" in text
    assert "Log: https://us-east-1.console.aws.amazon.com/cloudwatch/home" in text
    assert "Service: " not in text


@pytest.mark.usefixtures("configured")
@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.text(st.characters(exclude_categories=()), max_size=40))
@example("\r\nBcc: evil@example.com\r\n\r\n")
@example("half a surrogate pair: \ud800, a line's end: \u2028")
def test_no_text_of_an_event_or_of_aws_gets_unescaped_into_a_mail_or_the_log(
    mails: MailServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    text: str,
) -> None:
    hostile = f"<img src=x>{text}<script>"
    caplog.set_level(logging.INFO)
    caplog.clear()
    mails.mails.clear()
    world = World()
    a_service(world)
    world.faults.fail("DescribeServices", code="InvalidParameterException", message=hostile)

    with pytest.raises(SettingsError):
        invoke(world, monkeypatch, {**EVENT, "cluster_name": hostile, hostile: hostile})
    with pytest.raises(AwsCallError):
        invoke(world, monkeypatch)

    assert len(mails.mails) == 2
    for mail in mails.mails:
        assert mail.message["Bcc"] is None
        assert mail.message["Subject"].isprintable()
        assert "ECS Service Task Recycle" in mail.message["Subject"]
        assert not {"<img", "<script"} & set(re.findall("<[a-z]+", mail.part("html")))
        assert "&lt;img src=x&gt;" in mail.part("html")
    ours = (each for each in caplog.records if each.name != "mail.log")
    lines = [JsonFormatter(run_id="request-1").format(record) for record in ours]
    assert any("img src=x" in line for line in lines)
    for line in lines:
        assert line.encode().count(b"\n") == 1
        json.loads(line)


@pytest.mark.usefixtures("configured")
def test_a_flood_of_events_that_cannot_be_understood_is_one_mail_an_hour(
    mails: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World()
    for _ in range(3):
        with pytest.raises(SettingsError):
            invoke(world, monkeypatch, {"cluster_name": "demo"})
    assert len(mails.mails) == 1

    world.advance(3_600)
    with pytest.raises(SettingsError):
        invoke(world, monkeypatch, {"cluster_name": "demo"})
    assert len(mails.mails) == 2


@pytest.mark.usefixtures("configured")
def test_an_event_that_cannot_be_understood_is_mailed_where_the_table_does_not_answer(
    mails: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World()
    world.faults.deny("dynamodb:GetItem")

    with pytest.raises(SettingsError):
        invoke(world, monkeypatch, {"cluster_name": "demo"})

    assert len(mails.mails) == 1


@pytest.mark.usefixtures("configured")
def test_a_run_that_cannot_go_on_is_mailed_under_its_own_id(
    mails: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log has it under that, and the mail's link searches for it."""
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/recycler")

    with pytest.raises(SettingsError):
        invoke(World(), monkeypatch, {"segment_of": "run-7", "event": {"cluster_name": "demo"}})

    text = mails.mails[0].part("plain").replace("\r\n", "\n")
    assert "\nRun: run-7\n" in text
    assert "filterPattern$3D$2522run-7$2522" in text


@pytest.mark.slow
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
        (
            {**EVENT, "cluster_name": "arn:aws-cn:ecs:us-east-1:123456789012:cluster/demo"},
            ["its ARNs lie in partition aws-cn, the function works in aws"],
        ),
        (
            {"services": ["arn:aws-cn:ecs:us-east-1:123456789012:service/demo/web"]},
            ["its ARNs lie in partition aws-cn, the function works in aws"],
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
    assert has_only_noted_the_mail(world)
    assert "FAILED (SettingsError)" in subjects(mails)[0]


def test_without_mail_nothing_is_remembered_of_a_wrong_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "input.json"
    path.write_text("{}")
    monkeypatch.setattr(lambda_function, "CONFIGURATION_FILE", path)
    world = World()
    a_service(world)

    with pytest.raises(SettingsError):
        invoke(world, monkeypatch, {"cluster_name": "demo"})

    assert world.calls == []


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


SHAPES: dict[str, Callable[[dict[str, Any]], object]] = {
    "CLI payload": lambda given: json.loads(json.dumps(given, separators=(",", ":"))),
    "console test event": lambda given: json.loads(json.dumps(given, indent=2)),
    # An input template writes a value that is not text without quotes, or with them.
    "rule's input": lambda given: {
        name: value if isinstance(value, list) else str(value) for name, value in given.items()
    },
    "detail": lambda given: {
        "version": "0",
        "source": "custom",
        "detail-type": "Recycle",
        "resources": [],
        "detail": given,
    },
}
OTHER_SHAPES = sorted(SHAPES.keys() - {"detail"})


@pytest.fixture(
    params=["detail", *(pytest.param(name, marks=pytest.mark.slow) for name in OTHER_SHAPES)]
)
def shaped(request: pytest.FixtureRequest) -> Callable[..., object]:
    """What puts parameters into one of the events that carry them."""
    shape = SHAPES[request.param]
    return lambda **parameters: shape({**EVENT, "wait_time": 0, **parameters})


@pytest.mark.usefixtures("configured")
def test_every_shape_of_an_event_carries_the_age_of_tasks(
    monkeypatch: pytest.MonkeyPatch, shaped: Callable[..., object]
) -> None:
    world = World()
    service = a_service(world)
    oldest = service.active_tasks[0]
    second = service.active_tasks[1].state.started_at or 0.0
    hours = round((world.now - second) / 3600 + 0.05, 4)

    answer = invoke(world, monkeypatch, shaped(older_than_hours=hours))

    body = json.loads(answer["body"])
    assert [row["task"] for row in body["tasks"]] == [oldest.arn]


@pytest.mark.usefixtures("configured")
def test_every_shape_of_an_event_carries_named_tasks(
    monkeypatch: pytest.MonkeyPatch, shaped: Callable[..., object]
) -> None:
    world = World()
    named = a_service(world).active_tasks[1]

    answer = invoke(world, monkeypatch, shaped(tasks=[named.id]))

    body = json.loads(answer["body"])
    assert [row["task"] for row in body["tasks"]] == [named.arn]


@pytest.mark.usefixtures("configured")
def test_every_shape_of_an_event_carries_alarms(
    monkeypatch: pytest.MonkeyPatch, shaped: Callable[..., object]
) -> None:
    world = World()
    a_service(world)
    world.set_alarm("latency", "ALARM")

    with pytest.raises(PreconditionError, match="alarms of the event are in ALARM: latency"):
        invoke(world, monkeypatch, shaped(alarms=["errors", "latency"]))

    assert world.writes == []


# -- with a guardian -------------------------------------------------------------------------------

MACHINE_ARN = "arn:aws:states:us-east-1:123456789012:stateMachine:recycler-guardian"


@pytest.fixture
def guarded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GUARDIAN_ARN", MACHINE_ARN)


def segment_event(world: World) -> dict[str, Any]:
    """Return what the only execution's first segment is invoked with."""
    (execution,) = world.executions.values()
    following: dict[str, Any] = json.loads(execution.input)["next"]
    return following


@pytest.mark.slow
@pytest.mark.usefixtures("configured", "guarded")
def test_a_run_that_goes_on_is_answered_202_and_mailed_once_at_its_end(
    mails: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World()
    a_service(world, tasks=30)

    first = invoke(world, monkeypatch)
    assert first["statusCode"] == 202
    assert json.loads(first["body"])["status"] == "continued"
    assert json.loads(first["body"])["execution"].endswith("recycler-guardian:request-1")
    event = segment_event(world)
    answers: list[dict[str, Any]] = []
    while not answers or answers[-1]["continues"]:
        answers.append(invoke(world, monkeypatch, event))
        world.advance(answers[-1]["wait_seconds"])

    assert answers[-1]["status"] == "completed"
    assert answers[-1]["tasks_recycled"] == 30
    *going_on, last = [each["next"] for each in answers]
    assert going_on == [event] * len(going_on)
    assert last == event | {"raised": None}
    (subject,) = subjects(mails)
    assert "demo/web" in subject
    assert capacity(world)[0] == 30


@pytest.mark.usefixtures("configured", "guarded")
def test_the_guardian_finds_its_run_alive_and_looks_again_or_over_and_ends(
    mails: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World()
    a_service(world)
    world.kill_at(60)
    with pytest.raises(Killed):
        invoke(world, monkeypatch)
    world.revive()

    event = segment_event(world)
    assert event["raised"]

    alive = invoke(world, monkeypatch, event)
    world.advance(LAMBDA_SECONDS + 31)
    healed = invoke(world, monkeypatch, event)
    late = invoke(world, monkeypatch, event)

    assert (alive["continues"], alive["wait_seconds"]) == (True, 60)
    assert alive["next"] == event
    assert (healed["continues"], healed["status"]) == (False, "completed")
    assert late["continues"] is False
    assert len(mails.mails) == 1


@pytest.mark.usefixtures("configured", "guarded")
def test_the_guardian_restores_what_nobody_works_on(
    mails: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World()
    a_service(world, tasks=30)
    invoke(world, monkeypatch)
    (execution,) = world.executions.values()
    carried = json.loads(execution.input)["next"]
    event = {
        "restore_of": carried["segment_of"],
        **{name: carried[name] for name in ("event", "raised")},
        "status": "ABORTED",
        "attempt": 0,
    }

    first, again = (invoke(world, monkeypatch, event) for _ in range(2))

    assert first == again == {"is_done": True}
    assert capacity(world)[0] == 30
    (mail,) = mails.mails
    assert "PARTIAL" in str(mail.message["Subject"])
    assert "execution is ABORTED" in " ".join(mail.part("plain").split())


@pytest.mark.usefixtures("guarded")
@pytest.mark.parametrize("section", ["emailNotification", "awsCredentials"])
def test_restoring_needs_no_more_of_the_configuration_than_the_credentials(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, section: str
) -> None:
    world = World()
    a_service(world, tasks=30)
    invoke(world, monkeypatch)
    (execution,) = world.executions.values()
    carried = json.loads(execution.input)["next"]
    broken = tmp_path / "input.json"
    broken.write_text(json.dumps({section: {"recipients": 3}}))
    monkeypatch.setattr(lambda_function, "CONFIGURATION_FILE", broken)

    with pytest.raises(SettingsError):
        invoke(world, monkeypatch, carried)
    event = {"restore_of": carried["segment_of"], "event": carried["event"], "raised": None}
    answer = invoke(world, monkeypatch, event | {"status": "FAILED", "attempt": 0})

    assert answer == {"is_done": True}
    assert capacity(world)[0] == 30


@pytest.mark.usefixtures("configured", "guarded")
@pytest.mark.parametrize(
    "event",
    [
        {"segment_of": "run"},
        {"segment_of": "run", "event": []},
        {"segment_of": 7, "event": EVENT},
        {"segment_of": "a:b", "event": EVENT},
        {"segment_of": "x" * 81, "event": EVENT},
        {"segment_of": "run", "event": {}},
        {"source": "aws.states", "detail-type": "Step Functions Execution Status Change"},
        {
            "source": "aws.states",
            "detail-type": "Step Functions Execution Status Change",
            "detail": {"status": "FAILED", "input": "not JSON"},
        },
    ],
    ids=str,
)
def test_a_broken_event_of_a_guardian_is_refused(
    monkeypatch: pytest.MonkeyPatch, event: object
) -> None:
    world = World()
    a_service(world)

    with pytest.raises(SettingsError):
        invoke(world, monkeypatch, event)

    assert has_only_noted_the_mail(world)


@pytest.mark.usefixtures("configured", "guarded")
@pytest.mark.parametrize("action", ["states:StartExecution", "states:DescribeExecution"])
def test_a_right_that_the_guardian_needs_is_named_before_anything_is_touched(
    monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    world = World()
    a_service(world)
    world.faults.deny(action)

    with pytest.raises(PreconditionError, match=action):
        invoke(world, monkeypatch)

    assert world.writes == []


@pytest.mark.usefixtures("configured", "guarded")
def test_a_guardian_that_cannot_be_started_leaves_everything_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    a_service(world)
    world.faults.fail("StartExecution", nth=2, times=None, code="ServiceUnavailable", status=500)

    with pytest.raises(AwsCallError, match="states:StartExecution"):
        invoke(world, monkeypatch)

    assert len(world.desired_history()) == 1
    assert {call.operation for call in world.writes} == {"UpdateItem"}


@pytest.mark.usefixtures("configured")
@pytest.mark.parametrize("action", ["stop", "status"])
def test_nobody_is_mailed_of_a_question(
    mails: MailServer, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    world = World()
    a_service(world)

    answer = invoke(world, monkeypatch, {**EVENT, "action": action})

    assert answer["statusCode"] == 200
    assert mails.mails == []


# -- the other channels ----------------------------------------------------------------------------


@pytest.fixture
def channels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAT_TOPIC_ARN", "arn:aws:sns:us-east-1:123456789012:chat")
    monkeypatch.setenv("EVENT_BUS_NAME", "default")


@pytest.mark.usefixtures("channels")
def test_chat_and_event_bus_are_told_of_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    a_service(world, tasks=1)

    invoke(world, monkeypatch)

    entries: list[Any] = [each.parameters["Entries"] for each in world.calls_of("PutEvents")]
    assert [each["DetailType"] for (each,) in entries] == [
        "Task Recycle Started",
        "Task Recycle Ended",
    ]
    assert {json.loads(each["Detail"])["run_id"] for (each,) in entries} == {"request-1"}
    assert len(world.calls_of("Publish")) == 1


@pytest.mark.usefixtures("channels")
def test_a_refused_run_has_no_start(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()

    with pytest.raises(PreconditionError):
        invoke(world, monkeypatch)

    (call,) = world.calls_of("PutEvents")
    (entry,) = cast("list[dict[str, str]]", call.parameters["Entries"])
    assert entry["DetailType"] == "Task Recycle Ended"


@pytest.mark.usefixtures("channels")
def test_channels_that_cannot_be_told_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    a_service(world, tasks=1)
    world.faults.deny("sns:Publish", "events:PutEvents")

    answer = invoke(world, monkeypatch)

    assert json.loads(answer["body"])["status"] == "completed"


def test_without_them_nobody_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    a_service(world, tasks=1)

    invoke(world, monkeypatch)

    assert world.calls_of("PutEvents") + world.calls_of("Publish") == []
