"""What the world writes down about what was asked of it."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request as it reached the world, retries of a client included.

    `at` is the instant (epoch seconds) at which it took effect or failed; `wrote` says whether it
    changed (or was accepted as changing) anything, whatever the client saw of the answer.
    `error_code` is None for an answer; "NoAnswer" stands for an answer the client never got.
    """

    number: int
    at: float
    service: str
    operation: str
    parameters: Mapping[str, object]
    access_key: str | None
    error_code: str | None = None
    wrote: bool = False


def lowest(history: list[tuple[float, int]], since: float, until: float) -> int:
    """Return the lowest count that held at any instant from `since` to `until`.

    `history` has one (instant, count) per change, the oldest first.
    """
    within = [count for at, count in history if since < at <= until]
    before = [count for at, count in history if at <= since]
    return min([*before[-1:], *within], default=0)
