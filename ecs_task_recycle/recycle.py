"""Recycle a service: read, raise, replace one by one, put back, report.

This is the flow of the README, from top to bottom. Outside of ``run.step`` nothing here calls AWS
or reads a clock, so that a run can be replayed (see ``run``).
"""

from __future__ import annotations

import logging
import math
import statistics
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from ecs_task_recycle.capacity import (
    Arrival,
    PutBack,
    Surge,
    changed,
    not_restored,
    plan_raise,
    raise_capacity,
)
from ecs_task_recycle.clock import Clock, as_utc
from ecs_task_recycle.codec import encode
from ecs_task_recycle.errors import (
    RecycleError,
    ReplacementError,
    RestoreError,
    StepTimeoutError,
)
from ecs_task_recycle.gateway import Gateway
from ecs_task_recycle.journal import Journal
from ecs_task_recycle.model import (
    Capacity,
    CapacityReport,
    Chain,
    Ending,
    Entry,
    Protection,
    Raise,
    Replacement,
    Status,
    Task,
    WorkList,
)
from ecs_task_recycle.observation import short
from ecs_task_recycle.preflight import Survey, Surveyor, capacity_of, refusal
from ecs_task_recycle.protection import ProtectionLook, in_order, look
from ecs_task_recycle.replacement import Order, replace_task
from ecs_task_recycle.report import Report
from ecs_task_recycle.run import Run, StepFailedError
from ecs_task_recycle.selection import quickest_start_seconds
from ecs_task_recycle.settings import Action, ProtectedTasks, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MAIL_SECONDS: Final = 20.0
"""What mailing may take of the reserve."""

RESERVE_SECONDS: Final = 75.0
"""What putting back, reporting and mailing may take: kept free before Lambda's limit."""

UNLIMITED: Final = timedelta(days=1)
"""After this a run without any deadline is taken for dead."""

DEATH_MARGIN: Final = timedelta(seconds=30)
"""How long a call that was under way at Lambda's limit may still take effect."""

