"""Failed starts: new tasks that never come into service or soon stop, and failed placements."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from ecs_task_recycle.clock import is_since
from ecs_task_recycle.errors import ReplacementError
from ecs_task_recycle.model import ServiceEvent
from ecs_task_recycle.task import NOT_YET_RUNNING, Task
from ecs_task_recycle.watch.in_service import Snapshot, short
from ecs_task_recycle.watch.messages import (
    IN_THE_LOGS,
    MAKE_ROOM,
    Meaning,
    event_row,
    meaning_of_event,
    meaning_of_stop,
    shows_room,
    stop_row,
)

FAILED_STARTS_LIMIT: Final = 3

UNPLACED_SECONDS: Final = 180.0
"""How long there may be room and no new task, while AWS says that it cannot place one.

It says so once, and again after six hours.
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-event-messages.html
"""

_UNPLACED: Final = timedelta(seconds=UNPLACED_SECONDS)

WORKED_SECONDS: Final = 30.0
"""A new task that nothing checks, and that ended with 0 after so long, has done its work."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unplaced:
    """A new task that AWS cannot place: its event, and since when no task has come for all that."""

    event: ServiceEvent
    since_at: datetime


@dataclass(slots=True, kw_only=True)
class FailedStarts:
    """What went wrong with new tasks since ``run_started_at``.

    ``failed`` are the new tasks that stopped before they came into service, ``complaints`` the
    service events about tasks that could not be started. Both count from ``since_at`` on, which is
    when the current wait began. ``failed_new_tasks`` are those that stopped after they had come
    into service (``served_new_arns``); they count over the whole run. ``unplaced`` is the task that
    has no place now.

    What does not count may be the only reason that AWS gives: ``ended_otherwise`` are the new tasks
    that were stopped otherwise, ``told`` the service events of the current wait. ``unrecognized``
    are the messages that no table knows: they are logged.
    """

    run_started_at: datetime
    since_at: datetime
    room_remedy: str = MAKE_ROOM
    served_new_arns: set[str] = field(default_factory=set)
    failed: dict[str, Task] = field(default_factory=dict)
    failed_new_tasks: dict[str, Task] = field(default_factory=dict)
    complaints: dict[str, ServiceEvent] = field(default_factory=dict)
    unplaced: Unplaced | None = None
    ended_otherwise: dict[str, Task] = field(default_factory=dict)
    told: dict[str, ServiceEvent] = field(default_factory=dict)
    unrecognized: list[str] = field(default_factory=list)

    def begin(self, since_at: datetime, *, room_remedy: str = MAKE_ROOM) -> None:
        """Begin to count failed starts and placements anew, from an instant on.

        ``room_remedy``: what to do in this wait if there is no room for one more task.
        """
        self.since_at = since_at
        self.room_remedy = room_remedy
        self.unplaced = None
        for each in (self.failed, self.complaints, self.ended_otherwise, self.told):
            each.clear()

    # -- learning --------------------------------------------------------------------------------

    def learn(
        self,
        snapshot: Snapshot,
        new_tasks: Mapping[str, Task],
        *,
        room_since_at: datetime | None,
    ) -> None:
        """Take in the new tasks that have stopped, and the service events about failed starts.

        While a task that the run has stopped holds its port or its memory, its replacement may
        have no place yet. So starts on its instance and events about placement count only from
        ``room_since_at`` on, by AWS's own clock; None means that there is no room yet.
        """
        self.served_new_arns |= snapshot.in_service & new_tasks.keys()
        is_checked = bool(snapshot.service.load_balancers)
        for task in new_tasks.values():
            if has_ended(task):
                has_room = not task.shares_host or _is_after(task.created_at, room_since_at)
                self._learn_end(task, has_room=has_room, is_checked=is_checked)
        for event in snapshot.service.events:
            if is_since(event.created_at, self.run_started_at):
                self._learn_event(event)
        self._learn_unplaced(snapshot, new_tasks, room_since_at)

    def _learn_end(self, task: Task, *, has_room: bool, is_checked: bool) -> None:
        meaning = meaning_of_stop(task)
        has_served = task.arn in self.served_new_arns
        if meaning is Meaning.UNKNOWN:
            self._log_unrecognized(_failures([task]))
        elif meaning is Meaning.DOES_NOT_COUNT or _has_worked(
            task, has_served=has_served, is_checked=is_checked
        ):
            if is_since(task.created_at, self.since_at):
                self.ended_otherwise[task.arn] = task
        elif has_served:
            self.failed_new_tasks[task.arn] = task
        elif is_since(task.created_at, self.since_at):
            (self.failed if has_room else self.ended_otherwise)[task.arn] = task

    def _learn_event(self, event: ServiceEvent) -> None:
        row = event_row(event.message)
        if row is None:
            self._log_unrecognized(event.message)
        elif is_since(event.created_at, self.since_at):
            if row.meaning is Meaning.COUNTS:
                self.complaints[event.id] = event
            elif row.is_told:
                self.told[event.id] = event

    def _learn_unplaced(
        self, snapshot: Snapshot, new_tasks: Mapping[str, Task], room_since_at: datetime | None
    ) -> None:
        """Take in whether a task has no place: AWS tells that once, maybe long before the run."""
        self.unplaced = None
        events = _unresolved_placements(snapshot.service.events, new_tasks.values())
        if events and room_since_at is not None and _lacks_task(snapshot):
            first_at = min(event.created_at for event in events)
            self.unplaced = Unplaced(
                event=_newest(events), since_at=max(self.since_at, room_since_at, first_at)
            )

    def _log_unrecognized(self, text: str) -> None:
        """Log a message that no table knows once, and keep it for what was last seen."""
        if text not in self.unrecognized:
            self.unrecognized.append(text)
            logger.warning("Unrecognized ECS message, not counted as a failed start: %s", text)

    # -- telling ---------------------------------------------------------------------------------

    @property
    def count(self) -> int:
        """How many starts have failed: the count of the kind that failed most."""
        return max(len(self.failed), len(self.failed_new_tasks), len(self.complaints))

    def require_few(self, now_at: datetime) -> None:
        """Raise ReplacementError at the third failed start, or where none can be tried for long."""
        unplaced = self.unplaced
        is_stuck = unplaced is not None and now_at >= unplaced.since_at + _UNPLACED
        if self.count >= FAILED_STARTS_LIMIT or is_stuck:
            raise self.error(now_at)

    def error(self, now_at: datetime) -> ReplacementError:
        """Return the error that says why no new task comes into service, or stays there."""
        tasks = self._failed_most()
        return ReplacementError(
            f"{self._what_failed(tasks, now_at)}: {self.cause()}.",
            remedy=f"No further task was stopped. {self._remedy(tasks)}.",
            failed_starts=self.count,
            failed_tasks=[*self.failed, *self.failed_new_tasks],
        )

    def _failed_most(self) -> Mapping[str, Task]:
        is_after_service = len(self.failed_new_tasks) > len(self.failed)
        return self.failed_new_tasks if is_after_service else self.failed

    def _what_failed(self, tasks: Mapping[str, Task], now_at: datetime) -> str:
        if not tasks and not self.complaints and self.unplaced is not None:
            seconds = (now_at - self.unplaced.since_at).total_seconds()
            return f"No new task has come for {seconds:.0f} s"
        if tasks and all(task.ended_well for task in tasks.values()):
            return f"New tasks end by themselves before they are in service, {self.count} have"
        if tasks is self.failed_new_tasks and tasks:
            return f"New tasks do not stay in service, {self.count} have stopped"
        return f"No new task comes into service, {self.count} failed starts"

    def _remedy(self, tasks: Mapping[str, Task]) -> str:
        rows = [stop_row(task) for task in tasks.values()]
        rows += [event_row(event.message) for event in self.complaints.values()]
        remedies = [row.remedy for row in rows if row is not None]
        if self.unplaced is not None:
            remedies.append(self.unplaced_remedy(self.unplaced.event))
        return ". ".join(dict.fromkeys(remedies)) or IN_THE_LOGS

    def unplaced_remedy(self, event: ServiceEvent) -> str:
        """Return what to do where there is no room for a task, as the current wait needs it."""
        row = event_row(event.message)
        if row is None or row.remedy == IN_THE_LOGS:
            return IN_THE_LOGS
        return self.room_remedy.replace(MAKE_ROOM, row.remedy)

    def cause(self) -> str | None:
        """Return why starts have failed without its full stop, or None if none has."""
        causes = []
        if tasks := self._failed_most():
            causes.append(_failures(tasks.values()))
        elif self.complaints:
            causes.append(_newest(self.complaints.values()).message)
        if self.unplaced is not None:
            causes.append(self.unplaced.event.message)
        return "; ".join(cause.rstrip(".") for cause in causes) or None

    def reasons(self, snapshot: Snapshot) -> list[str]:
        """Return what AWS says besides, counted or not: for what was last seen."""
        said = [event.message for event in (*self.complaints.values(), *self.told.values())][-1:]
        placement = placement_in_question(snapshot)
        if placement is not None:
            said.append(
                f"at {placement.created_at.isoformat(timespec='seconds')}, {placement.message}"
            )
        said += [_failures(self.ended_otherwise.values())] if self.ended_otherwise else []
        said += self.unrecognized[-1:]
        return [text.rstrip(".") for text in dict.fromkeys(said)]


