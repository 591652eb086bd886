"""A call that only tries a permission: whatever is neither a denial nor a moment's failure is fine.

AWS may word each of these refusals otherwise than it does today, and no run may end by that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ecs_emulator import World
from tests.emulated.bench import a_service, autoscaled, capacity, stopped_by_us

if TYPE_CHECKING:
    from tests.emulated.bench import Bench

OTHERWISE = ("InvalidParameterException", "ClientException", "SomethingNewException")


@pytest.mark.parametrize("code", OTHERWISE)
@pytest.mark.parametrize("operation", ["StopTask", "UpdateService", "UpdateTaskProtection"])
def test_a_probe_that_is_refused_in_other_words_lets_the_run_go_on(
    bench: Bench, operation: str, code: str
) -> None:
    world = World()
    a_service(world)
    world.faults.fail(operation, code=code, message="Task Identifier is invalid.")

    report = bench.recycle(world, protected_tasks="stop", dry_run=True)

    assert report.error is None, report.answer()


@pytest.mark.parametrize("code", OTHERWISE)
def test_limits_that_are_refused_in_other_words_let_the_run_go_on(bench: Bench, code: str) -> None:
    world = World()
    a_service(world)
    autoscaled(world, 1, 5)
    world.faults.fail("RegisterScalableTarget", code=code)

    assert bench.recycle(world, dry_run=True).error is None


def test_the_limits_that_are_tried_would_stop_no_task_were_they_ever_accepted(
    bench: Bench,
) -> None:
    world = World()
    a_service(world)
    autoscaled(world, 1, 5)

    bench.recycle(world, dry_run=True)

    (probe,) = world.calls_of("RegisterScalableTarget")
    assert (probe.parameters["MinCapacity"], probe.parameters["MaxCapacity"]) == (6, 5)


@pytest.mark.parametrize("code", ["InvalidParameterException", "ClientException"])
def test_a_read_of_protections_that_is_rejected_as_a_whole_is_done_in_halves(
    bench: Bench, code: str
) -> None:
    """AWS has answered so for one task that had gone meanwhile."""
    world = World()
    service = a_service(world)
    guarded = service.active_tasks[0]
    world.protect_task(guarded)
    world.faults.fail("GetTaskProtection", code=code, message="is not owned by any deployment")

    answer = bench.recycle(world, wait_time=0, protected_tasks="skip").answer()

    assert answer.tasks_recycled == 2
    assert [each.task for each in answer.skipped] == [guarded.arn]


def test_a_service_whose_tasks_cannot_be_protected_has_none_that_are(bench: Bench) -> None:
    world = World()
    service = a_service(world)
    originals = {task.arn for task in service.active_tasks}
    world.faults.fail("GetTaskProtection", times=None, code="UnsupportedFeatureException")

    answer = bench.recycle(world, wait_time=0).answer()

    assert answer.tasks_recycled == 3
    assert stopped_by_us(service) == originals


def test_a_dry_run_names_the_permissions_that_it_cannot_prove(bench: Bench) -> None:
    """Autoscaling tries them by itself, and perhaps only after it has looked at the limits."""
    world = World()
    a_service(world)
    autoscaled(world, 1, 5)

    (remark,) = bench.recycle(world, dry_run=True).answer().remarks or ()

    assert "cloudwatch:PutMetricAlarm" in remark
    assert "ecs:UpdateService" in remark
    assert bench.recycle(world, wait_time=0).answer().remarks is None
    assert capacity(world) == (3, 1, 5)


def test_without_autoscaling_a_dry_run_proves_all_there_is(bench: Bench) -> None:
    world = World()
    a_service(world)

    assert bench.recycle(world, dry_run=True).answer().remarks is None
