"""Every call fails once: the promises hold, and the report tells the truth."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from ecs_task_recycle.errors import RestoreError
from ecs_task_recycle.outcome import Status
from tests.emulated.bench import (
    ACCESS_KEY,
    capacity,
    is_free,
    stopped_by_us,
    stopped_under_protection,
)
from tests.emulated.quick import FOUND, OWNER_IS_DEAD_SECONDS, QUICK, TASKS, world_with_a_mark

if TYPE_CHECKING:
    from collections.abc import Callable

    from ecs_emulator import World
    from ecs_task_recycle.report.report import Report
    from tests.emulated.bench import Bench

type Arm = Callable[[World, int], object]


def _fail(world: World, number: int, **fault: Any) -> None:  # noqa: ANN401
    world.faults.fail(nth=number, **fault)


FAULTS: dict[str, Arm] = {
    "500 once": partial(_fail, code="ServerException", status=500),
    "throttled once": partial(_fail, code="ThrottlingException", status=400),
    "throttled beyond botocore's retries": partial(
        _fail, times=9, code="ThrottlingException", status=400
    ),
    "500 beyond botocore's retries": partial(_fail, times=9, code="ServerException", status=500),
    "no answer": partial(_fail),
    "no answer after the effect": partial(_fail, after_effect=True),
    "no answer after the effect, beyond botocore's retries": partial(
        _fail, times=9, after_effect=True
    ),
}


ACTIONS = (
    "ecs:DescribeServices",
    "ecs:ListTasks",
    "ecs:DescribeTasks",
    "ecs:StopTask",
    "ecs:UpdateService",
    "ecs:GetTaskProtection",
    "elasticloadbalancing:DescribeTargetHealth",
    "application-autoscaling:DescribeScalableTargets",
    "application-autoscaling:RegisterScalableTarget",
    "dynamodb:GetItem",
    "dynamodb:UpdateItem",
)


def calls_of_a_run(bench: Bench) -> list[str]:
    world = world_with_a_mark()
    assert bench.recycle(world, **QUICK).status is Status.COMPLETED
    return [call.operation for call in world.calls if call.access_key == ACCESS_KEY]


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_each_call_of_a_run_may_fail(
    bench: Bench, fault: str, measured: Callable[[str], None]
) -> None:
    calls = calls_of_a_run(bench)
    failed = []
    for number, operation in enumerate(calls, start=1):
        world = world_with_a_mark()
        FAULTS[fault](world, number)
        report = bench.recycle(world, **QUICK)
        failed += _broken_promises(f"{fault}, call {number} {operation}", bench, world, report)
    measured(f"{fault}: promises held for {len(calls) - len(failed)} of {len(calls)} calls")
    assert failed == []


@pytest.mark.slow
def test_each_permission_may_be_taken_away_in_the_middle_of_a_run(
    bench: Bench, measured: Callable[[str], None]
) -> None:
    failed, tried = [], 0
    for action in ACTIONS:
        for seconds in range(0, 90, 4):
            world = world_with_a_mark()
            world.at(world.elapsed + seconds, partial(_deny, action=action))
            report = bench.recycle(world, **QUICK)
            tried += 1
            failed += _broken_promises(f"{action} denied at {seconds} s", bench, world, report)
    measured(f"permissions taken away: promises held for {tried - len(failed)} of {tried}")
    assert failed == []


def _deny(world: World, action: str) -> None:
    world.faults.deny(action)


def _broken_promises(name: str, bench: Bench, world: World, report: Report) -> list[str]:
    """Return the promises that a run with a fault has broken."""
    service = world.service("demo", "web")
    answer = report.answer().as_json()
    originals = {task.arn for task in service.tasks if not task.launch}
    told = {task["task"] for task in answer["tasks"]}
    broken = []
    if originals & stopped_by_us(service) - told:
        broken.append("stopped a task without telling")
    if report.status is Status.COMPLETED and told != originals:
        broken.append("completed without all originals")
    if isinstance(report.error, RestoreError):
        broken += _not_healed(bench, world)
    elif capacity(world) != FOUND:
        broken.append(f"capacity {capacity(world)} without a RestoreError")
    if stopped_under_protection(world):
        broken.append("stopped a task under protection")
    world.advance(OWNER_IS_DEAD_SECONDS)
    if world.lowest_in_service() < TASKS:
        broken.append(f"{world.lowest_in_service()} in service")
    return [f"{name}: {', '.join(broken)}; {report.reason}"] if broken else []


def _not_healed(bench: Bench, world: World) -> list[str]:
    """Return what is wrong after a run could not put back: its commands, or the next restore."""
    world.faults.clear()
    world.faults.allow_all()
    if is_free(world):
        return ["RestoreError without a record"]
    world.advance(60)
    restored = bench.recycle(world, action="restore")
    if restored.status is not Status.RESTORED:
        return [f"not restored: {restored.reason}"]
    return [] if capacity(world) == FOUND else [f"capacity {capacity(world)} after restore"]
