"""What the state machine of a sweep has done: lanes that take turns, and the sweep's end.

A lane's turn may die at any instant and be taken again: what it has in hand stands in the record of
the sweep, and how far that is in the record of the run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from ecs_task_recycle.actions import act
from ecs_task_recycle.aws.guardian import RUNNING
from ecs_task_recycle.clock import Clock, as_utc
from ecs_task_recycle.codec import Json
from ecs_task_recycle.errors import AlreadyRunningError, PreconditionError
from ecs_task_recycle.outcome import Ended, Status
from ecs_task_recycle.record.record import RecordState, RunRecord, progress_of
from ecs_task_recycle.report.report import Report
from ecs_task_recycle.report.sweep_answer import (
    SweepAnswer,
    SweepStatus,
    SweptService,
    SweptStatus,
    outcome_of,
)
from ecs_task_recycle.run import Run
from ecs_task_recycle.settings.sweep import SweepEnd, SweepTurn, run_id_of
from ecs_task_recycle.sweep.record import SweepRecord, SweepStore
from ecs_task_recycle.watch.timeline import lowest

LOOK_AGAIN_SECONDS: Final = 30
"""Until a lane asks again whether a run has ended that its guardian goes on with."""
TURNS_LIMIT: Final = 1_500
"""Of one execution of a lane: its history may have 25,000 events, and a turn makes nine.
https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html"""
ROUNDS_LIMIT: Final = 100
ATTEMPTS_LIMIT: Final = 3
"""How often a run is begun that dies before it has a guardian: that allows as many deaths."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """The context of a sweep. ``run_of`` makes a run of an event and an id, ``tell`` reports it."""

    id: str
    store: SweepStore
    clock: Clock
    deadline_at: float
    run_of: Callable[[Mapping[str, Json], str], Run]
    tell: Callable[[Report], object]

    def make_run(self, record: SweepRecord, number: int) -> Run:
        """Make the run of a service, as it stands; it begins nothing."""
        return self.run_of(record.event_of(number), run_id_of(self.id, number))


def take_turn(sweep: Sweep, asked: SweepTurn) -> dict[str, Any]:
    """Begin or go on with the service that a lane has in hand; take the next one if it has none.

    Returns what the state machine goes on with.
    """
    in_hand = _take_in_hand(sweep, asked.lane)
    wait_seconds = 0 if in_hand is None else _work(sweep, *in_hand)
    return {
        "sweep_turn": asked.sweep,
        "lane": asked.lane,
        "turns": asked.turns + 1,
        "continues": in_hand is not None and asked.turns + 1 < TURNS_LIMIT,
        "wait_seconds": wait_seconds,
    }


def _take_in_hand(sweep: Sweep, lane: int) -> tuple[SweepRecord, int] | None:
    """Return the service, by its number, that a lane has in hand; take the next if it has none.

    None where none is left. What the lane has is always read: another lane, or an invocation that
    was taken for dead, may have been quicker.
    """
    while True:
        record = sweep.store.read()
        if record is None or record.status is not None:
            return None
        number = record.in_hand.get(lane)
        if number is not None and number not in record.outcomes:
            return record, number
        if not record.may_begin_another:
            return None
        sweep.store.take_next(record, lane)


def _work(sweep: Sweep, record: SweepRecord, number: int) -> int:
    """Begin or go on with a service; return after how many seconds to look again."""
    run, attempts = sweep.make_run(record, number), record.attempts.get(number, 0)
    if attempts == 0:
        return _begin(sweep, number, run)
    own = _own_record(run)
    ended = _outcome(run, own)
    if ended is None and not (own is not None and own.may_be_alive(run.now_at)):
        status = None if run.guardian is None else run.guardian.read_status()
        if status is None or (own is not None and status != RUNNING):
            # Died before its guardian was started, a run is begun once more, under its id.
            return _begin(sweep, number, run, attempts)
        if own is None:
            ended = _failed(run, "its run record is gone or not understood; its guardian restores")
    if ended is None:
        return LOOK_AGAIN_SECONDS
    sweep.store.note(number, ended)
    return 0


def _begin(sweep: Sweep, number: int, run: Run, attempts: int = 0) -> int:
    """Begin the run of a service, unless it has died too often; return as ``_work`` does."""
    if attempts >= ATTEMPTS_LIMIT:
        sweep.store.note(number, _failed(run, f"begun {attempts} times, its run died each time"))
        return 0
    sweep.store.note_attempt(number, attempts + 1)
    run.tell_start = partial(_tell_start, sweep, run.tell_start)
    report = act(run)
    # Step Functions may have invoked twice: then the run is another invocation's, or is asked more.
    is_in_the_way = isinstance(report.error, AlreadyRunningError) or report.status is Status.QUEUED
    is_twice = is_in_the_way and _own_record(run) is not None
    if report.status is Status.CONTINUED or is_twice:
        return LOOK_AGAIN_SECONDS
    sweep.store.note(number, outcome_of(report))
    sweep.tell(report)
    return 0


def _tell_start(sweep: Sweep, tell_start: Callable[[], object]) -> None:
    """Tell that a run begins. Raises Ended if the sweep was asked to stop before it had a record.

    Whoever asks later finds the record, and asks the run itself.
    """
    record = sweep.store.read()
    if record is not None and record.stop_reason is not None:
        raise Ended(Status.PARTIAL, record.early_end)
    tell_start()


def _outcome(run: Run, own: RunRecord | None) -> SweptService | None:
    """Return how a run has ended: by its own record, or by that of a later run of the service.

    None where neither says so.
    """
    if own is not None:
        # Of one that has left something raised, the guardian puts it back.
        has_ended = not own.is_open or own.state is RecordState.UNRESTORED
        return _of_record(run, own) if has_ended else None
    later = run.record.last_read
    for past in () if later is None else later.outcomes:
        if past.run_id == run.run_id:
            return SweptService(
                service=run.gateway.name,
                status=SweptStatus(past.status),
                reason=past.reason,
                tasks_recycled=past.tasks_recycled,
            )
    return None


def _own_record(run: Run) -> RunRecord | None:
    """Return the record that this run has left, None where there is none that can be read."""
    try:
        record = run.record.read()
    except PreconditionError:
        return None
    return record if record is not None and record.run_id == run.run_id else None


def _failed(run: Run, reason: str) -> SweptService:
    return SweptService(service=run.gateway.name, status=SweptStatus.FAILED, reason=reason)


def _of_record(run: Run, record: RunRecord) -> SweptService:
    """Return how a service's run ended, by its record: the invocation that ended it has died."""
    progress, ended_at = progress_of(record), record.ended_at or run.now_at
    return SweptService(
        service=run.gateway.name,
        status=SweptStatus(record.status or SweptStatus.PARTIAL),
        reason=record.reason,
        tasks_recycled=progress.recycled_count,
        tasks=record.total_count,
        seconds=round((ended_at - record.run_started_at).total_seconds(), 1),
        lowest_in_service=lowest(progress.in_service),
    )


