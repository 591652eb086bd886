"""The answer of a sweep: what Lambda returns as JSON, and all that channels know of a sweep.

Fields are named as in the JSON, because their names are public: docs/reference.md describes them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, cast

from ecs_task_recycle.codec import OMIT_NONE, Json, encode
from ecs_task_recycle.errors import AlreadyRunningError, PreconditionError
from ecs_task_recycle.outcome import Status
from ecs_task_recycle.report.report import Report
from ecs_task_recycle.version import VERSION


class SweepStatus(StrEnum):
    """The outcome of a sweep, or of a question about one."""

    SWEEPING = "sweeping"
    PLANNED = "planned"
    NOTHING_TO_DO = "nothing_to_do"
    COMPLETED = "completed"
    PARTIAL = "partial"
    FAILED = "failed"
    STATUS = "status"
    STOPPING = "stopping"

    @property
    def code(self) -> int:
        """The answer's statusCode: 202 where it goes on, 206 for a part."""
        return {SweepStatus.SWEEPING: 202, SweepStatus.PARTIAL: 206}.get(self, 200)


class SweptStatus(StrEnum):
    """How one service of a sweep stands: as its run ended, or as follows.

    ``REFUSED``: its run began with a refusal. ``RUNNING``: its run is in progress. ``WAITING``: it
    has not begun. ``NOT_BEGUN``: the sweep ended before that.
    """

    COMPLETED = Status.COMPLETED.value
    PARTIAL = Status.PARTIAL.value
    FAILED = Status.FAILED.value
    NOTHING_TO_DO = Status.NOTHING_TO_DO.value
    QUEUED = Status.QUEUED.value
    PLANNED = Status.PLANNED.value
    REFUSED = "refused"
    RUNNING = "running"
    WAITING = "waiting"
    NOT_BEGUN = "not_begun"


ORDER: tuple[SweptStatus, ...] = (
    SweptStatus.FAILED,
    SweptStatus.PARTIAL,
    SweptStatus.NOT_BEGUN,
    SweptStatus.REFUSED,
    SweptStatus.RUNNING,
    SweptStatus.WAITING,
    SweptStatus.QUEUED,
    SweptStatus.COMPLETED,
    SweptStatus.PLANNED,
    SweptStatus.NOTHING_TO_DO,
)
"""What people read first."""

LEFT: frozenset[SweptStatus] = frozenset(
    (SweptStatus.FAILED, SweptStatus.PARTIAL, SweptStatus.NOT_BEGUN)
)
"""What calls for another sweep. A service that refuses would refuse again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweptService:
    """How one service stands, and what its run came to."""

    service: str
    status: SweptStatus
    reason: str | None = None
    tasks_recycled: int | None = None
    tasks: int | None = None
    seconds: float | None = None
    lowest_in_service: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepAnswer:
    """What a sweep came to, or where it stands; ``parameters`` are those of each run.

    ``version``: of the product, as git describes it.
    """

    sweep: str
    status: SweepStatus
    reason: str | None = None
    services_count: int = 0
    services: tuple[SweptService, ...] = ()
    parameters: Mapping[str, Json] = field(default_factory=dict)
    started_at: datetime | None = field(default=None, metadata=OMIT_NONE)
    duration_seconds: float | None = field(default=None, metadata=OMIT_NONE)
    execution: str | None = field(default=None, metadata=OMIT_NONE)
    timestamp: datetime
    version: str = VERSION

    def as_json(self) -> dict[str, Any]:
        """Return the body of Lambda's answer."""
        return cast("dict[str, Any]", encode(self))

    @property
    def counts(self) -> Mapping[SweptStatus, int]:
        """How many services stand how, in the order in which people read it."""
        found = Counter(each.status for each in self.services)
        return {status: found[status] for status in ORDER if found[status]}

    @property
    def left(self) -> tuple[SweptService, ...]:
        """The services that the sweep should have recycled, and did not, or not all tasks of."""
        return tuple(each for each in self.services if each.status in LEFT)

    @property
    def in_reading_order(self) -> tuple[SweptService, ...]:
        """The services, the failed ones first."""
        return tuple(sorted(self.services, key=lambda each: ORDER.index(each.status)))


def outcome_of(report: Report) -> SweptService:
    """Return how a service's run ended, by its report."""
    answer = report.answer()
    is_refused = isinstance(report.error, AlreadyRunningError | PreconditionError)
    return SweptService(
        service=f"{answer.cluster}/{answer.service}",
        status=SweptStatus.REFUSED if is_refused else SweptStatus(report.status.value),
        reason=answer.reason,
        tasks_recycled=answer.tasks_recycled,
        tasks=len({*(each.task for each in answer.tasks), *answer.not_recycled}),
        seconds=answer.duration_seconds,
        lowest_in_service=answer.lowest_in_service,
    )
