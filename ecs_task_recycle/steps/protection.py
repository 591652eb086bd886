"""Tasks under scale-in protection: which they are, when each protection ends, when to read again.

StopTask does not respect the protection, so it is read before each stop.
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-scale-in-protection.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from ecs_task_recycle.aws.gateway import Gateway
from ecs_task_recycle.model import Protection

OFTEN_SECONDS: Final = 20.0
"""A protection that is cleared is noticed, and its task stopped, within half a minute."""
SELDOM_SECONDS: Final = 300.0
FAR_AWAY: Final = timedelta(hours=12)
"""Beyond this no work is expected to end soon, so reads are seldom."""

NEVER: Final = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtectionLook:
    """One read of protected tasks: which are free or gone, which are not, when to read again."""

    free_arns: tuple[str, ...]
    waiting: tuple[Protection, ...]
    next_look_seconds: float
    first_end_seconds: float


def under_protection(ends: Mapping[str, datetime | None]) -> tuple[Protection, ...]:
    """Return the protected tasks, in the order in which their protection ends."""
    protected = [
        Protection(task_arn=arn, until_at=until_at)
        for arn, until_at in ends.items()
        if until_at is not None
    ]
    return in_order(protected)


def in_order(protections: Iterable[Protection]) -> tuple[Protection, ...]:
    """Return protections in the order in which they end."""
    return tuple(sorted(protections, key=lambda each: (each.until_at or NEVER, each.task_arn)))


def look(gateway: Gateway, now_at: datetime, waiting: Iterable[Protection]) -> ProtectionLook:
    """Read the protection of tasks that were protected when it was read last."""
    arns = [each.task_arn for each in in_order(waiting)]
    still = under_protection(gateway.protections(arns))
    held = {each.task_arn for each in still}
    return ProtectionLook(
        free_arns=tuple(arn for arn in arns if arn not in held),
        waiting=still,
        next_look_seconds=next_look_seconds(still, now_at),
        first_end_seconds=first_end_seconds(still, now_at),
    )


def first_end_seconds(waiting: Iterable[Protection], now_at: datetime) -> float:
    """Return the seconds until the first protection has ended, 1 for one without an end."""
    ends = [each.until_at - now_at for each in waiting if each.until_at is not None]
    return max(1.0, min(ends, default=timedelta(0)).total_seconds() + 1)


def next_look_seconds(waiting: Iterable[Protection], now_at: datetime) -> float:
    """Return when to read again: seldom while all ends are far away, else at the first one."""
    first_seconds = first_end_seconds(waiting, now_at)
    if first_seconds > FAR_AWAY.total_seconds():
        return SELDOM_SECONDS
    return min(OFTEN_SECONDS, first_seconds)
