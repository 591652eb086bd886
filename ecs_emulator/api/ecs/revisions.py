"""Service revisions: what a service was deployed with, and what ECS keeps for it by itself.

Target groups of an ECS Gateway or of Express Mode belong to ECS. They are told here, in
`ecsManagedResources`; whether a service's `loadBalancers` lists them is not documented, and the
emulator's does not.
https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ServiceRevision.html
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/gateway-connect-service.html
"""

from ecs_emulator.api.ecs.descriptions import CONTAINER_NAME, Description, capacity_of, instant
from ecs_emulator.api.ecs.lookup import missing
from ecs_emulator.api.ecs.service_descriptions import load_balancers, service_revision_arn
from ecs_emulator.api.registry import Answer, Request, operation
from ecs_emulator.state.model import Service
from ecs_emulator.state.service_state import Deployment
from ecs_emulator.state.task_state import CONTAINER_PORT
from ecs_emulator.world import World


@operation("ecs")
def describe_service_revisions(world: World, request: Request) -> Answer:
    """Describe the revisions of the deployments that services have now."""
    known = {
        service_revision_arn(service, deployment): (service, deployment)
        for service in world.services
        for deployment in service.timeline.at(request.view_at).deployments
        if service.setup.controller == "ECS"
    }
    arns = request.parameters["serviceRevisionArns"]
    return {
        "serviceRevisions": [_revision(arn, *known[arn]) for arn in arns if arn in known],
        "failures": [missing(arn) for arn in arns if arn not in known],
    }


def _revision(arn: str, service: Service, deployment: Deployment) -> Description:
    groups = [{"targetGroupArn": group.arn} for group in service.target_groups]
    revision: Description = {
        "serviceRevisionArn": arn,
        "serviceArn": service.arn,
        "clusterArn": service.cluster.arn,
        "taskDefinition": deployment.task_definition_arn,
        **capacity_of(service),
        "loadBalancers": load_balancers(service),
        "createdAt": instant(deployment.created_at),
        "resolvedConfiguration": {"loadBalancers": groups},
    }
    if service.setup.gateway_connector:
        revision["gatewayConnectors"] = [{"portName": CONTAINER_NAME}]
        revision["ecsManagedResources"] = {"gatewayConnections": [_connection(service)]}
    elif service.managed_by_ecs:
        paths = [_ingress_path(group.arn, deployment.created_at) for group in service.target_groups]
        revision["ecsManagedResources"] = {"ingressPaths": paths}
    return revision


def _connection(service: Service) -> Description:
    shared = [{"targetGroupArn": group.arn} for group in service.target_groups]
    return {
        "portName": CONTAINER_NAME,
        "accessType": "PUBLIC",
        "status": "ACTIVE",
        "resources": {"hostSharedAlb": shared},
    }


def _ingress_path(group_arn: str, created_at: float) -> Description:
    group = {
        "arn": group_arn,
        "status": "ACTIVE",
        "updatedAt": instant(created_at),
        "healthCheckPath": "/",
        "healthCheckPort": CONTAINER_PORT,
        "port": CONTAINER_PORT,
    }
    return {"accessType": "PUBLIC", "endpoint": "app.invalid", "targetGroups": [group]}
