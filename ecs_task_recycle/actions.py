"""What an event asks for: recycle, restore, stop, status; and what comes of a run that goes on."""

from __future__ import annotations

from collections.abc import Callable

from ecs_task_recycle.clock import as_utc
from ecs_task_recycle.errors import AlreadyRunningError
from ecs_task_recycle.outcome import Ended, Status
from ecs_task_recycle.record.progress import Progress
from ecs_task_recycle.record.requests import request_more, request_stop, status_of
from ecs_task_recycle.recycle import recycle
from ecs_task_recycle.report.report import Report
from ecs_task_recycle.run import Run
from ecs_task_recycle.settings.parameters import Action, IfRunning


def act(run: Run) -> Report:
    """Do what the event asks, and report. Never raises for what AWS does: see ``report.error``."""
    match run.settings.action:
        case Action.STOP:
            return _asked(run, lambda: request_stop(run.store(), run.clock))
        case Action.STATUS:
            return _status(run)
        case Action.RECYCLE if run.settings.if_running is IfRunning.QUEUE:
            return _recycle_or_queue(run)
        case _:
            return recycle(run)


def _recycle_or_queue(run: Run) -> Report:
    """Recycle; where a run goes on already, let it take this request, too."""
    before_at = run.settings.started_before_at(as_utc(run.clock.now()))
    while True:
        report = recycle(run)
        if not isinstance(report.error, AlreadyRunningError) or run.settings.dry_run:
            return report
        asked = _asked(run, lambda: request_more(run.store(), before_at, run.clock))
        # Without an end, the other run has ended meanwhile: then this one need not be queued.
        if asked.error is not None or asked.progress.ended is not None:
            return asked


def _asked(run: Run, ask: Callable[[], Ended | None]) -> Report:
    progress = Progress(started_at=as_utc(run.clock.now()))
    try:
        progress.ended = ask()
    except Exception as error:  # noqa: BLE001 - whatever comes is reported
        progress.end(error)
    return _report(run, progress)


def _status(run: Run) -> Report:
    progress = Progress(started_at=as_utc(run.clock.now()))
    try:
        record = run.store().read()
    except Exception as error:  # noqa: BLE001 - whatever comes is reported
        progress.end(error)
        return _report(run, progress)
    progress.end(Ended(Status.STATUS))
    return _report(run, progress, status_of(record, as_utc(run.clock.now())))


def _report(run: Run, progress: Progress, run_status: dict[str, object] | None = None) -> Report:
    progress.finished_at = as_utc(run.clock.now())
    return Report(
        settings=run.settings, run_id=run.run_id, progress=progress, run_status=run_status
    )
