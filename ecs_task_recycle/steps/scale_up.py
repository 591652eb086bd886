"""One task more, raised before the first stop: record, autoscaling limits, desired count."""

from __future__ import annotations

import logging
import shlex
from dataclasses import dataclass, replace
from typing import Final

from ecs_task_recycle.aws.errors import CONFLICT, retry
from ecs_task_recycle.aws.gateway import Gateway
from ecs_task_recycle.before.refusals import refusals
from ecs_task_recycle.clock import Clock, as_utc
from ecs_task_recycle.codec import encode
from ecs_task_recycle.errors import PreconditionError
from ecs_task_recycle.model import Capacity, Plan, ScalableTarget, ScaleUp
from ecs_task_recycle.outcome import Interference
from ecs_task_recycle.record.progress import Progress
from ecs_task_recycle.steps.budget import Budget
from ecs_task_recycle.steps.go_ahead import GoAhead
from ecs_task_recycle.watch.in_service import Snapshot
from ecs_task_recycle.watch.watch import ExpectedService, Wait, Watch

CONFLICT_DELAYS_SECONDS: Final = (1.0, 2.0) + (5.0,) * 35
"""Three minutes: people have waited for one or two until autoscaling took the next call."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """Adds one task to the service of a run."""

    gateway: Gateway
    clock: Clock
    watch: Watch
    budget: Budget
    go_ahead: GoAhead
    progress: Progress

    def plan_anew(self, plan: Plan) -> Plan:
        """Return the plan with one task more than there are now, as the run had to wait so far.

        Raises Interference for what no run would be started on, AwsCallError.
        """
        self.progress.plan = self.budget.retry(lambda: self._planned_anew(plan))
        return self.progress.plan

    def _planned_anew(self, plan: Plan) -> Plan:
        snapshot = self.watch.refresh()
        if not snapshot.service.desired_count:
            raise Interference("the desired count is 0")
        plan = raised_from_now(self.gateway, plan, snapshot)
        return replace(plan, in_service_count=len(snapshot.in_service))

    def scale_up(self, plan: Plan) -> None:
        """Raise the capacity as planned, and wait until the extra task is in service.

        Can be repeated by the next invocation of a run that died meanwhile. Raises
        PreconditionError if somebody else changes the capacity at the same time, and whatever ends
        a wait.
        """
        scale_up, progress = plan.scale_up, self.progress
        if scale_up is None or progress.seconds_to_start is not None:
            return
        if progress.to_restore != scale_up or progress.raised_at is None:
            progress.to_restore = scale_up
            progress.raised_at = as_utc(self.clock.now())
            self.go_ahead.renew()
        began, known = self.clock.now(), frozenset(self.watch.memory.tasks)
        self._write(scale_up)
        written = self.clock.now()

        def extra_task_in_service(snapshot: Snapshot) -> bool | None:
            count = len(snapshot.in_service)
            is_more = count > plan.in_service_count and snapshot.in_service - known
            return True if is_more or count >= plan.required_in_service else None

        raised_at = progress.raised_at
        raised_seconds = self.clock.now() - raised_at.timestamp()
        wait = Wait(
            awaited="the extra task",
            timeout_seconds=max(0.0, self.budget.stabilize_timeout_seconds - raised_seconds),
            deadline_at=self.budget.work_ends_at,
        )
        self.watch.until(extra_task_in_service, wait)
        is_measured = began - raised_at.timestamp() < 1
        # What lies between two invocations says nothing of how long a task takes.
        progress.seconds_to_start = self.clock.now() - written if is_measured else 0.0

    def _write(self, plan: ScaleUp) -> None:
        """Write the limits, then the desired count; both are absolute and can be repeated."""
        gateway, found, written = self.gateway, plan.found, plan.written
        logger.info(
            "Raising the desired count from %d to %d",
            found.desired_count,
            written.desired_count,
            extra={"found": encode(found), "written": encode(written)},
        )
        if plan.changes_limits:
            retry(
                lambda: self._write_limits(plan),
                self.clock,
                delays_seconds=CONFLICT_DELAYS_SECONDS,
                is_retryable=lambda error: (
                    error.code == CONFLICT and self.clock.now() < self.budget.work_ends_at
                ),
            )
        service = gateway.service()
        ours = (found.desired_count, written.desired_count)
        _require(gateway, service is not None and service.desired_count in ours)
        self.watch.wrote(gateway.set_desired_count(written.desired_count))

    def _write_limits(self, plan: ScaleUp) -> None:
        """Write the limits, if they are still the ones that the plan knows."""
        gateway, written = self.gateway, plan.written
        _require(gateway, _limits_are_ours(gateway.scalable_target(), plan))
        gateway.set_limits(min_capacity=written.min_capacity, max_capacity=written.max_capacity)


def _limits_are_ours(target: ScalableTarget | None, plan: ScaleUp) -> bool:
    found, written = plan.found, plan.written
    return (
        target is not None
        and target.min_capacity in (found.min_capacity, written.min_capacity)
        and target.max_capacity in (found.max_capacity, written.max_capacity)
    )


def raised_from_now(gateway: Gateway, plan: Plan, snapshot: Snapshot) -> Plan:
    """Return the plan with one task more than there are now.

    Raises Interference for what no run would be started on, or would end at once; AwsCallError.
    """
    target = gateway.scalable_target()
    reasons = refusals(snapshot.service, target, maintain=True)
    expected = ExpectedService(deployment_id=plan.deployment_id, required_in_service=0)
    reason = "; ".join(reasons) or expected.interference(snapshot.service)
    if reason is not None:
        raise Interference(reason)
    found = Capacity.of(snapshot.service, target)
    return replace(plan, found=found, scale_up=ScaleUp.by_one(found))


def _require(gateway: Gateway, is_unchanged: bool) -> None:  # noqa: FBT001 - a verdict
    if not is_unchanged:
        raise PreconditionError(
            f"The capacity of {gateway.name} was changed while the run was starting.",
            remedy="No task was stopped. Invoke again.",
        )


def limits_command(gateway: Gateway, min_capacity: int | None, max_capacity: int | None) -> str:
    """Return the command that writes the limits that are given."""
    options = {
        "resource-id": gateway.resource_id,
        "min-capacity": min_capacity,
        "max-capacity": max_capacity,
        "region": gateway.region,
    }
    return _command(
        "application-autoscaling register-scalable-target --service-namespace ecs "
        "--scalable-dimension ecs:service:DesiredCount",
        {name: value for name, value in options.items() if value is not None},
    )


def desired_count_command(gateway: Gateway, desired_count: int) -> str:
    """Return the command that writes the desired count."""
    return _command(
        "ecs update-service",
        {
            "cluster": gateway.cluster_name,
            "service": gateway.service_name,
            "desired-count": desired_count,
            "region": gateway.region,
        },
    )


def _command(verb: str, options: dict[str, object]) -> str:
    given = " ".join(f"--{name} {shlex.quote(str(value))}" for name, value in options.items())
    return f"aws {verb} {given}"
