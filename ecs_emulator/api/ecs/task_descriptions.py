"""How tasks and instances look to those who ask.

https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Task.html
"""

from ecs_emulator.api.ecs.descriptions import (
    CAPACITY_PROVIDER,
    COMING,
    CONTAINER_NAME,
    IMAGE,
    MANAGED_INSTANCES,
    SUBNET,
    Description,
    Known,
    count_of,
    given,
    instant,
)
from ecs_emulator.state.model import Cluster, Task
from ecs_emulator.state.task_state import CONTAINER_PORT, ContainerInstance, TaskState

INTERFACE = "ElasticNetworkInterface"


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
        "capacityProviderName": CAPACITY_PROVIDER
        if service.launch_type == MANAGED_INSTANCES
        else None,
        "clusterArn": service.cluster.arn,
        "connectivity": "CONNECTED" if state.pull_stopped_at else None,
        "connectivityAt": instant(state.pull_stopped_at),
        "containerInstanceArn": instance.arn if instance else None,
        "containers": [_container(task, state), *_side_cars(task, state)],
        "cpu": "256",
        "createdAt": instant(task.created_at),
        "desiredStatus": state.desired_status,
        "enableExecuteCommand": False,
        "executionStoppedAt": instant(state.execution_stopped_at),
        "group": f"service:{service.name}",
        "healthStatus": _health(task, state),
        "lastStatus": state.last_status,
        "launchType": service.launch_type,
        "memory": "512",
        "overrides": {"containerOverrides": [{"name": CONTAINER_NAME}]},
        "platformVersion": "1.4.0" if service.launch_type == "FARGATE" else None,
        "pullStartedAt": instant(state.pull_started_at),
        "pullStoppedAt": instant(state.pull_stopped_at),
        "startedAt": instant(state.started_at),
        "startedBy": task.deployment_id,
        "stopCode": state.stop_code,
        "stoppedAt": instant(state.stopped_at),
        "stoppedReason": state.stopped_reason,
        "stoppingAt": instant(state.stopping_at),
        "tags": [],
        "taskArn": task.arn,
        "taskDefinitionArn": task.task_definition_arn,
        "version": len(task.timeline),
    }
    return given(members)


def _attachments(task: Task, state: TaskState) -> list[Description]:
    own = [_own_interface(task, state)] if task.service.awsvpc else []
    extra = task.service.setup.extra_attachments
    return [_extra(task, number, kind) for number, kind in enumerate(extra)] + own


def _own_interface(task: Task, state: TaskState) -> Description:
    attached = state.last_status not in {"PROVISIONING", "STOPPED"}
    gone = state.last_status == "STOPPED"
    status = "ATTACHED" if attached else "DELETED" if gone else "PRECREATED"
    place = task.placement
    addresses = {"privateIPv4Address": place.private_ip, "ipv6Address": place.ipv6_address}
    return {
        "id": f"eni-attach-{task.id[:12]}",
        "type": INTERFACE,
        "status": status,
        "details": [
            {"name": "subnetId", "value": SUBNET},
            *(_pairs(given(addresses)) if status != "PRECREATED" else []),
        ],
    }


def _extra(task: Task, number: int, kind: str) -> Description:
    """Describe an attachment beside the task's own interface: never how targets know it."""
    details = {"privateIPv4Address": _extra_ip(task, number)} if kind == INTERFACE else {}
    return {
        "id": f"attachment-{number}-{task.id[:12]}",
        "type": kind,
        "status": "ATTACHED",
        "details": _pairs(details),
    }


def _extra_ip(task: Task, number: int) -> str:
    return f"10.1.{number}.{task.number % 250 + 4}"


def _pairs(details: Description) -> list[Description]:
    return [{"name": name, "value": value} for name, value in details.items()]


def _container(task: Task, state: TaskState) -> Description:
    stopped = state.execution_stopped_at is not None or state.last_status == "STOPPED"
    running = state.last_status not in {"PROVISIONING", "PENDING"}
    # Host mode binds nothing: https://github.com/traefik/traefik/issues/2169
    bridged = task.service.setup.network_mode.startswith("bridge")
    bound = bridged and running
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
        "networkInterfaces": _interfaces(task) if task.service.awsvpc and running else [],
        "healthStatus": state.health,
        "cpu": "0",
    }
    return given(container)


def _side_cars(task: Task, state: TaskState) -> list[Description]:
    side_car = task.service.setup.side_car
    if side_car is None:
        return []
    first = _container(task, state)
    members = {
        **first,
        "containerArn": f"{first['containerArn']}-{side_car.name}",
        "name": side_car.name,
        "exitCode": None if state.exit_code is None else side_car.exit_code,
        "networkBindings": [],
        "networkInterfaces": [],
        "healthStatus": "UNKNOWN",
    }
    return [given(members)]


def _health(task: Task, state: TaskState) -> str:
    """Return the task's own health, which knows of no health of a side-car."""
    is_partial = task.service.setup.side_car is not None and state.health == "HEALTHY"
    return "UNKNOWN" if is_partial else state.health


def _binding(task: Task) -> Description:
    return {
        "bindIP": "0.0.0.0",  # noqa: S104  what the agent reports; nothing is bound
        "containerPort": CONTAINER_PORT,
        "hostPort": task.placement.host_port,
        "protocol": "tcp",
    }


def _interfaces(task: Task) -> list[Description]:
    own = {
        "attachmentId": f"eni-attach-{task.id[:12]}",
        "privateIpv4Address": task.placement.private_ip,
        "ipv6Address": task.placement.ipv6_address,
    }
    extra = [
        {
            "attachmentId": f"attachment-{number}-{task.id[:12]}",
            "privateIpv4Address": _extra_ip(task, number),
        }
        for number, kind in enumerate(task.service.setup.extra_attachments)
        if kind == INTERFACE
    ]
    return [*extra, given(own)]


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
        **({"ec2InstanceId": instance.ec2_instance_id} if instance.ec2_instance_id else {}),
        "version": 1,
        "versionInfo": {"agentVersion": "1.96.0", "dockerVersion": "DockerVersion: 25.0.8"},
        "status": "ACTIVE",
        "agentConnected": True,
        "runningTasksCount": count_of(tasks, "RUNNING"),
        "pendingTasksCount": count_of(tasks, *COMING),
        "attributes": [zone],
    }
