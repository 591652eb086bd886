"""When the service is read again while a run waits: the only place that decides that."""

from __future__ import annotations

from typing import Final

from ecs_task_recycle.watch.memory import ServiceMemory

SHORTEST_SECONDS: Final = 0.5
NEAR_SECONDS: Final = 4.0
"""The longest pause between two reads while a new task may come into service."""
FAR_SECONDS: Final = 10.0
"""The longest pause at any time: failed starts and deployments are noticed by the next read."""
USUAL_START_SECONDS: Final = 10.0
"""What a start is taken to last where no task of the service shows how long its own took."""


def seconds_to_next_read(memory: ServiceMemory, now: float, *, waited_seconds: float) -> float:
    """Return how long to pause after a read, by what the reads have shown.

    There are two beats: near while a new task may come into service, far while it cannot yet. The
    measure is the quickest start that the service's tasks show. A new task is far from service in
    the first half of that time, and while it has no name yet. Both beats become slower the longer
    there was nothing to see. ``now`` is in epoch seconds.
    """
    ages_seconds = memory.coming_task_ages(now)
    if not ages_seconds and not memory.lacks_tasks:
        return NEAR_SECONDS
    half_start_seconds = (memory.quickest_start_seconds or USUAL_START_SECONDS) / 2
    age_seconds = max(ages_seconds, default=0.0)
    if age_seconds < half_start_seconds:
        return _within(FAR_SECONDS, max(half_start_seconds, waited_seconds / 10))
    return _within(NEAR_SECONDS, age_seconds / 4)


def _within(longest: float, seconds: float) -> float:
    return min(longest, max(SHORTEST_SECONDS, seconds))
