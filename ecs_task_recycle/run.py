"""One run: what is asked, what it knows, and what it needs to do it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from ecs_task_recycle.aws.gateway import Gateway
from ecs_task_recycle.aws.guardian import Guardian
from ecs_task_recycle.clock import Clock, as_utc
from ecs_task_recycle.model import By, ScaleUp, Selection
from ecs_task_recycle.outcome import Ended, Status
from ecs_task_recycle.record.estimate import Estimate, EstimateLine, estimate
from ecs_task_recycle.record.progress import Progress
from ecs_task_recycle.record.record import Checkpoint, RecordState, RunRecord, progress_of
from ecs_task_recycle.record.store import Kept, RecordStore
from ecs_task_recycle.record.table import RunTable
from ecs_task_recycle.settings.event import Settings, settings_from_event
from ecs_task_recycle.task import Seen
from ecs_task_recycle.watch.watch import Watch


@dataclass(slots=True, kw_only=True)
class Run:
    """The one context of a run. ``Run.of`` makes it; every step takes it.

    An invocation works on it from ``began_at`` to ``deadline_at`` (epoch seconds), when Lambda ends
    it; without a ``guardian`` the run ends with it. ``recalled`` is the record that an earlier
    invocation has left, ``forced_end`` how the run has to end now, if so; ``stopped_by_dead`` is
    the task that an invocation had in hand when it died, ``interruptions`` how many have died in a
    row. ``restored_at``: when this invocation has put capacity back. ``remarks`` are what the
    answer has to name besides. ``tell_start`` is called once the run has its record, before
    anything is raised or stopped.
    """

    settings: Settings
    run_id: str
    gateway: Gateway
    record: RecordStore
    watch: Watch
    clock: Clock
    guardian: Guardian | None
    progress: Progress
    began_at: float
    deadline_at: float
    recalled: RunRecord | None = None
    forced_end: Ended | None = None
    interruptions: int = 0
    stopped_by_dead: str | None = None
    restored_at: datetime | None = None
    is_watched_over: bool = False
    remarks: tuple[str, ...] = ()
    tell_start: Callable[[], object] = lambda: None

    @classmethod
    def of(
        cls,
        settings: Settings,
        *,
        run_id: str,
        owner: str,
        gateway: Gateway,
        table: RunTable,
        clock: Clock,
        deadline_at: float,
        guardian: Guardian | None = None,
        tell_start: Callable[[], object] = lambda: None,
    ) -> Run:
        """Return what one invocation works with; nothing is called yet.

        ``owner`` is unique to the invocation, also where ``run_id`` comes twice.
        """
        progress_line = EstimateLine(now=lambda: run.estimate())  # noqa: PLW0108 - made below
        run = cls(
            settings=settings,
            run_id=run_id,
            gateway=gateway,
            record=RecordStore(
                table=table, clock=clock, owner=owner, run_id=run_id, deadline_at=deadline_at
            ),
            watch=Watch(gateway, clock, progress_line),
            clock=clock,
            guardian=guardian,
            progress=Progress(started_at=as_utc(clock.now())),
            began_at=clock.now(),
            deadline_at=deadline_at,
            tell_start=tell_start,
        )
        return run

    def anew(self) -> Run:
        """Return what the same invocation begins again with."""
        return Run.of(
            self.settings,
            run_id=self.run_id,
            owner=self.record.owner,
            gateway=self.gateway,
            table=self.record.table,
            clock=self.clock,
            deadline_at=self.deadline_at,
            guardian=self.guardian,
            tell_start=self.tell_start,
        )

    @property
    def now_at(self) -> datetime:
        """The instant it is now."""
        return as_utc(self.clock.now())

    def estimate(self) -> Estimate | None:
        """Return how far the run is and how long the rest may take; None before it has a plan."""
        return estimate(self.progress, self.now_at, wait_seconds=self.pause_seconds)

    @property
    def pause_seconds(self) -> int:
        """How long to wait after each new task."""
        plan, seconds = self.progress.plan, self.settings.wait_time_seconds
        return seconds if plan is None else plan.pause_seconds(seconds)

    @property
    def line(self) -> EstimateLine:
        """The estimate as log lines tell it."""
        return EstimateLine(now=self.estimate)

    @property
    def untouched(self) -> str:
        """What a refusal says of the state in which it leaves the service."""
        if self.restored_at is not None:
            return "What a dead run had left raised was put back."
        return "Nothing was touched."

    # -- its record ------------------------------------------------------------------------------

    def to_keep(self) -> Kept:
        """Return what the record has to keep of the run as it is now."""
        progress = self.progress
        return Kept(
            parameters=self.settings.event,
            run_started_at=progress.started_at,
            started_before_at=self._selection.before_at,
            scale_up=progress.scale_up,
            raised_since_at=progress.raised_since_at,
            done_count=len(progress.results),
            total_count=len(progress.tasks),
            checkpoint=self._checkpoint(),
        )

    @property
    def _selection(self) -> Selection:
        """Which tasks are asked for; while an interrupted run is healed, those of that run."""
        progress = self.progress
        if progress.plan is not None:
            return progress.plan.selection
        if progress.interrupted is not None:
            return progress.interrupted.selection
        return Selection(before_at=progress.started_at)

    def _checkpoint(self) -> Checkpoint:
        progress = self.progress
        return Checkpoint(
            plan=progress.plan,
            earlier=progress.earlier,
            results=tuple(progress.results.values()),
            protected=tuple(progress.protected.values()),
            seen=self.watch.seen(),
            raised_at=progress.raised_at,
            seconds_to_start=progress.seconds_to_start,
            interrupted=progress.interrupted,
            opens_at=progress.opens_at,
            restoring_since_at=progress.restoring_since_at,
        )

    def recall(self, record: RunRecord) -> None:
        """Take in what an earlier invocation of this run knew, to go on with it.

        Raises SettingsError for parameters that are not those of an event.
        """
        self.recalled, self.progress = record, progress_of(record)
        if record.parameters is None:
            no_parameters = Ended(Status.PARTIAL, "its record lacks the run's parameters")
            self.forced_end = self.forced_end or no_parameters
        else:
            self.settings = settings_from_event(record.parameters)
        if record.state is RecordState.RUNNING:
            self.stopped_by_dead = record.task
        seen = Seen() if record.checkpoint is None else record.checkpoint.seen
        stopped = [each.task_arn for each in self.progress.results.values() if each.stopped_at]
        self.watch.resume(record.run_started_at, seen, stopped)

    def renew(self, *, task: str | None = None) -> None:
        """Write what the run knows by now. Raises OwnershipLostError, AwsCallError."""
        self.record.renew(self.to_keep(), task=task)

    def write_ahead(self, *, task: str | None = None) -> None:
        """Write down what comes next, before it is done.

        Raises Ended if the run was asked to stop, or its guardian's execution was stopped; raises
        OwnershipLostError.
        """
        if self.guardian is not None:
            self.guardian.require_running()
        self.record.renew(self.to_keep(), task=task)
        self.require_not_stopped()

    def require_not_stopped(self) -> None:
        """Raise Ended if somebody has asked the run to stop, as of the last write."""
        if self.record.stop_requested:
            raise Ended(Status.PARTIAL, 'the run was asked to stop by {"action": "stop"}')

    @property
    def unserved_before_at(self) -> datetime | None:
        """The instant of a queued request that the run has not taken up, as of the last write."""
        queued_at = self.record.queued_before_at
        if queued_at is None or self.progress.plan is None:
            return queued_at
        in_hand = self.progress.plan.selection
        is_taken_up = in_hand == Selection(before_at=queued_at, by=By.CREATION)
        return None if is_taken_up else queued_at

    @property
    def _to_be_raised(self) -> ScaleUp | None:
        """What is raised already, or is going to be as things are now."""
        plan = self.progress.plan
        if self.progress.scale_up is None and plan is not None and plan.adds_task:
            return ScaleUp.by_one(plan.found)
        return self.progress.scale_up

    def start_guardian(self) -> None:
        """Have the run watched over, once. Raises Ended, AwsCallError."""
        if self.guardian is not None and not self.is_watched_over:
            self.guardian.start(
                self.clock, deadline_at=self.deadline_at, scale_up=self._to_be_raised
            )
            self.is_watched_over = True
