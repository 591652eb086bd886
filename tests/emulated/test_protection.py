"""Task scale-in protection: no protected task is stopped, none is waited for in vain."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from ecs_emulator import Knobs, World
from ecs_task_recycle.errors import PreconditionError
from ecs_task_recycle.outcome import Status
from tests.emulated.bench import (
    a_service,
    asked_to_stop_at,
    autoscaled,
    capacity,
    is_free,
    stopped_by_us,
    sweep,
)
from tests.emulated.guarded import Guarded
from tests.emulated.quick import KNOBS

if TYPE_CHECKING:
    from collections.abc import Callable

    from ecs_emulator.state.model import Service, Task
    from tests.emulated.bench import Bench


def by_age(service: Service) -> list[Task]:
    return sorted(service.active_tasks, key=lambda task: task.created_at)


def test_protected_tasks_come_last_in_the_order_in_which_they_get_free(bench: Bench) -> None:
    world = World()
    service = a_service(world, tasks=4)
    first, second, third, fourth = by_age(service)
    world.protect_task(first, minutes=9)
    world.protect_task(third, minutes=6)

    answer = bench.recycle(world, deadline_seconds=3600).answer().as_json()

    assert answer["status"] == "completed"
    assert [task["task"] for task in answer["tasks"]] == [
        task.arn for task in (second, fourth, third, first)
    ]
    assert world.lowest_in_service() == 4


def test_what_is_still_protected_when_time_runs_short_is_skipped_with_its_end(
    bench: Bench,
) -> None:
    world = World()
    service = a_service(world)
    autoscaled(world, 1, 5)
    worker, *others = by_age(service)
    world.protect_task(worker, minutes=120)

    answer = bench.recycle(world).answer().as_json()

    assert answer["status"] == "partial"
    (skipped,) = answer["skipped"]
    assert skipped["task"] == worker.arn
    until = datetime.fromisoformat(skipped["until"])
    assert until == datetime.fromtimestamp(world.started_at + 7200, UTC)
    assert stopped_by_us(service) == {task.arn for task in others}
    assert capacity(world) == (3, 1, 5)
    world.advance(60)
    assert worker.active


def test_skip_leaves_protected_tasks_and_says_so(bench: Bench) -> None:
    world = World()
    service = a_service(world)
    worker = by_age(service)[1]
    world.protect_task(worker, minutes=60)

    answer = bench.recycle(world, protected_tasks="skip").answer().as_json()

    assert answer["status"] == "partial"
    assert answer["reason"] == "under scale-in protection: 1 of 3 tasks"
    assert answer["tasks_recycled"] == 2
    assert worker.active


def test_with_every_task_protected_skip_writes_nothing(bench: Bench) -> None:
    world = World()
    service = a_service(world)
    for task in service.active_tasks:
        world.protect_task(task, minutes=60)

    answer = bench.recycle(world, protected_tasks="skip").answer().as_json()

    assert answer["status"] == "nothing_to_do"
    assert answer["reason"] == "all tasks are under scale-in protection"
    assert len(answer["skipped"]) == 3
    assert world.writes == []


def test_with_every_task_protected_wait_raises_nothing_until_one_is_free(bench: Bench) -> None:
    world = World()
    service = a_service(world)
    for minutes, task in enumerate(service.active_tasks, start=4):
        world.protect_task(task, minutes=minutes)

    report = bench.recycle(world, deadline_seconds=3600)

    assert report.status is Status.COMPLETED
    raised_at = world.desired_history()[1][0]
    assert 240 <= raised_at - world.started_at <= 270
    assert world.lowest_in_service() == 3


@pytest.mark.parametrize("minutes", [8, 60])
def test_what_autoscaling_did_while_every_task_was_protected_is_what_the_run_raises_from(
    bench: Bench, minutes: int
) -> None:
    world = World()
    service = a_service(world)
    originals = {task.arn for task in service.active_tasks}
    autoscaled(world, 1, 10)
    for task in service.active_tasks:
        world.protect_task(task, minutes=minutes)
    world.at(200, lambda w: w.put_load("demo", "web", 6))

    report = Guarded(bench, world).recycle()

    assert report.status is Status.COMPLETED, report.reason
    assert stopped_by_us(service) == originals
    assert max(count for _, count, _ in world.desired_history()) == 7
    assert capacity(world) == (6, 1, 10)


def test_a_service_scaled_to_zero_while_every_task_was_protected_is_left_alone(
    bench: Bench,
) -> None:
    world = World()
    service = a_service(world)
    for task in service.active_tasks:
        world.protect_task(task, minutes=8)
    world.at(200, lambda w: w.set_desired_count("demo", "web", 0))

    report = Guarded(bench, world).recycle()

    assert report.status is Status.PARTIAL
    assert report.reason == "the desired count is 0"
    assert capacity(world)[0] == 0
    assert is_free(world)


@pytest.mark.parametrize(
    "operation", ["DescribeScalableTargets", "DescribeServices", "DescribeTasks"]
)
def test_an_outage_once_a_task_is_free_is_sat_out(bench: Bench, operation: str) -> None:
    world = World(knobs=KNOBS, seed=3)
    service = a_service(world)
    autoscaled(world, 1, 5)
    for task in service.active_tasks:
        world.protect_task(task, minutes=3)
    world.at(150, lambda w: w.faults.fail(operation, times=20, code="ThrottlingException"))

    report = bench.recycle(world, wait_time=0)

    assert report.status is Status.COMPLETED, report.reason
    assert capacity(world) == (3, 1, 5)


def test_an_outage_while_a_protected_task_is_waited_for_is_sat_out(bench: Bench) -> None:
    world = World(knobs=KNOBS, seed=3)
    service = a_service(world)
    world.protect_task(by_age(service)[0], minutes=8)
    fault = "ThrottlingException"
    world.at(300, lambda w: w.faults.fail("GetTaskProtection", times=20, code=fault))

    report = bench.recycle(world, wait_time=0)

    assert report.status is Status.COMPLETED, report.reason


def test_a_service_deployed_while_every_task_was_protected_is_left_alone(bench: Bench) -> None:
    """The new tasks are none of the run's, which ends for the deployment once it reads."""
    world = World(knobs=KNOBS)
    service = a_service(world)
    for task in service.active_tasks:
        world.protect_task(task, minutes=6)
    world.at(60, lambda w: w.start_deployment("demo", "web"))

    report = Guarded(bench, world).recycle()

    assert report.status is Status.PARTIAL
    assert "a deployment started" in str(report.reason)
    assert [count for _, count, _ in world.desired_history()] == [3]
    assert is_free(world)


