"""Put the capacity back, number by number: what still holds what was written.

What somebody else changed stays. Neither ECS nor Application Auto Scaling can compare and set, so
whatever no longer holds what was written is somebody else's.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field, replace
from typing import Final

from ecs_task_recycle.aws.gateway import Gateway
from ecs_task_recycle.clock import Clock
from ecs_task_recycle.errors import AwsCallError
from ecs_task_recycle.model import Capacity, ScalableTarget, ScaleUp
from ecs_task_recycle.watch.reads import doubt_before_leaving, read_until

MOVED_SECONDS: Final = 60.0
"""How long autoscaling may take to move the desired count into limits that were written."""


@dataclass(slots=True, kw_only=True)
class PutBack:
    """Puts back, number by number, what still holds what was written; can be repeated.

    ``now`` is what holds, as far as it is put back; ``left_alone`` what somebody else has changed.
    ``last_write`` (epoch seconds) is when a number may have been written last, ``until`` (likewise)
    how long reads may be doubted that differ.
    """

    gateway: Gateway
    clock: Clock
    scale_up: ScaleUp
    now: Capacity
    believes_missing: bool
    last_write: float
    until: float
    left_alone: list[str] = field(default_factory=list)
    _limits: Capacity | None = None
    _set_again_count: int | None = None

    def put_back_limits(self) -> None:
        """Put the autoscaling limits back. Raises AwsCallError."""
        found, written = self.scale_up.found, self.scale_up.written
        seen_count = self._read_count(found.desired_count, written.desired_count)
        if seen_count is None:
            # Autoscaling refuses every call for a service that does not exist.
            self._leave("the autoscaling limits: somebody has deleted the service")
            self.now = replace(self.now, min_capacity=None, max_capacity=None)
            return
        ours = (written.min_capacity, written.max_capacity)
        target = read_until(
            self.gateway.scalable_target,
            lambda seen: seen is not None and (seen.min_capacity, seen.max_capacity) == ours,
            self.clock,
            doubt=doubt_before_leaving(self.last_write),
            until=self.until,
        )
        if target is None:
            self._leave("the scalable target: somebody has deregistered it")
            self.now = replace(self.now, min_capacity=None, max_capacity=None)
            return
        self._write_limits(target, seen_count)
        is_ours = seen_count in (found.desired_count, written.desired_count)
        if not is_ours and seen_count < (self.now.min_capacity or 0):
            self._set_again(seen_count)

    def _write_limits(self, target: ScalableTarget, seen_count: int) -> None:
        """Write those of the limits that still hold what was written. Raises AwsCallError."""
        found, written = self.scale_up.found, self.scale_up.written
        lowest = self._ours(
            "autoscaling minimum", target.min_capacity, found.min_capacity, written.min_capacity
        )
        highest = self._with_room(
            self._ours(
                "autoscaling maximum", target.max_capacity, found.max_capacity, written.max_capacity
            ),
            target.max_capacity,
            seen_count=seen_count,
        )
        self._limits = replace(found, min_capacity=lowest, max_capacity=highest)
        if lowest is not None or highest is not None:
            self.gateway.set_limits(min_capacity=lowest, max_capacity=highest)
        self.now = replace(
            self.now,
            min_capacity=target.min_capacity if lowest is None else lowest,
            max_capacity=target.max_capacity if highest is None else highest,
        )

    def put_back_desired_count(self) -> None:
        """Put the desired count back. Raises AwsCallError."""
        found, written = self.scale_up.found.desired_count, self.scale_up.written.desired_count
        seen_count = self._read_count(written)
        ours = None
        if seen_count is not None and seen_count != self._set_again_count:
            ours = self._ours("desired count", seen_count, found, written)
        if ours is not None:
            self.gateway.set_desired_count(ours)
            self.last_write = self.clock.now()
            seen_count = self._read_count(ours)
        self.now = replace(self.now, desired_count=seen_count or 0)

    def _read_count(self, *expected: int) -> int | None:
        """Read the desired count until it is an expected one, or no old state; None: no service.

        Raises AwsCallError for a service that ECS does not know though it was there just now.
        """
        service = read_until(
            self.gateway.service,
            lambda seen: seen is not None and seen.desired_count in expected,
            self.clock,
            doubt=doubt_before_leaving(self.last_write),
            until=self.until,
        )
        if service is None and not self.believes_missing:
            text = "the service is not there, though it was just now"
            raise AwsCallError.of("ecs:DescribeServices", "MISSING", text, transient=True)
        is_gone = service is None or service.status == "INACTIVE"
        return None if service is None or is_gone else service.desired_count

    def _set_again(self, count: int) -> None:
        """Set a count again that somebody has set below the minimum: autoscaling has raised it.

        Every call to autoscaling does, a few seconds later: a service that was shut down runs
        again. https://docs.aws.amazon.com/autoscaling/application/APIReference/API_RegisterScalableTarget.html
        """
        until = self.clock.now() + MOVED_SECONDS
        while self._read_count(count) == count and self.clock.now() < until:
            self.clock.sleep(1)
        self.gateway.set_desired_count(count)
        self._set_again_count = count
        self._leave(
            f"the desired count is {count}: somebody set it below the autoscaling minimum of "
            f"{self.now.min_capacity}"
        )

    def limits_command(self) -> str:
        """Return the command that puts back those of the limits that are this tool's."""
        return limits_command(self.gateway, self._limits or self.scale_up.found)

    def desired_count_command(self) -> str:
        """Return the command that puts the desired count back."""
        return desired_count_command(self.gateway, self.scale_up.found.desired_count)

    def _with_room(self, highest: int | None, seen_highest: int, *, seen_count: int) -> int | None:
        """Return the maximum to write, with room for a desired count that somebody else has set.

        Every call to autoscaling stops tasks that are above the maximum, one for the minimum alone
        as well.
        """
        ours = (self.scale_up.found.desired_count, self.scale_up.written.desired_count)
        limit = seen_highest if highest is None else highest
        if seen_count in ours or seen_count <= limit:
            return highest
        self._leave(
            f"the autoscaling maximum is {seen_count} and not {limit}: somebody set the desired "
            f"count to {seen_count}, and autoscaling would stop tasks"
        )
        return seen_count

    def _ours(self, name: str, seen: int, found: int | None, written: int | None) -> int | None:
        """Return what to put back, or None where nothing is to be done."""
        if seen == found:
            return None
        if seen == written:
            return found
        self._leave(f"the {name} is {seen}: it was {found}, this run wrote {written}")
        return None

    def _leave(self, note: str) -> None:
        """Note once what stays, however often it has to be tried."""
        if note not in self.left_alone:
            self.left_alone.append(note)


def limits_command(gateway: Gateway, limits: Capacity) -> str:
    """Return the command that writes the autoscaling limits that are given."""
    options: dict[str, object] = {
        "resource-id": gateway.resource_id,
        "min-capacity": limits.min_capacity,
        "max-capacity": limits.max_capacity,
        "region": gateway.region,
    }
    return _command(
        "application-autoscaling register-scalable-target --service-namespace ecs "
        "--scalable-dimension ecs:service:DesiredCount",
        {name: value for name, value in options.items() if value is not None},
    )


def desired_count_command(gateway: Gateway, desired_count: int) -> str:
    """Return the command that writes the desired count."""
    options: dict[str, object] = {
        "cluster": gateway.cluster_name,
        "service": gateway.service_name,
        "desired-count": desired_count,
        "region": gateway.region,
    }
    return _command("ecs update-service", options)


def _command(verb: str, options: dict[str, object]) -> str:
    given = " ".join(f"--{name} {shlex.quote(str(value))}" for name, value in options.items())
    return f"aws {verb} {given}"
