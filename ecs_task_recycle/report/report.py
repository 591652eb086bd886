"""Makes the answer of a run that has ended from what the run knows."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from ecs_task_recycle.errors import AlreadyRunningError
from ecs_task_recycle.model import (
    By,
    InServicePoint,
    Original,
    Plan,
    Protection,
    TaskOutcome,
    TaskResult,
    in_order,
    quickest_start_seconds,
)
from ecs_task_recycle.outcome import Status
from ecs_task_recycle.record.progress import Progress
from ecs_task_recycle.report.answer import Answer, AnsweredTask, PlannedTask, SkippedTask
from ecs_task_recycle.settings.event import Settings
from ecs_task_recycle.settings.parameters import Action, IfRunning, ProtectedTasks
from ecs_task_recycle.watch.timeline import lowest

LOG_LEVELS: Final = {Status.FAILED: logging.ERROR, Status.PARTIAL: logging.WARNING}

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The report of a run that has ended."""

    settings: Settings
    run_id: str
    progress: Progress
    execution_arn: str | None = None
    run_status: Mapping[str, object] | None = None

    @property
    def status(self) -> Status:
        """The outcome."""
        return self.progress.status

    @property
    def reason(self) -> str | None:
        """Why it ended so, in sentences."""
        return self.progress.reason

    @property
    def error(self) -> Exception | None:
        """What made the run fail, None if it did not."""
        return self.progress.error

    @property
    def is_worth_a_mail(self) -> bool:
        """False for questions, for an event that AWS delivered twice, and for runs that continue.

        The run that such a second event meets sends the mail, as a continued run does at its end.
        """
        is_question = self.settings.action in (Action.STOP, Action.STATUS) or self.settings.dry_run
        is_twice = isinstance(self.error, AlreadyRunningError)
        return not (is_question or is_twice or self.status in (Status.CONTINUED, Status.QUEUED))

    @property
    def is_only_a_look(self) -> bool:
        """Whether a dry run has seen the service: its tasks' age is told, and nothing else."""
        return self.settings.dry_run and self.progress.oldest_started_at is not None

    def answer(self) -> Answer:
        """Return the answer, without any secret."""
        progress, plan = self.progress, self.progress.plan
        work, error = self._work, self.error
        is_planned = self.status is Status.PLANNED and plan is not None
        spans_invocations = self._spans_invocations
        return Answer(
            cluster=self.settings.cluster_name,
            service=self.settings.service_name,
            status=self.status,
            reason=self.reason,
            run_id=self.run_id,
            parameters=self.settings.parameters,
            tasks_recycled=progress.recycled_count,
            tasks=self._tasks(),
            skipped=self._skipped(),
            remaining=self._remaining(),
            original_desired_count=None if work is None else work.found.desired_count,
            required_in_service=self._required_in_service(),
            started_before=self._started_before(),
            lowest_in_service=lowest(self._in_service()),
            in_service=tuple((point.seconds, point.count) for point in self._in_service()),
            capacity=progress.capacity,
            duration_seconds=self._duration_seconds(),
            timestamp=progress.finished_at or progress.started_at,
            remarks=(plan.remarks or None) if plan is not None else None,
            if_running=self._if_running(),
            permissions=progress.allowed_actions if is_planned else None,
            at_least_seconds=self._at_least_seconds() if is_planned else None,
            oldest_task_hours=self._oldest_task_hours(),
            execution=self.execution_arn if spans_invocations else None,
            segments=progress.segments if spans_invocations else None,
            run=self.run_status,
            error=None if error is None else type(error).__name__,
            remedy=None if error is None else getattr(error, "remedy", ""),
        )

    @property
    def _spans_invocations(self) -> bool:
        """Whether more than one invocation works on the run, under its guardian."""
        invocations_count = self.progress.segments + (self.status is Status.CONTINUED)
        return self.execution_arn is not None and invocations_count > 1

    @property
    def _work(self) -> Plan | None:
        """The plan of a run that recycles; one that only restores has no work list."""
        return self.progress.plan if self.settings.action is Action.RECYCLE else None

    def _if_running(self) -> str | None:
        goes_by_creation = self._work is not None and self._work.selection.by is By.CREATION
        return IfRunning.QUEUE.value if goes_by_creation else None

    def _required_in_service(self) -> int | None:
        if self._work is None:
            return None
        missing_count = 0 if self.settings.maintain_service_state else 1
        return max(0, self._work.found.desired_count - missing_count)

    def _started_before(self) -> datetime | None:
        """Return what continues this run; for one that restores, what continues the dead run."""
        if self._work is not None:
            return self._work.selection.instant_at
        interrupted = self.progress.interrupted
        return None if interrupted is None else interrupted.selection.instant_at

    def _in_service(self) -> tuple[InServicePoint, ...]:
        return () if self._work is None else self.progress.in_service

    def _tasks(self) -> tuple[AnsweredTask | PlannedTask, ...]:
        plan = self._work
        if plan is None:
            return ()
        if self.status is Status.PLANNED:
            return tuple(_planned_task(task) for task in plan.would_be_recycled)
        originals = {task.arn: task for task in (*self.progress.tasks, *plan.gone)}
        results = (*map(_gone, plan.gone), *self.progress.results.values())
        return tuple(_answered_task(each, originals.get(each.task_arn)) for each in results)

    def _skipped(self) -> tuple[SkippedTask, ...]:
        """Return the protected tasks; where nothing was recycled, those of the work list."""
        plan, skipped = self._work, in_order(self.progress.protected.values())
        spares = self.settings.protected_tasks is not ProtectedTasks.STOP
        if plan is not None and not self.progress.results and spares:
            skipped = plan.protections
        originals = () if plan is None else self.progress.tasks
        lacks = {task.arn: task.not_in_service for task in originals}
        return tuple(
            SkippedTask(
                task=protection.task_arn,
                reason=_why_skipped(protection, lacks.get(protection.task_arn)),
                until=protection.until_at,
            )
            for protection in skipped
        )

    def _remaining(self) -> tuple[str, ...]:
        originals = () if self._work is None else self.progress.tasks
        results = self.progress.results
        return tuple(task.arn for task in originals if task.arn not in results)

    def _duration_seconds(self) -> float | None:
        if self.progress.finished_at is None:
            return None
        return round((self.progress.finished_at - self.progress.started_at).total_seconds(), 1)

    def _oldest_task_hours(self) -> float | None:
        """Return how old the oldest task in service is as the run ends."""
        started_at, ended_at = self.progress.oldest_started_at, self.progress.finished_at
        if started_at is None or ended_at is None:
            return None
        return round((ended_at - started_at) / timedelta(hours=1), 3)

    def _at_least_seconds(self) -> int | None:
        """Return the sum of all pauses and of the quickest start seen, extra task included."""
        plan = self._work
        if plan is None:
            return None
        starts_count = len(plan.originals) + int(self.settings.maintain_service_state)
        pause_seconds = starts_count * plan.pause_seconds(self.settings.wait_time_seconds)
        return round(starts_count * quickest_start_seconds(plan.originals) + pause_seconds)