def test_with_every_task_protected_for_long_wait_touches_nothing(bench: Bench) -> None:
    world = World()
    service = a_service(world)
    for task in service.active_tasks:
        world.protect_task(task, minutes=600)

    report = bench.recycle(world)

    assert report.status is Status.PARTIAL
    assert len(report.answer().as_json()["skipped"]) == 3
    assert len(world.desired_history()) == 1
    assert is_free(world)


def test_stop_clears_the_protection_right_before_the_stop_and_only_then(bench: Bench) -> None:
    world = World()
    service = a_service(world)
    workers = by_age(service)
    for task in workers:
        world.protect_task(task, minutes=60)

    report = bench.recycle(world, protected_tasks="stop")

    assert report.status is Status.COMPLETED
    clears = [
        call
        for call in world.calls_of("UpdateTaskProtection")
        if call.parameters["tasks"] != ["0" * 32]
    ]
    assert [call.parameters["tasks"] for call in clears] == [[task.arn] for task in workers]
    for call, task in zip(clears, workers, strict=True):
        assert asked_to_stop_at(task) - call.at < 1


def test_a_protection_that_cannot_be_cleared_skips_the_task_with_the_reason(bench: Bench) -> None:
    world = World()
    service = a_service(world)
    worker, *others = by_age(service)
    world.protect_task(worker, minutes=60)
    world.faults.fail("UpdateTaskProtection", nth=2, code="ClientException", status=400)

    answer = bench.recycle(world, protected_tasks="stop").answer().as_json()

    assert answer["status"] == "partial"
    (skipped,) = answer["skipped"]
    assert "could not be cleared: ecs:UpdateTaskProtection" in skipped["reason"]
    assert stopped_by_us(service) == {task.arn for task in others}


def test_a_task_protected_in_the_middle_of_the_run_is_spared_too(bench: Bench) -> None:
    world = World()
    service = a_service(world)
    *_, newest = by_age(service)
    world.at(90, lambda w: w.protect_task(newest, minutes=60))

    answer = bench.recycle(world).answer().as_json()

    assert answer["status"] == "partial"
    assert [each["task"] for each in answer["skipped"]] == [newest.arn]
    assert newest.active


def test_a_protected_task_that_goes_away_counts_as_replaced(bench: Bench) -> None:
    world = World()
    service = a_service(world)
    worker = by_age(service)[0]
    world.protect_task(worker, minutes=600)
    world.at(300, lambda w: w.crash_task(worker))

    answer = bench.recycle(world).answer().as_json()

    assert answer["status"] == "completed"
    assert answer["tasks"][-1]["task"] == worker.arn
    assert answer["tasks"][-1]["note"] == "it went away by itself"


@pytest.mark.parametrize("seed", sweep(range(5)))
def test_a_mark_that_is_cleared_is_noticed_within_half_a_minute(
    bench: Bench, seed: int, measured: Callable[[str], None]
) -> None:
    world = World(seed=seed)
    service = a_service(world)
    worker = by_age(service)[0]
    world.protect_task(worker, minutes=120)
    world.at(600 + seed, lambda w: w.unprotect_task(worker))

    report = bench.recycle(world, deadline_seconds=3600)

    assert report.status is Status.COMPLETED
    seconds = asked_to_stop_at(worker) - world.started_at - 600 - seed
    measured(f"a cleared mark: its task stopped after {seconds:.1f} s")
    assert 0 <= seconds <= 30


