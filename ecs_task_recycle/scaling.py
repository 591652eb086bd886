"""One task more, raised before the first stop: record, autoscaling limits, desired count."""

from __future__ import annotations

import logging
import shlex
from typing import TYPE_CHECKING

from ecs_task_recycle.codec import encode
from ecs_task_recycle.errors import PreconditionError

if TYPE_CHECKING:
    from ecs_task_recycle.gateway import Gateway
    from ecs_task_recycle.model import ScalableTarget, ScaleUp
    from ecs_task_recycle.service_watch import ServiceWatch

logger = logging.getLogger(__name__)


def scale_up(gateway: Gateway, watch: ServiceWatch, plan: ScaleUp) -> None:
    """Write the limits, then the desired count; both are absolute and can be repeated.

    Raises PreconditionError if somebody has set another desired count by then.
    """
    found, written = plan.found, plan.written
    logger.info(
        "Raising the desired count from %d to %d",
        found.desired_count,
        written.desired_count,
        extra={"found": encode(found), "written": encode(written)},
    )
    if plan.changes_limits:
        _require(gateway, _limits_are_ours(gateway.scalable_target(), plan))
        gateway.set_limits(min_capacity=written.min_capacity, max_capacity=written.max_capacity)
    service = gateway.service()
    ours = (found.desired_count, written.desired_count)
    _require(gateway, service is not None and service.desired_count in ours)
    watch.wrote(gateway.set_desired_count(written.desired_count))


def _limits_are_ours(target: ScalableTarget | None, plan: ScaleUp) -> bool:
    found, written = plan.found, plan.written
    return (
        target is not None
        and target.min_capacity in (found.min_capacity, written.min_capacity)
        and target.max_capacity in (found.max_capacity, written.max_capacity)
    )


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
