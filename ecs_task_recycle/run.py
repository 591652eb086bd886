"""One run's life: steps whose results are kept, pauses, and the time that is left.

The engine knows nothing of how it is run. What it owes in return: outside a step it calls no AWS,
reads no clock and no environment; a step may be run again after a crash and says absolute things
only; names of steps are stable and tell a reader what is going on.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Protocol

from ecs_task_recycle.codec import decode, encode

if TYPE_CHECKING:
    from collections.abc import Callable

    from ecs_task_recycle.clock import Clock

HEARTBEAT_SECONDS = 60.0

logger = logging.getLogger(__name__)


class StepFailedError(Exception):
    """A step raised; ``error`` is what it raised. The only exception the engine catches."""

    def __init__(self, name: str, error: Exception) -> None:
        """Keep the step's name and its error."""
        super().__init__(f"{name}: {error}")
        self.name = name
        self.error = error


class Run(Protocol):
    """What the engine needs of the life it leads."""

    def step[T](self, name: str, action: Callable[[], T], result: type[T]) -> T:
        """Run an action once, keep its result (JSON), raise StepFailedError if it raises."""
        ...

    def pause(self, name: str, seconds: float) -> None:
        """Let so many seconds pass."""
        ...

    def time_left(self) -> float:
        """Return the seconds until this run is ended from outside; infinite if it is not."""
        ...


class InlineRun:
    """A run inside one invocation: it calls, it sleeps, and it has that invocation's deadline."""

    def __init__(self, clock: Clock, *, deadline_at: float = float("inf")) -> None:
        """Take the clock, and the deadline in seconds since the epoch."""
        self._clock = clock
        self._deadline_at = deadline_at

    def step[T](self, name: str, action: Callable[[], T], result: type[T]) -> T:
        """Run an action; its result passes through JSON, as it would to survive a crash."""
        try:
            outcome = json.dumps(encode(action()))
        except Exception as error:
            raise StepFailedError(name, error) from error
        return decode(result, json.loads(outcome))

    def pause(self, name: str, seconds: float) -> None:
        """Sleep, with a log line at least once a minute."""
        until = self._clock.now() + seconds
        while (left := until - self._clock.now()) > 0:
            self._clock.sleep(min(left, HEARTBEAT_SECONDS))
            if (left := until - self._clock.now()) > 0:
                logger.info("%s: %d s left", name, left, extra={"seconds_left": round(left)})

    def time_left(self) -> float:
        """Return the seconds until the deadline."""
        return self._deadline_at - self._clock.now()
