"""What is kept free for the next task: too little cuts it off, too much wastes an invocation."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ecs_emulator import VirtualClock
from ecs_task_recycle.model import TaskOutcome, TaskResult
from ecs_task_recycle.outcome import OutOfTime
from ecs_task_recycle.record.progress import Progress
from ecs_task_recycle.steps.budget import RESERVE_SECONDS, Budget

STARTED_AT = datetime(2026, 1, 1, tzinfo=UTC)
LIMIT_SECONDS = 900.0


def budget_of(*, left_seconds: float = LIMIT_SECONDS) -> Budget:
    clock = VirtualClock()
    deadline_at = clock.now() + left_seconds
    return Budget(
        clock=clock,
        began_at=deadline_at - LIMIT_SECONDS,
        deadline_at=deadline_at,
        stabilize_timeout_seconds=600.0,
    )


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
    assert budget_of().task_seconds(progress) == pytest.approx(seconds)


@pytest.mark.parametrize("too_few_seconds", [0.0, 0.5])
def test_a_task_is_begun_while_it_and_the_end_of_the_run_fit(too_few_seconds: float) -> None:
    needed_seconds = 1.25 * 100 + 10 + RESERVE_SECONDS
    budget = budget_of(left_seconds=needed_seconds - too_few_seconds)
    if not too_few_seconds:
        budget.require_task(progress_of(100))
        return
    with pytest.raises(OutOfTime, match="the next task may need 135 s"):
        budget.require_task(progress_of(100))


def test_what_does_not_fit_a_whole_invocation_is_not_handed_over() -> None:
    assert budget_of(left_seconds=10).fits_an_invocation(progress_of(100))
    short = Budget(
        clock=VirtualClock(), began_at=0.0, deadline_at=240.0, stabilize_timeout_seconds=600.0
    )
    assert not short.fits_an_invocation(progress_of(100))
    assert short.fits_an_invocation(progress_of(99))
