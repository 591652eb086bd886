"""One thing to wait for: how long, and how often to poll meanwhile."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

CLOSE_SECONDS: Final = 2.4
"""Between polls when what is awaited may come at any moment."""
SLOWEST_SECONDS: Final = 5.0
"""Between polls at any time but the first half of the shortest wait so far."""
IDLE_SECONDS: Final = 10.0
"""Between polls in that first half."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """One thing to wait for.

    ``deadline_at`` (epoch seconds) is the run's own limit: reaching it is no error.
    ``shortest_seconds`` is the shortest time that it took before. ``is_guarded``: failed starts and
    interference end the wait. ``is_fresh``: it has to hold in a read that is seconds old at most.
    """

    awaited: str
    timeout_seconds: float
    deadline_at: float = math.inf
    shortest_seconds: float = 0.0
    is_guarded: bool = True
    is_fresh: bool = False

    def delay_seconds(self, elapsed_seconds: float) -> float:
        """Return how long to wait for the next poll.

        Close together around the shortest time so far, then ever more slowly; before that only as
        often as a replacement that is quicker than ever, or a failure, has to be noticed.
        """
        until_half = self.shortest_seconds / 2 - elapsed_seconds
        if until_half > 0:
            return min(IDLE_SECONDS, max(CLOSE_SECONDS, until_half))
        until_close = 0.9 * self.shortest_seconds - elapsed_seconds
        if until_close > 0:
            return min(SLOWEST_SECONDS, max(CLOSE_SECONDS, until_close))
        return min(SLOWEST_SECONDS, max(CLOSE_SECONDS, -until_close / 5))
