"""What cannot be recycled safely: verdicts on a service as it is, each a part of a sentence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Final

from ecs_task_recycle.aws.gateway import Gateway
from ecs_task_recycle.errors import AwsCallError, PreconditionError
from ecs_task_recycle.model import (
    LoadBalancer,
    Original,
    ScalableTarget,
    Service,
    TargetHealth,
    first_task_seconds,
    quickest_start_seconds,
)
from ecs_task_recycle.settings.event import Settings
from ecs_task_recycle.task import Task
from ecs_task_recycle.watch.in_service import Snapshot, target_health

CHECK_NAMES: Final = "Nothing was touched. Check both names, the region and the account."

REGISTERED_WITHIN: Final = timedelta(seconds=60)
"""A task that has been running for so long would be registered by now."""

FULL_PERCENT: Final = 100

NOT_IN_USE: Final = "Target.NotInUse"
"""The group has no listener, or the load balancer is not enabled in the target's zone."""


def require_service(gateway: Gateway, service: Service | None, *, account: str | None) -> None:
    """Raise PreconditionError where there is none, or only one of that name in another account.

    ``account``: that of the event's ARNs.
    """
    if service is None:
        raise PreconditionError(
            f"There is no service {gateway.service_name} in a cluster {gateway.cluster_name} "
            f"of {gateway.region}.",
            remedy=CHECK_NAMES,
        )
    require_account(gateway, service, account=account)


def require_account(gateway: Gateway, service: Service | None, *, account: str | None) -> None:
    """Raise PreconditionError for a service of another account than that of the event's ARNs."""
    if service is None or account is None:
        return
    own_account = service.arn.split(":")[4]
    if account != own_account:
        raise PreconditionError(
            f"Service {gateway.name} lies in account {own_account}, the event names {account}.",
            remedy=CHECK_NAMES,
        )


def refusals(service: Service, target: ScalableTarget | None, *, maintain: bool) -> list[str]:
    """Return every reason why the service cannot be recycled safely as it is."""
    return [
        *_kind_refusals(service),
        *_deployment_refusals(service),
        *_limit_refusals(service, target, maintain=maintain),
        *(_twice_refusals(service) if maintain else ()),
    ]


def _kind_refusals(service: Service) -> list[str]:
    """Refuse what has no replacement of single tasks, or whose health cannot be followed."""
    reasons = []
    if service.status != "ACTIVE":
        reasons.append(f"it is {service.status}, not ACTIVE")
    if service.scheduling_strategy != "REPLICA":
        reasons.append(f"its scheduling strategy is {service.scheduling_strategy}, not REPLICA")
    if service.controller != "ECS":
        reasons.append(f"its deployment controller is {service.controller}, not ECS")
    if service.classic_load_balancers:
        names = ", ".join(service.classic_load_balancers)
        reasons.append(f"it is behind a Classic Load Balancer ({names}), whose health is not read")
    if any(deployment.uses_vpc_lattice for deployment in service.deployments):
        reasons.append("it is behind VPC Lattice, whose health is not read")
    if service.untold_ingress is not None:
        reasons.append(
            f"it is behind {service.untold_ingress}, and AWS does not tell its target groups"
        )
    return reasons


def _twice_refusals(service: Service) -> list[str]:
    """Refuse to run a service twice that ECS itself would never run twice.

    With one task and a maximum of 100 percent ECS stops it before it starts the next one. With more
    tasks that is mostly about room: ``remarks.beyond_maximum``.
    https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeploymentConfiguration.html
    """
    percent = service.maximum_percent
    if service.desired_count != 1 or percent is None or percent > FULL_PERCENT:
        return []
    reason = (
        f"its only task may not run twice (its maximumPercent is {percent}): to replace it without "
        'an extra task, so that for a while none runs, add "maintain_service_state": false'
    )
    return [reason]


def _deployment_refusals(service: Service) -> list[str]:
    """Refuse a service whose deployment is not complete.

    After a failed deployment ECS starts no tasks, so a stopped one would never come back.
    https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Deployment.html
    """
    if service.controller != "ECS" or service.status != "ACTIVE":
        return []
    if len(service.deployments) > 1 and service.pause_stages:
        stages = ", ".join(service.pause_stages)
        reason = (
            f"{len(service.deployments)} deployments are in progress, the last one may be paused "
            f"by a hook at {stages}: end the pause"
        )
        return [reason]
    if len(service.deployments) != 1:
        return [f"{len(service.deployments)} deployments are in progress"]
    state = service.deployments[0].rollout_state
    if state in (None, "COMPLETED"):
        return []
    why = service.deployments[0].rollout_reason
    return [f"its deployment is {state}" + (f" ({why.rstrip('.')})" if why else "")]


