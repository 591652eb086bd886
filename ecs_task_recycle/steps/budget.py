"""The time that a run has: until Lambda's limit, less what its own end takes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from ecs_task_recycle.aws.errors import retry_until
from ecs_task_recycle.clock import as_utc
from ecs_task_recycle.model import first_task_seconds, quickest_start_seconds
from ecs_task_recycle.outcome import Ended, OutOfTime, Status
from ecs_task_recycle.record.progress import Progress
from ecs_task_recycle.run import Run
from ecs_task_recycle.settings.parameters import STABILIZE_TIMEOUT_SECONDS
from ecs_task_recycle.settings.window import Window

MAIL_SECONDS: Final = 20.0
"""What mailing may take of the reserve."""

RESERVE_SECONDS: Final = 75.0
"""What restoring, reporting and mailing may take: kept free before Lambda's limit."""

INVOCATION_SECONDS: Final = 30.0
"""What a new invocation takes before it can go on with a task."""

RETRY_SECONDS: Final = 15.0
"""Between two tries of a call without which a run cannot go on."""


def work_ends_at(run: Run) -> float:
    """Return the instant (epoch seconds) from which on only the run's end may take place."""
    return run.deadline_at - RESERVE_SECONDS


def work_seconds(run: Run) -> float:
    """Return the seconds until then, none if it has passed."""
    return max(0.0, work_ends_at(run) - run.clock.now())


def restore_ends_at(run: Run) -> float:
    """Return the instant (epoch seconds) until which restoring may be tried again."""
    return run.deadline_at - MAIL_SECONDS


def slow_remedy(run: Run) -> str:
    """Return what to do where tasks take longer than ``stabilize_timeout`` to come into service."""
    _, longest_seconds = STABILIZE_TIMEOUT_SECONDS
    if run.settings.stabilize_timeout_seconds < longest_seconds:
        return (
            f"If the tasks only need longer, raise stabilize_timeout ({longest_seconds} s at most)."
        )
    return (
        f"A run waits {longest_seconds} s for a task at most. If the tasks need longer, replace "
        "them by a deployment: aws ecs update-service --force-new-deployment."
    )


def patiently[T](run: Run, call: Callable[[], T]) -> T:
    """Repeat a call that fails for a moment as long as there is time. Raises AwsCallError."""
    return retry_until(call, run.clock, until=work_ends_at(run), every_seconds=RETRY_SECONDS)


def task_seconds(progress: Progress, *, limit_seconds: float) -> float:
    """Return what the next task may take, by what is known so far, at most the limit.

    That is what the earlier ones took; before the first, what the extra task took, or what the
    service's tasks took to start, with room for a replacement that is late.
    """
    measured = progress.seconds_to_replace
    if measured:
        return min(limit_seconds, 1.25 * max(measured) + 10)
    start_seconds = progress.seconds_to_start or quickest_start_seconds(progress.tasks)
    return first_task_seconds(start_seconds, limit_seconds=limit_seconds)


def _task_seconds(run: Run) -> float:
    limit_seconds = float(run.settings.stabilize_timeout_seconds)
    return task_seconds(run.progress, limit_seconds=limit_seconds)


def longest_turn_seconds(run: Run) -> float:
    """Return how long a whole invocation can wait for a task's turn, and still replace it."""
    whole_seconds = run.deadline_at - run.began_at
    rest_seconds = INVOCATION_SECONDS + _task_seconds(run) + RESERVE_SECONDS
    return max(0.0, whole_seconds - rest_seconds)


def fits_an_invocation(run: Run) -> bool:
    """Whether the next task fits into an invocation of its own."""
    return longest_turn_seconds(run) > 0


def require_time_for_task(run: Run, *, before_seconds: float = 0.0, pauses: bool = False) -> None:
    """Raise OutOfTime if one more task does not fit, begun ``before_seconds`` from now.

    ``pauses``: whoever goes on has to let that time pass, too. Raises Ended if the task could not
    be replaced before the end that the event asks for.
    """
    require_in_time(run, before_seconds=before_seconds)
    require_in_invocation(run, before_seconds=before_seconds, pauses=pauses)


def require_in_invocation(run: Run, *, before_seconds: float = 0.0, pauses: bool = False) -> None:
    """Raise OutOfTime if this invocation has no time for one more task, begun then."""
    needed_seconds = before_seconds + _task_seconds(run)
    left_seconds = run.deadline_at - run.clock.now()
    if left_seconds >= needed_seconds + RESERVE_SECONDS:
        return
    raise OutOfTime(
        f"time runs short: {left_seconds:.0f} s are left, the next task may need "
        f"{needed_seconds:.0f} s and the end of the run {RESERVE_SECONDS:.0f} s; {_advice(run)}",
        wait_seconds=before_seconds if pauses else 0.0,
    )