LOG_LEVELS: Final = {Status.FAILED: logging.ERROR, Status.PARTIAL: logging.WARNING}

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One run: what is asked, and what it needs to do it.

    ``owner`` is unique to one invocation, also where ``run_id`` comes twice.
    """

    settings: Settings
    run_id: str
    owner: str
    run: Run
    gateway: Gateway
    clock: Clock

    @property
    def journal(self) -> Journal:
        """The journal of the service."""
        return Journal(self.gateway, self.clock)


@dataclass(frozen=True, slots=True, kw_only=True)
class Instant:
    """A reading of the clock, kept as the result of a step."""

    at: datetime


def recycle(job: Job) -> Report:
    """Do what the event asks and report. Never raises for what AWS does: see ``report.error``."""
    report = Report(settings=job.settings, run_id=job.run_id)
    try:
        report.started_at = _start(job)
        if job.settings.action is Action.RESTORE:
            _restore(job, report)
        else:
            _recycle(job, report)
    except StepFailedError as failed:
        _fail(report, failed.error)
    _finish(job, report)
    return report


def _recycle(job: Job, report: Report) -> None:
    survey = _survey(job, report)
    work = survey.work
    # What a dead run has left raised is put back also where there is nothing else to be done.
    if job.settings.dry_run or work.leavings is None:
        _decide_beforehand(job, survey, report)
    if report.is_decided:
        return
    surge = _planned_surge(job, survey)
    chain = _take(job, survey, surge)
    try:
        _recycle_as_owner(job, survey, surge, report)
    except StepFailedError as failed:
        _fail(report, failed.error)
    _close(job, chain, report)


def _decide_beforehand(job: Job, survey: Survey, report: Report) -> None:
    """Decide for an outcome that needs no change: refused, nothing to do, planned, no time."""
    work = survey.work
    why_nothing = _why_nothing(job, work)
    needed_seconds = _needed_seconds(job, report) + quickest_start_seconds(work.originals)
    if survey.refusals:
        _fail(report, refusal(job.gateway, survey.refusals, healed=False))
    elif why_nothing:
        report.decide(Status.NOTHING_TO_DO, why_nothing)
    elif job.settings.dry_run:
        report.decide(Status.PLANNED, f"{len(report.planned)} tasks would be recycled")
    else:
        _ends_for_time(job, report, needed_seconds)


def _planned_surge(job: Job, survey: Survey) -> Surge | None:
    """Return the extra task to be raised, None for a run that raises nothing."""
    nothing_to_do = _why_nothing(job, survey.work) is not None
    if survey.refusals or nothing_to_do or not job.settings.maintain_service_state:
        return None
    return Surge(plan=plan_raise(survey.work.found), work=survey.work)


def _recycle_as_owner(job: Job, survey: Survey, surge: Surge | None, report: Report) -> None:
    if surge is None:
        _recycle_without_surge(job, survey, report)
        return
    # Nothing is raised while all tasks are protected, unless a dead run has raised it already.
    if survey.work.leavings is None and not _is_any_free(job, report):
        return
    try:
        if _raise(job, surge, report):
            _replace_all(job, report, whole_count=surge.whole_count)
    except StepFailedError as failed:
        # In an except, never in a finally: a durable run leaves by an exception at every pause.
        _fail(report, failed.error)
    _put_back(job, report, surge.plan, raised_since_at=survey.raised_since_at)


def _recycle_without_surge(job: Job, survey: Survey, report: Report) -> None:
    work = survey.work
    if work.leavings is not None:
        _put_back(job, report, work.leavings, raised_since_at=survey.raised_since_at)
    if report.error is not None:
        return
    if survey.refusals:
        _fail(report, refusal(job.gateway, survey.refusals, healed=True))
    elif why_nothing := _why_nothing(job, work):
        report.decide(Status.NOTHING_TO_DO, why_nothing)
    else:
        _replace_all(job, report, whole_count=work.found.desired_count)


def _restore(job: Job, report: Report) -> None:
    """Put back what a dead run left raised, and nothing else."""
    survey = _survey(job, report)
    dead, leavings = survey.chain.entries, survey.work.leavings
    if leavings is None:
        report.decide(Status.NOTHING_TO_DO, "no run has left anything behind")
        return
    report.started_before_at = dead[-1].started_before_at
    if job.settings.dry_run:
        report.decide(
            Status.PLANNED, f"run {dead[-1].run_id} is dead, what it has left would be put back"
        )
        return
    chain = _take(job, survey, None)
    _put_back(job, report, leavings, raised_since_at=survey.raised_since_at)
    if report.error is None:
        report.decide(Status.RESTORED, f"what run {dead[-1].run_id} had left is put back")
    _close(job, chain, report)


def _survey(job: Job, report: Report) -> Survey:
    survey = job.run.step(
        "Read the service",
        lambda: Surveyor(job.gateway, job.clock, job.settings).survey(),
        Survey,
    )
    report.work = survey.work
    report.started_before_at = survey.work.started_before_at
    return survey


def _take(job: Job, survey: Survey, surge: Surge | None) -> Chain:
    work = survey.work
    plan = None if surge is None else surge.plan
    entry = _entry(job, work.run_started_at, work.started_before_at, surge=plan)

    def take() -> Chain:
        chain = job.journal.take(entry(), survey.chain)
        try:
            _require_unchanged(job, work)
        except RecycleError:
            job.journal.give_up(chain)
            raise
        return chain

    return job.run.step("Take the journal", take, Chain)


def _entry(
    job: Job, run_started_at: datetime, started_before_at: datetime, *, surge: Raise | None
) -> Callable[[], Entry]:
    """Return what makes this run's entry; to be called inside of a step, as it reads the clock."""
    left = job.run.time_left()
    time_left = UNLIMITED if math.isinf(left) else timedelta(seconds=left)

    def make() -> Entry:
        return Entry(
            owner=job.owner,
            run_id=job.run_id,
            run_started_at=run_started_at,
            owner_dead_at=as_utc(job.clock.now()) + time_left + DEATH_MARGIN,
            started_before_at=started_before_at,
            surge=surge,
        )

    return make


