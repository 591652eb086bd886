"""The values that cross the engine: ECS's own things, and what a run plans and does with them.

All of them are frozen, and all of them survive JSON (see ``codec``), as the run record keeps some.
Instants (``_at``) are aware UTC.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

ANY_PORT: Final = 0
"""The port of a target group that ECS keeps by itself: its targets are known by address alone."""

LONGEST_SLOW_START_SECONDS: Final = 900
"""https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-target-group-attributes.html"""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadBalancer:
    """One load balancer entry of a service.

    ``target_group_arns`` holds the group and, for ECS's own blue/green deployments, the alternate
    one: a task is registered in one of them. ``container_port`` may be ANY_PORT.
    """

    target_group_arns: tuple[str, ...]
    container_name: str | None
    container_port: int

    @property
    def group_name(self) -> str:
        """The group as its ARN ends: name and id."""
        return self.target_group_arns[0].rpartition(":targetgroup/")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetHealth:
    """What a target group says of a target; ``zonal_shift``: the administrative override, if any.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetHealth.html
    """

    state: str
    reason_code: str | None = None
    description: str | None = None
    zonal_shift: str | None = None

    def __str__(self) -> str:
        return self.state if self.reason_code is None else f"{self.state} ({self.reason_code})"


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
class Ingress:
    """What ECS keeps for a service by itself, as its service revision tells.

    ``untold`` is the kind of an ingress of which no target group is told. ``is_known`` is False
    where the revision could not be read.
    """

    load_balancers: tuple[LoadBalancer, ...] = ()
    untold: str | None = None
    is_known: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One service as DescribeServices shows it; events newest first.

    ``deployments`` are those that are not completely replaced; ``pause_stages`` the stages at which
    hooks pause one. ``found_through`` names how clients find the tasks without a load balancer.
    ``revision_arn`` is the one service revision that its tasks have. ``is_managed``: its ingress
    and its autoscaling are ECS's own (Express Mode). ``untold_ingress`` is as in ``Ingress``.
    ``tags`` are told only where they were asked for.
    """

    arn: str
    status: str
    scheduling_strategy: str
    controller: str
    desired_count: int
    deployments: tuple[Deployment, ...]
    load_balancers: tuple[LoadBalancer, ...] = ()
    classic_load_balancers: tuple[str, ...] = ()
    alarm_names: tuple[str, ...] = ()
    pause_stages: tuple[str, ...] = ()
    events: tuple[ServiceEvent, ...] = ()
    maximum_percent: int | None = None
    found_through: tuple[str, ...] = ()
    revision_arn: str | None = None
    is_managed: bool = False
    untold_ingress: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


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

    @classmethod
    def of(cls, service: Service, target: ScalableTarget | None) -> Capacity:
        """Return the capacity that a service and its scalable target show."""
        return cls(
            desired_count=service.desired_count,
            min_capacity=None if target is None else target.min_capacity,
            max_capacity=None if target is None else target.max_capacity,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleUp:
    """One task more: the capacity that was found, and what is written in its place."""

    found: Capacity
    written: Capacity

    @classmethod
    def by_one(cls, found: Capacity) -> ScaleUp:
        """Return what is written for one task more.

        The minimum holds the extra task against scaling in, the maximum makes room for it. Limits
        that already do both stay: every call to autoscaling also moves the desired count.
        """
        desired_count = found.desired_count + 1
        written = replace(found, desired_count=desired_count)
        if found.min_capacity is not None and found.max_capacity is not None:
            written = replace(
                written,
                min_capacity=max(found.min_capacity, desired_count),
                max_capacity=max(found.max_capacity, desired_count),
            )
        return cls(found=found, written=written)

    @property
    def changes_limits(self) -> bool:
        """Whether the autoscaling limits have to be moved too."""
        return (self.found.min_capacity, self.found.max_capacity) != (
            self.written.min_capacity,
            self.written.max_capacity,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Protection:
    """A task under scale-in protection, and when that ends by itself."""

    task_arn: str
    until_at: datetime | None
    reason: str = "it is under scale-in protection"


NEVER: Final = datetime.max.replace(tzinfo=UTC)


def under_protection(ends: Mapping[str, datetime | None]) -> tuple[Protection, ...]:
    """Return the protected tasks, in the order in which their protection ends."""
    return in_order(
        Protection(task_arn=arn, until_at=until_at)
        for arn, until_at in ends.items()
        if until_at is not None
    )


def in_order(protections: Iterable[Protection]) -> tuple[Protection, ...]:
    """Return protections in the order in which they end."""
    return tuple(sorted(protections, key=lambda each: (each.until_at or NEVER, each.task_arn)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """A task that is to be replaced, as it was when the work list was made.

    ``not_in_service`` is why it was not in service then, None if it was; ``zone`` its Availability
    Zone.
    """

    arn: str
    created_at: datetime | None
    started_at: datetime | None
    not_in_service: str | None = None
    zone: str | None = None

    @property
    def seconds_to_start(self) -> float | None:
        """How long it took from its creation to RUNNING, where ECS says so."""
        if self.started_at is None or self.created_at is None:
            return None
        return (self.started_at - self.created_at).total_seconds()


def quickest_start_seconds(tasks: Iterable[Original]) -> float:
    """Return how long the quickest of the tasks took from its creation to RUNNING, 0 if unknown."""
    taken = [each.seconds_to_start for each in tasks]
    return min((seconds for seconds in taken if seconds is not None), default=0.0)


def first_task_seconds(start_seconds: float, *, limit_seconds: float) -> float:
    """Return what a task may take, by what others took to start, with room for one that is late."""
    return min(limit_seconds, 2 * start_seconds + 60)


class By(StrEnum):
    """How the tasks of a request are chosen."""

    START = "start"
    CREATION = "creation"
    NAMES = "names"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which tasks were asked for, and how to ask for the rest of them.

    By START: those started before ``before_at``. By CREATION: those created before it, the ones
    that were just starting then among them. By NAMES: the named ones, whatever their age.
    """

    before_at: datetime
    by: By = By.START

    @property
    def instant_at(self) -> datetime | None:
        """The instant that tells the tasks from their replacements; None where names do."""
        return None if self.by is By.NAMES else self.before_at

    @property
    def advice(self) -> str:
        """What to do for the rest of them: the end of a reason, without its full stop."""
        before_at = self.before_at.isoformat()
        match self.by:
            case By.NAMES:
                return "repeat the event with the remaining tasks to go on"
            case By.CREATION:
                return f'repeat it with started_before {before_at} and if_running "queue"'
            case By.START:
                return f"repeat the event with started_before {before_at} to go on"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run is to do for one request, decided before anything is touched.

    ``originals`` are the tasks to be replaced, in their order, ``protections`` those of them that
    are under scale-in protection, ``gone`` the named ones that have stopped already. ``found`` and
    ``in_service_count`` are what the service has, ``adds_task`` whether it gets one task more,
    ``spares_protected`` whether protected tasks are skipped.
    After ``finish_at`` no task may still wait for its replacement. ``slow_start_seconds`` is for
    how long a new target gets less than its share of the traffic. ``remarks`` are what else the
    answer has to name.
    """

    selection: Selection
    deployment_id: str
    originals: tuple[Original, ...]
    found: Capacity
    in_service_count: int
    protections: tuple[Protection, ...] = ()
    gone: tuple[Original, ...] = ()
    adds_task: bool = False
    spares_protected: bool = False
    finish_at: datetime | None = None
    slow_start_seconds: int = 0
    remarks: tuple[str, ...] = ()

    @property
    def would_be_recycled(self) -> tuple[Original, ...]:
        """The tasks that a run would recycle as things are now."""
        if not self.spares_protected:
            return self.originals
        spared = {each.task_arn for each in self.protections}
        return tuple(task for task in self.originals if task.arn not in spared)

    def pause_seconds(self, wait_seconds: int) -> int:
        """Return how long to wait after a new task: ``wait_time``, or longer for its slow start."""
        return max(wait_seconds, min(self.slow_start_seconds, LONGEST_SLOW_START_SECONDS))


class TaskOutcome(StrEnum):
    """What became of a task of the work list."""

    REPLACED = "replaced"
    GONE = "gone"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskResult:
    """What became of one task: replaced, gone by itself, or stopped without a replacement so far.

    ``seconds_to_replace`` is the time from its stop until as many tasks were in service as before,
    ``seconds_to_stop`` that until it was STOPPED. ``exit_code`` is the worst of its containers',
    ``exit_verdict`` what that means. ``still_stopping`` is the lastStatus in which the end of the
    run has left it.
    """

    task_arn: str
    outcome: TaskOutcome
    replacement_arn: str | None = None
    stopped_at: datetime | None = None
    seconds_to_replace: float | None = None
    seconds_to_stop: float | None = None
    exit_code: int | None = None
    exit_verdict: str | None = None
    still_stopping: str | None = None
    note: str | None = None

    @property
    def is_recycled(self) -> bool:
        """Whether the original is replaced: by this run or by itself."""
        return self.outcome in (TaskOutcome.REPLACED, TaskOutcome.GONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class InServicePoint:
    """So many tasks were in service from then on, in seconds since the run's start."""

    seconds: float
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityReport:
    """What was found, what holds now, and what was left because somebody else had changed it."""

    found: Capacity
    now: Capacity
    left_alone: tuple[str, ...] = ()
