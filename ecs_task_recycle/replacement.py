"""Replace one task: wait for its turn, stop it, wait until its replacement is in service."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from ecs_task_recycle.clock import as_utc
from ecs_task_recycle.errors import (
    AwsCallError,
    RecycleError,
    ReplacementError,
    StepTimeoutError,
)
from ecs_task_recycle.model import Protection, TaskOutcome, TaskResult
from ecs_task_recycle.outcome import Interference, OutOfTime
from ecs_task_recycle.service_watch import Wait
from ecs_task_recycle.settings import ProtectedTasks
from ecs_task_recycle.snapshot import short

if TYPE_CHECKING:
    from ecs_task_recycle.budget import Budget
    from ecs_task_recycle.clock import Clock
    from ecs_task_recycle.gateway import Gateway
    from ecs_task_recycle.model import Original, Plan
    from ecs_task_recycle.progress import Progress
    from ecs_task_recycle.record_store import RecordStore
    from ecs_task_recycle.service_watch import ServiceWatch
    from ecs_task_recycle.settings import Settings
    from ecs_task_recycle.snapshot import Snapshot

GONE: Final = "gone"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacer:
    """Replaces the tasks of a plan, one at a time."""

    gateway: Gateway
    clock: Clock
    watch: ServiceWatch
    store: RecordStore
    budget: Budget
    settings: Settings
    plan: Plan
    progress: Progress

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
        self.progress.lowest_in_service = self.watch.lowest_in_service
        self.store.renew(self.progress, task=task.arn)
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
            return (snapshot,) if others_count >= required_count - 1 else None

        wait = Wait(
            awaited=f"{required_count} tasks in service to stop task {self._number}",
            timeout_seconds=self.settings.stabilize_timeout_seconds,
            deadline_at=self.budget.work_ends_at - self.budget.task_seconds(self.progress),
            is_fresh=True,
        )
        return self.watch.until(its_turn, wait)[0]

    @property
    def _number(self) -> int:
        return len(self.progress.results) + 1

    def _note_gone(self, task: Original) -> None:
        note = "it went away by itself"
        logger.info("Not stopping task %s: %s", task.arn, note, extra={"task": task.arn})
        self.progress.results[task.arn] = TaskResult(
            task_arn=task.arn, outcome=TaskOutcome.GONE, started_at=task.started_at, note=note
        )

    def _require_no_alarm(self, snapshot: Snapshot) -> None:
        """Let the service's own deployment alarms end the run."""
        alarming = self.gateway.alarms_in_alarm(snapshot.service.alarm_names)
        if alarming:
            raise Interference(f"deployment alarms are in ALARM: {', '.join(alarming)}")

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
        number, total = self._number, len(self.plan.originals)
        logger.info(
            "Recycling task %d/%d: %s",
            number,
            total,
            task.arn,
            extra={"number": number, "of": total, "task": task.arn},
        )
        stopped_at = as_utc(self.clock.now())
        result = TaskResult(
            task_arn=task.arn,
            outcome=TaskOutcome.STOPPED,
            started_at=task.started_at,
            stopped_at=stopped_at,
        )
        self.progress.results[task.arn] = result
        try:
            self.gateway.stop_task(task.arn, reason=f"ecs-task-recycle run {self.store.run_id}")
            self.watch.stopped(task.arn)
            replacement_arn = self._await_replacement(task, before)
        except Exception as error:
            self.progress.results[task.arn] = replace(result, note=_note(error))
            raise
        seconds = round((as_utc(self.clock.now()) - stopped_at).total_seconds(), 1)
        self.progress.results[task.arn] = replace(
            result,
            outcome=TaskOutcome.REPLACED,
            replacement_arn=replacement_arn,
            seconds_to_replace=seconds,
        )
        logger.info(
            "Task %d recycled, waiting %ds",
            number,
            self.settings.wait_time_seconds,
            extra={
                "number": number,
                "task": task.arn,
                "replacement": replacement_arn,
                "seconds_to_replace": seconds,
            },
        )

    def _await_replacement(self, task: Original, before: Snapshot) -> str | None:
        """Wait until as many are in service as before; return the new one, None if none came.

        The stopped task may still be draining then, as in ECS's own deployments.
        """
        known, before_count = frozenset(before.tasks), len(before.in_service)

        def replaced(snapshot: Snapshot) -> tuple[str | None] | None:
            wanted_count = min(before_count, snapshot.service.desired_count)
            if len(snapshot.in_service) < max(self.plan.required_in_service, wanted_count):
                return None
            return (min(snapshot.in_service - known, default=None),)

        # The first replacement takes about as long to start as the extra task did.
        measured = [*self.progress.seconds_to_replace, self.progress.seconds_to_start or 0.0]
        wait = Wait(
            awaited=f"the replacement of task {self._number - 1} ({short(task.arn)})",
            timeout_seconds=self.settings.stabilize_timeout_seconds,
            deadline_at=self.budget.work_ends_at,
            shortest_seconds=min(measured),
        )
        return self.watch.until(replaced, wait)[0]


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
