"""The last record of a run holds its answer, and metrics that CloudWatch takes."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import boto3
import botocore
import pytest

import lambda_function
from ecs_emulator import FailingStart, Knobs, World
from ecs_emulator.wire.in_process import attach
from ecs_task_recycle.log import JsonFormatter
from ecs_task_recycle.report.final_record import LISTED_LIMIT, NAMESPACE, UNITS, log_final_record
from tests.emulated.bench import CLUSTER, SERVICE, a_service
from tests.emulated.test_handler import EVENT, Context

if TYPE_CHECKING:
    from tests.emulated.bench import Bench

LOG_EVENT_LIMIT_BYTES = 256 * 1024
"""What one log event may hold at the least; newer limits are higher.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html"""


def records_of(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """Return the final records as CloudWatch gets them."""
    formatter = JsonFormatter(run_id="request-1")
    said = [each for each in caplog.records if each.getMessage() == "Task recycle report"]
    return [json.loads(formatter.format(each)) for each in said]


def invoked(
    world: World, monkeypatch: pytest.MonkeyPatch, **parameters: object
) -> dict[str, Any] | Exception:
    """Invoke the handler; return the body of its answer, or what it raised."""
    monkeypatch.setattr(lambda_function, "CLOCK", world.clock)
    with attach(world):
        try:
            answer = lambda_function.lambda_handler({**EVENT, **parameters}, Context(world))
        except Exception as error:  # noqa: BLE001 - what a failed run raises
            return error
    body: dict[str, Any] = json.loads(answer["body"])
    return body


def broken_rules(document: dict[str, Any]) -> list[str]:
    """Return which rules of the embedded metric format a document breaks.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
    """
    (directive,) = document["_aws"]["CloudWatchMetrics"]
    names = [each["Name"] for each in directive["Metrics"]]
    values = {name: document.get(name) for name in names}
    checks = {
        "Timestamp": type(document["_aws"]["Timestamp"]) is int,
        "members": set(directive) == {"Namespace", "Dimensions", "Metrics"},
        "number of metrics": 1 <= len(names) <= 100,
        "units": {each["Unit"] for each in directive["Metrics"]} <= {"Count", "Seconds", "None"},
        "dimension sets": all(1 <= len(each) <= 30 for each in directive["Dimensions"]),
        "dimensions": all(
            isinstance(document[name], str) and 1 <= len(document[name]) <= 1024
            for each in directive["Dimensions"]
            for name in each
        ),
        **{name: is_metric(value) for name, value in values.items()},
    }
    return [name for name, holds in checks.items() if not holds]


def is_metric(value: object) -> bool:
    numbers = value if isinstance(value, list) else [value]
    return 1 <= len(numbers) <= 100 and all(type(each) in (int, float) for each in numbers)


@pytest.fixture(autouse=True)
def _info(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "ecs_task_recycle")


def test_a_completed_run_ends_its_log_with_its_answer_and_metrics(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "recycler")
    world = World()
    a_service(world)

    body = invoked(world, monkeypatch)

    (record,) = records_of(caplog)
    assert isinstance(body, dict)
    assert {name: record[name] for name in body} == body
    assert broken_rules(record) == []
    assert record["function"] == "recycler"
    assert (record["boto3"], record["botocore"]) == (boto3.__version__, botocore.__version__)
    assert (record["Completed"], record["Partial"], record["Failed"]) == (1, 0, 0)
    assert (record["TasksRecycled"], record["TasksLeft"]) == (3, 0)
    assert (record["LowestInService"], record["RequiredInService"]) == (3, 3)
    assert record["MissingInService"] == 0
    assert record["SecondsToReplace"] == [row["seconds_to_replace"] for row in body["tasks"]]
    assert record["Duration"] == body["duration_seconds"]
    ended_at = datetime.fromisoformat(body["timestamp"])
    assert abs(record["_aws"]["Timestamp"] / 1000 - ended_at.timestamp()) < 0.01
    (directive,) = record["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == NAMESPACE
    assert {each["Name"]: each["Unit"] for each in directive["Metrics"]} == UNITS


def hours_of_the_oldest(world: World, name: str = SERVICE) -> float:
    """Return how old the oldest task in service is, by what the emulator has recorded."""
    tasks = [task for task in world.service(CLUSTER, name).tasks if task.in_service]
    starts = [next(at for at, last, *_ in task.history if last == "RUNNING") for task in tasks]
    return (world.now - min(starts)) / 3600


def ages_of(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """Return the records with the metric of age, as CloudWatch gets them."""
    formatter = JsonFormatter(run_id="request-1")
    records = [json.loads(formatter.format(each)) for each in caplog.records]
    return [each for each in records if "OldestTaskHours" in each]


@pytest.mark.parametrize(
    "parameters",
    [{}, {"dry_run": True}, {"older_than_hours": 87_600}, {"maintain_service_state": False}],
    ids=str,
)
def test_the_age_of_the_oldest_task_is_told_as_the_run_leaves_it(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    parameters: dict[str, object],
) -> None:
    world = World()
    a_service(world)
    found = hours_of_the_oldest(world)

    body = invoked(world, monkeypatch, **parameters)

    (record,) = ages_of(caplog)
    assert broken_rules(record) == []
    assert (record["cluster"], record["service"]) == (CLUSTER, SERVICE)
    (directive,) = record["_aws"]["CloudWatchMetrics"]
    assert directive["Dimensions"] == [["cluster", "service"], ["function"]]
    assert record["OldestTaskHours"] == pytest.approx(hours_of_the_oldest(world), abs=0.01)
    recycles = not {"dry_run", "older_than_hours"} & parameters.keys()
    assert (record["OldestTaskHours"] < found - 0.1) == recycles
    assert isinstance(body, dict)
    assert body["oldest_task_hours"] == record["OldestTaskHours"]


def test_a_task_that_a_run_has_left_keeps_its_age(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world = World()
    service = a_service(world)
    oldest = min(service.active_tasks, key=lambda task: task.created_at)
    world.protect_task(oldest)

    invoked(world, monkeypatch, protected_tasks="skip")

    (record,) = ages_of(caplog)
    assert record["Partial"] == 1
    assert oldest.in_service
    assert record["OldestTaskHours"] == pytest.approx(hours_of_the_oldest(world), abs=0.01)


def test_a_service_that_is_refused_tells_its_age_and_one_without_tasks_tells_none(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world = World()
    a_service(world, rollout_state="FAILED")
    world.create_service(cluster=CLUSTER, name="empty", desired_count=0)

    invoked(world, monkeypatch)
    invoked(world, monkeypatch, service_name="empty")

    (record,) = ages_of(caplog)
    assert (record["service"], record["Failed"]) == (SERVICE, 1)
    assert len(records_of(caplog)) == 2


def test_a_partial_run_counts_what_it_leaves(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world = World()
    service = a_service(world)
    world.protect_task(service.active_tasks[0])

    invoked(world, monkeypatch, protected_tasks="skip")

    (record,) = records_of(caplog)
    assert (record["Completed"], record["Partial"]) == (0, 1)
    assert (record["TasksRecycled"], record["TasksLeft"]) == (2, 1)
    assert record["skipped"]


def test_without_an_extra_task_one_below_is_not_missing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world = World()
    a_service(world)

    invoked(world, monkeypatch, maintain_service_state=False)

    (record,) = records_of(caplog)
    assert (record["LowestInService"], record["RequiredInService"]) == (2, 2)
    assert record["MissingInService"] == 0


def test_tasks_that_were_missing_are_counted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world = World()
    service = a_service(world, tasks=4)
    victims = service.active_tasks[2:]
    world.at(20, lambda w: [w.interrupt_task(each, "spot") for each in victims])

    invoked(world, monkeypatch)

    (record,) = records_of(caplog)
    assert record["LowestInService"] < record["RequiredInService"] == 4
    assert record["MissingInService"] == 4 - record["LowestInService"]


def test_a_failed_run_is_counted_and_names_its_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(knobs=Knobs(failing_starts=(FailingStart(after=1),)))
    a_service(world)

    error = invoked(world, monkeypatch)

    (record,) = records_of(caplog)
    assert record["error"] == type(error).__name__
    assert record["remedy"]
    assert record["Failed"] == 1
    assert broken_rules(record) == []


def test_a_run_that_is_refused_has_no_numbers_of_tasks_in_service(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world = World()

    invoked(world, monkeypatch)

    (record,) = records_of(caplog)
    assert record["Failed"] == 1
    assert not {"LowestInService", "MissingInService", "SecondsToReplace"} & record.keys()
    assert broken_rules(record) == []


@pytest.mark.parametrize(
    "parameters", [{"dry_run": True}, {"action": "status"}, {"action": "stop"}], ids=str
)
def test_what_changes_nothing_is_no_run(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    parameters: dict[str, object],
) -> None:
    world = World()
    a_service(world)

    invoked(world, monkeypatch, **parameters)

    assert records_of(caplog) == []


def test_long_lists_are_cut_and_the_number_left_out_is_there(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    world = World()
    a_service(world, tasks=5)
    answer = bench.recycle(world, wait_time=0, deadline_seconds=300).answer()
    answer = replace(answer, tasks=answer.tasks * 1000, remaining=answer.remaining * 1000)
    rows_count, remaining_count = len(answer.tasks), len(answer.remaining)

    log_final_record(answer, function_name="f")

    (record,) = records_of(caplog)
    assert record["TasksLeft"] == remaining_count
    assert len(record["tasks"]) == len(record["remaining"]) == LISTED_LIMIT
    assert record["left_out"] == {
        "tasks": rows_count - LISTED_LIMIT,
        "remaining": remaining_count - LISTED_LIMIT,
    }
    assert len(record["SecondsToReplace"]) == 100
    assert broken_rules(record) == []
    assert len(json.dumps(record).encode()) < LOG_EVENT_LIMIT_BYTES
