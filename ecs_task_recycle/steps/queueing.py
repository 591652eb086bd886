"""A queued request: when a run completes, it goes on with the tasks created before an instant."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from ecs_task_recycle.aws.gateway import Gateway
from ecs_task_recycle.clock import Clock
from ecs_task_recycle.model import Original, Plan
from ecs_task_recycle.outcome import Ended, Status
from ecs_task_recycle.record.progress import Progress
from ecs_task_recycle.record.store import RecordStore
from ecs_task_recycle.steps.budget import Budget
from ecs_task_recycle.steps.protection import under_protection
from ecs_task_recycle.steps.scale_up import raised_from_now
from ecs_task_recycle.steps.work_list import created_before
from ecs_task_recycle.watch.in_service import Snapshot
from ecs_task_recycle.watch.reads import CONSISTENCY_SECONDS, seconds_until_current
from ecs_task_recycle.watch.watch import Watch

TASKS_LIMIT: Final = 5_000
"""The tasks of one run: so many fit into an item of DynamoDB, and are ECS's limit for a service.
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-quotas.html"""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Queueing:
    """Serves a queued request as a part of the run that it was queued for."""

    gateway: Gateway
    clock: Clock
    watch: Watch
    store: RecordStore
    budget: Budget
    progress: Progress

    def accept(self, plan: Plan) -> Plan:
        """Return the plan with the tasks of the queued request, once the record holds it.

        Raises OutOfTime where none of them could be replaced any more, Ended, OwnershipLostError,
        AwsCallError.
        """
        progress = self.progress
        progress.ended = None
        raises_again = plan.scale_up is not None and progress.to_restore is None
        settling_seconds = self._settling_seconds(raises_again=raises_again)
        self.budget.require_task(progress, before_seconds=settling_seconds)
        self.clock.sleep(settling_seconds)
        plan = self.budget.retry(lambda: self._extended(plan, raises_again=raises_again))
        progress.plan = plan
        if raises_again:
            progress.seconds_to_start = None
        self.store.accept_queued(progress)
        return plan

    def _settling_seconds(self, *, raises_again: bool) -> float:
        """Return how long a read may still lack a task that was created before the request.

        Or, where the run has just restored, may still show what it had raised.
        """
        queued_at = self.store.queued_before_at
        if raises_again or queued_at is None:
            return CONSISTENCY_SECONDS
        return seconds_until_current(self.clock.now(), queued_at)

    def _extended(self, plan: Plan, *, raises_again: bool) -> Plan:
        """Return the plan with all tasks that were created before the instant of the request.

        Replacements of this run that are older than that are among them.
        """
        queued_at = self.store.queued_before_at or plan.started_before_at
        snapshot = self.watch.refresh(lists=True)
        more = self._more(snapshot, queued_at)
        started_before_at = max(plan.started_before_at, queued_at)
        logger.info(
            "Going on with a queued request: %d tasks created before %s",
            len(more),
            started_before_at.isoformat(),
            extra={"tasks": len(more), "started_before": started_before_at.isoformat()},
        )
        extended = replace(
            plan,
            started_before_at=started_before_at,
            queued_before_at=queued_at,
            originals=(*plan.originals, *more),
            protections=under_protection(self.gateway.protections([task.arn for task in more])),
            in_service_count=len(snapshot.in_service),
            dead_run_id=None,
            unrestored=None,
        )
        return raised_from_now(self.gateway, extended, snapshot) if raises_again else extended

    def _more(self, snapshot: Snapshot, queued_at: datetime) -> tuple[Original, ...]:
        """Return the tasks that a request adds: none where ECS is about to stop them all.

        Raises Ended for more than the run record can hold.
        """
        if not snapshot.service.desired_count:
            return ()
        results = self.progress.results
        more = tuple(
            task for task in created_before(snapshot, queued_at) if task.arn not in results
        )
        if len(results) + len(more) > TASKS_LIMIT:
            raise Ended(
                Status.PARTIAL,
                f"{len(more)} tasks of a queued request do not fit into its record of "
                f"{len(results)}; repeat the request",
            )
        return more
