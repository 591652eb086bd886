"""Requests to a run that is going on: stop, status, and one more instant for its work list.

Each is one conditional write of an attribute that the run itself never overwrites, or one read.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from ecs_task_recycle.clock import Clock, as_utc
from ecs_task_recycle.codec import encode
from ecs_task_recycle.outcome import Ended, Status
from ecs_task_recycle.record.estimate import estimate
from ecs_task_recycle.record.item import QUEUED, STOP
from ecs_task_recycle.record.record import Checkpoint, RecordState, RunRecord, progress_of
from ecs_task_recycle.record.store import RecordStore
from ecs_task_recycle.record.table import RunTable

TO_BE_RESTORED: Final = "the capacity to be restored"
"""What a run waits for that puts the capacity back: its client says it in a line of its own."""


def request_stop(store: RecordStore, clock: Clock) -> Ended:
    """Ask the run that is going on to end after the task in hand; return what came of it."""
    while True:
        record, now_at = store.read(), as_utc(clock.now())
        if record is None or not record.is_open:
            return Ended(Status.NOTHING_TO_DO, "no run is in progress")
        if _ask(store.table, record, {STOP: now_at.isoformat()}):
            return _asked_to_stop(record, now_at)


def _asked_to_stop(record: RunRecord, now_at: datetime) -> Ended:
    """Return what a run does that was asked to stop, and what to do where it does nothing."""
    name, resumes_at = f"run {record.run_id}", record.resumes_at
    if resumes_at is not None and resumes_at > now_at:
        return Ended(
            Status.STOPPING,
            f"{name} ends when its pause is over, at {resumes_at.isoformat()}; to end it at once, "
            f"stop the guardian's execution {record.run_id}",
        )
    if record.may_be_alive(now_at):
        return Ended(Status.STOPPING, f"{name} ends after the task in hand")
    healing = 'without a guardian, put back what it left by {"action": "restore"}'
    if record.state is RecordState.UNRESTORED:
        return Ended(Status.STOPPING, f"{name} has ended with its capacity raised; {healing}")
    return Ended(Status.STOPPING, f"{name} is dead; {healing}")


def request_more(store: RecordStore, before_at: datetime, clock: Clock) -> Ended | None:
    """Ask the run that is going on to take also the tasks created before an instant.

    The later of two such instants counts. Returns None where there is no such run.
    """
    while True:
        record = store.read()
        if record is not None and record.run_id == store.run_id:
            store.require_free(record)
        if record is None or not record.may_be_alive(as_utc(clock.now())):
            return None
        queued_at = record.queued_before_at
        latest_at = before_at if queued_at is None else max(before_at, queued_at)
        if _ask(store.table, record, {QUEUED: latest_at.isoformat()}):
            return Ended(
                Status.QUEUED,
                f"run {record.run_id} also recycles the tasks created before "
                f"{latest_at.isoformat()}, once it has completed what it has in hand",
            )


def _ask(table: RunTable, record: RunRecord, values: dict[str, Any]) -> bool:
    """Write a request into a record whose run has not ended; return whether it took it."""
    queued_at = record.queued_before_at
    conditions: dict[str, Any] = {"run_id": record.run_id, "state": record.state.value}
    if QUEUED in values:
        conditions[QUEUED] = None if queued_at is None else queued_at.isoformat()
    return table.write(values, conditions=conditions).is_ours


def status_of(record: RunRecord | None, now_at: datetime) -> dict[str, Any]:
    """Return where the run of a record stands, for the answer: what is known, never a null."""
    return {} if record is None else _known(_standing(record, now_at))


def _standing(record: RunRecord, now_at: datetime) -> dict[str, Any]:
    is_at_work = record.state in (RecordState.RUNNING, RecordState.HANDED_OVER)
    is_dead = is_at_work and not record.may_be_alive(now_at)
    return {
        "run_id": record.run_id,
        "state": "dead" if is_dead else record.state.value,
        "started_at": record.run_started_at.isoformat(),
        "started_before": record.started_before_at.isoformat(),
        "number": record.done_count,
        "total": record.total_count,
        "task": record.task if is_at_work else None,
        "awaited": _awaited(record) if is_at_work else None,
        "minutes_left": _minutes_left(record, now_at) if is_at_work else None,
        "segments": record.segments,
        "deaths": record.interruptions,
        "stop_requested": record.stop_requested_at is not None,
        "queued_before": encode(record.queued_before_at),
        **_capacity(record),
        "outcome": record.status,
        "reason": record.reason,
        "outcomes": encode(record.outcomes),
    }


def _capacity(record: RunRecord) -> dict[str, Any]:
    """Return what the run has found, and what it has written in its place while that is raised."""
    raised = record.scale_up
    if raised is not None:
        return {"found": _known(encode(raised.found)), "written": _known(encode(raised.written))}
    plan = None if record.checkpoint is None else record.checkpoint.plan
    return {} if plan is None else {"found": _known(encode(plan.found))}


def _known(values: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return {name: value for name, value in values.items() if value is not None}


def _awaited(record: RunRecord) -> str:
    known = record.checkpoint or Checkpoint()
    if known.opens_at is not None:
        return f"the window, which opens at {known.opens_at.isoformat()}"
    if record.state is RecordState.HANDED_OVER:
        return "the guardian's next invocation"
    if _is_restoring(record, known):
        return TO_BE_RESTORED
    if record.task is not None:
        return f"the replacement of {record.task}"
    if record.scale_up is not None and known.seconds_to_start is None:
        return "the extra task"
    return "a task without protection" if known.protected else "a task's turn"


def _is_restoring(record: RunRecord, known: Checkpoint) -> bool:
    """Whether the run puts back what it has raised, or what a dead one has left."""
    is_healing = record.scale_up is not None and known.plan is None
    return is_healing or known.restoring_since_at is not None


def _minutes_left(record: RunRecord, now_at: datetime) -> int | None:
    """Return what the rest takes at the pace so far; None before the second stop."""
    known = estimate(progress_of(record), now_at)
    return None if known is None else known.minutes_to_go
