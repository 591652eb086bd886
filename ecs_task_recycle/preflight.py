"""Read the service and every permission, and refuse what cannot be done safely.

Nothing here changes anything. Each permission is tried by a call that does no harm; all that are
missing are named together, and so are all reasons to refuse the service as it is.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from ecs_task_recycle import guardian, run_table, work_list
from ecs_task_recycle.clock import as_utc
from ecs_task_recycle.errors import AwsCallError, PreconditionError
from ecs_task_recycle.gateway import NO_TASK_ID
from ecs_task_recycle.model import Capacity, Plan, Protection, ScaleUp, Service
from ecs_task_recycle.outcome import Ended, Status
from ecs_task_recycle.parameters import Action, ProtectedTasks
from ecs_task_recycle.protection import under_protection
from ecs_task_recycle.refusals import refusals
from ecs_task_recycle.service_memory import CONSISTENCY_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from ecs_task_recycle.clock import Clock
    from ecs_task_recycle.gateway import Gateway
    from ecs_task_recycle.guardian import Guardian
    from ecs_task_recycle.model import ScalableTarget
    from ecs_task_recycle.record_store import RecordStore
    from ecs_task_recycle.run_record import RunRecord
    from ecs_task_recycle.service_watch import ServiceWatch
    from ecs_task_recycle.settings import Settings
    from ecs_task_recycle.snapshot import Snapshot

AUTOSCALING_READ: Final = "application-autoscaling:DescribeScalableTargets"
READS: Final = ("ecs:DescribeServices", "ecs:ListTasks", "ecs:DescribeTasks")

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Permissions:
    """The IAM actions that were tried: which are allowed, which are missing."""

    allowed: list[str] = field(default_factory=list)
    lacking: list[str] = field(default_factory=list)

    def trying[T](self, actions: tuple[str, ...], call: Callable[[], T]) -> T | None:
        """Make a call; note what it lacks, or that its actions are allowed."""
        try:
            answer = call()
        except AwsCallError as error:
            if not error.denied:
                raise
            self.lacking += [each for each in error.lacking_actions if each not in self.lacking]
            return None
        self.allowed += [each for each in actions if each not in self.allowed]
        return answer

    def require(self) -> None:
        """Raise PreconditionError if anything is missing, with the statement to add."""
        if not self.lacking:
            return
        statement = {"Effect": "Allow", "Action": self.lacking, "Resource": "*"}
        raise PreconditionError(
            f"The role lacks permissions: {', '.join(self.lacking)}.",
            remedy=f"Nothing was touched. Add to its policy: {json.dumps(statement)}",
            lacking_actions=self.lacking,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Preflight:
    """What is looked at before anything is touched."""

    gateway: Gateway
    clock: Clock
    settings: Settings
    store: RecordStore
    watch: ServiceWatch
    guardian: Guardian | None = None
    _permissions: _Permissions = field(default_factory=_Permissions)

    def check(self) -> Plan:
        """Return what the run is to do.

        Raises PreconditionError with all missing permissions, or for a service that is not there,
        and AlreadyRunningError while another run may be alive.
        """
        gateway, trying = self.gateway, self._permissions.trying
        run_started_at = as_utc(self.clock.now())
        record = trying((run_table.READ,), self.store.read)
        self._let_reads_settle(record)
        service = trying(("ecs:DescribeServices",), gateway.service)
        if service is None and not self._permissions.lacking:
            raise absent(gateway)
        target = trying((AUTOSCALING_READ,), gateway.scalable_target)
        snapshot = trying(_read_actions(service), self.watch.refresh)
        if snapshot is None:
            self._probe_reads(service)
        protections = self._read_protections(snapshot)
        alarming = self._alarming(service)
        trying((run_table.WRITE,), self.store.table.probe_write)
        if self.guardian is not None:
            trying((guardian.START,), self.guardian.probe_start)
            trying((guardian.DESCRIBE,), self.guardian.probe_describe)
        if service is not None:
            self._probe_writes(service, target)
        self._permissions.require()
        if service is None or snapshot is None:
            raise AssertionError("a read without an answer is a missing permission")
        self.store.require_free(record)
        reasons = refusals(
            snapshot.service, target, alarming, maintain=self.settings.maintain_service_state
        )
        return self._plan(
            snapshot,
            now=Capacity.of(snapshot.service, target),
            record=record if record is not None and record.is_open else None,
            run_started_at=run_started_at,
            protections=protections,
            reasons=tuple(reasons),
        )

    def _let_reads_settle(self, record: RunRecord | None) -> None:
        """Wait until no read can show any more what a run that has just ended had raised."""
        if record is None or record.ended_at is None:
            return
        ended_seconds = self.clock.now() - record.ended_at.timestamp()
        if 0 <= ended_seconds < CONSISTENCY_SECONDS:
            self.clock.sleep(CONSISTENCY_SECONDS - ended_seconds)

    def _alarming(self, service: Service | None) -> tuple[str, ...]:
        if service is None or not service.alarm_names:
            return ()
        names = service.alarm_names
        return (
            self._permissions.trying(
                ("cloudwatch:DescribeAlarms",), lambda: self.gateway.alarms_in_alarm(names)
            )
            or ()
        )

    def _read_protections(self, snapshot: Snapshot | None) -> tuple[Protection, ...]:
        """Return which tasks are under scale-in protection; without tasks the right is tried."""
        arns = [] if snapshot is None else sorted(snapshot.tasks.keys() - snapshot.leaving)
        ends = self._permissions.trying(
            ("ecs:GetTaskProtection",), lambda: self.gateway.protections(arns or [NO_TASK_ID])
        )
        return under_protection(ends or {})

    def _probe_reads(self, service: Service | None) -> None:
        """Try each read of a look by itself, to name all that are denied."""
        gateway, trying = self.gateway, self._permissions.trying
        trying(("ecs:ListTasks",), gateway.task_arns)
        trying(("ecs:DescribeTasks",), lambda: gateway.tasks([NO_TASK_ID]))
        if service is not None:
            balancers = service.load_balancers
            trying(
                ("elasticloadbalancing:DescribeTargetHealth",), lambda: gateway.targets(balancers)
            )

    def _probe_writes(self, service: Service, target: ScalableTarget | None) -> None:
        gateway, trying = self.gateway, self._permissions.trying
        trying(("ecs:StopTask",), lambda: gateway.probe_stop_task(service.arn))
        if self.settings.protected_tasks is ProtectedTasks.STOP:
            trying(("ecs:UpdateTaskProtection",), lambda: gateway.clear_protection(NO_TASK_ID))
        if not self.settings.raises_capacity:
            return
        trying(("ecs:UpdateService",), gateway.probe_update_service)
        # Where the limits may not even be read, the service may well have some.
        if target is not None or AUTOSCALING_READ in self._permissions.lacking:
            trying(
                ("application-autoscaling:RegisterScalableTarget",),
                gateway.probe_register_scalable_target,
            )

    def _plan(
        self,
        snapshot: Snapshot,
        *,
        now: Capacity,
        record: RunRecord | None,
        run_started_at: datetime,
        protections: tuple[Protection, ...],
        reasons: tuple[str, ...],
    ) -> Plan:
        unrestored = None if record is None else record.scale_up
        found = now if unrestored is None else unrestored.undone(now)
        tasks = [task for arn, task in snapshot.tasks.items() if arn not in snapshot.leaving]
        _log_found(found.desired_count, len(tasks))
        started_before_at = self.settings.started_before or run_started_at
        originals = work_list.originals(tasks, started_before_at)
        arns = {task.arn for task in originals}
        plan = Plan(
            deployment_id=next((each.id for each in snapshot.service.deployments), ""),
            run_started_at=run_started_at,
            started_before_at=started_before_at,
            originals=originals,
            protections=tuple(each for each in protections if each.task_arn in arns),
            in_service_count=len(snapshot.in_service),
            checks_health=self.watch.memory.checks_health,
            found=found,
            unrestored=unrestored,
            dead_run_id=None if record is None else record.run_id,
            raised_since_at=_raised_since(record) or run_started_at,
            finish_at=self._finish_at(run_started_at),
            refusals=reasons,
            actions=tuple(self._permissions.allowed),
        )
        return self._decided(plan)

    def _finish_at(self, run_started_at: datetime) -> datetime | None:
        minutes = self.settings.finish_within_minutes
        return None if minutes is None else run_started_at + timedelta(minutes=minutes)

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


def _raised_since(record: RunRecord | None) -> datetime | None:
    if record is None:
        return None
    return record.memory.plan.raised_since_at if record.memory else record.run_started_at


def _read_actions(service: Service | None) -> tuple[str, ...]:
    if service is not None and service.load_balancers:
        return (*READS, "elasticloadbalancing:DescribeTargetHealth")
    return READS


def absent(gateway: Gateway) -> PreconditionError:
    """Return the error for a service that is not there."""
    return PreconditionError(
        f"There is no service {gateway.service_name} in a cluster {gateway.cluster_name} "
        f"of {gateway.region}.",
        remedy="Nothing was touched. Check both names, the region and the account.",
    )


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
