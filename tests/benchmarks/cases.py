"""The worlds in which the ways to replace a service's tasks are compared."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any, Final

from ecs_emulator import Knobs, World
from tests.emulated.bench import a_service

PACES: Final[dict[str, dict[str, Any]]] = {
    "quick": {"provisioning": 1.0, "pending": (2.0, 6.0), "target_health_delay": 5.0, "drain": 5.0},
    "default": {},
    "slow": {"provisioning": (20, 40), "pending": (60, 120), "target_health_delay": (30, 60)},
    "drain of 300 s": {"drain": 300.0},
}
"""The emulator's knobs that differ from its defaults."""

SIZES: Final = (1, 3, 20)
PAUSES: Final = (30, 0)
SEED: Final = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One world: how quick it is, how many tasks, and when ECS starts a replacement.

    ``after_stopped``: only once the old task is STOPPED, else at once; both were seen on AWS.
    ``wait_seconds`` is the pause after each task.
    """

    pace: str
    tasks: int
    wait_seconds: int
    after_stopped: bool

    @property
    def words(self) -> dict[str, object]:
        """What a heading says of it."""
        start = "only after the old task is STOPPED" if self.after_stopped else "at once"
        return {"start": start, "pause": self.wait_seconds}

    def world(self, **features: Any) -> World:  # noqa: ANN401 - ServiceSetup's members
        """Return the world, with demo/web in steady state behind a target group."""
        knobs = Knobs(replaces_after_stopped=self.after_stopped, **PACES[self.pace])
        world = World(knobs=knobs, seed=SEED)
        a_service(world, tasks=self.tasks, **features)
        return world


def all_cases() -> list[Case]:
    """Return every case, the longest first."""
    return [
        Case(pace=pace, tasks=tasks, wait_seconds=pause, after_stopped=after)
        for tasks, pace, pause, after in product(
            sorted(SIZES, reverse=True), PACES, PAUSES, (True, False)
        )
    ]


def short_cases() -> list[Case]:
    """Return those that ``make test`` measures again."""
    return [
        Case(pace="default", tasks=tasks, wait_seconds=30, after_stopped=after)
        for tasks, after in product((1, 3), (True, False))
    ]
