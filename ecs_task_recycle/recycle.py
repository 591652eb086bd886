"""Recycle a service: read, raise, replace one by one, put back, report.

This is the flow of the README, from top to bottom. Outside of ``run.step`` nothing here calls AWS
or reads a clock, so that a run can be replayed (see ``run``).
"""

from __future__ import annotations

import logging
import statistics
from dataclasses import dataclass
from datetime import datetime

from ecs_task_recycle.capacity import PutBack, Surge, plan_raise, raise_capacity
from ecs_task_recycle.clock import Clock, as_utc
from ecs_task_recycle.errors import (
    RecycleError,
    ReplacementError,
    RestoreError,
    StepTimeoutError,
)
from ecs_task_recycle.gateway import Gateway
from ecs_task_recycle.model import (
    Capacity,
    CapacityReport,
    Ending,
    Replacement,
    Status,
    Task,
    WorkList,
)
from ecs_task_recycle.observation import short
from ecs_task_recycle.preflight import read_service
from ecs_task_recycle.replacement import Order, replace_task
from ecs_task_recycle.report import Report
from ecs_task_recycle.run import Run, StepFailedError
from ecs_task_recycle.settings import Settings

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One run: what is asked, and what it needs to do it."""

    settings: Settings
    run_id: str
    run: Run
    gateway: Gateway
    clock: Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Instant:
    """A reading of the clock, kept as the result of a step."""

    at: datetime


def recycle(job: Job) -> Report:
    """Recycle the service and report. Never raises for what AWS does: see ``report.error``."""
    report = Report(settings=job.settings, run_id=job.run_id)
    try:
        report.started_at = _instant(job, "Start")
        work = report.work = _read_service(job)
        if job.settings.dry_run:
            report.status = Status.PLANNED
        elif not work.originals:
            report.status, report.reason = Status.NOTHING_TO_DO, _why_nothing(work)
        elif job.settings.maintain_service_state:
            _recycle_with_surge(job, work, report)
        else:
            _replace_all(job, work, report, whole_count=work.found.desired_count)
    except StepFailedError as failed:
        _fail(report, failed.error)
    _finish(job, report)
    return report


def _read_service(job: Job) -> WorkList:
    return job.run.step(
        "Read the service", lambda: read_service(job.gateway, job.clock, job.settings), WorkList
    )


def _why_nothing(work: WorkList) -> str:
    if not work.found.desired_count:
        return "the desired count is 0"
    return f"no task was started before {work.started_before_at.isoformat()}"


def _recycle_with_surge(job: Job, work: WorkList, report: Report) -> None:
    surge = Surge(
        plan=plan_raise(work.found),
        work=work,
        timeout_seconds=job.settings.stabilize_timeout_seconds,
    )
    try:
        _raise(job, surge)
        _replace_all(job, work, report, whole_count=surge.whole_count)
    except StepFailedError as failed:
        # In an except, never in a finally: a durable run leaves by an exception at every pause.
        _fail(report, failed.error)
    report.capacity = _put_back(job, surge, report)


def _raise(job: Job, surge: Surge) -> None:
    job.run.step("Raise the capacity", lambda: raise_capacity(job.gateway, surge.plan), Capacity)
    job.run.step(
        "Wait for the extra task", lambda: surge.await_in_service(job.gateway, job.clock), int
    )


def _replace_all(job: Job, work: WorkList, report: Report, *, whole_count: int) -> None:
    """Replace one task after the other; stop where somebody interferes."""
    for number, task in enumerate(work.originals, start=1):
        order = _order(job, work, report, number=number, task=task, whole_count=whole_count)
        replacement = _replace(job, order)
        report.replacements.append(replacement)
        if replacement.failure is not None:
            _fail(report, replacement.failure.as_error())
            return
        if replacement.ending is Ending.INTERRUPTED:
            report.status, report.reason = Status.PARTIAL, replacement.note
            return
        if replacement.ending is Ending.REPLACED:
            job.run.pause(f"Wait after task {number}", job.settings.wait_time_seconds)
    report.status = Status.COMPLETED


def _replace(job: Job, order: Order) -> Replacement:
    return job.run.step(
        f"Replace task {order.number}: {short(order.task.arn)}",
        lambda: replace_task(job.gateway, job.clock, order),
        Replacement,
    )


def _order(
    job: Job, work: WorkList, report: Report, *, number: int, task: Task, whole_count: int
) -> Order:
    taken = [each.seconds_to_replace for each in report.replacements]
    measured = [seconds for seconds in taken if seconds is not None]
    return Order(
        number=number,
        task=task,
        work=work,
        whole_count=whole_count,
        stopped_arns=tuple(each.task_arn for each in report.replacements),
        expected_seconds=statistics.median(measured) if measured else None,
        timeout_seconds=job.settings.stabilize_timeout_seconds,
        wait_seconds=job.settings.wait_time_seconds,
        run_id=job.run_id,
    )


def _put_back(job: Job, surge: Surge, report: Report) -> CapacityReport | None:
    put_back = PutBack(
        surge=surge,
        stopped_arns=tuple(each.task_arn for each in report.replacements if each.stopped_at),
        patience_seconds=_patience_seconds(job, report),
        # A deployment that somebody started has tasks of its own that are still coming up.
        withdraws=report.status is not Status.PARTIAL,
    )
    try:
        return job.run.step(
            "Put the capacity back", lambda: put_back.run(job.gateway, job.clock), CapacityReport
        )
    except StepFailedError as failed:
        _fail(report, failed.error)
        return None


def _patience_seconds(job: Job, report: Report) -> float:
    """Return how long the service may take to be whole before a task is taken away."""
    hopeless = isinstance(report.error, ReplacementError | StepTimeoutError)
    if hopeless or report.status is Status.PARTIAL:
        return 0.0
    return float(job.settings.stabilize_timeout_seconds)


def _fail(report: Report, error: Exception) -> None:
    """Note the error; one that comes while putting back names the one before it too."""
    if report.error is not None:
        error.__cause__ = report.error
    report.status, report.error = Status.FAILED, error
    report.reason = error.sentence if isinstance(error, RecycleError) else repr(error)
    if error.__cause__ is not None and isinstance(error, RestoreError):
        report.reason = f"{report.reason} Before that: {error.__cause__}"


def _instant(job: Job, name: str) -> datetime:
    return job.run.step(name, lambda: Instant(at=as_utc(job.clock.now())), Instant).at


def _finish(job: Job, report: Report) -> None:
    def speak() -> Instant:
        if report.status is Status.COMPLETED:
            logger.info("Task recycle completed successfully")
        else:
            level = logging.ERROR if report.status is Status.FAILED else logging.WARNING
            logger.log(
                level, "Task recycle ended: %s", report.status, extra={"reason": report.reason}
            )
        return Instant(at=as_utc(job.clock.now()))

    report.finished_at = job.run.step("Finish", speak, Instant).at
