"""The answer of a run: what Lambda returns as JSON, and all that channels know of a run.

Fields are named as in the JSON, because their names are public: docs/reference.md describes them.
Instants are aware UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, cast

from ecs_task_recycle.codec import OMIT_NONE, Json, encode
from ecs_task_recycle.errors import RecycleError
from ecs_task_recycle.model import CapacityReport
from ecs_task_recycle.outcome import Status
from ecs_task_recycle.version import VERSION

NOT_REPEATED: Final = frozenset(("started_before", "older_than_hours", "dry_run", "action"))
"""Parameters that say which tasks to recycle, or whether to: not how."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTask:
    """A task that a dry run would recycle; ``not_in_service``: why, if it is not in service."""

    task: str
    started_at: datetime | None = None
    zone: str | None = None
    not_in_service: str | None = field(default=None, metadata=OMIT_NONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredTask:
    """A task that is gone, or that the run had stopped when it ended.

    ``stopped_at`` is None for a task that this run's record does not show as stopped: it went away
    by itself, or an invocation that died has stopped it.
    """

    task: str
    replacement: str | None = None
    stopped_at: datetime | None = None
    seconds_to_replace: float | None = None
    seconds_to_stop: float | None = None
    exit_code: int | None = None
    exit_verdict: str | None = None
    note: str | None = None
    still_stopping: str | None = field(default=None, metadata=OMIT_NONE)
    started_at: datetime | None = None
    zone: str | None = None
    not_in_service: str | None = field(default=None, metadata=OMIT_NONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedTask:
    """A task that was passed over, and until when its protection lasts."""

    task: str
    reason: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a run came to. None: not known, or without meaning for this run.

    ``tasks`` are PlannedTasks in a dry run, else AnsweredTasks. ``in_service`` are pairs: from so
    many seconds after the start, so many tasks were in service. ``version``: of the product, as
    git describes it. The fields from ``remarks`` on are in some answers only.
    """

    cluster: str | None = None
    service: str | None = None
    status: Status
    reason: str | None = None
    run_id: str
    parameters: Mapping[str, Json] = field(default_factory=dict)
    tasks_recycled: int | None = None
    tasks: tuple[AnsweredTask | PlannedTask, ...] = ()
    skipped: tuple[SkippedTask, ...] = ()
    remaining: tuple[str, ...] = ()
    original_desired_count: int | None = None
    required_in_service: int | None = None
    started_before: datetime | None = None
    lowest_in_service: int | None = None
    in_service: tuple[tuple[float, int], ...] = ()
    capacity: CapacityReport | None = None
    duration_seconds: float | None = None
    timestamp: datetime
    version: str = VERSION
    remarks: tuple[str, ...] | None = field(default=None, metadata=OMIT_NONE)
    if_running: str | None = field(default=None, metadata=OMIT_NONE)
    permissions: tuple[str, ...] | None = field(default=None, metadata=OMIT_NONE)
    at_least_seconds: int | None = field(default=None, metadata=OMIT_NONE)
    oldest_task_hours: float | None = field(default=None, metadata=OMIT_NONE)
    execution: str | None = field(default=None, metadata=OMIT_NONE)
    segments: int | None = field(default=None, metadata=OMIT_NONE)
    run: Mapping[str, object] | None = field(default=None, metadata=OMIT_NONE)
    error: str | None = field(default=None, metadata=OMIT_NONE)
    remedy: str | None = field(default=None, metadata=OMIT_NONE)

    @classmethod
    def refused(cls, error: RecycleError, *, run_id: str, at: datetime) -> Answer:
        """Return the answer of a run that an error kept from starting."""
        return cls(
            status=Status.FAILED,
            error=type(error).__name__,
            reason=error.sentence,
            remedy=error.remedy,
            run_id=run_id,
            timestamp=at,
        )

    def as_json(self) -> dict[str, Any]:
        """Return the body of Lambda's answer.

        One that tells where another run stands has nothing to tell of a run of its own: neither
        its id, which somebody would take for the other one's, nor its lists.
        """
        body = cast("dict[str, Any]", encode(self))
        if self.status is not Status.STATUS:
            return body
        told = {name: value for name, value in body.items() if value not in (None, [], {})}
        return {name: value for name, value in told.items() if name != "run_id"} | {
            "run": body.get("run") or {}
        }

    @property
    def ended_tasks(self) -> tuple[AnsweredTask, ...]:
        """The tasks that are gone or stopped; none in a dry run."""
        return tuple(task for task in self.tasks if isinstance(task, AnsweredTask))

    @property
    def not_recycled(self) -> tuple[str, ...]:
        """The ARNs of the tasks that were left as they were, each once."""
        return tuple(dict.fromkeys([*self.remaining, *(each.task for each in self.skipped)]))

    @property
    def started_at(self) -> datetime | None:
        """When the run started, rounded to the second."""
        if self.duration_seconds is None:
            return None
        half_a_second_late = self.timestamp - timedelta(seconds=self.duration_seconds - 0.5)
        return half_a_second_late.replace(microsecond=0)

    @property
    def parameters_for_the_rest(self) -> Mapping[str, Json]:
        """The parameters that select the tasks that were not recycled, and no others.

        A run of named tasks has no ``started_before``: without their names, the next run would
        recycle every task of the service.
        """
        if self.started_before is None:
            return {"tasks": [arn.rpartition("/")[2] for arn in self.not_recycled]}
        return {"started_before": encode(self.started_before)}

    @property
    def repeated_parameters(self) -> Mapping[str, Json]:
        """The parameters that say how to recycle, for a run that continues this one."""
        given = {**self.parameters}
        if self.if_running is not None:
            # A run that took a queued request selects tasks by creation, although its own event
            # may not have asked for that.
            given["if_running"] = self.if_running
        return {name: value for name, value in given.items() if name not in NOT_REPEATED}
