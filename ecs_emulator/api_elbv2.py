"""Elastic Load Balancing's operations: target groups and the health of their targets.

https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetHealth.html
"""

from ecs_emulator.errors import ApiError
from ecs_emulator.model import Service, TargetGroup
from ecs_emulator.registry import Answer, Request, operation
from ecs_emulator.task_state import CONTAINER_PORT
from ecs_emulator.world import World

type Target = tuple[str, int]

_REASONS = {
    "initial": ("Elb.RegistrationInProgress", "Target registration is in progress"),
    "unhealthy": ("Target.FailedHealthChecks", "Health checks failed"),
    "draining": ("Target.DeregistrationInProgress", "Target deregistration is in progress"),
    "unused": ("Target.NotRegistered", "Target is not registered to the target group"),
}


@operation("elbv2")
def describe_target_health(world: World, request: Request) -> Answer:
    """Tell the state of each target of a group, or of the targets named."""
    service, group = _find(world, request.parameters["TargetGroupArn"])
    states = _states(service, group, request.view_at)
    wanted = request.parameters.get("Targets")
    if wanted:
        named = [(target["Id"], target.get("Port", CONTAINER_PORT)) for target in wanted]
        states = {target: states.get(target, "unused") for target in named}
    zones = {task.placement.target: task.placement.availability_zone for task in service.present}
    return {
        "TargetHealthDescriptions": [
            _health(target, state, zones.get(target)) for target, state in states.items()
        ]
    }


@operation("elbv2")
def describe_target_groups(world: World, request: Request) -> Answer:
    """Describe target groups, by ARN or by name or all."""
    groups = {group.arn: group for service in world.services for group in service.target_groups}
    arns = request.parameters.get("TargetGroupArns")
    names = request.parameters.get("Names")
    if set(arns or ()) - groups.keys() or set(names or ()) - {g.name for g in groups.values()}:
        raise _not_found()
    shown = [
        group
        for group in groups.values()
        if (not arns or group.arn in arns) and (not names or group.name in names)
    ]
    return {"TargetGroups": [_group(group) for group in shown]}


def _find(world: World, arn: str) -> tuple[Service, TargetGroup]:
    for service in world.services:
        found = [group for group in service.target_groups if group.arn == arn]
        if found:
            return service, found[0]
    raise _not_found()


def _not_found() -> ApiError:
    return ApiError("TargetGroupNotFound", "One or more target groups not found")


def _states(service: Service, group: TargetGroup, at: float) -> dict[Target, str]:
    """Return the state of each target; a port taken over belongs to the task that has it last."""
    return {
        task.placement.target: target
        for task, state in service.tasks_at(at)
        if (target := state.targets[group.index]) is not None
    }


def _health(target: Target, state: str, zone: str | None) -> Answer:
    health = {"State": state}
    if state in _REASONS:
        health["Reason"], health["Description"] = _REASONS[state]
    described: Answer = {"Id": target[0], "Port": target[1]}
    if zone:
        described["AvailabilityZone"] = zone
    return {"Target": described, "HealthCheckPort": str(target[1]), "TargetHealth": health}


def _group(group: TargetGroup) -> Answer:
    return {
        "TargetGroupArn": group.arn,
        "TargetGroupName": group.name,
        "Protocol": "HTTP",
        "Port": CONTAINER_PORT,
        "HealthCheckProtocol": "HTTP",
        "HealthCheckPort": "traffic-port",
        "HealthCheckEnabled": True,
        "HealthCheckIntervalSeconds": 10,
        "HealthCheckTimeoutSeconds": 5,
        "HealthyThresholdCount": 2,
        "UnhealthyThresholdCount": 2,
        "HealthCheckPath": "/",
        "TargetType": group.target_type,
        "IpAddressType": group.ip_address_type,
    }
