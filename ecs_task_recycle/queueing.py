"""A queued request: when a run completes, it goes on with the tasks started before an instant."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from ecs_task_recycle.model import Capacity, ScaleUp
from ecs_task_recycle.protection import under_protection
from ecs_task_recycle.work_list import created_before

if TYPE_CHECKING:
    from datetime import datetime

    from ecs_task_recycle.gateway import Gateway
    from ecs_task_recycle.model import Plan
    from ecs_task_recycle.progress import Progress
    from ecs_task_recycle.service_watch import ServiceWatch

logger = logging.getLogger(__name__)


def extended(
    gateway: Gateway, watch: ServiceWatch, progress: Progress, *, plan: Plan, queued_at: datetime
) -> Plan:
    """Return the plan with all tasks that were created before the instant of a queued request.

    Replacements of this run that are older than that are among them.
    """
    started_before_at = max(plan.started_before_at, queued_at)
    snapshot = watch.refresh(lists=True)
    more = tuple(
        task for task in created_before(snapshot, queued_at) if task.arn not in progress.results
    )
    logger.info(
        "Going on with a queued request: %d tasks created before %s",
        len(more),
        started_before_at.isoformat(),
        extra={"tasks": len(more), "started_before": started_before_at.isoformat()},
    )
    ends = gateway.protections([task.arn for task in more])
    scale_up, found = plan.scale_up, plan.found
    if scale_up is not None and progress.to_restore is None:
        found = Capacity.of(snapshot.service, gateway.scalable_target())
        scale_up = ScaleUp.by_one(found)
        progress.seconds_to_start = None
    return replace(
        plan,
        started_before_at=started_before_at,
        originals=(*plan.originals, *more),
        protections=under_protection(ends),
        in_service_count=len(snapshot.in_service),
        found=found,
        scale_up=scale_up,
        dead_run_id=None,
        unrestored=None,
    )
