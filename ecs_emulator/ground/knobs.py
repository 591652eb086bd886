"""Everything about a world that can be turned: how long things take and what goes wrong."""

import random
from dataclasses import dataclass
from enum import StrEnum

type Seconds = float | tuple[float, float]
"""A duration in seconds, or the (lowest, highest) bounds between which each one is drawn."""


class ScaleInChoice(StrEnum):
    """How the scheduler picks the task that has to go."""

    AZ_HEAVIEST = "az_heaviest"
    """Not in service first, then from the zone with most tasks, at random."""
    RANDOM = "random"
    """Any task, whatever its state."""
    NEWEST = "newest"
    """The one started last: the worst choice for somebody who has just replaced it."""


class StartFailure(StrEnum):
    """The ways in which a task's start fails."""

    NEVER_RUNNING = "never_running"
    EXITS = "exits"
    UNHEALTHY = "unhealthy"
    NOT_LAUNCHED = "not_launched"
    """There is never a task, only a service event that tells of the error."""


_PULL_FAILED = (
    "CannotPullContainerError: pull image manifest has been retried 5 time(s): manifest unknown"
)
_ROLE_FAILED = (
    "ECS was unable to assume the role that was provided for this task. Please verify that the "
    "role being passed has the proper trust relationship and permissions and that your IAM user "
    "has permissions to pass this role."
)
_REASONS = {
    StartFailure.NOT_LAUNCHED: ("TaskFailedToStart", _ROLE_FAILED),
    StartFailure.NEVER_RUNNING: ("TaskFailedToStart", _PULL_FAILED),
    StartFailure.EXITS: ("EssentialContainerExited", "Essential container in task exited"),
    StartFailure.UNHEALTHY: ("ServiceSchedulerInitiated", ""),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FailingStart:
    """Which launches of a service fail, and how.

    Launches are counted per service from 1; tasks that were there at the world's start do not
    count. `launches` names some of them, `after` means all later than that number; with neither,
    every launch fails. `after_seconds` runs from PENDING (never_running), from RUNNING (exits),
    from the registration in the target group or, without one, from RUNNING (unhealthy).
    """

    kind: StartFailure | str = StartFailure.NEVER_RUNNING
    launches: frozenset[int] | None = None
    after: int | None = None
    after_seconds: Seconds = 3.0
    exit_code: int = 1
    reason: str | None = None

    def hits(self, launch: int) -> bool:
        """Tell whether the launch of this number fails."""
        if self.launches is not None:
            return launch in self.launches
        return self.after is None or launch > self.after

    @property
    def stop_code(self) -> str:
        """ECS's stopCode for this kind of failure."""
        return _REASONS[StartFailure(self.kind)][0]

    @property
    def stopped_reason(self) -> str:
        """ECS's stoppedReason: the one given, or the usual one for this kind."""
        return self.reason or _REASONS[StartFailure(self.kind)][1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Knobs:
    """The settings of a world. Every duration is in seconds; a pair is a range to draw from.

    A range is drawn anew for each task and phase, from a generator keyed by the world's seed, the
    service, the task's number and the phase: the n-th task launched takes the same times whoever
    looks on and however often.
    """

    scheduler_interval: Seconds = (1.0, 10.0)
    """From a change (desired count, a task that is to stop) to the scheduler's acting on it."""
    replaces_after_stopped: bool = True
    """Whether a task that stops is replaced only once it is STOPPED, or at once; both were seen."""
    provisioning: Seconds = (4.0, 8.0)
    """PROVISIONING: the network interface of an awsvpc task. Bridge tasks skip it."""
    pending: Seconds = (8.0, 16.0)
    """PENDING: placing the task, pulling the image, starting the containers."""
    activating: Seconds = (1.0, 2.0)
    """ACTIVATING: registration in the target groups. Tasks without one skip it."""
    container_health_delay: Seconds | None = None
    """From RUNNING to HEALTHY; None: tasks have no container health check (see create_service)."""
    target_health_delay: Seconds = (10.0, 20.0)
    """From the registration in a target group ("initial") to "healthy"."""
    stop_reaction: Seconds = (0.5, 2.0)
    """How long a task that is to stop still shows the lastStatus it had."""
    drain: Seconds = 30.0
    """DEACTIVATING: the target group's deregistration delay, targets "draining"."""
    drains_on_stop: bool = True
    """Whether StopTask waits for the drain as the scheduler does; AWS leaves it open."""
    deregisters_after_exit: bool = False
    """Without that drain: whether the target stays in the group until the containers are gone."""
    stop_time: Seconds = (1.0, 5.0)
    """STOPPING: from the stop signal to the end of the containers."""
    stop_timeout: float = 30.0
    """After so long in STOPPING, containers are killed: exit code 137."""
    deprovision: Seconds = (5.0, 12.0)
    """DEPROVISIONING: the network interface again; awsvpc only."""
    staleness: float = 1.0
    """Each read answers with the world as it was up to so many seconds ago, drawn per read."""
    counts_stopping_tasks: bool = False
    """Whether runningCount has a task that is to stop for as long as it is RUNNING."""
    latency: Seconds = 0.05
    """What each call takes: half on the way there, half on the way back."""
    failing_starts: tuple[FailingStart, ...] = ()
    """Launches that fail; the first entry that fits decides."""
    launch_throttle: bool = False
    """Whether launches that keep failing before RUNNING are slowed, up to 15 minutes."""
    capacity: int | None = None
    """How many tasks of a cluster can hold resources (not yet STOPPED); None: any number."""
    placement_event_interval: float = 21_600.0
    """How often the "unable to place a task" event is repeated while it lasts."""
    scale_in_choice: ScaleInChoice | str = ScaleInChoice.AZ_HEAVIEST
    """Who goes when there are too many; protected tasks never."""
    aas_lag: Seconds = (11.0, 12.0)
    """From RegisterScalableTarget's answer to the clamp of the desired count."""
    aas_conflict: Seconds | None = 0.0
    """How long after a call that moves the desired count (at least until it has moved) the next
    RegisterScalableTarget gets ConcurrentUpdateException; None: never."""
    aas_validates_permissions: bool = True
    """Whether Application Auto Scaling refuses callers without rights in ECS and CloudWatch."""
    az_rebalancing: bool = True
    """Whether services that allow it have zone rebalancing enabled (see create_service)."""
    protection_of_vanished_raises: bool = False
    """Whether a vanished task makes Get- and UpdateTaskProtection fail with
    ResourceNotFoundException, or is a failure MISSING in their answer."""
    inactive_deployments_listed: float = 0.0
    """How long a deployment that is completely replaced is still listed, as INACTIVE."""
    page_size: int | None = None
    """A page of a listing, if it is to be smaller than AWS's own limit."""
    assumed_role_seconds: int | None = None
    """How long assumed-role keys live; None: as asked (DurationSeconds, else 3600)."""
    rate_limits: bool = False
    """Whether ECS's own token buckets hold (see throttling.py): too many calls are refused."""
    container_health_default: Seconds = (5.0, 10.0)
    """container_health_delay for services that have checks while that knob is None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dice:
    """Draws durations that depend on what they are for, not on the order of drawing."""

    seed: int
    scope: str = ""

    def seconds(self, span: Seconds, *key: object) -> float:
        """Return `span`, or for a range the one value that belongs to this seed and key."""
        if isinstance(span, tuple):
            return self.generator(*key).uniform(*span)
        return float(span)

    def generator(self, *key: object) -> random.Random:
        """Return a generator that is always the same for the same seed and key."""
        return random.Random(f"{self.seed}/{self.scope}/{'/'.join(map(str, key))}")
