"""What a read of a STOPPED task says of how it went."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ecs_task_recycle.model import TaskOutcome, TaskResult
from ecs_task_recycle.task import KILLED, NOT_IN_TIME, OUT_OF_MEMORY, Container, Task, with_exit

AT = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
STOPPED = Task(
    arn="task",
    last_status="STOPPED",
    desired_status="STOPPED",
    stopped_at=AT + timedelta(seconds=61.26),
)
RESULT = TaskResult(task_arn="task", outcome=TaskOutcome.REPLACED, stopped_at=AT)
OOM = "OutOfMemoryError: Container killed due to memory usage"


@pytest.mark.parametrize(
    "exit_codes, reason, exit_code, verdict",
    [
        ((), None, None, None),
        ((0, 0), None, 0, None),
        ((0, 143), None, 143, None),
        ((1, 137), None, 137, f"c1 {NOT_IN_TIME}"),
        ((137, 0, 137), None, 137, f"c0, c2 {NOT_IN_TIME}"),
        ((0, 137), OOM, 137, f"c1 {OUT_OF_MEMORY}"),
    ],
)
def test_the_worst_exit_code_counts_and_137_has_a_verdict_that_names_the_container(
    exit_codes: tuple[int, ...], reason: str | None, exit_code: int | None, verdict: str | None
) -> None:
    containers = tuple(
        Container(name=f"c{number}", exit_code=code, reason=reason if code == KILLED else None)
        for number, code in enumerate(exit_codes)
    )
    told = with_exit(RESULT, replace(STOPPED, containers=containers))
    assert (told.exit_code, told.exit_verdict) == (exit_code, verdict)
    assert told.seconds_to_stop == 61.3


def test_a_task_that_went_by_itself_has_no_time_and_no_blame() -> None:
    gone = replace(RESULT, outcome=TaskOutcome.GONE, stopped_at=None)
    told = with_exit(gone, replace(STOPPED, containers=(Container(name="web", exit_code=137),)))
    assert (told.exit_code, told.exit_verdict, told.seconds_to_stop) == (137, None, None)


def test_clocks_that_differ_make_no_negative_time() -> None:
    early = replace(STOPPED, stopped_at=AT - timedelta(seconds=2))
    assert with_exit(RESULT, early).seconds_to_stop == 0.0
