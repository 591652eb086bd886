"""The end of a run: the capacity is restored, then the record is closed, whatever ended it."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from ecs_task_recycle.aws.gateway import Gateway
from ecs_task_recycle.clock import Clock
from ecs_task_recycle.errors import (
    AwsCallError,
    OwnershipLostError,
    ReplacementError,
    RestoreError,
    StepTimeoutError,
)
from ecs_task_recycle.model import Plan
from ecs_task_recycle.outcome import Interference, OutOfTime, Status
from ecs_task_recycle.record.progress import Progress
from ecs_task_recycle.record.store import RecordStore
from ecs_task_recycle.steps.budget import Budget
from ecs_task_recycle.steps.go_ahead import GoAhead
from ecs_task_recycle.steps.restore import Restorer, not_restored
from ecs_task_recycle.steps.settling import Settling, await_taken_away
from ecs_task_recycle.watch.watch import Watch

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """Restores and closes; what goes wrong meanwhile is one more error of the run."""

    gateway: Gateway
    clock: Clock
    watch: Watch
    store: RecordStore
    budget: Budget
    go_ahead: GoAhead
    progress: Progress

    def restore(self, plan: Plan) -> bool:
        """Put back what is raised; whatever comes in between is one more error of the run.

        Returns False if a completed run is to go on with a queued request before that.
        """
        scaled = self.progress.to_restore
        if scaled is None or isinstance(self.progress.error, OwnershipLostError):
            return True
        try:
            settling = Settling(
                self.gateway,
                self.clock,
                self.watch,
                scaled,
                not_awaited=self.progress.spared_out_of_service,
            )
            is_settled = settling.wait(self._patience_seconds())
            self.go_ahead.note()
            self.store.require_ownership(self.progress)
            if self._serves_queued:
                return False
            # A deployment that somebody started has tasks of its own that are still starting.
            if not is_settled and not isinstance(self.progress.ended, Interference):
                settling.withdraw(plan.raised_since_at)
            restorer = Restorer(
                self.gateway, self.clock, scaled, retry_until=self.budget.retry_until
            )
            self.progress.capacity = restorer.restore(settling.notes)
        except (RestoreError, OwnershipLostError) as error:
            self.progress.end(error)
        except Exception as error:  # noqa: BLE001 - nobody may be left without the commands
            self.progress.end(not_restored(self.gateway, scaled, error))
        else:
            self.progress.to_restore = None
        return True

    def heal(self, plan: Plan) -> None:
        """Restore what a dead run left, unless this run goes on with its extra task.

        It cannot where somebody has moved a number since: this run raises from that one. Raises
        RestoreError, OwnershipLostError.
        """
        left = plan.unrestored
        if left is None or left == plan.scale_up or self.progress.to_restore != left:
            return
        self.restore(plan)
        if self.progress.errors:
            raise self.progress.errors.pop()
        await_taken_away(self.clock, self.watch, self.budget)

    @property
    def _serves_queued(self) -> bool:
        """Whether a completed run goes on, as of the last write of its record."""
        is_completed = self.progress.status is Status.COMPLETED
        return is_completed and self.store.queued_before_at is not None

    def note_still_stopping(self) -> None:
        """Let the results tell which tasks are stopping still: for ever, if a host is lost."""
        try:
            stopping = self.watch.still_stopping()
        except AwsCallError as error:
            logger.warning("Could not read the stopped tasks: %s", error, extra=dict(error.facts))
            return
        for arn, result in self.progress.results.items():
            # An end before this one may have found it stopping, too.
            self.progress.results[arn] = replace(result, still_stopping=stopping.get(arn))
        if stopping:
            logger.info("%d stopped tasks are still stopping", len(stopping))

    def _patience_seconds(self) -> float:
        """Return how long to wait for all tasks to be in service before one is taken away."""
        progress = self.progress
        if isinstance(progress.error, ReplacementError | StepTimeoutError):
            return 0.0
        is_cut = isinstance(progress.ended, OutOfTime) and progress.in_hand is not None
        if isinstance(progress.ended, Interference) or is_cut:
            return 0.0
        # The reserve is for restoring itself.
        return min(float(self.budget.stabilize_timeout_seconds), self.budget.work_seconds)

    def close(self) -> bool:
        """Free the service for the next run; return False if a queued request is to be served.

        What could not be restored is left to the next run.
        """
        if isinstance(self.progress.error, OwnershipLostError):
            return True
        try:
            return self._is_closed()
        except Exception as error:  # noqa: BLE001 - the outcome stands all the same
            note = f"The run record could not be closed: {error}"
            logger.warning("%s", note)
            self.progress.notes.append(note)
            return True

    def _is_closed(self) -> bool:
        """Write the outcome; a request that has come since the last write is told of, or served."""
        notes = self.progress.notes
        while True:
            self.progress.notes = [*notes, *self._unserved()]
            if self.store.close(self.progress):
                return True
            if self._serves_queued:
                return False

    def _unserved(self) -> list[str]:
        """Return what to say of a queued request that this run does not serve."""
        instant_at = self.store.queued_before_at
        if instant_at is None or self._serves_queued:
            return []
        request = f"to recycle also the tasks created before {instant_at.isoformat()}"
        return [f"The request {request} was not served"]
