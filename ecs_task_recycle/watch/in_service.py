"""Which tasks are in service, and why the others are not.

A task is in service if it is RUNNING and meant to run, HEALTHY where the service's tasks have
container health checks, and healthy in every target group of the service. The service's own counts
are not used: ECS counts tasks as running before they are healthy.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from ecs_task_recycle.aws.gateway import Targets
from ecs_task_recycle.model import LoadBalancer, Service, TargetHealth
from ecs_task_recycle.task import Task

SHOWN_TASKS_COUNT = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The service as the reads so far show it.

    ``not_in_service`` says why a task that is meant to run is not in service; ``leaving`` are the
    tasks that are stopping or were asked to stop, ``stopped`` those of them that are STOPPED.
    """

    service: Service
    tasks: Mapping[str, Task]
    in_service: frozenset[str]
    not_in_service: Mapping[str, str]
    leaving: frozenset[str]
    stopped: frozenset[str]
    targets: Targets

    def describe(self) -> str:
        """Return what the reads show, for a log line or an error."""
        stopping = sorted((self.leaving - self.stopped) & self.tasks.keys())
        details = [
            *(f"{short(arn)}: {why}" for arn, why in sorted(self.not_in_service.items())),
            *(f"{short(arn)}: {self.tasks[arn].last_status}, stopping" for arn in stopping),
        ]
        counts = f"{len(self.in_service)} in service of {self.service.desired_count} desired"
        return "; ".join([counts, *details[:SHOWN_TASKS_COUNT]])


def why_not_ready(
    task: Task, *, checks_health: bool, checked_names: Collection[str] = ()
) -> str | None:
    """Return what keeps a task out of service apart from its target groups, or None.

    ``checks_health``: the tasks have container health checks, in containers of these names.
    """
    if task.last_status != "RUNNING":
        return task.last_status
    if not task.is_meant_to_run:
        return f"RUNNING, desired {task.desired_status}"
    health = task.health(checked_names)
    if checks_health and health != "HEALTHY":
        return f"RUNNING, container health {health}"
    return None


def why_no_target_is_healthy(
    task: Task, load_balancers: Iterable[LoadBalancer], targets: Targets
) -> str | None:
    """Return in which target group the task is not healthy, or None."""
    for each in load_balancers:
        found = target_health(task, each, targets)
        if "healthy" not in {health.state for health in found}:
            states = ", ".join(sorted({str(health) for health in found})) or "not registered"
            return f"RUNNING, target {states} in {each.group_name}"
    return None


def target_health(
    task: Task, load_balancer: LoadBalancer, targets: Targets
) -> tuple[TargetHealth, ...]:
    """Return what a load balancer's groups say of a task; healthy in one of them is enough."""
    addresses = task.addresses(load_balancer.container_name, load_balancer.container_port)
    return tuple(
        targets[(group, *address)]
        for group in load_balancer.target_group_arns
        for address in addresses
        if (group, *address) in targets
    )


def inherits_target(
    task: Task, others: Iterable[Task], load_balancers: Iterable[LoadBalancer]
) -> bool:
    """Whether a load balancer knows a task by an address that was another task's before.

    Tasks with host ports on one instance share one; an IP address may be given again, too.
    """
    ports = [(each.container_name, each.container_port) for each in load_balancers]
    own = {address for port in ports for address in task.addresses(*port)}
    return any(own.intersection(each.addresses(*port)) for each in others for port in ports)


def short(arn: str) -> str:
    """Return the last part of an ARN: the task's id."""
    return arn.rpartition("/")[2]
