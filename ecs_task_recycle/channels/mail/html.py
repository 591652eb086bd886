"""The HTML part of a mail, from the pieces of one file, mail.html.

Mail programs know tables, background colours and widths, and not much more: no script, no image,
no SVG. So the chart is made of these. Every text that is filled in is escaped.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping
from functools import cache
from itertools import groupby, pairwise
from pathlib import Path
from string import Template
from typing import Final

from ecs_task_recycle.channels.mail.chart import Bar, Chart
from ecs_task_recycle.channels.mail.console import short_id, task_url
from ecs_task_recycle.channels.mail.digest import Digest
from ecs_task_recycle.channels.mail.questions import AnsweredQuestion
from ecs_task_recycle.channels.mail.tables import TASK, Row, Table
from ecs_task_recycle.channels.mail.times import TimeFormat, duration

TEMPLATE: Final = Path(__file__).with_name("mail.html")
COLUMNS_COUNT: Final = 200

_PIECE: Final = re.compile(r"^<!-- piece: ([a-z_]+) -->\n", re.MULTILINE)


class _Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


@cache
def _pieces() -> Mapping[str, Template]:
    _, *parts = _PIECE.split(TEMPLATE.read_text(encoding="utf-8"))
    return {name: Template(text) for name, text in zip(parts[::2], parts[1::2], strict=True)}


def _fill(piece: str, **values: str) -> _Markup:
    """Return a piece of the template, filled in; everything that is not HTML yet is escaped."""
    escaped = {
        name: value if isinstance(value, _Markup) else html.escape(value)
        for name, value in values.items()
    }
    return _Markup(_pieces()[piece].substitute(escaped))


def _joined(parts: Iterable[_Markup]) -> _Markup:
    return _Markup("".join(parts))


def as_html(digest: Digest) -> str:
    """Return the whole page."""
    links = [_fill("link", label=link.label, url=link.url) for link in digest.links]
    return _fill(
        "page",
        title=digest.headline,
        heading=_fill(f"heading_{digest.tone.value}", headline=digest.headline),
        questions=_joined(_question(each) for each in digest.questions),
        links=_fill("links", links=_joined(links)) if links else _Markup(),
        chart=_Markup() if digest.chart is None else _chart(digest.chart, digest.times),
        tables=_joined(_table(digest, table) for table in digest.tables),
        facts=_joined(_fill("fact", label=label, text=text) for label, text in digest.facts),
    )


def _question(answered: AnsweredQuestion) -> _Markup:
    return _fill(
        "question",
        question=answered.question,
        text=answered.text,
        commands=_joined(_fill("command", command=each) for each in answered.commands),
    )


# ---- The chart ----


def _chart(chart: Chart, times: TimeFormat) -> _Markup:
    is_missing = min(number for _, number in chart.line) < chart.required_count
    scale = f"{chart.tasks_per_bar} tasks a bar." if chart.tasks_per_bar > 1 else ""
    return _fill(
        "chart",
        bars=_joined(_bar(bar) for bar in chart.bars),
        required=str(chart.required_count),
        missing=_fill("missing_legend") if is_missing else _Markup(),
        levels=_joined(_levels(chart)),
        start=times.instant(chart.started_at),
        length=duration(chart.seconds),
        scale=scale,
    )


def _bar(bar: Bar) -> _Markup:
    drain = _Markup()
    if bar.stopped is not None and bar.gone is not None:
        drain = _fill("drain", cells=_cells([("none", bar.stopped), ("drain", bar.gone)], "none"))
    phases = [("old", 1.0 if bar.stopped is None else bar.stopped)]
    if bar.stopped is not None:
        phases.append(("work", 1.0 if bar.replaced is None else bar.replaced))
    return _fill("bar", label=bar.label, cells=_cells(phases, "new"), drain=drain)


def _levels(chart: Chart) -> Iterable[_Markup]:
    lowest = chart.lowest_by_column(COLUMNS_COUNT)
    for level in chart.levels_of(lowest):
        is_required = level <= chart.required_count
        kinds = (_kind(number, level, is_required=is_required) for number in lowest)
        yield _fill(
            "level",
            label=str(level),
            cells=_joined(
                _cell(kind, 100 * len(list(group)) / COLUMNS_COUNT)
                for kind, group in groupby(kinds)
            ),
        )


def _kind(number: int | None, level: int, *, is_required: bool) -> str:
    if number is None:
        return "none"
    if number >= level:
        return "line"
    return "missing" if is_required else "none"


def _cells(phases: list[tuple[str, float]], rest: str) -> _Markup:
    """Return a cell for each phase, which ends at a share of the whole; ``rest`` fills up."""
    ends = [("", 0.0), *phases, (rest, 1.0)]
    return _joined(
        _cell(kind, 100 * (end - begin))
        for (_, begin), (kind, end) in pairwise(ends)
        if end > begin
    )


def _cell(kind: str, percent: float) -> _Markup:
    return _fill(f"cell_{kind}", percent=f"{percent:.2f}".rstrip("0").rstrip("."))


# ---- The tables ----


def _table(digest: Digest, table: Table) -> _Markup:
    return _fill(
        "table",
        title=table.title,
        columns=_joined(_fill("column", label=label) for label in (table.label, *table.columns)),
        rows=_joined(_row(digest, table, row) for row in table.rows),
        left_out=table.left_out,
    )


def _row(digest: Digest, table: Table, row: Row) -> _Markup:
    remarks = _Markup()
    if row.remarks:
        width = str(len(table.columns) + 1)
        remarks = _fill("remarks", text="\n".join(row.remarks), width=width)
    return _fill(
        "row",
        task=_task(digest, row.task) if table.label == TASK else _linked(row),
        cells=_joined(_fill("cell", text=text) for text in row.cells),
        remarks=remarks,
    )


def _task(digest: Digest, task_id: str) -> _Markup:
    """Return the short id of a task, with a link to its page in the console."""
    url, label = task_url(digest.region, digest.cluster, task_id), short_id(task_id)
    return _fill("task_link", label=label, url=url) if url else _fill("task", label=label)


def _linked(row: Row) -> _Markup:
    """Return the name of a service, with a link to its page in the console."""
    if not row.url:
        return _fill("task", label=row.task)
    return _fill("task_link", label=row.task, url=row.url)
