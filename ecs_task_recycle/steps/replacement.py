"""Replace one task: wait for its turn, stop it, wait until its replacement is in service."""

from __future__ import annotations

import logging
from dataclasses import replace as changed
from typing import Final

from ecs_task_recycle.before.refusals import alarm_refusals
from ecs_task_recycle.clock import pause
from ecs_task_recycle.errors import (
    AwsCallError,
    RecycleError,
    ReplacementError,
    StepTimeoutError,
)
from ecs_task_recycle.model import Original, Protection, TaskOutcome, TaskResult
from ecs_task_recycle.outcome import Interference, OutOfTime
from ecs_task_recycle.run import Run
from ecs_task_recycle.settings.parameters import ProtectedTasks
from ecs_task_recycle.steps.budget import (
    last_stop_at,
    longest_turn_seconds,
    pause_seconds_left,
    require_time_for_task,
    slow_remedy,
    work_ends_at,
)
from ecs_task_recycle.task import STOPPED_BY_DEAD
from ecs_task_recycle.watch.in_service import Snapshot, short
from ecs_task_recycle.watch.watch import Wait

FRESH_SECONDS: Final = 15.0
"""How long a task may be stopped by what was read: somebody else may change the service."""

logger = logging.getLogger(__name__)


def replace(run: Run, task: Original) -> None:
    """Replace a task whose turn it is; spare it if it is protected, pass over it if it is gone.

    What became of it stands in the run's progress. Raises OutOfTime, Interference, ReplacementError
    after the third failed start, StepTimeoutError, OwnershipLostError, AwsCallError.
    """
    in_hand = run.progress.in_hand
    if in_hand is not None and in_hand.task_arn == task.arn:
        _finish(run, in_hand)
        return
    turn = _await_stop(run, task)
    if turn is None:
        return
    asked_at = run.clock.now()
    run.write_ahead(task=task.arn)
    if run.clock.now() - asked_at > FRESH_SECONDS:
        # Whoever was asked took long to answer: what was read before is old.
        turn = _await_stop(run, task)
        if turn is None:
            return
    before, protection = turn
    uncleared = None if protection is None else _clear(run, protection)
    if uncleared is not None:
        _spare(run, uncleared)
        return
    _stop(run, task, before)


def pause_after(run: Run, task: Original) -> None:
    """Sleep after a task that was replaced just now. Raises OutOfTime if no other fits after it."""
    result = run.progress.results.get(task.arn)
    if result is None or result.outcome is not TaskOutcome.REPLACED:
        return
    seconds = float(run.pause_seconds)
    number = len(run.progress.results)
    if run.progress.has_work:
        require_time_for_task(run, before_seconds=seconds, pauses=True)
    else:
        seconds = min(seconds, pause_seconds_left(run))
    pause(
        run.clock,
        seconds,
        lambda left: logger.info(
            "Waiting after task %d: %d s left%s",
            number,
            left,
            run.line.suffix(),
            extra={"number": number, "seconds_left": round(left), **run.line.facts()},
        ),
    )


# -- before the stop -------------------------------------------------------------------------------


def _await_stop(run: Run, task: Original) -> tuple[Snapshot, Protection | None] | None:
    """Return the reads by which the task may be stopped: of the service, and of its protection.

    None if it is not to be stopped: it is gone by itself, or spared.
    """
    before = _await_turn(run, task)
    if before is None:
        _note_gone(run, task)
        return None
    _require_no_alarm(run, before)
    protection = _protection(run, task)
    if protection is not None and run.settings.protected_tasks is not ProtectedTasks.STOP:
        _spare(run, protection)
        return None
    return before, protection