def _gone(task: Original) -> TaskResult:
    return TaskResult(
        task_arn=task.arn,
        outcome=TaskOutcome.GONE,
        note="it was gone before the run began",
    )


def _planned_task(task: Original) -> PlannedTask:
    return PlannedTask(
        task=task.arn,
        started_at=task.started_at,
        zone=task.zone,
        not_in_service=task.not_in_service,
    )


def _answered_task(result: TaskResult, original: Original | None) -> AnsweredTask:
    return AnsweredTask(
        task=result.task_arn,
        replacement=result.replacement_arn,
        stopped_at=result.stopped_at,
        seconds_to_replace=result.seconds_to_replace,
        seconds_to_stop=result.seconds_to_stop,
        exit_code=result.exit_code,
        exit_verdict=result.exit_verdict,
        note=result.note,
        still_stopping=result.still_stopping,
        started_at=None if original is None else original.started_at,
        zone=None if original is None else original.zone,
        not_in_service=None if original is None else original.not_in_service,
    )


def _why_skipped(protection: Protection, lack: str | None) -> str:
    """Return why a task was passed over; ``lack``: why it was not in service either."""
    return protection.reason if lack is None else f"{protection.reason}; not in service: {lack}"


def log_start(settings: Settings, progress: Progress) -> None:
    """Say that a run starts, or goes on in another invocation."""
    cluster, service = settings.cluster_name, settings.service_name
    facts: dict[str, object] = {
        "cluster": cluster,
        "service": service,
        "action": settings.action.value,
    }
    if progress.plan is None:
        logger.info("Starting task recycle for %s/%s", cluster, service, extra=facts)
        return
    facts |= {"number": len(progress.results), "of": len(progress.plan.originals)}
    logger.info("Continuing task recycle for %s/%s", cluster, service, extra=facts)


def log_end(report: Report) -> None:
    """Say how a run ended: in a line by which its service can be found, whatever it is."""
    cluster, service = report.settings.cluster_name, report.settings.service_name
    facts = {"cluster": cluster, "service": service, "status": report.status.value}
    if report.status is Status.COMPLETED:
        logger.info("Task recycle completed successfully", extra=facts)
        return
    level = LOG_LEVELS.get(report.status, logging.INFO)
    text = "Task recycle ended, %s: %s"
    logger.log(level, text, report.status.value, report.reason, extra=facts)
