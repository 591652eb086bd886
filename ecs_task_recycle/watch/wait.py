"""One thing to wait for: how long, and how often to poll meanwhile."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

CLOSE_SECONDS: Final = 2.6
"""Between polls when what is awaited may come at any moment."""
SLOWEST_SECONDS: Final = 5.0
"""Between polls at any time but the first half of the shortest start so far."""
IDLE_SECONDS: Final = 15.0
"""Between polls in that first half: as often as a failure or a deployment has to be noticed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """One thing to wait for.

    ``deadline_at`` (epoch seconds) is the run's own limit: reaching it is no error.
    ``is_guarded``: failed starts and interference end the wait. ``is_fresh``: it has to hold in a
    read that is seconds old at most.
    """

    awaited: str
    timeout_seconds: float
    deadline_at: float = math.inf
    is_guarded: bool = True
    is_fresh: bool = False


def delay_seconds(elapsed_seconds: float, shortest_seconds: float) -> float:
    """Return how long to wait for the next poll, so long after what takes ``shortest_seconds``.

    Close together around the shortest time so far, which was noticed a little late itself, then
    ever more slowly; in the first half of it only as often as anything else has to be noticed.
    """
    until_half = shortest_seconds / 2 - elapsed_seconds
    if until_half > 0:
        return min(IDLE_SECONDS, max(CLOSE_SECONDS, until_half))
    until_close = shortest_seconds - CLOSE_SECONDS / 4 - elapsed_seconds
    if until_close > 0:
        return min(SLOWEST_SECONDS, max(CLOSE_SECONDS, until_close))
    return min(SLOWEST_SECONDS, max(CLOSE_SECONDS, -until_close / 5))