def _require_unchanged(job: Job, work: WorkList) -> None:
    """Raise PreconditionError if the capacity is no longer what the work list was made from.

    A run that was just putting back when this one read the service would otherwise pass on its
    numbers as the original ones.
    """
    service = job.gateway.service()
    expected = work.found if work.leavings is None else work.leavings.written
    if service is None or capacity_of(service, job.gateway.scalable_target()) != expected:
        raise changed(job.gateway)


def _why_nothing(job: Job, work: WorkList) -> str | None:
    """Return why there is nothing to recycle, None if there is something."""
    if not work.found.desired_count:
        return "the desired count is 0"
    if not work.originals:
        return f"no task was started before {work.started_before_at.isoformat()}"
    skips = job.settings.protected_tasks is ProtectedTasks.SKIP
    if skips and len(work.protections) == len(work.originals):
        return f"all {len(work.originals)} tasks are under scale-in protection"
    return None


def _is_any_free(job: Job, report: Report) -> bool:
    """Wait, with nothing raised yet, while every task is protected; return whether one got free."""
    work = report.needed_work
    if job.settings.protected_tasks is not ProtectedTasks.WAIT:
        return True
    report.waiting = {each.task_arn: each for each in work.protections}
    if len(report.waiting) < len(work.originals):
        return True
    while not (seen := _look_at_protected(job, report)).free_arns:
        if not _goes_on_waiting(job, report, seen):
            return False
    job.run.step("Look again at the capacity", lambda: _require_unchanged(job, work), type(None))
    return True


def _raise(job: Job, surge: Surge, report: Report) -> bool:
    """Raise, and wait for the extra task; return whether it came before time ran short."""
    job.run.step("Raise the capacity", lambda: raise_capacity(job.gateway, surge.plan), Capacity)
    left = job.run.time_left() - RESERVE_SECONDS
    timeout_seconds = min(float(job.settings.stabilize_timeout_seconds), max(0.0, left))
    try:
        arrival = job.run.step(
            "Wait for the extra task",
            lambda: surge.await_in_service(job.gateway, job.clock, timeout_seconds=timeout_seconds),
            Arrival,
        )
    except StepFailedError as failed:
        is_cut = timeout_seconds < job.settings.stabilize_timeout_seconds
        if not (is_cut and isinstance(failed.error, StepTimeoutError)):
            raise
        report.decide(Status.PARTIAL, f"time ran short: {failed.error.sentence}")
        return False
    report.seconds_to_start = arrival.seconds
    if arrival.interruption is not None:
        report.is_interrupted = True
        report.decide(Status.PARTIAL, arrival.interruption)
    return not report.is_interrupted


def _replace_all(job: Job, report: Report, *, whole_count: int) -> None:
    """Replace one task after the other: first those that nothing protects, then the others."""
    work = report.needed_work
    protected = {each.task_arn: each for each in work.protections}
    if job.settings.protected_tasks is ProtectedTasks.STOP:
        protected = {}
    report.waiting = protected
    others = [task for task in work.originals if task.arn not in protected]
    if not _turns(job, report, others, whole_count):
        return
    if not _turn_to_protected(job, report, whole_count):
        return
    left = len(report.waiting)
    if left:
        report.decide(Status.PARTIAL, f"{left} tasks are under scale-in protection")
    else:
        report.decide(Status.COMPLETED)


def _turns(job: Job, report: Report, tasks: Iterable[Task], whole_count: int) -> bool:
    """Replace tasks in their order; return whether the run goes on."""
    return all(_turn(job, report, task, whole_count) for task in tasks)


def _turn(job: Job, report: Report, task: Task, whole_count: int) -> bool:
    """Replace one task, and sleep after it; return whether the run goes on."""
    order = _order(job, report, task=task, whole_count=whole_count)
    if _ends_for_time(job, report, order.needed_seconds):
        return False
    replacement = _replace(job, order)
    report.waiting.pop(task.arn, None)
    if replacement.ending is Ending.PROTECTED:
        report.waiting[task.arn] = Protection(
            task_arn=task.arn,
            until_at=replacement.protected_until_at,
            reason=replacement.note or "",
        )
        return True
    report.replacements.append(replacement)
    if not _goes_on(report, replacement):
        return False
    return replacement.ending is not Ending.REPLACED or _wait(job, report)


