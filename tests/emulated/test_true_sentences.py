"""What a run says is what happened, and what it advises can be done."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ecs_emulator import FailingStart, Knobs, World
from ecs_emulator.accidents.mishaps import Interruption
from ecs_emulator.state.setup import SideCar
from ecs_task_recycle.errors import AwsCallError, ReplacementError, StepTimeoutError
from ecs_task_recycle.outcome import Status
from ecs_task_recycle.watch.failed_starts import FAILED_STARTS_LIMIT
from tests.emulated.bench import a_service, capacity, stopped_by_us
from tests.emulated.guarded import Guarded

if TYPE_CHECKING:
    from ecs_emulator.state.model import Service
    from tests.emulated.bench import Bench

NEVER_HEALTHY = Knobs(target_health_delay=10_000)
READS = ("DescribeServices", "DescribeTasks", "ListTasks")


def test_the_time_waited_is_that_of_all_invocations(bench: Bench) -> None:
    world = World(knobs=NEVER_HEALTHY)
    a_service(world)

    report = Guarded(bench, world, limit_seconds=300).recycle(stabilize_timeout=250)

    assert isinstance(report.error, StepTimeoutError)
    assert "Waited 250 s for the extra task" in report.error.sentence
    assert report.progress.segments > 1


def test_a_sentence_that_quotes_aws_at_its_end_has_one_full_stop(bench: Bench) -> None:
    world = World(knobs=NEVER_HEALTHY)
    a_service(world)
    world.at(112, lambda w: w.faults.fail("DescribeServices", times=None, code="ServerException"))
    world.at(140, lambda w: w.faults.clear())

    report = bench.recycle(world, stabilize_timeout=120)

    assert isinstance(report.error, StepTimeoutError)
    assert "ServerException" in report.error.sentence
    assert ".." not in report.error.sentence


@pytest.mark.parametrize("seconds, is_possible", [(60, True), (840, False)])
def test_a_remedy_raises_no_timeout_that_is_at_its_maximum(
    bench: Bench, seconds: int, *, is_possible: bool
) -> None:
    world = World(knobs=NEVER_HEALTHY)
    a_service(world)

    report = bench.recycle(world, stabilize_timeout=seconds, deadline_seconds=2000)

    assert isinstance(report.error, StepTimeoutError)
    assert ("raise stabilize_timeout" in report.error.remedy) is is_possible
    assert ("--force-new-deployment" in report.error.remedy) is not is_possible


@pytest.mark.parametrize("tasks", [3, 4], ids=["told during the run", "told long before"])
def test_without_room_the_one_event_is_quoted_with_a_remedy_that_fits(
    bench: Bench, tasks: int
) -> None:
    world = World(knobs=Knobs(capacity=3))
    service = a_service(world, tasks=3)
    world.set_desired_count("demo", "web", tasks)
    world.advance(700)
    began = world.elapsed

    report = bench.recycle(world, started_before="2100-01-01T00:00:00Z")

    assert isinstance(report.error, ReplacementError)
    assert "unable to place a task" in report.error.sentence
    assert not report.error.sentence.endswith("..")
    assert '"maintain_service_state": false' in report.error.remedy
    assert "logs" not in report.error.remedy
    assert stopped_by_us(service) == set()
    assert capacity(world)[0] == tasks
    assert world.elapsed - began < 300


def test_starts_that_fail_while_the_old_task_holds_the_host_are_not_counted(bench: Bench) -> None:
    failing = FailingStart(kind="exits", launches=frozenset({1, 2, 3, 4}), after_seconds=0.5)
    knobs = Knobs(
        drain=240, replaces_after_stopped=False, failing_starts=(failing,), pending=(8.0, 10.0)
    )
    world = World(knobs=knobs)
    service = a_service(world, tasks=3, network_mode="bridge")
    arn = service.active_tasks[0].arn

    report = bench.recycle(world, maintain_service_state=False, tasks=[arn])

    failed = [task for task in service.tasks if task.state.exit_code == 1]
    assert len(failed) > FAILED_STARTS_LIMIT
    assert report.status is Status.COMPLETED, report.reason


def take_jobs(world: World, service: Service, *, seconds: float) -> None:
    """Let every new task end with 0 after so long in RUNNING."""
    first = {task.arn for task in service.active_tasks}

    def tick(world: World) -> None:
        for task in service.active_tasks:
            started_at = task.state.started_at
            is_done = started_at is not None and world.now >= started_at + seconds
            if is_done and task.arn not in first and task.last_status == "RUNNING":
                world.crash_task(task, exit_code=0)
        world.at(world.elapsed + 2, tick)

    tick(world)


def test_workers_that_end_with_0_after_their_work_are_no_failed_starts(bench: Bench) -> None:
    world = World()
    service = a_service(world, tasks=6, target_group=False)
    take_jobs(world, service, seconds=60)

    report = bench.recycle(world)

    ended = [task for task in service.tasks if task.state.stop_code == "EssentialContainerExited"]
    assert len(ended) > FAILED_STARTS_LIMIT
    assert report.error is None, report.reason


def test_tasks_that_end_with_0_at_once_are_told_as_that(bench: Bench) -> None:
    failing = FailingStart(kind="exits", exit_code=0, after_seconds=0.2)
    world = World(knobs=Knobs(failing_starts=(failing,)))
    a_service(world)

    report = bench.recycle(world)

    assert isinstance(report.error, ReplacementError)
    assert "end by themselves before they are in service" in report.error.sentence
    assert "exit code 0" in report.error.sentence


def test_a_service_that_cannot_be_read_is_not_called_out_of_service(bench: Bench) -> None:
    world = World()
    a_service(world)
    outage = 200

    def throttle(world: World) -> None:
        for operation in READS:
            world.faults.fail(operation, times=None, code="ThrottlingException", status=400)

    world.after_call("StopTask", 2, throttle)
    world.after_call("StopTask", 2, lambda w: w.at(w.elapsed + outage, lambda w: w.faults.clear()))

    report = bench.recycle(world, stabilize_timeout=120)

    assert isinstance(report.error, AwsCallError)
    assert "could not be read for" in report.error.sentence
    assert report.error.remedy == "Invoke again once AWS answers."
    *_, task = report.answer().as_json()["tasks"]
    assert "could not be read" in task["note"]
    assert "not in service" not in task["note"]


def test_what_aws_gave_as_the_only_reason_is_told(bench: Bench) -> None:
    world = World()
    service = a_service(world)

    def interrupt(world: World) -> None:
        for task in service.active_tasks[3:]:
            world.interrupt_task(task, by=Interruption.SPOT)
        world.at(world.elapsed + 10, interrupt)

    interrupt(world)

    report = bench.recycle(world, stabilize_timeout=120)

    assert isinstance(report.error, StepTimeoutError)
    assert "SpotInterruption" in report.error.sentence


def test_a_missing_image_has_a_remedy_of_its_own(bench: Bench) -> None:
    world = World(knobs=Knobs(failing_starts=(FailingStart(),)))
    a_service(world)

    report = bench.recycle(world)

    assert isinstance(report.error, ReplacementError)
    assert "CannotPullContainerError" in report.error.sentence
    assert "Push the image again" in report.error.remedy


def test_a_task_is_as_healthy_as_those_of_its_containers_that_have_checks(bench: Bench) -> None:
    world = World()
    service = a_service(
        world,
        container_health=True,
        side_car=SideCar(),
        health_check_grace_seconds=10**6,
        target_group=False,
    )
    world.make_unhealthy(service.active_tasks[-1], by_container=True)
    originals = {task.arn for task in service.active_tasks}

    answer = bench.recycle(world).answer().as_json()

    assert answer["status"] == "completed", answer
    assert stopped_by_us(service) >= originals
    lacking = [task for task in answer["tasks"] if "not_in_service" in task]
    assert [task["not_in_service"] for task in lacking] == ["RUNNING, container health UNHEALTHY"]
