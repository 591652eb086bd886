"""Application Auto Scaling's operations.

https://docs.aws.amazon.com/autoscaling/application/APIReference/
"""

from datetime import UTC, datetime

from ecs_emulator.api.paging import page
from ecs_emulator.api.registry import Answer, Request, operation
from ecs_emulator.engine.autoscaling import Limits, ScalableState, ScalableTarget, ScheduledAction
from ecs_emulator.ground.errors import ApiError
from ecs_emulator.state.model import Service
from ecs_emulator.world import World

SERVICE = "application-autoscaling"
DIMENSION = "ecs:service:DesiredCount"
PAGE_LIMIT = 50
PROBED_ACTIONS = (
    "ecs:DescribeServices",
    "ecs:UpdateService",
    "cloudwatch:DescribeAlarms",
    "cloudwatch:PutMetricAlarm",
    "cloudwatch:DeleteAlarms",
)
"""What the caller must be allowed to do, too:
https://docs.aws.amazon.com/autoscaling/application/userguide/security_iam_id-based-policy-examples.html"""


@operation(SERVICE)
def describe_scalable_targets(world: World, request: Request) -> Answer:
    """List the scalable targets, all or the named ones; an unknown name is no error."""
    asked = request.parameters
    if asked["ServiceNamespace"] != "ecs":
        return {"ScalableTargets": []}
    wanted = asked.get("ResourceIds")
    targets = [
        target
        for target in world.autoscaling.targets.values()
        if (not wanted or target.resource_id in wanted) and target.created_at <= request.view_at
    ]
    limit = min(asked.get("MaxResults") or PAGE_LIMIT, world.knobs.page_size or PAGE_LIMIT)
    shown, following = page(
        targets, key=lambda target: target.resource_id, limit=limit, token=asked.get("NextToken")
    )
    described = [_target(world, each, each.timeline.at(request.view_at)) for each in shown]
    return {"ScalableTargets": described, **({"NextToken": following} if following else {})}


@operation(SERVICE, writes=True)
def register_scalable_target(world: World, request: Request) -> Answer:
    """Create a target or change the members given; each call clamps the desired count."""
    asked = request.parameters
    if asked["ServiceNamespace"] != "ecs" or asked["ScalableDimension"] != DIMENSION:
        raise ApiError("ValidationException", "Unsupported service namespace, resource type or "
                       "scalable dimension")  # fmt: skip
    denied = [
        action for action in PROBED_ACTIONS if world.faults.denies(action, request.caller.arn)
    ]
    if denied and world.knobs.aas_validates_permissions:
        raise ApiError(
            "ValidationException",
            f"User is missing the following permissions: [{', '.join(denied)}]",
        )
    suspended = asked.get("SuspendedState") or {}
    limits = Limits(
        min_capacity=asked.get("MinCapacity"),
        max_capacity=asked.get("MaxCapacity"),
        scaling_in_suspended=suspended.get("DynamicScalingInSuspended"),
        scaling_out_suspended=suspended.get("DynamicScalingOutSuspended"),
        scheduled_suspended=suspended.get("ScheduledScalingSuspended"),
    )
    service = _service(world, asked["ResourceId"])
    return {"ScalableTargetARN": world.autoscaling.request(service, limits).arn}


@operation(SERVICE, writes=True)
def deregister_scalable_target(world: World, request: Request) -> Answer:
    """Forget a target; the desired count stays as it is.

    https://docs.aws.amazon.com/autoscaling/application/APIReference/API_DeregisterScalableTarget.html
    """
    resource_id = request.parameters["ResourceId"]
    if resource_id not in world.autoscaling.targets:
        raise ApiError("ObjectNotFoundException", f"No scalable target found: {resource_id}")
    world.autoscaling.forget(resource_id)
    return {}


@operation(SERVICE)
def describe_scheduled_actions(world: World, request: Request) -> Answer:
    """List the scheduled actions, all or those of one resource."""
    asked = request.parameters
    wanted = asked.get("ResourceId")
    actions = [
        action
        for action in world.autoscaling.actions
        if asked["ServiceNamespace"] == "ecs" and wanted in {None, action.target.resource_id}
    ]
    limit = min(asked.get("MaxResults") or PAGE_LIMIT, world.knobs.page_size or PAGE_LIMIT)
    token = asked.get("NextToken")
    shown, following = page(actions, key=lambda action: action.name, limit=limit, token=token)
    described = [_action(action) for action in shown]
    return {"ScheduledActions": described, **({"NextToken": following} if following else {})}


def _action(action: ScheduledAction) -> Answer:
    at = datetime.fromtimestamp(action.at, tz=UTC).strftime("%Y-%m-%dT%H:%M:%S")
    limits = {
        "MinCapacity": action.limits.min_capacity,
        "MaxCapacity": action.limits.max_capacity,
    }
    return {
        "ScheduledActionName": action.name,
        "ScheduledActionARN": action.arn,
        "ServiceNamespace": "ecs",
        "Schedule": f"at({at})",
        "ResourceId": action.target.resource_id,
        "ScalableDimension": DIMENSION,
        "ScalableTargetAction": {name: n for name, n in limits.items() if n is not None},
        "CreationTime": round(action.created_at, 3),
    }


def _service(world: World, resource_id: str) -> Service:
    kind, _, rest = resource_id.partition("/")
    cluster, _, name = rest.partition("/")
    if kind != "service" or not name or "/" in name or "arn:" in resource_id:
        raise ApiError("ValidationException", f"Unsupported resource id: {resource_id}")
    found = world.ledger.clusters.get(cluster)
    if found is None or name not in found.services or found.services[name].status == "INACTIVE":
        raise ApiError("ValidationException", f"ECS service doesn't exist: {resource_id}")
    return found.services[name]


def _target(world: World, target: ScalableTarget, state: ScalableState) -> Answer:
    role = "AWSServiceRoleForApplicationAutoScaling_ECSService"
    path = "aws-service-role/ecs.application-autoscaling.amazonaws.com"
    return {
        "ServiceNamespace": "ecs",
        "ResourceId": target.resource_id,
        "ScalableDimension": DIMENSION,
        "MinCapacity": state.min_capacity,
        "MaxCapacity": state.max_capacity,
        "RoleARN": f"arn:aws:iam::{world.account.id}:role/{path}/{role}",
        "CreationTime": round(target.created_at, 3),
        "SuspendedState": {
            "DynamicScalingInSuspended": state.scaling_in_suspended,
            "DynamicScalingOutSuspended": state.scaling_out_suspended,
            "ScheduledScalingSuspended": state.scheduled_suspended,
        },
        "ScalableTargetARN": target.arn,
    }
