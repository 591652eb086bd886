"""How each task went, and the numbers of a run, as tables for any channel that can show them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from ecs_task_recycle.channels.mail.console import region_of, short_id, task_id
from ecs_task_recycle.channels.mail.times import TimeFormat, age, duration
from ecs_task_recycle.codec import Json
from ecs_task_recycle.report.answer import Answer, AnsweredTask, SkippedTask
from ecs_task_recycle.text import one_line

SHOWN_ROWS_COUNT: Final = 50
TASK: Final = "Task"

TASK_COLUMNS: Final = ("Replacement", "Age", "Zone", "Replaced in", "Gone after", "Exit code")
SKIPPED_COLUMNS: Final = ("Until",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One task: its id, its cells (some may be empty), and remarks below them.

    Or one service of a sweep, whose page is at ``url``.
    """

    task: str
    cells: tuple[str, ...]
    remarks: tuple[str, ...] = ()
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One row per task; ``all_count`` includes the tasks whose rows are left out.

    ``label`` stands above the first column.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    all_count: int
    label: str = TASK

    @property
    def left_out(self) -> str:
        """A sentence that counts the rows that are left out, empty if there are none."""
        hidden_count = self.all_count - len(self.rows)
        return f"... and {hidden_count} more: the log names them all." if hidden_count else ""


def tables(answer: Answer, times: TimeFormat) -> tuple[Table, ...]:
    """Return the recycled and the skipped tasks."""
    found = (
        _table("Tasks", TASK_COLUMNS, [_ended(task) for task in answer.ended_tasks]),
        _table(
            "Skipped tasks", SKIPPED_COLUMNS, [_skipped(task, times) for task in answer.skipped]
        ),
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
    """Return the rows that are shown, in their order; rows with remarks have precedence."""
    numbers = sorted(range(len(all_rows)), key=lambda number: not all_rows[number].remarks)
    return (all_rows[number] for number in sorted(numbers[:SHOWN_ROWS_COUNT]))


def _ended(task: AnsweredTask) -> Row:
    remarks = (
        one_line(task.exit_verdict),
        _labelled("was not in service", task.not_in_service),
        _labelled("still stopping", task.still_stopping),
        one_line(task.note),
    )
    return Row(
        task=task_id(task.task),
        cells=(
            short_id(task.replacement),
            age(task.started_at, task.stopped_at),
            _zone(task),
            duration(task.seconds_to_replace),
            duration(task.seconds_to_stop),
            _number(task.exit_code),
        ),
        remarks=tuple(filter(None, remarks)),
    )


def _zone(task: AnsweredTask) -> str:
    """Return a task's zone without the region, which is the same for all: 1a of us-east-1a."""
    region = region_of(task.task) or ""
    return one_line(task.zone).removeprefix(region[: region.rfind("-") + 1])


def _skipped(task: SkippedTask, times: TimeFormat) -> Row:
    return Row(
        task=task_id(task.task),
        cells=(times.instant(task.until),),
        remarks=(one_line(task.reason),),
    )


def _labelled(label: str, text: str | None) -> str:
    return f"{label}: {one_line(text)}" if text else ""


def _number(number: int | None) -> str:
    return "" if number is None else str(number)


# ---- The details ----


def facts(answer: Answer, times: TimeFormat) -> tuple[tuple[str, str], ...]:
    """Return the numbers of a run: pairs of a label and a text."""
    pairs = (*_numbers(answer), *_capacity(answer), *_times(answer, times))
    return tuple((label, text) for label, text in pairs if text)


def _numbers(answer: Answer) -> list[tuple[str, str]]:
    return [
        ("Cluster", one_line(answer.cluster)),
        ("Service", one_line(answer.service)),
        ("Parameters", _parameters(answer)),
        ("Status", answer.status.value),
        ("Error", one_line(answer.error)),
        ("Tasks recycled", _number(answer.tasks_recycled)),
        ("Tasks remaining", _not_recycled(answer)),
        ("Original desired count", _number(answer.original_desired_count)),
        ("Required in service", _number(answer.required_in_service)),
        ("Lowest in service", _number(answer.lowest_in_service)),
        ("Remarks", "\n".join(map(one_line, answer.remarks or ()))),
    ]


def _parameters(answer: Answer) -> str:
    return "; ".join(f"{name} {_parameter(value)}" for name, value in answer.parameters.items())


def _parameter(value: Json) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    entries = value if isinstance(value, list) else [value]
    return ", ".join(one_line(str(entry)) for entry in entries)


def _not_recycled(answer: Answer) -> str:
    arns = answer.not_recycled
    if not arns:
        return ""
    hidden_count = len(arns) - SHOWN_ROWS_COUNT
    more = f" and {hidden_count} more" if hidden_count > 0 else ""
    return f"{len(arns)}: {', '.join(map(short_id, arns[:SHOWN_ROWS_COUNT]))}{more}"


def _capacity(answer: Answer) -> list[tuple[str, str]]:
    if answer.capacity is None:
        return []
    found, now = answer.capacity.found, answer.capacity.now
    return [
        ("Desired count", _found_and_now(found.desired_count, now.desired_count)),
        ("Min capacity", _found_and_now(found.min_capacity, now.min_capacity)),
        ("Max capacity", _found_and_now(found.max_capacity, now.max_capacity)),
        ("Left alone", "\n".join(map(one_line, answer.capacity.left_alone))),
    ]


def _found_and_now(found: int | None, now: int | None) -> str:
    if found is None and now is None:
        return ""
    verdict = "as found" if found == now else "NOT as found"
    return f"found {_number(found) or '?'}, now {_number(now) or '?'} ({verdict})"


def _times(answer: Answer, times: TimeFormat) -> list[tuple[str, str]]:
    zone = times.unknown_zone
    return [
        ("Started before", times.instant(answer.started_before)),
        ("Duration", duration(answer.duration_seconds)),
        ("Finished", times.instant(answer.timestamp)),
        ("Time zone", f"{zone} is not known to this function" if zone else ""),
        ("Invocations", _number(answer.segments)),
        ("Run", one_line(answer.run_id)),
    ]
