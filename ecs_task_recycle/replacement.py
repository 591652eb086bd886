"""Stop one task and follow it until its replacement is in service and it has left."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ecs_task_recycle.clock import as_utc
from ecs_task_recycle.errors import (
    AwsCallError,
    Failure,
    RecycleError,
    ReplacementError,
    StepTimeoutError,
)
from ecs_task_recycle.model import Ending, Replacement, Task, WorkList
from ecs_task_recycle.observation import CONSISTENCY_SECONDS, FailedStarts, Observer, short
from ecs_task_recycle.settings import ProtectedTasks
from ecs_task_recycle.watch import Cadence, Watch

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from ecs_task_recycle.clock import Clock
    from ecs_task_recycle.gateway import Gateway
    from ecs_task_recycle.model import Service
    from ecs_task_recycle.observation import Picture

FAILED_STARTS_LIMIT: Final = 3

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One task to be replaced, and what has to hold meanwhile.

    ``whole_count`` tasks in service make the service whole; ``stopped_arns`` are the tasks that
    this run has stopped before, ``newcomer_arns`` those that came up meanwhile;
    ``expected_seconds`` is what the earlier ones took, ``needed_seconds`` what this one may take;
    the step has to end ``ends_within_seconds``.
    """

    number: int
    task: Task
    protected_tasks: ProtectedTasks
    work: WorkList
    whole_count: int
    stopped_arns: tuple[str, ...]
    newcomer_arns: tuple[str, ...]
    expected_seconds: float | None
    needed_seconds: float
    timeout_seconds: float
    ends_within_seconds: float
    wait_seconds: int
    run_id: str

    def failed_starts(self, clock: Clock) -> FailedStarts:
        """Return a count of failed starts that begins now."""
        return FailedStarts(
            since_at=as_utc(clock.now()),
            run_started_at=self.work.run_started_at,
            newcomers=set(self.newcomer_arns),
        )


class Suspicion:
    """A reason to stop no further task, believed once it has been seen long enough.

    One picture may be older than this run's own writes, so a single look proves nothing.
    """

    def __init__(self, clock: Clock, *, whole_count: int, deployment_id: str) -> None:
        """Take what the service has to look like for the run to go on."""
        self._clock = clock
        self._whole_count = whole_count
        self._deployment_id = deployment_id
        self._since: float | None = None

    def of(self, picture: Picture) -> tuple[str | None, bool]:
        """Return the reason, if there is one, and whether it is certain by now."""
        reason = interference(
            picture.service, whole_count=self._whole_count, deployment_id=self._deployment_id
        )
        if reason is None:
            self._since = None
            return None, False
        if self._since is None:
            self._since = self._clock.now()
        return reason, self._clock.now() - self._since >= CONSISTENCY_SECONDS


def interference(service: Service, *, whole_count: int, deployment_id: str) -> str | None:
    """Return what somebody else did that ends the run, or None."""
    if service.status != "ACTIVE":
        return f"the service is {service.status}"
    ids = [deployment.id for deployment in service.deployments]
    if ids != [deployment_id]:
        return f"a deployment started: {', '.join(ids) or 'none is left of the known one'}"
    if service.deployments[0].rollout_state == "FAILED":
        return "the deployment failed, so ECS starts no more tasks"
    if service.desired_count < whole_count:
        return (
            f"somebody set the desired count to {service.desired_count}, "
            f"{whole_count} are needed to go on"
        )
    return None


def replace_task(gateway: Gateway, clock: Clock, order: Order) -> Replacement:
    """Replace one task: gate, stop, follow.

    Whatever ends it after the stop comes as a value, so that it is known that the task was stopped.
    Before the stop: raises ReplacementError after the third failed start, StepTimeoutError when the
    service is not whole in time, AwsCallError.
    """
    observer = Observer(
        gateway,
        clock,
        gone=order.stopped_arns,
        watched=order.newcomer_arns,
        checks_health=order.work.checks_health,
    )
    ends_at = clock.now() + order.ends_within_seconds
    gate = _Gate(order, observer, clock)
    picture = gate.wait(ends_at - order.needed_seconds)
    if gate.ending is None and picture is not None:
        gate.check_alarms(gateway, picture)
    if gate.ending is None:
        gate.check_protection(gateway)
    if gate.ending is not None or picture is None:
        return _untouched(order, gate)
    _announce(order)
    follow = _Follow(order, observer, clock, before=picture, ends_at=ends_at)
    follow.stop_and_wait(gateway)
    return _told(order, follow)


def _announce(order: Order) -> None:
    total = len(order.work.originals)
    logger.info(
        "Recycling task %d/%d: %s",
        order.number,
        total,
        order.task.arn,
        extra={"number": order.number, "of": total, "task": order.task.arn},
    )


