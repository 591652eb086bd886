"""From the wire to the model: what botocore returns, as the engine's own values.

The shapes: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Types.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ecs_task_recycle.model import (
    Deployment,
    LoadBalancer,
    PortBinding,
    Service,
    ServiceEvent,
    Task,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime


def service_of(described: Any) -> Service:  # noqa: ANN401 - an answer of botocore's
    """Return a service as DescribeServices and UpdateService show it."""
    return Service(
        arn=described["serviceArn"],
        status=described["status"],
        scheduling_strategy=described.get("schedulingStrategy", "REPLICA"),
        controller=described.get("deploymentController", {}).get("type", "ECS"),
        desired_count=described["desiredCount"],
        deployments=tuple(_deployment(each) for each in described.get("deployments", ())),
        load_balancers=tuple(
            _load_balancer(each)
            for each in described.get("loadBalancers", ())
            if "targetGroupArn" in each
        ),
        classic_load_balancers=tuple(
            each["loadBalancerName"]
            for each in described.get("loadBalancers", ())
            if each.get("loadBalancerName")
        ),
        alarm_names=_alarm_names(described.get("deploymentConfiguration", {}).get("alarms", {})),
        events=tuple(
            ServiceEvent(id=each["id"], created_at=each["createdAt"], message=each["message"])
            for each in described.get("events", ())
        ),
    )


def _alarm_names(alarms: Any) -> tuple[str, ...]:  # noqa: ANN401 - an answer of botocore's
    return tuple(alarms.get("alarmNames", ())) if alarms.get("enable") else ()


def _deployment(described: Any) -> Deployment:  # noqa: ANN401 - an answer of botocore's
    return Deployment(
        id=described["id"],
        status=described["status"],
        rollout_state=described.get("rolloutState"),
        rollout_reason=described.get("rolloutStateReason"),
        uses_vpc_lattice=bool(described.get("vpcLatticeConfigurations")),
    )


def _load_balancer(described: Any) -> LoadBalancer:  # noqa: ANN401 - an answer of botocore's
    alternate = described.get("advancedConfiguration", {}).get("alternateTargetGroupArn")
    return LoadBalancer(
        target_group_arns=(described["targetGroupArn"], *([alternate] if alternate else [])),
        container_name=described.get("containerName"),
        container_port=described["containerPort"],
    )


def task_of(described: Any, instance_ids: Mapping[str, str]) -> Task:  # noqa: ANN401 - botocore's
    """Return a task as DescribeTasks shows it; ``instance_ids``: EC2 ids by their ARNs in ECS."""
    containers = described.get("containers", ())
    return Task(
        arn=described["taskArn"],
        last_status=described["lastStatus"],
        desired_status=described["desiredStatus"],
        health_status=described.get("healthStatus", "UNKNOWN"),
        created_at=described.get("createdAt"),
        started_at=described.get("startedAt"),
        stopped_at=described.get("stoppedAt"),
        stop_code=described.get("stopCode"),
        stopped_reason=described.get("stoppedReason"),
        container_reason=next((each["reason"] for each in containers if each.get("reason")), None),
        exit_code=_exit_code(containers),
        ip_address=_ip_address(described),
        instance_id=instance_ids.get(described.get("containerInstanceArn", "")),
        port_bindings=tuple(
            PortBinding(
                container_name=container.get("name"),
                container_port=binding["containerPort"],
                host_port=binding["hostPort"],
            )
            for container in containers
            for binding in container.get("networkBindings", ())
            if "hostPort" in binding and "containerPort" in binding
        ),
    )


def _exit_code(containers: Sequence[Any]) -> int | None:
    """Return the exit code that tells most: the first that is not 0, else the first."""
    codes = [each["exitCode"] for each in containers if each.get("exitCode") is not None]
    return next((code for code in codes if code), codes[0] if codes else None)


def shares_ports(described: Any) -> bool:  # noqa: ANN401 - an answer of botocore's
    """Whether a task is reached by ports of its instance (bridge and host networking)."""
    containers = described.get("containers", ())
    return any(each.get("networkBindings") for each in containers)


def _ip_address(described: Any) -> str | None:  # noqa: ANN401 - an answer of botocore's
    """Return the address of a task with a network interface of its own (awsvpc)."""
    details = (
        detail
        for attachment in described.get("attachments", ())
        for detail in attachment.get("details", ())
    )
    return next((each["value"] for each in details if each["name"] == "privateIPv4Address"), None)


def protected_until(row: Any) -> datetime | None:  # noqa: ANN401 - an answer of botocore's
    """Return when a row of GetTaskProtection says that the protection ends, None without one."""
    return row.get("expirationDate") if row["protectionEnabled"] else None
