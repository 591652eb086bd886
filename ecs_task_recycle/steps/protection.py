"""The tasks of a plan in their turns; those under scale-in protection come last, or not at all.

StopTask does not respect the protection, so it is read before each stop.
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-scale-in-protection.html
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from ecs_task_recycle.aws.guardian import LONGEST_WAIT_SECONDS
from ecs_task_recycle.clock import pause
from ecs_task_recycle.model import NEVER, Original, Protection, in_order, under_protection
from ecs_task_recycle.outcome import Ended, OutOfTime, Status
from ecs_task_recycle.run import Run
from ecs_task_recycle.settings.parameters import ProtectedTasks
from ecs_task_recycle.steps.budget import patiently, require_in_time, require_time_for_task

OFTEN_SECONDS: Final = 20.0
"""A protection that is cleared is noticed, and its task stopped, within half a minute."""
SELDOM_SECONDS: Final = 300.0
FAR_AWAY: Final = timedelta(hours=12)
"""Beyond this no work is expected to end soon, so reads are seldom."""

SHORTEST_HAND_OVER_SECONDS: Final = 60.0
"""Waiting for longer than this is left to the guardian: it costs no compute."""

logger = logging.getLogger(__name__)


# -- turns -----------------------------------------------------------------------------------------


def await_free_task(run: Run) -> None:
    """Wait while every task is protected; with ``skip``, end. Raises OutOfTime, Ended."""
    if not _spares(run):
        return
    _note_protected(run)
    while (
        run.progress.waiting_arns and not run.progress.waiting_arns - run.progress.protected.keys()
    ):
        run.write_ahead()
        seen = _poll(run)
        if seen.free_arns:
            return
        if run.settings.protected_tasks is ProtectedTasks.SKIP:
            require_none_protected(run)
        _wait(run, seen)


def tasks_in_turn(run: Run) -> Iterator[Original]:
    """Yield each task when it is its turn, first the one that an earlier invocation has in hand.

    ``protected_tasks`` decides about tasks under protection: with ``wait`` each comes when its
    protection has ended, as long as the run has time; with ``skip`` there is one more look; with
    ``stop`` they are like all others. Raises OutOfTime while waiting for them.
    """
    tasks = {task.arn: task for task in run.progress.tasks}
    if run.progress.in_hand is not None:
        yield tasks[run.progress.in_hand.task_arn]
    if _spares(run):
        _note_protected(run)
    while (task := _next_unprotected(run)) is not None:
        yield task
    if not _spares(run):
        return
    waiting = run.progress.protected
    while waiting:
        before_count = len(waiting)
        # The run may be asked to stop while it waits.
        run.write_ahead()
        seen = _poll(run)
        for arn in seen.free_arns:
            del waiting[arn]
            yield tasks[arn]
        if run.settings.protected_tasks is ProtectedTasks.SKIP or not waiting:
            return
        if len(waiting) == before_count:
            _wait(run, seen)


def require_none_protected(run: Run) -> None:
    """Raise Ended if a task is left because it is protected."""
    if run.progress.protected:
        count, total = len(run.progress.protected), len(run.progress.tasks)
        raise Ended(Status.PARTIAL, f"under scale-in protection: {count} of {total} tasks")


def _spares(run: Run) -> bool:
    return run.settings.protected_tasks is not ProtectedTasks.STOP


def _next_unprotected(run: Run) -> Original | None:
    """Return the next task, first one that is not in service: stopping that costs nothing."""
    passed = run.progress.results.keys() | run.progress.protected.keys()
    left = (task for task in run.progress.planned.originals if task.arn not in passed)
    is_in_service = run.watch.memory.is_in_service
    return min(left, key=lambda task: is_in_service(task.arn), default=None)


def _note_protected(run: Run) -> None:
    """Take those that were protected when the plan was made, or are by now, as protected."""
    progress = run.progress
    known = {each.task_arn: each for each in progress.planned.protections} | progress.protected
    progress.protected = {arn: each for arn, each in known.items() if arn not in progress.results}


# -- reading and waiting ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtectionPoll:
    """One read of protected tasks: which are free or gone, which are not, when to read again."""

    free_arns: tuple[str, ...]
    waiting: tuple[Protection, ...]
    next_poll_seconds: float
    first_end_seconds: float


def _poll(run: Run) -> ProtectionPoll:
    """Read who is still protected."""
    seen = patiently(run, lambda: _read(run))
    run.progress.protected.update({each.task_arn: each for each in seen.waiting})
    if seen.waiting:
        logger.info(
            "Tasks under scale-in protection: %d, the first until %s%s",
            len(seen.waiting),
            (seen.waiting[0].until_at or NEVER).isoformat(timespec="seconds"),
            run.line.suffix(),
            extra={
                "protected": [each.task_arn for each in seen.waiting],
                **run.line.facts(),
            },
        )
    return seen


def _read(run: Run) -> ProtectionPoll:
    arns = [each.task_arn for each in in_order(run.progress.protected.values())]
    still = under_protection(run.gateway.protections(arns))
    held = {each.task_arn for each in still}
    return ProtectionPoll(
        free_arns=tuple(arn for arn in arns if arn not in held),
        waiting=still,
        next_poll_seconds=next_poll_seconds(still, run.now_at),
        first_end_seconds=first_end_seconds(still, run.now_at),
    )


def _wait(run: Run, seen: ProtectionPoll) -> None:
    """Sleep until the next poll; longer than a minute, the run is handed over for that."""
    count, total = len(run.progress.protected), len(run.progress.tasks)
    still = f"still under scale-in protection: {count} of {total} tasks"
    longest_seconds = min(LONGEST_WAIT_SECONDS, seen.first_end_seconds)
    hands_over = run.guardian is not None and longest_seconds > SHORTEST_HAND_OVER_SECONDS
    try:
        if hands_over:
            require_in_time(run, before_seconds=longest_seconds)
        else:
            require_time_for_task(run, before_seconds=seen.next_poll_seconds)
    except OutOfTime as late:
        raise OutOfTime(f"{still}, and {late.reason}", opens_at=late.opens_at) from late
    except Ended as late:
        raise Ended(late.status, f"{still}, and {late.reason}") from late
    if hands_over:
        raise OutOfTime(still, wait_seconds=longest_seconds)
    pause(
        run.clock,
        seen.next_poll_seconds,
        lambda left: logger.info(
            "Waiting for protected tasks: next read in %d s%s",
            left,
            run.line.suffix(),
            extra={"seconds_left": round(left), **run.line.facts()},
        ),
    )


def first_end_seconds(waiting: Iterable[Protection], now_at: datetime) -> float:
    """Return the seconds until the first protection has ended, 1 for one without an end."""
    ends = [each.until_at - now_at for each in waiting if each.until_at is not None]
    return max(1.0, min(ends, default=timedelta(0)).total_seconds() + 1)


def next_poll_seconds(waiting: Iterable[Protection], now_at: datetime) -> float:
    """Return when to read again: seldom while all ends are far away, else at the first one."""
    first_seconds = first_end_seconds(waiting, now_at)
    if first_seconds > FAR_AWAY.total_seconds():
        return SELDOM_SECONDS
    return min(OFTEN_SECONDS, first_seconds)
