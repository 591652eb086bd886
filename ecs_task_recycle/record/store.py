"""Who owns a service's run record: read it, take it, renew it, close it."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from ecs_task_recycle.aws.errors import retry
from ecs_task_recycle.clock import Clock, as_utc
from ecs_task_recycle.errors import AwsCallError, PreconditionError, RestoreError
from ecs_task_recycle.model import Plan
from ecs_task_recycle.outcome import Status
from ecs_task_recycle.record import record_errors
from ecs_task_recycle.record.progress import Progress
from ecs_task_recycle.record.record import (
    ATTRIBUTES,
    REQUESTS,
    RecordState,
    RunRecord,
    from_item,
    renewed,
    to_item,
)
from ecs_task_recycle.record.table import Item, RunTable

UNLIMITED_SECONDS: Final = 86_400.0
"""After so long without a renewal a run without any deadline is taken for dead."""

DEATH_MARGIN_SECONDS: Final = 30.0
"""How long a call that was under way at Lambda's limit may still take effect."""

RETRY_DELAYS_SECONDS: Final = (1.0, 2.0, 4.0, 8.0, 15.0)
CLOSE_DELAYS_SECONDS: Final = (1.0, 2.0, 4.0)

HANDED_OVER_SECONDS: Final = 1_200.0
"""How long a guardian may take for the next invocation: a few retries of Step Functions."""

GUARDS: Final = ("owner", "version")
STOP: Final = "stop_requested_at"
QUEUED: Final = "queued_before_at"