def _untouched(order: Order, gate: _Gate) -> Replacement:
    logger.info(
        "Not stopping task %s: %s", order.task.arn, gate.note, extra={"task": order.task.arn}
    )
    return Replacement(
        task_arn=order.task.arn,
        ending=gate.ending or Ending.INTERRUPTED,
        started_at=order.task.started_at,
        note=gate.note,
        protected_until_at=gate.protected_until_at,
    )


def _told(order: Order, follow: _Follow) -> Replacement:
    replaced = follow.ending is Ending.REPLACED
    if replaced:
        logger.info(
            "Task %d recycled, waiting %ds",
            order.number,
            order.wait_seconds,
            extra={
                "number": order.number,
                "task": order.task.arn,
                "replacement": follow.replacement_arn,
                "seconds_to_replace": follow.seconds,
            },
        )
    return Replacement(
        task_arn=order.task.arn,
        ending=follow.ending,
        started_at=order.task.started_at,
        replacement_arn=follow.replacement_arn,
        stopped_at=follow.stopped_at,
        seconds_to_replace=follow.seconds if replaced else None,
        newcomer_arns=follow.newcomer_arns,
        lowest_in_service=follow.lowest_in_service,
        note=follow.note,
        failure=follow.failure,
    )


class _Gate:
    """Waits until a task may be stopped: the service is whole, and nobody interferes."""

    def __init__(self, order: Order, observer: Observer, clock: Clock) -> None:
        self._order = order
        self._observer = observer
        self._clock = clock
        self._failed = order.failed_starts(clock)
        self._suspicion = Suspicion(
            clock, whole_count=order.whole_count, deployment_id=order.work.deployment_id
        )
        self.ending: Ending | None = None
        self.note: str | None = None
        self.protected_until_at: datetime | None = None

    def wait(self, stop_by: float) -> Picture | None:
        """Return the picture by which the task may be stopped, or that ended the wait.

        ``stop_by`` is the instant (epoch seconds) after which it is too late for a stop: None then.
        """
        timeout_seconds = min(self._order.timeout_seconds, max(0.0, stop_by - self._clock.now()))
        watch = Watch(
            awaited=f"{self._order.whole_count} tasks in service to stop task {self._order.number}",
            timeout_seconds=timeout_seconds,
        )
        try:
            return until_or_cause(
                watch, self._observer, self._clock, judge=self._judge, failed=self._failed
            )
        except (StepTimeoutError, ReplacementError) as error:
            timed_out = StepTimeoutError in (type(error), type(error.__cause__))
            if not timed_out or self._clock.now() < stop_by:
                raise
        self.ending, self.note = Ending.OUT_OF_TIME, "time ran short before the task was stopped"
        return None

    def _judge(self, picture: Picture) -> Picture | None:
        self._failed.learn(picture)
        arn = self._order.task.arn
        # First of all: a deployment makes the originals go away too.
        reason, certain = self._suspicion.of(picture)
        if reason is not None:
            self.ending, self.note = (Ending.INTERRUPTED, reason) if certain else (None, None)
            return picture if certain else None
        if arn in picture.gone or arn not in picture.tasks:
            self.ending, self.note = Ending.GONE, "it went away by itself"
            return picture
        raise_if_failing(self._failed)
        return picture if may_stop(picture, arn, self._order.whole_count) else None

    def check_alarms(self, gateway: Gateway, picture: Picture) -> None:
        """Let the service's own deployment alarms end the run."""
        alarming = gateway.alarms_in_alarm(picture.service.alarm_names)
        if alarming:
            self.ending = Ending.INTERRUPTED
            self.note = f"deployment alarms are in ALARM: {', '.join(alarming)}"

    def check_protection(self, gateway: Gateway) -> None:
        """Spare a task under scale-in protection, which StopTask would not; or clear it, if asked.

        A task that is gone by now is left to StopTask, which does not mind.
        """
        arn = self._order.task.arn
        self.protected_until_at = gateway.protections([arn]).get(arn)
        if self.protected_until_at is None:
            return
        self.ending, self.note = Ending.PROTECTED, "it is under scale-in protection"
        if self._order.protected_tasks is ProtectedTasks.STOP:
            self._clear_protection(gateway, arn)

    def _clear_protection(self, gateway: Gateway, arn: str) -> None:
        try:
            gateway.clear_protection(arn)
        except AwsCallError as error:
            self.note = f"its scale-in protection could not be cleared: {error.sentence}"
            return
        self.ending = self.note = self.protected_until_at = None


def may_stop(picture: Picture, arn: str, whole_count: int) -> bool:
    """Whether the others in service make up for a task, so that it may be stopped."""
    return len(picture.in_service - {arn}) >= whole_count - 1