# ---- The end ----


def end(sweep: Sweep, asked: SweepEnd) -> tuple[dict[str, Any], SweepAnswer | None]:
    """End a sweep whose lanes have all ended, unless a service is left that has to be done.

    Returns what the state machine goes on with, and what somebody is to be told, if anything is.
    """
    record = sweep.store.read()
    continues = record is not None and record.is_left and asked.rounds < ROUNDS_LIMIT
    answer = None if continues else _closed(sweep, record)
    goes_on_with = {
        "sweep_end": asked.sweep,
        "lanes": list(range(asked.lanes)),
        "rounds": asked.rounds + 1,
        "stopped": None,
        "continues": continues,
        "has_failed": answer is not None and answer.status is SweepStatus.FAILED,
    }
    is_told = continues or (record is not None and record.is_told)
    return goes_on_with, None if is_told else answer


def _closed(sweep: Sweep, record: SweepRecord | None) -> SweepAnswer:
    """Write down how a sweep ended, once; return what is told of it."""
    if record is None:
        return SweepAnswer(
            sweep=sweep.id,
            status=SweepStatus.FAILED,
            reason="the record of the sweep is gone, or another version has written it; the record "
            "of each service says how it stands",
            timestamp=as_utc(sweep.clock.now()),
        )
    if record.status is None:
        sweep.store.close(_status_of(record))
        record = sweep.store.read() or record
    return answer_of(sweep, record, record.status or _status_of(record))


def _status_of(record: SweepRecord) -> SweepStatus:
    """Return the outcome: a service that refuses or has nothing to do is no failure."""
    found = {each.status for each in record.outcomes.values()}
    if SweptStatus.FAILED in found:
        return SweepStatus.FAILED
    if SweptStatus.PARTIAL in found or len(record.outcomes) < len(record.services):
        return SweepStatus.PARTIAL
    return SweepStatus.COMPLETED


def answer_of(sweep: Sweep, record: SweepRecord, status: SweepStatus) -> SweepAnswer:
    """Return what is told of a sweep as its record stands."""
    now_at = as_utc(sweep.clock.now())
    lasted = (record.ended_at or now_at) - record.started_at
    answer = SweepAnswer(
        sweep=sweep.id,
        status=status,
        services_count=len(record.services),
        services=tuple(record.standing(number) for number in range(len(record.services))),
        parameters=record.parameters,
        started_at=record.started_at,
        duration_seconds=round(lasted.total_seconds(), 1),
        timestamp=now_at,
    )
    counts = ", ".join(f"{count} {status}" for status, count in answer.counts.items())
    is_left = record.next_number < len(record.services)
    ends = [record.early_end] if is_left and record.early_end else []
    return replace(answer, reason="; ".join([counts.replace("_", " "), *ends]))
