"""What is kept free for the next task: too little cuts it off, too much wastes an invocation."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import boto3
import pytest

from ecs_emulator import VirtualClock
from ecs_task_recycle.aws.gateway import Gateway
from ecs_task_recycle.model import TaskOutcome, TaskResult
from ecs_task_recycle.outcome import OutOfTime
from ecs_task_recycle.record.progress import Progress
from ecs_task_recycle.record.table import RunTable
from ecs_task_recycle.run import Run
from ecs_task_recycle.settings.event import settings_from_event
from ecs_task_recycle.steps.budget import (
    RESERVE_SECONDS,
    fits_an_invocation,
    require_time_for_task,
    task_seconds,
)

STARTED_AT = datetime(2026, 1, 1, tzinfo=UTC)
LIMIT_SECONDS = 900.0


def run_of(
    progress: Progress, *, left_seconds: float = LIMIT_SECONDS, limit_seconds: float = LIMIT_SECONDS
) -> Run:
    """Return a run that calls nothing, with so long until Lambda's limit."""
    clock, session = VirtualClock(), boto3.Session(region_name="eu-central-1")
    gateway = Gateway(session, clock, cluster_name="demo", service_name="web")
    run = Run.of(
        settings_from_event({"cluster_name": "demo", "service_name": "web"}),
        run_id="run",
        owner="owner",
        gateway=gateway,
        table=RunTable(session, name="runs", service=gateway.name),
        clock=clock,
        deadline_at=clock.now() + left_seconds,
    )
    run.began_at = run.deadline_at - limit_seconds
    run.progress = progress
    return run


def progress_of(*seconds: float, to_start: float | None = None) -> Progress:
    """Return a run whose tasks took so long to replace, and its extra task to start."""
    results = {
        str(number): TaskResult(
            task_arn=str(number),
            outcome=TaskOutcome.REPLACED,
            stopped_at=STARTED_AT + timedelta(seconds=100 * number),
            seconds_to_replace=taken,
        )
        for number, taken in enumerate(seconds)
    }
    return Progress(started_at=STARTED_AT, results=results, seconds_to_start=to_start)


@pytest.mark.parametrize(
    "progress, seconds",
    [
        (progress_of(to_start=40), 2 * 40 + 60),
        (progress_of(80, 100, 60, to_start=40), 1.25 * 100 + 10),
        (progress_of(500), 600),
        (progress_of(to_start=400), 600),
    ],
    ids=["first", "by the slowest", "no more than the timeout", "the first one neither"],
)
def test_the_next_task_has_room_to_be_slower_than_those_before(
    progress: Progress, seconds: float
) -> None:
    assert task_seconds(progress, limit_seconds=600) == pytest.approx(seconds)


@pytest.mark.parametrize("too_few_seconds", [0.0, 0.5])
def test_a_task_is_begun_while_it_and_the_end_of_the_run_fit(too_few_seconds: float) -> None:
    needed_seconds = 1.25 * 100 + 10 + RESERVE_SECONDS
    run = run_of(progress_of(100), left_seconds=needed_seconds - too_few_seconds)
    if not too_few_seconds:
        require_time_for_task(run)
        return
    with pytest.raises(OutOfTime, match="the next task may need 135 s"):
        require_time_for_task(run)


def test_what_does_not_fit_a_whole_invocation_is_not_handed_over() -> None:
    assert fits_an_invocation(run_of(progress_of(100), left_seconds=10))
    assert not fits_an_invocation(run_of(progress_of(100), limit_seconds=240))
    assert fits_an_invocation(run_of(progress_of(99), limit_seconds=240))
