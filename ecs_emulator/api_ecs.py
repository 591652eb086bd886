"""Amazon ECS's operations.

https://docs.aws.amazon.com/AmazonECS/latest/APIReference/
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ecs_emulator.core import KEPT_SECONDS
from ecs_emulator.descriptions import (
    describe_cluster,
    describe_instance,
    describe_service,
    describe_task,
)
from ecs_emulator.errors import ApiError, EmulatorError
from ecs_emulator.model import Cluster, Service, StopCause, StopKind, Task, TaskState
from ecs_emulator.paging import page
from ecs_emulator.registry import Answer, Request, operation
from ecs_emulator.world import World

PAGE_LIMIT = 100
DESCRIBED_TASKS_LIMIT = 100
DESCRIBED_SERVICES_LIMIT = 10
UPDATES_EMULATED = frozenset(
    {"cluster", "service", "desiredCount", "forceNewDeployment", "taskDefinition"}
)


@operation("ecs")
def list_clusters(world: World, request: Request) -> Answer:
    """List all clusters, in pages."""
    return _listing(world, request, "clusterArns", [c.arn for c in world.clusters.values()])


@operation("ecs")
def describe_clusters(world: World, request: Request) -> Answer:
    """Describe the named clusters; without names the one called "default"."""
    clusters: list[Answer] = []
    failures: list[Answer] = []
    for reference in request.parameters.get("clusters") or ["default"]:
        name = _last(reference)
        if name in world.clusters:
            clusters.append(describe_cluster(world.clusters[name]))
        else:
            failures.append(_missing(world.arn("ecs", f"cluster/{name}")))
    return {"clusters": clusters, "failures": failures}


@operation("ecs")
def list_services(world: World, request: Request) -> Answer:
    """List the cluster's services, in pages; the deleted ones not."""
    cluster = world.cluster(request.parameters.get("cluster"))
    strategy = request.parameters.get("schedulingStrategy")
    launch_type = request.parameters.get("launchType")
    arns = [
        service.arn
        for service in cluster.services.values()
        if service.timeline.at(request.view_at).status != "INACTIVE"
        and strategy in {None, service.setup.scheduling_strategy}
        and launch_type in {None, service.launch_type}
    ]
    return _listing(world, request, "serviceArns", arns)


@operation("ecs")
def describe_services(world: World, request: Request) -> Answer:
    """Describe up to ten services."""
    cluster = world.cluster(request.parameters.get("cluster"))
    references = request.parameters["services"]
    _refuse_count("service names", references, DESCRIBED_SERVICES_LIMIT)
    services: list[Answer] = []
    failures: list[Answer] = []
    for reference in references:
        service = _find_service(cluster, reference)
        if service is None:
            name = _last(reference)
            failures.append(_missing(world.arn("ecs", f"service/{cluster.name}/{name}")))
        else:
            services.append(describe_service(service, request.view_at))
    return {"services": services, "failures": failures}


@operation("ecs", writes=True)
def update_service(world: World, request: Request) -> Answer:
    """Set the desired count, or start a deployment; nothing else is emulated."""
    parameters = request.parameters
    unknown = parameters.keys() - UPDATES_EMULATED
    if unknown:
        raise EmulatorError(f"UpdateService with {sorted(unknown)} is not emulated.")
    service = _service(world.cluster(parameters.get("cluster")), parameters["service"])
    if service.status != "ACTIVE":
        raise ApiError("ServiceNotActiveException", "Service was not ACTIVE.")
    _refuse_count_of_daemon(service, parameters)
    _refuse_deployment_of_others(service, parameters)
    if "desiredCount" in parameters:
        who = f"UpdateService by {request.caller.access_key}"
        world.move_desired_count(service, parameters["desiredCount"], who)
    if parameters.get("forceNewDeployment") or "taskDefinition" in parameters:
        arn = parameters.get("taskDefinition")
        world.start_deployment(service.cluster.name, service.name, task_definition_arn=arn)
    return {"service": describe_service(service, world.now)}


