"""The values that cross the engine: ECS's own things, and what a run says of them.

All of them are frozen, and all of them survive JSON (see ``codec``), so that the result of a step
can be kept and read again. Instants (``_at``) are aware UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from ecs_task_recycle.errors import Failure

NOT_YET_RUNNING = ("PROVISIONING", "PENDING", "ACTIVATING")
LIFECYCLE = (
    *NOT_YET_RUNNING,
    "RUNNING",
    "DEACTIVATING",
    "STOPPING",
    "DEPROVISIONING",
    "STOPPED",
    "DELETED",
)
"""https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-lifecycle-explanation.html"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PortBinding:
    """A container port and the port of the instance that leads to it."""

    container_name: str | None
    container_port: int
    host_port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One task as DescribeTasks shows it."""

    arn: str
    last_status: str
    desired_status: str
    health_status: str = "UNKNOWN"
    created_at: datetime | None = None
    started_at: datetime | None = None
    stop_code: str | None = None
    stopped_reason: str | None = None
    container_reason: str | None = None
    exit_code: int | None = None
    ip_address: str | None = None
    instance_id: str | None = None
    port_bindings: tuple[PortBinding, ...] = ()

    @property
    def is_meant_to_run(self) -> bool:
        """Whether nobody has asked ECS to stop it."""
        return self.desired_status == "RUNNING" and not self.is_stopping

    @property
    def is_stopping(self) -> bool:
        """Whether its life cycle is past RUNNING."""
        return self.last_status in LIFECYCLE[len(NOT_YET_RUNNING) + 1 :]

    @property
    def has_left(self) -> bool:
        """Whether nothing of it is left: no target, no resources."""
        return self.last_status in ("STOPPED", "DELETED")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadBalancer:
    """One load balancer entry of a service.

    ``target_group_arns`` holds the group and, for ECS's own blue/green deployments, the alternate
    one: a task is registered in one of them.
    """

    target_group_arns: tuple[str, ...]
    container_name: str | None
    container_port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One entry of a service's deployments; ``rollout_state`` is None where ECS keeps none."""

    id: str
    status: str
    rollout_state: str | None
    rollout_reason: str | None = None
    uses_vpc_lattice: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceEvent:
    """One of the service's own messages."""

    id: str
    created_at: datetime
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One service as DescribeServices shows it; events newest first."""

    arn: str
    status: str
    scheduling_strategy: str
    controller: str
    desired_count: int
    deployments: tuple[Deployment, ...]
    load_balancers: tuple[LoadBalancer, ...] = ()
    classic_load_balancers: tuple[str, ...] = ()
    alarm_names: tuple[str, ...] = ()
    events: tuple[ServiceEvent, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalableTarget:
    """The limits of Application Auto Scaling for the service."""

    min_capacity: int
    max_capacity: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """Desired count and, with autoscaling, its limits."""

    desired_count: int
    min_capacity: int | None = None
    max_capacity: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Raise:
    """What a run writes to have one task more, and what stood there before."""

    found: Capacity
    written: Capacity

    @property
    def changes_limits(self) -> bool:
        """Whether the autoscaling limits have to be moved too."""
        return (self.found.min_capacity, self.found.max_capacity) != (
            self.written.min_capacity,
            self.written.max_capacity,
        )

    def undone(self, now: Capacity) -> Capacity:
        """Return a capacity with every number that this raise wrote put back to what it found."""
        found, written = self.found, self.written
        return Capacity(
            desired_count=found.desired_count
            if now.desired_count == written.desired_count
            else now.desired_count,
            min_capacity=found.min_capacity
            if now.min_capacity == written.min_capacity
            else now.min_capacity,
            max_capacity=found.max_capacity
            if now.max_capacity == written.max_capacity
            else now.max_capacity,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One run's record in the journal.

    ``owner`` is unique to one invocation, where AWS may deliver one request id twice; ``surge`` is
    None for a run that raises nothing.
    """

    owner: str
    run_id: str
    run_started_at: datetime
    owner_dead_at: datetime
    started_before_at: datetime
    surge: Raise | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """The journal of a service: its entries, the one that counts last, and their parameters."""

    names: tuple[str, ...] = ()
    entries: tuple[Entry, ...] = ()

    @property
    def entry(self) -> Entry | None:
        """The entry that counts, None where no run has left one."""
        return self.entries[-1] if self.entries else None

    def original(self, now: Capacity) -> Capacity:
        """Return the capacity as it was before the runs of the chain: undo what is still theirs."""
        for entry in reversed(self.entries):
            if entry.surge is not None:
                now = entry.surge.undone(now)
        return now


@dataclass(frozen=True, slots=True, kw_only=True)
class Protection:
    """A task under scale-in protection, and when that ends by itself."""

    task_arn: str
    until_at: datetime | None
    reason: str = "it is under scale-in protection"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkList:
    """What a run is to recycle, decided once.

    ``originals`` are the tasks to be replaced, in their order, ``protections`` those of them that
    are under scale-in protection; ``known_arns`` all tasks of the service that were seen,
    ``in_service_count`` how many are in service; ``checks_health`` whether any of them has
    container health checks; ``actions`` the IAM actions that were tried and are allowed;
    ``leavings`` what a dead run left raised, None where there is nothing.
    """

    deployment_id: str
    run_started_at: datetime
    started_before_at: datetime
    originals: tuple[Task, ...]
    protections: tuple[Protection, ...]
    known_arns: tuple[str, ...]
    in_service_count: int
    checks_health: bool
    found: Capacity
    actions: tuple[str, ...]
    leavings: Raise | None = None


class Ending(StrEnum):
    """How the work on one task ended: also where somebody interfered, or nothing came up."""

    REPLACED = "replaced"
    GONE = "gone"
    INTERRUPTED = "interrupted"
    OUT_OF_TIME = "out of time"
    PROTECTED = "protected"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacement:
    """What became of one task; ``failure`` says why its replacement did not come up."""

    task_arn: str
    ending: Ending
    started_at: datetime | None = None
    replacement_arn: str | None = None
    stopped_at: datetime | None = None
    seconds_to_replace: float | None = None
    lowest_in_service: int | None = None
    newcomer_arns: tuple[str, ...] = ()
    note: str | None = None
    protected_until_at: datetime | None = None
    failure: Failure | None = None

    @property
    def is_recycled(self) -> bool:
        """Whether the original is replaced: by this run or by itself."""
        return self.ending in (Ending.REPLACED, Ending.GONE)

    @property
    def is_told(self) -> bool:
        """Whether there is something to report: it is replaced, or it was stopped for nothing."""
        return self.is_recycled or self.stopped_at is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityReport:
    """What was found, what holds now, and what was left because somebody else had changed it."""

    found: Capacity
    now: Capacity
    left_alone: tuple[str, ...] = ()


class Status(StrEnum):
    """The outcome of a run as the answer names it."""

    COMPLETED = "completed"
    PLANNED = "planned"
    RESTORED = "restored"
    NOTHING_TO_DO = "nothing_to_do"
    PARTIAL = "partial"
    FAILED = "failed"

    @property
    def code(self) -> int:
        """The answer's statusCode: 200 for all that was asked, 206 for a part of it."""
        return 206 if self is Status.PARTIAL else 200
