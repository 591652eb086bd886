"""How services, tasks and instances look to those who ask: the members of ECS's own shapes.

https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Task.html and API_Service.html
"""

from collections.abc import Sequence
from typing import Any

from ecs_emulator.model import (
    CONTAINER_PORT,
    Cluster,
    ContainerInstance,
    Deployment,
    Service,
    ServiceState,
    Task,
    TaskState,
)

type Description = dict[str, Any]

EVENTS_SHOWN = 100
COMING = ("PROVISIONING", "PENDING", "ACTIVATING")
CONTAINER_NAME = "app"
IMAGE = "registry.invalid/app:1"
SUBNET = "subnet-0emulated"
SECURITY_GROUP = "sg-0emulated"


class Known(dict[str, Any]):
    """A description that is kept and shown again; `checked` once the wire has found it right."""

    checked = False


def describe_task(task: Task, state: TaskState) -> Description:
    """Describe a task in this state. One description per state, made once."""
    if id(state) not in task.answers:
        task.answers[id(state)] = Known(_task(task, state))
    return task.answers[id(state)]


def _task(task: Task, state: TaskState) -> Description:
    service = task.service
    instance = task.placement.instance
    members = {
        "attachments": _attachments(task, state),
        "availabilityZone": task.placement.availability_zone,
        "clusterArn": service.cluster.arn,
        "connectivity": "CONNECTED" if state.pull_stopped_at else None,
        "connectivityAt": _instant(state.pull_stopped_at),
        "containerInstanceArn": instance.arn if instance else None,
        "containers": [_container(task, state)],
        "cpu": "256",
        "createdAt": _instant(task.created_at),
        "desiredStatus": state.desired_status,
        "enableExecuteCommand": False,
        "executionStoppedAt": _instant(state.execution_stopped_at),
        "group": f"service:{service.name}",
        "healthStatus": state.health,
        "lastStatus": state.last_status,
        "launchType": service.launch_type,
        "memory": "512",
        "overrides": {"containerOverrides": [{"name": CONTAINER_NAME}]},
        "platformVersion": "1.4.0" if service.launch_type == "FARGATE" else None,
        "pullStartedAt": _instant(state.pull_started_at),
        "pullStoppedAt": _instant(state.pull_stopped_at),
        "startedAt": _instant(state.started_at),
        "startedBy": task.deployment_id,
        "stopCode": state.stop_code,
        "stoppedAt": _instant(state.stopped_at),
        "stoppedReason": state.stopped_reason,
        "stoppingAt": _instant(state.stopping_at),
        "tags": [],
        "taskArn": task.arn,
        "taskDefinitionArn": task.task_definition_arn,
        "version": len(task.timeline),
    }
    return _given(members)


def _attachments(task: Task, state: TaskState) -> list[Description]:
    if not task.service.awsvpc:
        return []
    attached = state.last_status not in {"PROVISIONING", "STOPPED"}
    gone = state.last_status == "STOPPED"
    status = "ATTACHED" if attached else "DELETED" if gone else "PRECREATED"
    address = [{"name": "privateIPv4Address", "value": task.placement.private_ip}]
    interface = {
        "id": f"eni-attach-{task.id[:12]}",
        "type": "ElasticNetworkInterface",
        "status": status,
        "details": [
            {"name": "subnetId", "value": SUBNET},
            *(address if status != "PRECREATED" else []),
        ],
    }
    return [interface]


def _container(task: Task, state: TaskState) -> Description:
    stopped = state.execution_stopped_at is not None or state.last_status == "STOPPED"
    running = state.last_status not in {"PROVISIONING", "PENDING"}
    bound = task.placement.host_port is not None and running
    last_status = "STOPPED" if stopped else "RUNNING" if running else "PENDING"
    container = {
        "containerArn": task.arn.replace(":task/", ":container/") + f"/{task.id[:8]}",
        "taskArn": task.arn,
        "name": CONTAINER_NAME,
        "image": IMAGE,
        "runtimeId": task.container_id if running else None,
        "lastStatus": last_status,
        "exitCode": state.exit_code,
        "reason": state.stopped_reason if state.stop_code == "TaskFailedToStart" else None,
        "networkBindings": [_binding(task)] if bound else [],
        "networkInterfaces": [_interface(task)] if task.service.awsvpc and running else [],
        "healthStatus": state.health,
        "cpu": "0",
    }
    return _given(container)


