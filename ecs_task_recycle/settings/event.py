"""The event becomes frozen settings here.

Nothing in this module calls AWS or reads a clock. Every problem is found before the first is
reported (:class:`~ecs_task_recycle.errors.SettingsError`).
"""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, cast

from ecs_task_recycle.codec import Json, encode
from ecs_task_recycle.errors import SettingsError
from ecs_task_recycle.settings.parameters import (
    PARAMETERS,
    REQUIRED,
    Action,
    IfRunning,
    Parameter,
    ProtectedTasks,
)
from ecs_task_recycle.settings.sources import source_of
from ecs_task_recycle.settings.values import NamedTask, Resource, UnusableEntryError

# Long enough for any ARN, short enough for a log line.
_REPR: Final = reprlib.Repr(maxstring=200)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What one run is asked to do. Times are whole seconds, ``started_before`` is aware UTC.

    ``tasks``: exactly these, none for all; ``alarms``: those that the event names. ``parameters``:
    the event's own words for what is not at its default, the names and ``tasks`` left out.
    """

    cluster_name: str
    service_name: str
    maintain_service_state: bool
    wait_time_seconds: int
    protected_tasks: ProtectedTasks
    started_before: datetime | None
    stabilize_timeout_seconds: int
    dry_run: bool
    action: Action
    finish_within_minutes: int | None = None
    if_running: IfRunning = IfRunning.REFUSE
    older_than_hours: float | None = None
    tasks: tuple[NamedTask, ...] = ()
    alarms: tuple[str, ...] = ()
    region: str | None = None
    account: str | None = None
    parameters: Mapping[str, Json] = field(default_factory=dict)

    @property
    def raises_capacity(self) -> bool:
        """Whether desired count and limits may be written."""
        return self.maintain_service_state or self.action is Action.RESTORE

    def started_before_at(self, now_at: datetime) -> datetime:
        """Return the instant before which a task must have started, for a run that starts now."""
        if self.older_than_hours is not None:
            return now_at - timedelta(hours=self.older_than_hours)
        return self.started_before or now_at


def settings_from_event(event: object) -> Settings:
    """Read the parameters of an invocation, also from under ``detail`` of an EventBridge event.

    Raises SettingsError naming every problem: parameter, value, what was expected.
    """
    given = parameters_of(event)
    _require_names(event, given)
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


def parameters_of(event: object) -> Mapping[str, object]:
    """Return an event's parameters, also from under ``detail``. Raises SettingsError."""
    if not isinstance(event, Mapping):
        kind = type(event).__name__
        raise SettingsError.of("the event", [f"it is {kind}, expected an object of parameters"])
    detail = event.get("detail")
    known = {parameter.name for parameter in PARAMETERS}
    if isinstance(detail, Mapping) and not known & set(event):
        return detail
    return event


def segment_parameters(event: object, settings: Settings) -> Mapping[str, object]:
    """Return an event's parameters as the run's further invocations get them: named tasks by id.

    With ARNs, 1,000 tasks may not fit into an execution's input of 262,144 bytes.
    https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
    """
    given = parameters_of(event)
    return {**given, "tasks": [each.id for each in settings.tasks]} if settings.tasks else given


def _require_names(event: object, given: Mapping[str, object]) -> None:
    """Raise SettingsError with one sentence for an event of AWS's own that names no service."""
    if "cluster_name" in given or "service_name" in given or not isinstance(event, Mapping):
        return
    sent = source_of(event)
    if sent is not None:
        source, advice = sent
        problem = f"it comes from {source} without cluster_name and service_name; {advice}"
        raise SettingsError.of("the event", [problem])


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
        return parameter.read(value)
    except UnusableEntryError as unusable:
        entry = _shown(unusable.entry)
        message = f"{parameter.name} holds {entry}, expected {parameter.expected}"
        raise ValueError(message) from None
    except ValueError:
        message = f"{parameter.name} is {_shown(value)}, expected {parameter.expected}"
        raise ValueError(message) from None


def _disagreements(values: Mapping[str, object]) -> list[str]:
    return [*_resource_disagreements(values), *_selection_disagreements(values)]


def _selection_disagreements(values: Mapping[str, object]) -> list[str]:
    """Return which ways to choose tasks are given together."""
    given = [name for name in ("started_before", "older_than_hours", "tasks") if values.get(name)]
    if values.get("tasks") and values.get("if_running") is IfRunning.QUEUE:
        given.append('if_running "queue"')
    if len(given) < 2:  # noqa: PLR2004 - one alone agrees with itself
        return []
    return [f"{' and '.join(given)} are given together, expected one of them"]


def _resource_disagreements(values: Mapping[str, object]) -> list[str]:
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
    if None not in (cluster.account, service.account) and cluster.account != service.account:
        accounts = f"{cluster.account}, service_name in account {service.account}"
        problems.append(f"cluster_name lies in account {accounts}")
    region = cluster.region or service.region
    for task in cast("tuple[NamedTask, ...]", values.get("tasks") or ()):
        if task.cluster not in (None, cluster.name):
            text = f"tasks holds {task.id} of cluster {task.cluster!r}, expected {cluster.name!r}"
            problems.append(text)
        if None not in (task.region, region) and task.region != region:
            problems.append(f"tasks holds {task.id} of {task.region}, expected {region}")
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
        finish_within_minutes=cast("int | None", values["finish_within_minutes"]),
        if_running=cast("IfRunning", values["if_running"]),
        older_than_hours=cast("float | None", values["older_than_hours"]),
        tasks=cast("tuple[NamedTask, ...]", values["tasks"]),
        alarms=cast("tuple[str, ...]", values["alarms"]),
        region=cluster.region or service.region,
        account=cluster.account or service.account,
        parameters=_other_than_default(values),
    )


def _other_than_default(values: Mapping[str, object]) -> dict[str, Json]:
    named = ("cluster_name", "service_name", "tasks")
    return {
        parameter.name: encode(values[parameter.name])
        for parameter in PARAMETERS
        if parameter.name not in named and values[parameter.name] != parameter.default
    }
