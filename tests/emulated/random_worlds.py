"""Worlds drawn at random from one number: every knob, every option, and what befalls them.

The same number is always the same world. Each member is left at its default about half of the
time, so that a world differs from the usual one in some respects and not in all of them at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from random import Random
from typing import TYPE_CHECKING, Any, Final

from ecs_emulator import FailingStart, Knobs, ScaleInChoice, World
from ecs_emulator.ground.knobs import StartFailure
from ecs_emulator.state.setup import ServiceSetup, SideCar
from tests.emulated.bench import CLUSTER, SERVICE
from tests.emulated.random_accidents import ACCIDENTS, ALARM, MOVES_CAPACITY

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ecs_emulator.state.model import Service
    from tests.emulated.random_accidents import Act

type Draw = Callable[[Random], Any]

CALM_SHARE: Final = 0.35
"""How many worlds nothing befalls: there a run has to complete."""
OUTAGE_SHARE: Final = 0.15
OUT: Final = ("all", "all", "ecs", "dynamodb", "application-autoscaling", "elbv2", "stepfunctions")
SELECTED_SHARE: Final = 0.15
REFUSED_SHARE: Final = 0.08
"""How many services are of a kind that cannot be recycled."""
OFTEN: Final = ("crash_task", "stop_task", "protect_task", "protect_task", "deregister_target")
"""What happens oftener than the rest: the gate and the read before a stop are there for it."""
BEFORE: Final = ("hold_task",)
"""No task goes back to where it was before RUNNING: it has been there since before the run."""
SETTLED_SECONDS: Final = 20.0
"""After so long autoscaling has looked at the desired count for the first time."""
HIGHEST: Final = 12


@dataclass(frozen=True, kw_only=True)
class Accident:
    """What happens so many seconds after the run's start, or before it at 0."""

    name: str
    at: float
    act: Act = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Outage:
    """A service of AWS that is out, `begins` seconds after the run's start."""

    service: str
    begins: float
    seconds: float
    answers: bool
    connects: bool


@dataclass(frozen=True, kw_only=True)
class Story:
    """A world and what befalls it, as its number says.

    `kills`: the calls, counted from the run's start or from the last death, at which an invocation
    dies. `asks`: an event that somebody sends while the run works, and at which of its writes.
    `outage`: a service that is out for up to three hours. `record`: what a run finds in the table.
    `names`: which tasks the event names, counted from the oldest on; `hours`: how old they have to
    be; neither: all are to be recycled.
    """

    number: int
    knobs: Knobs
    options: dict[str, Any]
    limits: tuple[int, int] | None
    event: dict[str, Any]
    is_guarded: bool
    is_calm: bool
    accidents: tuple[Accident, ...] = ()
    faults: tuple[dict[str, Any], ...] = ()
    kills: tuple[int, ...] = ()
    asks: tuple[str, int] | None = None
    record: str | None = None
    names: frozenset[int] = frozenset()
    hours: float | None = None
    outage: Outage | None = None

    @property
    def tasks(self) -> int:
        """The desired count at the start."""
        return int(self.options["desired_count"])

    @property
    def maintains(self) -> bool:
        """Whether the run adds a task."""
        return bool(self.event["maintain_service_state"])

    @property
    def queues(self) -> bool:
        """Whether the event may be queued, and goes by the creation of tasks."""
        return self.event.get("if_running") == "queue"

    @property
    def is_refused(self) -> bool:
        """Whether it is a service that cannot be recycled, by what it is."""
        return bool(REFUSED.keys() & self.options.keys()) and any(
            self.options.get(name) in values for name, values in REFUSED.items()
        )

    @property
    def is_disturbed(self) -> bool:
        """Whether somebody else moves the capacity."""
        return any(each.name in MOVES_CAPACITY for each in self.accidents)

    def build(self) -> tuple[World, Service]:
        """Return the world and its service, at rest."""
        world = World(knobs=self.knobs, seed=self.number)
        service = world.create_service(cluster=CLUSTER, name=SERVICE, **self.options)
        if self.limits is not None:
            lowest, highest = self.limits
            world.register_scalable_target(
                cluster=CLUSTER, service=SERVICE, min_capacity=lowest, max_capacity=highest
            )
        if "alarms" in self.event:
            world.set_alarm(ALARM)
        world.advance(SETTLED_SECONDS)
        return world, service


