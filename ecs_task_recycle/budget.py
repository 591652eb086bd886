"""The time that a run has: until Lambda's limit, less what its own end takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ecs_task_recycle.outcome import OutOfTime

if TYPE_CHECKING:
    from ecs_task_recycle.clock import Clock
    from ecs_task_recycle.progress import Progress

MAIL_SECONDS: Final = 20.0
"""What mailing may take of the reserve."""

RESERVE_SECONDS: Final = 75.0
"""What restoring, reporting and mailing may take: kept free before Lambda's limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What fits before the deadline (epoch seconds; infinite without one)."""

    clock: Clock
    deadline_at: float
    stabilize_timeout_seconds: float

    @property
    def left_seconds(self) -> float:
        """The seconds until the deadline."""
        return self.deadline_at - self.clock.now()

    @property
    def work_ends_at(self) -> float:
        """The instant (epoch seconds) from which on only the run's end may take place."""
        return self.deadline_at - RESERVE_SECONDS

    @property
    def work_seconds(self) -> float:
        """The seconds until then, none if it has passed."""
        return max(0.0, self.work_ends_at - self.clock.now())

    @property
    def retry_until(self) -> float:
        """The instant (epoch seconds) until which restoring may be retried."""
        return self.deadline_at - MAIL_SECONDS

    def task_seconds(self, progress: Progress) -> float:
        """Return what the next task may take, by what the earlier ones took."""
        limit = self.stabilize_timeout_seconds
        measured = progress.seconds_to_replace
        return min(limit, 1.25 * max(measured) + 10) if measured else limit

    def require_task(self, progress: Progress, *, before_seconds: float = 0.0) -> None:
        """Raise OutOfTime if one more task does not fit, begun ``before_seconds`` from now."""
        left_seconds = self.left_seconds
        needed_seconds = before_seconds + self.task_seconds(progress)
        if left_seconds >= needed_seconds + RESERVE_SECONDS:
            return
        advice = "lower stabilize_timeout, or raise the function's timeout"
        if progress.results and progress.plan is not None:
            started_before = progress.plan.started_before_at.isoformat()
            advice = f"repeat the event with started_before {started_before} to go on"
        raise OutOfTime(
            f"time runs short: {left_seconds:.0f} s are left, the next task may need "
            f"{needed_seconds:.0f} s and the end of the run {RESERVE_SECONDS:.0f} s; {advice}"
        )
