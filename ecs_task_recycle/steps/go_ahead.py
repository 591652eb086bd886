"""Before each stop: ask whether this run still owns its record, and whether it is to end."""

from __future__ import annotations

from dataclasses import dataclass

from ecs_task_recycle.aws.guardian import Guardian
from ecs_task_recycle.outcome import Ended, Status
from ecs_task_recycle.record.progress import Progress
from ecs_task_recycle.record.store import RecordStore
from ecs_task_recycle.watch.watch import Watch


@dataclass(frozen=True, slots=True, kw_only=True)
class GoAhead:
    """Renews the run record, and reads what others ask of the run."""

    store: RecordStore
    watch: Watch
    guardian: Guardian | None
    progress: Progress

    def require(self, *, task: str | None = None) -> None:
        """Write down what comes next. Raises Ended if the run is to stop, OwnershipLostError."""
        if self.guardian is not None:
            self.guardian.require_running()
        self.renew(task=task)
        self.require_not_stopped()

    def renew(self, *, task: str | None = None) -> None:
        """Write what the run knows by now. Raises OwnershipLostError, AwsCallError."""
        self.note()
        self.store.renew(self.progress, task=task)

    def note(self) -> None:
        """Take what the watch remembers into the run's progress."""
        seen = self.watch.seen()
        self.progress.in_service = seen.in_service
        self.progress.new_task_arns = set(seen.served_new_arns)
        self.progress.deaths = list(seen.failed_new_tasks)

    def require_not_stopped(self) -> None:
        """Raise Ended if somebody has asked the run to stop, as of the last write."""
        if self.store.stop_requested:
            raise Ended(Status.PARTIAL, 'the run was asked to stop by {"action": "stop"}')
