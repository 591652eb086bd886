"""Before a task is taken away: wait until ECS has no healthy one to lose by it.

Lowering the desired count makes ECS choose a task to stop, and it may choose a healthy one while
another is still starting. So the service should have all its tasks in service first, one of them
without scale-in protection; and if it will not, the tasks that never came into service are stopped
instead, so that there is nothing left to choose.
"""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Final

from ecs_task_recycle.aws.gateway import Gateway
from ecs_task_recycle.clock import Clock, is_since
from ecs_task_recycle.errors import AwsCallError, StepTimeoutError
from ecs_task_recycle.model import ScaleUp
from ecs_task_recycle.steps.budget import Budget
from ecs_task_recycle.watch.in_service import Snapshot
from ecs_task_recycle.watch.reads import CONSISTENCY_SECONDS, Doubt
from ecs_task_recycle.watch.watch import Wait, Watch

PROTECTION_SECONDS: Final = 20.0
"""How often scale-in protection is read while every task is protected."""

TAKEN_AWAY_SECONDS: Final = 60.0
"""How long ECS may take to stop the task that is too many; it stops none that is protected."""

ALL_PROTECTED: Final = (
    "the extra task: all tasks are under scale-in protection, ECS takes one away when the first "
    "protection ends"
)

logger = logging.getLogger(__name__)


class Settling:
    """Waits until the desired count may be lowered, or is no longer ours to lower."""

    def __init__(
        self,
        gateway: Gateway,
        clock: Clock,
        watch: Watch,
        scale_up: ScaleUp,
        *,
        not_awaited: frozenset[str] = frozenset(),
    ) -> None:
        """Take what is to be lowered, and the tasks that need not be in service for that.

        Nothing is called yet.
        """
        self._not_awaited = not_awaited
        self._gateway = gateway
        self._clock = clock
        self._watch = watch
        self._written = scale_up.written.desired_count
        self._found = scale_up.found.desired_count
        self._doubt = Doubt()
        self._protection_read: float | None = None
        self.notes: list[str] = []

    def wait(self, timeout_seconds: float) -> bool:
        """Wait until a task can be taken away; return whether it came to that.

        ``notes`` is then what the report has to name if none can.
        """
        if self._found == self._written:
            return True
        wait = Wait(
            awaited=f"{self._written} tasks in service, one of them without scale-in protection, "
            "to take one away",
            timeout_seconds=timeout_seconds,
            is_guarded=False,
            is_fresh=True,
        )
        try:
            return self._watch.until(self._is_settled, wait)
        except (StepTimeoutError, AwsCallError) as error:
            logger.info("Restoring while not all tasks are in service: %s", error)
            return False

    def _is_settled(self, snapshot: Snapshot) -> bool | None:
        is_changed = snapshot.service.desired_count != self._written
        self._doubt.saw(self._clock.now(), differs=is_changed)
        if not is_changed:
            return True if self._can_spare_one(snapshot) else None
        # Somebody has changed it, or the read is older than the last write.
        return True if self._doubt.is_over(self._clock.now()) else None

    def _can_spare_one(self, snapshot: Snapshot) -> bool:
        """Whether all are in service, and not all of them under scale-in protection.

        ECS takes no protected task away. With more of them than desired it would refuse to renew
        any protection, until one ends.
        """
        settled_count = len(
            snapshot.in_service | (self._not_awaited & snapshot.not_in_service.keys())
        )
        if settled_count < self._written:
            self.notes = []
            return False
        now, read = self._clock.now(), self._protection_read
        if self.notes and read is not None and now - read < PROTECTION_SECONDS:
            return False
        ends = self._gateway.protections(sorted(snapshot.in_service))
        self._protection_read = now
        self.notes = [] if None in ends.values() else [ALL_PROTECTED]
        return not self.notes

    def withdraw(self, raised_since_at: datetime) -> None:
        """Stop the tasks not in service that were created since an instant, if there is one more.

        Then ECS has no healthy one to choose.
        """
        try:
            surplus = self._surplus(self._watch.refresh(), raised_since_at)
            ends = self._gateway.protections(surplus)
            for arn in [arn for arn, until_at in ends.items() if until_at is None]:
                self._gateway.stop_task(arn, reason="not in service in time, no longer wanted")
        except AwsCallError as error:
            logger.warning("Could not withdraw a task: %s", error, extra=dict(error.facts))

    def _surplus(self, snapshot: Snapshot, raised_since_at: datetime) -> list[str]:
        """Return the new tasks not in service, no more than there are too many."""
        is_ours = snapshot.service.desired_count == self._written
        if not is_ours or len(snapshot.service.deployments) != 1:
            return []
        known = snapshot.tasks
        new = sorted(
            arn
            for arn in snapshot.not_in_service
            if arn in known and is_since(known[arn].created_at, raised_since_at)
        )
        meant_to_run = len(snapshot.in_service) + len(snapshot.not_in_service)
        return new[: max(0, meant_to_run - self._found)]


def await_taken_away(clock: Clock, watch: Watch, budget: Budget) -> None:
    """Wait until reads show what was restored just now, and which task ECS has taken away for it.

    Whoever counts on that task, or stops another one meanwhile, has one less than they think.
    Raises AwsCallError.
    """
    clock.sleep(CONSISTENCY_SECONDS)
    wait = Wait(
        awaited="ECS to stop the task that is too many",
        timeout_seconds=min(TAKEN_AWAY_SECONDS, budget.work_seconds),
        is_guarded=False,
    )
    try:
        watch.until(_has_none_too_many, wait)
    except StepTimeoutError as error:
        logger.info("Going on with a task too many: %s", error)


def _has_none_too_many(snapshot: Snapshot) -> bool | None:
    meant_to_run = len(snapshot.in_service) + len(snapshot.not_in_service)
    return True if meant_to_run <= snapshot.service.desired_count else None
