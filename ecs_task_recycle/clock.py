"""The only place where the product reads the time or sleeps."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

HEARTBEAT_SECONDS: Final = 60.0
"""While anything is awaited, a log line at least this often says what for."""

CLOCK_SKEW: Final = timedelta(seconds=1)
"""How far this machine's clock and AWS's may differ."""


class Clock(Protocol):
    """Time as a run needs it; tests put a virtual one in its place."""

    def now(self) -> float:
        """Return the time in seconds since the epoch."""
        ...

    def sleep(self, seconds: float) -> None:
        """Block for this many seconds."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> float:
        """Return the time in seconds since the epoch."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Block for this many seconds."""
        time.sleep(seconds)


def as_utc(epoch_seconds: float) -> datetime:
    """Return the aware UTC datetime of an instant given in seconds since the epoch."""
    return datetime.fromtimestamp(epoch_seconds, UTC)


def is_since(instant_at: datetime | None, since_at: datetime) -> bool:
    """Whether an instant of AWS's clock is not before one of this machine's clock."""
    return instant_at is not None and instant_at >= since_at - CLOCK_SKEW


def pause(clock: Clock, seconds: float, speak: Callable[[float], None]) -> None:
    """Sleep; ``speak`` is called with the seconds that are left at least once a minute."""
    until = clock.now() + seconds
    while (left := until - clock.now()) > 0:
        clock.sleep(min(left, HEARTBEAT_SECONDS))
        if (left := until - clock.now()) > 0:
            speak(left)
