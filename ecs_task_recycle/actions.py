"""What an event asks for: recycle, restore, stop, status."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from ecs_task_recycle.before.selection import tags_for
from ecs_task_recycle.errors import AlreadyRunningError
from ecs_task_recycle.outcome import Ended, Status
from ecs_task_recycle.record.requests import request_more, request_stop, status_of
from ecs_task_recycle.recycle import recycle, report_of, restore
from ecs_task_recycle.report.report import Report
from ecs_task_recycle.run import Run
from ecs_task_recycle.settings.parameters import Action, IfRunning


def act(run: Run) -> Report:
    """Do what the event asks, and report. Never raises for what AWS does: see ``report.error``."""
    match run.settings.action:
        case Action.STOP:
            return _asked(run, lambda: request_stop(run.record, run.clock))
        case Action.STATUS:
            return _status(run)
        case Action.RESTORE:
            return restore(run)
        case Action.RECYCLE if run.settings.if_running is IfRunning.QUEUE:
            return _recycle_or_queue(run)
        case _:
            return recycle(run)


def _recycle_or_queue(run: Run) -> Report:
    """Recycle; where a run goes on already, let it take this request, too."""
    asked_at = run.now_at
    while True:
        again = run.anew()
        report = recycle(again)
        if not isinstance(report.error, AlreadyRunningError) or run.settings.dry_run:
            return report
        asked = _asked(again.anew(), lambda: _request_more(run, asked_at))
        # Without an end, the other run has ended meanwhile: then this one need not be queued.
        if asked.error is not None or asked.progress.ended is not None:
            return asked


def _request_more(run: Run, asked_at: datetime) -> Ended | None:
    tags = tags_for(run.gateway, run.settings)
    before_at = run.settings.started_before_at(asked_at, tags)
    return request_more(run.record, before_at, run.clock)


def _asked(run: Run, ask: Callable[[], Ended | None]) -> Report:
    try:
        run.progress.ended = ask()
    except Exception as error:  # noqa: BLE001 - whatever comes is reported
        run.progress.end(error)
    run.progress.finished_at = run.now_at
    return report_of(run)


def _status(run: Run) -> Report:
    run_status = None
    try:
        run_status = status_of(run.record.read(), run.now_at)
        reason = None if run_status else "no run of the service in the last 90 days"
        run.progress.end(Ended(Status.STATUS, reason))
    except Exception as error:  # noqa: BLE001 - whatever comes is reported
        run.progress.end(error)
    run.progress.finished_at = run.now_at
    return report_of(run, run_status)
