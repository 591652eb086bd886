"""How far a run is, and how long the rest of it may take at its pace so far."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from ecs_task_recycle.model import quickest_start_seconds
from ecs_task_recycle.record.progress import Progress

HOUR_MINUTES = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """How many tasks of the work list are recycled, of how many; ``minutes_to_go``: if known."""

    recycled_count: int
    total_count: int
    minutes_to_go: int | None

    def __str__(self) -> str:
        done = f"{self.recycled_count} of {self.total_count}"
        if self.minutes_to_go is None:
            return done
        hours, minutes = divmod(self.minutes_to_go, HOUR_MINUTES)
        return f"{done}, about {f'{hours} h ' if hours else ''}{minutes} min left"

    @property
    def facts(self) -> dict[str, int | None]:
        """The same for a log record."""
        counts = {"recycled": self.recycled_count, "of": self.total_count}
        return {**counts, "minutes_left": self.minutes_to_go}


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimateLine:
    """The estimate of a run, as it is now, for the log lines of its waits and steps."""

    now: Callable[[], Estimate | None]

    def suffix(self) -> str:
        """Return it as the end of a sentence."""
        known = self.now()
        return "" if known is None else f" ({known})"

    def facts(self) -> dict[str, int | None]:
        """Return it as fields of a log record."""
        known = self.now()
        return {} if known is None else known.facts


def estimate(
    progress: Progress, now_at: datetime, *, wait_seconds: float | None = None
) -> Estimate | None:
    """Return how far a run is, None before it has a plan.

    Before two tasks have been stopped there is no pace yet: then it is what the tasks took to
    start, and ``wait_seconds`` after each; None: nothing is said. How long protected tasks are
    waited for is not known; they are left out.
    """
    if progress.plan is None:
        return None
    seconds = pace_seconds(progress)
    if seconds is None and wait_seconds is not None:
        seconds = _expected_seconds(progress, wait_seconds)
    minutes = None
    if seconds is not None:
        minutes = _minutes_to_go(progress, now_at, seconds)
    return Estimate(
        recycled_count=sum(each.is_recycled for each in progress.results.values()),
        total_count=len(progress.tasks),
        minutes_to_go=minutes,
    )


def pace_seconds(progress: Progress) -> float | None:
    """Return the mean time from one stop to the next, pauses included; None before the second."""
    stops = [each.stopped_at for each in progress.results.values() if each.stopped_at]
    gaps_count = len(stops) - 1
    return (max(stops) - min(stops)).total_seconds() / gaps_count if gaps_count > 0 else None


def _expected_seconds(progress: Progress, wait_seconds: float) -> float | None:
    starts = [*progress.seconds_to_replace, progress.seconds_to_start]
    start_seconds = next(filter(None, starts), None) or quickest_start_seconds(progress.tasks)
    return start_seconds + wait_seconds if start_seconds else None


def _minutes_to_go(progress: Progress, now_at: datetime, seconds: float) -> int | None:
    """Return what the waiting tasks take, and what is left of the last one stopped and its pause.

    The extra task, which is awaited before the first stop, takes as long as any other.
    None where nothing is left that takes a known time.
    """
    left_seconds = len(progress.waiting_arns - progress.protected.keys()) * seconds
    if progress.awaits_extra_task:
        left_seconds += seconds
    stops = [each.stopped_at for each in progress.results.values() if each.stopped_at]
    if stops:
        left_seconds += max(0.0, seconds - (now_at - max(stops)).total_seconds())
    return max(1, round(left_seconds / 60)) if left_seconds and progress.ended is None else None
