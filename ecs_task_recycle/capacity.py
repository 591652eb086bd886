"""One task more and the autoscaling limits: raise them, put back what is still ours.

Neither ECS nor Application Auto Scaling can compare and set. So whatever no longer holds what this
run wrote belongs to somebody else and stays as it is.
"""

from __future__ import annotations

import logging
import shlex
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Final

from ecs_task_recycle.errors import AwsCallError, PreconditionError, RestoreError, StepTimeoutError
from ecs_task_recycle.gateway import patiently
from ecs_task_recycle.model import Capacity, CapacityReport, Raise, WorkList
from ecs_task_recycle.observation import CONSISTENCY_SECONDS, FailedStarts, Observer, is_since
from ecs_task_recycle.replacement import raise_if_failing, until_or_cause
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

    def await_in_service(self, gateway: Gateway, clock: Clock, *, timeout_seconds: float) -> float:
        """Return how many seconds it took until the extra task was in service.

        One more than were in service before is enough here; whether a task may be stopped is
        decided anew before each stop. Raises ReplacementError after the third failed start.
        """
        began_at = clock.now()
        failed = FailedStarts(
            since_at=self.work.run_started_at, run_started_at=self.work.run_started_at
        )
        known = frozenset(self.work.known_arns)

        def judge(picture: Picture) -> float | None:
            failed.learn(picture)
            raise_if_failing(failed)
            count = len(picture.in_service)
            arrived = count > self.work.in_service_count and picture.in_service - known
            return clock.now() - began_at if arrived or count >= self.whole_count else None

        return until_or_cause(
            Watch(awaited="the extra task", timeout_seconds=timeout_seconds),
            Observer(gateway, clock, checks_health=self.work.checks_health),
            clock,
            judge=judge,
            failed=failed,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PutBack:
    """How the capacity is to be put back.

    Lowering the desired count makes ECS choose a task to stop, and it may choose a healthy one
    while another is still starting. ``patience_seconds`` is how long to wait for the service to be
    whole first; ``withdraws`` says to stop the tasks that are not in service by then and were
    created since ``raised_since_at``, so that there is nothing left to choose.
    """

    plan: Raise
    raised_since_at: datetime
    stopped_arns: tuple[str, ...]
    patience_seconds: float
    withdraws: bool
    checks_health: bool

    def run(self, gateway: Gateway, clock: Clock) -> CapacityReport:
        """Put the limits back, then the desired count. Raises RestoreError with the commands."""
        notes = self._settle(gateway, clock)
        restorer = _Restorer(self.plan, gateway, clock, notes)
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
        if picture.service.desired_count != self.plan.written.desired_count:
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
        self._failed: list[tuple[str, AwsCallError]] = []
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
            self._left_alone.append("the scalable target: somebody has deregistered it")
            self._now = replace(self._now, min_capacity=None, max_capacity=None)
            return
        min_capacity = self._ours(
            "autoscaling minimum", target.min_capacity, found.min_capacity, written.min_capacity
        )
        max_capacity = self._ours(
            "autoscaling maximum", target.max_capacity, found.max_capacity, written.max_capacity
        )
        if min_capacity is not None or max_capacity is not None:
            self._gateway.set_limits(min_capacity=min_capacity, max_capacity=max_capacity)
        self._now = replace(
            self._now,
            min_capacity=target.min_capacity if min_capacity is None else min_capacity,
            max_capacity=target.max_capacity if max_capacity is None else max_capacity,
        )

    def _ours(self, name: str, seen: int, found: int | None, written: int | None) -> int | None:
        """Return what to put back, or None where nothing is to be done."""
        if seen == found:
            return None
        if seen == written:
            return found
        note = f"the {name} is {seen}: it was {found}, this run wrote {written}"
        if note not in self._left_alone:
            self._left_alone.append(note)
        return None

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
            worth_it=lambda error: error.transient,
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
        found = self._plan.found
        return _command(
            "application-autoscaling register-scalable-target --service-namespace ecs "
            "--scalable-dimension ecs:service:DesiredCount",
            {
                "resource-id": self._gateway.resource_id,
                "min-capacity": found.min_capacity,
                "max-capacity": found.max_capacity,
                "region": self._gateway.region,
            },
        )

    def _desired_count_command(self) -> str:
        return _command(
            "ecs update-service",
            {
                "cluster": self._gateway.cluster_name,
                "service": self._gateway.service_name,
                "desired-count": self._plan.found.desired_count,
                "region": self._gateway.region,
            },
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
