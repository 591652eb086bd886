"""A run across invocations: what the guardian's invocations do, and what they answer it."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, TypeGuard

from ecs_task_recycle.aws.guardian import LOOK_AGAIN_SECONDS
from ecs_task_recycle.clock import as_utc
from ecs_task_recycle.errors import AlreadyRunningError, AwsCallError
from ecs_task_recycle.outcome import Ended, HandedOver, Status
from ecs_task_recycle.record.record import RecordState, RunRecord
from ecs_task_recycle.record.store import RecordStore
from ecs_task_recycle.recycle import resume
from ecs_task_recycle.report.report import Report
from ecs_task_recycle.run import Run
from ecs_task_recycle.steps.budget import RESERVE_SECONDS

REASON_LIMIT: Final = 2_000
"""What the state machine carries has to stay small: 262,144 bytes for one state's output.
https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html"""

POLL_SECONDS: Final = 15.0
"""Between two looks at an invocation that may see by itself that its guardian has ended."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """What came of one of the guardian's invocations.

    ``report`` is None where the run was over, or may still be alive: then ``wait_seconds`` says
    when to look again.
    """

    report: Report | None = None
    wait_seconds: int | None = None

    @property
    def continues(self) -> bool:
        """Whether the guardian has to go on."""
        return self.wait_seconds is not None

    def answer(self, run: Run) -> dict[str, Any]:
        """Return what the state machine goes on with: bounded, whatever the run's size."""
        body: dict[str, Any] = {"continues": self.continues, "wait_seconds": self.wait_seconds or 0}
        if run.guardian is not None:
            body["next"] = run.guardian.segment_event
        if self.report is not None:
            progress = self.report.progress
            body |= {
                "status": self.report.status.value,
                "reason": (self.report.reason or "")[:REASON_LIMIT],
                "tasks_recycled": progress.recycled_count,
                "segments": progress.segments,
            }
        return body


def run_segment(run: Run) -> Segment:
    """Go on with the run that has this id, if it needs that and no invocation works on it."""
    store = run.store()
    record = _read(run, store)
    if not _is_open(record, run.run_id):
        return Segment()
    now_at = as_utc(run.clock.now())
    if record.state is RecordState.RUNNING and record.may_be_alive(now_at):
        return Segment(wait_seconds=LOOK_AGAIN_SECONDS)
    if record.resumes_at is not None and (early := record.resumes_at - now_at) > timedelta(0):
        return Segment(wait_seconds=math.ceil(early.total_seconds()))
    ends = None
    if record.state is RecordState.UNRESTORED:
        ends = Ended(Status.PARTIAL, record.reason or "it ended with its capacity raised")
    report = resume(run, store, record, ends=ends)
    if isinstance(report.error, AlreadyRunningError):
        # Step Functions invokes again what it has lost sight of: the other one goes on.
        return Segment(wait_seconds=LOOK_AGAIN_SECONDS)
    ended = report.progress.ended
    if report.error is None and isinstance(ended, HandedOver):
        return Segment(report=report, wait_seconds=max(1, math.ceil(ended.wait_seconds)))
    return Segment(report=report)


def end_run(run: Run, execution_status: str) -> Segment:
    """Restore what a run has raised whose guardian has ended, once no invocation works on it.

    A run that is alive sees the end of its guardian before its next stop, and restores by itself.
    """
    store = run.store()
    while True:
        record = _read(run, store)
        if not _is_open(record, run.run_id):
            return Segment()
        report = _restored(run, store, record, execution_status)
        if report is not None:
            return Segment(report=report)
        if run.clock.now() + POLL_SECONDS + RESERVE_SECONDS >= run.deadline_at:
            _leave_to_another(run, record)
            return Segment()
        run.clock.sleep(POLL_SECONDS)


def _leave_to_another(run: Run, record: RunRecord) -> None:
    """Have the run looked after once its invocation is certainly dead, after this one's limit."""
    logger.warning("Run %s may still be alive: it is looked after again", run.run_id)
    if run.guardian is not None:
        first_look = record.owner_dead_at.timestamp() + 1
        run.guardian.start_another(run.clock, first_look=first_look)


def _restored(
    run: Run, store: RecordStore, record: RunRecord, execution_status: str
) -> Report | None:
    """Restore, and report; None while another invocation works on the run."""
    if record.state is RecordState.RUNNING and record.may_be_alive(as_utc(run.clock.now())):
        return None
    ends = Ended(Status.PARTIAL, f"the guardian's execution is {execution_status}")
    report = resume(run, store, record, ends=ends)
    return None if isinstance(report.error, AlreadyRunningError) else report


def _read(run: Run, store: RecordStore) -> RunRecord | None:
    """Read the record, for as long as it takes: nobody repeats an invocation that ends in an error.

    Raises AwsCallError for what no later call mends, and right before the deadline.
    """
    while True:
        try:
            return store.read()
        except AwsCallError as error:
            _require_another(run, error)
        run.clock.sleep(POLL_SECONDS)


def _require_another(run: Run, error: AwsCallError) -> None:
    if not error.transient or run.clock.now() + RESERVE_SECONDS >= run.deadline_at:
        raise error
    text = "Could not read the run record, trying again: %s"
    logger.warning(text, error, extra=dict(error.facts))


def _is_open(record: RunRecord | None, run_id: str) -> TypeGuard[RunRecord]:
    return record is not None and record.run_id == run_id and record.is_open
