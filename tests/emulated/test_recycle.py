"""The main job, on the wire: every task replaced, capacity as found, never fewer in service."""

from __future__ import annotations

import itertools
import statistics
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from ecs_emulator import Knobs, World
from ecs_task_recycle.model import Status
from tests.emulated.observers import perfect_seconds, recycle_with_services_stable

if TYPE_CHECKING:
    from ecs_emulator.model import Service
    from tests.emulated.bench import Bench


def a_service(world: World, *, tasks: int = 3, **features: object) -> Service:
    features = {"target_group": True, **features}
    return world.create_service(cluster="demo", name="web", desired_count=tasks, **features)


def test_every_task_is_replaced_and_the_capacity_is_as_found(bench: Bench) -> None:
    world = World()
    service = a_service(world)
    world.register_scalable_target(cluster="demo", service="web", min_capacity=1, max_capacity=3)
    originals = {task.arn for task in service.active_tasks}

    report = bench.recycle(world)

    assert report.error is None
    assert report.status is Status.COMPLETED
    assert {task["task"] for task in report.answer()["tasks"]} == originals
    assert not originals & {task.arn for task in service.active_tasks}
    assert service.desired_count == 3
    assert world.lowest_in_service() == 3
    target = world.scalable_target("demo", "web")
    assert (target.min_capacity, target.max_capacity) == (1, 3)


def test_without_the_surge_never_more_than_one_task_is_missing(bench: Bench) -> None:
    world = World()
    service = a_service(world)

    report = bench.recycle(world, maintain_service_state=False)

    assert report.status is Status.COMPLETED
    assert world.lowest_in_service() == 2
    assert [count for _, count, _ in world.desired_history()] == [3]
    assert service.in_service_count == 3


@pytest.mark.parametrize("seed", range(5))
def test_a_run_takes_at_most_a_tenth_longer_than_a_perfect_observer(
    bench: Bench, seed: int, record_property: pytest.RecordProperty
) -> None:
    ours, perfect = World(seed=seed), World(seed=seed)
    a_service(ours)
    ours_seconds = bench.recycle(ours).answer()["duration_seconds"]
    perfect_service = a_service(perfect)

    ratio = ours_seconds / perfect_seconds(perfect, perfect_service, wait_seconds=30)

    calls = Counter(call.operation for call in ours.calls)
    per_task = {operation: round(count / 3, 1) for operation, count in calls.most_common()}
    print(f"seed {seed}: {ratio:.3f} of a perfect observer's time; calls per task: {per_task}")
    assert ratio <= 1.10
