"""While Application Auto Scaling is at work, it refuses the next call: that has to be outlasted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ecs_emulator import FailingStart, Knobs, World
from ecs_task_recycle.errors import AwsCallError, ReplacementError
from ecs_task_recycle.outcome import Status
from tests.emulated.bench import SURGE, a_service, autoscaled, capacity, sweep

if TYPE_CHECKING:
    from tests.emulated.bench import Bench

NO_TASK = (FailingStart(kind="not_launched"),)


def raised_by_somebody(world: World) -> None:
    """Let somebody raise the minimum just before the run."""
    a_service(world)
    autoscaled(world, 1, 6)
    world.set_limits("demo", "web", min_capacity=4)
    world.advance(2)


@SURGE
@pytest.mark.parametrize("seconds", sweep([120, 60, 150]))
def test_a_conflict_at_the_start_is_waited_for(bench: Bench, seconds: int, *, surge: bool) -> None:
    world = World(knobs=Knobs(aas_lag=1, aas_conflict=seconds))
    raised_by_somebody(world)

    report = bench.recycle(world, maintain_service_state=surge)

    assert report.status is not Status.FAILED, report.answer()
    assert report.answer().as_json()["tasks_recycled"] >= 3
    assert capacity(world) == (4, 4, 6)


@pytest.mark.parametrize("seconds", [60, 120, 300])
def test_the_limits_are_put_back_as_soon_as_that_is_possible(bench: Bench, seconds: int) -> None:
    world = World(knobs=Knobs(aas_lag=12, aas_conflict=seconds, failing_starts=NO_TASK))
    a_service(world)
    autoscaled(world, 1, 3)

    report = bench.recycle(world)

    assert isinstance(report.error, ReplacementError), report.answer()
    assert capacity(world) == (3, 1, 3)


def test_a_conflict_that_does_not_end_leaves_time_for_the_end(bench: Bench) -> None:
    world = World(knobs=Knobs(aas_lag=1, aas_conflict=10_000))
    raised_by_somebody(world)

    report = bench.recycle(world, deadline_seconds=230)

    assert isinstance(report.error, AwsCallError)
    assert "ConcurrentUpdateException" in str(report.error)
    assert capacity(world) == (4, 4, 6)
    assert world.elapsed < 230
