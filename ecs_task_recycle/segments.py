"""A run across invocations: what its guardian has done, and what the guardian goes on with."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import Any, Final

from ecs_task_recycle.aws.errors import retry_until
from ecs_task_recycle.aws.guardian import LOOK_AGAIN_SECONDS
from ecs_task_recycle.codec import encode
from ecs_task_recycle.errors import (
    AlreadyRunningError,
    AwsCallError,
    OwnershipLostError,
    PreconditionError,
    RecycleError,
)
from ecs_task_recycle.outcome import Ended, HandedOver, Status
from ecs_task_recycle.record.item import carried
from ecs_task_recycle.record.record import RecordState, RunRecord
from ecs_task_recycle.recycle import recycle, report_of, reported, restore
from ecs_task_recycle.report.report import Report
from ecs_task_recycle.run import Run
from ecs_task_recycle.settings.invocation import RestoreOnly
from ecs_task_recycle.settings.parameters import Action
from ecs_task_recycle.steps.budget import RESERVE_SECONDS
from ecs_task_recycle.steps.restore import restoring_at_end

REASON_LIMIT: Final = 2_000
"""What the state machine carries has to stay small: 262,144 bytes for one state's output.
https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html"""

POLL_SECONDS: Final = 15.0
"""Between two reads of a record that cannot be read for a moment."""

ATTEMPTS_BEFORE_NUMBERS_ALONE: Final = 2
"""The third attempt to restore comes 21 minutes after the first: no invocation of the run, which
lives 15 minutes at most, can be at work any more, even where its record does not say so."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """What came of one of the guardian's invocations.

    ``report`` is None where there is nobody to be told of anything. ``wait_seconds`` says when to
    look again, None where the guardian need not.
    """

    report: Report | None = None
    wait_seconds: int | None = None

    @property
    def continues(self) -> bool:
        """Whether the guardian has to go on."""
        return self.wait_seconds is not None

    def answer(self, run: Run, raised: object) -> dict[str, Any]:
        """Return what the state machine goes on with: bounded, whatever the run's size.

        ``raised`` is what the execution has carried so far: it carries that on unless the run has
        gone on in this invocation.
        """
        body: dict[str, Any] = {"continues": self.continues, "wait_seconds": self.wait_seconds or 0}
        if run.guardian is not None:
            now_raised = raised if self.report is None else encode(run.progress.scale_up)
            body["next"] = run.guardian.segment_event(now_raised)
        if self.report is not None:
            progress = self.report.progress
            body |= {
                "status": self.report.status.value,
                "reason": (self.report.reason or "")[:REASON_LIMIT],
                "tasks_recycled": progress.recycled_count,
                "segments": progress.segments,
            }
        return body


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What came of an attempt to restore a run: whether nothing of it is raised any more.

    ``report`` is None where there is nobody to be told of anything.
    """

    is_done: bool
    report: Report | None = None

    def answer(self) -> dict[str, Any]:
        """Return what the state machine goes on with."""
        return {"is_done": self.is_done}


def run_segment(run: Run, raised: object) -> Segment:
    """Go on with the run that has this id, if it needs that and no invocation works on it.

    ``raised`` is what the execution carries: it is restored where the record is gone.
    """
    try:
        record = _read(run)
        if record is None and raised is not None:
            _throw(_gone(run))
        early = _prepare(run, record)
    except Exception as error:  # noqa: BLE001 - whatever it is, somebody is told
        return Segment(report=_failed(run, error))
    if early is not None:
        return early
    only_restores = run.settings.action is Action.RESTORE
    return _segment_of(restore(run) if only_restores else recycle(run))


def _gone(run: Run) -> PreconditionError:
    return PreconditionError(
        f"The record of run {run.run_id} of {run.gateway.name} is gone.",
        remedy="Its guardian restores the capacity by what its execution carries.",
    )


def _prepare(run: Run, record: RunRecord | None) -> Segment | None:
    """Take in what the record says; return what there is to answer where nothing is to be done."""
    if record is None or record.run_id != run.run_id or not record.is_open:
        return Segment()
    if record.state is RecordState.RUNNING and record.may_be_alive(run.now_at):
        return Segment(wait_seconds=LOOK_AGAIN_SECONDS)
    resumes_at = record.resumes_at
    if resumes_at is not None and resumes_at > run.now_at:
        return Segment(wait_seconds=math.ceil((resumes_at - run.now_at).total_seconds()))
    if record.state is RecordState.UNRESTORED:
        run.forced_end = _end_of_unrestored(record)
    run.recall(record)
    return None


