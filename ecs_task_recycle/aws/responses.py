"""Converts botocore's answers into the model's values.

The shapes: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Types.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from ecs_task_recycle.aws.errors import LONGEST_MESSAGE
from ecs_task_recycle.model import (
    ANY_PORT,
    Deployment,
    Ingress,
    LoadBalancer,
    Service,
    ServiceEvent,
    TargetHealth,
)
from ecs_task_recycle.task import NOT_YET_RUNNING, Container, PortBinding, Task
from ecs_task_recycle.text import one_line

REPLACED: Final = "INACTIVE"
"""The status of a deployment that was completely replaced. ECS may still list it.

https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Deployment.html
"""


def _prose[Words: (str, str | None)](text: Words) -> Words:
    """Return a text of AWS's as one line: it enters reasons, and commands stand beside those."""
    return text and one_line(text, longest=LONGEST_MESSAGE)


def service_of(described: Any) -> Service:  # noqa: ANN401 - an answer of botocore's
    """Return a service as DescribeServices and UpdateService show it."""
    return Service(
        arn=described["serviceArn"],
        status=described["status"],
        scheduling_strategy=described.get("schedulingStrategy", "REPLICA"),
        controller=described.get("deploymentController", {}).get("type", "ECS"),
        desired_count=described["desiredCount"],
        deployments=tuple(
            _deployment(each) for each in described["deployments"] if each["status"] != REPLACED
        ),
        pause_stages=_pause_stages(described.get("deploymentConfiguration", {})),
        load_balancers=tuple(
            _load_balancer(each)
            for each in described["loadBalancers"]
            if not each.get("loadBalancerName")
        ),
        classic_load_balancers=tuple(
            each["loadBalancerName"]
            for each in described.get("loadBalancers", ())
            if each.get("loadBalancerName")
        ),
        alarm_names=_alarm_names(described.get("deploymentConfiguration", {}).get("alarms", {})),
        events=tuple(
            ServiceEvent(
                id=each["id"], created_at=each["createdAt"], message=_prose(each["message"])
            )
            for each in described.get("events", ())
        ),
        maximum_percent=described.get("deploymentConfiguration", {}).get("maximumPercent"),
        found_through=_found_through(described),
        revision_arn=_revision_arn(described.get("currentServiceRevisions", ())),
        is_managed=described.get("resourceManagementType") == "ECS",
        tags=tags_of(described),
    )


def tags_of(described: Any) -> dict[str, str]:  # noqa: ANN401 - an answer of botocore's
    """Return the tags of a service: none where they were not asked for, or it has a short ARN.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-using-tags.html
    """
    return {each["key"]: each.get("value", "") for each in described.get("tags", ())}


def _found_through(described: Any) -> tuple[str, ...]:  # noqa: ANN401 - an answer of botocore's
    """Return how clients find the tasks by their own addresses.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/interconnecting-services.html
    """
    connects = any(
        each.get("serviceConnectConfiguration", {}).get("enabled")
        for each in described.get("deployments", ())
    )
    ways = {"Cloud Map": described.get("serviceRegistries"), "Service Connect": connects}
    return tuple(name for name, is_used in ways.items() if is_used)


def _revision_arn(revisions: Any) -> str | None:  # noqa: ANN401 - an answer of botocore's
    """Return the revision of a service that has only one; with two, a deployment is in progress."""
    return revisions[0]["arn"] if len(revisions) == 1 else None


def ingress_of(revision: Any, *, is_managed: bool) -> Ingress:  # noqa: ANN401 - an answer of botocore's
    """Return the ingress that ECS keeps for a service by itself.

    ``is_managed``: as of ``Service``.
    https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ServiceRevision.html
    """
    managed = revision.get("ecsManagedResources", {})
    connections = managed.get("gatewayConnections", ())
    paths = managed.get("ingressPaths", ())
    groups = [_gateway_groups(each) for each in connections]
    groups += [tuple(each["arn"] for each in path.get("targetGroups", ())) for path in paths]
    kind = "an ECS Gateway" if revision.get("gatewayConnectors") or connections else None
    kind = kind or ("Express Mode's load balancer" if is_managed else None)
    is_told = bool(groups) and all(groups)
    return Ingress(
        load_balancers=tuple(
            LoadBalancer(target_group_arns=arns, container_name=None, container_port=ANY_PORT)
            for arns in groups
            if arns
        ),
        untold=None if is_told else kind,
    )


def _gateway_groups(connection: Any) -> tuple[str, ...]:  # noqa: ANN401 - an answer of botocore's
    """Return the group of a gateway's connection, and the alternate one of its deployments."""
    names = ("targetGroupArn", "alternateTargetGroupArn")
    shared = connection.get("resources", {}).get("hostSharedAlb", ())
    return tuple(each[name] for each in shared for name in names if each.get(name))


def _alarm_names(alarms: Any) -> tuple[str, ...]:  # noqa: ANN401 - an answer of botocore's
    return tuple(alarms.get("alarmNames", ())) if alarms.get("enable") else ()


