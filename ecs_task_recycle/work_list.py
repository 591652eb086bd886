"""Which tasks are recycled, and in which order: decided once, from one read."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ecs_task_recycle.clock import as_utc, pause
from ecs_task_recycle.model import Original
from ecs_task_recycle.outcome import OutOfTime
from ecs_task_recycle.protection import look
from ecs_task_recycle.settings import ProtectedTasks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from ecs_task_recycle.budget import Budget
    from ecs_task_recycle.clock import Clock
    from ecs_task_recycle.gateway import Gateway
    from ecs_task_recycle.model import Plan, Task
    from ecs_task_recycle.progress import Progress
    from ecs_task_recycle.protection import ProtectionLook
    from ecs_task_recycle.settings import Settings

logger = logging.getLogger(__name__)


def originals(tasks: Iterable[Task], started_before_at: datetime) -> tuple[Original, ...]:
    """Return the tasks started before an instant, the oldest first.

    A task that has not started yet is none of them: ``startedAt`` is the instant of its
    transition to RUNNING.
    https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Task.html
    """
    started = [
        (task.started_at, task.arn, task)
        for task in tasks
        if task.is_meant_to_run and task.started_at and task.started_at < started_before_at
    ]
    return tuple(
        Original(arn=arn, created_at=task.created_at, started_at=started_at)
        for started_at, arn, task in sorted(started, key=lambda each: each[:2])
    )


def quickest_start_seconds(tasks: Iterable[Original]) -> float:
    """Return how long the quickest of the tasks took from its creation to RUNNING."""
    taken = [each.seconds_to_start for each in tasks]
    return min((seconds for seconds in taken if seconds is not None), default=0.0)


def why_nothing_to_do(plan: Plan, settings: Settings) -> str | None:
    """Return why there is nothing to recycle, None if there is something."""
    if not plan.found.desired_count:
        return "the desired count is 0"
    if not plan.originals:
        return f"no task was started before {plan.started_before_at.isoformat()}"
    skips = settings.protected_tasks is ProtectedTasks.SKIP
    if skips and len(plan.protections) == len(plan.originals):
        return f"all {len(plan.originals)} tasks are under scale-in protection"
    return None


def planned(plan: Plan, settings: Settings) -> tuple[Original, ...]:
    """Return the tasks that a run would recycle as things are now."""
    if settings.protected_tasks is not ProtectedTasks.SKIP:
        return plan.originals
    skipped = {each.task_arn for each in plan.protections}
    return tuple(task for task in plan.originals if task.arn not in skipped)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkList:
    """The tasks of a plan in their turns: those without scale-in protection first.

    ``protected_tasks`` decides about the others: with ``wait`` each comes when its protection has
    ended, as long as the run has time; with ``skip`` there is one more look; with ``stop`` they
    are like all others.
    """

    gateway: Gateway
    clock: Clock
    budget: Budget
    policy: ProtectedTasks
    progress: Progress
    plan: Plan

    def turns(self) -> Iterator[Original]:
        """Yield each task when it is its turn. Raises OutOfTime while waiting for the protected."""
        self._note_protected()
        for task in self.plan.originals:
            if task.arn not in self.progress.protected:
                yield task
        if self.policy is not ProtectedTasks.STOP:
            yield from self._protected_turns()

    def _note_protected(self) -> None:
        spares = self.policy is not ProtectedTasks.STOP
        protections = self.plan.protections if spares else ()
        self.progress.protected = {each.task_arn: each for each in protections}

    def _protected_turns(self) -> Iterator[Original]:
        tasks = {task.arn: task for task in self.plan.originals}
        waiting = self.progress.protected
        while waiting:
            before_count = len(waiting)
            seen = self._look()
            for arn in seen.free_arns:
                del waiting[arn]
                yield tasks[arn]
            if self.policy is ProtectedTasks.SKIP or not waiting:
                return
            if len(waiting) == before_count:
                self._wait(seen)

    def wait_until_any_is_free(self) -> None:
        """Wait while every task is protected. Raises OutOfTime."""
        if self.policy is not ProtectedTasks.WAIT:
            return
        self._note_protected()
        if len(self.progress.protected) < len(self.plan.originals):
            return
        while not (seen := self._look()).free_arns:
            self._wait(seen)

    def _look(self) -> ProtectionLook:
        seen = look(self.gateway, as_utc(self.clock.now()), self.progress.protected.values())
        self.progress.protected |= {each.task_arn: each for each in seen.waiting}
        return seen

    def _wait(self, seen: ProtectionLook) -> None:
        count = len(self.progress.protected)
        try:
            self.budget.require_task(self.progress, before_seconds=seen.next_look_seconds)
        except OutOfTime as late:
            reason = f"{count} tasks are still under scale-in protection, and {late.reason}"
            raise OutOfTime(reason) from late
        pause(
            self.clock,
            seen.next_look_seconds,
            lambda left: logger.info("Waiting for protected tasks: next read in %d s", left),
        )
