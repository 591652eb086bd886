"""The run record: one per service, that is lock, journal and progress in one.

Taking it, taking it over from a dead run, renewing and closing it are one conditional write each:
owner and version must be those that were seen. A run that is no longer the owner stops nothing and
restores nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from ecs_task_recycle.codec import OMIT_NONE, Json
from ecs_task_recycle.model import (
    Original,
    Plan,
    Protection,
    ScaleUp,
    Selection,
    TaskResult,
)
from ecs_task_recycle.record.progress import Interrupted, Progress
from ecs_task_recycle.task import Seen

LONGEST_LIFE: Final = timedelta(days=15)
"""A run may wait for 14 days until its window opens: see ``settings.window.LONGEST_AHEAD``."""


OUTCOMES_LIMIT: Final = 20
"""How many runs of a service its record tells of."""


class RecordState(StrEnum):
    """Where the run of a record stands.

    ``HANDED_OVER``: between two invocations. ``UNRESTORED``: it ended with its capacity raised.
    """

    RUNNING = "running"
    HANDED_OVER = "handed_over"
    UNRESTORED = "unrestored"
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """What a run remembers of its work, so that another invocation can go on with it.

    ``plan`` is None while an interrupted run is healed. ``seen`` is what its watch has seen; the
    other fields are those of the run's progress.
    """

    plan: Plan | None = None
    earlier: tuple[Original, ...] = ()
    results: tuple[TaskResult, ...] = ()
    protected: tuple[Protection, ...] = ()
    seen: Seen = field(default_factory=Seen)
    raised_at: datetime | None = None
    seconds_to_start: float | None = None
    interrupted: Interrupted | None = None
    opens_at: datetime | None = None
    restoring_since_at: datetime | None = field(default=None, metadata=OMIT_NONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRun:
    """How a run of the service has ended."""

    run_id: str
    ended_at: datetime
    status: str
    tasks_recycled: int
    reason: str | None = field(default=None, metadata=OMIT_NONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """One service's record.

    ``owner`` is unique to one invocation, as AWS may deliver one request twice; after
    ``owner_dead_at`` it is certainly dead. ``parameters`` are those of the run's event.
    ``scale_up`` is what has to be restored, None where nothing is raised; ``raised_since_at`` is
    since when. ``done_count`` of ``total_count`` tasks are stopped or gone, ``task`` is in hand. A
    run that was handed over goes on at ``resumes_at``; ``segments`` invocations have worked on it,
    the last ``interruptions`` of them died without progress. ``stop_requested_at`` and
    ``queued_before_at`` are requests of others to the run. ``outcomes`` are those of the last runs,
    the newest first.
    """

    version: int
    state: RecordState
    owner: str
    owner_dead_at: datetime
    run_id: str
    run_started_at: datetime
    started_before_at: datetime
    parameters: Mapping[str, Json] | None = None
    scale_up: ScaleUp | None = None
    raised_since_at: datetime | None = None
    done_count: int = 0
    total_count: int = 0
    task: str | None = None
    status: str | None = None
    reason: str | None = None
    ended_at: datetime | None = None
    resumes_at: datetime | None = None
    segments: int = 1
    interruptions: int = 0
    stop_requested_at: datetime | None = None
    queued_before_at: datetime | None = None
    checkpoint: Checkpoint | None = None
    outcomes: tuple[PastRun, ...] = ()

    def outcomes_with(self, last: PastRun) -> tuple[PastRun, ...]:
        """Return them with one more; a run that ends again, restored by now, is told once."""
        others = (each for each in self.outcomes if each.run_id != last.run_id)
        return (last, *others)[:OUTCOMES_LIMIT]

    @property
    def is_open(self) -> bool:
        """Whether its run has not ended, or has left something raised."""
        return self.state is not RecordState.ENDED

    def may_be_alive(self, now_at: datetime) -> bool:
        """Whether its owner may still be working.

        No run writes an instant that lies further ahead than the longest pause and a day.
        """
        return self.is_open and now_at < self.owner_dead_at <= now_at + LONGEST_LIFE

    @property
    def selection(self) -> Selection:
        """Which tasks its run was asked for."""
        known = self.checkpoint or Checkpoint()
        if known.plan is not None:
            return known.plan.selection
        if known.interrupted is not None:
            return known.interrupted.selection
        return Selection(before_at=self.started_before_at)


def progress_of(record: RunRecord) -> Progress:
    """Return what an invocation that goes on with the run of a record knows of it."""
    known = record.checkpoint or Checkpoint()
    return Progress(
        started_at=record.run_started_at,
        plan=known.plan,
        earlier=known.earlier,
        results={each.task_arn: each for each in known.results},
        protected={each.task_arn: each for each in known.protected},
        scale_up=record.scale_up,
        raised_since_at=record.raised_since_at,
        # Of one that has died, how long the extra task was awaited says nothing.
        raised_at=None if record.state is RecordState.RUNNING else known.raised_at,
        seconds_to_start=known.seconds_to_start,
        segments=record.segments,
        in_service=known.seen.in_service,
        interrupted=known.interrupted,
    )
