"""The time that a run has: until Lambda's limit, less what its own end takes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import repeat
from typing import Final

from ecs_task_recycle.aws.errors import retry
from ecs_task_recycle.clock import Clock, as_utc
from ecs_task_recycle.model import quickest_start_seconds
from ecs_task_recycle.outcome import Ended, OutOfTime, Status
from ecs_task_recycle.record.progress import Progress

MAIL_SECONDS: Final = 20.0
"""What mailing may take of the reserve."""

RESERVE_SECONDS: Final = 75.0
"""What restoring, reporting and mailing may take: kept free before Lambda's limit."""

INVOCATION_SECONDS: Final = 30.0
"""What a new invocation takes before it can go on with a task."""

RETRY_SECONDS: Final = 15.0
"""Between two tries of a call without which a run cannot go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What fits into an invocation, from ``began_at`` to ``deadline_at`` (epoch seconds)."""

    clock: Clock
    began_at: float
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

    def retry[T](self, call: Callable[[], T]) -> T:
        """Repeat a call that fails for a moment as long as there is time. Raises AwsCallError."""
        return retry(
            call,
            self.clock,
            delays_seconds=repeat(RETRY_SECONDS),
            is_retryable=lambda error: error.transient and self.work_seconds > RETRY_SECONDS,
        )

    def task_seconds(self, progress: Progress) -> float:
        """Return what the next task may take, by what is known so far.

        That is what the earlier ones took; before the first, what the extra task took, or what
        the service's tasks took to start, with room for a replacement that is late.
        """
        measured = progress.seconds_to_replace
        if measured:
            return min(self.stabilize_timeout_seconds, 1.25 * max(measured) + 10)
        originals = progress.plan.originals if progress.plan else ()
        start_seconds = progress.seconds_to_start or quickest_start_seconds(originals)
        return min(self.stabilize_timeout_seconds, 2 * start_seconds + 60)

    def longest_turn_seconds(self, progress: Progress) -> float:
        """Return how long a whole invocation can wait for a task's turn, and still replace it."""
        whole_seconds = self.deadline_at - self.began_at
        rest_seconds = INVOCATION_SECONDS + self.task_seconds(progress) + RESERVE_SECONDS
        return max(0.0, whole_seconds - rest_seconds)

    def fits_an_invocation(self, progress: Progress) -> bool:
        """Whether the next task fits into an invocation of its own."""
        return self.longest_turn_seconds(progress) > 0

    def require_task(
        self, progress: Progress, *, before_seconds: float = 0.0, pauses: bool = False
    ) -> None:
        """Raise OutOfTime if one more task does not fit, begun ``before_seconds`` from now.

        ``pauses``: whoever goes on has to let that time pass, too. Raises Ended if the task could
        not be replaced before the end that the event asks for.
        """
        needed_seconds = before_seconds + self.task_seconds(progress)
        self.require_before_finish(progress, before_seconds=before_seconds)
        left_seconds = self.left_seconds
        if left_seconds >= needed_seconds + RESERVE_SECONDS:
            return
        raise OutOfTime(
            f"time runs short: {left_seconds:.0f} s are left, the next task may need "
            f"{needed_seconds:.0f} s and the end of the run {RESERVE_SECONDS:.0f} s; "
            f"{_advice(progress)}",
            wait_seconds=before_seconds if pauses else 0.0,
        )

    def rest_seconds(self, progress: Progress) -> float:
        """Return how long a run may rest before its end: as the invocation and the event allow."""
        return max(0.0, min(self.work_seconds, self._finish_at(progress) - self.clock.now()))

    def last_stop_at(self, progress: Progress) -> float:
        """Return the instant (epoch seconds) until which the next task may be stopped."""
        return min(self.work_ends_at, self._finish_at(progress)) - self.task_seconds(progress)

    @staticmethod
    def _finish_at(progress: Progress) -> float:
        finish_at = None if progress.plan is None else progress.plan.finish_at
        return math.inf if finish_at is None else finish_at.timestamp()

    def require_before_finish(self, progress: Progress, *, before_seconds: float) -> None:
        """Raise Ended if the next task, begun then, could not be replaced before that end."""
        finish_at = self._finish_at(progress)
        needed_seconds = before_seconds + self.task_seconds(progress)
        if self.clock.now() + needed_seconds <= finish_at:
            return
        raise Ended(
            Status.PARTIAL,
            f"finish_within_minutes ends at {as_utc(finish_at).isoformat(timespec='seconds')}, and "
            f"the next task may need {needed_seconds:.0f} s",
        )


def _advice(progress: Progress) -> str:
    """Return what to do where the next task does not fit."""
    plan = progress.plan
    if plan is None or not progress.results:
        return "lower stabilize_timeout, or raise the function's timeout (900 s at most)"
    if not progress.has_work:
        return "repeat the queued request"
    if plan.names_tasks:
        return "repeat the event with the remaining tasks to go on"
    before_at = plan.started_before_at.isoformat()
    if plan.goes_by_creation:
        return f'repeat it with started_before {before_at} and if_running "queue"'
    return f"repeat the event with started_before {before_at} to go on"
