"""Which task went how, and the numbers of a run, as tables: for any channel that can show one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from ecs_task_recycle.channels.mail.body import (
    Body,
    left_arns,
    mapping,
    one_line,
    recycled_count,
    rows,
    sequence,
    short_id,
    task_id,
)
from ecs_task_recycle.channels.mail.console import region_of
from ecs_task_recycle.channels.mail.times import TimeFormat, age, duration

SHOWN_ROWS_COUNT: Final = 50

TASK_COLUMNS: Final = ("Replacement", "Age", "Zone", "Replaced in", "Gone after", "Exit code")
SKIPPED_COLUMNS: Final = ("Until",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One task: its id, its cells (they may be empty), and what else is to be said of it."""

    task: str
    cells: tuple[str, ...]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One row a task; ``all_count`` counts those left out, too."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    all_count: int

    @property
    def left_out(self) -> str:
        """How many rows are not shown, empty if all are."""
        hidden_count = self.all_count - len(self.rows)
        return f"... and {hidden_count} more: the log names them all." if hidden_count else ""


def tables(body: Body, times: TimeFormat) -> tuple[Table, ...]:
    """Return the recycled and the skipped tasks."""
    recycled = [_recycled(row) for row in rows(body, "tasks")]
    skipped = [_skipped(row, times) for row in rows(body, "skipped")]
    found = (
        _table("Tasks", TASK_COLUMNS, recycled),
        _table("Skipped tasks", SKIPPED_COLUMNS, skipped),
    )
    return tuple(table for table in found if table.rows)


def _table(title: str, columns: tuple[str, ...], all_rows: Sequence[Row]) -> Table:
    return Table(
        title=f"{title} ({len(all_rows)})",
        columns=columns,
        rows=tuple(_shown(all_rows)),
        all_count=len(all_rows),
    )


def _shown(all_rows: Sequence[Row]) -> Iterable[Row]:
    """Return as many rows as are shown, in their order: those with remarks before others."""
    numbers = sorted(range(len(all_rows)), key=lambda number: not all_rows[number].remarks)
    return (all_rows[number] for number in sorted(numbers[:SHOWN_ROWS_COUNT]))


def _recycled(row: Body) -> Row:
    stopping = one_line(row.get("still_stopping"))
    remarks = (
        one_line(row.get("exit_verdict")),
        _labelled("was not in service", row.get("not_in_service")),
        _labelled("still stopping", stopping),
        one_line(row.get("note")),
    )
    return Row(
        task=task_id(row.get("task")),
        cells=(
            short_id(row.get("replacement")),
            age(row.get("started_at"), row.get("stopped_at")),
            _zone(row),
            duration(row.get("seconds_to_replace")),
            duration(row.get("seconds_to_stop")),
            one_line(row.get("exit_code")),
        ),
        remarks=tuple(filter(None, remarks)),
    )


def _zone(row: Body) -> str:
    """Return a task's zone without the region, which is the same for all: 1a of us-east-1a."""
    zone, region = one_line(row.get("zone")), region_of(one_line(row.get("task"))) or ""
    return zone.removeprefix(region[: region.rfind("-") + 1])


def _skipped(row: Body, times: TimeFormat) -> Row:
    reason = one_line(row.get("reason"))
    return Row(
        task=task_id(row.get("task")),
        cells=(times.instant(row.get("until")),),
        remarks=(reason,) if reason else (),
    )


def _labelled(label: str, value: object) -> str:
    text = one_line(value)
    return f"{label}: {text}" if text else ""


def facts(body: Body, times: TimeFormat) -> tuple[tuple[str, str], ...]:
    """Return the numbers of a run: pairs of a label and a text."""
    pairs = (*_numbers(body), *_capacity(body), *_times(body, times))
    return tuple((label, text) for label, text in pairs if text)


def _numbers(body: Body) -> list[tuple[str, str]]:
    return [
        ("Cluster", one_line(body.get("cluster"))),
        ("Service", one_line(body.get("service"))),
        ("Parameters", _parameters(body)),
        ("Status", one_line(body.get("status"))),
        ("Error", one_line(body.get("error"))),
        ("Tasks recycled", one_line(recycled_count(body))),
        ("Tasks left", _left(body)),
        ("Original desired count", one_line(body.get("original_desired_count"))),
        ("Required in service", one_line(body.get("required_in_service"))),
        ("Lowest in service", one_line(body.get("lowest_in_service"))),
        ("Remarks", "\n".join(one_line(each) for each in sequence(body.get("remarks")))),
    ]


def _parameters(body: Body) -> str:
    given = mapping(body.get("parameters"))
    return "; ".join(f"{one_line(name)} {_parameter(value)}" for name, value in given.items())


def _parameter(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(map(one_line, sequence(value))) or one_line(value)


def _left(body: Body) -> str:
    arns = left_arns(body)
    if not arns:
        return ""
    hidden_count = len(arns) - SHOWN_ROWS_COUNT
    more = f" and {hidden_count} more" if hidden_count > 0 else ""
    return f"{len(arns)}: {', '.join(short_id(arn) for arn in arns[:SHOWN_ROWS_COUNT])}{more}"


def _capacity(body: Body) -> list[tuple[str, str]]:
    capacity = mapping(body.get("capacity"))
    found, now = mapping(capacity.get("found")), mapping(capacity.get("now"))
    labels = ("Desired count", "Min capacity", "Max capacity")
    keys = ("desired_count", "min_capacity", "max_capacity")
    pairs = [
        (label, _found_and_now(one_line(found.get(key)), one_line(now.get(key))))
        for label, key in zip(labels, keys, strict=True)
    ]
    sentences = sequence(capacity.get("left_alone"))
    return [*pairs, ("Left alone", "\n".join(one_line(each) for each in sentences))]


def _found_and_now(found: str, now: str) -> str:
    if not found and not now:
        return ""
    verdict = "as found" if found == now else "NOT as found"
    return f"found {found or '?'}, now {now or '?'} ({verdict})"


def _times(body: Body, times: TimeFormat) -> list[tuple[str, str]]:
    return [
        ("Started before", times.instant(body.get("started_before"))),
        ("Duration", duration(body.get("duration_seconds"))),
        ("Finished", times.instant(body.get("timestamp"))),
        (
            "Time zone",
            f"{name} is not known to this function" if (name := times.unknown_zone) else "",
        ),
        ("Invocations", one_line(body.get("segments"))),
        ("Run", one_line(body.get("run_id"))),
    ]