logger = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class RecordStore:
    """The record of one service, as one invocation (its ``owner``) holds it.

    ``deadline_at`` is the instant (epoch seconds) at which Lambda ends the invocation.
    """

    table: RunTable
    clock: Clock
    owner: str
    run_id: str
    deadline_at: float
    _seen: Item | None = None
    _results_taken: int = 0
    _record: RunRecord | None = None

    # -- before it is taken ----------------------------------------------------------------------

    def read(self) -> RunRecord | None:
        """Return the record, None where no run has left one in the last 90 days.

        Raises PreconditionError for one that this version does not understand.
        """
        self._seen = self.table.read()
        if self._seen is None:
            return None
        try:
            return from_item(dict(self._seen))
        except ValueError as problem:
            raise record_errors.not_understood(self.table, problem) from problem

    def require_free(self, record: RunRecord | None) -> None:
        """Raise AlreadyRunningError while a record's run may be alive, or where it was this one."""
        if record is not None:
            now_at = as_utc(self.clock.now())
            record_errors.require_free(self.table.service, record, self.run_id, now_at)

    def take(self, progress: Progress) -> None:
        """Take the record that was read last, for a new run.

        What it has to restore is what a dead run left raised, or what this one raises next. It also
        takes over what was queued for a dead run; one that has ended has said that it did not serve
        it. Raises AlreadyRunningError if another run was first.
        """
        plan = self._plan(progress)
        mine = RunRecord(
            version=0 if self._seen is None else self._seen["version"],
            state=RecordState.RUNNING,
            owner=self.owner,
            owner_dead_at=self._dead_at(),
            run_id=self.run_id,
            run_started_at=plan.run_started_at,
            started_before_at=plan.started_before_at,
            scale_up=progress.to_restore,
            total=len(plan.originals),
            memory=progress.as_memory(),
        )
        has_died = (self._seen or {}).get("state") in (RecordState.RUNNING, RecordState.HANDED_OVER)
        self._take(renewed(mine), remove=[STOP] if has_died else REQUESTS)

    def take_over(self, record: RunRecord) -> RunRecord:
        """Take the record that was read last, to go on with its run, and return it.

        An invocation that did not hand over has died. Raises AlreadyRunningError if another one
        was first.
        """
        died = record.state is RecordState.RUNNING
        mine = renewed(
            record,
            state=RecordState.RUNNING,
            owner=self.owner,
            owner_dead_at=self._dead_at(),
            segments=record.segments + 1,
            deaths=record.deaths + 1 if died else 0,
        )
        self._take(mine)
        self._results_taken = len(record.memory.results) if record.memory else 0
        return mine

    def _take(self, mine: RunRecord, remove: Sequence[str] = ()) -> None:
        found = self._write_patiently(mine, CLOSE_DELAYS_SECONDS, remove=remove)
        if found is not None:
            raise record_errors.already_running(self.table.service, record_errors.understood(found))

    # -- while it is owned -----------------------------------------------------------------------

    def renew(self, progress: Progress, *, task: str | None = None) -> None:
        """Write what the run knows, what it has raised, and the task that it is about to stop.

        Retried while it fails for a moment. Raises OwnershipLostError if another run has taken
        over, AwsCallError.
        """
        self._rewrite(
            RETRY_DELAYS_SECONDS, owner_dead_at=self._dead_at(), **self._told(progress, task=task)
        )

    def _told(self, progress: Progress, *, task: str | None = None) -> dict[str, Any]:
        """Return what the record says of a run that goes on."""
        has_progress = len(progress.results) > self._results_taken
        return {
            "scale_up": progress.to_restore,
            "started_before_at": self._plan(progress).started_before_at,
            "number": len(progress.results),
            "total": len(self._plan(progress).originals),
            "task": task,
            "deaths": 0 if has_progress else self._owned.deaths,
            "resumes_at": None,
            "memory": progress.as_memory(),
        }

    @staticmethod
    def _plan(progress: Progress) -> Plan:
        if progress.plan is None:
            raise AssertionError("a run without a plan has no record")
        return progress.plan

    def hand_over(self, progress: Progress, *, wait_seconds: float) -> None:
        """Leave the run to its guardian's next invocation; nobody else may take it for a while.

        Raises OwnershipLostError, AwsCallError.
        """
        resumes = self.clock.now() + wait_seconds
        self._rewrite(
            CLOSE_DELAYS_SECONDS,
            state=RecordState.HANDED_OVER,
            owner_dead_at=as_utc(resumes + HANDED_OVER_SECONDS),
            **{**self._told(progress), "resumes_at": as_utc(resumes)},
        )

    def require_ownership(self, progress: Progress) -> None:
        """Raise OwnershipLostError unless this run may still restore what it has raised.

        Before ``owner_dead_at`` nobody may take over: until then it is the owner even where the
        table does not answer, or is gone.
        """
        try:
            self.renew(progress)
        except (AwsCallError, PreconditionError) as error:
            if as_utc(self.clock.now()) >= self._owned.owner_dead_at:
                raise record_errors.lost(self.run_id, self.table.service, None) from error
            logger.warning("Restoring without a renewed run record: %s", error)

    def close(self, progress: Progress) -> bool:
        """Write the outcome, and free the service for the next run; return whether it is closed.

        It is not while a completed run has a queued request, nor where one has come since the last
        write. What could not be restored is left to the next run. Raises OwnershipLostError,
        AwsCallError.
        """
        now_at = as_utc(self.clock.now())
        is_unrestored = isinstance(progress.error, RestoreError)
        mine = renewed(
            self._owned,
            **self._told(progress)
            | {
                "state": RecordState.UNRESTORED if is_unrestored else RecordState.ENDED,
                "owner_dead_at": now_at,
                "status": progress.status.value,
                "reason": progress.reason,
                "ended_at": None if is_unrestored else now_at,
            },
        )
        is_completed = progress.status is Status.COMPLETED
        is_unserved = is_completed and self.queued_before_at is not None
        guards = {QUEUED: None if is_unserved else (self._seen or {}).get(QUEUED)}
        remove = [QUEUED] if is_completed else []
        found = self._write_patiently(mine, CLOSE_DELAYS_SECONDS, remove=remove, guards=guards)
        if found is None:
            return True
        if not self._is_still_ours(found):
            raise record_errors.lost(self.run_id, self.table.service, found)
        self._seen = found
        return False

    # -- requests of others to this run ----------------------------------------------------------

    @property
    def stop_requested(self) -> bool:
        """Whether somebody has asked the run to stop, as of the last write."""
        return self._seen is not None and STOP in self._seen

    @property
    def queued_before_at(self) -> datetime | None:
        """The instant of a queued request that the plan does not hold, as of the last write.

        It stays in the record until the run completes, should the run die before that.
        """
        queued = (self._seen or {}).get(QUEUED)
        queued_at = None if queued is None else datetime.fromisoformat(queued)
        memory = None if self._record is None else self._record.memory
        return None if memory and memory.plan.queued_before_at == queued_at else queued_at

    def accept_queued(self, progress: Progress) -> None:
        """Write that the plan holds the request. Raises OwnershipLostError, AwsCallError."""
        self._rewrite(CLOSE_DELAYS_SECONDS, **self._told(progress))

    def _is_still_ours(self, found: Item) -> bool:
        seen = self._seen or {}
        return all(found.get(name) == seen.get(name) for name in GUARDS)

    @property
    def _owned(self) -> RunRecord:
        if self._record is None:
            raise AssertionError("the record is not taken")
        return self._record

    def _rewrite(self, delays_seconds: Iterable[float], **changes: Any) -> None:  # noqa: ANN401
        found = self._write_patiently(renewed(self._owned, **changes), delays_seconds)
        if found is not None:
            raise record_errors.lost(self.run_id, self.table.service, found)

    def _write_patiently(
        self,
        record: RunRecord,
        delays_seconds: Iterable[float],
        *,
        remove: Sequence[str] = (),
        guards: Item | None = None,
    ) -> Item | None:
        """Write a record over the one that was seen; return the one that stood in the way."""
        return retry(
            lambda: self._write(record, remove, guards or {}),
            self.clock,
            delays_seconds=delays_seconds,
            is_retryable=lambda error: error.transient,
        )

    def _write(self, record: RunRecord, remove: Sequence[str], guards: Item) -> Item | None:
        """Write once what changes. A repeated call whose first answer was lost finds its own."""
        values, seen = to_item(record), self._seen or {}
        changed = {name: value for name, value in values.items() if seen.get(name) != value}
        gone = [name for name in (*ATTRIBUTES, *remove) if name in seen and name not in values]
        mine = {name: seen.get(name) for name in GUARDS}
        written = self.table.write(changed, remove=gone, guards={**mine, **guards})
        if not written.is_ours:
            if any(written.item.get(name) != values[name] for name in GUARDS):
                return written.item
            if any(written.item.get(name) != value for name, value in changed.items()):
                # An earlier write of this invocation stands there, whose answers were all lost.
                self._seen = written.item
                return self._write(renewed(record), remove, guards)
        self._seen, self._record = written.item, record
        return None

    def _dead_at(self) -> datetime:
        unlimited_at = self.clock.now() + UNLIMITED_SECONDS
        ends = unlimited_at if math.isinf(self.deadline_at) else self.deadline_at
        return as_utc(ends) + timedelta(seconds=DEATH_MARGIN_SECONDS)
