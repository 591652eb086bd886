"""The parameters of an event: the reader, the expectation and the default of each, once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from ecs_task_recycle.settings.values import (
    CLUSTER_ARN,
    SERVICE_ARN,
    HoursTag,
    NamedTask,
    Resource,
    UnusableEntryError,
    UnusableHereError,
    alarm_name,
    boolean,
    hours,
    instant,
    list_of,
    named_task,
    one_of,
    positive,
    resource,
    run_name,
    secret,
    service_anywhere,
    shown,
    tags,
    whole,
)
from ecs_task_recycle.settings.window import Window, window

MAX_WAIT_TIME_SECONDS: Final = 86_400
STABILIZE_TIMEOUT_SECONDS: Final = (15, 840)
FINISH_WITHIN_LIMITS_MINUTES: Final = (1, 10_080)
"""A week at most."""
LONGEST_AGE_HOURS: Final = 87_600
"""Ten years at most."""
NAMED_TASKS: Final = 1_000
SWEPT_SERVICES: Final = 1_000
AT_ONCE_LIMIT: Final = 50
EVERY_SERVICE: Final = "all"
ALARM_NAMES: Final = 100
"""As many as one DescribeAlarms call takes.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html"""


class Action(StrEnum):
    """What an event asks for."""

    RECYCLE = "recycle"
    RESTORE = "restore"
    STOP = "stop"
    STATUS = "status"


class OnError(StrEnum):
    """What a sweep does after a run that has failed."""

    STOP = "stop"
    CONTINUE = "continue"


class IfRunning(StrEnum):
    """What to do with an event while another run of the service is in progress."""

    REFUSE = "refuse"
    QUEUE = "queue"


class ProtectedTasks(StrEnum):
    """What to do with a task under scale-in protection."""

    WAIT = "wait"
    SKIP = "skip"
    STOP = "stop"


class Required:
    """Stands for the default of a parameter that has none."""


REQUIRED: Final = Required()


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter[Value]:
    """One parameter of an event. ``expected`` completes the sentence "X is Y, expected ..."."""

    name: str
    parse: Callable[[object], Value]
    expected: str
    default: Value | Required = REQUIRED

    def of(self, given: Mapping[str, object]) -> Value:
        """Return its value among those given, or its default. Raises ValueError, a sentence."""
        if self.name not in given:
            if isinstance(self.default, Required):
                raise ValueError(f"{self.name} is missing, expected {self.expected}")
            return self.default
        value = given[self.name]
        try:
            return self.parse(value)
        except UnusableHereError as problem:
            raise ValueError(f"{self.name} is {shown(value)}, but {problem}") from None
        except UnusableEntryError as unusable:
            found = f"holds {shown(unusable.entry)}"
        except (ValueError, TypeError, KeyError, OverflowError):
            found = f"is {shown(value)}"
        raise ValueError(f"{self.name} {found}, expected {self.expected}")

    def accepts(self, value: object) -> bool:
        """Whether a value can be read."""
        try:
            self.of({self.name: value})
        except ValueError:
            return False
        return True


def _flag(name: str, *, default: bool) -> Parameter[bool]:
    return Parameter(name=name, parse=boolean, expected="true or false", default=default)


def _choice[Choice: StrEnum](name: str, default: Choice) -> Parameter[Choice]:
    """Return the parameter whose values are the words of its default's enumeration."""
    choices = type(default)
    *words, last = (f'"{each.value}"' for each in choices)
    expected = f"{', '.join(words)} or {last}"
    return Parameter(name=name, parse=one_of(choices), expected=expected, default=default)


def _whole[Default: int | None](
    name: str, what: str, limits: tuple[int, int], *, default: Default
) -> Parameter[int | Default]:
    lowest, highest = limits
    expected = f"{what} from {lowest} to {highest}"
    return Parameter(name=name, parse=whole(*limits), expected=expected, default=default)


