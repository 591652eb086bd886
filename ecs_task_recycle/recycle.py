"""Recycle a service: the six steps of the README, from top to bottom."""

from __future__ import annotations

import logging

from ecs_task_recycle.before.preflight import Preflight, require_work
from ecs_task_recycle.clock import as_utc, pause
from ecs_task_recycle.errors import AwsCallError, OwnershipLostError, PreconditionError
from ecs_task_recycle.model import Plan, quickest_start_seconds
from ecs_task_recycle.outcome import Ended, HandedOver, OutOfTime, Status
from ecs_task_recycle.record.progress import Progress
from ecs_task_recycle.record.record import RecordState, RunRecord
from ecs_task_recycle.record.record_errors import require_few_deaths, require_own_tasks
from ecs_task_recycle.record.store import RecordStore
from ecs_task_recycle.report.answer import Report, log_end, log_start
from ecs_task_recycle.report.progress_line import Pace
from ecs_task_recycle.run import Run
from ecs_task_recycle.steps.budget import Budget
from ecs_task_recycle.steps.ending import Ending
from ecs_task_recycle.steps.go_ahead import GoAhead
from ecs_task_recycle.steps.queueing import Queueing
from ecs_task_recycle.steps.replacement import Replacer
from ecs_task_recycle.steps.scale_up import Scaling
from ecs_task_recycle.steps.work_list import WorkList
from ecs_task_recycle.watch.watch import ExpectedService, Watch

logger = logging.getLogger(__name__)


def recycle(run: Run) -> Report:
    """Do what the event asks, and report. Never raises for what AWS does: see ``report.error``."""
    progress = Progress(started_at=as_utc(run.clock.now()))
    return _Recycling(run, run.store(), progress, record=None).report()


def resume(run: Run, store: RecordStore, record: RunRecord, *, ends: Ended | None) -> Report:
    """Go on with a run that an earlier invocation has handed over, or died of; and report.

    ``record`` is what ``store`` has read. ``ends``: only restore, and end so.
    """
    recycling = _Recycling(run, store, Progress.from_record(record), record=record)
    recycling.ends = ends
    return recycling.report()


