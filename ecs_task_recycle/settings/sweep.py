"""Reads an event that names many services, and the events of a sweep's state machine."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from ecs_task_recycle.codec import Json
from ecs_task_recycle.errors import SettingsError
from ecs_task_recycle.settings import parameters as known
from ecs_task_recycle.settings.event import (
    conflicts_of_choices,
    other_than_default,
    parameters_of,
    place_of,
    problem_of,
    readable,
    unknown_names,
)
from ecs_task_recycle.settings.notices import notice_of
from ecs_task_recycle.settings.parameters import (
    EVERY_SERVICE,
    PARAMETERS,
    SWEEP_PARAMETERS,
    Action,
    OnError,
)
from ecs_task_recycle.settings.values import Resource, list_of, run_name, whole

TURN: Final = "sweep_turn"
END: Final = "sweep_end"
LONGEST_COUNT: Final = 1_000_000

_OF_ONE_SERVICE: Final = (known.SERVICE_NAME, known.TASKS)
_OF_THE_SWEEP: Final = (known.CLUSTER_NAME, known.DRY_RUN, known.ACTION)
_OF_EACH_RUN: Final = tuple(
    each for each in PARAMETERS if each not in (*_OF_ONE_SERVICE, *_OF_THE_SWEEP)
)
_ASKING: Final = (Action.STATUS, Action.STOP)


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepSettings:
    """What one event asks for of many services, or of the sweep whose id is ``sweep``.

    Candidates are the named ``services``, or every one of ``cluster_name``, or of all clusters;
    those of them are swept that have all tags of ``tagged`` and read what ``uses`` names.
    ``parameters`` are those of each one's run. With ``is_notice`` AWS has sent the event: what it
    names may be gone by now.
    """

    cluster_name: str | None = None
    services: tuple[Resource, ...] | None = None
    tagged: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    uses: str | None = None
    at_once: int = 1
    on_error: OnError = OnError.STOP
    dry_run: bool = False
    parameters: Mapping[str, Json] = field(default_factory=dict)
    sweep: str | None = None
    action: Action = Action.RECYCLE
    partition: str | None = None
    region: str | None = None
    account: str | None = None
    is_notice: bool = False

    @property
    def started_before(self) -> datetime | None:
        """The instant before which a task must have started, None for the start of each run."""
        return known.STARTED_BEFORE.of(self.parameters)


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepTurn:
    """That a lane of a sweep takes its turn, after ``turns`` others."""

    sweep: str
    lane: int
    turns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepEnd:
    """That no lane of a sweep goes on any more, ``rounds`` times before this.

    ``stopped`` is the status of an execution that was ended from outside; else None.
    """

    sweep: str
    lanes: int
    rounds: int
    stopped: str | None


def run_id_of(sweep: str, number: int) -> str:
    """Return the id of the run of one service of a sweep, by its number."""
    return f"sweep-{sweep}-{number}"


def is_of_sweep(run_id: str) -> bool:
    """Whether a run is one of a sweep's: Lambda's own ids are UUIDs."""
    return re.fullmatch(r"sweep-.+-[0-9]{1,4}", run_id) is not None


def step_from(event: object) -> SweepTurn | SweepEnd | None:
    """Return what a sweep's machine asks for, None for any other event. Raises SettingsError."""
    if not isinstance(event, Mapping) or not {TURN, END} & event.keys():
        return None
    count, lanes = (
        whole(0, LONGEST_COUNT),
        list_of(whole(0, known.AT_ONCE_LIMIT), known.AT_ONCE_LIMIT),
    )
    try:
        if TURN in event:
            sweep = run_name(event[TURN])
            return SweepTurn(sweep=sweep, lane=count(event["lane"]), turns=count(event["turns"]))
        return SweepEnd(
            sweep=run_name(event[END]),
            lanes=len(lanes(event["lanes"])),
            rounds=count(event["rounds"]),
            # An execution that a stack before this version has started does not say it.
            stopped=_stopped(event.get("stopped")),
        )
    except (ValueError, TypeError, KeyError):
        raise SettingsError.of("the event", ["it does not come from a sweep's machine"]) from None


def _stopped(status: object) -> str | None:
    """Return how an execution was ended from outside, None if it was not. Raises ValueError."""
    if status not in {None, "ABORTED", "TIMED_OUT"}:
        raise ValueError(status)
    return None if status is None else str(status)