def has_ended(task: Task) -> bool:
    """Whether a task has stopped or is about to; not one that ECS has yet to start."""
    return not task.is_meant_to_run and not (
        task.last_status in NOT_YET_RUNNING and task.stop_code is None
    )


def placement_in_question(snapshot: Snapshot) -> ServiceEvent | None:
    """Return the newest event about a failed placement, whatever its age, if a task is lacking."""
    return _newest_placement(snapshot.service.events) if _lacks_task(snapshot) else None


def _newest_placement(events: Iterable[ServiceEvent]) -> ServiceEvent | None:
    found = [e for e in events if meaning_of_event(e.message) is Meaning.COUNTS_WITH_ROOM]
    return _newest(found) if found else None


def _unresolved_placements(
    events: Iterable[ServiceEvent], new_tasks: Iterable[Task]
) -> list[ServiceEvent]:
    """Return the events about failed placements since room was seen last, or a task has come."""
    events = tuple(events)
    with_room = [event.created_at for event in events if shows_room(event.message)]
    with_room += [task.created_at for task in new_tasks if task.created_at is not None]
    room_at = max(with_room, default=None)
    return [
        event
        for event in events
        if meaning_of_event(event.message) is Meaning.COUNTS_WITH_ROOM
        and (room_at is None or event.created_at >= room_at)
    ]


def _newest(events: Iterable[ServiceEvent]) -> ServiceEvent:
    return max(events, key=lambda event: event.created_at)


def _lacks_task(snapshot: Snapshot) -> bool:
    """Whether the service wants more tasks than ECS has created."""
    meant_to_run_count = len(snapshot.in_service) + len(snapshot.not_in_service)
    return meant_to_run_count < snapshot.service.desired_count


def _is_after(created_at: datetime | None, since_at: datetime | None) -> bool:
    return since_at is not None and created_at is not None and created_at >= since_at


def _has_worked(task: Task, *, has_served: bool, is_checked: bool) -> bool:
    """Whether a task has ended by itself after it has done its work, as some workers do.

    Where nothing but RUNNING makes it serve, it may have done so between two reads.
    """
    worked_long = not is_checked and (task.seconds_of_work or 0.0) >= WORKED_SECONDS
    return task.ended_well and (has_served or worked_long)


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