def span(highest: float) -> Draw:
    """Draw durations: one for all, or a range from which each is drawn."""

    def draw(rng: Random) -> float | tuple[float, float]:
        first, second = sorted(round(rng.uniform(0, highest), 1) for _ in range(2))
        return (first, second) if rng.random() < 0.5 else second

    return draw


def number(lowest: float, highest: float) -> Draw:
    return lambda rng: round(rng.uniform(lowest, highest), 2)


def one_of(values: Sequence[object]) -> Draw:
    return lambda rng: rng.choice(values)


def either(rng: Random) -> bool:
    return rng.random() < 0.5


def _failing_starts(rng: Random) -> tuple[FailingStart, ...]:
    if rng.random() < 0.6:
        return ()
    kind, after_seconds = rng.choice([*StartFailure]), span(30)(rng)
    if rng.random() < 0.4:
        return (FailingStart(kind=kind, after=rng.randrange(4), after_seconds=after_seconds),)
    launches = frozenset(rng.randint(1, 8) for _ in range(3))
    return (FailingStart(kind=kind, launches=launches, after_seconds=after_seconds),)


KNOBS: Final[dict[str, Draw]] = {
    "scheduler_interval": span(20),
    "replaces_after_stopped": either,
    "provisioning": span(40),
    "pending": span(60),
    "activating": span(10),
    "container_health_delay": span(60),
    "target_health_delay": span(90),
    "stop_reaction": span(10),
    "drain": span(120),
    "drains_on_stop": either,
    "deregisters_after_exit": either,
    "stop_time": span(90),
    "stop_timeout": number(2, 120),
    "deprovision": span(40),
    "staleness": number(0, 8),
    "counts_stopping_tasks": either,
    "latency": number(0, 1),
    "failing_starts": _failing_starts,
    "launch_throttle": either,
    "capacity": lambda rng: rng.randint(0, 3),
    "placement_event_interval": number(15, 120),
    "scale_in_choice": one_of([*ScaleInChoice]),
    "aas_lag": span(15),
    "aas_conflict": lambda rng: None if rng.random() < 0.3 else span(120)(rng),
    "aas_validates_permissions": either,
    "az_rebalancing": either,
    "protection_of_vanished_raises": either,
    "inactive_deployments_listed": number(0, 600),
    "page_size": lambda rng: rng.randint(1, 5),
    "assumed_role_seconds": lambda rng: rng.choice([900, 3600]),
    "rate_limits": either,
    "container_health_default": span(60),
}
"""How each knob is drawn where it is not at its default; the capacity is above what is needed."""

REFUSED: Final[dict[str, tuple[object, ...]]] = {
    "scheduling_strategy": ("DAEMON",),
    "controller": ("CODE_DEPLOY", "EXTERNAL"),
    "rollout_state": ("IN_PROGRESS", "FAILED"),
}
"""Options of services that a run refuses whatever else they are."""

OPTIONS: Final[dict[str, Draw]] = {
    "target_group": one_of([False, True, True, 2]),
    "container_health": one_of([None, True, False]),
    "network_mode": one_of(["awsvpc", "bridge", "bridge-static", "host"]),
    "ip_family": one_of(["ipv4", "dual-stack", "ipv6"]),
    "target_ip_address_type": one_of(["ipv4", "ipv6"]),
    "registers_targets": lambda rng: rng.random() < 0.9,
    "extra_attachments": one_of([("elb",), ("ServiceConnect", "elb")]),
    "health_check_grace_seconds": one_of([10, 120, 600]),
    "instance_ids": lambda rng: rng.random() < 0.8,
    "launch_type": one_of(["EC2", "FARGATE", "EXTERNAL"]),
    "settled": lambda rng: rng.random() < 0.9,
    "instances": lambda rng: rng.randint(1, 7),
    "alarms": one_of([(ALARM,)]),
    "circuit_breaker": either,
    "minimum_healthy_percent": one_of([0, 50, 100]),
    "maximum_percent": one_of([100, 134, 150, 200]),
    "availability_zone_rebalancing": either,
    "side_car": one_of([SideCar(), SideCar(exit_code=137)]),
}
"""How each option of a service is drawn where it is not at its default."""