def sweep_from(event: object, defaults: Mapping[str, object]) -> SweepSettings | None:
    """Read an event that names many services or a sweep; None for one that does not.

    An event of AWS's own gets what it lacks from the stack's ``defaults``. Raises SettingsError,
    which names every problem.
    """
    notice = notice_of(event)
    if notice is not None:
        given = {"services": EVERY_SERVICE, **notice.parameters, **defaults}
        return replace(_read(given, is_notice=True), services=notice.services)
    if not isinstance(event, Mapping):
        return None
    given = dict(parameters_of(event))
    if not {each.name for each in SWEEP_PARAMETERS} & given.keys():
        return None
    return _of_sweep(given) if known.SWEEP.name in given else _read(given)


def _of_sweep(given: Mapping[str, object]) -> SweepSettings:
    """Read a question about a sweep, which takes its id and an action and nothing else."""
    both = (known.SWEEP, known.ACTION)
    problems = [problem for each in both if (problem := problem_of(each, given))]
    others = sorted(given.keys() - {each.name for each in both})
    if others:
        problems.append(f"{', '.join(others)} cannot be combined with sweep")
    if readable(known.ACTION, given) not in (*_ASKING, None):
        problems.append('action with sweep is missing or another one, expected "status" or "stop"')
    if problems:
        raise SettingsError.of("the event", problems)
    return SweepSettings(sweep=known.SWEEP.of(given), action=known.ACTION.of(given))


def _read(given: Mapping[str, object], *, is_notice: bool = False) -> SweepSettings:
    problems = [*_unreadable(given), *_conflicts_with_one_service(given)]
    problems += conflicts_of_choices(given)
    cluster = readable(known.CLUSTER_NAME, given)
    services = readable(known.SERVICES, given) or ()
    named = () if isinstance(services, str) else services
    places = [*named, *([cluster] if cluster else [])]
    problems += _conflicts_of_places(places)
    if not is_notice:
        problems += [*_conflicts_of_ways(given), *_lacking_cluster(given, services)]
    if problems:
        raise SettingsError.of("the event", problems)
    place = place_of(places)
    return SweepSettings(
        cluster_name=None if cluster is None else cluster.name,
        services=named or None,
        tagged=known.TAGGED.of(given) or {},
        uses=known.USES.of(given),
        at_once=known.AT_ONCE.of(given),
        on_error=known.ON_ERROR.of(given),
        dry_run=known.DRY_RUN.of(given),
        parameters=other_than_default(given, _OF_EACH_RUN),
        partition=place.partition,
        region=place.region,
        account=place.account,
        is_notice=is_notice,
    )


def _unreadable(given: Mapping[str, object]) -> Iterator[str]:
    names = [each.name for each in (*PARAMETERS, *SWEEP_PARAMETERS)]
    yield from unknown_names(given, names, "parameter")
    for each in (*PARAMETERS, *SWEEP_PARAMETERS):
        is_looked_at = each.name in given and each not in _OF_ONE_SERVICE
        if is_looked_at and (problem := problem_of(each, given)):
            yield problem


def _conflicts_of_ways(given: Mapping[str, object]) -> Iterator[str]:
    """Yield what is wrong with the ways to name services: one, or one of two and ``uses``."""
    if known.SERVICES.name in given and known.TAGGED.name in given:
        yield "services and tagged cannot be combined"
    if not {known.SERVICES.name, known.TAGGED.name, known.USES.name} & given.keys():
        yield "services, tagged and uses are missing, expected one of them"


def _conflicts_with_one_service(given: Mapping[str, object]) -> Iterator[str]:
    if known.SERVICE_NAME.name in given:
        yield "service_name cannot be combined with services, tagged or uses"
    if known.TASKS.name in given:
        yield "tasks is given, expected with one service only"
    if readable(known.ACTION, given) not in (Action.RECYCLE, None):
        yield 'action is given, expected with one service, or with the id of a sweep ("sweep")'


def _conflicts_of_places(places: list[Resource]) -> Iterator[str]:
    for kind in ("partition", "region", "account"):
        found = dict.fromkeys(value for each in places if (value := getattr(each, kind)))
        if len(found) > 1:
            yield f"the services and their cluster are in {kind} {' and '.join(found)}"


def _lacking_cluster(
    given: Mapping[str, object], services: tuple[Resource, ...] | str
) -> Iterator[str]:
    if known.CLUSTER_NAME.name in given:
        return
    if isinstance(services, str):
        yield f"cluster_name is missing, expected {known.CLUSTER_NAME.expected}"
        return
    bare = [each.name for each in services if not each.cluster]
    if bare:
        yield f"cluster_name is missing, expected for {', '.join(bare[:20])}"
