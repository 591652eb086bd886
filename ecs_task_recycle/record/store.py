"""Who owns a service's run record: find it, take it (over), renew it, hand it over, close it.

Each is one conditional write. What a run writes of itself is a ``Kept``, made for that write.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from ecs_task_recycle.aws.errors import retry_until
from ecs_task_recycle.clock import Clock, as_utc
from ecs_task_recycle.codec import Json
from ecs_task_recycle.errors import (
    AlreadyRunningError,
    AwsCallError,
    OwnershipLostError,
    PreconditionError,
)
from ecs_task_recycle.model import ScaleUp
from ecs_task_recycle.record.item import (
    OPTIONAL,
    QUEUED,
    REQUESTS,
    STOP,
    from_item,
    restorable,
    to_item,
)
from ecs_task_recycle.record.record import Checkpoint, PastRun, RecordState, RunRecord
from ecs_task_recycle.record.table import Item, RunTable

UNLIMITED_SECONDS: Final = 86_400.0
"""After so long without a renewal a run without any deadline is taken for dead."""

DEATH_MARGIN_SECONDS: Final = 30.0
"""How long a call that was under way at Lambda's limit may still take effect."""

RENEW_SECONDS: Final = 30.0
"""For how long a write is tried again; a run that cannot renew its record stops no task."""
CLOSE_SECONDS: Final = 7.0

HANDED_OVER_SECONDS: Final = 1_200.0
"""How long a guardian may take for the next invocation: a few retries of Step Functions."""