def _pause_stages(configuration: Any) -> tuple[str, ...]:  # noqa: ANN401 - an answer of botocore's
    """Return the stages at which the service's hooks pause its deployments, for up to 14 days.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/pause-lifecycle-hooks.html
    """
    stages = (
        stage
        for hook in configuration.get("lifecycleHooks", ())
        if hook.get("targetType") == "PAUSE"
        for stage in hook.get("lifecycleStages", ())
    )
    return tuple(dict.fromkeys(stages))


def _deployment(described: Any) -> Deployment:  # noqa: ANN401 - an answer of botocore's
    return Deployment(
        id=described["id"],
        status=described["status"],
        rollout_state=described.get("rolloutState"),
        rollout_reason=_prose(described.get("rolloutStateReason")),
        uses_vpc_lattice=bool(described.get("vpcLatticeConfigurations")),
    )


def _load_balancer(described: Any) -> LoadBalancer:  # noqa: ANN401 - an answer of botocore's
    alternate = described.get("advancedConfiguration", {}).get("alternateTargetGroupArn")
    return LoadBalancer(
        target_group_arns=(described["targetGroupArn"], *([alternate] if alternate else [])),
        container_name=described.get("containerName"),
        container_port=described["containerPort"],
    )


def task_of(described: Any, instance_ids: Mapping[str, str | None]) -> Task:  # noqa: ANN401 - botocore's
    """Return a task as DescribeTasks shows it. ``instance_ids``: by container instance ARN."""
    containers = described.get("containers", ())
    addresses = _ip_addresses(described)
    return Task(
        arn=described["taskArn"],
        last_status=described["lastStatus"],
        desired_status=described["desiredStatus"],
        health_status=described.get("healthStatus", "UNKNOWN"),
        started_by=described.get("startedBy"),
        group=described.get("group"),
        created_at=described.get("createdAt"),
        started_at=described.get("startedAt"),
        stopped_at=described.get("stoppedAt"),
        stop_code=described.get("stopCode"),
        stopped_reason=_prose(described.get("stoppedReason")),
        execution_stopped_at=described.get("executionStoppedAt"),
        containers=tuple(_container(each) for each in containers),
        is_on_instance="containerInstanceArn" in described,
        zone=described.get("availabilityZone"),
        ip_address=next(iter(addresses), None),
        other_ip_addresses=addresses[1:],
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


def _container(described: Any) -> Container:  # noqa: ANN401 - an answer of botocore's
    return Container(
        name=_prose(described.get("name", "")),
        health_status=described.get("healthStatus", "UNKNOWN"),
        exit_code=described.get("exitCode"),
        reason=_prose(described.get("reason")),
    )


def shares_address(described: Any) -> bool:  # noqa: ANN401 - an answer of botocore's
    """Whether a task uses its instance's address (bridge or host networking).

    False for a task that has not run yet: DescribeTasks may not show its own interface before.
    """
    if "containerInstanceArn" not in described or described["lastStatus"] in NOT_YET_RUNNING:
        return False
    return not _ip_addresses(described)


def _ip_addresses(described: Any) -> tuple[str, ...]:  # noqa: ANN401 - an answer of botocore's
    """Return the addresses of a task's own network interfaces (awsvpc), each once.

    A target group may know the task by any of them, IPv4 or IPv6.
    https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_NetworkInterface.html
    https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Attachment.html
    """
    interfaces = (
        interface
        for container in described.get("containers", ())
        for interface in container.get("networkInterfaces", ())
    )
    shown = [
        detail.get("value")
        for attachment in described.get("attachments", ())
        for detail in attachment.get("details", ())
        if detail.get("name") in ("privateIPv4Address", "ipv6Address")
    ]
    for interface in interfaces:
        shown += [interface.get("privateIpv4Address"), interface.get("ipv6Address")]
    return tuple(dict.fromkeys(address for address in shown if address))


def target_health_of(described: Any) -> TargetHealth:  # noqa: ANN401 - an answer of botocore's
    """Return a target's health as DescribeTargetHealth shows it.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_AdministrativeOverride.html
    """
    override = described.get("AdministrativeOverride", {}).get("State")
    return TargetHealth(
        state=described["TargetHealth"]["State"],
        reason_code=described["TargetHealth"].get("Reason"),
        description=_prose(described["TargetHealth"].get("Description")),
        zonal_shift=override if str(override).startswith("zonal_shift") else None,
    )


def protected_until(row: Any) -> datetime | None:  # noqa: ANN401 - an answer of botocore's
    """Return when a task's protection ends, by its row of GetTaskProtection; None without one."""
    return row.get("expirationDate") if row["protectionEnabled"] else None


def secret_sources_of(containers: Iterable[Any]) -> Iterator[str]:
    """Yield what the containers of a task definition read, wherever one can name it.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/specifying-sensitive-data.html
    https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html
    """
    for each in containers:
        options = each.get("logConfiguration", {}).get("secretOptions", ())
        yield from (secret["valueFrom"] for secret in (*each.get("secrets", ()), *options))
        registry = each.get("repositoryCredentials", {}).get("credentialsParameter")
        if registry:
            yield registry
