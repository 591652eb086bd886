"""The machine's clock, for threads that have to end when the verification does."""

from __future__ import annotations

import threading
from typing import override

from ecs_task_recycle.clock import SystemClock


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