def _binding(task: Task) -> Description:
    return {
        "bindIP": "0.0.0.0",  # noqa: S104  what the agent reports; nothing is bound
        "containerPort": CONTAINER_PORT,
        "hostPort": task.placement.host_port,
        "protocol": "tcp",
    }


def _interface(task: Task) -> Description:
    return {
        "attachmentId": f"eni-attach-{task.id[:12]}",
        "privateIpv4Address": task.placement.private_ip,
    }


def describe_service(service: Service, at: float) -> Description:
    """Describe a service as it was at an instant (epoch seconds)."""
    state = service.timeline.at(at)
    tasks = list(service.tasks_at(at))
    members: Description = {
        "serviceArn": service.arn,
        "serviceName": service.name,
        "clusterArn": service.cluster.arn,
        "loadBalancers": _load_balancers(service),
        "serviceRegistries": [],
        "status": state.status,
        "desiredCount": state.desired_count,
        "runningCount": _count(tasks, "RUNNING"),
        "pendingCount": _count(tasks, *COMING),
        "launchType": service.launch_type,
        "taskDefinition": state.primary.task_definition_arn,
        "deploymentConfiguration": _deployment_configuration(service),
        "deployments": [],
        "events": _events(service, at),
        "createdAt": service.created_at,
        "placementConstraints": [],
        "placementStrategy": [],
        "schedulingStrategy": service.setup.scheduling_strategy,
        "deploymentController": {"type": service.setup.controller},
        "createdBy": service.arn.rsplit(":", 1)[0].replace(":ecs:", ":iam:") + ":role/admin",
        "enableECSManagedTags": False,
        "propagateTags": "NONE",
        "enableExecuteCommand": False,
        "availabilityZoneRebalancing": "DISABLED",
    }
    members.update(_of_its_kind(service, state, tasks))
    return members


def _of_its_kind(
    service: Service, state: ServiceState, tasks: Sequence[tuple[Task, TaskState]]
) -> Description:
    """Return the members that only some services have."""
    describe = _deployment if service.setup.controller == "ECS" else _task_set
    member = "deployments" if service.setup.controller == "ECS" else "taskSets"
    members: Description = {
        member: [describe(service, state, deployment, tasks) for deployment in state.deployments]
    }
    if service.target_groups:
        members["healthCheckGracePeriodSeconds"] = 0
    if service.awsvpc:
        members["networkConfiguration"] = _network_configuration()
    return members


def _count(tasks: Sequence[tuple[Task, TaskState]], *last_statuses: str) -> int:
    return sum(state.last_status in last_statuses for _, state in tasks)


def _load_balancers(service: Service) -> list[Description]:
    return [
        {
            "targetGroupArn": group.arn,
            "containerName": CONTAINER_NAME,
            "containerPort": CONTAINER_PORT,
        }
        for group in service.target_groups
    ]


def _network_configuration() -> Description:
    interface = {
        "subnets": [SUBNET],
        "securityGroups": [SECURITY_GROUP],
        "assignPublicIp": "DISABLED",
    }
    return {"awsvpcConfiguration": interface}


def _deployment_configuration(service: Service) -> Description:
    setup = service.setup
    breaker = {"enable": setup.circuit_breaker, "rollback": False}
    alarms = {"alarmNames": list(setup.alarms), "rollback": False, "enable": bool(setup.alarms)}
    return {
        "deploymentCircuitBreaker": breaker,
        "maximumPercent": setup.maximum_percent,
        "minimumHealthyPercent": setup.minimum_healthy_percent,
        "alarms": alarms,
        "strategy": "ROLLING",
    }


def _events(service: Service, at: float) -> list[Description]:
    seen = [event for event in service.events if event.created_at <= at]
    return [
        {"id": event.id, "createdAt": _instant(event.created_at), "message": event.message}
        for event in reversed(seen[-EVENTS_SHOWN:])
    ]


