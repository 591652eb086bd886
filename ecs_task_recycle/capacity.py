"""One task more and the autoscaling limits: raise them, put back what is still ours.

Neither ECS nor Application Auto Scaling can compare and set. So whatever no longer holds what this
run wrote belongs to somebody else and stays as it is.
"""

from __future__ import annotations

import logging
import math
import shlex
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Final

from ecs_task_recycle.errors import AwsCallError, PreconditionError, RestoreError, StepTimeoutError
from ecs_task_recycle.gateway import patiently
from ecs_task_recycle.model import Capacity, CapacityReport, Raise, WorkList
from ecs_task_recycle.observation import CONSISTENCY_SECONDS, FailedStarts, Observer, is_since
from ecs_task_recycle.replacement import Suspicion, raise_if_failing, until_or_cause
from ecs_task_recycle.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable

    from ecs_task_recycle.clock import Clock
    from ecs_task_recycle.gateway import Gateway
    from ecs_task_recycle.observation import Picture

PUT_BACK_DELAYS_SECONDS: Final = (5.0,) * 5

ALL_PROTECTED: Final = (
    "the extra task: all tasks are under scale-in protection, ECS takes one away when the first "
    "protection ends"
)

logger = logging.getLogger(__name__)


def plan_raise(found: Capacity) -> Raise:
    """Return what is written for one task more.

    The minimum holds the extra task against scaling in, the maximum makes room for it. Limits that
    already do both are left alone: every call to autoscaling also moves the desired count.
    """
    desired_count = found.desired_count + 1
    written = replace(found, desired_count=desired_count)
    if found.min_capacity is not None and found.max_capacity is not None:
        holds = found.min_capacity >= desired_count
        written = replace(
            written,
            min_capacity=found.min_capacity if holds else desired_count,
            max_capacity=max(found.max_capacity, desired_count),
        )
    return Raise(found=found, written=written)


def raise_capacity(gateway: Gateway, plan: Raise) -> Capacity:
    """Write the limits, then the desired count; both are absolute and can be repeated.

    Raises PreconditionError if somebody has set another desired count by then.
    """
    logger.info(
        "Raising the desired count from %d to %d",
        plan.found.desired_count,
        plan.written.desired_count,
        extra={"found": _spoken(plan.found), "written": _spoken(plan.written)},
    )
    if plan.changes_limits:
        gateway.set_limits(
            min_capacity=plan.written.min_capacity, max_capacity=plan.written.max_capacity
        )
    service = gateway.service()
    ours = (plan.found.desired_count, plan.written.desired_count)
    if service is None or service.desired_count not in ours:
        raise changed(gateway)
    gateway.set_desired_count(plan.written.desired_count)
    return plan.written


