"""How services and clusters look to those who ask.

https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Service.html
"""

from bisect import bisect_right
from collections.abc import Sequence

from ecs_emulator.api.ecs.descriptions import (
    COMING,
    CONTAINER_NAME,
    SECURITY_GROUP,
    SUBNET,
    Description,
    Known,
    capacity_of,
    count_of,
    given,
    instant,
)
from ecs_emulator.state.model import Cluster, Service, Task
from ecs_emulator.state.service_state import Deployment, ServiceEvent, ServiceState
from ecs_emulator.state.task_state import CONTAINER_PORT, TaskState

EVENTS_SHOWN = 100
STRATEGIES: dict[str, Description] = {
    "ROLLING": {},
    "BLUE_GREEN": {"bakeTimeInMinutes": 15},
    "LINEAR": {
        "bakeTimeInMinutes": 15,
        "linearConfiguration": {"stepPercent": 10.0, "stepBakeTimeInMinutes": 6},
    },
    "CANARY": {
        "bakeTimeInMinutes": 15,
        "canaryConfiguration": {"canaryPercent": 5.0, "canaryBakeTimeInMinutes": 10},
    },
}
"""What each strategy has besides:
https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeploymentConfiguration.html"""
SERVICE_DEPLOYMENT_STATUSES = {
    "COMPLETED": "SUCCESSFUL",
    "IN_PROGRESS": "IN_PROGRESS",
    "FAILED": "STOPPED",
}


def describe_service(service: Service, at: float) -> Description:
    """Describe a service as it was at an instant (epoch seconds)."""
    state = service.timeline.at(at)
    tasks = list(service.tasks_at(at))
    members: Description = {
        "serviceArn": service.arn,
        "serviceName": service.name,
        "clusterArn": service.cluster.arn,
        "loadBalancers": load_balancers(service),
        "serviceRegistries": _registries(service),
        "status": state.status,
        "desiredCount": state.desired_count,
        "runningCount": count_of(tasks, "RUNNING"),
        "pendingCount": count_of(tasks, *COMING),
        **capacity_of(service),
        "taskDefinition": state.primary.task_definition_arn,
        "deploymentConfiguration": deployment_configuration(service, state),
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
        "resourceManagementType": service.setup.resource_management,
        "availabilityZoneRebalancing": "ENABLED" if service.rebalances_zones else "DISABLED",
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
        member: [
            describe(service, state, deployment, tasks)
            for deployment in (*state.deployments, *state.inactive)
        ]
    }
    if service.setup.controller == "ECS" and state.primary.rollout_state == "IN_PROGRESS":
        members["currentServiceDeployment"] = service_deployment_arn(service, state.primary)
    if service.setup.controller == "ECS":
        members["currentServiceRevisions"] = [
            _current_revision(service, state, deployment, tasks) for deployment in state.deployments
        ]
    if service.target_groups:
        members["healthCheckGracePeriodSeconds"] = service.setup.health_check_grace_seconds
    if service.awsvpc:
        members["networkConfiguration"] = _network_configuration()
    return members


def _registries(service: Service) -> list[Description]:
    if not service.setup.cloud_map:
        return []
    arn = service.arn.replace(":ecs:", ":servicediscovery:").rpartition(":")[0]
    return [{"registryArn": f"{arn}:service/srv-{service.name}"}]


def _current_revision(
    service: Service,
    state: ServiceState,
    deployment: Deployment,
    tasks: Sequence[tuple[Task, TaskState]],
) -> Description:
    own = [(task, each) for task, each in tasks if task.deployment_id == deployment.id]
    running = count_of(own, "RUNNING")
    return {
        "arn": service_revision_arn(service, deployment),
        "requestedTaskCount": state.desired_count if deployment.status == "PRIMARY" else running,
        "runningTaskCount": running,
        "pendingTaskCount": count_of(own, *COMING),
    }


def load_balancers(service: Service) -> list[Description]:
    """Describe the target groups, or the classic load balancer, that the owner attached."""
    if service.managed_by_ecs:
        return []
    container = {"containerName": CONTAINER_NAME, "containerPort": CONTAINER_PORT}
    classic = service.setup.classic_load_balancer
    if classic is not None:
        return [{"loadBalancerName": classic, **container}]
    return [{"targetGroupArn": group.arn, **container} for group in service.target_groups]


def _network_configuration() -> Description:
    interface = {
        "subnets": [SUBNET],
        "securityGroups": [SECURITY_GROUP],
        "assignPublicIp": "DISABLED",
    }
    return {"awsvpcConfiguration": interface}


def deployment_configuration(service: Service, state: ServiceState) -> Description:
    """Describe how the service is deployed; pause hooks and early success where there are any."""
    setup = service.setup
    breaker = {"enable": setup.circuit_breaker, "rollback": False}
    alarms = {"alarmNames": list(setup.alarms), "rollback": False, "enable": bool(setup.alarms)}
    configuration: Description = {
        "deploymentCircuitBreaker": breaker,
        "maximumPercent": setup.maximum_percent,
        "minimumHealthyPercent": setup.minimum_healthy_percent,
        "alarms": alarms,
        "strategy": setup.deployment_strategy,
        **STRATEGIES[setup.deployment_strategy],
    }
    if state.completes_early:
        configuration["earlySuccessCriteria"] = {
            "enable": True,
            "healthyPercent": 100,
            "sourceServiceRevisionCleanup": "DEFERRED",
        }
    if state.primary.paused_at is not None:
        hook = {"targetType": "PAUSE", "lifecycleStages": [state.primary.paused_at]}
        configuration["lifecycleHooks"] = [hook]
    return configuration