FIXED: Final = frozenset(
    {
        "cluster",
        "name",
        "slow_start_seconds",
        "deployment_strategy",
        "resource_management",
        "gateway_connector",
        "classic_load_balancer",
        "vpc_lattice",
        "cloud_map",
        "service_connect",
        "tags",
        "secrets",
        "log_secrets",
        "registry_secret",
    }
)
"""What stays as it is, for it has tests of its own and moves no task in an emulated world.

Tags only choose the services of a sweep; secrets are read once, before anything is touched.
"""


def _knobs(rng: Random, options: dict[str, Any], *, calm: bool) -> Knobs:
    drawn = {name: draw(rng) for name, draw in KNOBS.items() if rng.random() < 0.5}
    if calm or options.get("scheduling_strategy") == "DAEMON":
        for name in ("failing_starts", "capacity"):
            drawn.pop(name, None)
    if "capacity" in drawn:
        drawn["capacity"] += options["desired_count"]
    return Knobs(**drawn)


def _options(rng: Random, *, calm: bool) -> dict[str, Any]:
    options = {name: draw(rng) for name, draw in OPTIONS.items() if rng.random() < 0.35}
    options["desired_count"] = rng.choice([1, 2, 3, 3, 4, 5])
    if rng.random() < REFUSED_SHARE:
        name = rng.choice([*REFUSED])
        options[name] = rng.choice(REFUSED[name])
    if calm:
        for name in ("registers_targets", "instance_ids", "settled", "instances"):
            options.pop(name, None)
        if options["desired_count"] == 1:
            # An only task that may not run twice is refused.
            options.pop("maximum_percent", None)
    return _possible(options)


def _possible(options: dict[str, Any]) -> dict[str, Any]:
    """Take away what cannot be together, in ECS or in the emulator."""
    mode = options.get("network_mode", "awsvpc")
    if options.get("scheduling_strategy") == "DAEMON":
        options |= {"network_mode": "bridge", "launch_type": "EC2"}
    elif mode != "awsvpc" and options.get("launch_type") == "FARGATE":
        del options["launch_type"]
    if options.get("launch_type") == "EXTERNAL":
        options |= {"network_mode": "bridge", "target_group": False}
    if options.get("network_mode", "awsvpc") != "awsvpc":
        for name in ("ip_family", "extra_attachments", "target_ip_address_type"):
            options.pop(name, None)
    if options.get("ip_family", "ipv4") != "dual-stack":
        options.pop("target_ip_address_type", None)
    if options.get("launch_type") != "EC2" and options.get("network_mode", "awsvpc") == "awsvpc":
        options.pop("instances", None)
    needs_own = options.get("network_mode") in {"bridge-static", "host"}
    if needs_own and options.get("instances", HIGHEST) < options["desired_count"]:
        options["instances"] = options["desired_count"]
    return options


def _event(rng: Random, *, calm: bool) -> dict[str, Any]:
    event: dict[str, Any] = {
        "maintain_service_state": rng.random() < 0.7,
        "wait_time": rng.choice([0, 5, 30, 90]),
        "stabilize_timeout": 840 if calm else rng.choice([120, 300, 600, 840]),
        "protected_tasks": rng.choice(["wait", "wait", "skip", "stop"]),
    }
    if not calm and rng.random() < 0.1:
        event["finish_within_minutes"] = rng.choice([5, 10, 30])
    if rng.random() < 0.1:
        event["alarms"] = [ALARM]
    return event


