"""One task more, raised before the first stop: record, autoscaling limits, desired count."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial
from typing import Final

from ecs_task_recycle.aws.errors import CONFLICT, retry_until
from ecs_task_recycle.before.refusals import refusals
from ecs_task_recycle.clock import pause
from ecs_task_recycle.codec import encode
from ecs_task_recycle.errors import PreconditionError
from ecs_task_recycle.model import Capacity, ScaleUp
from ecs_task_recycle.outcome import Interference
from ecs_task_recycle.run import Run
from ecs_task_recycle.steps.budget import (
    patiently,
    require_time_for_task,
    slow_remedy,
    work_ends_at,
)
from ecs_task_recycle.watch.in_service import Snapshot
from ecs_task_recycle.watch.messages import MAKE_ROOM
from ecs_task_recycle.watch.reads import read_until
from ecs_task_recycle.watch.watch import ExpectedService, Wait

CONFLICT_SECONDS: Final = 180.0
"""People have waited for one or two minutes until autoscaling took the next call."""

logger = logging.getLogger(__name__)


def scale_up(run: Run) -> None:
    """Add one task if the plan says so, wait until it is in service, and rest.

    The next invocation repeats it where this one dies meanwhile, but not where it hands over during
    the rest, which is over by then. Raises OutOfTime for a rest that is too long, Interference for
    a service that no run would be started on, PreconditionError if somebody else changes the
    capacity at the same time, and whatever ends a wait.
    """
    progress = run.progress
    if progress.awaits_extra_task:
        if progress.scale_up is None:
            progress.scale_up = patiently(run, partial(_one_more, run))
            progress.raised_since_at = run.now_at
        began = run.clock.now()
        if progress.raised_at is None:
            progress.raised_at = run.now_at
            run.renew()
        known = frozenset(run.watch.memory.tasks)
        _raise_capacity(run, progress.scale_up)
        written = run.clock.now()
        expect_service(run)
        _await_extra_task(run, known)
        is_measured = began - progress.raised_at.timestamp() < 1
        # What lies between two invocations says nothing of how long a task takes.
        progress.seconds_to_start = run.clock.now() - written if is_measured else 0.0
        _rest(run)
    else:
        expect_service(run)


def expect_service(run: Run) -> None:
    """From here on let waits end when the service no longer looks as the run needs it."""
    run.watch.expect(
        ExpectedService(
            deployment_id=run.progress.planned.deployment_id,
            required_in_service=run.progress.required_in_service,
        )
    )


def _one_more(run: Run) -> ScaleUp:
    """Return one task more than there are now, and take what there is now into the plan.

    It may be long since the plan was made, and any read may be older than it.
    """
    plan = run.progress.planned
    found = read_until(partial(_capacity, run), lambda seen: seen == plan.found, run.clock)
    if found != plan.found:
        snapshot = run.watch.refresh()
        plan = replace(plan, found=found, in_service_count=len(snapshot.in_service))
        run.progress.plan = plan
    return ScaleUp.by_one(found)


def _capacity(run: Run) -> Capacity:
    """Read the capacity. Raises Interference for a service that no run would be started on."""
    service, target = run.gateway.service(), run.gateway.scalable_target()
    if service is None:
        raise Interference("the service is not there any more")
    if not service.desired_count:
        raise Interference("the desired count is 0")
    expected = ExpectedService(
        deployment_id=run.progress.planned.deployment_id, required_in_service=0
    )
    # What has happened since the plan comes first: a deployment in progress is news by then.
    reason = expected.interference(service) or "; ".join(refusals(service, target, maintain=True))
    if reason:
        raise Interference(reason)
    return Capacity.of(service, target)


def _raise_capacity(run: Run, scale_up: ScaleUp) -> None:
    """Write the limits, then the desired count; both are absolute and can be repeated."""
    gateway, found, written = run.gateway, scale_up.found, scale_up.written
    logger.info(
        "Raising the desired count from %d to %d",
        found.desired_count,
        written.desired_count,
        extra={"found": encode(found), "written": encode(written)},
    )
    if scale_up.changes_limits:
        retry_until(
            partial(_raise_limits, run, scale_up),
            run.clock,
            until=min(work_ends_at(run), run.clock.now() + CONFLICT_SECONDS),
            every_seconds=5.0,
            is_retryable=lambda error: error.code == CONFLICT,
        )
    _require_count(run, scale_up)
    run.watch.wrote(gateway.set_desired_count(written.desired_count))


def _raise_limits(run: Run, scale_up: ScaleUp) -> None:
    """Write the limits, if they are still the ones that were found, or written before.

    An invocation that has died may have raised them: then a count below them is somebody's, and
    writing them once more would lift it.
    """
    found, written = scale_up.found, scale_up.written
    _require_count(run, scale_up)
    target = run.gateway.scalable_target()
    is_ours = (
        target is not None
        and target.min_capacity in (found.min_capacity, written.min_capacity)
        and target.max_capacity in (found.max_capacity, written.max_capacity)
    )
    if not is_ours:
        raise _changed(run)
    run.gateway.set_limits(min_capacity=written.min_capacity, max_capacity=written.max_capacity)


def _require_count(run: Run, scale_up: ScaleUp) -> None:
    """Raise PreconditionError if somebody else has changed the desired count."""
    service = run.gateway.service()
    ours = (scale_up.found.desired_count, scale_up.written.desired_count)
    if service is None or service.desired_count not in ours:
        raise _changed(run)


def _changed(run: Run) -> PreconditionError:
    return PreconditionError(
        f"The capacity of {run.gateway.name} was changed while the run was starting.",
        remedy="No task was stopped. Invoke again.",
    )


def _await_extra_task(run: Run, known: frozenset[str]) -> None:
    progress = run.progress
    found_count, required_count = progress.planned.in_service_count, progress.required_in_service

    def extra_task_in_service(snapshot: Snapshot) -> bool | None:
        count = len(snapshot.in_service)
        is_more = count > found_count and snapshot.in_service - known
        return True if is_more or count >= required_count else None

    raised_at = progress.raised_at or run.now_at
    wait = Wait(
        awaited="the extra task",
        timeout_seconds=float(run.settings.stabilize_timeout_seconds),
        began=raised_at.timestamp(),
        deadline_at=work_ends_at(run),
        remedy=slow_remedy(run),
        room_remedy=f'{MAKE_ROOM}, or set "maintain_service_state": false',
    )
    run.watch.until(extra_task_in_service, wait)


def _rest(run: Run) -> None:
    """Sleep before the first stop, as after each replacement. Raises OutOfTime, Ended.

    A new task is in service before it is warm, and before all clients know it:
    https://github.com/aws/containers-roadmap/issues/343
    """
    seconds = run.pause_seconds
    logger.info("The extra task is in service, waiting %ds", seconds, extra={**run.line.facts()})
    require_time_for_task(run, before_seconds=float(seconds), pauses=True)
    pause(
        run.clock,
        seconds,
        lambda left: logger.info(
            "Waiting after the extra task: %d s left%s",
            left,
            run.line.suffix(),
            extra={"seconds_left": round(left), **run.line.facts()},
        ),
    )
