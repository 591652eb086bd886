"""How often a run reads while it waits, and how soon it sees what it waits for, or must end for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ecs_emulator import FailingStart, Knobs, World
from ecs_task_recycle.errors import ReplacementError
from ecs_task_recycle.outcome import Status
from tests.emulated.bench import ACCESS_KEY, a_service, asked_to_stop_at, sweep
from tests.emulated.observers import perfect_seconds

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.emulated.bench import Bench

NOTICED_WITHIN_SECONDS = 15.0


def first_write_since(world: World, instant: float) -> float:
    """Return when the run first put something back: it does so as soon as it knows that it ends."""
    writes = {"UpdateService", "StopTask"}
    return min(
        call.at
        for call in world.calls
        if call.at >= instant and call.operation in writes and call.access_key == ACCESS_KEY
    )


@pytest.mark.parametrize("tasks", sweep([20, 60]))
def test_tasks_that_start_within_3_seconds_are_seen_at_once(
    bench: Bench, tasks: int, measured: Callable[[str], None]
) -> None:
    at_once = Knobs(
        scheduler_interval=0.5, provisioning=0.5, pending=2.0, replaces_after_stopped=False
    )
    ours, perfect = World(knobs=at_once), World(knobs=at_once)
    a_service(ours, tasks=tasks, target_group=False)
    perfect_service = a_service(perfect, tasks=tasks, target_group=False)

    answer = bench.recycle(ours, wait_time=0).answer().as_json()

    ratio = answer["duration_seconds"] / perfect_seconds(perfect, perfect_service, wait_seconds=0)
    calls = len(ours.calls) / tasks
    measured(f"starts of 3 s, {tasks} tasks: {ratio:.2f} of a perfect observer, {calls:.1f} calls")
    assert ratio <= 1.5


def test_a_service_that_starts_no_task_is_read_ever_more_rarely(
    bench: Bench, measured: Callable[[str], None]
) -> None:
    quick = Knobs(provisioning=0.5, pending=0.5, scheduler_interval=10_000.0)
    world = World(knobs=quick)
    a_service(world, target_group=False)

    bench.recycle(world, stabilize_timeout=600)

    rate = len(world.calls) / world.elapsed
    measured(f"a service that starts no task: {rate:.2f} calls a second")
    assert rate <= 0.5


@pytest.mark.parametrize("second", sweep([30, *range(2, 30, 4), *range(34, 170, 8)], quick=1))
def test_a_deployment_is_noticed_within_15_seconds(
    bench: Bench, second: int, measured: Callable[[str], None]
) -> None:
    world = World()
    a_service(world, tasks=4)
    world.at(second, lambda w: w.start_deployment("demo", "web"))

    report = bench.recycle(world, wait_time=0)

    began = world.started_at + second
    seconds = first_write_since(world, began) - began
    measured(f"a deployment after {second} s: noticed after {seconds:.1f} s")
    assert report.status is Status.PARTIAL
    assert seconds <= NOTICED_WITHIN_SECONDS


@pytest.mark.parametrize("pending", [(8.0, 16.0), (30.0, 60.0)], ids=str)
@pytest.mark.parametrize("kind", ["never_running", "unhealthy"])
@pytest.mark.parametrize("after", sweep([1, 0]))
def test_the_third_failed_start_is_noticed_within_15_seconds(
    bench: Bench,
    after: int,
    kind: str,
    pending: tuple[float, float],
    measured: Callable[[str], None],
) -> None:
    knobs = Knobs(pending=pending, failing_starts=(FailingStart(kind=kind, after=after),))
    world = World(knobs=knobs)
    service = a_service(world)

    report = bench.recycle(world)

    failing = (task for task in service.tasks if task.launch > after and task.stop_cause)
    third = sorted(asked_to_stop_at(task) for task in failing)[2]
    seconds = first_write_since(world, third) - third
    measured(f"third failed start, {kind} after {after}: noticed after {seconds:.1f} s")
    assert isinstance(report.error, ReplacementError)
    assert seconds <= NOTICED_WITHIN_SECONDS
