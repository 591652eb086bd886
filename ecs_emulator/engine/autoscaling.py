"""Application Auto Scaling: the limits of a service's desired count, and who moves it.

https://docs.aws.amazon.com/autoscaling/application/APIReference/API_RegisterScalableTarget.html
"""

from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from ecs_emulator.ground.account import Account
from ecs_emulator.ground.errors import ApiError, EmulatorError
from ecs_emulator.ground.simulation import Simulation
from ecs_emulator.ground.timeline import Timeline
from ecs_emulator.state.ledger import Ledger
from ecs_emulator.state.model import Service

API_CALLER = "api"
SCHEDULE = "scheduled action"
POLICY = "scaling policy"
CLAMP = "autoscaling"
"""Who writes limits, or moves a desired count: the last one into limits that were written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """An update of a scalable target; None leaves a member as it is."""

    min_capacity: int | None = None
    max_capacity: int | None = None
    scaling_in_suspended: bool | None = None
    scaling_out_suspended: bool | None = None
    scheduled_suspended: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalableState:
    """What can change about a scalable target."""

    min_capacity: int
    max_capacity: int
    scaling_in_suspended: bool = False
    scaling_out_suspended: bool = False
    scheduled_suspended: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitsWritten:
    """Who wrote which limits, and when (epoch seconds)."""

    at: float
    min_capacity: int
    max_capacity: int
    who: str


class ScalableTarget:
    """A service's registration with Application Auto Scaling.

    `history` has every write of its limits, also one that changed nothing.
    """

    def __init__(self, *, service: Service, arn: str, timeline: Timeline[ScalableState]) -> None:
        self.service = service
        self.arn = arn
        self.timeline = timeline
        self.created_at = timeline.born_at
        self.pending_until = 0.0
        self.history: list[LimitsWritten] = []

    @property
    def resource_id(self) -> str:
        """The service's name as Application Auto Scaling writes it."""
        return f"service/{self.service.cluster.name}/{self.service.name}"

    @property
    def min_capacity(self) -> int:
        """The lower limit now."""
        return self.timeline.latest.min_capacity

    @property
    def max_capacity(self) -> int:
        """The upper limit now."""
        return self.timeline.latest.max_capacity


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledAction:
    """New limits for a target at an instant (epoch seconds)."""

    name: str
    arn: str
    target: ScalableTarget
    at: float
    limits: Limits
    created_at: float


