"""Read the service and every permission, and refuse what cannot be done safely.

Nothing here changes anything. Each permission is tried by a call that does no harm; all that are
missing are named together, and so are all reasons to refuse the service as it is.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace as changed
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from ecs_task_recycle.aws import guardian
from ecs_task_recycle.before.permissions import (
    AUTOSCALING_READ,
    NO_TASK_ID,
    REVISION_READ,
    SLOW_START_READ,
    Permissions,
    probe_reads,
    probe_writes,
)
from ecs_task_recycle.before.refusals import (
    alarm_refusals,
    naming_target_groups,
    refusals,
    require_service,
    revision_refusals,
    target_group_refusals,
    window_refusals,
    window_remarks,
    zonal_shifts,
)
from ecs_task_recycle.before.remarks import (
    beyond_maximum,
    found_by_address,
    slow_starts,
    tasks_missing,
    unproven_permissions,
    unread,
)
from ecs_task_recycle.before.selection import (
    Selected,
    select,
    selection_of,
    why_nothing_to_do,
)
from ecs_task_recycle.errors import PreconditionError
from ecs_task_recycle.model import (
    By,
    Capacity,
    Original,
    Plan,
    Protection,
    ScalableTarget,
    Selection,
    Service,
    under_protection,
)
from ecs_task_recycle.outcome import Ended, Status
from ecs_task_recycle.record import table
from ecs_task_recycle.run import Run
from ecs_task_recycle.settings.parameters import ProtectedTasks
from ecs_task_recycle.settings.values import HoursTag
from ecs_task_recycle.watch.in_service import Snapshot
from ecs_task_recycle.watch.reads import read_until, seconds_until_current

READS: Final = ("ecs:DescribeServices", "ecs:ListTasks", "ecs:DescribeTasks")

TASKS_LIMIT: Final = 5_000
"""The tasks of one run: so many fit into an item of DynamoDB, and are ECS's limit for a service.
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-quotas.html"""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Which tasks a run is asked for: by its event, or by a request that was queued for it."""

    queued: Selection | None = None

    @property
    def is_queued(self) -> bool:
        """Whether it was queued."""
        return self.queued is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the reads before a run have shown; ``slow_start_seconds``: None if it is not told."""

    service: Service
    target: ScalableTarget | None
    snapshot: Snapshot
    protections: tuple[Protection, ...]
    alarm_reasons: tuple[str, ...]
    slow_start_seconds: int | None


def preflight(run: Run, request: Request) -> None:
    """Make the plan of a request, and take it into the run's progress.

    Raises PreconditionError with all missing permissions, or with every reason to refuse the
    service; Ended where there is nothing to do, or for a dry run. A queued request ends its run as
    partial where it is refused; one with nothing to do has an empty plan.
    """
    permissions = Permissions()
    selection = request.queued or _own_selection(run, permissions)
    _let_reads_settle(run, selection)
    facts, selected = _select(run, selection, _settled(run, _read(run, permissions)))
    plan = _plan(run, selection, selected, facts, is_queued=request.is_queued)
    reasons = _reasons(run, facts, selected)
    if request.is_queued:
        _require_servable(run, plan, reasons)
        logger.info(
            "Going on with a queued request: %d tasks created before %s",
            len(plan.originals),
            selection.before_at.isoformat(),
            extra={"tasks": len(plan.originals)},
        )
    run.progress.begin(plan)
    run.progress.allowed_actions = tuple(permissions.allowed)
    if not run.watch.timeline.points:
        run.watch.timeline.add(0.0, plan.in_service_count)
    if not request.is_queued:
        _require_work(run, plan, reasons)


# -- facts -----------------------------------------------------------------------------------------


def _own_selection(run: Run, permissions: Permissions) -> Selection:
    """Return which tasks the event asks for. Raises PreconditionError, AwsCallError."""
    settings, started_at = run.settings, run.progress.started_at
    if not isinstance(settings.older_than_hours, HoursTag):
        return selection_of(settings, started_at, {})
    service = permissions.trying(("ecs:DescribeServices",), partial(run.gateway.service, "TAGS"))
    if service is not None:
        return selection_of(settings, started_at, service.tags)
    if not permissions.lacking:
        require_service(run.gateway, None, account=settings.account)
    return Selection(before_at=started_at)  # The reads that follow name what else is missing.


def _let_reads_settle(run: Run, selection: Selection) -> None:
    """Wait until no read can show any more what a run that has just ended had raised.

    Nor lack a task that was created before a request that goes by creation: it takes all of those.
    """
    record = None if run.record.is_ours else run.record.last_read
    ended_at = None if record is None else record.ended_at
    before_at = selection.before_at if selection.by is By.CREATION else None
    now = run.clock.now()
    since = [at for at in (ended_at, run.restored_at, before_at) if at is not None]
    run.clock.sleep(max((seconds_until_current(now, at) for at in since), default=0.0))


def _read(run: Run, permissions: Permissions) -> Facts:
    """Read what a plan is made of, and try every permission. Raises PreconditionError."""
    gateway, trying = run.gateway, permissions.trying
    trying((table.READ,), run.record.find)
    service = trying(("ecs:DescribeServices",), gateway.service)
    if service is not None or not permissions.lacking:
        require_service(gateway, service, account=run.settings.account)
    target = trying((AUTOSCALING_READ,), gateway.scalable_target)
    with naming_target_groups(gateway):
        refresh = partial(run.watch.refresh, lists=True, known=service)
        snapshot = trying(_read_actions(service), refresh)
    if snapshot is None:
        probe_reads(gateway, permissions, service)
    if gateway.ingress is not None and gateway.ingress.is_known:
        permissions.allow((REVISION_READ,))
    slow_start_seconds = _slow_start_seconds(run, permissions, service)
    protections = _protections(run, permissions, snapshot)
    alarm_reasons = _alarm_reasons(run, permissions, service)
    _probe_writes(run, permissions, service, target)
    permissions.require(untouched=run.untouched)
    if service is None or snapshot is None:
        raise AssertionError("a read without an answer is a missing permission")
    return Facts(
        service=service,
        target=target,
        snapshot=snapshot,
        protections=protections,
        alarm_reasons=alarm_reasons,
        slow_start_seconds=slow_start_seconds,
    )


def _settled(run: Run, facts: Facts) -> Facts:
    """Read again where a group shows none of the tasks: a single odd answer is not believed."""
    if not target_group_refusals(facts.snapshot, run.now_at):
        return facts
    snapshot = read_until(
        run.watch.refresh, lambda seen: not target_group_refusals(seen, run.now_at), run.clock
    )
    return changed(facts, snapshot=snapshot)


def _slow_start_seconds(run: Run, permissions: Permissions, service: Service | None) -> int | None:
    if service is None or not service.load_balancers:
        return 0
    read = partial(run.gateway.slow_start_seconds, service.load_balancers)
    return permissions.optional((SLOW_START_READ,), read)


def _read_actions(service: Service | None) -> tuple[str, ...]:
    if service is not None and service.load_balancers:
        return (*READS, "elasticloadbalancing:DescribeTargetHealth")
    return READS


def _protections(
    run: Run, permissions: Permissions, snapshot: Snapshot | None
) -> tuple[Protection, ...]:
    """Return which tasks are under scale-in protection; without tasks the right is tried."""
    arns = [] if snapshot is None else sorted(snapshot.tasks.keys() - snapshot.leaving)
    ends = permissions.trying(
        ("ecs:GetTaskProtection",), partial(run.gateway.protections, arns or [NO_TASK_ID])
    )
    return under_protection(ends or {})


def _alarm_reasons(run: Run, permissions: Permissions, service: Service | None) -> tuple[str, ...]:
    own = () if service is None else service.alarm_names
    asked = run.settings.alarms
    if not own and not asked:
        return ()
    read = partial(alarm_refusals, run.gateway, deployment_alarms=own, event_alarms=asked)
    return tuple(permissions.trying(("cloudwatch:DescribeAlarms",), read) or ())


def _probe_writes(
    run: Run, permissions: Permissions, service: Service | None, target: ScalableTarget | None
) -> None:
    permissions.trying((table.WRITE,), run.record.table.probe_write)
    if run.guardian is not None:
        permissions.trying((guardian.START,), run.guardian.probe_start)
        permissions.trying((guardian.DESCRIBE,), run.guardian.probe_describe)
    if service is not None:
        probe_writes(run.gateway, permissions, run.settings, service=service, target=target)


# -- plan ------------------------------------------------------------------------------------------


def _select(run: Run, selection: Selection, facts: Facts) -> tuple[Facts, Selected]:
    """Return the tasks that are asked for, and the facts with all of them."""
    find = partial(
        select,
        run.gateway,
        selection=selection,
        names=run.settings.tasks,
        now_at=run.now_at,
    )
    selected = find(facts.snapshot)
    unseen = {task.arn for task in selected.originals} - facts.snapshot.tasks.keys()
    if not unseen:
        return facts, selected
    # A task that is named may be newer than the list that was read.
    run.watch.memory.learn_arns(unseen)
    facts = changed(facts, snapshot=run.watch.refresh(known=facts.service))
    return facts, find(facts.snapshot)


def _plan(
    run: Run, selection: Selection, selected: Selected, facts: Facts, *, is_queued: bool
) -> Plan:
    snapshot = facts.snapshot
    found = Capacity.of(snapshot.service, facts.target)
    remarks = (*_remarks(run, facts, selected), *window_remarks(run.settings, run.now_at))
    _log_found(found.desired_count, snapshot, selected.originals, remarks)
    done = run.progress.results
    originals = tuple(task for task in selected.originals if task.arn not in done)
    # ECS is about to stop every task of a service that wants none.
    originals = originals if found.desired_count or not is_queued else ()
    arns = {task.arn for task in originals}
    return Plan(
        selection=selection,
        deployment_id=next((each.id for each in snapshot.service.deployments), ""),
        originals=originals,
        found=found,
        in_service_count=len(snapshot.in_service),
        protections=tuple(each for each in facts.protections if each.task_arn in arns),
        gone=selected.gone,
        adds_task=run.settings.maintain_service_state,
        spares_protected=run.settings.protected_tasks is ProtectedTasks.SKIP,
        finish_at=_finish_at(run),
        slow_start_seconds=facts.slow_start_seconds or 0,
        remarks=remarks,
    )


def _remarks(run: Run, facts: Facts, selected: Selected) -> tuple[str, ...]:
    """Return what the answer has to name besides."""
    settings, service = run.settings, facts.snapshot.service
    return (
        *run.remarks,
        *tasks_missing(facts.snapshot),
        *zonal_shifts(facts.snapshot),
        *slow_starts(selected.originals, settings),
        *beyond_maximum(service, settings),
        *found_by_address(service),
        *unread(run.gateway.ingress, facts.slow_start_seconds),
        *unproven_permissions(settings, facts.target),
    )


def _finish_at(run: Run) -> datetime | None:
    minutes = run.settings.finish_within_minutes
    return None if minutes is None else run.progress.started_at + timedelta(minutes=minutes)


def _log_found(
    desired_count: int,
    snapshot: Snapshot,
    originals: Sequence[Original],
    remarks: Sequence[str],
) -> None:
    """Say what of the service was found, and what is not as it should be, before it is recycled."""
    tasks_count = len(snapshot.tasks.keys() - snapshot.leaving)
    counts = {"desired_count": desired_count, "tasks": tasks_count}
    text = "Original desired count: %d, tasks: %d"
    logger.info(text, desired_count, tasks_count, extra=counts)
    for remark in remarks:
        logger.warning("%s", remark)
    for task in originals:
        if task.not_in_service is not None:
            facts = {"task": task.arn, "not_in_service": task.not_in_service}
            text = "Not in service, to be recycled first: task %s: %s"
            logger.info(text, task.arn, task.not_in_service, extra=facts)


# -- verdicts --------------------------------------------------------------------------------------


def _reasons(run: Run, facts: Facts, selected: Selected) -> list[str]:
    """Return every reason not to recycle the service as it is."""
    snapshot = facts.snapshot
    maintain = run.settings.maintain_service_state
    return [
        *refusals(snapshot.service, facts.target, maintain=maintain),
        *facts.alarm_reasons,
        *revision_refusals(snapshot),
        *target_group_refusals(snapshot, run.now_at),
        *window_refusals(run.settings, selected.originals),
        *selected.refusals,
    ]


def _require_work(run: Run, plan: Plan, reasons: Sequence[str]) -> None:
    """Raise for a run that stops no task: its outcome, or PreconditionError."""
    settings = run.settings
    if reasons:
        raise PreconditionError(
            f"Service {run.gateway.name} is not recycled: {'; '.join(reasons)}.",
            remedy=run.untouched,
            reasons=list(reasons),
        )
    nothing_to_do = why_nothing_to_do(plan)
    if nothing_to_do is not None:
        raise Ended(Status.NOTHING_TO_DO, nothing_to_do)
    if settings.dry_run:
        count = len(plan.would_be_recycled)
        raise Ended(Status.PLANNED, f"{count} tasks would be recycled")


def _require_servable(run: Run, plan: Plan, reasons: Sequence[str]) -> None:
    """Raise Ended for a queued request that no run would be started on, or that does not fit."""
    if not plan.originals:
        return
    if reasons:
        raise Ended(Status.PARTIAL, "; ".join(reasons))
    done_count = len(run.progress.tasks)
    if done_count + len(plan.originals) > TASKS_LIMIT:
        raise Ended(
            Status.PARTIAL,
            f"{len(plan.originals)} tasks of a queued request do not fit into its record of "
            f"{done_count}; repeat the request",
        )