def _turn_to_protected(job: Job, report: Report, whole_count: int) -> bool:
    """Replace the protected tasks as they get free; return whether the run goes on.

    With ``wait`` that takes as long as the run has time, with ``skip`` there is one look. With
    ``stop``, those that are left are the ones whose protection could not be cleared.
    """
    tasks = {task.arn: task for task in report.needed_work.originals}
    while report.waiting and job.settings.protected_tasks is not ProtectedTasks.STOP:
        before_count = len(report.waiting)
        seen = _look_at_protected(job, report)
        if not _turns(job, report, [tasks[arn] for arn in seen.free_arns], whole_count):
            return False
        if job.settings.protected_tasks is ProtectedTasks.SKIP or not report.waiting:
            break
        if len(report.waiting) < before_count:
            continue
        if not _goes_on_waiting(job, report, seen):
            return False
    return True


def _goes_on_waiting(job: Job, report: Report, seen: ProtectionLook) -> bool:
    """Sleep until the next look at protected tasks; return whether time allows for that."""
    if _ends_for_time(job, report, seen.next_look_seconds + _needed_seconds(job, report)):
        count = len(report.waiting)
        reason = f"{count} tasks are still under scale-in protection, and {report.reason}"
        report.decide(Status.PARTIAL, reason)
        return False
    job.run.pause("Wait for protected tasks", seen.next_look_seconds)
    return True


def _look_at_protected(job: Job, report: Report) -> ProtectionLook:
    waiting = in_order(report.waiting.values())
    seen = job.run.step(
        f"Look at {len(waiting)} protected tasks",
        lambda: look(job.gateway, job.clock, waiting),
        ProtectionLook,
    )
    report.waiting |= {each.task_arn: each for each in seen.waiting}
    return seen


def _goes_on(report: Report, replacement: Replacement) -> bool:
    """Note what ends the run after a task; return whether nothing does."""
    if replacement.failure is not None:
        _fail(report, replacement.failure.as_error())
    elif replacement.ending in (Ending.INTERRUPTED, Ending.OUT_OF_TIME):
        report.is_interrupted = replacement.ending is Ending.INTERRUPTED
        report.decide(Status.PARTIAL, replacement.note)
    return not report.is_decided


def _wait(job: Job, report: Report) -> bool:
    """Sleep after a task; return whether the time allows for the next one after that."""
    wait_seconds = float(job.settings.wait_time_seconds)
    number = len(report.replacements)
    if number < len(report.needed_work.originals):
        if _ends_for_time(job, report, wait_seconds + _needed_seconds(job, report)):
            return False
    else:
        wait_seconds = max(0.0, min(wait_seconds, job.run.time_left() - RESERVE_SECONDS))
    job.run.pause(f"Wait after task {number}", wait_seconds)
    return True


def _ends_for_time(job: Job, report: Report, needed_seconds: float) -> bool:
    """Decide for a partial outcome if what comes next does not fit before the deadline."""
    left = job.run.time_left()
    if left >= needed_seconds + RESERVE_SECONDS:
        return False
    report.decide(
        Status.PARTIAL,
        f"time runs short: {left:.0f} s are left, the next task may need {needed_seconds:.0f} s "
        f"and the end of the run {RESERVE_SECONDS:.0f} s; "
        + (
            f"repeat the event with started_before {encode(report.started_before_at)} to go on"
            if report.replacements
            else "lower stabilize_timeout, or raise the function's timeout"
        ),
    )
    return True


def _needed_seconds(job: Job, report: Report) -> float:
    """Return what the next task may take, by what the earlier ones took."""
    limit = float(job.settings.stabilize_timeout_seconds)
    measured = report.seconds_to_replace
    return min(limit, 1.25 * max(measured) + 10) if measured else limit


def _replace(job: Job, order: Order) -> Replacement:
    return job.run.step(
        f"Replace task {order.number}: {short(order.task.arn)}",
        lambda: replace_task(job.gateway, job.clock, order),
        Replacement,
    )


