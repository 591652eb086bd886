"""The chart of a run with more tasks than a mail has room for: several tasks share a bar."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ecs_task_recycle.channels.mail.chart import BARS_LIMIT, Chart, chart_of
from ecs_task_recycle.outcome import Status
from ecs_task_recycle.report.answer import Answer, AnsweredTask

TASKS = 2 * BARS_LIMIT
SECONDS = 1000.0
BEGAN_AT = datetime(2026, 11, 22, 2, tzinfo=UTC)


def charted(*, never_gone: int) -> Chart:
    """Return the chart of a run that stops a task each 20 s; one is never seen gone."""
    tasks = [
        AnsweredTask(
            task=f"arn:aws:ecs:us-east-1:123456789012:task/shop/{number}",
            stopped_at=BEGAN_AT + timedelta(seconds=20 * number),
            seconds_to_replace=8.0,
            seconds_to_stop=None if number == never_gone else 14.0,
        )
        for number in range(TASKS)
    ]
    answer = Answer(
        status=Status.COMPLETED,
        run_id="run-1",
        tasks=tuple(tasks),
        in_service=((0.0, TASKS),),
        required_in_service=TASKS,
        duration_seconds=SECONDS,
        timestamp=BEGAN_AT + timedelta(seconds=SECONDS),
    )
    found = chart_of(answer)
    assert found is not None
    return found


def test_a_bar_of_two_tasks_goes_from_the_first_stop_to_the_last_replacement() -> None:
    found = charted(never_gone=-1)
    assert (len(found.bars), found.tasks_per_bar) == (BARS_LIMIT, 2)
    for number, bar in enumerate(found.bars):
        began = 40 * number
        assert bar.label == f"{2 * number + 1}-{2 * number + 2}"
        shares = [None if at is None else at * SECONDS for at in (bar.stopped, bar.replaced)]
        assert shares == pytest.approx([began, began + 28])
        assert bar.gone == pytest.approx((began + 34) / SECONDS)


def test_two_tasks_are_gone_when_both_are() -> None:
    gone = [bar.gone is not None for bar in charted(never_gone=3).bars]
    assert gone == [True, False] + [True] * (BARS_LIMIT - 2)