def _await_turn(run: Run, task: Original) -> Snapshot | None:
    """Return the read by which the task may be stopped, None if it is gone by itself."""
    required_count = run.progress.required_in_service

    def its_turn(snapshot: Snapshot) -> tuple[Snapshot | None] | None:
        if task.arn in snapshot.leaving or task.arn not in snapshot.tasks:
            return (None,)
        others_count = len(snapshot.in_service - {task.arn})
        lacking_count = _may_lack_count(run, task, snapshot)
        return (snapshot,) if others_count >= required_count - lacking_count else None

    wait = Wait(
        awaited=f"{required_count} tasks in service to stop task {_number(run)}",
        timeout_seconds=_turn_timeout_seconds(run),
        deadline_at=last_stop_at(run),
        is_fresh=True,
        remedy=slow_remedy(run),
    )
    return run.watch.until(its_turn, wait)[0]


def _may_lack_count(run: Run, task: Original, snapshot: Snapshot) -> int:
    """Return how many of those required need not be in service while this task is stopped.

    For one that is in service: itself, and those that nobody waits for. For one that is not: it and
    all others that wait for their turn in that state, as nothing is lost by stopping them.
    """
    if task.arn not in snapshot.in_service:
        return _lacking_count(run, snapshot)
    return 1 + len(run.progress.spared_out_of_service & snapshot.not_in_service.keys())


def _lacking_count(run: Run, snapshot: Snapshot) -> int:
    """Return how many originals not in service wait for their turn."""
    return len(run.progress.waiting_arns & snapshot.not_in_service.keys())


def _turn_timeout_seconds(run: Run) -> float:
    """Return how long to wait for a turn: no longer than the next invocation could.

    Each begins that wait anew, and would hand it over for ever.
    """
    longest_seconds = float(run.settings.stabilize_timeout_seconds)
    if run.guardian is None:
        return longest_seconds
    # Rounded last: without Lambda's limit there is none to a turn.
    return round(min(longest_seconds, longest_turn_seconds(run)))


def _number(run: Run) -> int:
    return len(run.progress.results) + 1


def _note_gone(run: Run, task: Original) -> None:
    note = STOPPED_BY_DEAD if task.arn == run.stopped_by_dead else "it went away by itself"
    logger.info("Not stopping task %s: %s", task.arn, note, extra={"task": task.arn})
    run.progress.results[task.arn] = TaskResult(
        task_arn=task.arn, outcome=TaskOutcome.GONE, note=note
    )


def _require_no_alarm(run: Run, snapshot: Snapshot) -> None:
    """Let the service's own deployment alarms, and the event's, end the run."""
    reasons = alarm_refusals(
        run.gateway,
        deployment_alarms=snapshot.service.alarm_names,
        event_alarms=run.settings.alarms,
    )
    if reasons:
        raise Interference("; ".join(reasons))


def _protection(run: Run, task: Original) -> Protection | None:
    """Read the task's scale-in protection, which StopTask does not respect.

    A task that is gone by now is left to StopTask, which does not mind.
    """
    until_at = run.gateway.protections([task.arn]).get(task.arn)
    return None if until_at is None else Protection(task_arn=task.arn, until_at=until_at)


def _clear(run: Run, protection: Protection) -> Protection | None:
    """Clear a protection; return it with the reason if that fails."""
    try:
        run.gateway.clear_protection(protection.task_arn)
    except AwsCallError as error:
        reason = f"its scale-in protection could not be cleared: {error.sentence}"
        return changed(protection, reason=reason)
    return None


def _spare(run: Run, protection: Protection) -> None:
    arn = protection.task_arn
    logger.info("Not stopping task %s: %s", arn, protection.reason, extra={"task": arn})
    run.progress.protected[arn] = protection


# -- the stop, and what follows it -----------------------------------------------------------------


