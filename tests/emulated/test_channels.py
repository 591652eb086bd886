"""Chat and event bus: what they are told of runs, and that they never change one.

`RECORD=1` writes into docs/channels.md what they are told now.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import boto3
import pytest

from ecs_emulator import World
from ecs_task_recycle.channels.chat import chat_message, tell_chat
from ecs_task_recycle.channels.event_bus import tell_event_bus, tell_event_bus_of_start
from ecs_task_recycle.clock import as_utc
from ecs_task_recycle.outcome import Status
from ecs_task_recycle.report.answer import Answer
from ecs_task_recycle.settings.function import FunctionContext
from tests.emulated.bench import Bench, a_service

if TYPE_CHECKING:
    from ecs_emulator.ground.calls import Call

PAGE: Final = Path(__file__).parents[2] / "docs/channels.md"
TOPIC_ARN: Final = "arn:aws:sns:eu-west-1:123456789012:recycler-chat"
FUNCTION: Final = FunctionContext(region="us-east-1", name="ecs-task-recycle-function")
RUN_ID: Final = "9531985d-5d9d-49f8-9818-e811892f902b"


@pytest.fixture(scope="module")
def session(bench: Bench) -> boto3.Session:
    """A session whose calls go to the bench's world."""
    assert bench.board.world.calls == []
    return boto3.Session(
        aws_access_key_id="AKIATELL", aws_secret_access_key="x", region_name="us-east-1"
    )


def partial_answer(bench: Bench, world: World) -> Answer:
    """Return the answer of a run that has left two tasks, of a function that was packaged."""
    a_service(world)
    report = bench.recycle(world, run_id=RUN_ID, finish_within_minutes=4)
    return replace(report.answer(), version="v0.1.0")


def only(calls: list[Call]) -> dict[str, Any]:
    (call,) = calls
    return dict(call.parameters)


def hold_against_page(name: str, text: str) -> None:
    """Compare with the block that is recorded under a name; write it if that is asked for."""
    page = PAGE.read_text()
    block = re.compile(rf"(<!-- recorded: {name} -->\n```\w+\n)(.*?)(```\n)", re.DOTALL)
    found = block.search(page)
    assert found is not None
    if os.environ.get("RECORD"):
        PAGE.write_text(block.sub(lambda each: each[1] + text + each[3], page))
        return
    assert found[2] == text


def in_a_channel(message: dict[str, Any]) -> str:
    """Return a message about as Slack shows it: title, description, what to do next."""
    content = message["content"]
    lines = [content["title"], *content["description"].split("\n")]
    steps = [f"  • {step}" for step in content["nextSteps"]]
    shown = "\n".join([*lines, "Next steps", *steps])
    return shown.replace("`", "") + "\n"


# -- chat -----------------------------------------------------------------------------------------


def test_the_chat_is_told_on_one_thread_a_run(bench: Bench, session: boto3.Session) -> None:
    world = World()
    answer = partial_answer(bench, world)

    tell_chat(session, TOPIC_ARN, answer, FUNCTION)

    sent = only(world.calls_of("Publish"))
    message = json.loads(sent["Message"])
    assert sent["TopicArn"] == TOPIC_ARN
    assert (message["version"], message["source"]) == ("1.0", "custom")
    assert message["metadata"]["threadId"] == RUN_ID
    hold_against_page("chat", in_a_channel(message))
    hold_against_page("chat message", f"{json.dumps(message, indent=2, ensure_ascii=False)}\n")


def test_without_a_topic_nobody_is_told(bench: Bench, session: boto3.Session) -> None:
    world = bench.board.world = World()

    tell_chat(session, None, _completed(), FUNCTION)
    tell_chat(session, "", _completed(), FUNCTION)

    assert world.calls == []


@pytest.mark.parametrize("topic_arn", [TOPIC_ARN, "no ARN", "arn:aws:sns:no region:1:x"])
def test_a_chat_that_cannot_be_told_is_a_warning(
    bench: Bench, session: boto3.Session, caplog: pytest.LogCaptureFixture, topic_arn: str
) -> None:
    world = bench.board.world = World()
    world.faults.deny("sns:Publish")

    tell_chat(session, topic_arn, _completed(), FUNCTION)

    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage().startswith("The chat was not told: sns:Publish")