def _refuse_count_of_daemon(service: Service, parameters: Mapping[str, Any]) -> None:
    desired_count = parameters.get("desiredCount")
    if desired_count is None:
        return
    if service.daemon:
        raise ApiError(
            "InvalidParameterException",
            "The daemon scheduling strategy does not support a desired count for services. "
            "Remove the desired count value and try again",
        )
    if desired_count < 0:
        raise ApiError("InvalidParameterException", "desiredCount must not be negative.")


def _refuse_deployment_of_others(service: Service, parameters: Mapping[str, Any]) -> None:
    controller = service.setup.controller
    deploys = parameters.get("forceNewDeployment") or "taskDefinition" in parameters
    if deploys and controller != "ECS":
        raise ApiError(
            "InvalidParameterException",
            f"Cannot start a deployment on services with a {controller} deployment controller.",
        )


@operation("ecs")
def list_tasks(world: World, request: Request) -> Answer:
    """List tasks by desired status (RUNNING unless told otherwise), of a service or the cluster."""
    parameters = request.parameters
    cluster = world.cluster(parameters.get("cluster"))
    if "startedBy" in parameters and parameters.keys() & {"serviceName", "family", "launchType"}:
        raise ApiError(
            "InvalidParameterException", "startedBy cannot be combined with other filters."
        )
    services = list(cluster.services.values())
    if "serviceName" in parameters:
        services = [_service(cluster, parameters["serviceName"])]
    arns = [
        task.arn
        for service in services
        for task, state in service.tasks_at(request.view_at)
        if _listed(task, state, request)
    ]
    return _listing(world, request, "taskArns", arns)


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
        not _expired(state, request.view_at),
    )
    return all(matches)


@operation("ecs")
def describe_tasks(world: World, request: Request) -> Answer:
    """Describe up to a hundred tasks, those stopped within the hour included."""
    cluster = world.cluster(request.parameters.get("cluster"))
    references = request.parameters["tasks"]
    if not references:
        raise ApiError("InvalidParameterException", "Tasks cannot be empty.")
    _refuse_count("taskIds", references, DESCRIBED_TASKS_LIMIT)
    tasks: list[Answer] = []
    failures: list[Answer] = []
    for reference in references:
        task = find_task(world, cluster, reference, request.view_at)
        if task is None:
            failures.append(_missing(task_arn(world, cluster, reference)))
        else:
            tasks.append(describe_task(task, task.timeline.at(request.view_at)))
    return {"tasks": tasks, "failures": failures}


@operation("ecs", writes=True)
def stop_task(world: World, request: Request) -> Answer:
    """Stop a task; one that is stopping already is answered again."""
    cluster = world.cluster(request.parameters.get("cluster"))
    task = find_task(world, cluster, request.parameters["task"], world.now)
    if task is None:
        raise ApiError("InvalidParameterException", "The referenced task was not found.")
    reason = request.parameters.get("reason") or "Task stopped by user"
    cause = StopCause(kind=StopKind.STOP_TASK, access_key=request.caller.access_key)
    world.stop_on_request(task, cause, reason)
    return {"task": describe_task(task, task.state)}


@operation("ecs")
def describe_container_instances(world: World, request: Request) -> Answer:
    """Describe up to a hundred container instances."""
    cluster = world.cluster(request.parameters.get("cluster"))
    references = request.parameters["containerInstances"]
    _refuse_count("instanceIds", references, DESCRIBED_TASKS_LIMIT)
    known = {_last(instance.arn): instance for instance in cluster.instances}
    found = [known[_last(each)] for each in references if _last(each) in known]
    missing = [_missing(each) for each in references if _last(each) not in known]
    described = [describe_instance(cluster, instance) for instance in found]
    return {"containerInstances": described, "failures": missing}


