"""What AWS says in prose: which service events and stopped reasons count against a start.

The tables here are the only place for that. A message that no row fits is logged and never counted.
Events also name the tasks that the service has started.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from ecs_task_recycle.task import Task

_GUIDE: Final = "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/"
EVENTS: Final = _GUIDE + "service-event-messages-list.html"
UNHEALTHY: Final = _GUIDE + "service-unhealthy-event-messages.html"
REBALANCING: Final = _GUIDE + "service-rebalancing-event-messages-list.html"
STOPPED: Final = _GUIDE + "stopped-task-error-codes.html"
STOP_CODES: Final = "https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Task.html"
WHY_STOPPED: Final = "https://repost.aws/knowledge-center/ecs-task-stopped"
NOT_LAUNCHED: Final = "https://github.com/telia-oss/terraform-aws-ecs-fargate/pull/58"
DRAINING: Final = "https://github.com/aws/containers-roadmap/issues/2478"
SEEN: Final = "https://gist.github.com/skyeagle/3729b3017c677d1eaa03439e2aa4ac28"

NO_GROUP: Final = "https://github.com/aws/containers-roadmap/issues/1884"
IMAGES: Final = _GUIDE + "task_cannot_pull_image.html"

IN_THE_LOGS: Final = "Find the cause in the task's containers and logs"
MAKE_ROOM: Final = "Make room for one more task"
_MEND: Final = "Correct what AWS names"
_ADD_INSTANCE: Final = "Add a container instance to the cluster"
_START_AGENT: Final = "Connect the agents of the container instances again"
_MEND_GROUP: Final = "Create the target group again, or take it out of the service"
_MEND_IMAGE: Final = (
    "Push the image again, or deploy a task definition with one that exists and can be pulled"
)

# "has started 2 tasks in us-east-1a to AZ Rebalance: ..." as well.
_STARTED: Final = re.compile(r"has started \d+ tasks?[^:]*: (.*)\.")
_SHOWS_ROOM: Final = re.compile(r"has started \d+ |has reached a steady state")
_TASK_ID: Final = re.compile(r"\(task ([0-9a-f-]+)\)")


class Meaning(StrEnum):
    """What a message means for a start."""

    COUNTS = "counts"
    COUNTS_WITH_ROOM = "counts where there is room"
    DOES_NOT_COUNT = "does not count"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Message:
    """A pattern, what a message that it fits means, and a page that shows such a message.

    ``remedy`` is what to do where it is the cause, without a full stop. ``is_told``: it does not
    count, but it may be the only reason that AWS gives.
    """

    pattern: re.Pattern[str]
    meaning: Meaning
    source: str
    remedy: str = IN_THE_LOGS
    is_told: bool = False


def _counts(pattern: str, source: str, remedy: str = IN_THE_LOGS) -> Message:
    return Message(re.compile(pattern), Meaning.COUNTS, source, remedy)


def _counts_with_room(pattern: str, source: str, remedy: str = MAKE_ROOM) -> Message:
    return Message(re.compile(pattern), Meaning.COUNTS_WITH_ROOM, source, remedy)


def _does_not(pattern: str, source: str) -> Message:
    return Message(re.compile(pattern), Meaning.DOES_NOT_COUNT, source)


def _is_told(pattern: str, source: str) -> Message:
    return Message(re.compile(pattern), Meaning.DOES_NOT_COUNT, source, is_told=True)


SERVICE_EVENTS: Final = (
    _counts_with_room(
        r"unable to .*No Container Instances were found", EVENTS, remedy=_ADD_INSTANCE
    ),
    _does_not(r"unable to place a task in [a-z]{2}(-[a-z0-9]+)+", REBALANCING),
    _does_not(r"unable to AZ Rebalance", REBALANCING),
    _does_not(r"unable to scale in", EVENTS),
    _counts_with_room(r"unable to (place (a task|tasks)|reach steady state)", EVENTS),
    _counts_with_room(r"Timed out waiting for Amazon ECS Agent", EVENTS, remedy=_START_AGENT),
    _counts_with_room(r"unable to (start|stop or start) tasks", EVENTS),
    _counts_with_room(r"unable to consistently start tasks", EVENTS, remedy=IN_THE_LOGS),
    _counts(r"failed to launch a task with \(error", NOT_LAUNCHED, remedy=_MEND),
    _counts(r"(?i)target group .*not found", NO_GROUP, remedy=_MEND_GROUP),
    _counts(r"failed to register targets", EVENTS, remedy=_MEND),
    _counts(r"unable to assume", EVENTS, remedy=_MEND),
    _does_not(r"AZ balanced|AZ Rebalancing", REBALANCING),
    _does_not(r"has reached a steady state", EVENTS),
    _does_not(r"has (started|stopped) \d+ ", SEEN),
    _does_not(r"has begun draining connections", SEEN),
    _does_not(r"\bregistered \d+ |deregistered \d+ ", SEEN),
    _is_told(r"is unhealthy in|is not healthy in|failed container health checks", UNHEALTHY),
    _is_told(r"operations are being throttled", EVENTS),
    _does_not(r"deployment (completed|failed|in progress)", EVENTS),
    _is_told(r"[Cc]apacity [Pp]rovider|desired count|rolling back", EVENTS),
)
"""The first row that fits decides."""

# "stop code: stopped reason" of a task that nobody wanted to end.
STOPPED_TASKS: Final = (
    _does_not(r"^UserInitiated:", STOP_CODES),
    _does_not(r"^(SpotInterruption|TerminationNotice|InfrastructureHealth):", STOP_CODES),
    _does_not(r": Scaling activity initiated", WHY_STOPPED),
    _does_not(r": Availability-zone rebalancing", REBALANCING),
    _does_not(r": .*instance draining", DRAINING),
    _does_not(r": Host EC2 \(instance .*\) (terminated|stopped)", WHY_STOPPED),
    _does_not(r": .*(Spot Task was interrupted|performing maintenance)", WHY_STOPPED),
    _counts(r"CannotPull", IMAGES, remedy=_MEND_IMAGE),
    _counts(r"^TaskFailedToStart:", STOP_CODES),
    _counts(r"^EssentialContainerExited:", STOP_CODES),
    _counts(r": Essential container in task exited", STOPPED),
    _counts(r": .*failed (ELB|container|service discovery) health checks", WHY_STOPPED),
    _counts(r": .*(is unhealthy in|[Hh]ealth checks failed)", UNHEALTHY),
    _counts(r": (CannotStart|CannotCreate|ResourceInitialization|OutOfMemory)", STOPPED),
    _counts(r": (Task failed to start|Timeout waiting for|Internal)", STOPPED),
)
"""The first row that fits decides."""


def event_row(message: str) -> Message | None:
    """Return the row that a service event fits, None if AWS's words are in none."""
    return _first_fit(SERVICE_EVENTS, message)


def stop_row(task: Task) -> Message | None:
    """Return the row that the stop of a task fits, None if AWS's words are in none."""
    return _first_fit(STOPPED_TASKS, f"{task.stop_code or ''}: {task.stopped_reason or ''}")


def meaning_of_event(message: str) -> Meaning:
    """Return what a service event means for a start."""
    return _meaning(event_row(message))


def meaning_of_stop(task: Task) -> Meaning:
    """Return whether a task that is stopping or STOPPED counts as a failed start."""
    return _meaning(stop_row(task))


def shows_room(message: str) -> bool:
    """Whether a service event tells that the cause of an earlier failed placement is gone."""
    return _SHOWS_ROOM.search(message) is not None


def started_task_ids(message: str) -> list[str]:
    """Return the ids of the tasks that a service event names as started."""
    started = _STARTED.search(message)
    return _TASK_ID.findall(started[1]) if started else []


def _first_fit(table: tuple[Message, ...], text: str) -> Message | None:
    return next((each for each in table if each.pattern.search(text)), None)


def _meaning(row: Message | None) -> Meaning:
    return Meaning.UNKNOWN if row is None else row.meaning
