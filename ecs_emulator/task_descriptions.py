"""How tasks and instances look to those who ask.

https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Task.html
"""

from ecs_emulator.descriptions import (
    COMING,
    CONTAINER_NAME,
    IMAGE,
    SUBNET,
    Description,
    Known,
    count_of,
    given,
    instant,
)
from ecs_emulator.model import Cluster, Task
from ecs_emulator.task_state import CONTAINER_PORT, ContainerInstance, TaskState


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
        "connectivityAt": instant(state.pull_stopped_at),
        "containerInstanceArn": instance.arn if instance else None,
        "containers": [_container(task, state)],
        "cpu": "256",
        "createdAt": instant(task.created_at),
        "desiredStatus": state.desired_status,
        "enableExecuteCommand": False,
        "executionStoppedAt": instant(state.execution_stopped_at),
        "group": f"service:{service.name}",
        "healthStatus": state.health,
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
    return given(container)


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
        "runningTasksCount": count_of(tasks, "RUNNING"),
        "pendingTasksCount": count_of(tasks, *COMING),
        "attributes": [zone],
    }
