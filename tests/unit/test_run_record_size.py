"""The run record stays within DynamoDB's 400 KB, whatever the size of the service."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from ecs_task_recycle.model import (
    Capacity,
    InServicePoint,
    Original,
    Plan,
    Selection,
    TaskOutcome,
    TaskResult,
)
from ecs_task_recycle.record.item import from_item, to_item
from ecs_task_recycle.record.record import Checkpoint, RecordState, RunRecord
from ecs_task_recycle.settings.event import settings_from_event
from ecs_task_recycle.task import Seen
from ecs_task_recycle.watch.timeline import POINTS_LIMIT

if TYPE_CHECKING:
    from collections.abc import Callable

    from ecs_task_recycle.codec import Json

AT = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
ITEM_LIMIT_BYTES = 400 * 1024


def arn() -> str:
    return f"arn:aws:ecs:eu-central-1:123456789012:task/production-cluster/{uuid.uuid4().hex}"


def result(original: Original, number: int) -> TaskResult:
    return TaskResult(
        task_arn=original.arn,
        outcome=TaskOutcome.REPLACED,
        replacement_arn=arn(),
        stopped_at=AT + timedelta(seconds=round(67.123457 * number, 3)),
        seconds_to_replace=37.1 + number % 100 / 10,
        seconds_to_stop=301.2 + number * 7 % 600 / 10,
        exit_code=137 if number % 3 else 0,
        exit_verdict="did not stop in time: killed" if number % 3 else None,
        still_stopping="DEACTIVATING" if number % 50 == 0 else None,
    )


def checkpoint_of(count: int) -> Checkpoint:
    originals = tuple(
        Original(
            arn=arn(),
            created_at=AT - timedelta(seconds=round(number * 7.654321, 3)),
            started_at=AT - timedelta(seconds=round(number * 7.123456, 3)),
            zone=f"eu-central-1{'abc'[number * number % 3]}",
        )
        for number in range(count)
    )
    results = tuple(result(each, number) for number, each in enumerate(originals))
    found = Capacity(desired_count=count, min_capacity=1, max_capacity=count)
    plan = Plan(
        deployment_id="ecs-svc/1234567890123456789",
        selection=Selection(before_at=AT),
        originals=originals,
        protections=(),
        in_service_count=count,
        found=found,
        adds_task=True,
    )
    new_task_arns = tuple(str(each.replacement_arn) for each in results)
    in_service = tuple(
        InServicePoint(seconds=round(number * 37.77, 1), count=count + number * 7 % 3)
        for number in range(POINTS_LIMIT)
    )
    seen = Seen(served_new_arns=new_task_arns, in_service=in_service)
    return Checkpoint(plan=plan, results=results, seen=seen)


def record_of(checkpoint: Checkpoint, parameters: dict[str, Json] | None = None) -> RunRecord:
    return RunRecord(
        version=1,
        state=RecordState.RUNNING,
        owner="owner",
        owner_dead_at=AT,
        run_id="run",
        run_started_at=AT,
        started_before_at=AT,
        parameters=parameters,
        checkpoint=checkpoint,
    )


@pytest.mark.parametrize(
    "count", [30, 1_200, 5_000], ids=["30 tasks", "1,200", "5,000, ECS's own limit"]
)
def test_a_record_of_many_tasks_fits(count: int, measured: Callable[[str], None]) -> None:
    checkpoint = checkpoint_of(count)

    item = to_item(record_of(checkpoint))

    assert from_item(item).checkpoint == checkpoint
    measured(f"run record of {count} tasks: {len(item['memory'])} bytes of memory")
    assert len(item["memory"]) < ITEM_LIMIT_BYTES


def test_the_longest_parameters_fit_beside_the_most_tasks() -> None:
    alarms = [f"{number:03}" + "\N{FIRE}" * 252 for number in range(100)]
    event = {"cluster_name": "c" * 255, "service_name": "s" * 255, "alarms": alarms}
    parameters = settings_from_event(event).event

    item = to_item(record_of(checkpoint_of(5_000), parameters))

    size = len(item["memory"]) + len(item["parameters"].encode())
    assert size < ITEM_LIMIT_BYTES - 10_000
    assert from_item(item).parameters == parameters