def _deployment(
    service: Service,
    state: ServiceState,
    deployment: Deployment,
    tasks: Sequence[tuple[Task, TaskState]],
) -> Description:
    own = [(task, each) for task, each in tasks if task.deployment_id == deployment.id]
    primary = deployment.status == "PRIMARY"
    members = {
        "id": deployment.id,
        "status": deployment.status,
        "taskDefinition": deployment.task_definition_arn,
        "desiredCount": state.desired_count if primary else _count(own, "RUNNING"),
        "pendingCount": _count(own, *COMING),
        "runningCount": _count(own, "RUNNING"),
        "failedTasks": deployment.failed_tasks,
        "createdAt": _instant(deployment.created_at),
        "updatedAt": _instant(deployment.updated_at),
        "launchType": service.launch_type,
        "rolloutState": deployment.rollout_state,
        "rolloutStateReason": deployment.rollout_state_reason
        or f"ECS deployment {deployment.id} completed.",
    }
    if service.awsvpc:
        members["networkConfiguration"] = _network_configuration()
    return members


def _task_set(
    service: Service,
    state: ServiceState,
    deployment: Deployment,
    tasks: Sequence[tuple[Task, TaskState]],
) -> Description:
    own = [(task, each) for task, each in tasks if task.deployment_id == deployment.id]
    running, pending = _count(own, "RUNNING"), _count(own, *COMING)
    steady = running == state.desired_count and not pending
    return {
        "id": deployment.id,
        "taskSetArn": f"{service.arn.replace(':service/', ':task-set/')}/{deployment.id}",
        "serviceArn": service.arn,
        "clusterArn": service.cluster.arn,
        "startedBy": service.setup.controller,
        "status": deployment.status,
        "taskDefinition": deployment.task_definition_arn,
        "computedDesiredCount": state.desired_count,
        "pendingCount": pending,
        "runningCount": running,
        "createdAt": _instant(deployment.created_at),
        "updatedAt": _instant(deployment.updated_at),
        "launchType": service.launch_type,
        "loadBalancers": _load_balancers(service),
        "scale": {"value": 100.0, "unit": "PERCENT"},
        "stabilityStatus": "STEADY_STATE" if steady else "STABILIZING",
        "stabilityStatusAt": _instant(deployment.updated_at),
    }


def describe_cluster(cluster: Cluster) -> Description:
    """Describe a cluster as it is."""
    tasks = [
        (task, task.state) for service in cluster.services.values() for task in service.present
    ]
    return {
        "clusterArn": cluster.arn,
        "clusterName": cluster.name,
        "status": "ACTIVE",
        "registeredContainerInstancesCount": len(cluster.instances),
        "runningTasksCount": _count(tasks, "RUNNING"),
        "pendingTasksCount": _count(tasks, *COMING),
        "activeServicesCount": sum(s.status == "ACTIVE" for s in cluster.services.values()),
        "settings": [],
    }


def describe_instance(cluster: Cluster, instance: ContainerInstance) -> Description:
    """Describe a container instance as it is."""
    tasks = [
        (task, task.state)
        for service in cluster.services.values()
        for task in service.present
        if task.placement.instance == instance
    ]
    zone = {"name": "ecs.availability-zone", "value": instance.availability_zone}
    return {
        "containerInstanceArn": instance.arn,
        "ec2InstanceId": instance.ec2_instance_id,
        "version": 1,
        "versionInfo": {"agentVersion": "1.96.0", "dockerVersion": "DockerVersion: 25.0.8"},
        "status": "ACTIVE",
        "agentConnected": True,
        "runningTasksCount": _count(tasks, "RUNNING"),
        "pendingTasksCount": _count(tasks, *COMING),
        "attributes": [zone],
    }


def _instant(at: float | None) -> float | None:
    """ECS gives milliseconds."""
    return None if at is None else round(at, 3)


def _given(members: Description) -> Description:
    return {name: value for name, value in members.items() if value is not None}
