"""The text part of a mail: plain ASCII, except for words of AWS and of the configuration."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ecs_task_recycle.channels.mail.chart import Bar, Chart
from ecs_task_recycle.channels.mail.digest import Digest
from ecs_task_recycle.channels.mail.questions import AnsweredQuestion
from ecs_task_recycle.channels.mail.tables import Row, Table
from ecs_task_recycle.channels.mail.times import TimeFormat, duration

COLUMNS_COUNT: Final = 60
LABEL_WIDTH: Final = 10

LEGEND: Final = ". old task in service   # being replaced   = replaced"
LEVEL_LEGEND: Final = "# in service   ! missing"


def as_text(digest: Digest) -> str:
    """Return the whole text."""
    parts = [
        digest.headline,
        "\n".join(_question(each) for each in digest.questions),
        "\n".join(f"{link.label}: {link.url}" for link in digest.links),
        _chart(digest.chart, digest.times) if digest.chart is not None else "",
        *(_table(table) for table in digest.tables),
        "\n".join(f"{label}: {text}" for label, text in digest.facts),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _question(answered: AnsweredQuestion) -> str:
    text = "\n".join(filter(None, (answered.text, *answered.commands)))
    return f"{answered.question} {text}"


# ---- The chart ----


def _chart(chart: Chart, times: TimeFormat) -> str:
    per_bar = f"; {chart.tasks_per_bar} tasks a bar" if chart.tasks_per_bar > 1 else ""
    title = (
        f"The run, from {times.instant(chart.started_at)} on; "
        f"each column is {duration(chart.seconds / COLUMNS_COUNT)}{per_bar}"
    )
    service = f"Tasks in service, {chart.required_count} required; each column shows its lowest"
    return "\n".join(
        [title, LEGEND, *map(_bar, chart.bars), service, LEVEL_LEGEND, *_levels(chart)]
    )


def _bar(bar: Bar) -> str:
    return _line(bar.label, "".join(_phase(bar, column) for column in range(COLUMNS_COUNT)))


def _phase(bar: Bar, column: int) -> str:
    """Return the character for a column; replacing wins over other phases."""
    begin, end = column / COLUMNS_COUNT, (column + 1) / COLUMNS_COUNT
    if bar.stopped is None or end <= bar.stopped:
        return "."
    return "#" if bar.replaced is None or begin < bar.replaced else "="


def _levels(chart: Chart) -> Iterable[str]:
    lowest = chart.lowest_by_column(COLUMNS_COUNT)
    for level in chart.levels_of(lowest):
        is_required = level <= chart.required_count
        signs = (_filled(number, level, is_required=is_required) for number in lowest)
        yield _line(str(level), "".join(signs))


def _filled(number: int | None, level: int, *, is_required: bool) -> str:
    if number is None:
        return " "
    if number >= level:
        return "#"
    return "!" if is_required else " "


def _line(label: str, signs: str) -> str:
    return f"{label:>{LABEL_WIDTH}} |{signs}|"


# ---- The tables ----


def _table(table: Table) -> str:
    rows = (_row(table, row) for row in table.rows)
    return "\n".join(filter(None, [table.title, *rows, table.left_out]))


def _row(table: Table, row: Row) -> str:
    known = (
        f"{label}: {text}" for label, text in zip(table.columns, row.cells, strict=True) if text
    )
    rest = ("; ".join(known), *row.remarks)
    return "\n  ".join([f"- {row.task}", *filter(None, rest)])
