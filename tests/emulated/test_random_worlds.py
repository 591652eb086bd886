"""In every world, whatever its timing: all replaced, capacity as found, never fewer in service."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from ecs_task_recycle.outcome import Status
from tests.emulated.bench import capacity, stopped_by_us
from tests.emulated.random_worlds import Plan, plans

if TYPE_CHECKING:
    from tests.emulated.bench import Bench

WORLDS = 300


@pytest.mark.slow
@settings(max_examples=WORLDS)
@given(plan=plans(), maintain=st.booleans(), wait_time=st.integers(0, 60))
def test_the_promises_hold_in_random_worlds(
    bench: Bench, *, plan: Plan, maintain: bool, wait_time: int
) -> None:
    world, service = plan.build()
    originals = {task.arn for task in service.active_tasks}
    found = capacity(world)

    report = bench.recycle(
        world,
        deadline_seconds=86_400,
        maintain_service_state=maintain,
        wait_time=wait_time,
        stabilize_timeout=840,
    )

    note(f"{plan}\n{report.answer()}")
    assert report.error is None
    assert report.status is Status.COMPLETED
    world.advance(600)
    assert stopped_by_us(service) == originals
    assert len(service.active_tasks) == plan.desired_count
    assert capacity(world) == found
    assert world.lowest_in_service() >= plan.desired_count - (0 if maintain else 1)
