"""What a world consists of: clusters, services, tasks, target groups, scalable targets.

Identities are objects; what changes about them is an immutable state on a timeline, so that
reads can look into the past and every history is there afterwards.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Required, TypedDict

from ecs_emulator.knobs import Dice, FailingStart, Knobs
from ecs_emulator.timeline import Timeline

ACTIVE_STATUSES = ("PROVISIONING", "PENDING", "ACTIVATING", "RUNNING")


class StopKind(StrEnum):
    """Who made a task stop."""

    STOP_TASK = "StopTask"
    SCALE_IN = "scheduler scale-in"
    DEPLOYMENT = "scheduler deployment"
    UNHEALTHY = "scheduler unhealthy"
    REBALANCING = "scheduler rebalancing"
    DELETION = "service deleted"
    SOMEBODY = "somebody"
    CRASH = "crash"
    FAILED_START = "failed start"


@dataclass(frozen=True, slots=True, kw_only=True)
class StopCause:
    """Why a task stops: the kind, and for StopTask the access key that signed the call."""

    kind: StopKind
    access_key: str | None = None

    def __str__(self) -> str:
        return f"{self.kind} by {self.access_key}" if self.access_key else str(self.kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskState:
    """What can change about a task; all instants in epoch seconds.

    `health` is the containers' (HEALTHY, UNHEALTHY, UNKNOWN). `targets` has one entry per target
    group of the service: None (not registered), initial, healthy, unhealthy, draining.
    """

    last_status: str
    desired_status: str = "RUNNING"
    health: str = "UNKNOWN"
    targets: tuple[str | None, ...] = ()
    pull_started_at: float | None = None
    pull_stopped_at: float | None = None
    started_at: float | None = None
    stopping_at: float | None = None
    execution_stopped_at: float | None = None
    stopped_at: float | None = None
    stop_code: str | None = None
    stopped_reason: str | None = None
    exit_code: int | None = None
    protected_until: float | None = None

    def protected(self, at: float) -> bool:
        """Tell whether scale-in protection holds at this instant."""
        return self.protected_until is not None and self.protected_until > at

    @property
    def failing_checks(self) -> bool:
        """Whether a container or target group health check has found the task unhealthy."""
        return self.health == "UNHEALTHY" or "unhealthy" in self.targets


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerInstance:
    """An EC2 instance of a cluster."""

    arn: str
    ec2_instance_id: str
    availability_zone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where a task runs: its zone, and either an own address or a port on an instance."""

    availability_zone: str
    instance: ContainerInstance | None = None
    private_ip: str | None = None
    host_port: int | None = None

    @property
    def target(self) -> tuple[str, int]:
        """The (id, port) under which a target group knows the task."""
        if self.private_ip is not None:
            return self.private_ip, CONTAINER_PORT
        if self.instance is None or self.host_port is None:
            return "", 0
        return self.instance.ec2_instance_id, self.host_port


CONTAINER_PORT = 8080


