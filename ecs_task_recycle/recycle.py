"""Recycle a service: the six steps of the README, from top to bottom."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ecs_task_recycle.budget import Budget
from ecs_task_recycle.clock import as_utc, pause
from ecs_task_recycle.errors import (
    OwnershipLostError,
    ReplacementError,
    RestoreError,
    StepTimeoutError,
)
from ecs_task_recycle.outcome import Ended, Interference, OutOfTime, Status
from ecs_task_recycle.preflight import Preflight, refusal
from ecs_task_recycle.progress import Progress
from ecs_task_recycle.record_store import RecordStore
from ecs_task_recycle.replacement import Replacer
from ecs_task_recycle.report import Report
from ecs_task_recycle.restore import Restorer, not_restored
from ecs_task_recycle.scaling import scale_up
from ecs_task_recycle.service_watch import Guard, ServiceWatch, Wait
from ecs_task_recycle.settings import Action, Settings
from ecs_task_recycle.settling import Settling
from ecs_task_recycle.work_list import WorkList, planned, quickest_start_seconds

if TYPE_CHECKING:
    from ecs_task_recycle.clock import Clock
    from ecs_task_recycle.gateway import Gateway
    from ecs_task_recycle.model import Plan, ScaleUp
    from ecs_task_recycle.run_table import RunTable
    from ecs_task_recycle.snapshot import Snapshot

LOG_LEVELS: Final = {Status.FAILED: logging.ERROR, Status.PARTIAL: logging.WARNING}

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run: what is asked, and what it needs to do it.

    ``owner`` is unique to one invocation, also where ``run_id`` comes twice; ``deadline_at`` is
    when Lambda ends it (epoch seconds).
    """

    settings: Settings
    run_id: str
    owner: str
    gateway: Gateway
    table: RunTable
    clock: Clock
    deadline_at: float


def recycle(run: Run) -> Report:
    """Do what the event asks, and report. Never raises for what AWS does: see ``report.error``."""
    return _Recycling(run).report()


