"""What was seen, as figures: how long AWS took from one thing to another."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from verify_aws.load import Received
    from verify_aws.observer import Watched, WatchedTask

STOPPED_BY_CALL: Final = "UserInitiated"
SKEW_SECONDS: Final = 2.0
"""Below this the clocks are taken for the same: AWS's is known to the second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A duration that was measured some times.

    `behaviour`: the row of the tables in docs/emulator.md that it belongs to.
    """

    name: str
    behaviour: str
    seconds: tuple[float, ...]

    def __str__(self) -> str:
        if not self.seconds:
            return "not seen"
        if len(self.seconds) == 1:
            return f"{self.seconds[0]:.1f} s"
        lowest, highest = min(self.seconds), max(self.seconds)
        return f"{lowest:.1f} / {median(self.seconds):.1f} / {highest:.1f} s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A task that was stopped by a call, and the one that came in its place."""

    stopped: WatchedTask
    replacement: WatchedTask | None


def pairs(watched: Watched) -> list[Pair]:
    """Return the tasks stopped by calls, each with the first task created after it, in order."""
    tasks = watched.tasks.values()
    stopped = [(at, each) for each in tasks if (at := _stopped_by_call_at(each)) is not None]
    created = sorted(tasks, key=lambda each: each.created_at)
    found = []
    for at, task in sorted(stopped, key=lambda each: each[0]):
        replacement = next((each for each in created if each.created_at >= at), None)
        if replacement is not None:
            created.remove(replacement)
        found.append(Pair(stopped=task, replacement=replacement))
    return found


def _stopped_by_call_at(task: WatchedTask) -> float | None:
    return task.stopping_at if task.stop_code == STOPPED_BY_CALL else None


def figures(
    watched: Watched, ahead_seconds: float, runs: Sequence[tuple[float, float]]
) -> list[Figure]:
    """Return the figures of a service.

    `ahead_seconds`: how far the observer's clock is ahead; `runs`: from when to when an undisturbed
    run recycled it, in epoch seconds of that clock.
    """
    found = pairs(watched)
    ahead = ahead_seconds if abs(ahead_seconds) > SKEW_SECONDS else 0.0
    return [
        *_of_ends(found, ahead),
        *_of_replacements(found, ahead),
        _pace(found, [(began - ahead, ended - ahead) for began, ended in runs]),
    ]


def _of_ends(found: list[Pair], ahead: float) -> list[Figure]:
    stopped = [each.stopped for each in found]
    drain, phases = "Drain or SIGTERM first on StopTask", "Other phases of an end"
    begun = [each.stopping_at for each in stopped]

    def seen(state: str) -> list[float | None]:
        return [_by_aws(each.first_seen.get(state), ahead) for each in stopped]

    return [
        _figure("StopTask to the target seen draining", drain, begun, seen("target draining")),
        _figure("StopTask to the stop signal, by the container's log", drain, begun,
                [each.signal_at for each in stopped]),
        _figure("StopTask to the end of the container", phases, begun,
                [each.execution_stopped_at for each in stopped]),
        _figure("StopTask to STOPPED", phases, begun, [each.stopped_at for each in stopped]),
    ]  # fmt: skip


def _of_replacements(found: list[Pair], ahead: float) -> list[Figure]:
    whole = [(each.stopped, each.replacement) for each in found if each.replacement is not None]
    begun = [old.stopping_at for old, _ in whole]
    created = [new.created_at for _, new in whole]
    started = [new.started_at for _, new in whole]
    served = [_by_aws(new.first_seen.get("in service"), ahead) for _, new in whole]
    replaced, starts = "When a stopped task is replaced", "Phases of a start"
    return [
        _figure("StopTask to the replacement's creation", replaced, begun, created),
        _figure("STOPPED to the replacement's creation (negative: before)", replaced,
                [old.stopped_at for old, _ in whole], created),
        _figure("The replacement's creation to its start", starts, created, started),
        _figure("The replacement's start to in service", "Health after the start", started, served),
        _figure("StopTask to the replacement in service", replaced, begun, served),
    ]  # fmt: skip


def _pace(found: list[Pair], runs: list[tuple[float, float]]) -> Figure:
    at = [each.stopped.stopping_at or 0.0 for each in found]
    of_runs = [[each for each in at if began <= each <= ended] for began, ended in runs]
    return Figure(
        name="From one stop of a run to the next",
        behaviour="When a stopped task is replaced",
        seconds=tuple(later - before for stops in of_runs for before, later in pairwise(stops)),
    )


def _by_aws(at: float | None, ahead: float) -> float | None:
    return None if at is None else at - ahead


def _figure(
    name: str, behaviour: str, begun: Iterable[float | None], ended: Iterable[float | None]
) -> Figure:
    """Return the times between two series of instants, where both are known."""
    both = [(a, b) for a, b in zip(begun, ended, strict=True) if a is not None and b is not None]
    return Figure(name=name, behaviour=behaviour, seconds=tuple(b - a for a, b in both))


def since_stop(answer: Received, watched: Watched, ahead_seconds: float) -> float | None:
    """Return how long after the last StopTask a request was made, None if there was none."""
    ahead = ahead_seconds if abs(ahead_seconds) > SKEW_SECONDS else 0.0
    at = answer.at - ahead
    before = [
        stopped_at
        for each in watched.tasks.values()
        if (stopped_at := _stopped_by_call_at(each)) is not None and stopped_at <= at
    ]
    return at - max(before) if before else None
