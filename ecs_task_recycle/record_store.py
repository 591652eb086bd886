"""Who owns a service's run record: read it, take it, renew it, close it."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from ecs_task_recycle.aws_errors import retry
from ecs_task_recycle.clock import as_utc
from ecs_task_recycle.errors import (
    AlreadyRunningError,
    AwsCallError,
    OwnershipLostError,
    PreconditionError,
    RestoreError,
)
from ecs_task_recycle.run_record import (
    ATTRIBUTES,
    Memory,
    RecordState,
    RunRecord,
    from_item,
    renewed,
    to_item,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ecs_task_recycle.clock import Clock
    from ecs_task_recycle.model import Plan, ScaleUp
    from ecs_task_recycle.progress import Progress
    from ecs_task_recycle.run_table import Item, RunTable

UNLIMITED_SECONDS: Final = 86_400.0
"""After so long without a renewal a run without any deadline is taken for dead."""

DEATH_MARGIN_SECONDS: Final = 30.0
"""How long a call that was under way at Lambda's limit may still take effect."""

RETRY_DELAYS_SECONDS: Final = (1.0, 2.0, 4.0, 8.0, 15.0)
CLOSE_DELAYS_SECONDS: Final = (1.0, 2.0, 4.0)

GUARDS: Final = ("owner", "version")

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
            raise PreconditionError(
                f"The run record of {self.table.service} in table {self.table.name} is not one "
                f"that this version understands: {problem}.",
                remedy="Nothing was touched. Deploy the version that wrote it; or, once no run is "
                f"alive, delete it: aws dynamodb delete-item --table-name {self.table.name} "
                f'--key \'{{"service": {{"S": "{self.table.service}"}}}}\'',
            ) from problem

    def require_free(self, record: RunRecord | None) -> None:
        """Raise AlreadyRunningError while the run of a record may be alive."""
        if record is not None and record.may_be_alive(as_utc(self.clock.now())):
            raise self._already_running(record)

    def take(self, plan: Plan, to_restore: ScaleUp | None) -> None:
        """Take the record that was read last, for a run with this plan.

        ``to_restore`` is what a dead run left raised, or what this one raises next. Raises
        AlreadyRunningError if another run was first.
        """
        mine = RunRecord(
            version=0 if self._seen is None else self._seen["version"],
            state=RecordState.RUNNING,
            owner=self.owner,
            owner_dead_at=self._dead_at(),
            run_id=self.run_id,
            run_started_at=plan.run_started_at,
            started_before_at=plan.started_before_at,
            scale_up=to_restore,
            total=len(plan.originals),
        )
        mine = renewed(mine, memory=Memory(plan=plan))
        found = self._write_patiently(mine, CLOSE_DELAYS_SECONDS)
        if found is not None:
            raise self._already_running(_understood(found))

    # -- while it is owned -----------------------------------------------------------------------

    def renew(self, progress: Progress, *, task: str | None = None) -> None:
        """Write what the run knows, what it has raised, and the task that it is about to stop.

        Retried while it fails for a moment. Raises OwnershipLostError if another run has taken
        over, AwsCallError.
        """
        self._rewrite(
            RETRY_DELAYS_SECONDS,
            owner_dead_at=self._dead_at(),
            scale_up=progress.to_restore,
            number=len(progress.results),
            task=task,
            memory=self._memory(progress),
        )

    def require_ownership(self, progress: Progress) -> None:
        """Raise OwnershipLostError unless this run may still restore what it has raised.

        Before ``owner_dead_at`` nobody may take over: until then it is the owner even where the
        table does not answer.
        """
        try:
            self.renew(progress)
        except AwsCallError as error:
            if as_utc(self.clock.now()) >= self._owned.owner_dead_at:
                raise self._lost(None) from error
            logger.warning("Restoring without a renewed run record: %s", error)

    def close(self, progress: Progress) -> None:
        """Write the outcome, and free the service for the next run.

        What could not be restored is left to the next run, which need not wait for anything.
        Raises OwnershipLostError, AwsCallError.
        """
        now_at = as_utc(self.clock.now())
        is_unrestored = isinstance(progress.error, RestoreError)
        self._rewrite(
            CLOSE_DELAYS_SECONDS,
            state=RecordState.UNRESTORED if is_unrestored else RecordState.ENDED,
            owner_dead_at=now_at,
            scale_up=progress.to_restore,
            number=len(progress.results),
            task=None,
            status=progress.status.value,
            reason=progress.reason,
            ended_at=None if is_unrestored else now_at,
            memory=self._memory(progress),
        )

    @property
    def is_taken(self) -> bool:
        """Whether this run has ever owned the record."""
        return self._record is not None

    @property
    def _owned(self) -> RunRecord:
        if self._record is None:
            raise AssertionError("the record is not taken")
        return self._record

    def _write(self, record: RunRecord) -> Item | None:
        """Write a record over the one that was seen; return the one that stood in the way.

        A repeated call whose first answer was lost finds its own record there: it is written.
        """
        values = to_item(record)
        absent = [name for name in ATTRIBUTES if name not in values]
        written = self.table.write(values, remove=absent, seen=self._seen, guards=GUARDS)
        is_own = all(written.item.get(name) == values[name] for name in GUARDS)
        if not written.is_ours and not is_own:
            return written.item
        self._seen, self._record = written.item, record
        return None

    def _rewrite(self, delays_seconds: Iterable[float], **changes: Any) -> None:  # noqa: ANN401
        mine = renewed(self._owned, **changes)
        found = self._write_patiently(mine, delays_seconds)
        if found is not None:
            raise self._lost(_understood(found))

    def _write_patiently(self, record: RunRecord, delays_seconds: Iterable[float]) -> Item | None:
        return retry(
            lambda: self._write(record),
            self.clock,
            delays_seconds=delays_seconds,
            is_retryable=lambda error: error.transient,
        )

    def _dead_at(self) -> datetime:
        now = self.clock.now()
        ends = now + UNLIMITED_SECONDS if math.isinf(self.deadline_at) else self.deadline_at
        return as_utc(ends) + timedelta(seconds=DEATH_MARGIN_SECONDS)

    def _memory(self, progress: Progress) -> Memory | None:
        if progress.plan is None:
            return None
        return Memory(
            plan=progress.plan,
            results=tuple(progress.results.values()),
            protected=tuple(progress.protected.values()),
            seconds_to_start=progress.seconds_to_start,
            lowest_in_service=progress.lowest_in_service,
        )

    def _already_running(self, record: RunRecord | None) -> AlreadyRunningError:
        if record is None:
            return AlreadyRunningError(
                f"Another run of {self.table.service} started at the same time.",
                remedy="Nothing was touched. Invoke again if it is not the one you want.",
            )
        return AlreadyRunningError(
            f"Run {record.run_id} of {self.table.service} "
            f"started at {record.run_started_at.isoformat(timespec='seconds')} and may be alive "
            f"until {record.owner_dead_at.isoformat(timespec='seconds')}.",
            remedy="Nothing was touched. Wait for its end, or until then.",
            running_run_id=record.run_id,
        )

    def _lost(self, record: RunRecord | None) -> OwnershipLostError:
        other = "another run" if record is None else f"run {record.run_id}"
        return OwnershipLostError(
            f"Run {self.run_id} no longer owns the record of {self.table.service}: {other} has "
            "taken it over.",
            remedy="This run stopped nothing more and restored nothing; the other one does.",
        )


def _understood(item: Item) -> RunRecord | None:
    """Return the record of an item, None where it is not one that can be read."""
    try:
        return from_item(dict(item))
    except ValueError:
        return None
