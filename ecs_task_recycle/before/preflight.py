"""Read the service and every permission, and refuse what cannot be done safely.

Nothing here changes anything. Each permission is tried by a call that does no harm; all that are
missing are named together, and so are all reasons to refuse the service as it is.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from ecs_task_recycle.aws import guardian
from ecs_task_recycle.aws.gateway import Gateway
from ecs_task_recycle.aws.guardian import Guardian
from ecs_task_recycle.before.alarms import alarm_refusals
from ecs_task_recycle.before.permissions import Permissions
from ecs_task_recycle.before.probes import AUTOSCALING_READ, NO_TASK_ID, probe_reads, probe_writes
from ecs_task_recycle.before.refusals import refusals, require_service, revision_refusals
from ecs_task_recycle.before.selection import Selection, select
from ecs_task_recycle.before.target_refusals import reach_refusals, zonal_shifts
from ecs_task_recycle.clock import Clock, as_utc
from ecs_task_recycle.errors import PreconditionError
from ecs_task_recycle.model import (
    Capacity,
    Original,
    Plan,
    Protection,
    ScalableTarget,
    ScaleUp,
    Service,
)
from ecs_task_recycle.outcome import Ended, Status
from ecs_task_recycle.record import table as run_table
from ecs_task_recycle.record.record import RunRecord
from ecs_task_recycle.record.store import RecordStore
from ecs_task_recycle.settings.event import Settings
from ecs_task_recycle.settings.parameters import Action, IfRunning
from ecs_task_recycle.steps import work_list
from ecs_task_recycle.steps.protection import under_protection
from ecs_task_recycle.watch.in_service import Snapshot
from ecs_task_recycle.watch.reads import seconds_until_current
from ecs_task_recycle.watch.watch import Watch

READS: Final = ("ecs:DescribeServices", "ecs:ListTasks", "ecs:DescribeTasks")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preflight:
    """What is looked at before anything is touched."""

    gateway: Gateway
    clock: Clock
    settings: Settings
    store: RecordStore
    watch: Watch
    guardian: Guardian | None = None
    _permissions: Permissions = field(default_factory=Permissions)

    def check(self) -> Plan:
        """Return what the run is to do.

        Raises PreconditionError with all missing permissions, or for a service that is not there,
        and AlreadyRunningError while another run may be alive.
        """
        gateway, trying = self.gateway, self._permissions.trying
        run_started_at = as_utc(self.clock.now())
        record = trying((run_table.READ,), self.store.read)
        self._let_reads_settle(record, run_started_at)
        service = trying(("ecs:DescribeServices",), gateway.service)
        if service is not None or not self._permissions.lacking:
            require_service(gateway, service, account=self.settings.account)
        target = trying((AUTOSCALING_READ,), gateway.scalable_target)
        snapshot = trying(_read_actions(service), lambda: self.watch.refresh(known=service))
        if snapshot is None:
            probe_reads(gateway, self._permissions, service)
        protections = self._read_protections(snapshot)
        alarmed = self._alarmed(service)
        self._probe_writes(service, target)
        self._permissions.require()
        if service is None or snapshot is None:
            raise AssertionError("a read without an answer is a missing permission")
        self.store.require_free(record)
        snapshot, selection = self._selected(snapshot, run_started_at)
        maintain = self.settings.maintain_service_state
        reasons = (
            *refusals(snapshot.service, target, maintain=maintain),
            *alarmed,
            *revision_refusals(snapshot),
            *reach_refusals(snapshot, run_started_at),
            *selection.refusals,
        )
        return self._plan(
            snapshot,
            selection,
            now=Capacity.of(snapshot.service, target),
            record=record if record is not None and record.is_open else None,
            run_started_at=run_started_at,
            protections=protections,
            reasons=reasons,
        )

    def _selected(self, snapshot: Snapshot, run_started_at: datetime) -> tuple[Snapshot, Selection]:
        """Return the tasks that the event asks for, and the service with all of them."""
        selection = select(self.gateway, snapshot, self.settings, run_started_at)
        unseen = {task.arn for task in selection.originals} - snapshot.tasks.keys()
        if not unseen:
            return snapshot, selection
        # A task that is named may be newer than the list that was read.
        self.watch.memory.learn_arns(unseen)
        snapshot = self.watch.refresh(known=snapshot.service)
        return snapshot, select(self.gateway, snapshot, self.settings, run_started_at)

    def _probe_writes(self, service: Service | None, target: ScalableTarget | None) -> None:
        permissions = self._permissions
        permissions.trying((run_table.WRITE,), self.store.table.probe_write)
        if self.guardian is not None:
            permissions.trying((guardian.START,), self.guardian.probe_start)
            permissions.trying((guardian.DESCRIBE,), self.guardian.probe_describe)
        if service is not None:
            probe_writes(self.gateway, permissions, self.settings, service=service, target=target)

    def _let_reads_settle(self, record: RunRecord | None, run_started_at: datetime) -> None:
        """Wait until no read can show any more what a run that has just ended had raised.

        Nor lack a task that was created before a request that may be queued: it takes all of those.
        """
        since = [] if record is None or record.ended_at is None else [record.ended_at]
        is_alive = record is not None and record.may_be_alive(run_started_at)
        if self.settings.if_running is IfRunning.QUEUE and not is_alive:
            since.append(self.settings.started_before_at(run_started_at))
        now = self.clock.now()
        self.clock.sleep(max((seconds_until_current(now, each) for each in since), default=0.0))

    def _alarmed(self, service: Service | None) -> list[str]:
        own = () if service is None else service.alarm_names
        asked = self.settings.alarms if self.settings.action is Action.RECYCLE else ()
        if not own and not asked:
            return []

        def read() -> list[str]:
            return alarm_refusals(self.gateway, deployment_alarms=own, event_alarms=asked)

        return self._permissions.trying(("cloudwatch:DescribeAlarms",), read) or []

    def _read_protections(self, snapshot: Snapshot | None) -> tuple[Protection, ...]:
        """Return which tasks are under scale-in protection; without tasks the right is tried."""
        arns = [] if snapshot is None else sorted(snapshot.tasks.keys() - snapshot.leaving)
        ends = self._permissions.trying(
            ("ecs:GetTaskProtection",), lambda: self.gateway.protections(arns or [NO_TASK_ID])
        )
        return under_protection(ends or {})

    def _plan(
        self,
        snapshot: Snapshot,
        selection: Selection,
        *,
        now: Capacity,
        record: RunRecord | None,
        run_started_at: datetime,
        protections: tuple[Protection, ...],
        reasons: tuple[str, ...],
    ) -> Plan:
        unrestored = None if record is None else record.scale_up
        found = now if unrestored is None else unrestored.undone(now)
        _log_found(found.desired_count, len(snapshot.tasks.keys() - snapshot.leaving))
        originals = selection.originals
        remarks = tuple(zonal_shifts(snapshot))
        if self.settings.action is Action.RECYCLE:
            _log_state(originals, remarks)
        arns = {task.arn for task in originals}
        plan = Plan(
            deployment_id=next((each.id for each in snapshot.service.deployments), ""),
            run_started_at=run_started_at,
            started_before_at=self._started_before_at(record, run_started_at),
            originals=originals,
            gone=selection.gone,
            names_tasks=self._names_tasks(record),
            protections=tuple(each for each in protections if each.task_arn in arns),
            in_service_count=len(snapshot.in_service),
            checks_health=self.watch.memory.checks_health,
            found=found,
            unrestored=unrestored,
            dead_run_id=None if record is None else record.run_id,
            raised_since_at=_raised_since(record) or run_started_at,
            finish_at=self._finish_at(run_started_at),
            queued_before_at=self._queued_before_at(run_started_at),
            refusals=reasons,
            remarks=remarks,
            actions=tuple(self._permissions.allowed),
        )
        return self._decided(plan)

    def _started_before_at(self, record: RunRecord | None, run_started_at: datetime) -> datetime:
        """Return the run's border; what only restores keeps that of the run that has died."""
        if record is not None and self.settings.action is Action.RESTORE:
            return record.started_before_at
        return self.settings.started_before_at(run_started_at)

    def _names_tasks(self, record: RunRecord | None) -> bool:
        if record is None or record.memory is None or self.settings.action is not Action.RESTORE:
            return bool(self.settings.tasks)
        return record.memory.plan.names_tasks

    def _finish_at(self, run_started_at: datetime) -> datetime | None:
        minutes = self.settings.finish_within_minutes
        return None if minutes is None else run_started_at + timedelta(minutes=minutes)

    def _queued_before_at(self, run_started_at: datetime) -> datetime | None:
        """Return the instant of a request that might have been queued, and goes by creation."""
        is_recycle = self.settings.action is Action.RECYCLE
        if not is_recycle or self.settings.if_running is not IfRunning.QUEUE:
            return None
        return self.settings.started_before_at(run_started_at)

    def _decided(self, plan: Plan) -> Plan:
        """Return the plan with what is to be raised, or why nothing is to be done."""
        nothing_to_do = work_list.why_nothing_to_do(plan, self.settings)
        is_recycle = self.settings.action is Action.RECYCLE
        adds_task = is_recycle and self.settings.maintain_service_state
        if plan.refusals or nothing_to_do is not None:
            adds_task = False
        scale_up = ScaleUp.by_one(plan.found) if adds_task else None
        return replace(plan, nothing_to_do=nothing_to_do, scale_up=scale_up)