def changed(gateway: Gateway) -> PreconditionError:
    """Return the error for a capacity that somebody else changes at the same time."""
    return PreconditionError(
        f"The capacity of {gateway.resource_id} was changed while the run was starting.",
        remedy="No task was stopped. Invoke again.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Surge:
    """The extra task: what is written for it, and the work it is for."""

    plan: Raise
    work: WorkList

    @property
    def whole_count(self) -> int:
        """How many tasks in service make the service whole."""
        return self.plan.written.desired_count

    def await_in_service(
        self, gateway: Gateway, clock: Clock, *, timeout_seconds: float
    ) -> Arrival:
        """Return how the extra task came into service, or what somebody else did meanwhile.

        One more than were in service before is enough here; whether a task may be stopped is
        decided anew before each stop. Raises ReplacementError after the third failed start.
        """
        watcher = _ArrivalWatcher(self, clock)
        return until_or_cause(
            Watch(awaited="the extra task", timeout_seconds=timeout_seconds),
            Observer(gateway, clock, checks_health=self.work.checks_health),
            clock,
            judge=watcher.judge,
            failed=watcher.failed,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """How long the extra task took, or why it is waited for no longer."""

    seconds: float
    interruption: str | None = None


class _ArrivalWatcher:
    """Judges whether the extra task is in service, and whether somebody interferes."""

    def __init__(self, surge: Surge, clock: Clock) -> None:
        self._surge = surge
        self._clock = clock
        self._began_at = clock.now()
        started_at = surge.work.run_started_at
        self.failed = FailedStarts(since_at=started_at, run_started_at=started_at)
        self._suspicion = Suspicion(
            clock, whole_count=surge.whole_count, deployment_id=surge.work.deployment_id
        )

    def judge(self, picture: Picture) -> Arrival | None:
        """Return the arrival, or the interruption once it is certain."""
        seconds = self._clock.now() - self._began_at
        reason, certain = self._suspicion.of(picture)
        if reason is not None:
            return Arrival(seconds=seconds, interruption=reason) if certain else None
        self.failed.learn(picture)
        raise_if_failing(self.failed)
        work, count = self._surge.work, len(picture.in_service)
        arrived = count > work.in_service_count and picture.in_service - set(work.known_arns)
        return Arrival(seconds=seconds) if arrived or count >= self._surge.whole_count else None


@dataclass(frozen=True, slots=True, kw_only=True)
class PutBack:
    """How the capacity is to be put back.

    Lowering the desired count makes ECS choose a task to stop, and it may choose a healthy one
    while another is still starting. ``patience_seconds`` is how long to wait for the service to be
    whole first; ``withdraws`` says to stop the tasks that are not in service by then and were
    created since ``raised_since_at``, so that there is nothing left to choose. Calls that fail for
    a moment are repeated for ``retries_within_seconds``.
    """

    plan: Raise
    raised_since_at: datetime
    stopped_arns: tuple[str, ...]
    patience_seconds: float
    withdraws: bool
    checks_health: bool
    retries_within_seconds: float

    def run(self, gateway: Gateway, clock: Clock) -> CapacityReport:
        """Put the limits back, then the desired count. Raises RestoreError with the commands."""
        notes = self._settle(gateway, clock)
        restorer = _Restorer(self.plan, gateway, clock, notes)
        restorer.gives_up_at = clock.now() + self.retries_within_seconds
        restorer.limits()
        restorer.desired_count()
        return restorer.report()

    def _settle(self, gateway: Gateway, clock: Clock) -> list[str]:
        """Wait until a task can be taken away; return what the report has to say if none can."""
        if self.plan.found.desired_count == self.plan.written.desired_count:
            return []
        observer = Observer(
            gateway, clock, gone=self.stopped_arns, checks_health=self.checks_health
        )
        settled = _Settled(self.plan, gateway, clock)
        watch = Watch(
            awaited=f"{self.plan.written.desired_count} tasks in service, one of them unprotected, "
            "before one is taken away",
            timeout_seconds=self.patience_seconds,
        )
        try:
            watch.until(observer, clock, settled.judge)
        except (StepTimeoutError, AwsCallError) as error:
            logger.info("Putting back a service that is not whole: %s", error)
            if self.withdraws:
                self._withdraw(gateway, observer)
        return settled.notes

    def _withdraw(self, gateway: Gateway, observer: Observer) -> None:
        try:
            ends = gateway.protections(self._surplus(observer.look()))
            for arn in [arn for arn, until_at in ends.items() if until_at is None]:
                gateway.stop_task(arn, reason="not in service in time, no longer wanted")
        except AwsCallError as error:
            logger.warning("Could not withdraw a task: %s", error, extra=dict(error.facts))

    def _surplus(self, picture: Picture) -> list[str]:
        """Return the new tasks not in service, no more than there are too many."""
        is_ours = picture.service.desired_count == self.plan.written.desired_count
        if not is_ours or len(picture.service.deployments) != 1:
            return []
        new = sorted(
            arn
            for arn in picture.absent
            if is_since(picture.tasks[arn].created_at, self.raised_since_at)
        )
        meant_to_run = len(picture.in_service) + len(picture.absent)
        return new[: max(0, meant_to_run - self.plan.found.desired_count)]


class _Settled:
    """Judges whether the desired count may be lowered: whole, or no longer ours to lower."""

    def __init__(self, plan: Raise, gateway: Gateway, clock: Clock) -> None:
        self._plan = plan
        self._gateway = gateway
        self._clock = clock
        self._not_ours_since: float | None = None
        self.notes: list[str] = []

    def _can_spare_one(self, picture: Picture) -> bool:
        """Whether the service is whole, and not every task is under scale-in protection.

        ECS takes no protected task away. With more of them than desired it would refuse to renew
        any protection, until one ends.
        """
        self.notes = []
        if len(picture.in_service) < self._plan.written.desired_count:
            return False
        if None in self._gateway.protections(sorted(picture.in_service)).values():
            return True
        self.notes = [ALL_PROTECTED]
        return False

    def judge(self, picture: Picture) -> bool | None:
        """Return True once nothing speaks against lowering."""
        written = self._plan.written.desired_count
        if picture.service.desired_count == written:
            self._not_ours_since = None
            return True if self._can_spare_one(picture) else None
        if self._not_ours_since is None:
            self._not_ours_since = self._clock.now()
        certain = self._clock.now() - self._not_ours_since >= CONSISTENCY_SECONDS
        return True if certain else None


class _Restorer:
    """Puts back, field by field, what still holds what was written."""

    def __init__(self, plan: Raise, gateway: Gateway, clock: Clock, notes: list[str]) -> None:
        self._plan = plan
        self._gateway = gateway
        self._clock = clock
        self._left_alone = notes
        self.gives_up_at = math.inf
        self._failed: list[tuple[str, AwsCallError]] = []
        self._limits = (plan.found.min_capacity, plan.found.max_capacity)
        self._now = plan.found

    def limits(self) -> None:
        """Put the autoscaling limits back."""
        if not self._plan.changes_limits:
            return
        try:
            self._patiently(self._restore_limits)
        except AwsCallError as error:
            self._failed.append((self._limits_command(), error))

    def _restore_limits(self) -> None:
        found, written = self._plan.found, self._plan.written
        target = self._settled(
            self._gateway.scalable_target,
            lambda seen: (
                seen is not None
                and (seen.min_capacity, seen.max_capacity)
                == (written.min_capacity, written.max_capacity)
            ),
        )
        if target is None:
            self._leave_alone("the scalable target: somebody has deregistered it")
            self._now = replace(self._now, min_capacity=None, max_capacity=None)
            return
        min_capacity = self._ours(
            "autoscaling minimum", target.min_capacity, found.min_capacity, written.min_capacity
        )
        max_capacity = self._room_for_theirs(
            self._ours(
                "autoscaling maximum", target.max_capacity, found.max_capacity, written.max_capacity
            ),
            target.max_capacity,
        )
        self._limits = (min_capacity, max_capacity)
        if min_capacity is not None or max_capacity is not None:
            self._gateway.set_limits(min_capacity=min_capacity, max_capacity=max_capacity)
        self._now = replace(
            self._now,
            min_capacity=target.min_capacity if min_capacity is None else min_capacity,
            max_capacity=target.max_capacity if max_capacity is None else max_capacity,
        )

    def _room_for_theirs(self, max_capacity: int | None, seen_max_capacity: int) -> int | None:
        """Return the maximum to write, with room for a desired count that somebody else has set.

        Every call to autoscaling stops tasks that are above the maximum, one for the minimum alone
        as well.
        """
        found, written = self._plan.found.desired_count, self._plan.written.desired_count
        seen = self._settled(self._read_desired_count, lambda seen: seen in (found, written))
        desired_count = found if seen == written else seen
        limit = seen_max_capacity if max_capacity is None else max_capacity
        if desired_count <= limit:
            return max_capacity
        self._leave_alone(
            f"the autoscaling maximum is {desired_count} and not {limit}: somebody set the desired "
            f"count to {desired_count}, and autoscaling would stop tasks"
        )
        return desired_count

    def _ours(self, name: str, seen: int, found: int | None, written: int | None) -> int | None:
        """Return what to put back, or None where nothing is to be done."""
        if seen == found:
            return None
        if seen == written:
            return found
        self._leave_alone(f"the {name} is {seen}: it was {found}, this run wrote {written}")
        return None

    def _leave_alone(self, note: str) -> None:
        """Note once what stays, however often the put-back has to be tried."""
        if note not in self._left_alone:
            self._left_alone.append(note)

    def desired_count(self) -> None:
        """Put the desired count back, and wait until reads show it."""
        try:
            self._patiently(self._restore_desired_count)
        except AwsCallError as error:
            self._failed.append((self._desired_count_command(), error))

    def _restore_desired_count(self) -> None:
        found, written = self._plan.found.desired_count, self._plan.written.desired_count
        seen = self._settled(self._read_desired_count, lambda seen: seen == written)
        ours = self._ours("desired count", seen, found, written)
        if ours is not None:
            self._gateway.set_desired_count(ours)
            seen = self._settled(self._read_desired_count, lambda seen: seen == ours)
        self._now = replace(self._now, desired_count=seen)

    def _read_desired_count(self) -> int:
        """Return the desired count; a service that somebody has deleted wants none."""
        service = self._gateway.service()
        return 0 if service is None else service.desired_count

    def _settled[T](self, read: Callable[[], T], expected: Callable[[T], bool]) -> T:
        """Read until the expected is seen, or what is seen cannot be a stale picture."""
        until = self._clock.now() + CONSISTENCY_SECONDS
        seen = read()
        while not expected(seen) and self._clock.now() < until:
            self._clock.sleep(1)
            seen = read()
        return seen

    def _patiently(self, action: Callable[[], None]) -> None:
        """Try again for a while when AWS fails for a moment: this is what must not be left."""
        patiently(
            action,
            self._clock,
            delays_seconds=PUT_BACK_DELAYS_SECONDS,
            worth_it=lambda error: error.transient and self._clock.now() < self.gives_up_at,
        )

    def report(self) -> CapacityReport:
        """Return what holds now. Raises RestoreError if anything could not be put back."""
        if self._failed:
            commands = [command for command, _ in self._failed]
            causes = " ".join(str(error) for _, error in self._failed)
            raise RestoreError(
                f"The capacity of {self._gateway.resource_id} could not be put back. {causes}",
                remedy=f"Run: {' && '.join(commands)}",
                commands=commands,
                left_alone=self._left_alone,
            )
        logger.info(
            "Capacity put back: desired count %d",
            self._now.desired_count,
            extra={"now": _spoken(self._now), "left_alone": self._left_alone},
        )
        return CapacityReport(
            found=self._plan.found, now=self._now, left_alone=tuple(self._left_alone)
        )

    def _limits_command(self) -> str:
        return limits_command(self._gateway, *self._limits)

    def _desired_count_command(self) -> str:
        return desired_count_command(self._gateway, self._plan.found.desired_count)


def limits_command(gateway: Gateway, min_capacity: int | None, max_capacity: int | None) -> str:
    """Return the command that writes the limits that are given."""
    options = {
        "resource-id": gateway.resource_id,
        "min-capacity": min_capacity,
        "max-capacity": max_capacity,
        "region": gateway.region,
    }
    return _command(
        "application-autoscaling register-scalable-target --service-namespace ecs "
        "--scalable-dimension ecs:service:DesiredCount",
        {name: value for name, value in options.items() if value is not None},
    )


def desired_count_command(gateway: Gateway, desired_count: int) -> str:
    """Return the command that writes the desired count."""
    return _command(
        "ecs update-service",
        {
            "cluster": gateway.cluster_name,
            "service": gateway.service_name,
            "desired-count": desired_count,
            "region": gateway.region,
        },
    )


def not_restored(gateway: Gateway, plan: Raise, error: Exception) -> RestoreError:
    """Return the error for a put-back that ended in a way that nobody foresaw."""
    commands = [desired_count_command(gateway, plan.found.desired_count)]
    if plan.changes_limits:
        found = plan.found
        commands.insert(0, limits_command(gateway, found.min_capacity, found.max_capacity))
    return RestoreError(
        f"The capacity of {gateway.resource_id} could not be put back. {error!r}",
        remedy=f"Run: {' && '.join(commands)}",
        commands=commands,
    )


def _command(verb: str, options: dict[str, object]) -> str:
    given = " ".join(f"--{name} {shlex.quote(str(value))}" for name, value in options.items())
    return f"aws {verb} {given}"


def _spoken(capacity: Capacity) -> dict[str, int | None]:
    return {
        "desired_count": capacity.desired_count,
        "min_capacity": capacity.min_capacity,
        "max_capacity": capacity.max_capacity,
    }
