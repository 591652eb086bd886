"""What the answer has to say of a service besides: sentences, none of which keeps a run from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ecs_task_recycle.before.permissions import (
    REVISION_READ,
    SLOW_START_READ,
    TRIED_BY_AUTOSCALING,
)
from ecs_task_recycle.before.refusals import FULL_PERCENT
from ecs_task_recycle.model import (
    Ingress,
    Original,
    ScalableTarget,
    Service,
    quickest_start_seconds,
)
from ecs_task_recycle.settings.event import Settings
from ecs_task_recycle.watch.in_service import Snapshot

STEADY: Final = "has reached a steady state"
"""https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-event-messages-list.html"""


def unproven_permissions(settings: Settings, target: ScalableTarget | None) -> list[str]:
    """Return a sentence on what a dry run cannot try: it would take a call that changes limits."""
    if not settings.dry_run or not settings.raises_capacity or target is None:
        return []
    actions = ", ".join(TRIED_BY_AUTOSCALING)
    text = "Not proven by a dry run: what Application Auto Scaling tries before it moves the limits"
    return [f"{text} ({actions})"]


def beyond_maximum(service: Service, settings: Settings) -> list[str]:
    """Return a sentence on a service that ECS's own deployments give no task more."""
    percent, count = service.maximum_percent, service.desired_count
    if not settings.maintain_service_state or percent is None or not count:
        return []
    if count * percent // FULL_PERCENT > count:
        return []
    text = f"The extra task goes beyond the {count} that its maximumPercent of {percent} allows"
    return [f'{text} in a deployment; without it: "maintain_service_state": false']


def found_by_address(service: Service) -> list[str]:
    """Return a sentence on clients that may know a stopped task for as long as they remember it.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-discovery.html
    """
    if not service.found_through:
        return []
    ways = " and ".join(service.found_through)
    text = f"Clients that find the tasks through {ways} are not followed"
    return [f"{text}: wait_time is what they have to learn of a new task"]


def tasks_missing(snapshot: Snapshot) -> list[str]:
    """Return a sentence on a service that is short of tasks before anything is done."""
    service = snapshot.service
    missing_count = service.desired_count - len(snapshot.in_service)
    if missing_count <= 0:
        return []
    counts = f"{len(snapshot.in_service)} of {service.desired_count} desired tasks are in service"
    text = f"{counts}, {missing_count} {'is' if missing_count == 1 else 'are'} missing"
    newest = next((each.message.rstrip(".") for each in service.events), STEADY)
    return [text if newest.endswith(STEADY) else f"{text}; the newest event: {newest}"]


def slow_starts(originals: Sequence[Original], settings: Settings) -> list[str]:
    """Return a sentence on tasks none of which has started in the time that a replacement gets."""
    quickest, limit = quickest_start_seconds(originals), settings.stabilize_timeout_seconds
    if quickest <= limit:
        return []
    text = f"The quickest task took {quickest:.0f} s to start, stabilize_timeout allows {limit} s"
    return [text]


def unread(ingress: Ingress | None, slow_start_seconds: int | None) -> list[str]:
    """Return a sentence for each fact that could not be read, and that a run can do without."""
    sentences = []
    if ingress is not None and not ingress.is_known:
        text = "Whether ECS keeps target groups of its own for the service is not known"
        sentences.append(f"{text}: its service revision could not be read ({REVISION_READ})")
    if slow_start_seconds is None:
        text = "Whether its target groups have a slow start is not known, so none is waited for"
        sentences.append(f"{text} ({SLOW_START_READ})")
    return sentences
