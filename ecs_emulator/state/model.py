"""What a world consists of: clusters, services, tasks, target groups, scalable targets.

Identities are objects; what changes about them is an immutable state on a timeline, so that
reads can look into the past and every history is there afterwards.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ecs_emulator.ground.knobs import Dice, FailingStart, Knobs
from ecs_emulator.ground.timeline import Timeline
from ecs_emulator.state.service_state import Deployment, ServiceEvent, ServiceState
from ecs_emulator.state.setup import ServiceSetup
from ecs_emulator.state.task_state import (
    CONTAINER_PORT,
    OF_SURPLUS,
    ContainerInstance,
    Placement,
    StopCause,
    TaskState,
)

if TYPE_CHECKING:
    from ecs_emulator.state.target_groups import TargetGroup

FULL_PERCENT = 100
FIXED_HOST_PORTS = {"bridge-static": 80, "host": CONTAINER_PORT}


class Task:
    """One task of a service; `launch` counts from 1, 0 for those there at the world's start."""

    def __init__(
        self,
        *,
        service: "Service",
        arn: str,
        number: int,
        deployment: Deployment,
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
        self.hangs_in: str | None = None
        self.is_left_over = False
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
    def leaving(self) -> bool:
        """Whether the task will be STOPPED some time, is not yet, and is to be replaced."""
        is_surplus = self.stop_cause is not None and self.stop_cause.kind in OF_SURPLUS
        ends = not self.active and self.last_status != "STOPPED" and self.hangs_in is None
        return ends and not is_surplus

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


@dataclass(slots=True, kw_only=True)
class Rebalance:
    """A zone rebalancing under way: the replacement first, then the victim stops."""

    victim: Task
    replacement: Task


@dataclass(slots=True, kw_only=True)
class SchedulerState:
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
        self.answers: dict[str, dict[str, Any]] = {}
        self.scheduler_state = SchedulerState()
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
    def managed_by_ecs(self) -> bool:
        """Whether the target groups are ECS's own, which only the service revision tells."""
        return self.setup.gateway_connector or self.setup.resource_management == "ECS"

    @property
    def awsvpc(self) -> bool:
        """Whether each task has a network interface of its own."""
        return self.setup.network_mode == "awsvpc"

    @property
    def fixed_host_port(self) -> int | None:
        """The one port of an instance that each task needs, if it is always the same."""
        return FIXED_HOST_PORTS.get(self.setup.network_mode)

    @property
    def target_ip_address_type(self) -> str:
        """The ipAddressType of the target groups: ipv4 or ipv6."""
        family = self.setup.ip_family
        return self.setup.target_ip_address_type or ("ipv6" if family == "ipv6" else "ipv4")

    @property
    def launch_type(self) -> str:
        """FARGATE, EC2, MANAGED_INSTANCES or EXTERNAL."""
        return self.setup.launch_type or ("FARGATE" if self.awsvpc else "EC2")

    @property
    def rebalances_zones(self) -> bool:
        """Whether Availability Zone rebalancing is enabled.

        By default for new services, unless they allow no task above the desired count, are
        daemons, or run on external instances:
        https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-rebalancing.html
        """
        if self.setup.availability_zone_rebalancing is not None:
            return self.setup.availability_zone_rebalancing
        fitting = self.setup.maximum_percent > FULL_PERCENT and self.setup.controller == "ECS"
        fitting = fitting and not self.daemon and self.launch_type != "EXTERNAL"
        return fitting and self.knobs.az_rebalancing

    @property
    def daemon(self) -> bool:
        """Whether there is one task per instance instead of a desired count."""
        return self.setup.scheduling_strategy == "DAEMON"

    @property
    def active_tasks(self) -> list[Task]:
        """The tasks that are meant to run, the oldest first."""
        return [task for task in self.present if task.active]

    @property
    def staffed_tasks(self) -> list[Task]:
        """The tasks that the desired count is about: without those of a deferred cleanup."""
        return [task for task in self.active_tasks if not task.is_left_over]

    @property
    def leaving_tasks(self) -> list[Task]:
        """The tasks whose replacement may have to wait."""
        return [task for task in self.present if task.leaving]

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
