"""One rule for stale reads: what a read shows may be what was before a write, for a while.

ECS and Application Auto Scaling promise no read after write.
https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html ("eventual consistency")
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

from ecs_task_recycle.clock import Clock

CONSISTENCY_SECONDS: Final = 15.0
"""How long a read may still show what was before a write."""


def seconds_until_current(now: float, since_at: datetime) -> float:
    """Return for how long a read may still show what was before an instant.

    One that seems to lie ahead is another machine's, whose clock is.
    """
    age_seconds = max(0.0, now - since_at.timestamp())
    return max(0.0, CONSISTENCY_SECONDS - age_seconds)


def read_until[T](read: Callable[[], T], expected: Callable[[T], bool], clock: Clock) -> T:
    """Read until the expected is seen, or what is seen cannot be an old state any more."""
    until = clock.now() + CONSISTENCY_SECONDS
    seen = read()
    while not expected(seen) and clock.now() < until:
        clock.sleep(1)
        seen = read()
    return seen
