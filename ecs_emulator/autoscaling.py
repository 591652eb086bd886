"""Application Auto Scaling: the limits of a service's desired count, and who moves it.

https://docs.aws.amazon.com/autoscaling/application/APIReference/API_RegisterScalableTarget.html
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from ecs_emulator.errors import ApiError
from ecs_emulator.model import ScalableState, ScalableTarget, Service
from ecs_emulator.timeline import Timeline

if TYPE_CHECKING:
    from ecs_emulator.core import Core


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """An update of a scalable target; None leaves a member as it is."""

    min_capacity: int | None = None
    max_capacity: int | None = None
    scaling_in_suspended: bool | None = None
    scaling_out_suspended: bool | None = None
    scheduled_suspended: bool | None = None


class AutoScaling:
    """Keeps the scalable targets. Each update clamps the desired count, `aas_lag` later."""

    def __init__(self, world: "Core") -> None:
        self._world = world
        self.targets: dict[str, ScalableTarget] = {}
        self._clamps = 0

    def target_of(self, service: Service) -> ScalableTarget | None:
        """Return the service's scalable target, if it has one."""
        return self.targets.get(f"service/{service.cluster.name}/{service.name}")

    def register(self, service: Service, limits: Limits) -> ScalableTarget:
        """Create or partly update the service's target.

        Raises ApiError (ValidationException) where the outcome has min > max, or a new target
        lacks one of them.
        """
        target = self.target_of(service)
        state = _merged(target.timeline.latest if target else None, limits)
        if target is None:
            target = self._create(service, state)
        else:
            target.timeline.set(self._world.now, state)
        self._clamps += 1
        lag = service.dice.seconds(service.knobs.aas_lag, "clamp", self._clamps)
        self._world.schedule(self._world.now + lag, partial(self._clamp, target))
        return target

    def _create(self, service: Service, state: ScalableState) -> ScalableTarget:
        bits = service.dice.generator("scalable target").getrandbits(96)
        target = ScalableTarget(
            service=service,
            arn=self._world.arn("application-autoscaling", f"scalable-target/{bits:024x}"),
            timeline=Timeline(self._world.now, state),
        )
        self.targets[target.resource_id] = target
        return target

    def _clamp(self, target: ScalableTarget) -> None:
        if target.service.status != "ACTIVE":
            return
        wanted = target.service.desired_count
        allowed = min(max(wanted, target.min_capacity), target.max_capacity)
        self._world.move_desired_count(target.service, allowed, "autoscaling")


def _merged(state: ScalableState | None, limits: Limits) -> ScalableState:
    given = {
        name: value
        for name in Limits.__dataclass_fields__
        if (value := getattr(limits, name)) is not None
    }
    if state is None and not {"min_capacity", "max_capacity"} <= given.keys():
        raise ApiError(
            "ValidationException",
            "Minimum capacity and maximum capacity must be specified for a new scalable target.",
        )
    merged = replace(state, **given) if state else ScalableState(**given)
    if merged.min_capacity > merged.max_capacity:
        raise ApiError(
            "ValidationException", "Maximum capacity cannot be less than minimum capacity"
        )
    if merged.min_capacity < 0:
        raise ApiError("ValidationException", "Minimum capacity cannot be negative")
    return merged
