"""Starts that fail: tasks that never come into service, placements, and new tasks that soon die."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from ecs_task_recycle.errors import ReplacementError
from ecs_task_recycle.snapshot import short
from ecs_task_recycle.task import NOT_YET_RUNNING, Task

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ecs_task_recycle.snapshot import Snapshot

FAILED_STARTS_LIMIT: Final = 3

CLOCK_SKEW: Final = timedelta(seconds=1)
"""How far this machine's clock and AWS's may differ."""


@dataclass(slots=True, kw_only=True)
class FailedStarts:
    """What went wrong with new tasks since ``run_started_at``.

    Failed starts and placements count from ``since_at``, the beginning of what is awaited. Deaths
    of new tasks that had come into service count over the whole run. While a task that the run has
    stopped holds its port or its memory, its replacement may have no place yet: complaints about
    placement from that time do not count.
    """

    run_started_at: datetime
    since_at: datetime
    new_arns: set[str] = field(default_factory=set)
    starts: dict[str, Task] = field(default_factory=dict)
    deaths: dict[str, Task] = field(default_factory=dict)
    complaints: dict[str, str] = field(default_factory=dict)
    _excused: set[str] = field(default_factory=set)

    def begin(self, since_at: datetime) -> None:
        """Count failed starts and placements anew, from an instant on."""
        self.since_at = since_at
        self.starts.clear()
        self.complaints.clear()

    def learn(self, snapshot: Snapshot, new_tasks: Mapping[str, Task], *, has_room: bool) -> None:
        """Take note of the new tasks that have stopped, and of placements that failed."""
        self.new_arns |= snapshot.in_service & new_tasks.keys()
        for arn, task in new_tasks.items():
            if arn in self.new_arns and is_death(task):
                self.deaths[arn] = task
            elif is_since(task.created_at, self.since_at) and is_failed_start(task):
                self.starts[arn] = task
        for event in snapshot.service.events:
            if "unable to" not in event.message or event.id in self._excused:
                continue
            if not has_room:
                self._excused.add(event.id)
            elif is_since(event.created_at, self.since_at):
                self.complaints[event.id] = event.message

    @property
    def count(self) -> int:
        """How many starts have failed: the most of one kind."""
        return max(len(self.starts), len(self.deaths), len(self.complaints))

    def require_few(self) -> None:
        """Raise ReplacementError at the third failed start."""
        if self.count >= FAILED_STARTS_LIMIT:
            raise self.error()

    def error(self) -> ReplacementError:
        """Return the error that says why no new task comes into service, or stays there."""
        dying = len(self.deaths) > len(self.starts)
        return ReplacementError(
            f"New tasks do not stay in service, {self.count} have stopped: {self.cause()}."
            if dying
            else f"No new task comes into service, {self.count} failed starts: {self.cause()}.",
            remedy="No further task was stopped. Find the cause in the task's containers and logs.",
            failed_starts=self.count,
            failed_tasks=[*self.starts, *self.deaths],
        )

    def cause(self) -> str | None:
        """Return why, or None if nothing has failed."""
        ended = self.deaths if len(self.deaths) > len(self.starts) else self.starts
        if ended:
            return "; ".join(dict.fromkeys(_failure(task) for task in ended.values()))
        return next(iter(self.complaints.values()), None)


def is_since(instant_at: datetime | None, since_at: datetime) -> bool:
    """Whether an instant of AWS's clock is not before one of ours."""
    return instant_at is not None and instant_at >= since_at - CLOCK_SKEW


def is_failed_start(task: Task) -> bool:
    """Whether a task ended against everybody's will: not by hand, not by scaling in.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html
    """
    if task.is_meant_to_run or (task.last_status in NOT_YET_RUNNING and task.stop_code is None):
        return False
    reason = task.stopped_reason or ""
    scaled = reason.startswith(("Scaling activity initiated", "Availability-zone rebalancing"))
    return task.stop_code != "UserInitiated" and not scaled


def is_death(task: Task) -> bool:
    """Whether a task that was in service ended by its own fault, not by its host's."""
    hosts = ("SpotInterruption", "TerminationNotice", "InfrastructureHealth")
    return is_failed_start(task) and task.stop_code not in hosts


def _failure(task: Task) -> str:
    code = None if task.exit_code is None else f"exit code {task.exit_code}"
    parts = [task.stop_code, task.stopped_reason, task.container_reason, code]
    return f"task {short(task.arn)} stopped: " + ", ".join(part for part in parts if part)