def _events(service: Service, at: float) -> list[Description]:
    end = bisect_right(service.events, at, key=lambda event: event.created_at)
    shown = service.events[max(0, end - EVENTS_SHOWN) : end]
    return [_event(service, event) for event in reversed(shown)]


def _event(service: Service, event: ServiceEvent) -> Description:
    """Describe an event. One description per event, made once."""
    if event.id not in service.answers:
        service.answers[event.id] = Known(
            id=event.id, createdAt=instant(event.created_at), message=event.message
        )
    return service.answers[event.id]


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
        "desiredCount": state.desired_count if primary else count_of(own, "RUNNING"),
        "pendingCount": count_of(own, *COMING),
        "runningCount": count_of(own, "RUNNING"),
        "failedTasks": deployment.failed_tasks,
        "createdAt": instant(deployment.created_at),
        "updatedAt": instant(deployment.updated_at),
        **capacity_of(service),
        "rolloutState": deployment.rollout_state,
        "rolloutStateReason": deployment.rollout_state_reason
        or f"ECS deployment {deployment.id} completed.",
    }
    if service.awsvpc:
        members["networkConfiguration"] = _network_configuration()
    if service.setup.service_connect:
        members["serviceConnectConfiguration"] = {"enabled": True, "namespace": "apps"}
    if service.setup.vpc_lattice:
        members["vpcLatticeConfigurations"] = [_lattice(service)]
    return members


def _lattice(service: Service) -> Description:
    """Describe a target group of VPC Lattice.

    https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_VpcLatticeConfiguration.html
    """
    arn = service.arn.replace(":ecs:", ":vpc-lattice:").rpartition(":")[0]
    role_arn = service.arn.rsplit(":", 1)[0].replace(":ecs:", ":iam:") + ":role/lattice"
    return {"roleArn": role_arn, "targetGroupArn": f"{arn}:targetgroup/tg-0", "portName": "http"}


def service_revision_arn(service: Service, deployment: Deployment) -> str:
    """Return the ARN under which DescribeServiceRevisions knows what a deployment deploys."""
    number = deployment.id.rpartition("/")[2]
    return f"{service.arn.replace(':service/', ':service-revision/')}/{number}"


def service_deployment_arn(service: Service, deployment: Deployment) -> str:
    """Return the ARN under which DescribeServiceDeployments knows a deployment."""
    number = deployment.id.rpartition("/")[2]
    return f"{service.arn.replace(':service/', ':service-deployment/')}/{number}"


def describe_service_deployment(
    service: Service, state: ServiceState, deployment: Deployment
) -> Description:
    """Describe a deployment as a service deployment, with the hook that holds it.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/pause-lifecycle-hooks.html
    """
    finished = deployment.rollout_state != "IN_PROGRESS"
    hook = {
        "hookId": f"ecs-pause-{deployment.id.rpartition('/')[2]}",
        "targetType": "PAUSE",
        "status": "AWAITING_ACTION",
        "expiresAt": instant(deployment.hook_expires_at),
        "timeoutAction": "ROLLBACK",
    }
    members = {
        "serviceDeploymentArn": service_deployment_arn(service, deployment),
        "serviceArn": service.arn,
        "clusterArn": service.cluster.arn,
        "createdAt": instant(deployment.created_at),
        "startedAt": instant(deployment.created_at),
        "finishedAt": instant(deployment.updated_at) if finished else None,
        "updatedAt": instant(deployment.updated_at),
        "status": SERVICE_DEPLOYMENT_STATUSES[deployment.rollout_state],
        "statusReason": deployment.rollout_state_reason or None,
        "lifecycleStage": deployment.paused_at,
        "lifecycleHookDetails": [hook] if deployment.paused_at else None,
        "deploymentConfiguration": deployment_configuration(service, state),
    }
    return given(members)


def _task_set(
    service: Service,
    state: ServiceState,
    deployment: Deployment,
    tasks: Sequence[tuple[Task, TaskState]],
) -> Description:
    own = [(task, each) for task, each in tasks if task.deployment_id == deployment.id]
    running, pending = count_of(own, "RUNNING"), count_of(own, *COMING)
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
        "createdAt": instant(deployment.created_at),
        "updatedAt": instant(deployment.updated_at),
        **capacity_of(service),
        "loadBalancers": load_balancers(service),
        "scale": {"value": 100.0, "unit": "PERCENT"},
        "stabilityStatus": "STEADY_STATE" if steady else "STABILIZING",
        "stabilityStatusAt": instant(deployment.updated_at),
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
        "runningTasksCount": count_of(tasks, "RUNNING"),
        "pendingTasksCount": count_of(tasks, *COMING),
        "activeServicesCount": sum(s.status == "ACTIVE" for s in cluster.services.values()),
        "settings": [],
    }
