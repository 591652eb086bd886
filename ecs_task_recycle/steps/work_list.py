"""Which tasks are recycled, and in which order: decided once, from one read."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from ecs_task_recycle.aws.gateway import Gateway
from ecs_task_recycle.aws.guardian import LONGEST_WAIT_SECONDS
from ecs_task_recycle.clock import Clock, as_utc, pause
from ecs_task_recycle.model import Original, Plan, Protection
from ecs_task_recycle.outcome import Ended, OutOfTime, Status
from ecs_task_recycle.record.progress import Progress
from ecs_task_recycle.report.progress_line import Pace
from ecs_task_recycle.settings.event import Settings
from ecs_task_recycle.settings.parameters import ProtectedTasks
from ecs_task_recycle.steps.budget import Budget
from ecs_task_recycle.steps.go_ahead import GoAhead
from ecs_task_recycle.steps.protection import ProtectionLook, look
from ecs_task_recycle.task import Task
from ecs_task_recycle.watch.in_service import Snapshot

SHORTEST_HAND_OVER_SECONDS: Final = 60.0
"""Waiting for longer than this is left to the guardian: it costs no compute."""

STUCK_MARGIN: Final = timedelta(seconds=60)
STUCK_WITHOUT_MEASURE: Final = timedelta(minutes=10)

logger = logging.getLogger(__name__)


def originals(
    snapshot: Snapshot, started_before_at: datetime, now_at: datetime
) -> tuple[Original, ...]:
    """Return the tasks started before an instant: those not in service first, then the oldest.

    Stopping a task that is not in service costs nothing. A task that has not started yet is none
    of them, unless it was created before that instant and is stuck: ``startedAt`` is the instant of
    its transition to RUNNING.
    https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Task.html
    """
    live = _live(snapshot)
    stuck_since_at = now_at - _longest_start(live)
    return sorted_originals(
        original(task, snapshot)
        for task in live
        if (began_at := _began(task, stuck_since_at)) is not None and began_at < started_before_at
    )


def created_before(snapshot: Snapshot, instant_at: datetime) -> tuple[Original, ...]:
    """Return the tasks created before an instant, those that are still starting among them.

    Such a task may have read its secrets before the instant, though it is RUNNING after it.
    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/secrets-envvar-secrets-manager.html
    """
    return sorted_originals(
        original(task, snapshot)
        for task in _live(snapshot)
        if (began_at := task.created_at or task.started_at) is not None and began_at < instant_at
    )


def _live(snapshot: Snapshot) -> list[Task]:
    tasks = ((arn, task) for arn, task in snapshot.tasks.items() if task.is_meant_to_run)
    return [task for arn, task in tasks if arn not in snapshot.leaving]


def original(task: Task, snapshot: Snapshot) -> Original:
    """Return a task as the work list holds it."""
    return Original(
        arn=task.arn,
        created_at=task.created_at,
        started_at=task.started_at,
        not_in_service=snapshot.not_in_service.get(task.arn),
        zone=task.zone,
    )


def sorted_originals(tasks: Iterable[Original]) -> tuple[Original, ...]:
    """Return tasks in the order of their turns: those not in service first, then the oldest."""
    return tuple(sorted(tasks, key=_order))


def _began(task: Task, stuck_since_at: datetime) -> datetime | None:
    """Return when a task was started, or created if it is stuck before that."""
    if task.started_at is not None or task.created_at is None:
        return task.started_at
    return task.created_at if task.created_at < stuck_since_at else None


def _longest_start(tasks: Iterable[Task]) -> timedelta:
    """Return how long a task may take to RUNNING, by what the others took, before it is stuck."""
    taken = [
        task.started_at - task.created_at for task in tasks if task.started_at and task.created_at
    ]
    return 2 * max(taken) + STUCK_MARGIN if taken else STUCK_WITHOUT_MEASURE


def _order(task: Original) -> tuple[bool, datetime, str]:
    began_at = task.started_at or task.created_at
    return task.not_in_service is None, began_at or datetime.max.replace(tzinfo=UTC), task.arn


def why_nothing_to_do(plan: Plan, settings: Settings) -> str | None:
    """Return why there is nothing to recycle, None if there is something."""
    if not plan.found.desired_count:
        return "the desired count is 0"
    if not plan.originals and plan.names_tasks:
        return "none of the named tasks is running any more"
    if not plan.originals:
        return f"no task was started before {plan.started_before_at.isoformat()}"
    skips = settings.protected_tasks is ProtectedTasks.SKIP
    if skips and len(plan.protections) == len(plan.originals):
        return "all tasks are under scale-in protection"
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
    go_ahead: GoAhead
    hands_over: bool
    pace: Pace

    def turns(self) -> Iterator[Original]:
        """Yield each task when it is its turn. Raises OutOfTime while waiting for the protected."""
        self._note_protected()
        while (task := self._next_unprotected()) is not None:
            yield task
        if self.policy is not ProtectedTasks.STOP:
            yield from self._protected_turns()

    def _next_unprotected(self) -> Original | None:
        """Return the next task, first one that is not in service: stopping that costs nothing."""
        passed = self.progress.results.keys() | self.progress.protected.keys()
        left = (task for task in self.plan.originals if task.arn not in passed)
        is_in_service = self.go_ahead.watch.memory.is_in_service
        return min(left, key=lambda task: is_in_service(task.arn), default=None)

    def _note_protected(self) -> None:
        spares = self.policy is not ProtectedTasks.STOP
        known = {each.task_arn: each for each in self.plan.protections if spares}
        known |= self.progress.protected
        done = self.progress.results
        self.progress.protected = {arn: each for arn, each in known.items() if arn not in done}

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
        """Wait while every task is protected; with ``skip``, end. Raises OutOfTime, Ended."""
        if self.policy is ProtectedTasks.STOP:
            return
        self._note_protected()
        if len(self.progress.protected.keys() | self.progress.results) < len(self.plan.originals):
            return
        while not (seen := self._look()).free_arns:
            if self.policy is ProtectedTasks.SKIP:
                self.require_none_protected()
            self._wait(seen)

    def require_none_protected(self) -> None:
        """Raise Ended if a task is left because it is protected."""
        if count := len(self.progress.protected):
            total = len(self.plan.originals)
            raise Ended(Status.PARTIAL, f"under scale-in protection: {count} of {total} tasks")

    def _look(self) -> ProtectionLook:
        """Read who is still protected; the run may be asked to stop while it waits."""
        self.go_ahead.require()
        protected, clock = self.progress.protected.values(), self.clock
        seen = self.budget.retry(lambda: look(self.gateway, as_utc(clock.now()), protected))
        self.progress.protected |= {each.task_arn: each for each in seen.waiting}
        if seen.waiting:
            self._log_waiting(seen.waiting)
        return seen

    def _log_waiting(self, waiting: Sequence[Protection]) -> None:
        logger.info(
            "Under scale-in protection: %d tasks, the first until %s%s",
            len(waiting),
            waiting[0].until_at,
            self.pace.suffix(),
            extra={"protected": [each.task_arn for each in waiting], **self.pace.facts()},
        )

    def _wait(self, seen: ProtectionLook) -> None:
        """Sleep until the next look; longer than a minute, the run is handed over for that."""
        count, total = len(self.progress.protected), len(self.plan.originals)
        still = f"still under scale-in protection: {count} of {total} tasks"
        seconds = seen.next_look_seconds
        longest_seconds = min(LONGEST_WAIT_SECONDS, seen.first_end_seconds)
        hands_over = self.hands_over and longest_seconds > SHORTEST_HAND_OVER_SECONDS
        try:
            if hands_over:
                self.budget.require_before_finish(self.progress, before_seconds=longest_seconds)
            else:
                self.budget.require_task(self.progress, before_seconds=seconds)
        except OutOfTime as late:
            raise OutOfTime(f"{still}, and {late.reason}") from late
        except Ended as late:
            raise Ended(late.status, f"{still}, and {late.reason}") from late
        if hands_over:
            raise OutOfTime(still, wait_seconds=longest_seconds)
        pause(
            self.clock,
            seconds,
            lambda left: logger.info(
                "Waiting for protected tasks: next read in %d s%s",
                left,
                self.pace.suffix(),
                extra={"seconds_left": round(left), **self.pace.facts()},
            ),
        )
