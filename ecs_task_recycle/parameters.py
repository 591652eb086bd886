"""The parameters of an event: how each is read, what is expected of it, what it means.

Every default of an event stands here, once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from collections.abc import Callable

REQUIRED: Final = object()
MAX_WAIT_TIME_SECONDS: Final = 86_400
STABILIZE_TIMEOUT_SECONDS: Final = (15, 840)
FINISH_WITHIN_MINUTES: Final = (1, 10_080)
"""A week at most."""

# Names: up to 255 letters, digits, underscores and hyphens, for clusters and services alike.
# https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_CreateService.html
_NAME = r"[A-Za-z0-9_-]{1,255}"
_ARN_HEAD = r"arn:[a-z-]+:ecs:(?P<region>[a-z0-9-]+):(?P<account>[0-9]{12})"
_CLUSTER_ARN = re.compile(rf"{_ARN_HEAD}:cluster/(?P<cluster>{_NAME})")
# Service ARNs made before the long format carry no cluster name.
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-account-settings.html
_SERVICE_ARN = re.compile(rf"{_ARN_HEAD}:service/(?:(?P<cluster>{_NAME})/)?(?P<service>{_NAME})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A cluster or service as the event named it: its name, and what its ARN adds."""

    name: str
    region: str | None = None
    cluster: str | None = None


class Action(StrEnum):
    """What an event asks for."""

    RECYCLE = "recycle"
    RESTORE = "restore"
    STOP = "stop"
    STATUS = "status"


class IfRunning(StrEnum):
    """What becomes of a request that comes while a run of the same service goes on."""

    REFUSE = "refuse"
    QUEUE = "queue"


class ProtectedTasks(StrEnum):
    """What to do with a task under scale-in protection."""

    WAIT = "wait"
    SKIP = "skip"
    STOP = "stop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One event parameter: how it is read, what is expected of it, what it means."""

    name: str
    parse: Callable[[object], object]
    expected: str
    meaning: str
    default: object = REQUIRED


def _boolean(value: object) -> bool:
    if isinstance(value, bool):
        return value
    # EventBridge input templates put values into quotes.
    return {"true": True, "false": False}[cast("str", value)]


def _action(value: object) -> Action:
    return Action(cast("str", value))


def _if_running(value: object) -> IfRunning:
    return IfRunning(cast("str", value))


def _protected_tasks(value: object) -> ProtectedTasks:
    return ProtectedTasks(cast("str", value))


def _whole(lowest: int, highest: int) -> Callable[[object], int]:
    def parse(value: object) -> int:
        if isinstance(value, str) and re.fullmatch(r"[0-9]{1,6}", value):
            value = int(value)
        if type(value) is not int or not lowest <= value <= highest:
            raise ValueError
        return value

    return parse


def _instant(value: object) -> datetime:
    instant = datetime.fromisoformat(cast("str", value))
    if instant.tzinfo is None:
        raise ValueError
    return instant.astimezone(UTC)


def _resource(arn: re.Pattern[str], kind: str) -> Callable[[object], Resource]:
    def parse(value: object) -> Resource:
        text = cast("str", value)
        if re.fullmatch(_NAME, text):
            return Resource(name=text)
        match = arn.fullmatch(text)
        if match is None:
            raise ValueError
        groups = match.groupdict()
        return Resource(name=groups[kind], region=groups["region"], cluster=groups["cluster"])

    return parse


PARAMETERS: Final = (
    Parameter(
        name="cluster_name",
        parse=_resource(_CLUSTER_ARN, "cluster"),
        expected="the name or ARN of an ECS cluster",
        meaning="The cluster, by name or ARN.",
    ),
    Parameter(
        name="service_name",
        parse=_resource(_SERVICE_ARN, "service"),
        expected="the name or ARN of an ECS service",
        meaning="The service, by name or ARN.",
    ),
    Parameter(
        name="maintain_service_state",
        parse=_boolean,
        expected="true or false",
        default=True,
        meaning="Run one task more while recycling.",
    ),
    Parameter(
        name="wait_time",
        parse=_whole(0, MAX_WAIT_TIME_SECONDS),
        expected=f"whole seconds from 0 to {MAX_WAIT_TIME_SECONDS}",
        default=30,
        meaning="Seconds to sleep after each replaced task, the last one too.",
    ),
    Parameter(
        name="protected_tasks",
        parse=_protected_tasks,
        expected='"wait", "skip" or "stop"',
        default=ProtectedTasks.WAIT,
        meaning="What to do with a task under scale-in protection: wait for its end after all "
        "others, skip it, or clear the protection and stop it.",
    ),
    Parameter(
        name="started_before",
        parse=_instant,
        expected="an ISO 8601 instant with a zone, such as 2026-01-31T02:00:00Z",
        default=None,
        meaning="Only tasks started before this instant are recycled. "
        "Without it: the start of the run.",
    ),
    Parameter(
        name="stabilize_timeout",
        parse=_whole(*STABILIZE_TIMEOUT_SECONDS),
        expected="whole seconds from {} to {}".format(*STABILIZE_TIMEOUT_SECONDS),
        default=600,
        meaning="Seconds that the replacement of one task may take.",
    ),
    Parameter(
        name="finish_within_minutes",
        parse=_whole(*FINISH_WITHIN_MINUTES),
        expected="whole minutes from {} to {}".format(*FINISH_WITHIN_MINUTES),
        default=None,
        meaning="No task is stopped that could not be replaced by then.",
    ),
    Parameter(
        name="if_running",
        parse=_if_running,
        expected='"refuse" or "queue"',
        default=IfRunning.REFUSE,
        meaning='"queue": a run that is going on also takes the tasks started before this request.',
    ),
    Parameter(
        name="dry_run",
        parse=_boolean,
        expected="true or false",
        default=False,
        meaning="Say what would be done; write nothing.",
    ),
    Parameter(
        name="action",
        parse=_action,
        expected='"recycle", "restore", "stop" or "status"',
        default=Action.RECYCLE,
        meaning='"restore" only puts back what a dead run left raised; "stop" asks a run to end '
        'after the task in hand; "status" says where it stands.',
    ),
)
