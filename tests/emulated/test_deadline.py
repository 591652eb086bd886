"""Never past the deadline: what does not fit is left for the next invocation, and said."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from ecs_emulator import Knobs, World
from ecs_task_recycle.outcome import Status
from tests.emulated.bench import (
    LAMBDA_SECONDS,
    a_service,
    autoscaled,
    capacity,
    is_free,
    stopped_by_us,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from tests.emulated.bench import Bench


def invoked(bench: Bench, world: World, **event: Any) -> dict[str, Any]:  # noqa: ANN401
    """Run as Lambda would: with 900 s, and killed at their end."""
    limit = world.elapsed + LAMBDA_SECONDS
    world.kill_at(limit)
    answer = bench.recycle(world, deadline_seconds=LAMBDA_SECONDS, **event).answer().as_json()
    world.advance(max(0, limit + 1 - world.elapsed))
    world.revive()
    return answer


def test_without_an_extra_task_no_time_is_kept_for_one(bench: Bench) -> None:
    """Else a run without a guardian would refuse what it has the time for."""
    needed = []
    for maintains in (True, False):
        world = World()
        a_service(world)
        reason = bench.recycle(
            world, deadline_seconds=80, wait_time=50, maintain_service_state=maintains
        ).reason
        (seconds,) = re.findall(r"the next task may need (\d+) s", str(reason))
        needed.append(int(seconds))
    with_it, without_it = needed
    assert with_it - without_it > 60  # the pause, and what a task takes to start


@pytest.mark.slow
def test_40_tasks_are_recycled_in_several_invocations_each_within_its_limit(
    bench: Bench, measured: Callable[[str], None]
) -> None:
    world = World()
    service = a_service(world, tasks=40)
    autoscaled(world, 10, 40)
    originals = {task.arn for task in service.active_tasks}

    answer = invoked(bench, world)
    counts = [answer["tasks_recycled"]]
    event = {"started_before": answer["started_before"]}
    assert answer["status"] == "partial"
    assert "time runs short" in answer["reason"]
    assert len(answer["remaining"]) == 40 - counts[0]
    assert capacity(world) == (40, 10, 40)
    while answer["status"] == "partial":
        answer = invoked(bench, world, **event)
        counts.append(answer["tasks_recycled"])

    measured(f"40 tasks, invocations of 900 s, recycled in each: {counts}")
    assert answer["status"] == "completed"
    # 6 where replacements come only after STOPPED; 10 where they come at once.
    assert min(counts[:-1]) >= 6
    # Each put-back is a scale-in, for which ECS may choose an original: that one is replaced too.
    assert sum(counts) >= 40 - len(counts)
    assert stopped_by_us(service) <= originals
    world.advance(300)
    assert originals.isdisjoint({task.arn for task in service.active_tasks})
    assert world.lowest_in_service() == 40
    assert is_free(world)


def test_a_limit_too_short_for_even_one_task_is_said_before_anything_is_touched(
    bench: Bench,
) -> None:
    world = World()
    a_service(world)

    report = bench.recycle(world, deadline_seconds=150)

    assert report.status is Status.PARTIAL
    assert "s are left, the next task may need 150 s" in str(report.reason)
    assert world.writes == []


def test_a_replacement_that_is_slower_than_any_before_does_not_reach_the_limit(
    bench: Bench,
) -> None:
    world = World(knobs=Knobs(drain=20))
    service = a_service(world, tasks=12)
    slow_from = 560
    world.at(slow_from, lambda w: w.faults.fail("StopTask", nth=1, times=None, after_effect=True))
    limit = LAMBDA_SECONDS

    answer = invoked(bench, world, stabilize_timeout=700)

    assert world.elapsed <= limit + 1
    assert capacity(world)[0] == 12
    assert answer["status"] in {"partial", "failed"}
    assert len(stopped_by_us(service)) < 12


def test_a_wait_that_no_longer_fits_is_not_slept(bench: Bench) -> None:
    """It fits once, after the extra task."""
    world = World()
    a_service(world)

    answer = invoked(bench, world, wait_time=500)

    assert answer["status"] == "partial"
    assert answer["tasks_recycled"] == 1
    assert answer["duration_seconds"] < 500 + 300


def test_a_wait_that_does_not_even_fit_once_is_said_before_anything_is_touched(
    bench: Bench,
) -> None:
    world = World()
    a_service(world)

    report = bench.recycle(world, wait_time=800)

    assert report.status is Status.PARTIAL
    assert "lower wait_time" in str(report.reason)
    assert world.writes == []


def test_the_wait_after_the_last_task_ends_in_time_to_put_back(bench: Bench) -> None:
    world = World()
    a_service(world, tasks=1)

    answer = invoked(bench, world, wait_time=400)

    assert answer["status"] == "completed"
    assert LAMBDA_SECONDS - 120 < answer["duration_seconds"] < LAMBDA_SECONDS
    assert capacity(world)[0] == 1


def test_the_pause_after_the_last_task_ends_with_the_time_that_the_event_allows(
    bench: Bench,
) -> None:
    world = World(knobs=Knobs(replaces_after_stopped=False))
    a_service(world, tasks=1)

    answer = bench.recycle(world, wait_time=150, finish_within_minutes=6).answer().as_json()

    assert answer["status"] == "completed"
    assert 360 <= answer["duration_seconds"] < 380