def _segment_of(report: Report) -> Segment:
    if isinstance(report.error, AlreadyRunningError):
        # Step Functions invokes again what it has lost sight of: the other one goes on.
        return Segment(wait_seconds=LOOK_AGAIN_SECONDS)
    ended = report.progress.ended
    if report.error is None and isinstance(ended, HandedOver):
        return Segment(report=report, wait_seconds=max(1, math.ceil(ended.wait_seconds)))
    return Segment(report=report)


def restore_run(run: Run, only: RestoreOnly, raised: object) -> Restored:
    """Put back what a run has raised whose guardian cannot go on with it.

    ``raised`` is what the execution carries: it counts where the record cannot be read.

    Somebody is told of the first attempt that fails, and of the one that is done.
    """
    try:
        record = run.record.read_to_restore()
    except (AwsCallError, PreconditionError) as error:
        return _restore_without_record(run, only, raised, error)
    if record is None:
        return _restore_without_record(run, only, raised, None)
    if record.run_id != run.run_id or not record.is_open:
        return Restored(is_done=True)
    if record.state is RecordState.RUNNING and record.may_be_alive(run.now_at):
        return Restored(is_done=False)
    run.forced_end = Ended(Status.PARTIAL, f"the guardian's execution is {only.status}")
    if record.state is RecordState.UNRESTORED:
        run.forced_end = _end_of_unrestored(record)
    try:
        run.recall(record)
    except Exception as error:  # noqa: BLE001 - its parameters are not needed to restore
        logger.warning("The run's parameters cannot be read: %s", error)
    return _attempted(run, only, recycle(run))


def _attempted(run: Run, only: RestoreOnly, report: Report) -> Restored:
    if isinstance(report.error, AlreadyRunningError):
        return Restored(is_done=False)
    is_restored = report.error is None or run.restored_at is not None
    if is_restored or isinstance(report.error, OwnershipLostError):
        return Restored(is_done=True, report=report)
    return Restored(is_done=False, report=report if only.attempt == 0 else None)


def _restore_without_record(
    run: Run, only: RestoreOnly, raised: object, error: RecycleError | None
) -> Restored:
    """Restore by the numbers that the execution carries, once no invocation can be at work."""
    try:
        scale_up = carried(raised)
    except ValueError as problem:
        logger.error("The execution does not tell what was raised: %s", problem)  # noqa: TRY400
        scale_up = None
    report = None if error is None else _failed(run, error)
    is_moment = isinstance(error, AwsCallError) and error.transient
    if scale_up is None and not is_moment:
        return Restored(is_done=True, report=report)
    if is_moment or only.attempt < ATTEMPTS_BEFORE_NUMBERS_ALONE:
        return Restored(is_done=False, report=report if only.attempt == 0 else None)
    run = run.anew()
    run.progress.scale_up = scale_up
    why = "it is gone" if error is None else error.sentence.rstrip(".")
    with reported(run), restoring_at_end(run):
        text = f"its run record cannot be read: {why}; restored by what its execution carries"
        _throw(Ended(Status.PARTIAL, text))
    return _attempted(run, only, report_of(run))


def _end_of_unrestored(record: RunRecord) -> Ended:
    """Return the last word of a run that had ended, but for its capacity."""
    is_complete = record.total_count > 0 and record.done_count == record.total_count
    if is_complete and record.task is None:
        return Ended(Status.COMPLETED, "the capacity was put back later")
    text = f"the capacity was put back later; before that: {record.reason}"
    return Ended(Status.PARTIAL, text)


def _failed(run: Run, error: Exception) -> Report:
    """Return the report of an invocation that could not even begin."""
    with reported(run):
        _throw(error)
    return report_of(run)


def _throw(how: Exception) -> None:
    raise how


def _read(run: Run) -> RunRecord | None:
    """Read the record, for as long as it takes.

    Raises AwsCallError for what no later call mends, and right before the deadline.
    """
    until = run.deadline_at - RESERVE_SECONDS
    return retry_until(run.record.read, run.clock, until=until, every_seconds=POLL_SECONDS)