class _Follow:
    """Stops a task and follows it until it has left and as many are in service as before."""

    def __init__(
        self, order: Order, observer: Observer, clock: Clock, *, before: Picture, ends_at: float
    ) -> None:
        self._order = order
        self._observer = observer
        self._clock = clock
        self._ends_at = ends_at
        self._known = frozenset(before.tasks) | frozenset(order.work.known_arns)
        self._before_count = len(before.in_service)
        self._failed = order.failed_starts(clock)
        self._failed.learn(before)
        self._suspicion = Suspicion(
            clock, whole_count=order.whole_count, deployment_id=order.work.deployment_id
        )
        self.stopped_at = as_utc(clock.now())
        self.seconds = 0.0
        self.lowest_in_service = self._before_count
        self.ending = Ending.FAILED
        self.replacement_arn: str | None = None
        self.failure: Failure | None = None
        self.note: str | None = None

    @property
    def newcomer_arns(self) -> tuple[str, ...]:
        """The tasks that came into service during the run, also those that died again."""
        return tuple(sorted(self._failed.newcomers))

    def stop_and_wait(self, gateway: Gateway) -> None:
        """Stop the task, follow it, and note how that ended."""
        arn, run_id = self._order.task.arn, self._order.run_id
        try:
            gateway.stop_task(arn, reason=f"ecs-task-recycle run {run_id}")
            self._observer.mark_stopped(arn)
            self.ending = self._wait()
        except StepTimeoutError as error:
            self._end_for_time(error)
        except AwsCallError as error:
            self._fail(error, f"a call failed, it may not have been replaced: {error.sentence}")
        except RecycleError as error:
            self._fail(error, "stopped, and no replacement came up")
        self.seconds = round((as_utc(self._clock.now()) - self.stopped_at).total_seconds(), 1)

    def _fail(self, error: RecycleError, note: str) -> None:
        self.failure, self.note = Failure.of(error), note

    def _end_for_time(self, error: StepTimeoutError) -> None:
        """Tell a replacement that took too long from a run that has no time left for it."""
        if self._clock.now() < self._ends_at:
            self._fail(error, "stopped, and its replacement was not in service in time")
            return
        self.ending = Ending.OUT_OF_TIME
        self.note = "stopped; time ran short before its replacement was in service"

    def _wait(self) -> Ending:
        watch = Watch(
            awaited=f"the replacement of task {self._order.number} ({short(self._order.task.arn)})",
            timeout_seconds=min(self._order.timeout_seconds, self._ends_at - self._clock.now()),
            cadence=Cadence(expected_seconds=self._order.expected_seconds),
        )
        return until_or_cause(
            watch, self._observer, self._clock, judge=self._judge, failed=self._failed
        )

    def _judge(self, picture: Picture) -> Ending | None:
        self.lowest_in_service = min(self.lowest_in_service, self._observer.in_service_count())
        has_left = self._observer.has_left(self._order.task.arn)
        self._failed.learn(picture, placeable=has_left)
        reason, certain = self._suspicion.of(picture)
        if reason is not None:
            self.note = f"stopped, then {reason}" if certain else None
            return Ending.INTERRUPTED if certain else None
        raise_if_failing(self._failed)
        asked_for = min(self._before_count, picture.service.desired_count)
        if not has_left or len(picture.in_service) < max(self._order.whole_count, asked_for):
            return None
        self.replacement_arn = self._newcomer(picture)
        return Ending.REPLACED

    def _newcomer(self, picture: Picture) -> str | None:
        """Return the first of the tasks that came since the stop, None if ECS needed none."""
        new = picture.in_service - self._known
        return min(new, key=lambda arn: (picture.tasks[arn].created_at is None, arn), default=None)


def raise_if_failing(failed: FailedStarts) -> None:
    """Raise ReplacementError at the third failed start."""
    if failed.count >= FAILED_STARTS_LIMIT:
        raise failing(failed)


def failing(failed: FailedStarts) -> ReplacementError:
    """Return the error that says why no task comes up, or stays up."""
    dying = len(failed.deaths) > len(failed.tasks)
    return ReplacementError(
        f"New tasks do not stay up, {failed.count} have died: {failed.cause()}."
        if dying
        else f"No new task comes up, {failed.count} failed starts: {failed.cause()}.",
        remedy="Nothing more was stopped. Find the cause in the task's containers and its log.",
        failed_starts=failed.count,
        failed_tasks=[*failed.tasks, *failed.deaths],
    )


def until_or_cause[T](
    watch: Watch,
    observer: Observer,
    clock: Clock,
    *,
    judge: Callable[[Picture], T | None],
    failed: FailedStarts,
) -> T:
    """Watch; when time runs out and starts have failed, raise ReplacementError with the cause."""
    try:
        return watch.until(observer, clock, judge)
    except StepTimeoutError as timeout:
        if failed.cause() is None:
            raise
        raise failing(failed) from timeout
