"""Reads an event into frozen settings.

Nothing in this module calls AWS or reads a clock. It finds every problem before it raises
:class:`~ecs_task_recycle.errors.SettingsError`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from ecs_task_recycle.codec import Json, encode
from ecs_task_recycle.errors import PreconditionError, SettingsError
from ecs_task_recycle.settings import parameters as known
from ecs_task_recycle.settings.parameters import (
    PARAMETERS,
    SWEEP_PARAMETERS,
    Action,
    IfRunning,
    Parameter,
    ProtectedTasks,
)
from ecs_task_recycle.settings.sources import source_of
from ecs_task_recycle.settings.values import HoursTag, Located, NamedTask, shown
from ecs_task_recycle.settings.window import Window

_NAMES: Final = (known.CLUSTER_NAME, known.SERVICE_NAME, known.TASKS)
_OF_A_RUN: Final = tuple(each for each in PARAMETERS if each not in _NAMES)
LONGEST_LIST: Final = 20
"""How many problems of one kind an error lists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What one run is asked to do. ``started_before`` is aware UTC.

    ``tasks`` names the only tasks to recycle; empty means all. ``alarms`` holds the alarms that the
    event names. ``parameters`` repeats what the event sets to something else than the default, but
    for the names and ``tasks``.
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
    window: Window | None = None
    if_running: IfRunning = IfRunning.REFUSE
    older_than_hours: float | HoursTag | None = None
    tasks: tuple[NamedTask, ...] = ()
    alarms: tuple[str, ...] = ()
    partition: str | None = None
    region: str | None = None
    account: str | None = None
    parameters: Mapping[str, Json] = field(default_factory=dict)

    @property
    def raises_capacity(self) -> bool:
        """Whether desired count and limits may be written."""
        return self.maintain_service_state or self.action is Action.RESTORE

    @property
    def event(self) -> dict[str, Json]:
        """The event that asks for the same, with tasks by id: what a run keeps in its record."""
        event: dict[str, Json] = {
            "cluster_name": self.cluster_name,
            "service_name": self.service_name,
            **self.parameters,
        }
        if self.tasks:
            event["tasks"] = [each.id for each in self.tasks]
        return event

    def started_before_at(self, now_at: datetime, tags: Mapping[str, str]) -> datetime:
        """Return the instant before which a task must have started, if the run starts now.

        Raises PreconditionError where the tags of the service lack the hours that they have to say.
        """
        hours = self.older_than_hours
        if hours is None:
            return self.started_before or now_at
        try:
            hours = known.hours_of(hours, tags) if isinstance(hours, HoursTag) else hours
        except ValueError as problem:
            raise PreconditionError(
                f"Service {self.cluster_name}/{self.service_name} is not recycled: {problem}.",
                remedy="Correct the tag, or name the hours in the event.",
            ) from None
        return now_at - timedelta(hours=hours)


def settings_from_event(event: object) -> Settings:
    """Read the parameters of an event, which may stand under ``detail`` as in EventBridge's events.

    Raises SettingsError, which names every problem: parameter, value and what was expected.
    """
    given = parameters_of(event)
    _require_names(event, given)
    problems = unknown_names(given, [parameter.name for parameter in PARAMETERS], "parameter")
    problems += [problem for each in PARAMETERS if (problem := problem_of(each, given))]
    problems += [*_conflicts_of_places(given), *conflicts_of_choices(given)]
    if problems:
        raise SettingsError.of("the event", problems)
    cluster, service = known.CLUSTER_NAME.of(given), known.SERVICE_NAME.of(given)
    place = place_of([cluster, service])
    return Settings(
        cluster_name=cluster.name,
        service_name=service.name,
        maintain_service_state=known.MAINTAIN_SERVICE_STATE.of(given),
        wait_time_seconds=known.WAIT_TIME.of(given),
        protected_tasks=known.PROTECTED_TASKS.of(given),
        started_before=known.STARTED_BEFORE.of(given),
        stabilize_timeout_seconds=known.STABILIZE_TIMEOUT.of(given),
        dry_run=known.DRY_RUN.of(given),
        action=known.ACTION.of(given),
        finish_within_minutes=known.FINISH_WITHIN_MINUTES.of(given),
        window=known.WINDOW.of(given),
        if_running=known.IF_RUNNING.of(given),
        older_than_hours=known.OLDER_THAN_HOURS.of(given),
        tasks=known.TASKS.of(given),
        alarms=known.ALARMS.of(given),
        partition=place.partition,
        region=place.region,
        account=place.account,
        parameters=other_than_default(given, _OF_A_RUN),
    )


