"""Whom we measure ourselves against: a perfect observer, and the waiter that many scripts use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ecs_emulator import World
    from ecs_emulator.state.model import Service, Task


def perfect_seconds(world: World, service: Service, *, wait_seconds: float) -> float:
    """Return how long a recycle takes that goes on at the instant when enough are in service.

    It rests after each new task, the extra one among them.
    """
    began_at = world.now
    originals = sorted(service.active_tasks, key=lambda task: task.created_at)
    original_count = service.desired_count
    world.set_desired_count(service.cluster.name, service.name, original_count + 1)
    _until(world, lambda: service.in_service_count > original_count)
    world.advance(wait_seconds)
    for task in originals:
        _replace(world, service, task, whole_count=original_count + 1)
        world.advance(wait_seconds)
    world.set_desired_count(service.cluster.name, service.name, original_count)
    return world.now - began_at


def _replace(world: World, service: Service, task: Task, *, whole_count: int) -> None:
    world.stop_task(task)
    _until(world, lambda: not task.in_service and service.in_service_count >= whole_count)


def _until(world: World, condition: Any) -> None:  # noqa: ANN401 - a plain callable
    assert world.run_until(condition), "the perfect observer waited for an hour"


def recycle_with_services_stable(
    ecs: Any,  # noqa: ANN401 - boto3's client
    world: World,
    service: Service,
    *,
    wait_seconds: float = 5,
) -> int:
    """Recycle as many scripts do, waiting with ``services_stable``; return the lowest in service.

    The waiter passes as soon as running equals desired with one deployment. Right after StopTask it
    still does if its first look is stale, and later before the new task is healthy.
    """
    names: dict[str, Any] = {"cluster": service.cluster.name, "service": service.name}
    waiter = ecs.get_waiter("services_stable")
    pages = ecs.get_paginator("list_tasks").paginate(
        cluster=names["cluster"], serviceName=service.name
    )
    arns = [arn for page in pages for arn in page["taskArns"]]
    began_at = world.now
    ecs.update_service(**names, desiredCount=len(arns) + 1)
    waiter.wait(cluster=names["cluster"], services=[service.name])
    for arn in arns:
        ecs.stop_task(cluster=names["cluster"], task=arn)
        waiter.wait(cluster=names["cluster"], services=[service.name])
        world.clock.sleep(wait_seconds)
    ecs.update_service(**names, desiredCount=len(arns))
    return world.lowest_in_service(since=began_at)