def test_no_text_of_others_links_or_calls_people() -> None:
    hostile = "<!channel> [see](https://evil.example) <https://evil.example|here> `x`\n\x1b[31m"

    answer = replace(_completed(), status=Status.FAILED, reason=hostile, remedy=hostile)
    content = chat_message(answer, FUNCTION)["content"]

    for text in (content["description"].split("\n")[-1], content["nextSteps"][0]):
        assert not any(mark in text for mark in ("<", ">", "`", "]("))
        assert text.isprintable()


def test_a_run_of_a_thousand_tasks_is_a_short_message() -> None:
    many = tuple(f"arn:aws:ecs:us-east-1:123456789012:task/demo/{n:032x}" for n in range(1000))
    answer = replace(_completed(), status=Status.PARTIAL, remaining=many, reason="r" * 9000)

    message = chat_message(answer, FUNCTION)

    assert len(json.dumps(message)) < 10_000
    assert message["content"]["nextSteps"] == []


def _completed() -> Answer:
    at = World().now
    return Answer(
        cluster="demo",
        service="web",
        status=Status.COMPLETED,
        run_id=RUN_ID,
        tasks_recycled=3,
        original_desired_count=3,
        lowest_in_service=3,
        duration_seconds=300.0,
        timestamp=as_utc(at),
    )


# -- the event bus --------------------------------------------------------------------------------


def test_the_end_of_a_run_is_put_on_the_bus(bench: Bench, session: boto3.Session) -> None:
    world = World()
    answer = partial_answer(bench, world)

    tell_event_bus(session, "default", answer)

    (entry,) = only(world.calls_of("PutEvents"))["Entries"]
    detail = json.loads(entry["Detail"])
    assert detail == json.loads(json.dumps(answer.as_json()))
    shown = {**detail, "tasks": detail["tasks"][:1], "in_service": detail["in_service"][:2]}
    hold_against_page("event", f"{json.dumps({**entry, 'Detail': shown}, indent=2)}\n")


def test_the_start_of_a_run_is_put_on_the_bus(bench: Bench, session: boto3.Session) -> None:
    world = bench.board.world = World()

    tell_event_bus_of_start(session, "b", cluster="demo", service="web", run_id="r")

    (entry,) = only(world.calls_of("PutEvents"))["Entries"]
    assert (entry["Source"], entry["DetailType"]) == ("ecs-task-recycle", "Task Recycle Started")
    assert json.loads(entry["Detail"]) == {"cluster": "demo", "service": "web", "run_id": "r"}


def test_without_a_bus_nothing_is_put(bench: Bench, session: boto3.Session) -> None:
    world = bench.board.world = World()

    tell_event_bus(session, "", _completed())

    assert world.calls == []


@pytest.mark.parametrize("bus, denied", [("default", "events:PutEvents"), ("missing", "x:Y")])
def test_a_bus_that_cannot_be_told_is_a_warning(
    bench: Bench,
    session: boto3.Session,
    caplog: pytest.LogCaptureFixture,
    bus: str,
    denied: str,
) -> None:
    world = bench.board.world = World()
    world.faults.deny(denied)

    tell_event_bus(session, bus, _completed())

    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage().startswith(f"The event bus {bus} was not told: events:PutEvents: ")


@pytest.mark.parametrize("answered", [{}, {"Entries": []}])
def test_an_answer_of_the_bus_that_lacks_its_entries_is_a_warning(
    bench: Bench,
    session: boto3.Session,
    caplog: pytest.LogCaptureFixture,
    answered: dict[str, Any],
) -> None:
    world = bench.board.world = World()

    def change(answer: dict[str, Any]) -> None:
        answer.clear()
        answer.update(answered)

    world.faults.alter(1, change)

    tell_event_bus(session, "default", _completed())

    (record,) = caplog.records
    assert record.getMessage().startswith("The event bus default was not told: events:PutEvents: ")


def test_an_answer_that_is_too_long_for_an_event_leaves_lists_out(
    bench: Bench, session: boto3.Session
) -> None:
    world = bench.board.world = World()
    points = tuple((float(n), 3) for n in range(20_000))
    answer = replace(_completed(), in_service=points)

    tell_event_bus(session, "default", answer)

    (entry,) = only(world.calls_of("PutEvents"))["Entries"]
    detail = json.loads(entry["Detail"])
    assert detail["left_out"] == ["in_service"]
    assert detail["in_service"] == []
    assert len(entry["Detail"]) < 200_000