class _Recycling:
    """The steps of one run, and what they share."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._settings = run.settings
        self._clock = run.clock
        self._progress = Progress(started_at=as_utc(run.clock.now()))
        self._watch = ServiceWatch(run.gateway, run.clock)
        self._budget = Budget(
            clock=run.clock,
            deadline_at=run.deadline_at,
            stabilize_timeout_seconds=run.settings.stabilize_timeout_seconds,
        )
        self._store = RecordStore(
            table=run.table,
            clock=run.clock,
            owner=run.owner,
            run_id=run.run_id,
            deadline_at=run.deadline_at,
        )

    def report(self) -> Report:
        """Run from the first read to the last log line, whatever happens in between."""
        _log_start(self._settings)
        try:
            plan = self._preflight()
            self._progress.to_restore = plan.unrestored or self._raised_at_once(plan)
            self._store.take(plan, self._progress.to_restore)
        except Exception as how:  # noqa: BLE001 - whatever ends a run is reported
            self._progress.end(how)
        else:
            self._recycle_as_owner(plan)
        self._progress.lowest_in_service = self._watch.lowest_in_service
        self._progress.finished_at = as_utc(self._clock.now())
        report = Report(settings=self._settings, run_id=self._run.run_id, progress=self._progress)
        _log_end(report)
        return report

    def _recycle_as_owner(self, plan: Plan) -> None:
        try:
            self._recycle(plan)
        except Exception as how:  # noqa: BLE001 - our own mistakes, too, end in restoring
            self._progress.end(how)
        self._restore(plan)
        self._close()

    def _recycle(self, plan: Plan) -> None:
        """Replace every task of the plan. Always leaves by an exception: ``Ended``, or an error."""
        self._heal(plan)
        turns = WorkList(
            gateway=self._run.gateway,
            clock=self._clock,
            budget=self._budget,
            policy=self._settings.protected_tasks,
            progress=self._progress,
            plan=plan,
        )
        replacer = Replacer(
            gateway=self._run.gateway,
            clock=self._clock,
            watch=self._watch,
            store=self._store,
            budget=self._budget,
            settings=self._settings,
            plan=plan,
            progress=self._progress,
        )
        if plan.unrestored is None and plan.scale_up is not None:
            turns.wait_until_any_is_free()
        self._watch.guard(
            Guard(deployment_id=plan.deployment_id, required_in_service=plan.required_in_service)
        )
        self._scale_up(plan)
        for task in turns.turns():
            self._budget.require_task(self._progress)
            if replacer.replace(task):
                self._pause(plan)
        left_count = len(self._progress.protected)
        if left_count:
            raise Ended(Status.PARTIAL, f"{left_count} tasks are under scale-in protection")
        raise Ended(Status.COMPLETED)

    # -- before the first stop -------------------------------------------------------------------

    def _preflight(self) -> Plan:
        """Return the plan. Raises Ended or an error for a run that has nothing to change."""
        plan = Preflight(
            gateway=self._run.gateway,
            clock=self._clock,
            settings=self._settings,
            store=self._store,
            watch=self._watch,
        ).check()
        self._progress.plan = plan
        # What a dead run has left raised is restored also where there is nothing else to be done.
        if plan.dead_run_id is None or self._settings.dry_run:
            self._require_work(plan, healed=False)
            self._require_first_task_fits(plan)
        return plan

    def _require_work(self, plan: Plan, *, healed: bool) -> None:
        """Raise for a run that stops no task, whatever the reason."""
        if self._settings.action is Action.RESTORE:
            raise self._end_of_restore(plan)
        if plan.refusals:
            raise refusal(self._run.gateway, plan.refusals, healed=healed)
        if plan.nothing_to_do is not None:
            raise Ended(Status.NOTHING_TO_DO, plan.nothing_to_do)
        if self._settings.dry_run:
            count = len(planned(plan, self._settings))
            raise Ended(Status.PLANNED, f"{count} tasks would be recycled")

    def _end_of_restore(self, plan: Plan) -> Ended:
        if plan.dead_run_id is None:
            return Ended(Status.NOTHING_TO_DO, "no run has left anything behind")
        dead = f"run {plan.dead_run_id}"
        if self._settings.dry_run:
            return Ended(
                Status.PLANNED, f"{dead} is dead, the capacity that it left would be put back"
            )
        return Ended(Status.RESTORED, f"the capacity that {dead} left raised is put back")

    @staticmethod
    def _raised_at_once(plan: Plan) -> ScaleUp | None:
        """Return what is raised as soon as the record is taken; nothing, if all is protected."""
        return plan.scale_up if len(plan.protections) < len(plan.originals) else None

    def _require_first_task_fits(self, plan: Plan) -> None:
        surge_seconds = quickest_start_seconds(plan.originals)
        self._budget.require_task(self._progress, before_seconds=surge_seconds)

    def _heal(self, plan: Plan) -> None:
        """Restore first what a dead run left, unless this run goes on with its extra task."""
        if plan.dead_run_id is None or plan.scale_up is not None:
            return
        self._require_work(plan, healed=True)
        self._restore(plan)
        if self._progress.errors:
            raise self._progress.errors.pop()

    def _scale_up(self, plan: Plan) -> None:
        """Add one task, and wait until it is in service."""
        if plan.scale_up is None:
            return
        if self._progress.to_restore != plan.scale_up:
            self._progress.to_restore = plan.scale_up
            self._store.renew(self._progress)
        began_at = self._clock.now()
        known = frozenset(self._watch.memory.tasks)
        scale_up(self._run.gateway, self._watch, plan.scale_up)

        def extra_task_in_service(snapshot: Snapshot) -> bool | None:
            count = len(snapshot.in_service)
            is_more = count > plan.in_service_count and snapshot.in_service - known
            return True if is_more or count >= plan.required_in_service else None

        wait = Wait(
            awaited="the extra task",
            timeout_seconds=self._settings.stabilize_timeout_seconds,
            deadline_at=self._budget.work_ends_at,
            shortest_seconds=quickest_start_seconds(plan.originals),
        )
        self._watch.until(extra_task_in_service, wait)
        self._progress.seconds_to_start = self._clock.now() - began_at

    def _pause(self, plan: Plan) -> None:
        """Sleep after a task. Raises OutOfTime if no other one fits after that."""
        seconds = float(self._settings.wait_time_seconds)
        number = len(self._progress.results)
        if number < len(plan.originals):
            self._budget.require_task(self._progress, before_seconds=seconds)
        else:
            seconds = min(seconds, self._budget.work_seconds)
        pause(
            self._clock,
            seconds,
            lambda left: logger.info(
                "Waiting after task %d: %d s left",
                number,
                left,
                extra={"number": number, "seconds_left": round(left)},
            ),
        )

    # -- the end ---------------------------------------------------------------------------------

    def _restore(self, plan: Plan) -> None:
        """Put back what is raised; whatever comes in between is one more error of the run."""
        scaled = self._progress.to_restore
        if scaled is None or isinstance(self._progress.error, OwnershipLostError):
            return
        try:
            self._store.require_ownership(self._progress)
            settling = Settling(self._run.gateway, self._clock, self._watch, scaled)
            notes = settling.settle(
                patience_seconds=self._patience_seconds(),
                # A deployment that somebody started has tasks of its own that are still starting.
                withdraws=not isinstance(self._progress.ended, Interference),
                raised_since_at=plan.raised_since_at,
            )
            restorer = Restorer(
                self._run.gateway, self._clock, scaled, retry_until=self._budget.retry_until
            )
            self._progress.capacity = restorer.restore(notes)
        except RestoreError as error:
            self._progress.end(error)
        except OwnershipLostError as error:
            self._progress.end(error)
        except Exception as error:  # noqa: BLE001 - nobody may be left without the commands
            self._progress.end(not_restored(self._run.gateway, scaled, error))
        else:
            self._progress.to_restore = None

    def _patience_seconds(self) -> float:
        """Return how long to wait for all tasks to be in service before one is taken away."""
        progress = self._progress
        if isinstance(progress.error, ReplacementError | StepTimeoutError):
            return 0.0
        is_cut = isinstance(progress.ended, OutOfTime) and progress.in_hand is not None
        if isinstance(progress.ended, Interference) or is_cut:
            return 0.0
        # The reserve is for restoring itself.
        return min(float(self._settings.stabilize_timeout_seconds), self._budget.work_seconds)

    def _close(self) -> None:
        """Free the service for the next run; what could not be restored is left to it."""
        if isinstance(self._progress.error, OwnershipLostError):
            return
        try:
            self._store.close(self._progress)
        except Exception as error:  # noqa: BLE001 - the outcome stands all the same
            note = f"The run record could not be closed: {error}"
            logger.warning("%s", note)
            self._progress.notes.append(note)


def _log_start(settings: Settings) -> None:
    cluster, service = settings.cluster_name, settings.service_name
    logger.info(
        "Starting task recycle for %s/%s",
        cluster,
        service,
        extra={"cluster": cluster, "service": service, "action": settings.action.value},
    )


def _log_end(report: Report) -> None:
    if report.status is Status.COMPLETED:
        logger.info("Task recycle completed successfully")
        return
    level = LOG_LEVELS.get(report.status, logging.INFO)
    logger.log(level, "Task recycle ended, %s: %s", report.status.value, report.reason)
