"""Amazon ECS's operations on clusters and services.

https://docs.aws.amazon.com/AmazonECS/latest/APIReference/
"""

from collections.abc import Mapping
from typing import Any

from ecs_emulator.api.ecs.lookup import (
    find_service,
    last,
    listing,
    missing,
    refuse_count,
    service_of,
)
from ecs_emulator.api.ecs.service_descriptions import describe_cluster, describe_service
from ecs_emulator.api.registry import Answer, Request, operation
from ecs_emulator.ground.errors import ApiError, EmulatorError
from ecs_emulator.state.model import Service
from ecs_emulator.world import World

DESCRIBED_SERVICES_LIMIT = 10
UPDATES_EMULATED = frozenset(
    {"cluster", "service", "desiredCount", "forceNewDeployment", "taskDefinition"}
)


@operation("ecs")
def list_clusters(world: World, request: Request) -> Answer:
    """List all clusters, in pages."""
    return listing(world, request, "clusterArns", [c.arn for c in world.ledger.clusters.values()])


@operation("ecs")
def describe_clusters(world: World, request: Request) -> Answer:
    """Describe the named clusters; without names the one called "default"."""
    clusters: list[Answer] = []
    failures: list[Answer] = []
    for reference in request.parameters.get("clusters") or ["default"]:
        name = last(reference)
        if name in world.ledger.clusters:
            clusters.append(describe_cluster(world.ledger.clusters[name]))
        else:
            failures.append(missing(world.account.arn("ecs", f"cluster/{name}")))
    return {"clusters": clusters, "failures": failures}


@operation("ecs")
def list_services(world: World, request: Request) -> Answer:
    """List the cluster's services, in pages; the deleted ones not."""
    cluster = world.ledger.cluster(request.parameters.get("cluster"))
    strategy = request.parameters.get("schedulingStrategy")
    launch_type = request.parameters.get("launchType")
    arns = [
        service.arn
        for service in cluster.services.values()
        if service.timeline.at(request.view_at).status != "INACTIVE"
        and strategy in {None, service.setup.scheduling_strategy}
        and launch_type in {None, service.launch_type}
    ]
    return listing(world, request, "serviceArns", arns)


@operation("ecs")
def describe_services(world: World, request: Request) -> Answer:
    """Describe up to ten services."""
    cluster = world.ledger.cluster(request.parameters.get("cluster"))
    references = request.parameters["services"]
    refuse_count("service names", references, DESCRIBED_SERVICES_LIMIT)
    services: list[Answer] = []
    failures: list[Answer] = []
    for reference in references:
        service = find_service(cluster, reference)
        if service is None:
            name = last(reference)
            failures.append(missing(world.account.arn("ecs", f"service/{cluster.name}/{name}")))
        else:
            tags = _tags(service) if "TAGS" in request.parameters.get("include", ()) else {}
            services.append({**describe_service(service, request.view_at), **tags})
    return {"services": services, "failures": failures}


def _tags(service: Service) -> Answer:
    """Tags are told to those alone who ask for them.

    https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeServices.html
    """
    pairs = service.setup.tags.items()
    return {"tags": [{"key": key, "value": value} for key, value in pairs]}


@operation("ecs", writes=True)
def update_service(world: World, request: Request) -> Answer:
    """Set the desired count, or start a deployment; nothing else is emulated."""
    parameters = request.parameters
    unknown = parameters.keys() - UPDATES_EMULATED
    if unknown:
        raise EmulatorError(f"UpdateService with {sorted(unknown)} is not emulated.")
    service = service_of(world.ledger.cluster(parameters.get("cluster")), parameters["service"])
    if service.status != "ACTIVE":
        raise ApiError("ServiceNotActiveException", "Service was not ACTIVE.")
    _refuse_count_of_daemon(service, parameters)
    _refuse_deployment_of_others(service, parameters)
    if "desiredCount" in parameters:
        who = f"UpdateService by {request.caller.access_key}"
        world.ledger.move_desired_count(service, parameters["desiredCount"], who)
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
        raise ApiError("InvalidParameterException", "Task count can not be lesser than 0")


def _refuse_deployment_of_others(service: Service, parameters: Mapping[str, Any]) -> None:
    controller = service.setup.controller
    deploys = parameters.get("forceNewDeployment") or "taskDefinition" in parameters
    if deploys and controller != "ECS":
        raise ApiError(
            "InvalidParameterException",
            f"Cannot start a deployment on services with a {controller} deployment controller.",
        )
