"""What a channel says of a run, in the order in which people read it: for any channel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from ecs_task_recycle.channels.mail.chart import Chart, chart_of
from ecs_task_recycle.channels.mail.console import (
    execution_url,
    log_url,
    region_of,
    service_url,
)
from ecs_task_recycle.channels.mail.questions import AnsweredQuestion, answered_questions
from ecs_task_recycle.channels.mail.tables import Table, facts, tables
from ecs_task_recycle.channels.mail.times import TimeFormat
from ecs_task_recycle.outcome import Status
from ecs_task_recycle.report.answer import Answer
from ecs_task_recycle.settings.function import FunctionContext
from ecs_task_recycle.text import one_line


class Tone(StrEnum):
    """How good the news is."""

    GOOD = "good"
    MIXED = "mixed"
    BAD = "bad"
    NEUTRAL = "neutral"


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A page to look at."""

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
    questions: tuple[AnsweredQuestion, ...]
    links: tuple[Link, ...]
    chart: Chart | None
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


_WORDINGS: Final[Mapping[Status, _Wording]] = {
    Status.COMPLETED: _Wording(
        word="COMPLETED",
        headline="Task recycle of {service} completed: {recycled}.",
        tone=Tone.GOOD,
    ),
    Status.PARTIAL: _Wording(
        word="PARTIAL",
        headline="Task recycle of {service} is PARTIAL: {recycled}, {remaining} remaining.",
        tone=Tone.MIXED,
    ),
    Status.FAILED: _Wording(
        word="FAILED",
        headline="Task recycle of {service} FAILED{error}: {recycled}.",
        tone=Tone.BAD,
    ),
    Status.NOTHING_TO_DO: _Wording(
        word="NOTHING TO DO", headline="Task recycle of {service}: there was nothing to do."
    ),
    Status.RESTORED: _Wording(
        word="RESTORED", headline="The capacity of {service} was restored.", tone=Tone.GOOD
    ),
}
_OTHER: Final = _Wording(word="ENDED", headline="Task recycle of {service} ended: {status}.")


def digest_of(answer: Answer, function: FunctionContext, times: TimeFormat) -> Digest:
    """Return what is said of a run."""
    wording, region = _WORDINGS.get(answer.status, _OTHER), _region(answer, function)
    service, error = _service(answer), f" ({one_line(answer.error)})" if answer.error else ""
    headline = wording.headline.format(
        service=service or "an ECS service",
        recycled=_recycled(answer.tasks_recycled),
        remaining=len(answer.not_recycled),
        error=error,
        status=answer.status.value,
    )
    return Digest(
        outcome=f"{wording.word}{error}",
        headline=headline,
        tone=wording.tone,
        service=service,
        questions=answered_questions(answer, function),
        links=_links(answer, function, region),
        chart=chart_of(answer),
        tables=tables(answer, times),
        facts=(*((("Region", region),) if region else ()), *facts(answer, times)),
        times=times,
        region=region,
        cluster=one_line(answer.cluster),
    )


def _service(answer: Answer) -> str:
    """Return cluster and service as people name them."""
    return "/".join(filter(None, (one_line(answer.cluster), one_line(answer.service))))


def _recycled(count: int | None) -> str:
    if not count:
        return "no task recycled"
    return "1 task recycled" if count == 1 else f"{count} tasks recycled"


def _region(answer: Answer, function: FunctionContext) -> str | None:
    """Return the service's region: that of its tasks, as far as they are known."""
    arns = (*(task.task for task in answer.tasks), *answer.remaining)
    regions = (region_of(one_line(arn)) for arn in arns)
    return next(filter(None, regions), function.service_region)


def _links(answer: Answer, function: FunctionContext, region: str | None) -> tuple[Link, ...]:
    service = service_url(region, answer.cluster or "", answer.service or "")
    log = log_url(function, answer.run_id, since_at=answer.started_at)
    links = (
        Link(label="Service", url=service),
        Link(label="Log", url=log),
        Link(label="Execution", url=execution_url(function.execution_arn)),
    )
    return tuple(link for link in links if link.url)