def require_in_time(run: Run, *, before_seconds: float = 0.0) -> None:
    """Raise for a task, begun then, that the event allows only later, or not at all."""
    require_before_finish(run, before_seconds=before_seconds)
    require_window(run, before_seconds=before_seconds)


def require_before_finish(run: Run, *, before_seconds: float) -> None:
    """Raise Ended if the next task, begun then, would not be replaced before ``finish_at``."""
    needed_seconds = before_seconds + _task_seconds(run)
    finish_at = _finish_at(run)
    if run.clock.now() + needed_seconds <= finish_at:
        return
    raise Ended(
        Status.PARTIAL,
        f"finish_within_minutes ends at {as_utc(finish_at).isoformat(timespec='seconds')}, and "
        f"the next task may need {needed_seconds:.0f} s",
    )


def require_window(run: Run, *, before_seconds: float = 0.0) -> None:
    """Raise OutOfTime if the next task, begun then, does not fit into the window as it is open now.

    The run goes on when it opens next. Raises Ended if it fits into no opening. A task in hand is
    waited for outside the window, too.
    """
    window, progress = run.settings.window, run.progress
    if window is None or not progress.has_work or progress.in_hand is not None:
        return
    task_seconds = _task_seconds(run)
    extra_seconds = extra_task_seconds(run)
    if progress.awaits_extra_task:
        before_seconds += extra_seconds
    if run.clock.now() + before_seconds + task_seconds <= _closes_at(run):
        return
    if extra_seconds + task_seconds > window.open_seconds:
        raise Ended(
            Status.PARTIAL,
            f"the window {window} is open for {window.open_seconds} s at a time, and the next task "
            f"may need {extra_seconds + task_seconds:.0f} s",
        )
    _raise_until_window(run, window)


def _raise_until_window(run: Run, window: Window) -> None:
    """Raise OutOfTime until the window opens next; Ended if that is too late for the event."""
    now_at = run.now_at
    closes_at = window.closes_at(now_at) if window.is_open(now_at) else now_at
    opens_at = window.opens_at(closes_at or now_at)
    reason = (
        f"the next task has to wait for the window {window}, which opens at {opens_at.isoformat()}"
    )
    try:
        require_before_finish(run, before_seconds=(opens_at - now_at).total_seconds())
    except Ended as late:
        raise Ended(late.status, f"{reason}, and {late.reason}") from late
    if run.guardian is None:
        reason = f"{reason}; {run.progress.planned.selection.advice}"
    raise OutOfTime(reason, opens_at=opens_at)


def extra_task_seconds(run: Run) -> float:
    """Return what the extra task and its pause take before the first stop; 0 without one."""
    progress = run.progress
    if not progress.planned.adds_task:
        return 0.0
    start_seconds = progress.seconds_to_start or quickest_start_seconds(progress.tasks)
    return start_seconds + run.pause_seconds


def pause_seconds_left(run: Run) -> float:
    """Return how long a run may rest before its end: as the invocation and the event allow."""
    ends_at = min(_finish_at(run), _closes_at(run))
    return max(0.0, min(work_seconds(run), ends_at - run.clock.now()))


def last_stop_at(run: Run) -> float:
    """Return the instant (epoch seconds) until which the next task may be stopped."""
    return min(work_ends_at(run), _finish_at(run), _closes_at(run)) - _task_seconds(run)


def _closes_at(run: Run) -> float:
    """Return when the window closes (epoch seconds): now, where it is shut."""
    window, now_at = run.settings.window, run.now_at
    if window is None:
        return math.inf
    closes_at = window.closes_at(now_at) if window.is_open(now_at) else now_at
    return math.inf if closes_at is None else closes_at.timestamp()


def _finish_at(run: Run) -> float:
    plan = run.progress.plan
    return math.inf if plan is None or plan.finish_at is None else plan.finish_at.timestamp()


def _advice(run: Run) -> str:
    """Return what to do where the next task does not fit."""
    progress = run.progress
    if progress.plan is None or not progress.results:
        if progress.plan is not None and progress.plan.adds_task and run.pause_seconds:
            return (
                "lower wait_time or stabilize_timeout, or raise the function's timeout "
                "(900 s at most)"
            )
        return "lower stabilize_timeout, or raise the function's timeout (900 s at most)"
    if run.unserved_before_at is not None:
        return "repeat the queued request"
    return progress.plan.selection.advice