def _log_found(desired_count: int, tasks_count: int) -> None:
    facts = {"desired_count": desired_count, "tasks": tasks_count}
    text = "Original desired count: %d, tasks: %d"
    logger.info(text, desired_count, tasks_count, extra=facts)


def _log_state(originals: Sequence[Original], remarks: Sequence[str]) -> None:
    """Say what of the service is not as it should be, before it is recycled."""
    for remark in remarks:
        logger.warning("%s", remark)
    for task in originals:
        if task.not_in_service is not None:
            facts = {"task": task.arn, "not_in_service": task.not_in_service}
            text = "Not in service, to be recycled first: task %s: %s"
            logger.info(text, task.arn, task.not_in_service, extra=facts)


def _raised_since(record: RunRecord | None) -> datetime | None:
    if record is None:
        return None
    return record.memory.plan.raised_since_at if record.memory else record.run_started_at


def _read_actions(service: Service | None) -> tuple[str, ...]:
    if service is not None and service.load_balancers:
        return (*READS, "elasticloadbalancing:DescribeTargetHealth")
    return READS


def refusal(gateway: Gateway, reasons: Sequence[str], *, healed: bool) -> PreconditionError:
    """Return the error that names every reason; ``healed``: what a dead run left was restored."""
    touched = "What a dead run had left raised was put back." if healed else "Nothing was touched."
    return PreconditionError(
        f"Service {gateway.name} is not recycled: {'; '.join(reasons)}.",
        remedy=touched,
        reasons=list(reasons),
    )


def require_work(gateway: Gateway, settings: Settings, plan: Plan, *, healed: bool) -> None:
    """Raise for a run that stops no task: its outcome, or PreconditionError.

    ``healed``: what a dead run left raised is restored first.
    """
    if settings.action is Action.RESTORE:
        raise _end_of_restore(settings, plan)
    if plan.refusals:
        raise refusal(gateway, plan.refusals, healed=healed)
    if plan.nothing_to_do is not None:
        raise Ended(Status.NOTHING_TO_DO, plan.nothing_to_do)
    if settings.dry_run:
        count = len(work_list.planned(plan, settings))
        raise Ended(Status.PLANNED, f"{count} tasks would be recycled")


def _end_of_restore(settings: Settings, plan: Plan) -> Ended:
    if plan.dead_run_id is None:
        return Ended(Status.NOTHING_TO_DO, "no run has left anything behind")
    dead = f"run {plan.dead_run_id}"
    if settings.dry_run:
        return Ended(Status.PLANNED, f"{dead} is dead, the capacity that it left would be put back")
    return Ended(Status.RESTORED, f"the capacity that {dead} left raised is put back")
