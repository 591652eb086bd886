"""What cannot be recycled safely: verdicts on a service as it is, each a part of a sentence."""

from __future__ import annotations

from typing import Final

from ecs_task_recycle.aws.gateway import Gateway
from ecs_task_recycle.errors import PreconditionError
from ecs_task_recycle.model import ScalableTarget, Service
from ecs_task_recycle.watch.in_service import Snapshot

CHECK_NAMES: Final = "Nothing was touched. Check both names, the region and the account."


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
    own_account = service.arn.split(":")[4]
    if account not in (None, own_account):
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
    return reasons


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
    """Refuse a desired count above the maximum: any call to autoscaling would scale it in."""
    if not maintain or target is None or service.desired_count <= target.max_capacity:
        return []
    reason = (
        f"its desired count {service.desired_count} is above the autoscaling maximum "
        f"{target.max_capacity}, and putting the limits back would make autoscaling stop tasks"
    )
    return [reason]
