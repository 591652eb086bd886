"""When a task does not come up, or AWS fails: quick, with the cause, and everything put back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ecs_emulator import FailingStart, Knobs, World
from ecs_task_recycle.errors import (
    AwsCallError,
    ReplacementError,
    RestoreError,
    StepTimeoutError,
)
from ecs_task_recycle.outcome import Status
from ecs_task_recycle.watch.failed_starts import FAILED_STARTS_LIMIT
from tests.emulated.bench import a_service, autoscaled, capacity, stopped_by_us, sweep

if TYPE_CHECKING:
    from tests.emulated.bench import Bench

CAUSES = {
    "never_running": "CannotPullContainerError",
    "exits": "exit code 3",
    "unhealthy": "failed ELB health checks",
}


@pytest.mark.parametrize("kind", CAUSES)
@pytest.mark.parametrize("after", [0, 1], ids=["extra task", "first replacement"])
def test_the_third_failed_start_ends_the_run_with_its_cause(
    bench: Bench, kind: str, after: int
) -> None:
    failing = FailingStart(kind=kind, after=after, exit_code=3)
    world = World(knobs=Knobs(failing_starts=(failing,)))
    service = a_service(world)
    autoscaled(world, 1, 3)

    report = bench.recycle(world)

    assert isinstance(report.error, ReplacementError)
    assert CAUSES[kind] in str(report.error)
    assert "3 failed starts" in str(report.error)
    assert len(stopped_by_us(service) & {task.arn for task in service.tasks[:3]}) == after
    assert capacity(world) == (3, 1, 3)
    world.advance(900)
    assert world.lowest_in_service() == 3
    assert world.elapsed - 900 < 400


def test_a_single_failed_start_is_lived_through(bench: Bench) -> None:
    failing = FailingStart(launches=frozenset({2, 4}))
    world = World(knobs=Knobs(failing_starts=(failing,)))
    a_service(world)

    assert bench.recycle(world).status is Status.COMPLETED
    assert world.lowest_in_service() == 3


def test_a_task_that_was_stopped_for_nothing_is_in_the_report(bench: Bench) -> None:
    world = World(knobs=Knobs(failing_starts=(FailingStart(after=1),)))
    a_service(world)

    answer = bench.recycle(world).answer().as_json()

    assert answer["status"] == "failed"
    (task,) = answer["tasks"]
    assert task["replacement"] is None
    assert "no replacement came into service" in task["note"]
    assert len(answer["remaining"]) == 2


def test_the_log_says_what_was_seen_when_the_capacity_is_restored_early(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    """No wait is told of that was none, and no advice is given that does not help here."""
    caplog.set_level("INFO")
    world = World(knobs=Knobs(failing_starts=(FailingStart(after=1),)))
    a_service(world)

    assert isinstance(bench.recycle(world).error, ReplacementError)

    lines = [record.getMessage() for record in caplog.records]
    (line,) = [each for each in lines if each.startswith("Restoring while")]
    assert line == "Restoring while not all tasks are in service: 3 in service of 4 desired"


def test_without_room_for_the_extra_task_the_placement_event_is_the_cause(bench: Bench) -> None:
    world = World(knobs=Knobs(capacity=3, placement_event_interval=30))
    service = a_service(world)

    report = bench.recycle(world)

    assert isinstance(report.error, ReplacementError)
    assert "unable to place a task" in str(report.error)
    assert stopped_by_us(service) == set()
    assert capacity(world)[0] == 3
    assert world.elapsed < 300


def test_a_replacement_that_waits_for_its_predecessors_port_is_no_failure(bench: Bench) -> None:
    knobs = Knobs(drain=120, placement_event_interval=10, replaces_after_stopped=False)
    world = World(knobs=knobs)
    service = a_service(world, network_mode="bridge-static")

    assert bench.recycle(world).status is Status.COMPLETED
    complaints = [event for event in service.events if "unable to place a task" in event.message]
    assert len(complaints) > FAILED_STARTS_LIMIT


def test_a_replacement_that_takes_too_long_says_what_was_last_seen(bench: Bench) -> None:
    world = World(knobs=Knobs(target_health_delay=400))
    service = a_service(world)

    report = bench.recycle(world, stabilize_timeout=60)

    assert isinstance(report.error, StepTimeoutError)
    assert "target initial" in str(report.error)
    assert stopped_by_us(service) <= {task.arn for task in service.tasks[3:]}
    assert capacity(world)[0] == 3
    assert world.lowest_in_service() == 3


def test_a_put_back_that_is_denied_names_the_exact_commands(bench: Bench) -> None:
    world = World()
    a_service(world)
    autoscaled(world, 1, 3)
    world.at(60, lambda w: w.faults.deny("ecs:UpdateService"))

    report = bench.recycle(world)

    assert isinstance(report.error, RestoreError)
    sentence = str(report.error)
    assert (
        "aws application-autoscaling register-scalable-target --service-namespace ecs "
        "--scalable-dimension ecs:service:DesiredCount --resource-id service/demo/web "
        "--min-capacity 1 --max-capacity 3 --region us-east-1"
    ) in sentence
    assert "ecs:UpdateService" in sentence


def test_a_stop_that_is_denied_in_the_middle_leads_to_the_put_back(bench: Bench) -> None:
    world = World()
    service = a_service(world)
    world.at(20, lambda w: w.faults.deny("ecs:StopTask"))

    report = bench.recycle(world)

    assert isinstance(report.error, AwsCallError)
    assert "ecs:StopTask" in str(report.error)
    assert capacity(world)[0] == 3
    assert stopped_by_us(service) == set()


def test_autoscaling_that_is_busy_is_asked_again(bench: Bench) -> None:
    world = World()
    a_service(world)
    autoscaled(world, 1, 3)
    world.faults.fail("RegisterScalableTarget", nth=2, times=2, code="ConcurrentUpdateException")

    assert bench.recycle(world).status is Status.COMPLETED
    assert capacity(world) == (3, 1, 3)


@pytest.mark.parametrize("code, status", [("ThrottlingException", 400), ("ServerException", 500)])
def test_reads_that_fail_for_longer_than_botocore_retries_do_not_end_the_run(
    bench: Bench, code: str, status: int
) -> None:
    world = World()
    a_service(world)
    world.faults.fail("DescribeTasks", nth=5, times=10, code=code, status=status)

    assert bench.recycle(world, deadline_seconds=3600).status is Status.COMPLETED


@pytest.mark.parametrize("wait_time", [0, 30])
def test_replacements_that_come_up_and_soon_die_end_the_run(bench: Bench, wait_time: int) -> None:
    failing = FailingStart(kind="exits", after=1, after_seconds=6.0, exit_code=3)
    world = World(knobs=Knobs(failing_starts=(failing,)))
    service = a_service(world, tasks=6, target_group=False)
    originals = {task.arn for task in service.active_tasks}

    report = bench.recycle(world, wait_time=wait_time)

    assert isinstance(report.error, ReplacementError)
    assert "New tasks do not stay in service" in str(report.error)
    assert "exit code 3" in str(report.error)
    assert len(originals & {task.arn for task in service.active_tasks}) >= 3
    assert capacity(world)[0] == 6


@pytest.mark.parametrize("seed", sweep(range(8), quick=2))
def test_the_put_back_leaves_ecs_no_healthy_task_to_choose(bench: Bench, seed: int) -> None:
    never_healthy = FailingStart(kind="unhealthy", after=1, after_seconds=500.0)
    world = World(knobs=Knobs(failing_starts=(never_healthy,), scale_in_choice="random"), seed=seed)
    service = a_service(world)

    report = bench.recycle(world, stabilize_timeout=90)

    assert isinstance(report.error, StepTimeoutError)
    world.advance(120)
    assert capacity(world)[0] == 3
    assert world.lowest_in_service() == 3
    assert service.in_service_count == 3


def test_a_task_whose_stop_is_denied_remains_to_be_recycled(bench: Bench) -> None:
    """AWS has denied the call, so that the task goes on."""
    world = World()
    tasks = a_service(world, tasks=3).active_tasks
    world.after_call("StopTask", 1, lambda w: w.faults.deny("ecs:StopTask"))

    answer = bench.recycle(world).answer()

    assert answer.status is Status.FAILED
    assert answer.tasks_recycled == len(answer.tasks) == 1
    assert len(answer.remaining) == 2
    assert {each.arn for each in tasks} == {
        *(each.task for each in answer.ended_tasks),
        *answer.remaining,
    }
    assert world.lowest_in_service() >= 3
