"""Tasks that are not in service when the run begins come first, each with its reason."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from ecs_emulator import World
from ecs_task_recycle.errors import StepTimeoutError
from tests.emulated.bench import SURGE, a_service, asked_to_stop_at, capacity, stopped_by_us

if TYPE_CHECKING:
    from collections.abc import Callable

    from ecs_emulator.state.model import Service, Task
    from tests.emulated.bench import Bench

type Harm = Callable[[World, Task], object]


HARMS: dict[str, Harm] = {
    "PENDING": lambda world, task: world.hold_task(task),
    "RUNNING, container health UNKNOWN": lambda world, task: world.forget_health(task),
    "target unhealthy (Target.FailedHealthChecks)": lambda world, task: world.make_unhealthy(task),
    "target not registered": lambda world, task: world.deregister_target(task),
    "target unused (Target.InvalidState)": lambda world, task: world.set_target_state(
        task, "unused", "Target.InvalidState"
    ),
}


def harmed(world: World, reasons: list[str], *, tasks: int = 4) -> tuple[Service, list[str]]:
    """Return a service whose youngest tasks are not in service, and these."""
    checks = any("container health" in reason for reason in reasons)
    service = a_service(
        world, tasks=tasks, container_health=checks, health_check_grace_seconds=10**6
    )
    by_age = sorted(service.active_tasks, key=lambda task: task.state.started_at or 0.0)
    harmed_tasks = by_age[-len(reasons) :]
    for reason, task in zip(reasons, harmed_tasks, strict=True):
        HARMS[reason](world, task)
    return service, [task.arn for task in harmed_tasks]


@SURGE
@pytest.mark.parametrize("reason", HARMS)
def test_a_task_that_is_not_in_service_is_recycled_first(
    bench: Bench, reason: str, *, surge: bool
) -> None:
    world = World()
    service, (arn,) = harmed(world, [reason])
    originals = {task.arn for task in service.active_tasks}

    answer = bench.recycle(world, maintain_service_state=surge).answer().as_json()

    assert answer["status"] == "completed", answer
    assert stopped_by_us(service) >= originals
    assert answer["tasks"][0]["task"] == arn
    assert reason in answer["tasks"][0]["not_in_service"]
    assert all("not_in_service" not in each for each in answer["tasks"][1:])
    assert world.lowest_in_service() >= (3 if surge else 3 - 1)
    assert capacity(world)[0] == 4


@SURGE
@pytest.mark.parametrize("count", [2, 3, 4])
def test_never_fewer_are_in_service_than_at_the_start(
    bench: Bench, count: int, *, surge: bool
) -> None:
    world = World()
    reasons = ["PENDING", "target not registered", "PENDING", *list(HARMS)[-1:]]
    service, arns = harmed(world, reasons[-count:])
    originals = {task.arn for task in service.active_tasks}

    answer = bench.recycle(world, maintain_service_state=surge).answer().as_json()

    assert answer["status"] == "completed", answer
    assert stopped_by_us(service) >= originals
    assert {each["task"] for each in answer["tasks"][:count]} == set(arns)
    assert world.lowest_in_service() >= 4 - count
    stops = sorted(asked_to_stop_at(task) for task in service.tasks if task.arn in originals)
    assert all(later - earlier > 20 for earlier, later in itertools.pairwise(stops))


def test_a_dry_run_names_each_with_its_reason(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    world = World()
    _, arns = harmed(world, ["PENDING", "target not registered"])

    with caplog.at_level("INFO"):
        answer = bench.recycle(world, dry_run=True).answer().as_json()

    first, second, *others = answer["tasks"]
    assert {first["task"], second["task"]} == set(arns)
    assert {first["not_in_service"], second["not_in_service"][:30]} == {
        "PENDING",
        "RUNNING, target not registered",
    }
    assert all("not_in_service" not in each for each in others)
    assert sum("Not in service, to be recycled first" in line for line in caplog.messages) == 2


def test_a_task_that_has_only_just_been_created_is_left_to_start(bench: Bench) -> None:
    world = World()
    service = a_service(world)
    world.crash_task(service.tasks[0])
    world.advance(25)
    (coming,) = (task for task in service.active_tasks if task not in service.tasks[:3])

    report = bench.recycle(world)

    assert report.answer().as_json()["status"] == "completed"
    assert coming.arn not in stopped_by_us(service)


@SURGE
def test_a_service_that_does_not_become_whole_is_not_blamed_on_time(
    bench: Bench, *, surge: bool
) -> None:
    world = World()
    service, (arn,) = harmed(world, ["PENDING"])

    report = bench.recycle(world, maintain_service_state=surge, tasks=[service.active_tasks[0].arn])

    assert "time ran short" not in str(report.reason)
    assert f"{arn.rpartition('/')[2]}: PENDING" in str(report.reason)
    assert stopped_by_us(service) & {task.arn for task in service.tasks[:4]} == set()


@SURGE
@pytest.mark.parametrize("reason", [each for each in HARMS if "unhealthy" not in each])
@pytest.mark.parametrize("policy", ["wait", pytest.param("skip", marks=pytest.mark.slow)])
def test_a_protected_task_that_is_not_in_service_keeps_nobody_waiting(
    bench: Bench, policy: str, reason: str, *, surge: bool
) -> None:
    world = World()
    service, (arn,) = harmed(world, [reason])
    others = {task.arn for task in service.active_tasks} - {arn}
    world.protect_task(arn, minutes=600)

    answer = (
        bench.recycle(world, maintain_service_state=surge, protected_tasks=policy, wait_time=0)
        .answer()
        .as_json()
    )

    assert answer["status"] == "partial", answer
    assert stopped_by_us(service) == others
    (skipped,) = answer["skipped"]
    assert skipped["task"] == arn
    assert skipped["reason"].startswith("it is under scale-in protection; not in service: ")
    assert reason in skipped["reason"]
    assert world.lowest_in_service() >= (3 if surge else 3 - 1)
    assert capacity(world)[0] == 4
    # No wait is as long as stabilize_timeout.
    assert answer["duration_seconds"] < (600 if policy == "skip" else 900)


def test_a_protected_task_that_is_lost_meanwhile_is_waited_for(bench: Bench) -> None:
    world = World()
    service = a_service(world)
    kept = service.active_tasks[2]
    world.protect_task(kept, minutes=600)
    world.at(60, lambda w: w.deregister_target(kept))

    report = bench.recycle(world, protected_tasks="skip", wait_time=0, stabilize_timeout=120)

    assert isinstance(report.error, StepTimeoutError)
    assert world.lowest_in_service() >= 2
    assert len(stopped_by_us(service)) == 1
