"""Give the extra task back: wait until one can go, then the limits, then the desired count.

Lowering the desired count makes ECS choose a task to stop, and it may choose a healthy one while
another is still starting. So the service should have all its tasks in service first, one of them
without scale-in protection; and if it will not, the tasks that never came into service are stopped
instead, so that there is nothing left to choose.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final

from ecs_task_recycle.aws.errors import CONFLICT, retry_until
from ecs_task_recycle.clock import Clock, is_since
from ecs_task_recycle.codec import encode
from ecs_task_recycle.errors import (
    AwsCallError,
    OwnershipLostError,
    PreconditionError,
    ReplacementError,
    RestoreError,
    StepTimeoutError,
)
from ecs_task_recycle.model import CapacityReport, ScaleUp
from ecs_task_recycle.outcome import HandedOver, Interference, OutOfTime
from ecs_task_recycle.run import Run
from ecs_task_recycle.steps.budget import fits_an_invocation, restore_ends_at, work_seconds
from ecs_task_recycle.steps.put_back import PutBack, desired_count_command, limits_command
from ecs_task_recycle.watch.in_service import Snapshot
from ecs_task_recycle.watch.reads import CONSISTENCY_SECONDS, Doubt, doubt_before_leaving
from ecs_task_recycle.watch.watch import Wait

RETRY_SECONDS: Final = 5.0
TRANSIENT_SECONDS: Final = 30.0
"""For how long a call that fails for a moment is repeated; a conflict, as long as there is time."""

PROTECTION_SECONDS: Final = 20.0
"""How often scale-in protection is read while every task is protected."""

LEFT_FOR_WRITES_SECONDS: Final = 25.0
"""What the writes keep of the time to restore, however long reads differ from what was raised."""

KNOWN_AFTER_DELETION: Final = timedelta(hours=1)
"""For so long, at least, ECS shows a deleted service as INACTIVE before it is MISSING.
https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeleteService.html"""

TAKEN_AWAY_SECONDS: Final = 60.0
"""How long ECS may take to stop the task that is too many; it stops none that is protected."""

ALL_PROTECTED: Final = (
    "the extra task: all tasks are under scale-in protection, ECS takes one away when the first "
    "protection ends"
)

logger = logging.getLogger(__name__)


@contextmanager
def restoring_at_end(run: Run) -> Iterator[None]:
    """Put back what is raised, whatever ends the block; or hand it over to the next invocation.

    What goes on only when the window opens is handed over once nothing is raised: by ``held``.
    """
    try:
        yield
    except Exception as how:
        run.progress.end(how)
        if isinstance(how, OutOfTime) and how.opens_at is None:
            leave_to_next_invocation(run, how)
        _restore(run, how)
        raise
    _restore(run, None)


def leave_to_next_invocation(run: Run, how: OutOfTime) -> None:
    """Raise HandedOver once the guardian's next invocation has the rest; return if it cannot.

    Raises OwnershipLostError.
    """
    guardian = run.guardian
    if guardian is None or not run.record.is_ours or not fits_an_invocation(run):
        return
    run.progress.note_departures(run.watch.memory.stopped_tasks())
    run.progress.opens_at = how.opens_at
    wait_seconds = how.wait_seconds
    if how.opens_at is not None:
        wait_seconds = max(0.0, (how.opens_at - run.now_at).total_seconds())
    try:
        run.record.hand_over(run.to_keep(), wait_seconds=wait_seconds)
    except (AwsCallError, PreconditionError) as error:
        logger.warning("Could not hand over: %s", error, extra=dict(error.facts))
        return
    raise HandedOver(guardian.execution_arn, wait_seconds=wait_seconds, opens_at=how.opens_at)


def _restore(run: Run, how: Exception | None) -> None:
    """Put back what is raised. Raises RestoreError, OwnershipLostError."""
    scale_up = run.progress.scale_up
    if scale_up is None or isinstance(how, OwnershipLostError | HandedOver):
        return
    try:
        doubt = doubt_before_leaving(run.watch.last_write)
        condition = OneCanGo(run=run, scale_up=scale_up, doubt=doubt)
        is_whole = _wait_until_one_can_go(run, condition, how)
        run.progress.restoring_since_at = run.now_at
        if run.record.is_ours:
            run.record.require_ownership(run.to_keep())
        # A deployment that somebody started has tasks of its own that are still starting.
        if not is_whole and not isinstance(how, Interference):
            _stop_surplus(run, scale_up)
        run.progress.put_back(_put_back(run, scale_up, condition.notes))
    except (RestoreError, OwnershipLostError):
        raise
    except Exception as error:
        # Nobody may be left without the commands.
        raise _not_restored(run, [repr(error)], _commands(run, scale_up)) from error
    run.restored_at = run.now_at


# -- until one can go ------------------------------------------------------------------------------


def _wait_until_one_can_go(run: Run, condition: OneCanGo, how: Exception | None) -> bool:
    """Wait until ECS has no healthy task to lose; return False if it may have one."""
    found, written = condition.scale_up.found, condition.scale_up.written
    if found.desired_count == written.desired_count:
        return True
    wait = Wait(
        awaited=f"{written.desired_count} tasks in service, one of them without scale-in "
        "protection, to take one away",
        timeout_seconds=_patience_seconds(run, how),
        is_guarded=False,
        is_fresh=True,
    )
    try:
        return run.watch.until(condition, wait)
    except (StepTimeoutError, AwsCallError) as error:
        # Its sentence and its remedy are for a run that has waited in vain, not for this.
        seen = error.facts.get("last_seen", error.sentence)
        logger.info("Restoring while not all tasks are in service: %s", seen)
        return False


def _patience_seconds(run: Run, how: Exception | None) -> float:
    """Return how long to wait for all tasks to be in service before one is taken away."""
    is_cut = isinstance(how, OutOfTime) and run.progress.in_hand is not None
    if is_cut or isinstance(how, ReplacementError | StepTimeoutError | Interference):
        return 0.0
    # The reserve is for restoring itself.
    return min(float(run.settings.stabilize_timeout_seconds), work_seconds(run))


@dataclass(slots=True, kw_only=True)
class OneCanGo:
    """Whether the desired count may be lowered, or is no longer ours to lower.

    ``notes`` is what the report has to name if no task can be taken away.
    """

    run: Run
    scale_up: ScaleUp
    doubt: Doubt
    notes: tuple[str, ...] = ()
    _protection_read: float | None = None

    def __call__(self, snapshot: Snapshot) -> bool | None:
        """Return True if it may, None as long as it may not."""
        now = self.run.clock.now()
        is_changed = snapshot.service.desired_count != self.scale_up.written.desired_count
        self.doubt.saw(now, differs=is_changed)
        if is_changed:
            # Somebody has changed it, or the read is older than the last write.
            return True if self.doubt.is_over() else None
        return True if self._can_spare_one(snapshot, now) else None

    def _can_spare_one(self, snapshot: Snapshot, now: float) -> bool:
        """Whether all are in service, and not all of them under scale-in protection.

        ECS takes no protected task away. With more of them than desired it would refuse to renew
        any protection, until one ends.
        """
        spared = self.run.progress.spared_out_of_service & snapshot.not_in_service.keys()
        if len(snapshot.in_service | spared) < self.scale_up.written.desired_count:
            self.notes = ()
            return False
        read = self._protection_read
        if self.notes and read is not None and now - read < PROTECTION_SECONDS:
            return False
        ends = self.run.gateway.protections(sorted(snapshot.in_service))
        self._protection_read = now
        self.notes = () if None in ends.values() else (ALL_PROTECTED,)
        return not self.notes


def _stop_surplus(run: Run, scale_up: ScaleUp) -> None:
    """Stop the task that never came into service, if there is one more than found.

    Then ECS has no healthy one to choose.
    """
    try:
        surplus = _surplus(run, scale_up, run.watch.refresh())
        ends = run.gateway.protections(surplus)
        for arn in [arn for arn, until_at in ends.items() if until_at is None]:
            run.gateway.stop_task(arn, reason="not in service in time, no longer wanted")
    except AwsCallError as error:
        logger.warning("Could not stop the surplus task: %s", error, extra=dict(error.facts))


def _surplus(run: Run, scale_up: ScaleUp, snapshot: Snapshot) -> list[str]:
    """Return the new tasks not in service, no more than there are too many."""
    is_ours = snapshot.service.desired_count == scale_up.written.desired_count
    since_at = run.progress.raised_since_at
    if not is_ours or since_at is None or len(snapshot.service.deployments) != 1:
        return []
    known = snapshot.tasks
    new = sorted(
        arn
        for arn in snapshot.not_in_service
        if arn in known and is_since(known[arn].created_at, since_at)
    )
    meant_to_run = len(snapshot.in_service) + len(snapshot.not_in_service)
    return new[: max(0, meant_to_run - scale_up.found.desired_count)]


# -- put back --------------------------------------------------------------------------------------


def _put_back(run: Run, scale_up: ScaleUp, notes: tuple[str, ...]) -> CapacityReport:
    """Put the limits back, then the desired count, and return what holds then.

    ``notes`` says what the report has to name besides. Raises RestoreError with the commands that
    put it right.
    """
    work = PutBack(
        gateway=run.gateway,
        clock=run.clock,
        scale_up=scale_up,
        now=scale_up.found,
        believes_missing=_believes_missing(run),
        last_write=run.watch.last_write,
        until=restore_ends_at(run) - LEFT_FOR_WRITES_SECONDS,
    )
    work.left_alone += notes
    causes: list[str] = []
    commands: list[str] = []
    steps: list[tuple[Callable[[], None], Callable[[], str]]] = [
        (work.put_back_desired_count, work.desired_count_command)
    ]
    if scale_up.changes_limits:
        steps.insert(0, (work.put_back_limits, work.limits_command))
    for step, command in steps:
        until = restore_ends_at(run)
        transient_until = min(until, run.clock.now() + TRANSIENT_SECONDS)
        try:
            retry_until(
                step,
                run.clock,
                until=until,
                every_seconds=RETRY_SECONDS,
                is_retryable=partial(_is_worth_another_try, run.clock, transient_until),
            )
        except AwsCallError as error:
            causes.append(str(error))
            commands.append(command())
    if commands:
        raise _not_restored(run, causes, commands, left_alone=work.left_alone)
    logger.info(
        "Capacity restored: desired count %d",
        work.now.desired_count,
        extra={"now": encode(work.now), "left_alone": work.left_alone},
    )
    return CapacityReport(found=scale_up.found, now=work.now, left_alone=tuple(work.left_alone))


def _believes_missing(run: Run) -> bool:
    """Whether a service that ECS does not know may be taken for deleted.

    Not one that this invocation has seen, nor one that would still be shown as INACTIVE.
    """
    since_at = run.progress.raised_since_at
    is_long_ago = since_at is None or run.now_at - since_at > KNOWN_AFTER_DELETION
    return is_long_ago and run.watch.memory.service is None


def _is_worth_another_try(clock: Clock, transient_until: float, error: AwsCallError) -> bool:
    """Nobody else would put the limits back: a conflict is sat out as long as there is time."""
    return error.code == CONFLICT or (error.transient and clock.now() < transient_until)


# -- afterwards ------------------------------------------------------------------------------------


def await_surplus_gone(run: Run) -> None:
    """Wait until reads show what was restored, and which task ECS has stopped for it.

    Whoever counts on that task, or stops another one meanwhile, has one less than they think.
    Raises AwsCallError.
    """
    run.clock.sleep(CONSISTENCY_SECONDS)
    wait = Wait(
        awaited="ECS to stop the surplus task",
        timeout_seconds=min(TAKEN_AWAY_SECONDS, work_seconds(run)),
        is_guarded=False,
    )
    try:
        run.watch.until(_has_no_surplus, wait)
    except StepTimeoutError as error:
        logger.info("Continuing with one surplus task: %s", error)


def _has_no_surplus(snapshot: Snapshot) -> bool | None:
    meant_to_run = len(snapshot.in_service) + len(snapshot.not_in_service)
    return True if meant_to_run <= snapshot.service.desired_count else None


# -- by hand ---------------------------------------------------------------------------------------


def _not_restored(
    run: Run, causes: list[str], commands: list[str], *, left_alone: list[str] | None = None
) -> RestoreError:
    return RestoreError(
        f"The capacity of {run.gateway.resource_id} could not be put back. {' '.join(causes)}",
        remedy=f"Run: {' && '.join(commands)}",
        commands=commands,
        left_alone=left_alone or [],
    )


def _commands(run: Run, scale_up: ScaleUp) -> list[str]:
    limits = [limits_command(run.gateway, scale_up.found)] if scale_up.changes_limits else []
    return [*limits, desired_count_command(run.gateway, scale_up.found.desired_count)]