def parameters_of(event: object) -> Mapping[str, object]:
    """Return an event's parameters, also from under ``detail``. Raises SettingsError."""
    if not isinstance(event, Mapping):
        kind = type(event).__name__
        raise SettingsError.of("the event", [f"it is {kind}, expected an object of parameters"])
    detail = event.get("detail")
    names = {parameter.name for parameter in (*PARAMETERS, *SWEEP_PARAMETERS)}
    if isinstance(detail, Mapping) and not names & set(event):
        return detail
    return event


def _require_names(event: object, given: Mapping[str, object]) -> None:
    """Raise SettingsError with one sentence for an event of AWS's own that names no service."""
    if "cluster_name" in given or "service_name" in given or not isinstance(event, Mapping):
        return
    source = source_of(event)
    if source is not None:
        problem = (
            f"it comes from {source} without cluster_name and service_name; let an EventBridge "
            "rule or schedule invoke the function, with both in its constant input"
        )
        raise SettingsError.of("the event", [problem])


def unknown_names(given: Mapping[str, object], names: list[str], kind: str) -> list[str]:
    """Return a problem for each name that is not known, with the one that is near, if any is."""
    unknown = [name for name in given if name not in names]
    problems = []
    for name in unknown[:LONGEST_LIST]:
        nearest = difflib.get_close_matches(str(name)[:100], names, n=1)
        hint = f"; the nearest is {nearest[0]}" if nearest else ""
        problems.append(f"{shown(name)} is not a {kind}{hint}")
    if len(unknown) > LONGEST_LIST:
        problems.append(f"{len(unknown) - LONGEST_LIST} more names are not a {kind}")
    return problems


def problem_of(parameter: Parameter[object], given: Mapping[str, object]) -> str | None:
    """Return what is wrong with a parameter, None if it can be read."""
    try:
        parameter.of(given)
    except ValueError as problem:
        return str(problem)
    return None


def readable[Value](parameter: Parameter[Value], given: Mapping[str, object]) -> Value | None:
    """Return a parameter's value, None where it cannot be read: that is a problem of its own."""
    return None if problem_of(parameter, given) else parameter.of(given)


def conflicts_of_choices(given: Mapping[str, object]) -> Iterator[str]:
    """Yield which ways to choose tasks exclude each other."""
    ways = (known.STARTED_BEFORE, known.OLDER_THAN_HOURS, known.TASKS)
    chosen = [each.name for each in ways if readable(each, given)]
    if readable(known.TASKS, given) and readable(known.IF_RUNNING, given) is IfRunning.QUEUE:
        chosen.append('if_running "queue"')
    if len(chosen) > 1:
        yield f"{' and '.join(chosen)} cannot be combined"


def _conflicts_of_places(given: Mapping[str, object]) -> Iterator[str]:
    """Yield which names belong to different clusters, regions or accounts."""
    cluster = readable(known.CLUSTER_NAME, given)
    service = readable(known.SERVICE_NAME, given)
    if cluster is None or service is None:
        return
    yield from _differences("service_name", service, replace(cluster, cluster=cluster.name))
    tasks = readable(known.TASKS, given) or ()
    expected = replace(place_of([cluster, service]), cluster=cluster.name)
    elsewhere = [each for task in tasks for each in _differences(f"task {task.id}", task, expected)]
    yield from elsewhere[:LONGEST_LIST]
    if len(elsewhere) > LONGEST_LIST:
        yield f"{len(elsewhere) - LONGEST_LIST} more such problems of tasks"


def place_of(named: Iterable[Located]) -> Located:
    """Return the partition, region and account of what an event names, as far as ARNs tell."""
    first = next((each for each in named if each.region is not None), Located())
    return Located(partition=first.partition, region=first.region, account=first.account)


def _differences(name: str, located: Located, place: Located) -> Iterator[str]:
    for kind in ("cluster", "partition", "region", "account"):
        found, expected = getattr(located, kind), getattr(place, kind)
        if None not in (found, expected) and found != expected:
            yield f"{name} is in {kind} {found}, expected {expected}"


def other_than_default(
    given: Mapping[str, object], parameters: Iterable[Parameter[object]]
) -> dict[str, Json]:
    """Return those of the parameters that an event sets to something else, as an event has them."""
    return {
        each.name: encode(str(value) if isinstance(value, Window) else value)
        for each in parameters
        if (value := each.of(given)) != each.default
    }
