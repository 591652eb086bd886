"""Where a run stands, and how long the rest of it may take at its pace so far."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ecs_task_recycle.clock import Clock, as_utc
from ecs_task_recycle.model import Plan, quickest_start_seconds
from ecs_task_recycle.record.progress import Progress
from ecs_task_recycle.settings.event import Settings

HOUR_MINUTES = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How many tasks of the work list are replaced, of how many; ``minutes_left``: if known."""

    number: int
    total: int
    minutes_left: int | None

    def __str__(self) -> str:
        stands = f"{self.number} of {self.total}"
        if self.minutes_left is None:
            return stands
        hours, minutes = divmod(self.minutes_left, HOUR_MINUTES)
        return f"{stands}, about {f'{hours} h ' if hours else ''}{minutes} min left"

    @property
    def facts(self) -> dict[str, int | None]:
        """The same for a log record."""
        return {"recycled": self.number, "of": self.total, "minutes_left": self.minutes_left}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """The pace of one run."""

    clock: Clock
    progress: Progress
    settings: Settings

    def standing(self) -> Standing | None:
        """Return where the run stands now, None before it has a plan."""
        now_at = as_utc(self.clock.now())
        return standing(self.progress, now_at, wait_seconds=self.settings.wait_time_seconds)

    def suffix(self) -> str:
        """Return that as the end of a sentence."""
        stands = self.standing()
        return "" if stands is None else f" ({stands})"

    def facts(self) -> dict[str, int | None]:
        """Return that for a log record."""
        stands = self.standing()
        return {} if stands is None else stands.facts


def standing(
    progress: Progress, now_at: datetime, *, wait_seconds: float | None = None
) -> Standing | None:
    """Return where a run stands, None before it has a plan.

    Before two tasks have been stopped there is no pace yet: then it is what the tasks took to
    start, and ``wait_seconds`` after each; None: nothing is said. How long protected tasks are
    waited for is not known, they are left out.
    """
    plan = progress.plan
    if plan is None:
        return None
    seconds = pace_seconds(progress)
    if seconds is None and wait_seconds is not None:
        seconds = _expected_seconds(progress, wait_seconds)
    return Standing(
        number=sum(each.is_recycled for each in progress.results.values()),
        total=len(plan.originals),
        minutes_left=None
        if seconds is None
        else _minutes_left(progress, plan, now_at, seconds, pause_seconds=wait_seconds or 0.0),
    )


def pace_seconds(progress: Progress) -> float | None:
    """Return the mean time from one stop to the next, pauses included; None before the second."""
    stops = [each.stopped_at for each in progress.results.values() if each.stopped_at]
    gaps_count = len(stops) - 1
    return (max(stops) - min(stops)).total_seconds() / gaps_count if gaps_count > 0 else None


def _expected_seconds(progress: Progress, wait_seconds: float) -> float | None:
    originals = progress.plan.originals if progress.plan else ()
    starts = [*progress.seconds_to_replace, progress.seconds_to_start]
    start_seconds = next(filter(None, starts), None) or quickest_start_seconds(originals)
    return start_seconds + wait_seconds if start_seconds else None


def _minutes_left(
    progress: Progress, plan: Plan, now_at: datetime, seconds: float, *, pause_seconds: float
) -> int | None:
    """Return what the waiting tasks take, and what is left of the last one stopped and its pause.

    The extra task, which is awaited before the first stop, starts like any other, without a pause.

    None where nothing is left that takes a known time.
    """
    waiting = {task.arn for task in plan.originals} - progress.results.keys()
    left = len(waiting - progress.protected.keys()) * seconds
    if progress.awaits_extra_task:
        left += seconds - pause_seconds
    stops = [each.stopped_at for each in progress.results.values() if each.stopped_at]
    if stops:
        left += max(0.0, seconds - (now_at - max(stops)).total_seconds())
    return max(1, round(left / 60)) if left and progress.ended is None else None
