"""A run as a chart: each task as a bar over time, and below it how many tasks were in service.

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

from ecs_task_recycle.channels.mail.console import short_id
from ecs_task_recycle.report.answer import Answer, AnsweredTask

BARS_LIMIT: Final = 24
LEVELS_LIMIT: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One task, or several in a row: when the first was stopped, the last replaced and gone.

    ``stopped`` is None for a task that was not stopped; ``replaced`` and ``gone`` are None if the
    run has not seen that.
    """

    label: str
    stopped: float | None = None
    replaced: float | None = None
    gone: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """The bars, and how many tasks were in service.

    ``line`` are pairs: from that share of the run on, so many tasks were in service. A bar stands
    for ``tasks_per_bar`` tasks; the run itself does not go below ``required_count``.
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


def chart_of(answer: Answer) -> Chart | None:
    """Return the chart of a run, None if its answer does not say enough."""
    seconds, began_at = answer.duration_seconds, answer.started_at
    if not seconds or began_at is None or answer.required_in_service is None:
        return None
    line = tuple((_within(at_seconds / seconds), count) for at_seconds, count in answer.in_service)
    bars = _bars(answer, began_at.timestamp(), seconds)
    if not line or not any(bar.stopped is not None for bar in bars):
        return None
    tasks_per_bar = math.ceil(len(bars) / BARS_LIMIT)
    return Chart(
        started_at=began_at,
        seconds=seconds,
        bars=bars if tasks_per_bar == 1 else _grouped(bars, tasks_per_bar),
        tasks_per_bar=tasks_per_bar,
        line=line,
        required_count=answer.required_in_service,
    )


def _bars(answer: Answer, began: float, seconds: float) -> tuple[Bar, ...]:
    """Return a bar for each task that the run stopped, in their order, then for those left."""
    bars = [
        _bar(task, task.stopped_at.timestamp() - began, seconds)
        for task in answer.ended_tasks
        if task.stopped_at is not None
    ]
    for index, (bar, following) in enumerate(pairwise(tuple(bars))):
        if bar.replaced is None and bar.stopped is not None and following.stopped is not None:
            # The next one was stopped, so this one was replaced by then.
            bars[index] = replace(bar, replaced=max(bar.stopped, following.stopped))
    return (*bars, *(Bar(label=short_id(arn)) for arn in answer.not_recycled))


def _bar(task: AnsweredTask, stopped: float, seconds: float) -> Bar:
    def after(taken: float | None) -> float | None:
        return None if taken is None else _within((stopped + taken) / seconds)

    return Bar(
        label=short_id(task.task),
        stopped=_within(stopped / seconds),
        replaced=after(task.seconds_to_replace),
        gone=after(task.seconds_to_stop),
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
