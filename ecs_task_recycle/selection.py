"""Which tasks are recycled, and in which order: decided once, from one look."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from ecs_task_recycle.model import Task


def originals(tasks: Iterable[Task], started_before_at: datetime) -> tuple[Task, ...]:
    """Return the tasks started before an instant, the oldest first.

    A task that has not started yet is none of them: ``startedAt`` is the instant of its
    transition to RUNNING.
    https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Task.html
    """
    started = [
        (task.started_at, task.arn, task)
        for task in tasks
        if task.is_meant_to_run and task.started_at and task.started_at < started_before_at
    ]
    return tuple(task for _, _, task in sorted(started, key=lambda each: each[:2]))


def quickest_start_seconds(tasks: Iterable[Task]) -> float:
    """Return how long the quickest of the tasks took from its creation to RUNNING."""
    return min(
        (
            (task.started_at - task.created_at).total_seconds()
            for task in tasks
            if task.started_at and task.created_at
        ),
        default=0.0,
    )