class AutoScaling:
    """Keeps the scalable targets. Each update clamps the desired count, `aas_lag` later."""

    def __init__(self, time: Simulation, ledger: Ledger, account: Account) -> None:
        self._time = time
        self._account = account
        self._ledger = ledger
        self.targets: dict[str, ScalableTarget] = {}
        self.actions: list[ScheduledAction] = []
        self._clamps = 0

    def target_of(self, service: Service) -> ScalableTarget | None:
        """Return the service's scalable target, if it has one."""
        return self.targets.get(f"service/{service.cluster.name}/{service.name}")

    def request(self, service: Service, limits: Limits) -> ScalableTarget:
        """Create or partly update the service's target, as a caller of the API does.

        Raises ApiError also while an update before this one is still moving the desired count; in
        which order AWS judges the two is not known, and limits that make no sense come first here.
        https://docs.aws.amazon.com/autoscaling/application/APIReference/API_RegisterScalableTarget.html
        """
        target = self.target_of(service)
        _merged(target.timeline.latest if target else None, limits)
        if target is not None and target.pending_until > self._time.now:
            raise ApiError(
                "ConcurrentUpdateException",
                "You already have a pending update to an Auto Scaling resource.",
            )
        return self.register(service, limits, API_CALLER)

    def register(self, service: Service, limits: Limits, who: str) -> ScalableTarget:
        """Create or partly update the service's target, and write down who did.

        Raises ApiError (ValidationException) where the outcome has min > max, or a new target
        lacks one of them.
        """
        target = self.target_of(service)
        state = _merged(target.timeline.latest if target else None, limits)
        if target is None:
            target = self._create(service, state)
        else:
            target.timeline.set(self._time.now, state)
        target.history.append(
            LimitsWritten(
                at=self._time.now,
                min_capacity=state.min_capacity,
                max_capacity=state.max_capacity,
                who=who,
            )
        )
        self._clamps += 1
        lag = service.dice.seconds(service.knobs.aas_lag, "clamp", self._clamps)
        self._time.schedule(self._time.now + lag, partial(self._clamp, target))
        if service.knobs.aas_conflict is not None and _allowed(target) != service.desired_count:
            longest = service.dice.seconds(service.knobs.aas_conflict, "conflict", self._clamps)
            target.pending_until = self._time.now + max(lag, longest)
        return target

    def forget(self, resource_id: str) -> None:
        """Have a target no more, nor what was scheduled for it."""
        target = self.targets.pop(resource_id)
        self.actions = [each for each in self.actions if each.target is not target]

    def schedule_action(self, service: Service, at: float, limits: Limits) -> ScheduledAction:
        """Have the limits set at an instant (epoch seconds); lost if suspended then.

        https://docs.aws.amazon.com/autoscaling/application/userguide/application-auto-scaling-scheduled-scaling.html
        """
        target = self._known(service)
        number = len(self.actions) + 1
        action = ScheduledAction(
            name=f"action-{number}",
            arn=self._account.arn(
                "autoscaling",
                f"scheduledAction:{number}:resource/ecs/"
                f"{target.resource_id}:scheduledActionName/action-{number}",
            ),
            target=target,
            at=at,
            limits=limits,
            created_at=self._time.now,
        )
        self.actions.append(action)
        self._time.schedule(at, partial(self._run_action, action))
        return action

    def follow_load(self, service: Service, wanted_count: int) -> None:
        """Do what a scaling policy does that finds this many tasks wanted, once.

        It starts from the running count, moves within the limits, and does not scale in while
        that is suspended or a deployment is going on:
        https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-auto-scaling.html
        """
        target = self._known(service)
        state = target.timeline.latest
        allowed = min(max(wanted_count, state.min_capacity), state.max_capacity)
        running = sum(task.last_status == "RUNNING" for task in service.present)
        deploying = any(
            deployment.rollout_state == "IN_PROGRESS" for deployment in service.state.deployments
        )
        outward = wanted_count > running and allowed > service.desired_count
        inward = wanted_count < running and allowed < service.desired_count
        if outward and not state.scaling_out_suspended:
            self._ledger.move_desired_count(service, allowed, POLICY)
        if inward and not state.scaling_in_suspended and not deploying:
            self._ledger.move_desired_count(service, allowed, POLICY)

    def _run_action(self, action: ScheduledAction) -> None:
        if action.target.timeline.latest.scheduled_suspended:
            return
        with suppress(ApiError):  # limits that contradict each other by now: the action fails
            self.register(action.target.service, action.limits, SCHEDULE)

    def _known(self, service: Service) -> ScalableTarget:
        target = self.target_of(service)
        if target is None:
            raise EmulatorError(f"{service.name} is no scalable target.")
        return target

    def _create(self, service: Service, state: ScalableState) -> ScalableTarget:
        bits = service.dice.generator("scalable target").getrandbits(96)
        target = ScalableTarget(
            service=service,
            arn=self._account.arn("application-autoscaling", f"scalable-target/{bits:024x}"),
            timeline=Timeline(self._time.now, state),
        )
        self.targets[target.resource_id] = target
        return target

    def _clamp(self, target: ScalableTarget) -> None:
        if target.service.status != "ACTIVE":
            return
        self._ledger.move_desired_count(target.service, _allowed(target), CLAMP)


def _allowed(target: ScalableTarget) -> int:
    """Return the desired count as the limits leave it."""
    return min(max(target.service.desired_count, target.min_capacity), target.max_capacity)


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
