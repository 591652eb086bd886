"""The only place in the verification where time is read and passes."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import Protocol, override


class Clock(Protocol):
    """Epoch seconds; tests put a virtual one in its place."""

    def now(self) -> float:
        """Return the time in epoch seconds."""
        ...

    def sleep(self, seconds: float) -> None:
        """Return when so many seconds have passed."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> float:
        """Return the time in epoch seconds."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Return when so many seconds have passed."""
        time.sleep(seconds)


class StoppedError(Exception):
    """Somebody wanted to wait for something that nobody waits for any more."""


class StoppableClock(SystemClock):
    """The machine's clock, on which threads wait until all of it is over."""

    def __init__(self) -> None:
        self._is_over = threading.Event()

    def stop(self) -> None:
        """Let whoever sleeps now or later be woken by a StoppedError."""
        self._is_over.set()

    @override
    def sleep(self, seconds: float) -> None:
        """Return when so many seconds have passed; raises StoppedError."""
        if self._is_over.wait(seconds):
            raise StoppedError


def utc(epoch_seconds: float) -> datetime:
    """Return an instant as a time in UTC."""
    return datetime.fromtimestamp(epoch_seconds, UTC)
