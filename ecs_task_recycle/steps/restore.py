"""Restore the capacity: what this tool wrote goes back, whatever somebody else changed stays.

Neither ECS nor Application Auto Scaling can compare and set. So whatever no longer holds what was
written belongs to somebody else.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from ecs_task_recycle.aws.errors import CONFLICT, retry
from ecs_task_recycle.aws.gateway import Gateway
from ecs_task_recycle.clock import Clock
from ecs_task_recycle.codec import encode
from ecs_task_recycle.errors import AwsCallError, RestoreError
from ecs_task_recycle.model import CapacityReport, ScaleUp, Service
from ecs_task_recycle.steps.scale_up import desired_count_command, limits_command
from ecs_task_recycle.watch.reads import CONSISTENCY_SECONDS

RETRY_DELAYS_SECONDS: Final = (5.0,) * 5

CONFLICT_DELAYS_SECONDS: Final = (5.0,) * 72
"""Six minutes, if the run has them: nobody else would put the limits back before the next run."""

logger = logging.getLogger(__name__)


class Restorer:
    """Puts back, number by number, what still holds what was written."""

    def __init__(
        self, gateway: Gateway, clock: Clock, scale_up: ScaleUp, *, retry_until: float
    ) -> None:
        """Take what was found and written; calls that fail are retried until an instant."""
        self._gateway = gateway
        self._clock = clock
        self._found = scale_up.found
        self._written = scale_up.written
        self._changes_limits = scale_up.changes_limits
        self._retry_until = retry_until
        self._left_alone: list[str] = []
        self._failed: list[tuple[str, AwsCallError]] = []
        self._limits = (scale_up.found.min_capacity, scale_up.found.max_capacity)
        self._now = scale_up.found

    def restore(self, notes: Sequence[str]) -> CapacityReport:
        """Put the limits back, then the desired count, and return what holds then.

        ``notes`` says what the report has to name besides. Raises RestoreError with the commands
        that put it right.
        """
        self._left_alone += notes
        if self._changes_limits:
            self._attempt(
                self._restore_limits, lambda: limits_command(self._gateway, *self._limits)
            )
        self._attempt(
            self._restore_desired_count,
            lambda: desired_count_command(self._gateway, self._found.desired_count),
        )
        if self._failed:
            raise self._error()
        logger.info(
            "Capacity put back: desired count %d",
            self._now.desired_count,
            extra={"now": encode(self._now), "left_alone": self._left_alone},
        )
        return CapacityReport(found=self._found, now=self._now, left_alone=tuple(self._left_alone))

    def _attempt(self, action: Callable[[], None], command: Callable[[], str]) -> None:
        """Try for a while: this is what must not be left undone."""
        try:
            self._retry(
                action,
                RETRY_DELAYS_SECONDS,
                lambda error: error.transient and error.code != CONFLICT,
            )
        except AwsCallError as error:
            self._failed.append((command(), error))

    def _retry(
        self,
        action: Callable[[], None],
        delays_seconds: Sequence[float],
        is_retryable: Callable[[AwsCallError], bool],
    ) -> None:
        retry(
            action,
            self._clock,
            delays_seconds=delays_seconds,
            is_retryable=lambda error: (
                is_retryable(error) and self._clock.now() < self._retry_until
            ),
        )

    def _restore_limits(self) -> None:
        """Put the limits back, as soon as autoscaling takes another call."""
        self._retry(
            self._restore_limits_now,
            CONFLICT_DELAYS_SECONDS,
            lambda error: error.code == CONFLICT,
        )

    def _restore_limits_now(self) -> None:
        found, written = self._found, self._written
        service = self._read_known_service()
        if service is None:
            # Autoscaling refuses every call for a service that does not exist.
            self._leave_alone("the autoscaling limits: somebody has deleted the service")
            self._now = replace(self._now, min_capacity=None, max_capacity=None)
            return
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
        max_capacity = self._with_room_for_others(
            self._ours(
                "autoscaling maximum", target.max_capacity, found.max_capacity, written.max_capacity
            ),
            target.max_capacity,
            seen_desired_count=service.desired_count,
        )
        self._limits = (min_capacity, max_capacity)
        if min_capacity is not None or max_capacity is not None:
            self._gateway.set_limits(min_capacity=min_capacity, max_capacity=max_capacity)
        self._now = replace(
            self._now,
            min_capacity=target.min_capacity if min_capacity is None else min_capacity,
            max_capacity=target.max_capacity if max_capacity is None else max_capacity,
        )

    def _with_room_for_others(
        self, max_capacity: int | None, seen_max_capacity: int, *, seen_desired_count: int
    ) -> int | None:
        """Return the maximum to write, with room for a desired count that somebody else has set.

        Every call to autoscaling stops tasks that are above the maximum, one for the minimum alone
        as well.
        """
        is_ours = seen_desired_count in (self._found.desired_count, self._written.desired_count)
        limit = seen_max_capacity if max_capacity is None else max_capacity
        if is_ours or seen_desired_count <= limit:
            return max_capacity
        self._leave_alone(
            f"the autoscaling maximum is {seen_desired_count} and not {limit}: somebody set the "
            f"desired count to {seen_desired_count}, and autoscaling would stop tasks"
        )
        return seen_desired_count

    def _ours(self, name: str, seen: int, found: int | None, written: int | None) -> int | None:
        """Return what to put back, or None where nothing is to be done."""
        if seen == found:
            return None
        if seen == written:
            return found
        self._leave_alone(f"the {name} is {seen}: it was {found}, this run wrote {written}")
        return None

    def _leave_alone(self, note: str) -> None:
        """Note once what stays, however often restoring has to be tried."""
        if note not in self._left_alone:
            self._left_alone.append(note)

    def _restore_desired_count(self) -> None:
        found, written = self._found.desired_count, self._written.desired_count
        seen = self._settled(self._read_desired_count, lambda seen: seen == written)
        ours = self._ours("desired count", seen, found, written)
        if ours is not None:
            self._gateway.set_desired_count(ours)
            seen = self._settled(self._read_desired_count, lambda seen: seen == ours)
        self._now = replace(self._now, desired_count=seen)

    def _read_desired_count(self) -> int:
        """Return the desired count; a service that somebody has deleted wants none."""
        service = self._read_service()
        return 0 if service is None else service.desired_count

    def _read_known_service(self) -> Service | None:
        """Read the service until its desired count is found or written, or no old state."""
        counts = (self._found.desired_count, self._written.desired_count)
        return self._settled(
            self._read_service, lambda seen: seen is None or seen.desired_count in counts
        )

    def _read_service(self) -> Service | None:
        """Return the service, None for one that somebody has deleted: ECS may still show it."""
        service = self._gateway.service()
        return None if service is None or service.status == "INACTIVE" else service

    def _settled[T](self, read: Callable[[], T], expected: Callable[[T], bool]) -> T:
        """Read until the expected is seen, or what is seen cannot be an old state any more."""
        until = self._clock.now() + CONSISTENCY_SECONDS
        seen = read()
        while not expected(seen) and self._clock.now() < until:
            self._clock.sleep(1)
            seen = read()
        return seen

    def _error(self) -> RestoreError:
        commands = [command for command, _ in self._failed]
        causes = " ".join(str(error) for _, error in self._failed)
        return RestoreError(
            f"The capacity of {self._gateway.resource_id} could not be put back. {causes}",
            remedy=f"Run: {' && '.join(commands)}",
            commands=commands,
            left_alone=self._left_alone,
        )


def not_restored(gateway: Gateway, scale_up: ScaleUp, error: Exception) -> RestoreError:
    """Return the error for a restore that ended in a way that nobody foresaw."""
    found = scale_up.found
    commands = [desired_count_command(gateway, found.desired_count)]
    if scale_up.changes_limits:
        commands.insert(0, limits_command(gateway, found.min_capacity, found.max_capacity))
    return RestoreError(
        f"The capacity of {gateway.resource_id} could not be put back. {error!r}",
        remedy=f"Run: {' && '.join(commands)}",
        commands=commands,
    )
