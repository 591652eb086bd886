"""Replace one task: wait for its turn, stop it, wait until its replacement is in service."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Final

from ecs_task_recycle.aws.gateway import Gateway
from ecs_task_recycle.before.alarms import alarm_refusals
from ecs_task_recycle.clock import Clock, as_utc
from ecs_task_recycle.errors import (
    AwsCallError,
    RecycleError,
    ReplacementError,
    StepTimeoutError,
)
from ecs_task_recycle.model import Original, Plan, Protection, TaskOutcome, TaskResult
from ecs_task_recycle.outcome import Interference, OutOfTime
from ecs_task_recycle.record.progress import Progress
from ecs_task_recycle.report.progress_line import Pace
from ecs_task_recycle.settings.event import Settings
from ecs_task_recycle.settings.parameters import ProtectedTasks
from ecs_task_recycle.steps.budget import Budget
from ecs_task_recycle.steps.go_ahead import GoAhead
from ecs_task_recycle.watch.in_service import Snapshot, short
from ecs_task_recycle.watch.watch import Wait, Watch

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacer:
    """Replaces the tasks of a plan, one at a time.

    ``died_with`` is the task that an earlier invocation had in hand when it died.
    """

    gateway: Gateway
    clock: Clock
    watch: Watch
    go_ahead: GoAhead
    budget: Budget
    settings: Settings
    plan: Plan
    progress: Progress
    pace: Pace
    died_with: str | None = None

    def replace(self, task: Original) -> bool:
        """Replace a task; return whether it was, and not spared or gone by itself.

        The result stands in the progress. Raises OutOfTime, Interference, ReplacementError after
        the third failed start, StepTimeoutError, OwnershipLostError, AwsCallError.
        """
        before = self._await_turn(task)
        if before is None:
            self._note_gone(task)
            return False
        self._require_no_alarm(before)
        protection = self._protection(task)
        if protection is not None and self.settings.protected_tasks is not ProtectedTasks.STOP:
            return self._spare(protection)
        self.go_ahead.require(task=task.arn)
        if protection is not None and (failed := self._clear(protection)) is not None:
            return self._spare(failed)
        self._stop(task, before)
        return True

    def _await_turn(self, task: Original) -> Snapshot | None:
        """Return the read by which the task may be stopped, None if it is gone by itself."""
        required_count = self.plan.required_in_service

        def its_turn(snapshot: Snapshot) -> tuple[Snapshot | None] | None:
            if task.arn in snapshot.leaving or task.arn not in snapshot.tasks:
                return (None,)
            others_count = len(snapshot.in_service - {task.arn})
            is_in_service = task.arn in snapshot.in_service
            spared = self.progress.spared_out_of_service & snapshot.not_in_service.keys()
            lacking_count = 1 + len(spared) if is_in_service else self._lacking_count(snapshot)
            return (snapshot,) if others_count >= required_count - lacking_count else None

        wait = Wait(
            awaited=f"{required_count} tasks in service to stop task {self._number}",
            timeout_seconds=self._turn_timeout_seconds(),
            deadline_at=self.budget.last_stop_at(self.progress),
            is_fresh=True,
        )
        return self.watch.until(its_turn, wait)[0]

    def _turn_timeout_seconds(self) -> float:
        """Return how long to wait for a turn: no longer than the next invocation could.

        Each begins that wait anew, and would hand it over for ever.
        """
        longest_seconds = float(self.settings.stabilize_timeout_seconds)
        if self.go_ahead.guardian is None:
            return longest_seconds
        # Rounded last: without Lambda's limit there is none to a turn.
        return round(min(longest_seconds, self.budget.longest_turn_seconds(self.progress)))

    def _lacking_count(self, snapshot: Snapshot) -> int:
        """Return how many originals not in service wait for their turn: nothing is lost by it."""
        waiting = {task.arn for task in self.plan.originals} - self.progress.results.keys()
        return len(waiting & snapshot.not_in_service.keys())

    @property
    def _number(self) -> int:
        return len(self.progress.results) + 1

    def _note_gone(self, task: Original) -> None:
        note = "it went away by itself"
        if task.arn == self.died_with:
            note = "it was stopped by an invocation that died"
        logger.info("Not stopping task %s: %s", task.arn, note, extra={"task": task.arn})
        self.progress.results[task.arn] = TaskResult(
            task_arn=task.arn, outcome=TaskOutcome.GONE, note=note
        )

    def _require_no_alarm(self, snapshot: Snapshot) -> None:
        """Let the service's own deployment alarms, and the event's, end the run."""
        reasons = alarm_refusals(
            self.gateway,
            deployment_alarms=snapshot.service.alarm_names,
            event_alarms=self.settings.alarms,
        )
        if reasons:
            raise Interference("; ".join(reasons))

    def _protection(self, task: Original) -> Protection | None:
        """Read the task's scale-in protection, which StopTask does not respect.

        A task that is gone by now is left to StopTask, which does not mind.
        """
        until_at = self.gateway.protections([task.arn]).get(task.arn)
        return None if until_at is None else Protection(task_arn=task.arn, until_at=until_at)

    def _clear(self, protection: Protection) -> Protection | None:
        """Clear a protection; return it with the reason if that fails."""
        try:
            self.gateway.clear_protection(protection.task_arn)
        except AwsCallError as error:
            reason = f"its scale-in protection could not be cleared: {error.sentence}"
            return replace(protection, reason=reason)
        return None

    def _spare(self, protection: Protection) -> bool:
        arn = protection.task_arn
        logger.info("Not stopping task %s: %s", arn, protection.reason, extra={"task": arn})
        self.progress.protected[arn] = protection
        return False

    def _stop(self, task: Original, before: Snapshot) -> None:
        """Stop a task and follow it; whatever ends that, the result says that it was stopped."""
        number = self._number
        self._log_stop(task, number)
        stopped_at = as_utc(self.clock.now())
        result = TaskResult(
            task_arn=task.arn,
            outcome=TaskOutcome.STOPPED,
            stopped_at=stopped_at,
        )
        self.progress.results[task.arn] = result
        try:
            self.gateway.stop_task(task.arn, reason=f"ecs-task-recycle run {self._run_id}")
            self.watch.stopped(task.arn)
            wanted_count = len(before.in_service | {task.arn})
            self._follow(result, known=frozenset(before.tasks), wanted_count=wanted_count)
        except Exception as error:
            self.progress.results[task.arn] = replace(result, note=_note(error))
            raise
        self._log_replaced(self.progress.results[task.arn], number)

    @property
    def _run_id(self) -> str:
        return self.go_ahead.store.run_id

    def finish_in_hand(self) -> bool:
        """Wait for the replacement of the task that an earlier invocation had stopped, if any."""
        in_hand = self.progress.in_hand
        if in_hand is None:
            return False
        self._follow(in_hand, known=frozenset(), wanted_count=0)
        # What lies between two invocations says nothing of how long a task takes.
        arn = in_hand.task_arn
        result = replace(self.progress.results[arn], seconds_to_replace=None)
        self.progress.results[arn] = result
        self._log_replaced(result, self._number - 1)
        return True

    def _log_stop(self, task: Original, number: int) -> None:
        total = len(self.plan.originals)
        facts = {"number": number, "of": total, "task": task.arn, **self.pace.facts()}
        logger.info("Recycling task %d/%d: %s", number, total, task.arn, extra=facts)

    def _log_replaced(self, result: TaskResult, number: int) -> None:
        seconds = self.settings.wait_time_seconds
        facts = {
            "number": number,
            "task": result.task_arn,
            "replacement": result.replacement_arn,
            "seconds_to_replace": result.seconds_to_replace,
            **self.pace.facts(),
        }
        logger.info("Task %d recycled, waiting %ds", number, seconds, extra=facts)

    def _follow(self, result: TaskResult, *, known: frozenset[str], wanted_count: int) -> None:
        """Wait until as many are in service as before the stop, or one more, and note what came.

        One more, if the stopped one was not in service.

        The stopped task may still be draining then, as in ECS's own deployments.
        """

        def replaced(snapshot: Snapshot) -> tuple[str | None] | None:
            wanted = min(wanted_count, snapshot.service.desired_count)
            required = self.plan.required_in_service - self._lacking_count(snapshot)
            if len(snapshot.in_service) < max(required, wanted):
                return None
            new = snapshot.in_service - known if known else frozenset[str]()
            return (min(new, default=None),)

        stopped = self.clock.now() if result.stopped_at is None else result.stopped_at.timestamp()
        passed_seconds = self.clock.now() - stopped
        wait = Wait(
            awaited=f"the replacement of task {self._number - 1} ({short(result.task_arn)})",
            timeout_seconds=max(0.0, self.budget.stabilize_timeout_seconds - passed_seconds),
            deadline_at=self.budget.work_ends_at,
        )
        (replacement_arn,) = self.watch.until(replaced, wait)
        self.progress.results[result.task_arn] = replace(
            result,
            outcome=TaskOutcome.REPLACED,
            replacement_arn=replacement_arn,
            seconds_to_replace=round(self.clock.now() - stopped, 1),
            note=None,
        )


_NOTES: Final[tuple[tuple[type[Exception], str], ...]] = (
    (OutOfTime, "stopped; time ran short before its replacement was in service"),
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
