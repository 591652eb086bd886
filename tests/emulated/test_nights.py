"""What people on call have met at night: several things going wrong at the same time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ecs_emulator import Killed, Knobs, World
from ecs_task_recycle.aws.gateway import Gateway
from ecs_task_recycle.errors import RestoreError
from ecs_task_recycle.outcome import Status
from tests.emulated.bench import (
    a_service,
    autoscaled,
    capacity,
    is_free,
    record,
    stopped_by_us,
)
from tests.emulated.quick import (
    FOUND,
    KNOBS,
    OWNER_IS_DEAD_SECONDS,
    QUICK,
    another_run_starts,
    quick_world,
)

if TYPE_CHECKING:
    from ecs_task_recycle.model import Service
    from tests.emulated.bench import Bench

NO_STALE = Knobs(staleness=0)


def test_a_scale_out_beyond_the_old_maximum_is_not_cut_by_the_put_back(bench: Bench) -> None:
    world = World()
    a_service(world, tasks=2)
    autoscaled(world, 1, 2)
    world.at(100, lambda w: w.set_desired_count("demo", "web", 6))

    answer = bench.recycle(world).answer().as_json()
    world.advance(60)

    assert answer["status"] == "completed"
    assert [count for _, count, _ in world.desired_history()] == [2, 3, 6]
    assert capacity(world) == (6, 1, 6)
    assert answer["capacity"]["now"] == {
        "desired_count": 6,
        "min_capacity": 1,
        "max_capacity": 6,
    }
    assert "the autoscaling maximum is 6 and not 2" in " ".join(answer["capacity"]["left_alone"])


def test_a_scale_out_after_a_death_is_not_cut_by_restore(bench: Bench) -> None:
    world = quick_world()
    world.kill_at(world.elapsed + 25)
    with pytest.raises(Killed):
        bench.recycle(world, **QUICK)
    world.revive()
    world.set_desired_count("demo", "web", 10)
    world.advance(OWNER_IS_DEAD_SECONDS)

    answer = bench.recycle(world, action="restore").answer().as_json()
    world.advance(60)

    assert answer["status"] == "restored"
    assert capacity(world) == (10, 1, 10)
    assert answer["capacity"]["now"]["desired_count"] == 10


def test_a_gate_that_waits_for_slow_tasks_ends_before_the_limit(bench: Bench) -> None:
    world = World(knobs=KNOBS, seed=3)
    service = a_service(world, tasks=6)
    limit = world.elapsed + 700
    world.kill_at(limit)

    def two_die_and_the_next_are_slow(_: World) -> None:
        service.knobs = replace(service.knobs, pending=500.0)
        in_service = [task for task in service.active_tasks if task.in_service]
        world.crash_task(in_service[0])
        world.crash_task(in_service[-1])

    world.after_call("StopTask", 4, lambda w: w.at(w.elapsed + 40, two_die_and_the_next_are_slow))

    report = bench.recycle(world, deadline_seconds=700, wait_time=60)

    assert world.elapsed < limit
    assert report.status is Status.PARTIAL
    assert capacity(world)[0] == 6
    assert is_free(world)


def test_a_deployment_while_the_extra_task_is_awaited_keeps_its_tasks(bench: Bench) -> None:
    world = World(knobs=Knobs(pending=200.0))
    service = a_service(world)
    world.at(20, lambda w: w.start_deployment("demo", "web"))

    report = bench.recycle(world, stabilize_timeout=300)

    assert report.status is Status.PARTIAL
    assert "a deployment started" in str(report.reason)
    assert stopped_by_us(service) == set()
    assert capacity(world)[0] == 3
    assert world.elapsed < 120


def test_an_extra_task_that_somebody_takes_away_at_once_is_not_waited_for(bench: Bench) -> None:
    world = World(knobs=Knobs(pending=100.0))
    a_service(world)
    world.at(10, lambda w: w.set_desired_count("demo", "web", 3))

    report = bench.recycle(world)

    assert report.status is Status.PARTIAL
    assert "somebody set the desired count to 3" in str(report.reason)
    assert world.elapsed < 90


def test_a_put_back_that_breaks_in_an_unforeseen_way_leaves_its_record_and_the_command(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = quick_world()
    write = Gateway.set_desired_count

    def broken(gateway: Gateway, desired_count: int) -> Service:
        if desired_count == 2:
            raise KeyError("services")
        return write(gateway, desired_count)

    monkeypatch.setattr(Gateway, "set_desired_count", broken)
    report = bench.recycle(world, **QUICK)
    monkeypatch.undo()

    assert isinstance(report.error, RestoreError)
    assert "aws ecs update-service --cluster demo --service web --desired-count 2" in str(
        report.error
    )
    assert record(world)["state"] == "unrestored"
    world.advance(60)
    assert bench.recycle(world, action="restore").status is Status.RESTORED
    assert capacity(world) == (2, 1, 2)


def test_a_record_that_somebody_took_over_at_the_end_is_not_closed(bench: Bench) -> None:
    world = quick_world()
    # The checks make the first of them, raising and restoring the other two.
    world.after_call("UpdateService", 2, another_run_starts)

    report = bench.recycle(world, **QUICK)

    assert record(world)["owner"] == "other"
    assert record(world)["state"] == "running"
    assert "The run record could not be closed" in str(report.reason)
    assert capacity(world) == FOUND


def test_tasks_with_their_own_address_on_ec2_need_no_right_to_read_instances(
    bench: Bench,
) -> None:
    world = World()
    a_service(world, launch_type="EC2", network_mode="awsvpc")
    world.faults.deny("ecs:DescribeContainerInstances")

    assert bench.recycle(world).status is Status.COMPLETED


def test_the_command_of_a_failed_put_back_names_only_what_is_ours(bench: Bench) -> None:
    world = World(knobs=NO_STALE)
    a_service(world, tasks=2)
    autoscaled(world, 1, 2)
    world.at(60, lambda w: w.set_limits("demo", "web", min_capacity=2))
    world.at(70, lambda w: w.faults.deny("application-autoscaling:RegisterScalableTarget"))

    report = bench.recycle(world)

    assert isinstance(report.error, RestoreError)
    assert "--max-capacity 2" in str(report.error)
    assert "--min-capacity" not in str(report.error)
    assert capacity(world) == (2, 2, 3)
