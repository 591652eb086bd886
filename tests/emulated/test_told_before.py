"""What a service tells of itself before a run: refused, waited for, or at least said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ecs_emulator import Knobs, World
from ecs_task_recycle.errors import PreconditionError
from ecs_task_recycle.outcome import Status
from tests.emulated.bench import SURGE, a_service, asked_to_stop_at, capacity, stopped_by_us, sweep
from tests.emulated.guarded import Guarded

if TYPE_CHECKING:
    from ecs_emulator.state.model import Task
    from tests.emulated.bench import Bench

READS_OF_SLOW_START = "elasticloadbalancing:DescribeTargetGroupAttributes"
READS_OF_REVISIONS = "ecs:DescribeServiceRevisions"
INGRESSES = sweep([{"gateway_connector": True}, {"resource_management": "ECS"}], quick=2)


def remarks(bench: Bench, world: World, **event: Any) -> str:  # noqa: ANN401 - what users send
    return "\n".join(bench.recycle(world, dry_run=True, **event).answer().remarks or ())


def in_service_at(task: Task) -> float:
    """Return when a task was RUNNING and healthy in its target groups."""
    return next(
        at
        for at, last_status, _, _, targets, *_ in task.history
        if last_status == "RUNNING" and all(each == "healthy" for each in targets)
    )


# ---- A service of one that may not run twice ----


@pytest.mark.parametrize("event", [{"dry_run": True}, {}])
def test_a_service_of_one_that_may_not_run_twice_is_refused(
    bench: Bench, event: dict[str, Any]
) -> None:
    world = World()
    service = a_service(world, tasks=1, minimum_healthy_percent=0, maximum_percent=100)

    report = bench.recycle(world, **event)

    assert isinstance(report.error, PreconditionError)
    assert '"maintain_service_state": false' in str(report.error)
    assert len(service.tasks) == 1
    assert world.writes == []


def test_without_the_extra_task_it_is_recycled_and_never_runs_twice(bench: Bench) -> None:
    world = World()
    service = a_service(world, tasks=1, minimum_healthy_percent=0, maximum_percent=100)

    report = bench.recycle(world, maintain_service_state=False, wait_time=0)

    assert report.status is Status.COMPLETED
    old, new = service.tasks
    assert new.created_at > asked_to_stop_at(old)


@pytest.mark.parametrize("tasks, percent", [(3, 100), (1, 150)])
def test_where_the_extra_task_is_beyond_ecss_own_maximum_that_is_said(
    bench: Bench, tasks: int, percent: int
) -> None:
    world = World()
    a_service(world, tasks=tasks, maximum_percent=percent)

    said = remarks(bench, world)

    assert f"beyond the {tasks} that its maximumPercent of {percent} allows" in said
    assert "maximumPercent" not in remarks(bench, world, maintain_service_state=False)


# ---- A new task needs a moment ----


def test_wait_time_is_kept_between_the_extra_task_and_the_first_stop(bench: Bench) -> None:
    world = World()
    service = a_service(world, tasks=1, target_group=False)

    bench.recycle(world, wait_time=120)

    original, extra = service.tasks[:2]
    assert asked_to_stop_at(original) - in_service_at(extra) >= 120


def test_that_pause_is_handed_over_and_not_repeated(bench: Bench) -> None:
    world = World()
    service = a_service(world, tasks=1, target_group=False)

    report = Guarded(bench, world).recycle(wait_time=880)

    assert report.status is Status.COMPLETED
    original, extra = service.tasks[:2]
    pause_seconds = asked_to_stop_at(original) - in_service_at(extra)
    assert 880 <= pause_seconds < 880 + 90


def test_without_a_guardian_a_pause_that_does_not_fit_begins_nothing(bench: Bench) -> None:
    world = World()
    a_service(world)

    report = bench.recycle(world, wait_time=800)

    assert report.status is Status.PARTIAL
    assert "lower wait_time" in (report.reason or "")
    assert capacity(world) == (3, None, None)
    assert not [call for call in world.calls_of("UpdateService") if call.error_code is None]


def test_the_slow_start_of_a_target_group_is_waited_for(bench: Bench) -> None:
    world = World()
    service = a_service(world, tasks=2, slow_start_seconds=90)

    report = bench.recycle(world, wait_time=0)

    assert report.status is Status.COMPLETED
    healthy_at = sorted(map(in_service_at, service.tasks[2:]))
    stopped_at = sorted(map(asked_to_stop_at, service.tasks[:2]))
    gaps = [stop - healthy for healthy, stop in zip(healthy_at, stopped_at, strict=False)]
    assert min(gaps) >= 90, gaps


def test_a_slow_start_that_may_not_be_read_is_said_and_refuses_nothing(bench: Bench) -> None:
    world = World()
    a_service(world, slow_start_seconds=90)
    world.faults.deny(READS_OF_SLOW_START)

    report = bench.recycle(world, wait_time=0)

    assert report.status is Status.COMPLETED
    (remark,) = report.answer().remarks or ()
    assert READS_OF_SLOW_START in remark


def test_slow_start_is_read_once_a_run(bench: Bench) -> None:
    world = World()
    a_service(world, slow_start_seconds=90)

    bench.recycle(world, wait_time=0)

    assert len(world.calls_of("DescribeTargetGroupAttributes")) == 1


@pytest.mark.parametrize(
    "feature, name", [("cloud_map", "Cloud Map"), ("service_connect", "Service Connect")]
)
def test_clients_that_find_tasks_by_their_addresses_are_named(
    bench: Bench, feature: str, name: str
) -> None:
    world = World()
    a_service(world, target_group=False, **{feature: True})

    assert f"through {name} are not followed" in remarks(bench, world)


# ---- What is missing ----


def test_a_target_group_that_is_gone_is_named_before_anything_is_touched(bench: Bench) -> None:
    world = World()
    service = a_service(world)
    world.faults.fail("DescribeTargetHealth", times=None, code="TargetGroupNotFound")

    error = bench.recycle(world).error

    assert isinstance(error, PreconditionError)
    name = service.target_groups[0].name
    assert f"its target group {name}/" in str(error)
    assert "does not exist" in str(error)
    assert world.writes == []


@SURGE
def test_a_service_that_is_short_of_tasks_is_told_so_with_its_newest_event(
    bench: Bench, *, surge: bool
) -> None:
    world = World(knobs=Knobs(capacity=3))
    a_service(world)
    world.set_desired_count("demo", "web", 5)
    world.advance(120)

    said = remarks(bench, world, maintain_service_state=surge)

    assert "3 of 5 desired tasks are in service, 2 are missing" in said
    assert "unable to place a task" in said


def test_tasks_that_start_slower_than_a_replacement_may_are_told_of(bench: Bench) -> None:
    world = World(knobs=Knobs(pending=(70.0, 71.0)))
    a_service(world, settled=False)
    world.advance(300)

    assert "stabilize_timeout allows 60 s" in remarks(bench, world, stabilize_timeout=60)
    assert remarks(bench, world, stabilize_timeout=600) == ""


# ---- Ingress that only the service revision tells ----


@pytest.mark.parametrize("ingress", INGRESSES)
def test_a_task_behind_an_ingress_of_ecss_own_is_in_service_once_its_target_is_healthy(
    bench: Bench, ingress: dict[str, Any]
) -> None:
    world = World(knobs=Knobs(target_health_delay=40.0))
    service = a_service(world, tasks=2, **ingress)
    originals = {task.arn for task in service.active_tasks}

    report = bench.recycle(world, wait_time=0)

    assert report.status is Status.COMPLETED
    assert stopped_by_us(service) >= originals
    assert world.lowest_in_service() == 2
    assert len(world.calls_of("DescribeServiceRevisions")) == 1


@pytest.mark.parametrize("ingress", INGRESSES)
def test_an_ingress_whose_target_groups_are_not_told_is_refused(
    bench: Bench, ingress: dict[str, Any]
) -> None:
    world = World()
    a_service(world, target_group=False, **ingress)

    error = bench.recycle(world).error

    assert isinstance(error, PreconditionError)
    assert "AWS does not tell its target groups" in str(error)
    assert world.writes == []


@pytest.mark.parametrize("code", ["AccessDeniedException", "InvalidParameterException"])
def test_a_revision_that_cannot_be_read_refuses_nothing(bench: Bench, code: str) -> None:
    world = World()
    a_service(world)
    world.faults.fail("DescribeServiceRevisions", code=code)

    report = bench.recycle(world, wait_time=0)

    assert report.status is Status.COMPLETED
    (remark,) = report.answer().remarks or ()
    assert READS_OF_REVISIONS in remark


@pytest.mark.parametrize("strategy", ["BLUE_GREEN", "LINEAR", "CANARY"])
def test_a_strategy_with_a_second_set_of_tasks_is_no_reason_outside_a_deployment(
    bench: Bench, strategy: str
) -> None:
    world = World()
    a_service(world, deployment_strategy=strategy)

    assert bench.recycle(world, wait_time=0).status is Status.COMPLETED

    world.start_deployment("demo", "web")
    world.advance(2)
    assert isinstance(bench.recycle(world).error, PreconditionError)
