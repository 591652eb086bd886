"""Clocks: a virtual one that tests move, and the wall's, which may run faster than life."""

import time
from collections.abc import Callable
from typing import Protocol

EPOCH = 1_767_603_600.0
"""Where a virtual clock starts unless told otherwise: 2026-01-05T09:00:00Z."""


class Clock(Protocol):
    """Something that tells the time in epoch seconds and can wait."""

    def now(self) -> float:
        """Return the time in epoch seconds."""
        ...

    def sleep(self, seconds: float) -> None:
        """Let `seconds` go by."""
        ...


class VirtualClock:
    """A clock that moves only when somebody sleeps; a world makes its events happen meanwhile.

    `start` is in epoch seconds.
    """

    def __init__(self, start: float = EPOCH) -> None:
        self._now = start
        self._travel: Callable[[float], None] | None = None

    def now(self) -> float:
        """Return the virtual time in epoch seconds."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Move on by `seconds`; what is due in the world happens on the way, each at its instant.

        Raises `Killed` at the instant at which the world has its caller killed.
        """
        instant = self._now + max(0.0, seconds)
        if self._travel is None:
            self.move_to(instant)
        else:
            self._travel(instant)

    def move_to(self, instant: float) -> None:
        """Set the time to `instant`, never backwards. For the world alone."""
        self._now = max(self._now, instant)

    def drive(self, travel: Callable[[float], None]) -> None:
        """Have `travel(instant)` called for each sleep: it must end by `move_to(instant)`."""
        self._travel = travel


class WallClock:
    """Real time, `speed` times as fast: a sleep of 60 seconds at speed 60 takes one.

    It began at `started_at`, in epoch seconds, when the machine's monotonic clock was at `began`.
    """

    def __init__(self, speed: float = 1.0) -> None:
        self.speed = speed
        self.began = time.monotonic()
        self.started_at = time.time()

    def now(self) -> float:
        """Return the (quickened) time in epoch seconds."""
        return self.started_at + (time.monotonic() - self.began) * self.speed

    def sleep(self, seconds: float) -> None:
        """Wait for `seconds` of this clock's time."""
        time.sleep(max(0.0, seconds) / self.speed)