@operation("ecs")
def describe_task_definition(world: World, request: Request) -> Answer:
    """Describe a service's task definition: one container with one port."""
    reference = _last(request.parameters["taskDefinition"])
    family, _, revision = reference.partition(":")
    for service in world.services:
        if service.name == family:
            return {"taskDefinition": _task_definition(world, service, int(revision or 1))}
    raise ApiError("ClientException", "Unable to describe task definition.")


def _task_definition(world: World, service: Service, revision: int) -> Answer:
    static = service.setup.network_mode == "bridge-static"
    port = {"containerPort": 8080, "hostPort": 80 if static else 0, "protocol": "tcp"}
    container: Answer = {
        "name": "app",
        "image": "registry.invalid/app:1",
        "essential": True,
        "portMappings": [port],
    }
    if service.container_health:
        check = ["CMD-SHELL", "curl -f http://localhost:8080/"]
        container["healthCheck"] = {"command": check, "interval": 5, "timeout": 2, "retries": 3}
    return {
        "taskDefinitionArn": world.arn("ecs", f"task-definition/{service.name}:{revision}"),
        "containerDefinitions": [container],
        "family": service.name,
        "networkMode": "awsvpc" if service.awsvpc else "bridge",
        "revision": revision,
        "status": "ACTIVE",
        "compatibilities": ["EC2", "FARGATE"] if service.awsvpc else ["EC2"],
        "requiresCompatibilities": [service.launch_type],
        "cpu": "256",
        "memory": "512",
    }


# -- what the operations share ------------------------------------------------------------------


def find_task(world: World, cluster: Cluster, reference: str, at: float) -> Task | None:
    """Return the cluster's task of this ARN or id, if it can be seen at this instant."""
    task = world.tasks.get(task_arn(world, cluster, reference))
    if task is None or task.service.cluster is not cluster or task.created_at > at:
        return None
    return None if _expired(task.timeline.at(at), at) else task


def task_arn(world: World, cluster: Cluster, reference: str) -> str:
    """Return a task's full ARN, whether it was given as that or as an id."""
    if reference.startswith("arn:"):
        return reference
    return world.arn("ecs", f"task/{cluster.name}/{_last(reference)}")


def _expired(state: TaskState, at: float) -> bool:
    return state.stopped_at is not None and at > state.stopped_at + KEPT_SECONDS


def _find_service(cluster: Cluster, reference: str) -> Service | None:
    """Return the service of this name or ARN; an ARN of another cluster finds nothing."""
    service = cluster.services.get(_last(reference))
    if service is None or (reference.startswith("arn:") and not _same_arn(service, reference)):
        return None
    return service


def _same_arn(service: Service, arn: str) -> bool:
    short = service.arn.replace(f"/{service.cluster.name}/", "/")
    return arn in {service.arn, short}


def _service(cluster: Cluster, reference: str) -> Service:
    service = _find_service(cluster, reference)
    if service is None:
        raise ApiError("ServiceNotFoundException", "Service not found.")
    return service


def _listing(world: World, request: Request, member: str, arns: Sequence[str]) -> Answer:
    asked = request.parameters.get("maxResults") or PAGE_LIMIT
    if not 1 <= asked <= PAGE_LIMIT:
        raise ApiError("InvalidParameterException", f"maxResults must be 1 to {PAGE_LIMIT}.")
    limit = min(asked, world.knobs.page_size or PAGE_LIMIT)
    token = request.parameters.get("nextToken")
    shown, following = page(arns, key=str, limit=limit, token=token)
    return {member: shown, **({"nextToken": following} if following else {})}


def _refuse_count(what: str, references: Sequence[str], limit: int) -> None:
    if len(references) > limit:
        raise ApiError("InvalidParameterException", f"{what} can have at most {limit} items.")


def _missing(arn: str) -> Answer:
    return {"arn": arn, "reason": "MISSING"}


def _last(reference: str) -> str:
    return reference.rsplit("/", 1)[-1]