class _Recycling:
    """The steps of one run, and what they share."""

    def __init__(
        self, run: Run, store: RecordStore, progress: Progress, *, record: RunRecord | None
    ) -> None:
        self._run = run
        self._settings = run.settings
        self._clock = run.clock
        self._store = store
        self._progress = progress
        self._record = record
        self.ends: Ended | None = None
        self._died_with: str | None = None
        self._deaths = 0
        self._pace = Pace(clock=run.clock, progress=progress, settings=run.settings)
        self._watch = Watch(run.gateway, run.clock, self._pace)
        self._budget = Budget(
            clock=run.clock,
            began_at=run.clock.now(),
            deadline_at=run.deadline_at,
            stabilize_timeout_seconds=run.settings.stabilize_timeout_seconds,
        )
        self._go_ahead = GoAhead(
            store=store, watch=self._watch, guardian=run.guardian, progress=progress
        )
        self._scaling = Scaling(
            gateway=run.gateway,
            clock=run.clock,
            watch=self._watch,
            budget=self._budget,
            go_ahead=self._go_ahead,
            progress=progress,
        )
        self._ending = Ending(
            gateway=run.gateway,
            clock=run.clock,
            watch=self._watch,
            store=store,
            budget=self._budget,
            go_ahead=self._go_ahead,
            progress=progress,
        )

    def report(self) -> Report:
        """Run from the first read to the last log line, whatever happens in between."""
        log_start(self._settings, self._progress)
        try:
            plan = self._begin() if self._record is None else self._take_over(self._record)
        except Exception as how:  # noqa: BLE001 - whatever ends a run is reported
            self._progress.end(how)
        else:
            is_over = self._is_over(plan)
            while not is_over:
                is_over = self._is_over(self._progress.plan or plan, serves_queued=True)
        self._go_ahead.note()
        self._progress.note_departures(self._watch.memory.stopped_tasks())
        self._progress.finished_at = as_utc(self._clock.now())
        report = Report(
            settings=self._settings,
            run_id=self._run.run_id,
            progress=self._progress,
            execution_arn=self._run.guardian.execution_arn if self._run.guardian else None,
        )
        log_end(report)
        return report

    def _is_over(self, plan: Plan, *, serves_queued: bool = False) -> bool:
        """Recycle; whatever ends that, restoring comes next, or a hand-over.

        Returns False if a queued request is to be served after that.
        """
        try:
            self._recycle(self._queueing().accept(plan) if serves_queued else plan)
        except Exception as how:  # noqa: BLE001 - our own mistakes, too, end in restoring
            self._progress.end(how)
            if isinstance(how, OutOfTime) and self._hand_over(how):
                return True
        else:
            self._progress.end(Ended(Status.COMPLETED))
        if not self._ending.restore(plan):
            return False
        self._ending.note_still_stopping()
        return self._ending.close()

    def _recycle(self, plan: Plan) -> None:
        """Replace every task of the plan. Leaves by an exception if not all of them are."""
        self._require_goes_on()
        self._heal(plan)
        raises = plan.scale_up is not None and self._progress.has_work
        if raises and self._progress.to_restore is None:
            self._turns(plan).wait_until_any_is_free()
            plan = self._scaling.plan_anew(plan)
        turns, replacer = self._turns(plan), self._replacer(plan)
        expected = ExpectedService(
            deployment_id=plan.deployment_id, required_in_service=plan.required_in_service
        )
        self._watch.expect(expected)
        if raises:
            self._scaling.scale_up(plan)
        if replacer.finish_in_hand():
            self._pause(plan)
        for task in turns.turns():
            self._budget.require_task(self._progress)
            if replacer.replace(task):
                self._pause(plan)
        turns.require_none_protected()

    # -- before the first stop -------------------------------------------------------------------

    def _begin(self) -> Plan:
        """Return the plan. Raises Ended or an error for a run that has nothing to change."""
        plan = Preflight(
            gateway=self._run.gateway,
            clock=self._clock,
            settings=self._settings,
            store=self._store,
            watch=self._watch,
            guardian=self._run.guardian,
        ).check()
        self._progress.plan = plan
        self._watch.timeline.add(0.0, plan.in_service_count)
        # What a dead run has left raised is restored also where there is nothing else to be done.
        if plan.dead_run_id is None or self._settings.dry_run:
            require_work(self._run.gateway, self._settings, plan, healed=False)
            # With a guardian the first task may be replaced by another invocation.
            is_alone = self._run.guardian is None
            surge_seconds = quickest_start_seconds(plan.originals) if is_alone else 0.0
            self._budget.require_task(self._progress, before_seconds=surge_seconds)
        self._progress.to_restore = plan.unrestored or plan.raised_at_once
        if self._progress.to_restore is plan.scale_up:
            self._progress.raised_at = as_utc(self._clock.now())
        self._store.take(self._progress)
        return plan

    def _take_over(self, record: RunRecord) -> Plan:
        """Return the plan of a run that an earlier invocation has begun."""
        plan = self._progress.plan
        if plan is None:
            raise PreconditionError(f"The run record of {self._run.gateway.name} holds no plan.")
        self._budget.retry(lambda: require_own_tasks(self._run.gateway, record))
        if record.state is RecordState.RUNNING:
            # It died: how long the extra task was awaited before says nothing.
            self._died_with, self._progress.raised_at = record.task, None
        # Whether a write whose answer is lost has taken the record, only the next one tells.
        self._deaths = self._budget.retry(lambda: self._store.take_over(record)).deaths
        self._progress.segments += 1
        results = self._progress.results.values()
        stopped_arns = [each.task_arn for each in results if each.stopped_at is not None]
        self._watch.resume(plan.run_started_at, self._progress.seen, stopped_arns)
        return plan

    def _require_goes_on(self) -> None:
        """Start the guardian of a new run; raise if one that was taken over has to end."""
        if self._record is None:
            if self._run.guardian is not None and not self._progress.results:
                self._run.guardian.start(self._clock, deadline_at=self._run.deadline_at)
            return
        if self.ends is not None:
            raise self.ends
        require_few_deaths(self._run.gateway, self._run.run_id, self._deaths)
        self._go_ahead.require_not_stopped()

    def _heal(self, plan: Plan) -> None:
        """Restore first what a dead run left, whether there is work or not."""
        if plan.dead_run_id is not None:
            require_work(self._run.gateway, self._settings, plan, healed=True)
        self._ending.heal(plan)

    # -- between the tasks -----------------------------------------------------------------------

    def _turns(self, plan: Plan) -> WorkList:
        return WorkList(
            gateway=self._run.gateway,
            clock=self._clock,
            budget=self._budget,
            policy=self._settings.protected_tasks,
            progress=self._progress,
            plan=plan,
            go_ahead=self._go_ahead,
            hands_over=self._run.guardian is not None,
            pace=self._pace,
        )

    def _replacer(self, plan: Plan) -> Replacer:
        return Replacer(
            gateway=self._run.gateway,
            clock=self._clock,
            watch=self._watch,
            go_ahead=self._go_ahead,
            budget=self._budget,
            settings=self._settings,
            plan=plan,
            progress=self._progress,
            died_with=self._died_with,
            pace=self._pace,
        )

    def _queueing(self) -> Queueing:
        return Queueing(
            gateway=self._run.gateway,
            clock=self._clock,
            watch=self._watch,
            store=self._store,
            budget=self._budget,
            progress=self._progress,
        )

    def _pause(self, plan: Plan) -> None:
        """Sleep after a task. Raises OutOfTime if no other one fits after that."""
        seconds = float(self._settings.wait_time_seconds)
        number = len(self._progress.results)
        if number < len(plan.originals):
            self._budget.require_task(self._progress, before_seconds=seconds, pauses=True)
        else:
            seconds = min(seconds, self._budget.rest_seconds(self._progress))
        pause(
            self._clock,
            seconds,
            lambda left: logger.info(
                "Waiting after task %d: %d s left%s",
                number,
                left,
                self._pace.suffix(),
                extra={"number": number, "seconds_left": round(left), **self._pace.facts()},
            ),
        )

    # -- when it goes on -------------------------------------------------------------------------

    def _hand_over(self, how: OutOfTime) -> bool:
        """Leave what is left to the guardian's next invocation; return whether that takes it."""
        guardian = self._run.guardian
        if guardian is None or not self._budget.fits_an_invocation(self._progress):
            return False
        try:
            self._go_ahead.note()
            self._progress.note_departures(self._watch.memory.stopped_tasks())
            self._store.hand_over(self._progress, wait_seconds=how.wait_seconds)
        except OwnershipLostError as lost:
            self._progress.end(lost)
            return False
        except (AwsCallError, PreconditionError) as error:
            logger.warning("Could not hand over: %s", error, extra=dict(error.facts))
            return False
        self._progress.end(HandedOver(guardian.execution_arn, wait_seconds=how.wait_seconds))
        return True
