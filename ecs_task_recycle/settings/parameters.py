"""The parameters of an event: how each is read, what is expected of it, what it means.

Every default of an event stands here, once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from ecs_task_recycle.settings.values import (
    CLUSTER_ARN,
    SERVICE_ARN,
    UnusableEntryError,
    alarm_name,
    boolean,
    instant,
    list_of,
    named_task,
    one_of,
    positive,
    resource,
    whole,
)

REQUIRED: Final = object()
MAX_WAIT_TIME_SECONDS: Final = 86_400
STABILIZE_TIMEOUT_SECONDS: Final = (15, 840)
FINISH_WITHIN_MINUTES: Final = (1, 10_080)
"""A week at most."""
OLDER_THAN_HOURS: Final = 87_600
"""Ten years at most."""
NAMED_TASKS: Final = 1_000
ALARM_NAMES: Final = 100
"""What one DescribeAlarms call takes.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html"""


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
    """One event parameter: how it is read, and what is expected of it."""

    name: str
    parse: Callable[[object], object]
    expected: str
    default: object = REQUIRED

    def read(self, value: object) -> object:
        """Return what a value means. Raises ValueError, UnusableEntryError for a list's entry."""
        try:
            return self.parse(value)
        except UnusableEntryError:
            raise
        except (ValueError, TypeError, KeyError, OverflowError) as problem:
            raise ValueError from problem

    def accepts(self, value: object) -> bool:
        """Whether a value can be read."""
        try:
            self.read(value)
        except ValueError:
            return False
        return True


PARAMETERS: Final = (
    Parameter(
        name="cluster_name",
        parse=resource(CLUSTER_ARN, "cluster"),
        expected="the name or ARN of an ECS cluster",
    ),
    Parameter(
        name="service_name",
        parse=resource(SERVICE_ARN, "service"),
        expected="the name or ARN of an ECS service",
    ),
    Parameter(
        name="maintain_service_state",
        parse=boolean,
        expected="true or false",
        default=True,
    ),
    Parameter(
        name="wait_time",
        parse=whole(0, MAX_WAIT_TIME_SECONDS),
        expected=f"whole seconds from 0 to {MAX_WAIT_TIME_SECONDS}",
        default=30,
    ),
    Parameter(
        name="protected_tasks",
        parse=one_of(ProtectedTasks),
        expected='"wait", "skip" or "stop"',
        default=ProtectedTasks.WAIT,
    ),
    Parameter(
        name="started_before",
        parse=instant,
        expected="an ISO 8601 instant with a zone, such as 2026-01-31T02:00:00Z",
        default=None,
    ),
    Parameter(
        name="older_than_hours",
        parse=positive(OLDER_THAN_HOURS),
        expected=f"a number of hours above 0, at most {OLDER_THAN_HOURS}",
        default=None,
    ),
    Parameter(
        name="tasks",
        parse=list_of(named_task, NAMED_TASKS),
        expected=f"a list of 1 to {NAMED_TASKS} ids or ARNs of ECS tasks",
        default=(),
    ),
    Parameter(
        name="alarms",
        parse=list_of(alarm_name, ALARM_NAMES),
        expected=f"a list of 1 to {ALARM_NAMES} names of CloudWatch alarms",
        default=(),
    ),
    Parameter(
        name="stabilize_timeout",
        parse=whole(*STABILIZE_TIMEOUT_SECONDS),
        expected="whole seconds from {} to {}".format(*STABILIZE_TIMEOUT_SECONDS),
        default=600,
    ),
    Parameter(
        name="finish_within_minutes",
        parse=whole(*FINISH_WITHIN_MINUTES),
        expected="whole minutes from {} to {}".format(*FINISH_WITHIN_MINUTES),
        default=None,
    ),
    Parameter(
        name="if_running",
        parse=one_of(IfRunning),
        expected='"refuse" or "queue"',
        default=IfRunning.REFUSE,
    ),
    Parameter(
        name="dry_run",
        parse=boolean,
        expected="true or false",
        default=False,
    ),
    Parameter(
        name="action",
        parse=one_of(Action),
        expected='"recycle", "restore", "stop" or "status"',
        default=Action.RECYCLE,
    ),
)