def _stop(run: Run, task: Original, before: Snapshot) -> None:
    """Stop a task and follow it; whatever ends that, the result says that it may be stopped."""
    number = _number(run)
    _log_stop(run, task, number)
    result = TaskResult(task_arn=task.arn, outcome=TaskOutcome.STOPPED, stopped_at=run.now_at)
    run.progress.results[task.arn] = result
    try:
        run.gateway.stop_task(task.arn, reason=f"ecs-task-recycle run {run.run_id}")
        run.watch.stopped(task.arn)
        wanted_count = len(before.in_service | {task.arn})
        _follow(run, result, known=frozenset(before.tasks), wanted_count=wanted_count)
    except Exception as error:
        if isinstance(error, AwsCallError) and error.lacking_actions == ("ecs:StopTask",):
            # AWS has denied the call: the task goes on, and remains to be recycled.
            del run.progress.results[task.arn]
        else:
            run.progress.results[task.arn] = changed(result, note=_note(error))
        raise
    _log_replaced(run, run.progress.results[task.arn], number)


def _finish(run: Run, in_hand: TaskResult) -> None:
    """Wait for the replacement of a task that an earlier invocation has stopped."""
    _follow(run, in_hand, known=frozenset(), wanted_count=0)
    # What lies between two invocations says nothing of how long a task takes.
    arn = in_hand.task_arn
    result = changed(run.progress.results[arn], seconds_to_replace=None)
    run.progress.results[arn] = result
    _log_replaced(run, result, _number(run) - 1)


def _follow(run: Run, result: TaskResult, *, known: frozenset[str], wanted_count: int) -> None:
    """Wait until the in-service count is back, and note what came.

    If the stopped task was itself out of service, wait for one more. The stopped task may still be
    draining then, as in ECS's own deployments.
    """

    def replaced(snapshot: Snapshot) -> tuple[str | None] | None:
        wanted = min(wanted_count, snapshot.service.desired_count)
        required = run.progress.required_in_service - _lacking_count(run, snapshot)
        if len(snapshot.in_service) < max(required, wanted):
            return None
        new = snapshot.in_service - known if known else frozenset[str]()
        return (min(new, default=None),)

    stopped_at = result.stopped_at or run.now_at
    wait = Wait(
        awaited=f"the replacement of task {_number(run) - 1} ({short(result.task_arn)})",
        timeout_seconds=float(run.settings.stabilize_timeout_seconds),
        began=stopped_at.timestamp(),
        deadline_at=work_ends_at(run),
        remedy=slow_remedy(run),
    )
    (replacement_arn,) = run.watch.until(replaced, wait)
    run.progress.results[result.task_arn] = changed(
        result,
        outcome=TaskOutcome.REPLACED,
        replacement_arn=replacement_arn,
        seconds_to_replace=round(run.clock.now() - stopped_at.timestamp(), 1),
        note=None,
    )


def _log_stop(run: Run, task: Original, number: int) -> None:
    total = len(run.progress.tasks)
    extra = {"number": number, "of": total, "task": task.arn, **run.line.facts()}
    logger.info("Recycling task %d/%d: %s", number, total, task.arn, extra=extra)


def _log_replaced(run: Run, result: TaskResult, number: int) -> None:
    extra = {
        "number": number,
        "task": result.task_arn,
        "replacement": result.replacement_arn,
        "seconds_to_replace": result.seconds_to_replace,
        **run.line.facts(),
    }
    wait_seconds = run.pause_seconds
    logger.info("Task %d recycled, waiting %ds", number, wait_seconds, extra=extra)


_NOTES: Final[tuple[tuple[type[Exception], str], ...]] = (
    (OutOfTime, "stopped; time ran short before its replacement was seen in service"),
    (Interference, "stopped, then {detail}"),
    (StepTimeoutError, "stopped, and its replacement was not in service in time"),
    (ReplacementError, "stopped, and no replacement came into service"),
    (AwsCallError, "a call failed, it may not have been replaced: {detail}"),
    (Exception, "stopped, then the run failed: {detail}"),
)


def _note(error: Exception) -> str:
    """Return what the result says of a task that was stopped before the run ended."""
    text = next(text for kind, text in _NOTES if isinstance(error, kind))
    detail = error.sentence if isinstance(error, RecycleError) else str(error)
    return text.format(detail=detail)
