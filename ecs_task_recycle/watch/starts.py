"""How long the tasks of a service take to start."""

from __future__ import annotations

from datetime import datetime

from ecs_task_recycle.task import Task
from ecs_task_recycle.watch.failed_starts import is_since


class StartTimes:
    """How quickly tasks have come into service, at best: what polling goes by; 0: none was seen.

    ``start_seconds`` is from a task's creation to RUNNING, by AWS's own clock; ``reach_seconds``
    from there to healthy in its target groups, as this invocation has seen it.
    """

    def __init__(self, began_at: datetime) -> None:
        """Take the instant from which on this invocation looks."""
        self._began_at = began_at
        self.start_seconds = self.reach_seconds = 0.0

    @property
    def least_seconds(self) -> float:
        """The least that a task takes from its creation until it is in service."""
        return self.start_seconds + self.reach_seconds

    @property
    def half_reach(self) -> float:
        """Half of the seconds from RUNNING to healthy."""
        return self.reach_seconds / 2

    def learn_start(self, task: Task) -> None:
        """Take in a task that is RUNNING, or was."""
        if task.started_at is not None and task.created_at is not None:
            seconds = (task.started_at - task.created_at).total_seconds()
            self.start_seconds = min(seconds, self.start_seconds or seconds)

    def learn_reach(self, task: Task, now: float) -> None:
        """Take in a new task that is healthy in its target groups for the first time, now.

        One that started before this invocation has been so for nobody here knows how long.
        """
        if task.started_at is not None and is_since(task.started_at, self._began_at):
            seconds = now - task.started_at.timestamp()
            self.reach_seconds = min(seconds, self.reach_seconds or seconds)
