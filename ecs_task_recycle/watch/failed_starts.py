"""Starts that fail: tasks that never come into service, placements, and new tasks that soon die."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from ecs_task_recycle.errors import ReplacementError
from ecs_task_recycle.model import ServiceEvent
from ecs_task_recycle.task import NOT_YET_RUNNING, Task
from ecs_task_recycle.watch.in_service import Snapshot, short
from ecs_task_recycle.watch.messages import Verdict, judged_event, judged_stop

FAILED_STARTS_LIMIT: Final = 3

CLOCK_SKEW: Final = timedelta(seconds=1)
"""How far this machine's clock and AWS's may differ."""

logger = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class FailedStarts:
    """What went wrong with new tasks since ``run_started_at``.

    Failed starts and placements count from ``since_at``, the beginning of what is awaited. Deaths
    of new tasks that had come into service count over the whole run. While a task that the run has
    stopped holds its port or its memory, its replacement may have no place yet: complaints about
    placement count only from ``room_since_at`` on, by AWS's own clock; None: there is no room yet.
    ``unknown`` is what AWS said that is in no table: it is told, and does not count.
    """

    run_started_at: datetime
    since_at: datetime
    new_arns: set[str] = field(default_factory=set)
    starts: dict[str, Task] = field(default_factory=dict)
    deaths: dict[str, Task] = field(default_factory=dict)
    complaints: dict[str, str] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)

    def begin(self, since_at: datetime) -> None:
        """Count failed starts and placements anew, from an instant on."""
        self.since_at = since_at
        self.starts.clear()
        self.complaints.clear()

    def learn(
        self,
        snapshot: Snapshot,
        new_tasks: Mapping[str, Task],
        *,
        room_since_at: datetime | None,
    ) -> None:
        """Take note of the new tasks that have stopped, and of placements that failed."""
        self.new_arns |= snapshot.in_service & new_tasks.keys()
        for arn, task in new_tasks.items():
            if is_over(task):
                self._learn_end(arn, task)
        for event in snapshot.service.events:
            if is_since(event.created_at, self.run_started_at):
                self._learn_event(event, room_since_at=room_since_at)

    def _learn_end(self, arn: str, task: Task) -> None:
        verdict = judged_stop(task)
        if verdict is Verdict.UNKNOWN:
            self._report(_failures([task]))
        if verdict is not Verdict.COUNTS:
            return
        if arn in self.new_arns:
            self.deaths[arn] = task
        elif is_since(task.created_at, self.since_at):
            self.starts[arn] = task

    def _learn_event(self, event: ServiceEvent, *, room_since_at: datetime | None) -> None:
        verdict = judged_event(event.message)
        if verdict is Verdict.UNKNOWN:
            self._report(event.message)
        counts = verdict is Verdict.COUNTS
        if verdict is Verdict.COUNTS_WITH_ROOM and room_since_at is not None:
            counts = event.created_at >= room_since_at
        if counts and is_since(event.created_at, self.since_at):
            self.complaints[event.id] = event.message

    def _report(self, text: str) -> None:
        """Say once what is in no row of the table, and remember it for what was last seen."""
        if text not in self.unknown:
            self.unknown.append(text)
            logger.warning("Not counted, as its meaning is not known: %s", text)

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
            return _failures(ended.values())
        return next(iter(self.complaints.values()), None)


def is_since(instant_at: datetime | None, since_at: datetime) -> bool:
    """Whether an instant of AWS's clock is not before one of ours."""
    return instant_at is not None and instant_at >= since_at - CLOCK_SKEW


def is_over(task: Task) -> bool:
    """Whether a task has stopped, or is to stop."""
    return not task.is_meant_to_run and not (
        task.last_status in NOT_YET_RUNNING and task.stop_code is None
    )


def _failures(tasks: Iterable[Task]) -> str:
    """Return why tasks have stopped; several that give one cause are named together."""
    by_cause: dict[str, list[str]] = {}
    for task in tasks:
        by_cause.setdefault(_cause(task), []).append(f"task {short(task.arn)}")
    return "; ".join(f"{', '.join(ids)} stopped: {cause}" for cause, ids in by_cause.items())


def _cause(task: Task) -> str:
    code = None if task.exit_code is None else f"exit code {task.exit_code}"
    parts = [task.stop_code, task.stopped_reason, task.container_reason, code]
    return ", ".join(dict.fromkeys(part for part in parts if part))