class Task:
    """One task of a service; `launch` counts from 1, 0 for those there at the world's start."""

    def __init__(
        self,
        *,
        service: "Service",
        arn: str,
        number: int,
        deployment: "Deployment",
        placement: Placement,
        timeline: Timeline[TaskState],
    ) -> None:
        self.service = service
        self.arn = arn
        self.number = number
        self.launch = 0
        self.deployment_id = deployment.id
        self.task_definition_arn = deployment.task_definition_arn
        self.placement = placement
        self.timeline = timeline
        self.created_at = timeline.born_at
        self.failing: FailingStart | None = None
        self.stop_cause: StopCause | None = None
        self.journey = 0
        self.answers: dict[int, dict[str, Any]] = {}

    def __repr__(self) -> str:
        return f"<Task {self.number} {self.id[:6]} {self.last_status}/{self.desired_status}>"

    @property
    def id(self) -> str:
        """The last part of the ARN."""
        return self.arn.rsplit("/", 1)[1]

    @property
    def container_id(self) -> str:
        """The id under which the container agent's endpoint knows the task's container."""
        return f"{self.id}-1"

    @property
    def agent_path(self) -> str:
        """The path part of the ECS_AGENT_URI that the task's container is given."""
        return f"/api/{self.container_id}"

    @property
    def state(self) -> TaskState:
        """The state as it is now."""
        return self.timeline.latest

    @property
    def last_status(self) -> str:
        """ECS's lastStatus."""
        return self.state.last_status

    @property
    def desired_status(self) -> str:
        """ECS's desiredStatus."""
        return self.state.desired_status

    @property
    def health(self) -> str:
        """ECS's healthStatus."""
        return self.state.health

    @property
    def targets(self) -> tuple[str | None, ...]:
        """The target states, one per target group."""
        return self.state.targets

    @property
    def active(self) -> bool:
        """Whether the task is meant to run."""
        return self.state.desired_status == "RUNNING"

    @property
    def in_service(self) -> bool:
        """Whether the task serves now."""
        return self.service.serves(self.state)

    @property
    def starting(self) -> bool:
        """Whether the task is meant to run and neither in service nor found unhealthy."""
        return self.active and not self.in_service and not self.state.failing_checks

    @property
    def history(self) -> list[tuple[float, str, str, str, tuple[str | None, ...]]]:
        """All states as (instant, lastStatus, desiredStatus, health, target states)."""
        return [
            (at, state.last_status, state.desired_status, state.health, state.targets)
            for at, state in self.timeline
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """A deployment of a service, or its task set under another deployment controller."""

    id: str
    task_definition_arn: str
    created_at: float
    updated_at: float
    status: str = "PRIMARY"
    rollout_state: str = "COMPLETED"
    rollout_state_reason: str = ""
    failed_tasks: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceState:
    """What can change about a service. `deployments` has the primary one first."""

    status: str = "ACTIVE"
    desired_count: int
    deployments: tuple[Deployment, ...]

    @property
    def primary(self) -> Deployment:
        """The deployment that new tasks belong to."""
        return self.deployments[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceEvent:
    """One line of a service's event log."""

    id: str
    created_at: float
    message: str


class ServiceOptions(TypedDict, total=False):
    """What World.create_service takes: ServiceSetup's members, of which two are required."""

    cluster: Required[str]
    name: Required[str]
    desired_count: int
    target_group: bool | int
    container_health: bool | None
    network_mode: str
    launch_type: str | None
    scheduling_strategy: str
    controller: str
    settled: bool
    instances: int | None
    alarms: tuple[str, ...]
    circuit_breaker: bool
    minimum_healthy_percent: int
    maximum_percent: int
    rollout_state: str
    knobs: Knobs | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSetup:
    """How a service is made.

    `target_group`: how many target groups (True is one). `container_health`: whether tasks have a
    container health check; None: if the knob container_health_delay says so. `network_mode`:
    awsvpc, bridge (dynamic host ports) or bridge-static (one host port, so one task per instance
    until it is STOPPED). `launch_type`: FARGATE or EC2; None: what fits the network mode.
    `scheduling_strategy`: REPLICA or DAEMON. `controller`: ECS, CODE_DEPLOY or EXTERNAL.
    `settled`: start in steady state with tasks of different ages; else with none. `instances`: how
    many the cluster has (EC2 only); None: enough for one task more. `alarms`: names of the
    deployment alarms. `rollout_state`: of the deployment. `knobs`: others than the world's.
    """

    cluster: str
    name: str
    desired_count: int = 3
    target_group: bool | int = False
    container_health: bool | None = None
    network_mode: str = "awsvpc"
    launch_type: str | None = None
    scheduling_strategy: str = "REPLICA"
    controller: str = "ECS"
    settled: bool = True
    instances: int | None = None
    alarms: tuple[str, ...] = ()
    circuit_breaker: bool = False
    minimum_healthy_percent: int = 100
    maximum_percent: int = 200
    rollout_state: str = "COMPLETED"
    knobs: Knobs | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetGroup:
    """A target group; its targets are the tasks of its service."""

    arn: str
    name: str
    target_type: str
    index: int


@dataclass(slots=True, kw_only=True)
class Rebalance:
    """A zone rebalancing under way: the replacement first, then the victim stops."""

    victim: Task
    replacement: Task


@dataclass(slots=True, kw_only=True)
class SchedulerDesk:
    """What the scheduler keeps in mind about one service."""

    reconcile_due: bool = False
    steady_due: bool = False
    unfinished: bool = False
    steady: bool = False
    placement_event_at: float | None = None
    failed_in_a_row: int = 0
    launches_from: float = 0.0
    decisions: int = 0
    rebalances: list[Rebalance] = field(default_factory=list)


class Service:
    """A service, its tasks and its records."""

    def __init__(self, *, setup: ServiceSetup, cluster: "Cluster", arn: str, dice: Dice) -> None:
        self.setup = setup
        self.cluster = cluster
        self.arn = arn
        self.dice = dice
        self.knobs = setup.knobs or Knobs()
        self.target_groups: tuple[TargetGroup, ...] = ()
        self.timeline: Timeline[ServiceState]
        self.created_at = 0.0
        self.tasks: list[Task] = []
        self.present: list[Task] = []
        self.launch_count = 0
        self.failing_deployments: dict[str, FailingStart] = {}
        self.events: list[ServiceEvent] = []
        self.desk = SchedulerDesk()
        self.in_service_history: list[tuple[float, int]] = []
        self.desired_history: list[tuple[float, int, str]] = []

    def __repr__(self) -> str:
        return f"<Service {self.cluster.name}/{self.name} {self.status} {self.desired_count}>"

    @property
    def name(self) -> str:
        """The service's name."""
        return self.setup.name

    @property
    def state(self) -> ServiceState:
        """The state as it is now."""
        return self.timeline.latest

    @property
    def status(self) -> str:
        """ECS's status: ACTIVE, DRAINING or INACTIVE."""
        return self.state.status

    @property
    def desired_count(self) -> int:
        """The desired count as it is now."""
        return self.state.desired_count

    @property
    def container_health(self) -> bool:
        """Whether the tasks have a container health check."""
        if self.setup.container_health is None:
            return self.knobs.container_health_delay is not None
        return self.setup.container_health

    @property
    def awsvpc(self) -> bool:
        """Whether each task has a network interface of its own."""
        return self.setup.network_mode == "awsvpc"

    @property
    def launch_type(self) -> str:
        """FARGATE or EC2."""
        return self.setup.launch_type or ("FARGATE" if self.awsvpc else "EC2")

    @property
    def daemon(self) -> bool:
        """Whether there is one task per instance instead of a desired count."""
        return self.setup.scheduling_strategy == "DAEMON"

    @property
    def active_tasks(self) -> list[Task]:
        """The tasks that are meant to run, the oldest first."""
        return [task for task in self.present if task.active]

    @property
    def in_service_count(self) -> int:
        """How many tasks serve now."""
        return self.in_service_history[-1][1]

    def serves(self, state: TaskState) -> bool:
        """Tell whether a task in this state serves, as the project defines it."""
        return (
            state.last_status == "RUNNING"
            and state.desired_status == "RUNNING"
            and (state.health == "HEALTHY" or not self.container_health)
            and all(target == "healthy" for target in state.targets)
        )

    def tasks_at(self, instant: float) -> Iterator[tuple[Task, TaskState]]:
        """Iterate over the tasks not long gone, with their states at `instant`."""
        for task in self.present:
            if task.created_at <= instant:
                yield task, task.timeline.at(instant)


class Cluster:
    """A cluster with its services and instances, by name."""

    def __init__(self, *, name: str, arn: str) -> None:
        self.name = name
        self.arn = arn
        self.services: dict[str, Service] = {}
        self.instances: list[ContainerInstance] = []

    @property
    def held_count(self) -> int:
        """How many tasks hold resources: all that are not yet STOPPED."""
        return sum(
            task.last_status != "STOPPED"
            for service in self.services.values()
            for task in service.present
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalableState:
    """What can change about a scalable target."""

    min_capacity: int
    max_capacity: int
    scaling_in_suspended: bool = False
    scaling_out_suspended: bool = False
    scheduled_suspended: bool = False


class ScalableTarget:
    """A service's registration with Application Auto Scaling."""

    def __init__(self, *, service: Service, arn: str, timeline: Timeline[ScalableState]) -> None:
        self.service = service
        self.arn = arn
        self.timeline = timeline
        self.created_at = timeline.born_at

    @property
    def resource_id(self) -> str:
        """The service's name as Application Auto Scaling writes it."""
        return f"service/{self.service.cluster.name}/{self.service.name}"

    @property
    def min_capacity(self) -> int:
        """The lower limit now."""
        return self.timeline.latest.min_capacity

    @property
    def max_capacity(self) -> int:
        """The upper limit now."""
        return self.timeline.latest.max_capacity
