"""What a channel says of a run, in its order: made from the body of the answer, for any channel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from ecs_task_recycle.channels.mail.body import (
    Body,
    left_arns,
    one_line,
    recycled_count,
    rows,
    sequence,
    service_name,
    started_at,
)
from ecs_task_recycle.channels.mail.chart import Picture, picture
from ecs_task_recycle.channels.mail.console import (
    Place,
    execution_url,
    log_url,
    region_of,
    service_url,
)
from ecs_task_recycle.channels.mail.tables import Table, facts, tables
from ecs_task_recycle.channels.mail.times import TimeFormat
from ecs_task_recycle.channels.mail.verdict import Verdict, verdicts


class Tone(StrEnum):
    """How good the news is."""

    GOOD = "good"
    MIXED = "mixed"
    BAD = "bad"
    NEUTRAL = "neutral"


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Where to look."""

    label: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """What is said of a run. ``outcome`` is a few words, ``headline`` a sentence.

    ``facts`` are pairs of a label and a text; ``region`` and ``cluster`` are where its tasks are.
    """

    outcome: str
    headline: str
    tone: Tone
    service: str
    verdicts: tuple[Verdict, ...]
    links: tuple[Link, ...]
    picture: Picture | None
    tables: tuple[Table, ...]
    facts: tuple[tuple[str, str], ...]
    times: TimeFormat
    region: str | None
    cluster: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wording:
    word: str
    headline: str
    tone: Tone = Tone.NEUTRAL


_WORDINGS: Final[Mapping[str, _Wording]] = {
    "completed": _Wording(
        word="COMPLETED",
        headline="Task recycle of {service} completed: {recycled}.",
        tone=Tone.GOOD,
    ),
    "partial": _Wording(
        word="PARTIAL",
        headline="Task recycle of {service} is PARTIAL: {recycled}, {left} left.",
        tone=Tone.MIXED,
    ),
    "failed": _Wording(
        word="FAILED",
        headline="Task recycle of {service} FAILED{error}: {recycled}.",
        tone=Tone.BAD,
    ),
    "nothing_to_do": _Wording(
        word="NOTHING TO DO", headline="Task recycle of {service}: there was nothing to do."
    ),
    "restored": _Wording(
        word="RESTORED", headline="The capacity of {service} was put back.", tone=Tone.GOOD
    ),
    "continued": _Wording(
        word="CONTINUED",
        headline="Task recycle of {service} goes on: {recycled} so far, {left} to come.",
    ),
    "planned": _Wording(
        word="PLANNED", headline="Task recycle of {service} is planned: nothing was changed."
    ),
}
_UNKNOWN: Final = _Wording(
    word="ENDED",
    headline="Task recycle of {service} ended, and its outcome is unknown.",
    tone=Tone.MIXED,
)


def is_completed(body: Body) -> bool:
    """Whether the run has done all that was asked."""
    return _wording(body) is _WORDINGS["completed"]


def digest_of(body: Body, place: Place, times: TimeFormat) -> Digest:
    """Return what is said of a run."""
    wording, region = _wording(body), _region(body, place)
    headline = wording.headline.format(
        service=service_name(body) or "an ECS service",
        recycled=_tasks_recycled(recycled_count(body)),
        left=len(left_arns(body)),
        error=_error(body),
    )
    return Digest(
        outcome=f"{wording.word}{_error(body)}",
        headline=headline,
        tone=wording.tone,
        service=service_name(body),
        verdicts=verdicts(body, place),
        links=_links(body, place, region),
        picture=picture(body),
        tables=tables(body, times),
        facts=(*((("Region", region),) if region else ()), *facts(body, times)),
        times=times,
        region=region,
        cluster=one_line(body.get("cluster")),
    )


def _wording(body: Body) -> _Wording:
    return _WORDINGS.get(one_line(body.get("status")), _UNKNOWN)


def _error(body: Body) -> str:
    error = one_line(body.get("error"))[:60]
    return f" ({error})" if error else ""


def _tasks_recycled(recycled: int | None) -> str:
    if not recycled:
        return "no task recycled"
    return "1 task recycled" if recycled == 1 else f"{recycled} tasks recycled"


def _region(body: Body, place: Place) -> str | None:
    """Return the service's region: that of its tasks, as far as they are known."""
    arns = [*(row.get("task") for row in rows(body, "tasks")), *sequence(body.get("remaining"))]
    found = (region_of(one_line(arn)) for arn in arns)
    return next((region for region in found if region), place.region)


def _links(body: Body, place: Place, region: str | None) -> tuple[Link, ...]:
    cluster, service = one_line(body.get("cluster")), one_line(body.get("service"))
    log = log_url(place, one_line(body.get("run_id")), since_at=started_at(body))
    links = (
        Link(label="Service", url=service_url(region, cluster, service)),
        Link(label="Log", url=log),
        Link(label="Execution", url=execution_url(place.execution_arn)),
    )
    return tuple(link for link in links if link.url)
