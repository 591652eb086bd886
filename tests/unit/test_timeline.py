"""The line of tasks in service: few points, and never a low that is lost."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import TYPE_CHECKING

from hypothesis import example, given
from hypothesis import strategies as st

from ecs_task_recycle.watch.timeline import POINTS_LIMIT, Timeline, lowest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ecs_task_recycle.model import InServicePoint


def count_at(points: Sequence[InServicePoint], seconds: float) -> int:
    return next(each.count for each in reversed(points) if each.seconds <= seconds)


@given(size=st.integers(1, 2000), seed=st.integers())
@example(size=2000, seed=0)
def test_a_line_has_few_points_keeps_its_lowest_and_never_shows_too_many(
    size: int, seed: int
) -> None:
    rng = random.Random(seed)
    # Lists of Hypothesis are hardly ever long enough to be thinned out.
    counts = [rng.choices(range(10), weights=[1, 1, *[20] * 8])[0] for _ in range(size)]
    line = Timeline()
    for seconds, count in enumerate(counts):
        line.add(seconds, count)
    assert len(line.points) <= POINTS_LIMIT
    assert lowest(line.points) == min(counts)
    assert all(count_at(line.points, at) <= count for at, count in enumerate(counts))
    assert all(one.count != other.count for one, other in pairwise(line.points))
    assert all(one.seconds < other.seconds for one, other in pairwise(line.points))


def test_a_short_line_shows_every_change_and_where_it_stands() -> None:
    line = Timeline()
    for seconds, count in ((0.04, 3), (5.0, 3), (12.34, 4), (20.0, 3)):
        line.add(seconds, count)
    points = [(each.seconds, each.count) for each in line.points]
    assert points == [(0.0, 3), (12.3, 4), (20.0, 3)]


def test_a_line_goes_on_from_what_an_earlier_invocation_has_seen() -> None:
    first = Timeline()
    first.add(0.0, 3)
    second = Timeline(first.points)
    second.add(900.0, 4)
    assert [each.count for each in second.points] == [3, 4]


def test_of_no_points_nothing_is_the_lowest() -> None:
    assert lowest(Timeline().points) is None
