"""What a run answers: the body of the answer, and of the mail, made from what it knows."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ecs_task_recycle.codec import Json, encode
from ecs_task_recycle.errors import AlreadyRunningError
from ecs_task_recycle.model import (
    Original,
    Plan,
    Protection,
    TaskOutcome,
    TaskResult,
    quickest_start_seconds,
)
from ecs_task_recycle.outcome import Status
from ecs_task_recycle.record.progress import Progress
from ecs_task_recycle.settings.event import Settings
from ecs_task_recycle.settings.parameters import Action, IfRunning, ProtectedTasks
from ecs_task_recycle.steps.protection import in_order
from ecs_task_recycle.steps.work_list import planned
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
        """Whether somebody is to be told: not of what changed nothing, nor of what goes on.

        AWS delivers events twice now and then: the run that goes on is the one to be heard of.
        """
        is_question = self.settings.action in (Action.STOP, Action.STATUS) or self.settings.dry_run
        is_twice = isinstance(self.error, AlreadyRunningError)
        return not (is_question or is_twice or self.status in (Status.CONTINUED, Status.QUEUED))

    def answer(self) -> dict[str, Any]:
        """Return the body of the answer: JSON, without any secret."""
        progress = self.progress
        return {
            "cluster": self.settings.cluster_name,
            "service": self.settings.service_name,
            "status": self.status.value,
            "reason": self.reason,
            "run_id": self.run_id,
            "parameters": dict(self.settings.parameters),
            "tasks_recycled": progress.recycled_count,
            "tasks": self._tasks(),
            "skipped": self._skipped(),
            "remaining": self._remaining(),
            **self._planned_facts(),
            **self._in_service_facts(),
            "capacity": None if progress.capacity is None else encode(progress.capacity),
            "duration_seconds": self._duration_seconds(),
            "timestamp": encode(progress.finished_at),
            **self._occasional_facts(),
        }

    def _occasional_facts(self) -> dict[str, Any]:
        """Return the fields that only some answers have."""
        progress, plan = self.progress, self.progress.plan
        facts: dict[str, Any] = {}
        if plan is not None and plan.remarks:
            facts["remarks"] = list(plan.remarks)
        if self._work is not None and self._work.goes_by_creation:
            facts["if_running"] = IfRunning.QUEUE.value
        if self.status is Status.PLANNED and plan is not None:
            facts["permissions"] = list(plan.actions)
            if self._work is not None:
                facts["at_least_seconds"] = self._at_least_seconds(self._work)
        is_continued = self.status is Status.CONTINUED
        if self.execution_arn is not None and progress.segments + is_continued > 1:
            facts |= {"execution": self.execution_arn, "segments": progress.segments}
        if self.run_status is not None:
            facts["run"] = dict(self.run_status)
        if self.error is not None:
            facts["error"] = type(self.error).__name__
            facts["remedy"] = getattr(self.error, "remedy", "")
        return facts

    @property
    def _work(self) -> Plan | None:
        """The plan of a run that recycles; one that only restores has no work list."""
        return self.progress.plan if self.settings.action is Action.RECYCLE else None

    def _planned_facts(self) -> dict[str, Json]:
        """Return what was found and planned; null for a run that did not get so far."""
        plan = self._work
        if plan is None:
            counts = dict.fromkeys(("original_desired_count", "required_in_service"))
            return {**counts, "started_before": self._interrupted_before()}
        desired_count = plan.found.desired_count
        missing_count = 0 if self.settings.maintain_service_state else 1
        return {
            "original_desired_count": desired_count,
            "required_in_service": max(0, desired_count - missing_count),
            "started_before": _border_of(plan),
        }

    def _interrupted_before(self) -> Json:
        """Return how to go on with the run whose capacity was restored, null if there is none."""
        plan = self.progress.plan
        return None if plan is None or plan.dead_run_id is None else _border_of(plan)

    def _in_service_facts(self) -> dict[str, Json]:
        points = () if self._work is None else self.progress.in_service
        return {
            "lowest_in_service": lowest(points),
            "in_service": [[point.seconds, point.count] for point in points],
        }

    def _tasks(self) -> list[Json]:
        plan = self._work
        if self.status is Status.PLANNED and plan is not None:
            return [{"task": task.arn, **_origin(task)} for task in planned(plan, self.settings)]
        named = () if plan is None else (*plan.originals, *plan.gone)
        originals = {task.arn: task for task in named}
        gone = () if plan is None else map(_gone, plan.gone)
        results = (*gone, *self.progress.results.values())
        return [_task(each, originals.get(each.task_arn)) for each in results]

    def _skipped(self) -> list[Json]:
        """Return the protected tasks; where nothing was recycled, those of the work list."""
        plan, skipped = self._work, in_order(self.progress.protected.values())
        spares = self.settings.protected_tasks is not ProtectedTasks.STOP
        if plan is not None and not self.progress.results and spares:
            skipped = plan.protections
        originals = () if plan is None else plan.originals
        lacks = {task.arn: task.not_in_service for task in originals}
        return [
            {
                "task": each.task_arn,
                "reason": _why_left(each, lacks.get(each.task_arn)),
                "until": encode(each.until_at),
            }
            for each in skipped
        ]

    def _remaining(self) -> list[Json]:
        plan, results = self._work, self.progress.results
        originals = () if plan is None else plan.originals
        return [task.arn for task in originals if task.arn not in results]

    def _duration_seconds(self) -> float | None:
        if self.progress.finished_at is None:
            return None
        return round((self.progress.finished_at - self.progress.started_at).total_seconds(), 1)

    def _at_least_seconds(self, plan: Plan) -> int:
        """Return the sum of all pauses and of the quickest start seen, extra task included."""
        starts = len(plan.originals) + int(self.settings.maintain_service_state)
        pauses = len(plan.originals) * self.settings.wait_time_seconds
        return round(starts * quickest_start_seconds(plan.originals) + pauses)


def _border_of(plan: Plan) -> Json:
    return None if plan.names_tasks else encode(plan.started_before_at)


def _gone(task: Original) -> TaskResult:
    return TaskResult(
        task_arn=task.arn,
        outcome=TaskOutcome.GONE,
        note="it was gone before the run began",
    )


def _task(result: TaskResult, original: Original | None) -> dict[str, Json]:
    facts: dict[str, Json] = {
        "task": result.task_arn,
        "replacement": result.replacement_arn,
        "stopped_at": encode(result.stopped_at),
        "seconds_to_replace": result.seconds_to_replace,
        "seconds_to_stop": result.seconds_to_stop,
        "exit_code": result.exit_code,
        "exit_verdict": result.exit_verdict,
        "note": result.note,
    }
    if result.still_stopping is not None:
        facts["still_stopping"] = result.still_stopping
    return facts | ({} if original is None else _origin(original))


def _why_left(protection: Protection, lack: str | None) -> str:
    """Return why a task was passed over; ``lack``: why it was not in service either."""
    return protection.reason if lack is None else f"{protection.reason}; not in service: {lack}"


def _origin(task: Original) -> dict[str, Json]:
    """Return what a task was when the run began, and why it was not in service, if it was not."""
    facts: dict[str, Json] = {"started_at": encode(task.started_at), "zone": task.zone}
    if task.not_in_service is not None:
        facts["not_in_service"] = task.not_in_service
    return facts


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
    """Say how a run ended."""
    if report.status is Status.COMPLETED:
        logger.info("Task recycle completed successfully")
        return
    level = LOG_LEVELS.get(report.status, logging.INFO)
    logger.log(level, "Task recycle ended, %s: %s", report.status.value, report.reason)
