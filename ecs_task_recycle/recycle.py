"""Recycle a service: the story from top to bottom, then its steps in their order."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace as changed
from functools import partial
from typing import Final

from ecs_task_recycle.before.preflight import Request, preflight
from ecs_task_recycle.before.refusals import require_account, require_service
from ecs_task_recycle.errors import AwsCallError, PreconditionError, RunDiedError
from ecs_task_recycle.model import By, Selection
from ecs_task_recycle.outcome import Ended, HandedOver, OutOfTime, Status
from ecs_task_recycle.record.item import foreign_arns
from ecs_task_recycle.record.progress import Interrupted
from ecs_task_recycle.record.record import PastRun, RunRecord
from ecs_task_recycle.report.report import Report, log_end, log_start
from ecs_task_recycle.run import Run
from ecs_task_recycle.settings.parameters import Action
from ecs_task_recycle.steps.budget import (
    extra_task_seconds,
    patiently,
    require_before_finish,
    require_in_invocation,
    require_time_for_task,
    require_window,
    work_ends_at,
)
from ecs_task_recycle.steps.protection import await_free_task, require_none_protected, tasks_in_turn
from ecs_task_recycle.steps.replacement import pause_after, replace
from ecs_task_recycle.steps.restore import (
    await_surplus_gone,
    leave_to_next_invocation,
    restoring_at_end,
)
from ecs_task_recycle.steps.scale_up import scale_up

INTERRUPTIONS_LIMIT: Final = 3

logger = logging.getLogger(__name__)


def recycle(run: Run) -> Report:
    """Recycle, and report. Never raises: ``report.error`` tells of whatever went wrong.

    A run that an earlier invocation has begun goes on with what it remembers: ``Run.recall``.
    """
    with reported(run), record_freed(run):
        heal(run)
        for request in requests(run):
            recycle_once(run, request)
    return report_of(run)


def recycle_once(run: Run, request: Request) -> None:
    """Replace every task that one request asks for. Leaves by an exception if not all of them."""
    with restoring_at_end(run):
        begin(run, request)
        require_window(run)
        await_free_task(run)
        scale_up(run)
        for task in tasks_in_turn(run):
            require_time_for_task(run)
            replace(run, task)
            pause_after(run, task)
        require_none_protected(run)


def restore(run: Run) -> Report:
    """Put back what an interrupted run has left raised, and report, as ``recycle`` does."""
    with reported(run), record_freed(run):
        service = run.gateway.service()
        require_account(run.gateway, service, account=run.settings.account)
        heal(run)
        if run.progress.interrupted is None:
            require_service(run.gateway, service, account=run.settings.account)
        raise_outcome_of_restore(run)
    return report_of(run)


# -- around it all ---------------------------------------------------------------------------------


@contextmanager
def reported(run: Run) -> Iterator[None]:
    """Let whatever ends the run be its report, with a first and a last log line."""
    log_start(run.settings, run.progress)
    try:
        yield
    except Exception as how:  # noqa: BLE001 - our own mistakes, too, are reported
        run.progress.end(how)
    _note_still_stopping(run)
    run.progress.note_departures(run.watch.memory.stopped_tasks())
    run.progress.in_service = run.watch.timeline.points
    run.progress.oldest_started_at = run.watch.memory.oldest_started_at
    run.progress.finished_at = run.now_at
    log_end(report_of(run))


def report_of(run: Run, run_status: Mapping[str, object] | None = None) -> Report:
    """Return the report of a run that has ended; ``run_status``: how another run stands."""
    return Report(
        settings=run.settings,
        run_id=run.run_id,
        progress=run.progress,
        run_status=run_status,
        execution_arn=None if run.guardian is None else run.guardian.execution_arn,
    )


def _note_still_stopping(run: Run) -> None:
    """Let the results tell which tasks are stopping still: for ever, if a host is lost."""
    progress = run.progress
    if not progress.results or isinstance(progress.ended, HandedOver):
        return
    try:
        stopping = run.watch.still_stopping()
    except AwsCallError as error:
        logger.warning("Could not read the stopped tasks: %s", error, extra=dict(error.facts))
        return
    for arn, result in progress.results.items():
        progress.results[arn] = changed(result, still_stopping=stopping.get(arn))
    if stopping:
        logger.info("%d stopped tasks are still stopping", len(stopping))


@contextmanager
def record_freed(run: Run) -> Iterator[None]:
    """Free the record if the block fails, unless the next invocation goes on with it.

    Without a failure, ``requests`` has freed it.
    """
    try:
        yield
    except HandedOver:
        raise
    except Exception as how:
        run.progress.end(how)
        if isinstance(how, OutOfTime):
            leave_to_next_invocation(run, how)
        while run.record.is_ours:
            close_record(run)
        raise


def close_record(run: Run) -> None:
    """Write the outcome into the record, once, and free the service for the next run.

    The record stays ours where a request has been queued since the last write.
    """
    progress = run.progress
    notes = progress.notes
    progress.notes = [*notes, *_unserved_notes(run)]
    try:
        last = PastRun(
            run_id=run.run_id,
            ended_at=run.now_at,
            status=progress.status.value,
            tasks_recycled=progress.recycled_count,
            reason=progress.reason,
        )
        run.record.close(run.to_keep(), last, is_completed=progress.status is Status.COMPLETED)
    except Exception as error:  # noqa: BLE001 - the outcome stands all the same
        run.record.disown()
        note = f"The run record could not be closed: {error}"
        logger.warning("%s", note)
        progress.notes.append(note)
        return
    if run.record.is_ours:
        progress.notes = notes


def _unserved_notes(run: Run) -> list[str]:
    """Return what to say of a queued request that this run does not serve."""
    instant_at = run.unserved_before_at
    if instant_at is None or run.progress.status is Status.COMPLETED:
        return []
    request = f"to recycle also the tasks created before {instant_at.isoformat()}"
    return [f"The request {request} was not served"]


# -- heal ------------------------------------------------------------------------------------------


def heal(run: Run) -> None:
    """Put back what an interrupted run has left raised, before anything else is looked at.

    A run that goes on in another invocation takes its record over, and keeps what it has raised.
    """
    if run.recalled is None:
        _inherit_from_dead_run(run)
    else:
        _resume_own_record(run, run.recalled)
    if run.record.is_ours and run.progress.plan is None:
        with restoring_at_end(run):
            require_may_go_on(run)
            run.start_guardian()


def _inherit_from_dead_run(run: Run) -> None:
    """Take the record of a run that has died, with what it has left raised.

    Raises AlreadyRunningError while its run may be alive, or where it was this one.
    """
    only_restores = run.settings.action is Action.RESTORE
    try:
        record = run.record.read_to_restore() if only_restores else run.record.find()
    except AwsCallError as error:
        if not error.denied:
            raise
        return  # The preflight names it, with all other permissions that are missing.
    if record is None:
        return
    run.record.require_free(record)
    if not record.is_open:
        return
    run.progress.interrupted = Interrupted(run_id=record.run_id, selection=record.selection)
    if run.settings.dry_run:
        if record.scale_up is not None:
            left = f"Run {record.run_id} is dead: what it left raised would be put back first"
            run.remarks = (left,)
        return
    run.progress.scale_up = record.scale_up
    run.progress.raised_since_at = record.raised_since_at
    run.record.take(run.to_keep())


def _resume_own_record(run: Run, record: RunRecord) -> None:
    """Go on with what an earlier invocation of this run has left.

    Raises AlreadyRunningError if another one does, PreconditionError, AwsCallError.
    """
    patiently(run, partial(_require_own_tasks, run, record))
    taken = run.record.take_over(record, until=work_ends_at(run))
    run.progress.segments, run.interruptions = taken.segments, taken.interruptions
    run.is_watched_over = True


def _require_own_tasks(run: Run, record: RunRecord) -> None:
    """Raise PreconditionError for a record whose tasks are not in the service's own cluster."""
    service = run.gateway.service()
    if service is None or record.checkpoint is None:
        return
    foreign = foreign_arns(record.checkpoint, service.arn)
    if foreign:
        raise PreconditionError(
            f"The run record of {run.gateway.name} names a task of another account, region or "
            f"cluster: {foreign[0]:.200}.",
            remedy="Nothing was touched. Delete the record if nobody of yours has written it.",
        )


