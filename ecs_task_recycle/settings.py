"""The event becomes frozen settings here; every default of it stands here, once.

Nothing in this module calls AWS or reads a clock. Every problem is found before the first is
reported (:class:`~ecs_task_recycle.errors.SettingsError`).
"""

from __future__ import annotations

import difflib
import re
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, cast

from ecs_task_recycle.errors import SettingsError

REQUIRED: Final = object()
MAX_WAIT_TIME_SECONDS: Final = 86_400
STABILIZE_TIMEOUT_SECONDS: Final = (15, 840)

# Long enough for any ARN, short enough for a log line.
_REPR: Final = reprlib.Repr(maxstring=200)

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


class ProtectedTasks(StrEnum):
    """What to do with a task under scale-in protection."""

    WAIT = "wait"
    SKIP = "skip"
    STOP = "stop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What one run is asked to do. Times are whole seconds, ``started_before`` is aware UTC."""

    cluster_name: str
    service_name: str
    maintain_service_state: bool
    wait_time_seconds: int
    protected_tasks: ProtectedTasks
    started_before: datetime | None
    stabilize_timeout_seconds: int
    dry_run: bool
    action: Action
    region: str | None = None

    @property
    def raises_capacity(self) -> bool:
        """Whether desired count and limits may be written."""
        return self.maintain_service_state or self.action is Action.RESTORE


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


def _protected_tasks(value: object) -> ProtectedTasks:
    return ProtectedTasks(cast("str", value))


def _seconds(lowest: int, highest: int) -> Callable[[object], int]:
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
        parse=_seconds(0, MAX_WAIT_TIME_SECONDS),
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
        parse=_seconds(*STABILIZE_TIMEOUT_SECONDS),
        expected="whole seconds from {} to {}".format(*STABILIZE_TIMEOUT_SECONDS),
        default=600,
        meaning="Seconds that the replacement of one task may take.",
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
        expected='"recycle" or "restore"',
        default=Action.RECYCLE,
        meaning='"restore" only puts back what a dead run left raised.',
    ),
)


def settings_from_event(event: object) -> Settings:
    """Read the parameters of an invocation, also from under ``detail`` of an EventBridge event.

    Raises SettingsError naming every problem: parameter, value, what was expected.
    """
    given = _parameters_of(event)
    problems = unknown_names(given, [parameter.name for parameter in PARAMETERS], "parameter")
    values: dict[str, object] = {}
    for parameter in PARAMETERS:
        try:
            values[parameter.name] = _value(parameter, given)
        except ValueError as problem:
            problems.append(str(problem))
    problems += _disagreements(values)
    if problems:
        raise SettingsError.of("the event", problems)
    return _settings(values)


def _shown(value: object) -> str:
    try:
        return _REPR.repr(value)
    except ValueError:  # Python refuses to write out integers of more than 4300 digits.
        return f"{type(value).__name__} too large to show"


def _parameters_of(event: object) -> Mapping[str, object]:
    if not isinstance(event, Mapping):
        kind = type(event).__name__
        raise SettingsError.of("the event", [f"it is {kind}, expected an object of parameters"])
    detail = event.get("detail")
    known = {parameter.name for parameter in PARAMETERS}
    if isinstance(detail, Mapping) and not known & set(event):
        return detail
    return event


def unknown_names(given: Mapping[str, object], known: list[str], kind: str) -> list[str]:
    """Return a problem for each name that is not known, with the nearest one that is."""
    problems = []
    for name in given:
        if name in known:
            continue
        nearest = difflib.get_close_matches(str(name)[:100], known, n=1, cutoff=0.0)
        problems.append(f"{_shown(name)} is not a {kind}; the nearest is {nearest[0]}")
    return problems


def _value(parameter: Parameter, given: Mapping[str, object]) -> object:
    if parameter.name not in given:
        if parameter.default is REQUIRED:
            message = f"{parameter.name} is missing, expected {parameter.expected}"
            raise ValueError(message)
        return parameter.default
    value = given[parameter.name]
    try:
        return parameter.parse(value)
    except (ValueError, TypeError, KeyError, OverflowError):
        message = f"{parameter.name} is {_shown(value)}, expected {parameter.expected}"
        raise ValueError(message) from None


def _disagreements(values: Mapping[str, object]) -> list[str]:
    cluster, service = values.get("cluster_name"), values.get("service_name")
    if not isinstance(cluster, Resource) or not isinstance(service, Resource):
        return []
    problems = []
    if service.cluster not in (None, cluster.name):
        problems.append(
            f"service_name lies in cluster {service.cluster!r}, cluster_name is {cluster.name!r}"
        )
    if None not in (cluster.region, service.region) and cluster.region != service.region:
        problems.append(f"cluster_name lies in {cluster.region}, service_name in {service.region}")
    return problems


def _settings(values: Mapping[str, object]) -> Settings:
    cluster = cast("Resource", values["cluster_name"])
    service = cast("Resource", values["service_name"])
    return Settings(
        cluster_name=cluster.name,
        service_name=service.name,
        maintain_service_state=cast("bool", values["maintain_service_state"]),
        wait_time_seconds=cast("int", values["wait_time"]),
        protected_tasks=cast("ProtectedTasks", values["protected_tasks"]),
        started_before=cast("datetime | None", values["started_before"]),
        stabilize_timeout_seconds=cast("int", values["stabilize_timeout"]),
        dry_run=cast("bool", values["dry_run"]),
        action=cast("Action", values["action"]),
        region=cluster.region or service.region,
    )
