"""Tasks that vanish while their scale-in protection is asked about are gone, no more than that."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ecs_emulator import Knobs, World
from tests.emulated.bench import SURGE, a_service, capacity, sweep

if TYPE_CHECKING:
    from tests.emulated.bench import Bench


RAISES = Knobs(protection_of_vanished_raises=True, deprovision=(0.5, 1.0), drain=1)


@SURGE
@pytest.mark.parametrize("policy", ["wait", "skip", "stop"])
@pytest.mark.parametrize("seconds", sweep([20, 1, 60]))
def test_a_task_that_vanishes_is_gone(
    bench: Bench, policy: str, seconds: int, *, surge: bool
) -> None:
    world = World(knobs=RAISES)
    service = a_service(world)
    for task in service.tasks[1:]:
        world.protect_task(task, minutes=3)
    world.at(seconds, lambda w: w.crash_task(service.tasks[2]))

    report = bench.recycle(world, maintain_service_state=surge, protected_tasks=policy)

    assert report.error is None, report.answer()
    assert report.answer().as_json()["status"] == ("partial" if policy == "skip" else "completed")
    assert capacity(world)[0] == 3


@SURGE
@pytest.mark.parametrize("policy", ["wait", "stop"])
def test_the_probes_with_the_task_that_cannot_exist_count_as_allowed(
    bench: Bench, policy: str, *, surge: bool
) -> None:
    world = World(knobs=RAISES)
    a_service(world, tasks=0)

    report = bench.recycle(
        world, maintain_service_state=surge, protected_tasks=policy, dry_run=True
    )

    assert report.error is None, report.answer()
    assert report.answer().as_json()["status"] == "nothing_to_do"


@SURGE
def test_one_vanished_task_hides_no_protection_of_the_others(bench: Bench, *, surge: bool) -> None:
    world = World(knobs=RAISES)
    service = a_service(world, tasks=5)
    for task in service.tasks[2:]:
        world.protect_task(task, minutes=60)
    world.at(5, lambda w: w.crash_task(service.tasks[2]))

    report = bench.recycle(world, maintain_service_state=surge, protected_tasks="skip")

    assert {each["task"] for each in report.answer().as_json()["skipped"]} == {
        task.arn for task in service.tasks[3:5]
    }
