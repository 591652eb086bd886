"""How many tasks were in service over a run, in few points: a line of steps."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import batched
from typing import Final

from ecs_task_recycle.model import InServicePoint

POINTS_LIMIT: Final = 200


class Timeline:
    """The line so far; each point holds until the next one.

    Past the limit, pairs of points become one with the lower count of both: so the line may show
    too few for a while, but never too many, and its lowest count is the lowest that was seen.
    """

    def __init__(self, points: Iterable[InServicePoint] = ()) -> None:
        """Take what an earlier invocation of the same run has seen."""
        self._points = list(points)

    @property
    def points(self) -> tuple[InServicePoint, ...]:
        """The line, oldest first."""
        return tuple(self._points)

    def add(self, seconds: float, count: int) -> None:
        """Go on with a count that was just seen."""
        if self._points and self._points[-1].count == count:
            return
        self._points.append(InServicePoint(seconds=round(seconds, 1), count=count))
        if len(self._points) > POINTS_LIMIT:
            self._thin_out()

    def _thin_out(self) -> None:
        *earlier, last = self._points
        self._points = []
        for pair in batched(earlier, 2, strict=False):
            self.add(pair[0].seconds, min(point.count for point in pair))
        self.add(last.seconds, last.count)


def lowest(points: Iterable[InServicePoint]) -> int | None:
    """Return the lowest count of a line, None of one without points."""
    return min((point.count for point in points), default=None)
