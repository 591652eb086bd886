"""Others change the service too: what they set stays, and their deployments end the run cleanly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ecs_emulator import Knobs, World
from ecs_task_recycle.model import Status
from tests.emulated.bench import a_service, autoscaled, capacity, stopped_by_us

if TYPE_CHECKING:
    from tests.emulated.bench import Bench


def test_a_desired_count_that_somebody_set_stays(bench: Bench) -> None:
    world = World()
    service = a_service(world)
    originals = {task.arn for task in service.active_tasks}
    world.at(100, lambda w: w.set_desired_count("demo", "web", 6))

    answer = bench.recycle(world).answer()

    assert answer["status"] == "completed"
    assert stopped_by_us(service) == originals
    assert capacity(world)[0] == 6
    assert answer["capacity"]["now"]["desired_count"] == 6
    assert "the desired count is 6: it was 3, this run wrote 4" in answer["capacity"]["left_alone"]
    assert world.lowest_in_service() >= 3


def test_limits_that_somebody_set_stay_and_the_others_go_back(bench: Bench) -> None:
    world = World()
    a_service(world)
    autoscaled(world, 1, 3)
    world.at(100, lambda w: w.set_limits("demo", "web", max_capacity=9))

    answer = bench.recycle(world).answer()

    assert answer["status"] == "completed"
    assert capacity(world) == (3, 1, 9)
    assert answer["capacity"]["now"] == {
        "desired_count": 3,
        "min_capacity": 1,
        "max_capacity": 9,
    }


@pytest.mark.parametrize("seconds", [5, 60, 100, 150])
def test_a_deployment_that_starts_meanwhile_ends_the_run_cleanly(
    bench: Bench, seconds: int
) -> None:
    world = World()
    service = a_service(world, tasks=4)
    world.at(seconds, lambda w: w.start_deployment("demo", "web"))

    report = bench.recycle(world)

    assert report.error is None
    assert report.status is Status.PARTIAL
    assert "a deployment started" in str(report.reason)
    assert len(stopped_by_us(service)) <= 2
    assert capacity(world)[0] == 4
    world.advance(900)
    assert world.lowest_in_service() >= 4


def test_the_surge_taken_away_by_somebody_ends_the_run(bench: Bench) -> None:
    world = World()
    service = a_service(world)
    world.at(110, lambda w: w.set_desired_count("demo", "web", 3))

    report = bench.recycle(world)

    assert report.status is Status.PARTIAL
    assert "somebody set the desired count to 3" in str(report.reason)
    assert len(stopped_by_us(service)) == 1
    assert capacity(world)[0] == 3


def test_a_task_that_went_away_by_itself_counts_as_replaced(bench: Bench) -> None:
    world = World()
    service = a_service(world)
    oldest, middle, newest = sorted(service.active_tasks, key=lambda each: each.created_at)
    world.at(90, lambda w: w.crash_task(newest))

    answer = bench.recycle(world).answer()

    assert answer["status"] == "completed"
    assert answer["tasks_recycled"] == 3
    assert answer["tasks"][2]["note"] == "it went away by itself"
    assert stopped_by_us(service) == {oldest.arn, middle.arn}


def test_rebalancing_in_the_middle_is_no_reason_to_end(bench: Bench) -> None:
    world = World()
    service = a_service(world)
    originals = {task.arn for task in service.active_tasks}
    world.at(75, lambda w: w.rebalance("demo", "web"))

    report = bench.recycle(world)

    assert report.status is Status.COMPLETED
    world.advance(600)
    assert originals.isdisjoint({task.arn for task in service.active_tasks})


def test_a_service_that_is_deleted_meanwhile_ends_the_run(bench: Bench) -> None:
    world = World()
    a_service(world)
    world.at(100, lambda w: w.delete_service("demo", "web"))

    report = bench.recycle(world)

    assert report.status is Status.PARTIAL
    assert "DRAINING" in str(report.reason) or "INACTIVE" in str(report.reason)


def test_stale_reads_never_make_the_run_act_too_early(bench: Bench) -> None:
    knobs = Knobs(staleness=10, drain=0, stop_time=0, deprovision=0, stop_reaction=0)
    world = World(knobs=knobs)
    a_service(world, target_group=False)

    report = bench.recycle(world, wait_time=0)

    assert report.status is Status.COMPLETED
    assert world.lowest_in_service() == 3
