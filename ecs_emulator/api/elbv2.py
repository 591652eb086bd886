"""Elastic Load Balancing's operations: target groups and the health of their targets.

https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetHealth.html
"""

from dataclasses import dataclass

from ecs_emulator.api.registry import Answer, Request, operation
from ecs_emulator.ground.errors import ApiError
from ecs_emulator.state.model import Service
from ecs_emulator.state.target_groups import (
    DESCRIPTIONS,
    NOT_IN_USE,
    OVERRIDES,
    USUAL_REASONS,
    ZONE_DISABLED,
    TargetGroup,
)
from ecs_emulator.state.task_state import CONTAINER_PORT
from ecs_emulator.world import World

type Target = tuple[str, int]


@operation("elbv2")
def describe_target_health(world: World, request: Request) -> Answer:
    """Tell the state of each target of a group, or of the targets named."""
    service, group = _find(world, request.parameters["TargetGroupArn"])
    healths = _healths(service, group, request.view_at)
    wanted = request.parameters.get("Targets")
    if wanted:
        named = [(target["Id"], target.get("Port", CONTAINER_PORT)) for target in wanted]
        absent = Health(state="unused", reason=USUAL_REASONS["unused"])
        healths = {target: healths.get(target, absent) for target in named}
    return {
        "TargetHealthDescriptions": [
            _health(group, target, health) for target, health in healths.items()
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


@operation("elbv2")
def describe_target_group_attributes(world: World, request: Request) -> Answer:
    """Tell a group's attributes: its deregistration delay and, of an ALB's, its slow start.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-target-group-attributes.html
    """
    service, _ = _find(world, request.parameters["TargetGroupArn"])
    drain = service.knobs.drain
    delay_seconds = max(drain) if isinstance(drain, tuple) else drain
    attributes = {
        "deregistration_delay.timeout_seconds": str(round(delay_seconds)),
        "load_balancing.algorithm.type": "round_robin",
        "slow_start.duration_seconds": str(service.setup.slow_start_seconds),
        "stickiness.enabled": "false",
    }
    return {"Attributes": [{"Key": key, "Value": value} for key, value in attributes.items()]}


def _find(world: World, arn: str) -> tuple[Service, TargetGroup]:
    for service in world.services:
        found = [group for group in service.target_groups if group.arn == arn]
        if found:
            return service, found[0]
    raise _not_found()


def _not_found() -> ApiError:
    return ApiError("TargetGroupNotFound", "One or more target groups not found")


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What a group says of one target."""

    state: str
    reason: str | None
    availability_zone: str | None = None


def _healths(service: Service, group: TargetGroup, at: float) -> dict[Target, Health]:
    """Return each target's health; a port taken over belongs to the task that has it last."""
    foreign = {
        (each.id, each.port): Health(
            state=each.state,
            reason=USUAL_REASONS.get(each.state),
            availability_zone=each.availability_zone,
        )
        for each in group.foreign
        if each.since <= at
    }
    own = {
        task.placement.target: Health(
            state=target,
            reason=state.target_reason or group.reason_for(target),
            availability_zone=task.placement.availability_zone,
        )
        for task, state in service.tasks_at(at)
        if (target := state.targets[group.index]) is not None
    }
    return foreign | own


def _health(group: TargetGroup, target: Target, health: Health) -> Answer:
    described: Answer = {"Id": target[0], "Port": target[1]}
    if health.availability_zone:
        described["AvailabilityZone"] = health.availability_zone
    found: Answer = {"State": health.state}
    if health.reason:
        is_zone = health.reason == NOT_IN_USE and health.availability_zone in group.disabled_zones
        description = ZONE_DISABLED if is_zone else DESCRIPTIONS[health.reason]
        found |= {"Reason": health.reason, "Description": description}
    answer = {"Target": described, "HealthCheckPort": str(target[1]), "TargetHealth": found}
    if group.zone_overrides:
        state = group.zone_overrides.get(health.availability_zone or "", "no_override")
        override = {"State": state, "Reason": OVERRIDES[state], "Description": f"{state}."}
        answer["AdministrativeOverride"] = override
    return answer


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
