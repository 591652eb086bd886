"""Amazon ECS's operations on service deployments.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-deployment.html
"""

from ecs_emulator.api.ecs.lookup import missing, page_of, service_of
from ecs_emulator.api.ecs.service_descriptions import describe_service_deployment
from ecs_emulator.api.registry import Answer, Request, operation
from ecs_emulator.state.model import Service
from ecs_emulator.world import World

BRIEF = (
    "serviceDeploymentArn",
    "serviceArn",
    "clusterArn",
    "createdAt",
    "startedAt",
    "finishedAt",
    "status",
    "statusReason",
)


@operation("ecs")
def list_service_deployments(world: World, request: Request) -> Answer:
    """List a service's deployments, in pages."""
    asked = request.parameters
    service = service_of(world.ledger.cluster(asked.get("cluster")), asked["service"])
    statuses = asked.get("status")
    rows = [
        {name: row[name] for name in BRIEF if name in row}
        for row in _deployments(service, request.view_at)
        if not statuses or row["status"] in statuses
    ]
    return page_of(
        world, request, "serviceDeployments", rows, key=lambda row: row["serviceDeploymentArn"]
    )


@operation("ecs")
def describe_service_deployments(world: World, request: Request) -> Answer:
    """Describe service deployments, with the pause hook that holds one."""
    known = {
        row["serviceDeploymentArn"]: row
        for service in world.services
        for row in _deployments(service, request.view_at)
    }
    arns = request.parameters["serviceDeploymentArns"]
    return {
        "serviceDeployments": [known[arn] for arn in arns if arn in known],
        "failures": [missing(arn) for arn in arns if arn not in known],
    }


def _deployments(service: Service, at: float) -> list[Answer]:
    if service.setup.controller != "ECS":
        return []
    state = service.timeline.at(at)
    known = (*state.deployments, *state.inactive)
    return [describe_service_deployment(service, state, deployment) for deployment in known]