OWNERSHIP: Final = ("owner", "version")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What a run keeps of itself in its record, as of one write."""

    parameters: Mapping[str, Json]
    run_started_at: datetime
    started_before_at: datetime
    scale_up: ScaleUp | None
    raised_since_at: datetime | None
    done_count: int
    total_count: int
    checkpoint: Checkpoint


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
    last_read: RunRecord | None = None
    _seen: Item | None = None
    _was_read: bool = False
    _record: RunRecord | None = None
    _taken_count: int = 0

    # -- before it is taken ----------------------------------------------------------------------

    def read(self) -> RunRecord | None:
        """Return the record, None where no run has left one in the last 90 days.

        Raises PreconditionError for one that this version does not understand, AwsCallError.
        """
        self._seen, self._was_read = self.table.read(), True
        self.last_read = None
        if self._seen is not None:
            try:
                self.last_read = from_item(dict(self._seen))
            except ValueError as problem:
                raise self._not_understood(problem) from problem
        return self.last_read

    def read_to_restore(self) -> RunRecord | None:
        """Return the record as ``read`` does; of one that is not understood, what restoring needs.

        Raises PreconditionError where not even that is told, AwsCallError.
        """
        try:
            return self.read()
        except PreconditionError as refused:
            self.last_read = _least(self._seen or {}, refused)
            return self.last_read

    def find(self) -> RunRecord | None:
        """Return the record as it was read last; read it if it was not yet."""
        return self.last_read if self._was_read else self.read()

    def require_free(self, record: RunRecord) -> None:
        """Raise AlreadyRunningError while the run of a record may be alive, or where it was this.

        AWS may deliver an event once more, after its run.
        https://docs.aws.amazon.com/lambda/latest/dg/invocation-async.html
        """
        if record.may_be_alive(as_utc(self.clock.now())):
            raise self._already_running(record)
        if record.run_id == self.run_id and not record.is_open:
            raise AlreadyRunningError(
                f"Run {self.run_id} of {self.table.service} has ended already, as "
                f"{record.status}: its event was delivered once more.",
                remedy="Nothing was touched.",
                running_run_id=self.run_id,
            )

    def take(self, kept: Kept) -> None:
        """Take the record that was found, for this run; or write it anew, if it is taken.

        A request that was queued for a run that has died stays in it. Raises AlreadyRunningError
        if another run was first, AwsCallError.
        """
        if self._record is not None:
            self._require(self._write(_next(self._record, **self._going_on(kept)), CLOSE_SECONDS))
            return
        seen = self._seen or {}
        mine = RunRecord(
            version=seen.get("version", 0),
            state=RecordState.RUNNING,
            owner=self.owner,
            owner_dead_at=self._dead_at(),
            run_id=self.run_id,
            run_started_at=kept.run_started_at,
            started_before_at=kept.started_before_at,
            outcomes=() if self.last_read is None else self.last_read.outcomes,
        )
        has_died = seen.get("state") in (RecordState.RUNNING, RecordState.HANDED_OVER)
        remove = [STOP] if has_died else REQUESTS
        found = self._write(_next(mine, **_fields(kept)), CLOSE_SECONDS, remove=remove)
        if found is not None:
            raise self._already_running(_understood(found))

    def take_over(self, record: RunRecord, *, until: float) -> RunRecord:
        """Take the record that was read last, to go on with its run, and return it.

        An invocation that did not hand over has died. A write that fails for a moment is repeated
        until an instant (epoch seconds): whether one whose answer is lost has taken the record,
        only the next one tells. Raises AlreadyRunningError if another invocation was first,
        AwsCallError.
        """
        has_died = record.state is RecordState.RUNNING
        mine = _next(
            record,
            state=RecordState.RUNNING,
            owner=self.owner,
            owner_dead_at=self._dead_at(),
            segments=record.segments + 1,
            interruptions=record.interruptions + 1 if has_died else 0,
        )
        found = self._write(mine, until - self.clock.now())
        if found is not None:
            raise self._already_running(_understood(found))
        self._taken_count = record.done_count
        return mine

    # -- while it is owned -----------------------------------------------------------------------

    @property
    def is_ours(self) -> bool:
        """Whether this invocation has taken the record, and not given it away again."""
        return self._record is not None and self._record.state is RecordState.RUNNING

    def renew(self, kept: Kept, *, task: str | None = None) -> None:
        """Write what the run knows, what it has raised, and the task that it is about to stop.

        Raises OwnershipLostError if another run has taken over, AwsCallError.
        """
        mine = _next(self._owned, **self._going_on(kept, task=task))
        self._require(self._write(mine, RENEW_SECONDS))

    def hand_over(self, kept: Kept, *, wait_seconds: float) -> None:
        """Leave the run to its guardian's next invocation; nobody else may take it for a while.

        Raises OwnershipLostError, AwsCallError.
        """
        resumes = self.clock.now() + wait_seconds
        changes = self._going_on(kept) | {
            "state": RecordState.HANDED_OVER,
            "owner_dead_at": as_utc(resumes + HANDED_OVER_SECONDS),
            "resumes_at": as_utc(resumes),
        }
        self._require(self._write(_next(self._owned, **changes), CLOSE_SECONDS))

    def require_ownership(self, kept: Kept) -> None:
        """Raise OwnershipLostError unless this run may still restore what it has raised.

        Before ``owner_dead_at`` nobody may take over: until then it is the owner even where the
        table does not answer, or is gone.
        """
        mine = _next(self._owned, **self._going_on(kept))
        try:
            self._require(self._write(mine, RENEW_SECONDS))
        except (AwsCallError, PreconditionError) as error:
            if as_utc(self.clock.now()) >= self._owned.owner_dead_at:
                raise self._lost(None) from error
            logger.warning("Restoring without a renewed run record: %s", error)

    def close(self, kept: Kept, last: PastRun, *, is_completed: bool) -> None:
        """Write the outcome, and free the service for the next run.

        The record stays open (``is_ours``) where a request has been queued since the last write:
        it is seen now. A run that leaves its capacity raised frees the service, too; the next one
        restores it. Raises OwnershipLostError, AwsCallError.
        """
        is_restored = kept.scale_up is None
        mine = _next(
            self._owned,
            **self._going_on(kept)
            | {
                "state": RecordState.ENDED if is_restored else RecordState.UNRESTORED,
                "owner_dead_at": last.ended_at,
                "status": last.status,
                "reason": last.reason,
                "ended_at": last.ended_at if is_restored else None,
                "outcomes": self._owned.outcomes_with(last),
            },
        )
        remove = [QUEUED] if is_completed else []
        conditions = {QUEUED: (self._seen or {}).get(QUEUED)}
        found = self._write(mine, CLOSE_SECONDS, remove=remove, conditions=conditions)
        if found is None:
            return
        if not self._is_as_seen(found):
            raise self._lost(found)
        self._seen = found

    def disown(self) -> None:
        """Write nothing more: the record is lost, or cannot be written."""
        self._record = None

    def _going_on(self, kept: Kept, *, task: str | None = None) -> dict[str, Any]:
        """Return the fields of a run that goes on."""
        has_progress = kept.done_count > self._taken_count
        return _fields(kept) | {
            "owner_dead_at": self._dead_at(),
            "task": task,
            "interruptions": 0 if has_progress else self._owned.interruptions,
            "resumes_at": None,
        }

    # -- requests of others to this run ----------------------------------------------------------

    @property
    def stop_requested(self) -> bool:
        """Whether somebody has asked the run to stop, as of the last write."""
        return STOP in (self._seen or {})

    @property
    def queued_before_at(self) -> datetime | None:
        """The instant of a queued request, as of the last write.

        It stays in the record until the run has completed, should the run die before that.
        """
        queued = (self._seen or {}).get(QUEUED)
        return None if queued is None else datetime.fromisoformat(queued)

    def _is_as_seen(self, found: Item) -> bool:
        seen = self._seen or {}
        return all(found.get(name) == seen.get(name) for name in OWNERSHIP)

    @property
    def _owned(self) -> RunRecord:
        if self._record is None:
            raise AssertionError("the record is not taken")
        return self._record

    def _require(self, found: Item | None) -> None:
        """Raise OwnershipLostError for a record that stood in the way of a write."""
        if found is not None:
            raise self._lost(found)

    def _write(
        self,
        record: RunRecord,
        seconds: float,
        *,
        remove: Sequence[str] = (),
        conditions: Item | None = None,
    ) -> Item | None:
        """Write a record over the one that was seen; return the one that stood in the way."""
        write = partial(self._write_once, record, to_item(record), remove, conditions or {})
        return retry_until(write, self.clock, until=self.clock.now() + seconds, every_seconds=2.0)

    def _write_once(
        self, record: RunRecord, values: Item, remove: Sequence[str], more: Item
    ) -> Item | None:
        """Write what changes. A repeated call whose first answer was lost finds its own."""
        seen = self._seen or {}
        changed = {name: value for name, value in values.items() if seen.get(name) != value}
        gone = [name for name in (*OPTIONAL, *remove) if name in seen and name not in values]
        mine = {name: seen.get(name) for name in OWNERSHIP}
        written = self.table.write(changed, remove=gone, conditions={**mine, **more})
        if not written.is_ours:
            if any(written.item.get(name) != values[name] for name in OWNERSHIP):
                return written.item
            if any(written.item.get(name) != value for name, value in changed.items()):
                # An earlier write of this invocation stands there, whose answers were all lost.
                self._seen, again = written.item, _next(record)
                return self._write_once(again, to_item(again), remove, more)
        self._seen, self._record = written.item, record
        return None

    def _dead_at(self) -> datetime:
        ends = min(self.deadline_at, self.clock.now() + UNLIMITED_SECONDS)
        return as_utc(ends) + timedelta(seconds=DEATH_MARGIN_SECONDS)

    # -- sentences -------------------------------------------------------------------------------

    def _already_running(self, record: RunRecord | None) -> AlreadyRunningError:
        if record is None:
            return AlreadyRunningError(
                f"Another run of {self.table.service} started at the same time.",
                remedy="Nothing was touched. Invoke again after it has ended.",
            )
        return AlreadyRunningError(
            f"Run {record.run_id} of {self.table.service} started at "
            f"{record.run_started_at.isoformat(timespec='seconds')} and may be alive until "
            f"{record.owner_dead_at.isoformat(timespec='seconds')}.",
            remedy="Nothing was touched. Wait for its end, or until then.",
            running_run_id=record.run_id,
        )

    def _lost(self, found: Item | None) -> OwnershipLostError:
        self.disown()
        record = None if found is None else _understood(found)
        other = "another run" if record is None else f"run {record.run_id}"
        return OwnershipLostError(
            f"Run {self.run_id} no longer owns the record of {self.table.service}: {other} has "
            "taken it over.",
            remedy="This run stopped nothing more and restored nothing; the other one does.",
        )

    def _not_understood(self, problem: ValueError) -> PreconditionError:
        table = self.table
        command = (
            f"aws dynamodb delete-item --table-name {table.name} --region {table.region} "
            f'--key \'{{"service": {{"S": "{table.service}"}}}}\''
        )
        return PreconditionError(
            f"The run record of {table.service} in table {table.name} is not one that this "
            f"version understands: {problem}.",
            remedy="Nothing was touched. Deploy the version that wrote it; or, once no run is "
            f"alive, delete it: {command}",
        )


def _fields(kept: Kept) -> dict[str, Any]:
    return {field.name: getattr(kept, field.name) for field in fields(kept)}


def _next(record: RunRecord, **changes: Any) -> RunRecord:  # noqa: ANN401 - its fields
    """Return a record with changes, as the version after the one that was seen."""
    return replace(record, version=record.version + 1, **changes)


def _understood(item: Item) -> RunRecord | None:
    """Return the record of an item, None where it is not one that can be read."""
    try:
        return from_item(dict(item))
    except ValueError:
        return None


def _least(item: Item, refused: PreconditionError) -> RunRecord:
    """Return what restoring needs of an item that is not understood; raise if it does not tell."""
    try:
        record = restorable(dict(item))
    except ValueError:
        raise refused from None
    if record.scale_up is None:
        raise refused
    return record
