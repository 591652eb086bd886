"""Amazon ECS's operations on tasks, task definitions and container instances.

https://docs.aws.amazon.com/AmazonECS/latest/APIReference/
"""

from collections.abc import Sequence

from ecs_emulator.api.ecs.lookup import (
    expired,
    find_task,
    last,
    listing,
    missing,
    refuse_count,
    service_of,
    task_arn,
)
from ecs_emulator.api.ecs.task_descriptions import describe_instance, describe_task
from ecs_emulator.api.registry import Answer, Request, operation
from ecs_emulator.ground.errors import ApiError
from ecs_emulator.state.model import Service, Task
from ecs_emulator.state.task_state import CONTAINER_PORT, StopCause, StopKind, TaskState
from ecs_emulator.world import World

DESCRIBED_TASKS_LIMIT = 100


@operation("ecs")
def list_tasks(world: World, request: Request) -> Answer:
    """List tasks by desired status (RUNNING unless told otherwise), of a service or the cluster."""
    parameters = request.parameters
    cluster = world.ledger.cluster(parameters.get("cluster"))
    if "startedBy" in parameters and parameters.keys() & {"serviceName", "family", "launchType"}:
        raise ApiError(
            "InvalidParameterException", "startedBy cannot be combined with other filters."
        )
    services = list(cluster.services.values())
    if "serviceName" in parameters:
        services = [service_of(cluster, parameters["serviceName"])]
    arns = [
        task.arn
        for service in services
        for task, state in service.tasks_at(request.view_at)
        if _listed(task, state, request)
    ]
    return listing(world, request, "taskArns", arns)


def _listed(task: Task, state: TaskState, request: Request) -> bool:
    asked = request.parameters
    instance = task.placement.instance
    family = task.task_definition_arn.rsplit("/", 1)[-1].partition(":")[0]
    matches = (
        asked.get("desiredStatus", "RUNNING") == state.desired_status,
        asked.get("startedBy") in {None, task.deployment_id},
        asked.get("launchType") in {None, task.service.launch_type},
        asked.get("family") in {None, family},
        asked.get("containerInstance") in {None, instance and instance.arn},
        not expired(state, request.view_at),
    )
    return all(matches)


@operation("ecs")
def describe_tasks(world: World, request: Request) -> Answer:
    """Describe up to a hundred tasks, those stopped within the hour included."""
    cluster = world.ledger.cluster(request.parameters.get("cluster"))
    references = request.parameters["tasks"]
    if not references:
        raise ApiError("InvalidParameterException", "Tasks cannot be empty.")
    refuse_count("taskIds", references, DESCRIBED_TASKS_LIMIT)
    tasks: list[Answer] = []
    failures: list[Answer] = []
    for reference in references:
        task = find_task(world, cluster, reference, request.view_at)
        if task is None:
            failures.append(missing(task_arn(world, cluster, reference)))
        else:
            tasks.append(describe_task(task, task.timeline.at(request.view_at)))
    return {"tasks": tasks, "failures": failures}


@operation("ecs", writes=True)
def stop_task(world: World, request: Request) -> Answer:
    """Stop a task; one that is stopping already is answered again."""
    cluster = world.ledger.cluster(request.parameters.get("cluster"))
    task = find_task(world, cluster, request.parameters["task"], world.now)
    if task is None:
        raise ApiError("InvalidParameterException", "The referenced task was not found.")
    reason = request.parameters.get("reason") or "Task stopped by user"
    cause = StopCause(kind=StopKind.STOP_TASK, access_key=request.caller.access_key)
    world.lifecycle.stop_on_request(task, cause, reason)
    return {"task": describe_task(task, task.state)}


@operation("ecs")
def describe_container_instances(world: World, request: Request) -> Answer:
    """Describe up to a hundred container instances."""
    cluster = world.ledger.cluster(request.parameters.get("cluster"))
    references = request.parameters["containerInstances"]
    refuse_count("instanceIds", references, DESCRIBED_TASKS_LIMIT)
    known = {last(instance.arn): instance for instance in cluster.instances}
    found = [known[last(each)] for each in references if last(each) in known]
    missing = [missing(each) for each in references if last(each) not in known]
    described = [describe_instance(cluster, instance) for instance in found]
    return {"containerInstances": described, "failures": missing}


@operation("ecs")
def describe_task_definition(world: World, request: Request) -> Answer:
    """Describe a service's task definition: one container with one port."""
    reference = last(request.parameters["taskDefinition"])
    family, _, revision = reference.partition(":")
    for service in world.services:
        if service.name == family:
            return {"taskDefinition": _task_definition(world, service, int(revision or 1))}
    raise ApiError("ClientException", "Unable to describe task definition.")


def _secrets(service: Service) -> Answer:
    """Return every place of a container that names secrets or parameters.

    https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html
    """
    setup = service.setup
    members: Answer = {}
    if setup.secrets:
        members["secrets"] = _named("SECRET", setup.secrets)
    if setup.log_secrets:
        options = _named("OPTION", setup.log_secrets)
        members["logConfiguration"] = {"logDriver": "splunk", "secretOptions": options}
    if setup.registry_secret:
        members["repositoryCredentials"] = {"credentialsParameter": setup.registry_secret}
    return members


def _named(word: str, sources: Sequence[str]) -> list[Answer]:
    return [
        {"name": f"{word}_{number}", "valueFrom": source} for number, source in enumerate(sources)
    ]


def _task_definition(world: World, service: Service, revision: int) -> Answer:
    host_port = CONTAINER_PORT if service.awsvpc else service.fixed_host_port or 0
    port = {"containerPort": CONTAINER_PORT, "hostPort": host_port, "protocol": "tcp"}
    container: Answer = {
        "name": "app",
        "image": "registry.invalid/app:1",
        "essential": True,
        "portMappings": [port],
        **_secrets(service),
    }
    if service.container_health:
        check = ["CMD-SHELL", "curl -f http://localhost:8080/"]
        container["healthCheck"] = {"command": check, "interval": 5, "timeout": 2, "retries": 3}
    return {
        "taskDefinitionArn": world.account.arn("ecs", f"task-definition/{service.name}:{revision}"),
        "containerDefinitions": [container],
        "family": service.name,
        "networkMode": service.setup.network_mode.removesuffix("-static"),
        "revision": revision,
        "status": "ACTIVE",
        "compatibilities": ["EC2", "FARGATE"] if service.awsvpc else ["EC2"],
        "requiresCompatibilities": [service.launch_type],
        "cpu": "256",
        "memory": "512",
    }