def _order(job: Job, report: Report, *, task: Task, whole_count: int) -> Order:
    measured = report.seconds_to_replace
    return Order(
        number=len(report.replacements) + 1,
        task=task,
        protected_tasks=job.settings.protected_tasks,
        work=report.needed_work,
        whole_count=whole_count,
        stopped_arns=tuple(each.task_arn for each in report.replacements),
        newcomer_arns=report.newcomer_arns,
        # The first replacement takes about as long to start as the extra task did.
        expected_seconds=statistics.median(measured) if measured else report.seconds_to_start,
        needed_seconds=_needed_seconds(job, report),
        timeout_seconds=job.settings.stabilize_timeout_seconds,
        ends_within_seconds=job.run.time_left() - RESERVE_SECONDS,
        wait_seconds=job.settings.wait_time_seconds,
        run_id=job.run_id,
    )


def _put_back(job: Job, report: Report, plan: Raise, *, raised_since_at: datetime) -> None:
    put_back = PutBack(
        plan=plan,
        raised_since_at=raised_since_at,
        stopped_arns=tuple(each.task_arn for each in report.replacements if each.stopped_at),
        patience_seconds=_patience_seconds(job, report),
        # A deployment that somebody started has tasks of its own that are still coming up.
        withdraws=not report.is_interrupted,
        checks_health=report.work is not None and report.work.checks_health,
        retries_within_seconds=max(0.0, job.run.time_left() - MAIL_SECONDS),
    )
    try:
        report.capacity = job.run.step(
            "Put the capacity back", lambda: put_back.run(job.gateway, job.clock), CapacityReport
        )
    except StepFailedError as failed:
        error = failed.error
        if not isinstance(error, RestoreError):
            error = not_restored(job.gateway, plan, error)
        _fail(report, error)


def _patience_seconds(job: Job, report: Report) -> float:
    """Return how long the service may take to be whole before a task is taken away."""
    if isinstance(report.error, ReplacementError | StepTimeoutError):
        return 0.0
    last = report.replacements[-1].ending if report.replacements else None
    if report.is_interrupted or last is Ending.OUT_OF_TIME:
        return 0.0
    # The reserve is for putting back itself.
    left = job.run.time_left() - RESERVE_SECONDS
    return max(0.0, min(float(job.settings.stabilize_timeout_seconds), left))


def _close(job: Job, chain: Chain, report: Report) -> None:
    """Free the service for the next run; leave the journal to it if anything is not put back."""

    def close() -> None:
        if isinstance(report.error, RestoreError):
            job.journal.declare_dead(chain)
        else:
            job.journal.release(chain)

    try:
        job.run.step("Close the journal", close, type(None))
    except StepFailedError as failed:
        note = f"The journal {job.journal.name} could not be closed: {failed.error}"
        logger.warning("%s", note)
        report.reason = f"{report.reason}. {note}" if report.reason else note


def _fail(report: Report, error: Exception) -> None:
    """Note the error; one that comes while putting back names the one before it too."""
    earlier = report.error
    report.status, report.error = Status.FAILED, error
    report.reason = error.sentence if isinstance(error, RecycleError) else repr(error)
    if earlier is not None:
        error.__cause__ = earlier
        report.reason = f"{report.reason} Before that: {earlier}"


def _start(job: Job) -> datetime:
    def speak() -> Instant:
        cluster, service = job.settings.cluster_name, job.settings.service_name
        logger.info(
            "Starting task recycle for %s/%s",
            cluster,
            service,
            extra={"cluster": cluster, "service": service, "action": job.settings.action.value},
        )
        return Instant(at=as_utc(job.clock.now()))

    return job.run.step("Start", speak, Instant).at


def _finish(job: Job, report: Report) -> None:
    def speak() -> Instant:
        if report.status is Status.COMPLETED:
            logger.info("Task recycle completed successfully")
        else:
            level = LOG_LEVELS.get(report.status, logging.INFO)
            text = "Task recycle ended, %s: %s"
            logger.log(level, text, report.status.value, report.reason)
        return Instant(at=as_utc(job.clock.now()))

    report.finished_at = job.run.step("Finish", speak, Instant).at
