"""How long the tasks of a service take to start."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ecs_task_recycle.model import Original


def quickest_start_seconds(tasks: Iterable[Original]) -> float:
    """Return how long the quickest of the tasks took from its creation to RUNNING."""
    taken = [each.seconds_to_start for each in tasks]
    return min((seconds for seconds in taken if seconds is not None), default=0.0)
