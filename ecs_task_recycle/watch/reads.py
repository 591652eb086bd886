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


def may_be_stale(read: float, since: float) -> bool:
    """Whether what was read at an instant may be what was before another one (epoch seconds)."""
    return read - since < CONSISTENCY_SECONDS


def seconds_until_current(now: float, since_at: datetime) -> float:
    """Return for how long a read may still show what was before an instant.

    An instant that seems to lie ahead is from a machine whose clock is ahead.
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


class Doubt:
    """Whether to believe reads that differ from what this run has written.

    They are believed once no read can show what was before the last write any more. Where the
    instant of that write is not known, it is taken to be that of the first read that differs.
    """

    def __init__(self, written: float | None = None) -> None:
        """Take the instant of the last write in epoch seconds, if it is known."""
        self._written = written
        self._first_seen: float | None = None

    def wrote(self, now: float) -> None:
        """Doubt the reads anew after a write."""
        self._written = now

    def saw(self, now: float, *, differs: bool) -> None:
        """Take in a read."""
        if not differs:
            self._first_seen = None
        elif self._first_seen is None:
            self._first_seen = now

    def seconds_left(self, now: float) -> float:
        """Return for how long a read that differs is not to be believed; 0 if none is doubted."""
        since = self._since
        return 0.0 if since is None else max(0.0, since + CONSISTENCY_SECONDS - now)

    def is_over(self, now: float) -> bool:
        """Whether a read that differs is to be believed by now."""
        return self._since is not None and not self.seconds_left(now)

    @property
    def _since(self) -> float | None:
        return self._first_seen if self._written is None else self._written
