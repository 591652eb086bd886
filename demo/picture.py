"""Draw the tasks of a run over time: who was in service when, and the line not to be crossed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Final

from demo.palette import Colour, Palette
from demo.record import Level, Phase, lowest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from demo.record import Record, TaskRecord

SYMBOLS: Final[Mapping[Phase, str]] = {
    Phase.STARTING: "·",
    Phase.RUNNING: "▒",
    Phase.IN_SERVICE: "█",
    Phase.LEAVING: "░",
    Phase.GONE: " ",
}
COLOURS: Final[Mapping[Phase, Colour]] = {
    Phase.STARTING: Colour.YELLOW,
    Phase.RUNNING: Colour.YELLOW,
    Phase.IN_SERVICE: Colour.GREEN,
    Phase.LEAVING: Colour.RED,
}
PROTECTED: Final = "◆"
LINE: Final = "━"
CROSSED: Final = "▼"
LABEL_WIDTH: Final = 23
TICK_COLUMNS: Final = 10
STEPS_SECONDS: Final = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0)
HIGHEST_DIGIT: Final = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """The time axis: `count` columns of `seconds` each, the first one beginning at `since`."""

    since: float
    seconds: float
    count: int

    def bounds(self) -> list[tuple[float, float]]:
        """Return the (beginning, end) of each column, in epoch seconds."""
        starts = [self.since + number * self.seconds for number in range(self.count)]
        return [(start, start + self.seconds) for start in starts]


def draw(
    record: Record, *, since: float | None = None, width: int = 100, palette: Palette | None = None
) -> list[str]:
    """Return the picture, a line a row and at most `width` characters wide.

    `since` (epoch seconds): where it begins, the record's beginning if None. A task's row shows its
    phase at each column's beginning; the counts are the lowest within each column, so that no dip
    is too short to be seen.
    """
    palette = palette or Palette()
    columns = columns_of(record.since if since is None else since, record.until, width)
    return [
        _axis(columns),
        *(_task_row(task, columns, palette) for task in record.tasks),
        _row("", "desired count", _digits(record.desired, columns)),
        _row("", "in service", _digits(record.in_service, columns)),
        _line_row(record, columns, palette),
        "",
        *_legend(record, columns, palette),
    ]


def columns_of(since: float, until: float, width: int) -> Columns:
    """Return the finest columns of an even number of seconds that fit into the width."""
    room = width - LABEL_WIDTH
    span = max(until - since, STEPS_SECONDS[0])
    fitting = (step for step in STEPS_SECONDS if math.ceil(span / step) <= room)
    seconds = next(fitting, span / room)
    return Columns(since=since, seconds=seconds, count=math.ceil(span / seconds))


def _row(first: str, second: str, cells: str) -> str:
    label = f"{first:<9}{second:<{LABEL_WIDTH - 9}}"
    return (label + cells).rstrip()


def _axis(columns: Columns) -> str:
    ticks = "".join(
        f"{number * columns.seconds:<{TICK_COLUMNS}g}"
        for number in range(0, columns.count, TICK_COLUMNS)
    )
    return _row("task", "seconds:", ticks[: columns.count])


def _task_row(task: TaskRecord, columns: Columns, palette: Palette) -> str:
    signs = [_sign(task, start) for start, _ in columns.bounds()]
    cells = "".join(
        palette.paint(symbol * len(list(run)), colour) for (symbol, colour), run in groupby(signs)
    )
    return _row(task.short_id, task.role, cells)


def _sign(task: TaskRecord, instant: float) -> tuple[str, Colour | None]:
    phase = task.phase_at(instant)
    if phase is Phase.IN_SERVICE and task.is_protected_at(instant):
        return PROTECTED, Colour.BLUE
    return SYMBOLS[phase], COLOURS.get(phase)


def _counts(levels: tuple[Level, ...], columns: Columns) -> list[int]:
    return [lowest(levels, start, end) for start, end in columns.bounds()]


def _digits(levels: tuple[Level, ...], columns: Columns) -> str:
    counts = _counts(levels, columns)
    return "".join(str(count) if count <= HIGHEST_DIGIT else "+" for count in counts)


def _line_row(record: Record, columns: Columns, palette: Palette) -> str:
    below = [count < record.original_desired_count for count in _counts(record.in_service, columns)]
    cells = "".join(
        palette.paint((CROSSED if is_below else LINE) * len(list(run)), _colour(crossed=is_below))
        for is_below, run in groupby(below)
    )
    return _row("", f"the line at {record.original_desired_count}", cells)


def _colour(*, crossed: bool) -> Colour:
    return Colour.RED if crossed else Colour.BLUE


def _legend(record: Record, columns: Columns, palette: Palette) -> list[str]:
    signs = [
        f"{palette.paint(SYMBOLS[phase], COLOURS[phase])} {phase}"
        for phase in Phase
        if phase is not Phase.GONE
    ]
    return [
        "  ".join([*signs, "(blank) not there"]),
        f"{palette.paint(PROTECTED, Colour.BLUE)} in service, under scale-in protection",
        f"One column is {columns.seconds:g} s. The counts are the lowest within each.",
        _verdict(record, palette),
    ]


def _verdict(record: Record, palette: Palette) -> str:
    line, reached = record.original_desired_count, record.lowest_in_service()
    signs = f"{LINE} the original desired count, {line}; lowest in service: {reached}."
    if reached >= line:
        return f"{signs} {palette.paint('The line was never crossed.', Colour.GREEN)}"
    seconds = seconds_below(record.in_service, line, record.until)
    told = f"The line was CROSSED ({CROSSED}), for {seconds:.1f} s."
    return f"{signs} {palette.paint(told, Colour.RED)}"


def seconds_below(levels: Sequence[Level], line: int, until: float) -> float:
    """Return for how many seconds the count was below the line."""
    ends = [*(level.at for level in levels[1:]), until]
    held = zip(levels, ends, strict=True)
    return sum(end - level.at for level, end in held if level.count < line)
