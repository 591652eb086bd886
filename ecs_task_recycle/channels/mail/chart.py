"""A run as a picture: each task as a bar over time, and below it how many tasks were in service.

Everything lies between 0 (the start of the run) and 1 (its end); how that is drawn is up to the
channel.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import batched, pairwise
from typing import Final

from ecs_task_recycle.channels.mail.body import (
    Body,
    count,
    instant,
    left_arns,
    number,
    rows,
    sequence,
    short_id,
    started_at,
)

BARS_LIMIT: Final = 24
LEVELS_LIMIT: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One task, or several in a row: when the first was stopped, the last replaced and gone.

    ``stopped`` is None for a task that was left as it was, ``replaced`` and ``gone`` for one of
    which the run has not seen that.
    """

    label: str
    stopped: float | None = None
    replaced: float | None = None
    gone: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """The bars, and the line of tasks in service: pairs of where a number begins, and the number.

    A bar stands for ``tasks_per_bar`` tasks; ``required_count`` is what the run does not go below.
    """

    started_at: datetime
    seconds: float
    bars: tuple[Bar, ...]
    tasks_per_bar: int
    line: tuple[tuple[float, int], ...]
    required_count: int

    def levels_of(self, lowest_by_column: Iterable[int | None]) -> tuple[int, ...]:
        """Return the numbers that are drawn as a level of their own, the highest first."""
        known = (each for each in lowest_by_column if each is not None)
        numbers = [self.required_count, *known]
        highest, lowest = max(numbers), max(1, min(numbers))
        step = max(1, math.ceil((highest - lowest) / (LEVELS_LIMIT - 1)))
        levels = {*range(highest, lowest - 1, -step), self.required_count}
        return tuple(sorted((each for each in levels if each > 0), reverse=True))

    def lowest_by_column(self, columns: int) -> list[int | None]:
        """Return the lowest number in service in each of so many equal parts of the run."""
        lowest: list[int | None] = [None] * columns
        ends = [*(begin for begin, _ in self.line[1:]), 1.0]
        for (begin, in_service), end in zip(self.line, ends, strict=True):
            first = min(int(begin * columns), columns - 1)
            for column in range(first, max(math.ceil(end * columns), first + 1)):
                known = lowest[column]
                lowest[column] = in_service if known is None else min(known, in_service)
        return lowest


def picture(body: Body) -> Picture | None:
    """Return the picture of a run, None where its body does not say enough."""
    seconds, begin_at = number(body.get("duration_seconds")), started_at(body)
    required_count = count(body.get("required_in_service"))
    if not seconds or begin_at is None or required_count is None:
        return None
    line, bars = _line(body, seconds), _bars(body, begin_at.timestamp(), seconds)
    if not line or not any(bar.stopped is not None for bar in bars):
        return None
    tasks_per_bar = math.ceil(len(bars) / BARS_LIMIT)
    return Picture(
        started_at=begin_at,
        seconds=seconds,
        bars=bars if tasks_per_bar == 1 else _grouped(bars, tasks_per_bar),
        tasks_per_bar=tasks_per_bar,
        line=line,
        required_count=required_count,
    )


def _line(body: Body, seconds: float) -> tuple[tuple[float, int], ...]:
    pairs = [sequence(pair) for pair in sequence(body.get("in_service"))]
    found = [(number(pair[0]), count(pair[1])) for pair in pairs if len(pair) == 2]  # noqa: PLR2004
    known = sorted((at, each) for at, each in found if at is not None and each is not None)
    return tuple((min(1.0, at / seconds), each) for at, each in known)


def _bars(body: Body, started: float, seconds: float) -> tuple[Bar, ...]:
    """Return a bar for each task that the run stopped, in their order, then for those left."""
    bars = []
    for row in rows(body, "tasks"):
        stopped_at = instant(row.get("stopped_at"))
        if stopped_at is not None:
            bars.append(_bar(row, stopped_at.timestamp() - started, seconds))
    for index, (bar, following) in enumerate(pairwise(tuple(bars))):
        if bar.replaced is None and bar.stopped is not None and following.stopped is not None:
            # The next one was stopped, so this one was replaced by then.
            bars[index] = replace(bar, replaced=max(bar.stopped, following.stopped))
    return (*bars, *(Bar(label=short_id(arn)) for arn in left_arns(body)))


def _bar(row: Body, stopped: float, seconds: float) -> Bar:
    def after(key: str) -> float | None:
        taken = number(row.get(key))
        return None if taken is None else _within((stopped + max(0.0, taken)) / seconds)

    return Bar(
        label=short_id(row.get("task")),
        stopped=_within(stopped / seconds),
        replaced=after("seconds_to_replace"),
        gone=after("seconds_to_stop"),
    )


def _within(share: float) -> float:
    return min(1.0, max(0.0, share))


def _grouped(bars: Sequence[Bar], size: int) -> tuple[Bar, ...]:
    return tuple(
        _group(group, 1 + index * size)
        for index, group in enumerate(batched(bars, size, strict=False))
    )


def _group(group: Sequence[Bar], first_number: int) -> Bar:
    stops = [bar.stopped for bar in group if bar.stopped is not None]
    replaced = [bar.replaced for bar in group if bar.replaced is not None]
    gone = [bar.gone for bar in group if bar.gone is not None]
    last_number = first_number + len(group) - 1
    return Bar(
        label=f"{first_number}-{last_number}" if len(group) > 1 else str(first_number),
        stopped=min(stops, default=None),
        replaced=max(replaced) if len(replaced) == len(group) else None,
        gone=max(gone) if len(gone) == len(group) else None,
    )
