"""Others change the service too: what they set stays, and their deployments end the run cleanly."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from ecs_emulator import Killed, Knobs, World
from ecs_task_recycle.outcome import Status
from tests.emulated.bench import (
    LAMBDA_SECONDS,
    a_service,
    autoscaled,
    capacity,
    is_free,
    stopped_by_us,
    sweep,
)
from tests.emulated.guarded import Guarded

if TYPE_CHECKING:
    from ecs_task_recycle.report.report import Report
    from tests.emulated.bench import Bench


def test_a_desired_count_that_somebody_set_stays(bench: Bench) -> None:
    world = World()
    service = a_service(world)
    originals = {task.arn for task in service.active_tasks}
    world.at(100, lambda w: w.set_desired_count("demo", "web", 6))

    answer = bench.recycle(world).answer().as_json()

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

    answer = bench.recycle(world).answer().as_json()

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


def test_no_task_is_stopped_by_reads_that_a_slow_go_ahead_has_made_old(bench: Bench) -> None:
    """Step Functions hangs between the last look at the service and the stop."""
    world = World()
    a_service(world)
    hangs = world.faults.fail("DescribeExecution", nth=4, times=2, after_seconds=60)
    deployed: list[float] = []

    def deploy_meanwhile(w: World) -> None:
        if not hangs.struck:
            w.at(w.elapsed + 1, deploy_meanwhile)
        else:
            deployed.append(w.start_deployment("demo", "web").created_at)

    world.at(1, deploy_meanwhile)
    report = Guarded(bench, world).recycle(wait_time=0)

    assert hangs.struck == 2
    stopped_at = [call.at for call in world.calls_of("StopTask") if call.wrote]
    assert stopped_at
    assert max(stopped_at) < deployed[0]
    assert "a deployment started" in str(report.reason)
    assert capacity(world)[0] == 3


def test_the_surge_taken_away_by_somebody_ends_the_run(bench: Bench) -> None:
    world = World()
    service = a_service(world)
    world.at(100, lambda w: w.set_desired_count("demo", "web", 3))

    report = bench.recycle(world)

    assert report.status is Status.PARTIAL
    assert "somebody set the desired count to 3" in str(report.reason)
    assert len(stopped_by_us(service)) == 1
    assert capacity(world)[0] == 3


def test_a_task_that_went_away_by_itself_counts_as_replaced(bench: Bench) -> None:
    world = World()
    service = a_service(world)
    oldest, middle, newest = sorted(service.active_tasks, key=lambda each: each.created_at)
    world.at(170, lambda w: w.crash_task(newest))

    answer = bench.recycle(world).answer().as_json()

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


@pytest.mark.parametrize("seed", sweep(range(6), quick=2))
def test_stale_reads_never_make_the_run_act_too_early_nor_suspect_itself(
    bench: Bench, seed: int
) -> None:
    knobs = Knobs(
        staleness=10,
        scheduler_interval=0.5,
        provisioning=0.5,
        pending=0.5,
        drain=0,
        stop_time=0,
        deprovision=0,
        stop_reaction=0,
    )
    world = World(knobs=knobs, seed=seed)
    a_service(world, target_group=False)

    report = bench.recycle(world, wait_time=0)

    assert report.status is Status.COMPLETED
    assert world.lowest_in_service() == 3


def test_a_deployment_alarm_that_goes_off_ends_the_run_before_the_next_stop(bench: Bench) -> None:
    world = World()
    service = a_service(world, alarms=("errors",))
    world.set_alarm("errors", "OK")
    world.at(100, lambda w: w.set_alarm("errors", "ALARM"))

    answer = bench.recycle(world).answer().as_json()

    assert answer["status"] == "partial"
    assert answer["reason"] == "deployment alarms are in ALARM: errors"
    assert len(stopped_by_us(service)) == 1
    assert len(answer["remaining"]) == 2
    assert capacity(world)[0] == 3


def test_a_service_whose_deployment_alarms_are_off_already_is_refused(bench: Bench) -> None:
    world = World()
    a_service(world, alarms=("errors", "latency"))
    world.set_alarm("errors", "OK")
    world.set_alarm("latency", "ALARM", composite=True)

    report = bench.recycle(world)

    assert "deployment alarms are in ALARM: latency" in str(report.error)
    assert world.writes == []


def test_limits_that_a_scheduled_action_sets_stay(bench: Bench) -> None:
    world = World()
    a_service(world)
    autoscaled(world, 1, 3)
    world.schedule_limits("demo", "web", 100, min_capacity=5, max_capacity=8)

    answer = bench.recycle(world).answer().as_json()

    assert answer["status"] == "completed"
    assert capacity(world) == (5, 5, 8)
    told = " ".join(answer["capacity"]["left_alone"])
    assert "the autoscaling minimum is 5: it was 1, this run wrote 4" in told
    assert "the desired count is 5: it was 3, this run wrote 4" in told


def test_what_autoscaling_adds_for_load_stays(bench: Bench) -> None:
    world = World()
    service = a_service(world)
    autoscaled(world, 1, 9)
    originals = {task.arn for task in service.active_tasks}
    world.at(100, lambda w: w.put_load("demo", "web", 7))

    report = bench.recycle(world)

    assert report.status is Status.COMPLETED
    assert capacity(world) == (7, 1, 9)
    assert stopped_by_us(service) == originals
    assert world.lowest_in_service() >= 3


def test_autoscaling_that_wants_fewer_cannot_take_the_extra_task_away(bench: Bench) -> None:
    world = World()
    a_service(world)
    autoscaled(world, 1, 9)
    world.keep_load("demo", "web", lambda _: 1, every=20.0)

    report = bench.recycle(world)

    assert report.status is Status.COMPLETED
    before_put_back = [count for _, count, who in world.desired_history() if "AKIARUN" in who]
    assert before_put_back == [4, 3]
    assert world.autoscaling.targets["service/demo/web"].min_capacity == 1


@pytest.mark.parametrize("maintain", [True, False], ids=["with surge", "without"])
def test_a_task_that_dies_between_two_stops_is_waited_for(bench: Bench, *, maintain: bool) -> None:
    world = World()
    service = a_service(world)

    def crash_a_replacement(_: World) -> None:
        world.at(world.elapsed + 20, lambda w: w.crash_task(service.active_tasks[-1]))

    # The second StopTask: the first one is the permission check.
    stops = 2
    world.after_call("StopTask", stops, lambda w: w.at(w.elapsed + 60, crash_a_replacement))

    report = bench.recycle(world, maintain_service_state=maintain, wait_time=60)

    assert report.status is Status.COMPLETED
    assert world.lowest_in_service() == (3 if maintain else 2)


def test_a_capacity_that_changes_while_the_run_starts_is_not_taken_for_the_original(
    bench: Bench,
) -> None:
    world = World(knobs=Knobs(staleness=0))
    a_service(world)
    world.after_call("DescribeTasks", 1, lambda w: w.set_desired_count("demo", "web", 5))

    report = bench.recycle(world)

    assert report.status is Status.COMPLETED
    assert [count for _, count, _ in world.desired_history()] == [3, 5, 6, 5]
    assert capacity(world)[0] == 5
    assert is_free(world)


def test_a_count_set_below_the_minimum_while_an_invocation_is_dead_stays(bench: Bench) -> None:
    """The next one repeats the raise, and every call to autoscaling lifts such a count."""
    world = World(knobs=Knobs(target_health_delay=200))
    a_service(world)
    autoscaled(world, 1, 9)
    world.kill_at(60)
    world.at(100, lambda w: w.set_desired_count("demo", "web", 1))

    Guarded(bench, world).recycle(wait_time=0)
    world.advance(900)

    assert capacity(world) == (1, 1, 9)
    assert is_free(world)


def test_a_desired_count_set_between_the_limits_and_the_raise_is_not_overwritten(
    bench: Bench,
) -> None:
    world = World(knobs=Knobs(staleness=0))
    service = a_service(world)
    autoscaled(world, 1, 9)
    world.after_call("RegisterScalableTarget", 1, lambda w: w.set_desired_count("demo", "web", 6))

    report = bench.recycle(world)

    assert "was changed while the run was starting" in str(report.error)
    assert capacity(world) == (6, 1, 9)
    assert stopped_by_us(service) == set()
    assert is_free(world)


def test_of_a_service_that_was_deleted_meanwhile_nothing_is_restored(bench: Bench) -> None:
    world = World()
    a_service(world)
    autoscaled(world, 1, 9)
    world.kill_at(world.elapsed + 80)
    with pytest.raises(Killed):
        bench.recycle(world)
    world.delete_service("demo", "web")
    world.revive()
    world.advance(LAMBDA_SECONDS + 31)

    report = bench.recycle(world, action="restore")

    assert report.status is Status.RESTORED
    left_alone = report.answer().as_json()["capacity"]["left_alone"]
    assert any("somebody has deleted the service" in note for note in left_alone)
    assert is_free(world)


@pytest.mark.parametrize("highest", [0, 2])
@pytest.mark.parametrize("seconds", sweep([3, 1, 9]))
def test_a_maximum_that_somebody_lowers_right_before_the_end_stays(
    bench: Bench, seconds: int, highest: int
) -> None:
    """Autoscaling is yet to move the desired count, which this run has written, into it."""

    def run(*, lowered_after: float) -> tuple[World, Report]:
        world = World(seed=1)
        a_service(world, tasks=3)
        autoscaled(world, 0, 3)
        lower = partial(world.set_limits, "demo", "web", min_capacity=0, max_capacity=highest)
        world.at(lowered_after, lambda _: lower())
        return world, bench.recycle(world, wait_time=0)

    undisturbed, _ = run(lowered_after=10_000)
    restored_at = undisturbed.desired_history()[-1][0]

    world, report = run(lowered_after=restored_at - undisturbed.started_at - seconds)
    world.advance(60)

    assert capacity(world) == (highest, 0, highest), report.answer().as_json()["capacity"]
