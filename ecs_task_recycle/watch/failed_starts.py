"""Failed starts: new tasks that never come into service or soon stop, and failed placements."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from ecs_task_recycle.clock import is_since
from ecs_task_recycle.errors import ReplacementError
from ecs_task_recycle.model import ServiceEvent
from ecs_task_recycle.task import NOT_YET_RUNNING, Task
from ecs_task_recycle.watch.in_service import Snapshot, short
from ecs_task_recycle.watch.messages import Meaning, meaning_of_event, meaning_of_stop

FAILED_STARTS_LIMIT: Final = 3

logger = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class FailedStarts:
    """What went wrong with new tasks since ``run_started_at``.

    ``failed`` are the new tasks that stopped before they came into service, ``complaints`` the
    service events about tasks that could not be started. Both count from ``since_at`` on, which is
    when the current wait began. ``failed_new_tasks`` are those that stopped after they had come
    into service (``served_new_arns``); they count over the whole run. ``unrecognized`` are the
    messages that no table knows: they are logged and do not count.
    """

    run_started_at: datetime
    since_at: datetime
    served_new_arns: set[str] = field(default_factory=set)
    failed: dict[str, Task] = field(default_factory=dict)
    failed_new_tasks: dict[str, Task] = field(default_factory=dict)
    complaints: dict[str, str] = field(default_factory=dict)
    unrecognized: list[str] = field(default_factory=list)

    def begin(self, since_at: datetime) -> None:
        """Begin to count failed starts and placements anew, from an instant on."""
        self.since_at = since_at
        self.failed.clear()
        self.complaints.clear()

    def learn(
        self,
        snapshot: Snapshot,
        new_tasks: Mapping[str, Task],
        *,
        room_since_at: datetime | None,
    ) -> None:
        """Take in the new tasks that have stopped, and the service events about failed starts.

        While a task that the run has stopped holds its port or its memory, its replacement may
        have no place yet. So events about placement count only from ``room_since_at`` on, by AWS's
        own clock; None means that there is no room yet.
        """
        self.served_new_arns |= snapshot.in_service & new_tasks.keys()
        for arn, task in new_tasks.items():
            if has_ended(task):
                self._learn_end(arn, task)
        for event in snapshot.service.events:
            if is_since(event.created_at, self.run_started_at):
                self._learn_event(event, room_since_at=room_since_at)

    def _learn_end(self, arn: str, task: Task) -> None:
        meaning = meaning_of_stop(task)
        if meaning is Meaning.UNKNOWN:
            self._log_unrecognized(_failures([task]))
        if meaning is not Meaning.COUNTS:
            return
        if arn in self.served_new_arns:
            self.failed_new_tasks[arn] = task
        elif is_since(task.created_at, self.since_at):
            self.failed[arn] = task

    def _learn_event(self, event: ServiceEvent, *, room_since_at: datetime | None) -> None:
        meaning = meaning_of_event(event.message)
        if meaning is Meaning.UNKNOWN:
            self._log_unrecognized(event.message)
        counts = meaning is Meaning.COUNTS
        if meaning is Meaning.COUNTS_WITH_ROOM and room_since_at is not None:
            counts = event.created_at >= room_since_at
        if counts and is_since(event.created_at, self.since_at):
            self.complaints[event.id] = event.message

    def _log_unrecognized(self, text: str) -> None:
        """Log a message that no table knows once, and keep it for what was last seen."""
        if text not in self.unrecognized:
            self.unrecognized.append(text)
            logger.warning("Unrecognized ECS message, not counted as a failed start: %s", text)

    @property
    def count(self) -> int:
        """How many starts have failed: the count of the kind that failed most."""
        return max(len(self.failed), len(self.failed_new_tasks), len(self.complaints))

    def require_few(self) -> None:
        """Raise ReplacementError at the third failed start."""
        if self.count >= FAILED_STARTS_LIMIT:
            raise self.error()

    def error(self) -> ReplacementError:
        """Return the error that says why no new task comes into service, or stays there."""
        is_after_service = len(self.failed_new_tasks) > len(self.failed)
        return ReplacementError(
            f"New tasks do not stay in service, {self.count} have stopped: {self.cause()}."
            if is_after_service
            else f"No new task comes into service, {self.count} failed starts: {self.cause()}.",
            remedy="No further task was stopped. Find the cause in the task's containers and logs.",
            failed_starts=self.count,
            failed_tasks=[*self.failed, *self.failed_new_tasks],
        )

    def cause(self) -> str | None:
        """Return why starts have failed, or None if none has."""
        ended = (
            self.failed_new_tasks if len(self.failed_new_tasks) > len(self.failed) else self.failed
        )
        if ended:
            return _failures(ended.values())
        return next(iter(self.complaints.values()), None)


def has_ended(task: Task) -> bool:
    """Whether a task has stopped or is about to; not one that ECS has yet to start."""
    return not task.is_meant_to_run and not (
        task.last_status in NOT_YET_RUNNING and task.stop_code is None
    )


def _failures(tasks: Iterable[Task]) -> str:
    """Return why tasks have stopped; tasks with the same cause are named together."""
    by_cause: dict[str, list[str]] = {}
    for task in tasks:
        by_cause.setdefault(_cause(task), []).append(f"task {short(task.arn)}")
    return "; ".join(f"{', '.join(ids)} stopped: {cause}" for cause, ids in by_cause.items())


def _cause(task: Task) -> str:
    code = None if task.exit_code is None else f"exit code {task.exit_code}"
    parts = [task.stop_code, task.stopped_reason, task.container_reason, code]
    return ", ".join(dict.fromkeys(part for part in parts if part))
