"""One rule for stale reads: what a read shows may be what was before a write, for a while.

ECS and Application Auto Scaling promise no read after write.
https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html ("eventual consistency")
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime
from typing import Final

from ecs_task_recycle.clock import Clock

CONSISTENCY_SECONDS: Final = 15.0
"""How long a read usually may still show what was before a write."""

DOUBT_SECONDS: Final = 60.0
"""How long one is not believed that differs from a write, where waiting costs nothing but time.

AWS names no limit: it advises to ask again for up to about five minutes.
"""

APART_SECONDS: Final = 4.0
"""How far apart two reads have to be that differ from what was written long ago."""


def may_be_stale(read: float, since: float) -> bool:
    """Whether what was read at an instant may be what was before another one (epoch seconds)."""
    return read - since < CONSISTENCY_SECONDS


def seconds_until_current(now: float, since_at: datetime) -> float:
    """Return for how long a read may still show what was before an instant.

    An instant that seems to lie ahead is from a machine whose clock is ahead.
    """
    age_seconds = max(0.0, now - since_at.timestamp())
    return max(0.0, CONSISTENCY_SECONDS - age_seconds)


def read_until[T](
    read: Callable[[], T],
    expected: Callable[[T], bool],
    clock: Clock,
    *,
    doubt: Doubt | None = None,
    until: float = math.inf,
) -> T:
    """Read until the expected is seen, or what is seen is to be believed, or time is up.

    Without a ``doubt`` it is believed once it cannot be what was before the first of these reads;
    so long there is always time.
    """
    until = max(until, clock.now() + CONSISTENCY_SECONDS)
    if doubt is None:
        doubt = Doubt(written=clock.now(), doubt_seconds=CONSISTENCY_SECONDS)
    while True:
        seen = read()
        now = clock.now()
        doubt.saw(now, differs=not expected(seen))
        if expected(seen) or doubt.is_over() or now >= until:
            return seen
        clock.sleep(1)


def doubt_before_leaving(written: float) -> Doubt:
    """Return the doubt in reads that differ from what was raised at an instant (epoch seconds).

    What is believed to be somebody else's is left alone, and so stays raised for good.
    """
    return Doubt(written, apart_seconds=CONSISTENCY_SECONDS)


class Doubt:
    """Whether to believe reads that differ from what this run has written.

    Two reads have to differ, ``apart_seconds`` apart and with none between them that does not, the
    second one ``doubt_seconds`` after the last write. Where the instant of that write is not known,
    it is taken to be that of the first read that differs.
    """

    def __init__(
        self,
        written: float | None = None,
        *,
        doubt_seconds: float = DOUBT_SECONDS,
        apart_seconds: float = APART_SECONDS,
    ) -> None:
        """Take the instant of the last write in epoch seconds, if it is known."""
        self.written = written
        self._doubt_seconds = doubt_seconds
        self._apart_seconds = apart_seconds
        self._first_seen: float | None = None
        self._last_seen: float | None = None

    def wrote(self, now: float) -> None:
        """Doubt the reads anew after a write."""
        self.written = now
        self._first_seen = self._last_seen = None

    def saw(self, read: float, *, differs: bool) -> None:
        """Take in a read, by its instant; the same one twice is one."""
        if not differs:
            self._first_seen = self._last_seen = None
            return
        self._last_seen = read
        if self._first_seen is None:
            self._first_seen = read

    def seconds_left(self, now: float) -> float:
        """Return for how long what differs is not to be believed; 0 if nothing is doubted."""
        ends = self._ends
        return 0.0 if ends is None else max(0.0, ends - now)

    def is_over(self) -> bool:
        """Whether what differs is to be believed by the last read."""
        ends = self._ends
        return ends is not None and self._last_seen is not None and self._last_seen >= ends

    @property
    def _ends(self) -> float | None:
        """The instant from which on a read that differs is to be believed."""
        if self._first_seen is None:
            return None
        written = self._first_seen if self.written is None else self.written
        return max(written + self._doubt_seconds, self._first_seen + self._apart_seconds)