def test_a_mark_that_ends_in_47_hours_is_looked_at_every_five_minutes(
    bench: Bench, measured: Callable[[str], None]
) -> None:
    world = World()
    service = a_service(world)
    worker = by_age(service)[0]
    world.protect_task(worker, minutes=47 * 60)

    report = bench.recycle(world, deadline_seconds=6 * 3600)

    looks = [
        call.at
        for call in world.calls_of("GetTaskProtection")
        if call.parameters["tasks"] == [worker.arn]
    ]
    gaps = [later - earlier for earlier, later in itertools.pairwise(looks)]
    measured(f"a mark that ends in 47 hours: {len(looks)} looks in six hours")
    assert report.status is Status.PARTIAL
    assert min(gaps) >= 300


@pytest.mark.slow
def test_130_tasks_every_second_one_protected(
    bench: Bench, measured: Callable[[str], None]
) -> None:
    world = World(knobs=Knobs(drain=0, target_health_delay=1, pending=1))
    service = a_service(world, tasks=130)
    tasks = by_age(service)
    for task in tasks[::2]:
        world.protect_task(task, minutes=2880)

    answer = (
        bench.recycle(world, deadline_seconds=10**6, wait_time=0, protected_tasks="skip")
        .answer()
        .as_json()
    )

    calls = len(world.calls_of("GetTaskProtection"))
    measured(f"130 tasks, 65 of them protected: {calls} GetTaskProtection calls")
    assert answer["tasks_recycled"] == 65
    assert len(answer["skipped"]) == 65
    assert stopped_by_us(service) == {task.arn for task in tasks[1::2]}
    assert calls <= 65 + 8


def test_a_put_back_that_finds_every_task_protected_says_so_and_loses_none(bench: Bench) -> None:
    # So that 220 s from the start all tasks are replaced and the capacity is still to be restored.
    world = World(knobs=Knobs(scheduler_interval=(1.0, 4.0), replaces_after_stopped=False))
    service = a_service(world)

    def protect_all(_: World) -> None:
        for task in service.active_tasks:
            world.protect_task(task, minutes=2880)

    world.at(220, protect_all)

    answer = bench.recycle(world, wait_time=60, stabilize_timeout=120).answer().as_json()

    assert capacity(world)[0] == 3
    assert "all tasks are under scale-in protection" in " ".join(answer["capacity"]["left_alone"])
    world.advance(120)
    assert service.in_service_count == 4


@pytest.mark.parametrize(
    "action, policy",
    [
        ("ecs:GetTaskProtection", "wait"),
        ("ecs:GetTaskProtection", "stop"),
        ("ecs:UpdateTaskProtection", "stop"),
    ],
)
def test_a_missing_right_to_read_or_clear_protection_is_named(
    bench: Bench, action: str, policy: str
) -> None:
    world = World()
    a_service(world)
    world.faults.deny(action)

    report = bench.recycle(world, protected_tasks=policy)

    assert isinstance(report.error, PreconditionError)
    assert action in str(report.error)
    # The clearing of a task that cannot exist is the check of the right to clear.
    assert {call.operation for call in world.writes} <= {"UpdateTaskProtection"}
    assert all(call.parameters["tasks"] == ["0" * 32] for call in world.writes)


def test_a_dry_run_says_of_protected_tasks_what_the_run_would_do(bench: Bench) -> None:
    world = World()
    service = a_service(world)
    first, *_ = by_age(service)
    world.protect_task(first, minutes=60)

    waits, skips, stops = (
        bench.recycle(world, dry_run=True, protected_tasks=policy).answer().as_json()
        for policy in ("wait", "skip", "stop")
    )

    assert [len(each["tasks"]) for each in (waits, skips, stops)] == [3, 2, 3]
    assert [len(each["skipped"]) for each in (waits, skips, stops)] == [1, 1, 0]
    assert skips["reason"] == "2 tasks would be recycled"


def test_a_dry_run_with_nothing_to_do_says_so(bench: Bench) -> None:
    world = World()
    service = a_service(world)
    for task in service.active_tasks:
        world.protect_task(task, minutes=60)

    answer = bench.recycle(world, dry_run=True, protected_tasks="skip").answer().as_json()

    assert answer["status"] == "nothing_to_do"


def test_a_run_that_gives_up_waiting_names_the_protection(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    world = World()
    service = a_service(world)
    worker, *_ = by_age(service)
    world.protect_task(worker, minutes=600)
    caplog.set_level("INFO", "ecs_task_recycle")

    answer = bench.recycle(world).answer().as_json()

    assert answer["reason"].startswith("still under scale-in protection: 1 of 3 tasks, and time")
    assert any("Tasks under scale-in protection: 1, the first" in line for line in caplog.messages)
