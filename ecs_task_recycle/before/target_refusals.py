"""What target groups say of a service's tasks: whether one can ever be in service there.

https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetHealth.html
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from ecs_task_recycle.model import LoadBalancer, TargetHealth
from ecs_task_recycle.task import Task
from ecs_task_recycle.watch.in_service import Snapshot, target_health

REGISTERED_WITHIN: Final = timedelta(seconds=60)
"""A task that has been running for so long would be registered by now."""

NOT_IN_USE: Final = "Target.NotInUse"
"""The group has no listener, or the load balancer is not enabled in the target's zone."""


def reach_refusals(snapshot: Snapshot, now_at: datetime) -> list[str]:
    """Return why no new task may ever be in service behind the service's load balancers."""
    reasons = (
        _address_refusal(each, running)
        or _registration_refusal(snapshot, each, running, now_at)
        or _traffic_refusal(snapshot, each, running)
        for each in snapshot.service.load_balancers
        if (running := _running(snapshot))
    )
    return [reason for reason in reasons if reason is not None]


def zonal_shifts(snapshot: Snapshot) -> list[str]:
    """Return a sentence for each load balancer with a zonal shift away from some of the tasks."""
    running = _running(snapshot)
    return [
        f"A zonal shift ({', '.join(sorted(set(shifts)))}) keeps traffic from {len(shifts)} of "
        f"the {len(running)} running tasks in target group {each.group_name}"
        for each in snapshot.service.load_balancers
        if (shifts := _shifts(snapshot, running, each))
    ]


def _shifts(snapshot: Snapshot, running: Sequence[Task], load_balancer: LoadBalancer) -> list[str]:
    return [
        health.zonal_shift
        for task in running
        for health in _health(snapshot, task, load_balancer)
        if health.zonal_shift is not None
    ]


def _running(snapshot: Snapshot) -> list[Task]:
    return [
        task
        for arn, task in snapshot.tasks.items()
        if task.last_status == "RUNNING" and arn not in snapshot.leaving
    ]


def _health(
    snapshot: Snapshot, task: Task, load_balancer: LoadBalancer
) -> tuple[TargetHealth, ...]:
    return target_health(task, load_balancer, snapshot.targets)


def _address_refusal(load_balancer: LoadBalancer, running: Sequence[Task]) -> str | None:
    """Refuse tasks of which nothing tells how the target group knows them."""
    name, port = load_balancer.container_name, load_balancer.container_port
    if any(task.addresses(name, port) for task in running):
        return None
    group = load_balancer.group_name
    if all(task.instance_id is None for task in running):
        return (
            "its tasks run on instances without an EC2 instance id (ECS Anywhere), so that their "
            f"targets in {group} cannot be told"
        )
    return f"none of its tasks shows a host port for port {port}, which target group {group} is for"


def _registration_refusal(
    snapshot: Snapshot, load_balancer: LoadBalancer, running: Sequence[Task], now_at: datetime
) -> str | None:
    old = [t for t in running if t.started_at and now_at - t.started_at >= REGISTERED_WITHIN]
    if not old or any(_health(snapshot, task, load_balancer) for task in running):
        return None
    group = load_balancer.group_name
    return f"none of its {len(running)} running tasks is registered in target group {group}"


def _traffic_refusal(
    snapshot: Snapshot, load_balancer: LoadBalancer, running: Sequence[Task]
) -> str | None:
    """Refuse targets that will not be checked, whoever they are; a replacement's may be one."""
    never = [
        health
        for task in running
        if (found := _health(snapshot, task, load_balancer))
        and "healthy" not in {health.state for health in found}
        for health in found
        if health.state == "unavailable" or health.reason_code == NOT_IN_USE
    ]
    if not never:
        return None
    what = f"{never[0]}: {never[0].description}" if never[0].description else f"{never[0]}"
    return (
        f"{len(never)} of its {len(running)} targets in {load_balancer.group_name} are "
        f"{what.rstrip('.')}"
    )
