"""What a mail says of a sweep: the services in a table, the failed ones first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ecs_task_recycle.channels.mail.console import log_url, service_url
from ecs_task_recycle.channels.mail.digest import Digest, Link, Tone
from ecs_task_recycle.channels.mail.questions import TO_DO, WHY, WORKED, AnsweredQuestion
from ecs_task_recycle.channels.mail.tables import Row, Table
from ecs_task_recycle.channels.mail.times import TimeFormat, duration
from ecs_task_recycle.report.commands import command_to_sweep_again
from ecs_task_recycle.report.sweep_answer import (
    SweepAnswer,
    SweepStatus,
    SweptService,
    SweptStatus,
)
from ecs_task_recycle.settings.function import FunctionContext
from ecs_task_recycle.text import one_line

SHOWN_SERVICES_COUNT: Final = 200
LISTED_SERVICES_COUNT: Final = 50
"""Of a command to copy: a longer line is not one for a shell."""
COLUMNS: Final = ("Outcome", "Tasks recycled", "Time", "Lowest in service")

_TONES: Final[Mapping[SweepStatus, Tone]] = {
    SweepStatus.COMPLETED: Tone.GOOD,
    SweepStatus.PARTIAL: Tone.MIXED,
    SweepStatus.FAILED: Tone.BAD,
}
_WORKED: Final = {
    SweepStatus.COMPLETED: "Yes.",
    SweepStatus.PARTIAL: "In part.",
    SweepStatus.FAILED: "No.",
}


def sweep_digest(answer: SweepAnswer, function: FunctionContext, times: TimeFormat) -> Digest:
    """Return what is said of a sweep."""
    count = "1 service" if answer.services_count == 1 else f"{answer.services_count} services"
    word = answer.status.value.upper()
    log = log_url(function, answer.sweep, since_at=answer.started_at)
    return Digest(
        outcome=word,
        headline=f"Sweep of {count}: {word}.",
        tone=_TONES.get(answer.status, Tone.NEUTRAL),
        service=count,
        questions=_questions(answer, function),
        links=(Link(label="Log", url=log),) if log else (),
        chart=None,
        tables=(_table(answer, function.service_region),),
        facts=_facts(answer, function.service_region, times),
        times=times,
        region=function.service_region,
        cluster="",
    )


def _questions(answer: SweepAnswer, function: FunctionContext) -> tuple[AnsweredQuestion, ...]:
    return (
        AnsweredQuestion(question=WORKED, text=_WORKED.get(answer.status, "")),
        AnsweredQuestion(question=WHY, text=f"{one_line(answer.reason)}."),
        _to_do(answer, function),
    )


def _to_do(answer: SweepAnswer, function: FunctionContext) -> AnsweredQuestion:
    left_count = len(answer.left)
    if not left_count:
        return AnsweredQuestion(question=TO_DO, text="No.")
    what = "the service that is" if left_count == 1 else f"the {left_count} services that are"
    text = f"Once the cause is gone, sweep again {what} left, and only the tasks that are left"
    if left_count > LISTED_SERVICES_COUNT:
        text += ": those that started before the sweep."
        return AnsweredQuestion(question=TO_DO, text=text)
    command = command_to_sweep_again(answer, function)
    return AnsweredQuestion(question=TO_DO, text=f"{text}:", commands=(command,))


def _table(answer: SweepAnswer, region: str | None) -> Table:
    shown = answer.in_reading_order[:SHOWN_SERVICES_COUNT]
    return Table(
        title=f"Services ({answer.services_count})",
        label="Service",
        columns=COLUMNS,
        rows=tuple(_row(each, region) for each in shown),
        all_count=answer.services_count,
    )


def _row(service: SweptService, region: str | None) -> Row:
    cluster, _, name = service.service.partition("/")
    cells = (
        service.status.value.replace("_", " "),
        "" if service.tasks_recycled is None else f"{service.tasks_recycled} of {service.tasks}",
        duration(service.seconds),
        "" if service.lowest_in_service is None else str(service.lowest_in_service),
    )
    is_plain = service.status is SweptStatus.COMPLETED
    remarks = () if is_plain or not service.reason else (one_line(service.reason),)
    url = service_url(region, cluster, name)
    return Row(task=one_line(service.service), cells=cells, remarks=remarks, url=url or "")


def _facts(
    answer: SweepAnswer, region: str | None, times: TimeFormat
) -> tuple[tuple[str, str], ...]:
    started = "" if answer.started_at is None else times.instant(answer.started_at)
    pairs = (
        ("Region", region or ""),
        ("Sweep", answer.sweep),
        ("Started", started),
        ("Time taken", duration(answer.duration_seconds)),
    )
    return tuple((label, text) for label, text in pairs if text)
