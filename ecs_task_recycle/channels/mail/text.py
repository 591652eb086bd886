"""The text part of a mail: plain ASCII but for what AWS and the configuration say themselves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ecs_task_recycle.channels.mail.chart import Bar, Picture
from ecs_task_recycle.channels.mail.digest import Digest
from ecs_task_recycle.channels.mail.tables import Row, Table
from ecs_task_recycle.channels.mail.times import duration
from ecs_task_recycle.channels.mail.verdict import Verdict

COLUMNS_COUNT: Final = 60
LABEL_WIDTH: Final = 10

LEGEND: Final = ". old task in service   # being replaced   = replaced"
LEVEL_LEGEND: Final = "# in service   ! missing"


def as_text(digest: Digest) -> str:
    """Return the whole text."""
    parts = [
        digest.headline,
        "\n".join(_verdict(each) for each in digest.verdicts),
        "\n".join(f"{link.label}: {link.url}" for link in digest.links),
        _picture(digest) if digest.picture is not None else "",
        *(_table(table) for table in digest.tables),
        "\n".join(f"{label}: {text}" for label, text in digest.facts),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _verdict(verdict: Verdict) -> str:
    text = "\n".join(filter(None, (verdict.text, *verdict.commands)))
    return f"{verdict.question} {text}"


# ---- The picture ----


def _picture(digest: Digest) -> str:
    drawn = digest.picture
    if drawn is None:
        return ""
    per_bar = f"; {drawn.tasks_per_bar} tasks a bar" if drawn.tasks_per_bar > 1 else ""
    title = (
        f"The run, from {digest.times.instant(drawn.started_at.isoformat())} on; "
        f"each column is {duration(drawn.seconds / COLUMNS_COUNT)}{per_bar}"
    )
    service = f"Tasks in service, {drawn.required_count} required; each column shows its lowest"
    return "\n".join(
        [title, LEGEND, *map(_bar, drawn.bars), service, LEVEL_LEGEND, *_levels(drawn)]
    )


def _bar(bar: Bar) -> str:
    return _line(bar.label, "".join(_phase(bar, column) for column in range(COLUMNS_COUNT)))


def _phase(bar: Bar, column: int) -> str:
    """Return the sign of a column: of what happened in it, the replacing before the rest."""
    begin, end = column / COLUMNS_COUNT, (column + 1) / COLUMNS_COUNT
    if bar.stopped is None or end <= bar.stopped:
        return "."
    return "#" if bar.replaced is None or begin < bar.replaced else "="


def _levels(drawn: Picture) -> Iterable[str]:
    lowest = drawn.lowest_by_column(COLUMNS_COUNT)
    for level in drawn.levels_of(lowest):
        is_required = level <= drawn.required_count
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