def _fault(rng: Random) -> dict[str, Any]:
    code = rng.choice(["ServerException", "ThrottlingException", None])
    return {
        "nth": rng.randint(1, 300),
        "times": rng.randint(1, 12),
        "code": code,
        "status": {"ThrottlingException": 400, "ServerException": 500}.get(code or ""),
        "after_effect": rng.random() < 0.3,
    }


def _accident(rng: Random) -> Accident:
    name = rng.choice([*ACCIDENTS, *OFTEN, *OFTEN])
    is_before = rng.random() < 0.2 or name in BEFORE
    at = 0.0 if is_before else round(rng.uniform(1, 500), 1)
    return Accident(name=name, at=at, act=ACCIDENTS[name](rng))


def story(world_number: int, *, is_out: bool = False) -> Story:
    """Return the story of this number; with ``is_out`` the same, guarded, and with an outage."""
    rng = Random(world_number)
    calm = rng.random() < CALM_SHARE
    options = _options(rng, calm=calm)
    desired_count = options["desired_count"]
    knobs = _knobs(rng, options, calm=calm)
    limits = (rng.randint(0, desired_count), rng.randint(desired_count, HIGHEST))
    if rng.random() < 0.2:
        # The service has knobs of its own, and the world around it the usual ones.
        options["knobs"], knobs = knobs, Knobs(latency=knobs.latency, staleness=knobs.staleness)
    plain = Story(
        number=world_number,
        knobs=knobs,
        options=options,
        limits=limits if rng.random() < 0.5 and not options.get("scheduling_strategy") else None,
        event=_event(rng, calm=calm),
        is_guarded=rng.random() < 0.6,
        is_calm=calm,
    )
    told = _with_selection(plain if calm else _with_trouble(plain, rng), rng)
    dice = Random(f"outage {world_number}")
    if is_out:
        return _with_outage(replace(told, is_calm=False, is_guarded=True), dice)
    is_drawn = not told.is_calm and told.is_guarded and dice.random() <= OUTAGE_SHARE
    return _with_outage(told, dice) if is_drawn else told


def _with_outage(told: Story, rng: Random) -> Story:
    outage = Outage(
        service=rng.choice(OUT),
        begins=round(rng.uniform(0, 700), 1),
        seconds=round(rng.choice([60, 600, 3_600, 10_800]) * rng.uniform(0.5, 1.0), 1),
        answers=(answers := either(rng)),
        connects=answers or either(rng),
    )
    return replace(told, outage=outage)


def _with_selection(whole: Story, rng: Random) -> Story:
    """Let some events ask for a part of the tasks: by name, or by age."""
    if rng.random() < SELECTED_SHARE:
        count = rng.randint(1, whole.tasks)
        return replace(whole, names=frozenset(rng.sample(range(whole.tasks), count)))
    if rng.random() < SELECTED_SHARE:
        whole = replace(whole, hours=round(rng.uniform(0.01, 8), 3))
    if rng.random() < SELECTED_SHARE:
        return replace(whole, event=whole.event | {"if_running": "queue"})
    return whole


def _with_trouble(plain: Story, rng: Random) -> Story:
    members = {each.name: getattr(plain, each.name) for each in fields(plain)}
    has_faults = rng.random() < 0.4
    members |= {
        "accidents": tuple(_accident(rng) for _ in range(rng.randint(0, 6))),
        "faults": tuple(_fault(rng) for _ in range(rng.randint(1, 2))) if has_faults else (),
        "kills": tuple(rng.randint(1, 150) for _ in range(rng.choice([0, 0, 1, 2]))),
        "record": rng.choice(["alive", "dead", "nonsense"]) if rng.random() < 0.08 else None,
    }
    if not has_faults and rng.random() < 0.3:
        ask = rng.choice(["recycle", "restore", "status", "stop", "queue"])
        members["asks"] = (ask, rng.randint(1, 8))
    return Story(**members)


def all_options() -> set[str]:
    """Return the names of the options that a story may set."""
    return {each.name for each in fields(ServiceSetup)} - FIXED
