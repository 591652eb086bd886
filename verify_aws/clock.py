"""The only place in the verification where time is read and passes."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


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


def utc(epoch_seconds: float) -> datetime:
    """Return an instant as a time in UTC."""
    return datetime.fromtimestamp(epoch_seconds, UTC)
