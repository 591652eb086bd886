"""Worlds drawn at random: every timing knob at any value, services of every build."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from ecs_emulator import Knobs, ScaleInChoice, World

if TYPE_CHECKING:
    from ecs_emulator.model import Service


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a world is built from, so that a failing one can be read and built again."""

    seed: int
    knobs: Knobs
    desired_count: int
    features: dict[str, Any]
    limits: tuple[int, int] | None

    def build(self) -> tuple[World, Service]:
        """Return the world and its service, in steady state."""
        world = World(knobs=self.knobs, seed=self.seed)
        service = world.create_service(
            cluster="demo", name="web", desired_count=self.desired_count, **self.features
        )
        if self.limits is not None:
            world.register_scalable_target(
                cluster="demo",
                service="web",
                min_capacity=self.limits[0],
                max_capacity=self.limits[1],
            )
        return world, service


def spans(highest: float) -> st.SearchStrategy[Any]:
    """Durations: one for all, or a range from which each is drawn."""
    seconds = st.floats(0, highest).map(lambda value: round(value, 1))
    return seconds | st.tuples(seconds, seconds).map(lambda pair: (min(pair), max(pair)))


KNOBS = st.builds(
    Knobs,
    scheduler_interval=spans(20),
    provisioning=spans(40),
    pending=spans(60),
    activating=spans(10),
    target_health_delay=spans(90),
    container_health_default=spans(60),
    stop_reaction=spans(10),
    drain=spans(120),
    drains_on_stop=st.booleans(),
    stop_time=spans(90),
    deprovision=spans(40),
    staleness=st.floats(0, 10),
    latency=st.floats(0, 1),
    scale_in_choice=st.sampled_from(ScaleInChoice),
    aas_lag=spans(10),
    page_size=st.none() | st.integers(1, 5),
)

FEATURES = st.fixed_dictionaries(
    {
        "target_group": st.sampled_from([False, True, 2]),
        "container_health": st.booleans(),
        "network_mode": st.sampled_from(["awsvpc", "bridge"]),
    }
)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Draw a world."""
    desired_count = draw(st.integers(1, 5))
    lowest = draw(st.integers(0, desired_count))
    highest = draw(st.integers(desired_count, desired_count + 3))
    return Plan(
        seed=draw(st.integers(0, 10**6)),
        knobs=draw(KNOBS),
        desired_count=desired_count,
        features=draw(FEATURES),
        limits=draw(st.none() | st.just((lowest, highest))),
    )
