"""Look again and again until something is so, and say meanwhile what is awaited.

Looks come quickly at first and then ever more slowly, never more than five seconds apart; once a
run has measured how long a replacement takes, it looks closely only around that time.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ecs_task_recycle.errors import AwsCallError, StepTimeoutError
from ecs_task_recycle.run import HEARTBEAT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from ecs_task_recycle.clock import Clock
    from ecs_task_recycle.observation import Observer, Picture

SLOWEST_SECONDS: Final = 5.0
QUICKEST_SECONDS: Final = 1.0
AHEAD_SECONDS: Final = 1.0
CLOSE_SECONDS: Final = 4.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cadence:
    """When to look next. ``expected_seconds`` is what earlier tasks took, None at first."""

    expected_seconds: float | None = None

    def delay_seconds(self, elapsed_seconds: float) -> float:
        """Return how long to wait for the next look."""
        if self.expected_seconds is None:
            return _bounded(elapsed_seconds / 15)
        ahead = self.expected_seconds - AHEAD_SECONDS - elapsed_seconds
        if ahead > 0:
            return _bounded(ahead)
        return _bounded((-ahead - CLOSE_SECONDS) / 3)


def _bounded(seconds: float) -> float:
    return min(SLOWEST_SECONDS, max(QUICKEST_SECONDS, seconds))


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What is awaited, how long at most, and how often to look."""

    awaited: str
    timeout_seconds: float
    cadence: Cadence = Cadence()

    def until[T](self, observer: Observer, clock: Clock, judge: Callable[[Picture], T | None]) -> T:
        """Look until ``judge`` returns a value.

        Reads that fail for a moment are tried again at the next look. Raises StepTimeoutError with
        what was awaited and last seen, and whatever ``judge`` raises.
        """
        started_at = spoken_at = clock.now()
        seen = "nothing yet"
        while True:
            seen, verdict = self._look(observer, judge, seen)
            if verdict is not None:
                return verdict
            elapsed = clock.now() - started_at
            left = self.timeout_seconds - elapsed
            if left <= 0:
                raise self._timed_out(seen)
            if clock.now() - spoken_at >= HEARTBEAT_SECONDS - SLOWEST_SECONDS:
                spoken_at = clock.now()
                self._speak(elapsed, seen)
            clock.sleep(min(left, self.cadence.delay_seconds(elapsed)))

    @staticmethod
    def _look[T](
        observer: Observer, judge: Callable[[Picture], T | None], seen: str
    ) -> tuple[str, T | None]:
        try:
            picture = observer.look()
        except AwsCallError as error:
            if not error.transient:
                raise
            logger.warning("A look failed, looking again: %s", error, extra=dict(error.facts))
            return f"{seen}, then {error.sentence}", None
        return picture.describe(), judge(picture)

    def _speak(self, elapsed: float, seen: str) -> None:
        logger.info(
            "Waiting for %s for %d s: %s",
            self.awaited,
            elapsed,
            seen,
            extra={"awaited": self.awaited, "seconds": round(elapsed), "seen": seen},
        )

    def _timed_out(self, seen: str) -> StepTimeoutError:
        return StepTimeoutError(
            f"Waited {self.timeout_seconds:g} s for {self.awaited}; last seen: {seen}.",
            remedy="If the tasks only need longer, raise stabilize_timeout.",
            awaited=self.awaited,
            last_seen=seen,
        )