def require_may_go_on(run: Run) -> None:
    """Raise for a run that another invocation has begun, and that has to end now."""
    if run.recalled is None:
        return
    if run.forced_end is not None:
        raise run.forced_end
    if run.interruptions >= INTERRUPTIONS_LIMIT:
        raise RunDiedError(
            f"Run {run.run_id} of {run.gateway.name} died {run.interruptions} times in a row "
            "without replacing a task.",
            remedy="The log says how far each invocation came. Invoke again once it can go on.",
        )
    run.require_not_stopped()


def raise_outcome_of_restore(run: Run) -> None:
    """Raise the outcome of a run that only restores."""
    interrupted = run.progress.interrupted
    if interrupted is None:
        raise Ended(Status.NOTHING_TO_DO, "no interrupted run found; nothing to restore")
    dead, found = f"run {interrupted.run_id}", run.record.last_read
    if run.recalled is None and found is not None and found.scale_up is None:
        raise Ended(Status.NOTHING_TO_DO, f"{dead} is dead and has left nothing raised")
    if run.settings.dry_run:
        text = f"{dead} is dead, the capacity that it left would be put back"
        raise Ended(Status.PLANNED, text)
    raise Ended(Status.RESTORED, f"the capacity that {dead} left raised is put back")


# -- requests --------------------------------------------------------------------------------------


def requests(run: Run) -> Iterator[Request]:
    """Yield the event's own request, then each that is queued; then end the run.

    Of a run that goes on, the first one is the request that the earlier invocation had in hand.
    """
    yield Request()
    while run.record.is_ours:
        before_at = run.unserved_before_at
        if before_at is None:
            run.progress.end(Ended(Status.COMPLETED))
            close_record(run)
        else:
            yield Request(queued=Selection(before_at=before_at, by=By.CREATION))


def begin(run: Run, request: Request) -> None:
    """Plan a request, take the record and have the run watched over, before anything is raised.

    Nothing of it where the run goes on with a request that an earlier invocation has begun.
    """
    require_may_go_on(run)
    if run.progress.plan is not None and not request.is_queued:
        return
    run.progress.ended = None  # A queued request goes on after the end of the one before.
    if run.restored_at is not None:
        await_surplus_gone(run)
    if request.is_queued:
        require_time_for_task(run)
        patiently(run, partial(preflight, run, request))
    else:
        preflight(run, request)
    if run.progress.has_work:
        # With a guardian the first task may be replaced by another invocation.
        is_alone = run.guardian is None
        before_seconds = extra_task_seconds(run) if is_alone else 0.0
        require_before_finish(run, before_seconds=before_seconds)
        require_in_invocation(run, before_seconds=before_seconds)
    run.record.take(run.to_keep())
    if not request.is_queued:
        run.tell_start()
    run.start_guardian()
