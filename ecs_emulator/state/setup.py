"""How a service is made: the options of World.create_service."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Required, TypedDict

from ecs_emulator.ground.knobs import Knobs


@dataclass(frozen=True, slots=True, kw_only=True)
class SideCar:
    """An essential container without a health check, and the exit code with which it stops.

    A task of which not every essential container has a check is UNKNOWN, unless one that has is
    UNHEALTHY. https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Task.html
    """

    name: str = "log-router"
    exit_code: int = 0


class ServiceOptions(TypedDict, total=False):
    """What World.create_service takes: ServiceSetup's members, of which two are required."""

    cluster: Required[str]
    name: Required[str]
    desired_count: int
    target_group: bool | int
    container_health: bool | None
    network_mode: str
    ip_family: str
    target_ip_address_type: str | None
    registers_targets: bool
    extra_attachments: tuple[str, ...]
    side_car: SideCar | None
    health_check_grace_seconds: int
    slow_start_seconds: int
    deployment_strategy: str
    resource_management: str
    gateway_connector: bool
    classic_load_balancer: str | None
    vpc_lattice: bool
    cloud_map: bool
    service_connect: bool
    instance_ids: bool
    launch_type: str | None
    scheduling_strategy: str
    controller: str
    settled: bool
    instances: int | None
    alarms: tuple[str, ...]
    circuit_breaker: bool
    minimum_healthy_percent: int
    maximum_percent: int
    availability_zone_rebalancing: bool | None
    rollout_state: str
    tags: Mapping[str, str]
    secrets: tuple[str, ...]
    log_secrets: tuple[str, ...]
    registry_secret: str | None
    knobs: Knobs | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSetup:
    """How a service is made.

    `target_group`: how many target groups (True is one). `container_health`: whether tasks have a
    container health check; None: if the knob container_health_delay says so. `network_mode`:
    awsvpc, bridge (dynamic host ports), bridge-static (one host port, so one task per instance
    until it is STOPPED) or host (likewise, on the container's own port). `ip_family`: what awsvpc
    tasks have: ipv4, dual-stack or ipv6. `target_ip_address_type`: of the target groups, ipv4 or
    ipv6; None: ipv6 only for tasks without IPv4. `registers_targets`: whether tasks come into the
    target groups at all. `extra_attachments`: types of attachments that each task has before its
    own network interface. `side_car`: a container beside the first. `health_check_grace_seconds`:
    for how long after its start a task that fails its checks stays. `slow_start_seconds`: for how
    long after it is healthy a target of the group gets less than its share (0, or 30 to 900).
    `deployment_strategy`: ROLLING, BLUE_GREEN, LINEAR or CANARY, as it is told; the emulator rolls.
    `resource_management`: CUSTOMER, or ECS for Express Mode. `gateway_connector`: whether an ECS
    Gateway leads to the service. `classic_load_balancer`: the name of one that does, `vpc_lattice`:
    whether VPC Lattice does; both are told, and nothing else. `cloud_map`, `service_connect`:
    whether clients find the tasks through these. `instance_ids`: whether the cluster's instances
    show an ec2InstanceId. `launch_type`: FARGATE, EC2, MANAGED_INSTANCES (through a capacity
    provider) or EXTERNAL (ECS Anywhere: no load balancers); None: what fits the network mode.
    `scheduling_strategy`: REPLICA or DAEMON. `controller`: ECS, CODE_DEPLOY or EXTERNAL. `settled`:
    start in steady state with tasks of different ages; else with none. `instances`: how many the
    cluster has (EC2 only); None: enough for one task more. `alarms`: names of the deployment
    alarms. `availability_zone_rebalancing`: whether it is enabled; None: as the knob az_rebalancing
    says, but never for those that ECS does not rebalance. `rollout_state`: of the deployment.
    `tags`: of the service. `secrets`: what its container's environment reads, as `valueFrom` names
    it; `log_secrets`: likewise what its log driver reads, `registry_secret` what the pull of its
    image does. `knobs`: others than the world's.
    """

    cluster: str
    name: str
    desired_count: int = 3
    target_group: bool | int = False
    container_health: bool | None = None
    network_mode: str = "awsvpc"
    ip_family: str = "ipv4"
    target_ip_address_type: str | None = None
    registers_targets: bool = True
    extra_attachments: tuple[str, ...] = ()
    side_car: SideCar | None = None
    health_check_grace_seconds: int = 0
    slow_start_seconds: int = 0
    deployment_strategy: str = "ROLLING"
    resource_management: str = "CUSTOMER"
    gateway_connector: bool = False
    classic_load_balancer: str | None = None
    vpc_lattice: bool = False
    cloud_map: bool = False
    service_connect: bool = False
    instance_ids: bool = True
    launch_type: str | None = None
    scheduling_strategy: str = "REPLICA"
    controller: str = "ECS"
    settled: bool = True
    instances: int | None = None
    alarms: tuple[str, ...] = ()
    circuit_breaker: bool = False
    minimum_healthy_percent: int = 100
    maximum_percent: int = 200
    availability_zone_rebalancing: bool | None = None
    rollout_state: str = "COMPLETED"
    tags: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    log_secrets: tuple[str, ...] = ()
    registry_secret: str | None = None
    knobs: Knobs | None = None