CLUSTER_NAME: Final = Parameter[Resource](
    name="cluster_name",
    parse=resource(CLUSTER_ARN, "cluster"),
    expected="the name or ARN of an ECS cluster",
)
SERVICE_NAME: Final = Parameter[Resource](
    name="service_name",
    parse=resource(SERVICE_ARN, "service"),
    expected="the name or ARN of an ECS service",
)
MAINTAIN_SERVICE_STATE: Final = _flag("maintain_service_state", default=True)
WAIT_TIME: Final = _whole("wait_time", "whole seconds", (0, MAX_WAIT_TIME_SECONDS), default=30)
PROTECTED_TASKS: Final = _choice("protected_tasks", ProtectedTasks.WAIT)
STARTED_BEFORE: Final = Parameter[datetime | None](
    name="started_before",
    parse=instant,
    expected="an ISO 8601 instant with a zone, such as 2026-01-31T02:00:00Z",
    default=None,
)
_HOURS: Final = f"a number of hours above 0, at most {LONGEST_AGE_HOURS}"
OLDER_THAN_HOURS: Final = Parameter[float | HoursTag | None](
    name="older_than_hours",
    parse=hours(LONGEST_AGE_HOURS),
    expected=f'{_HOURS}, or {{"tag": "KEY"}}',
    default=None,
)
TASKS: Final = Parameter[tuple[NamedTask, ...]](
    name="tasks",
    parse=list_of(named_task, NAMED_TASKS),
    expected=f"a list of 1 to {NAMED_TASKS} ids or ARNs of ECS tasks",
    default=(),
)
ALARMS: Final = Parameter[tuple[str, ...]](
    name="alarms",
    parse=list_of(alarm_name, ALARM_NAMES),
    expected=f"a list of 1 to {ALARM_NAMES} names of CloudWatch alarms",
    default=(),
)
STABILIZE_TIMEOUT: Final = _whole(
    "stabilize_timeout", "whole seconds", STABILIZE_TIMEOUT_SECONDS, default=600
)
FINISH_WITHIN_MINUTES: Final = _whole(
    "finish_within_minutes", "whole minutes", FINISH_WITHIN_LIMITS_MINUTES, default=None
)
WINDOW: Final = Parameter[Window | None](
    name="window",
    parse=window,
    expected='days (optional), times and a time zone, such as "Mon-Fri 02:00-05:00 Europe/Berlin"',
    default=None,
)
IF_RUNNING: Final = _choice("if_running", IfRunning.REFUSE)
DRY_RUN: Final = _flag("dry_run", default=False)
ACTION: Final = _choice("action", Action.RECYCLE)

PARAMETERS: Final[tuple[Parameter[object], ...]] = (
    CLUSTER_NAME,
    SERVICE_NAME,
    MAINTAIN_SERVICE_STATE,
    WAIT_TIME,
    PROTECTED_TASKS,
    STARTED_BEFORE,
    OLDER_THAN_HOURS,
    TASKS,
    ALARMS,
    STABILIZE_TIMEOUT,
    FINISH_WITHIN_MINUTES,
    WINDOW,
    IF_RUNNING,
    DRY_RUN,
    ACTION,
)


def hours_of(tag: HoursTag, tags: Mapping[str, str]) -> float:
    """Return the hours that a service's tag says. Raises ValueError, a sentence."""
    name = f"its tag {tag.tag}"
    said = Parameter[float](name=name, parse=positive(LONGEST_AGE_HOURS), expected=_HOURS)
    return said.of({name: tags[tag.tag]} if tag.tag in tags else {})


# ---- Many services in one event ----


def _services(value: object) -> tuple[Resource, ...] | str:
    if value == EVERY_SERVICE:
        return EVERY_SERVICE
    return list_of(service_anywhere, SWEPT_SERVICES)(value)


SERVICES: Final = Parameter[tuple[Resource, ...] | str](
    name="services",
    parse=_services,
    expected=(
        f'"{EVERY_SERVICE}", or a list of 1 to {SWEPT_SERVICES} names, cluster/service or ARNs of '
        "ECS services"
    ),
    default=(),
)
TAGGED: Final = Parameter[Mapping[str, tuple[str, ...]] | None](
    name="tagged",
    parse=tags,
    expected="an object of 1 to 50 tags, each with the value or the list of values to have",
    default=None,
)
USES: Final = Parameter[str | None](
    name="uses",
    parse=secret,
    expected="the name or ARN of a secret or of a parameter",
    default=None,
)
AT_ONCE: Final = _whole("at_once", "a whole number", (1, AT_ONCE_LIMIT), default=1)
ON_ERROR: Final = _choice("on_error", OnError.STOP)
SWEEP: Final = Parameter[str | None](
    name="sweep",
    parse=run_name,
    expected="the id of a sweep",
    default=None,
)

SWEEP_PARAMETERS: Final[tuple[Parameter[object], ...]] = (
    SERVICES,
    TAGGED,
    USES,
    AT_ONCE,
    ON_ERROR,
    SWEEP,
)
"""What an event has that names many services, beside the parameters of each one's run."""
