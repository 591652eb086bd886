"""Deployments that are over, paused or have left tasks behind: each is called what it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ecs_emulator import Knobs, World
from ecs_task_recycle.errors import PreconditionError
from ecs_task_recycle.outcome import Status
from tests.emulated.bench import SURGE, a_service, stopped_by_us

if TYPE_CHECKING:
    from tests.emulated.bench import Bench


def refused(bench: Bench, world: World, *, surge: bool) -> str:
    """Run, and return the sentence of the refusal that is expected before any write."""
    report = bench.recycle(world, maintain_service_state=surge)
    assert isinstance(report.error, PreconditionError), report.answer()
    assert world.writes == []
    return str(report.error)


@SURGE
def test_a_replaced_deployment_that_is_still_listed_is_over(bench: Bench, *, surge: bool) -> None:
    world = World()
    a_service(world)
    world.list_inactive_deployment("demo", "web")

    assert bench.recycle(world, maintain_service_state=surge).status is Status.COMPLETED


@SURGE
def test_a_deployment_that_is_listed_no_more_is_no_interference(
    bench: Bench, *, surge: bool
) -> None:
    world = World(knobs=Knobs(inactive_deployments_listed=60))
    service = a_service(world)
    world.start_deployment("demo", "web")
    while len(service.state.deployments) > 1:
        world.advance(1)
    world.advance(20)

    assert bench.recycle(world, maintain_service_state=surge).status is Status.COMPLETED


@SURGE
@pytest.mark.parametrize("stage", ["PRE_SCALE_UP", "POST_SCALE_UP"])
def test_a_paused_deployment_is_refused_as_paused(bench: Bench, stage: str, *, surge: bool) -> None:
    world = World()
    a_service(world)
    world.pause_deployment("demo", "web", stage=stage)
    world.advance(300)

    sentence = refused(bench, world, surge=surge)

    assert f"may be paused by a hook at {stage}" in sentence


@SURGE
@pytest.mark.parametrize("cleanup_after", [None, 100.0])
def test_tasks_of_an_earlier_deployment_are_left_alone(
    bench: Bench, cleanup_after: float | None, *, surge: bool
) -> None:
    world = World()
    service = a_service(world)
    world.complete_deployment_early("demo", "web", cleanup_after=cleanup_after)

    assert "3 tasks of an earlier deployment still run" in refused(bench, world, surge=surge)
    assert stopped_by_us(service) == set()
    if cleanup_after is not None:
        world.advance(300)
        assert bench.recycle(world, maintain_service_state=surge).status is Status.COMPLETED