def revision_refusals(snapshot: Snapshot) -> list[str]:
    """Refuse a service in which tasks of an earlier deployment than the only one still run.

    With ``earlySuccessCriteria`` and a DEFERRED cleanup a deployment is COMPLETED before ECS stops
    them; they are not to be replaced, and whoever counts on them loses them at any moment.
    https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeploymentEarlySuccessCriteria.html
    """
    service = snapshot.service
    if len(service.deployments) != 1:
        return []
    deployment_id = service.deployments[0].id
    earlier = [
        task
        for task in snapshot.tasks.values()
        if task.arn not in snapshot.leaving and task.started_by not in (None, deployment_id)
    ]
    if not earlier:
        return []
    reason = (
        f"{len(earlier)} tasks of an earlier deployment still run beside those of {deployment_id}, "
        "and ECS is yet to stop them (its cleanup is deferred)"
    )
    return [reason]


def _limit_refusals(
    service: Service, target: ScalableTarget | None, *, maintain: bool
) -> list[str]:
    """Refuse a desired count outside the limits: any call to autoscaling would move it into them.

    One of 0 is a service that is shut down, which has nothing to recycle.
    """
    if not maintain or target is None or not service.desired_count:
        return []
    if service.desired_count < target.min_capacity:
        reason = (
            f"its desired count {service.desired_count} is below the autoscaling minimum "
            f"{target.min_capacity}, and raising it would make autoscaling start tasks"
        )
        return [reason]
    if service.desired_count <= target.max_capacity:
        return []
    reason = (
        f"its desired count {service.desired_count} is above the autoscaling maximum "
        f"{target.max_capacity}, and putting the limits back would make autoscaling stop tasks"
    )
    return [reason]


# -- target groups ---------------------------------------------------------------------------------


@contextmanager
def naming_target_groups(gateway: Gateway) -> Iterator[None]:
    """Raise PreconditionError if a read fails because a target group of the service is gone.

    It can be deleted while a service still names it; no new task would ever be healthy then.
    https://github.com/aws/containers-roadmap/issues/1884
    """
    try:
        yield
    except AwsCallError as error:
        group = error.facts.get("target_group")
        if group is None:
            raise
        reason = f"its target group {group} does not exist"
        raise PreconditionError(
            f"Service {gateway.name} is not recycled: {reason}.",
            remedy="Nothing was touched. Create the group again, or remove it from the service.",
            reasons=[reason],
        ) from error


def target_group_refusals(snapshot: Snapshot, now_at: datetime) -> list[str]:
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


# -- window ----------------------------------------------------------------------------------------


def window_refusals(settings: Settings, originals: Sequence[Original]) -> list[str]:
    """Return why no opening of the window is long enough: a run would wait for it for ever."""
    window = settings.window
    if window is None or not originals:
        return []
    start_seconds = quickest_start_seconds(originals)
    limit_seconds = float(settings.stabilize_timeout_seconds)
    needed_seconds = first_task_seconds(start_seconds, limit_seconds=limit_seconds)
    if settings.maintain_service_state:
        needed_seconds += start_seconds + settings.wait_time_seconds
    if needed_seconds <= window.open_seconds:
        return []
    reason = (
        f"the window {window} is open for {window.open_seconds} s at a time, and the next task may "
        f"need {needed_seconds:.0f} s"
    )
    return [reason]


def window_remarks(settings: Settings, now_at: datetime) -> tuple[str, ...]:
    """Return when the window opens, where it is shut."""
    window = settings.window
    if window is None or window.is_open(now_at):
        return ()
    opens_at = window.opens_at(now_at).isoformat()
    return (f"No task is stopped before the window {window} opens, at {opens_at}",)


# -- alarms ----------------------------------------------------------------------------------------


def alarm_refusals(
    gateway: Gateway, *, deployment_alarms: Sequence[str], event_alarms: Sequence[str]
) -> list[str]:
    """Return what is wrong with any of the alarms, each a part of a sentence. Raises AwsCallError.

    An alarm of the event that is not there could never warn. An alarm without enough data is no
    reason. https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/AlarmThatSendsEmail.html
    """
    states = gateway.alarm_states([*deployment_alarms, *event_alarms])
    alarming = {name for name, state in states.items() if state == "ALARM"}
    reasons = []
    if own := sorted(alarming & set(deployment_alarms)):
        reasons.append(f"deployment alarms are in ALARM: {', '.join(own)}")
    if others := sorted(alarming & set(event_alarms)):
        reasons.append(f"alarms of the event are in ALARM: {', '.join(others)}")
    if absent := sorted(set(event_alarms) - states.keys()):
        reasons.append(f"alarms of the event do not exist: {', '.join(absent)}")
    return reasons
