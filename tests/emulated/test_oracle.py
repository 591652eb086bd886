"""Where many move a service's capacity, each number is in the end what its last writer wanted."""

from __future__ import annotations

import os
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Final

import pytest

from ecs_emulator import Knobs
from tests.emulated.bench import CLUSTER, SERVICE, capacity
from tests.emulated.lived import live_through
from tests.emulated.promises import judged, what_somebody_sets_stays
from tests.emulated.random_accidents import ACCIDENTS, MOVES_CAPACITY
from tests.emulated.random_worlds import Accident, Story, story

if TYPE_CHECKING:
    from collections.abc import Callable

    from ecs_emulator import World
    from tests.emulated.bench import Bench

WORLDS: Final = int(os.environ.get("RECYCLE_WORLDS", "160"))
PARTS: Final = 4
EXACT_SHARE: Final = 0.6
"""At least so many of the worlds have one right end; else the oracle no longer looks."""


def moved(number: int, *, is_out: bool = False) -> Story:
    """Return the story of this number with one to three more who move the capacity."""
    told, rng = story(number, is_out=is_out), Random(f"moved {number}")
    names = rng.choices(sorted(MOVES_CAPACITY), k=rng.randint(1, 3))
    movers = tuple(
        Accident(name=name, at=round(rng.uniform(1, 700), 1), act=ACCIDENTS[name](rng))
        for name in names
    )
    return replace(told, is_calm=False, accidents=told.accidents + movers)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_what_each_wanted_is_there_in_the_end(
    bench: Bench, part: int, seed: int, measured: Callable[[str], None]
) -> None:
    broken, exact = [], 0
    numbers = range(seed * 100_000 + part, seed * 100_000 + WORLDS, PARTS)
    for number in numbers:
        lived = live_through(bench, moved(number, is_out=number % 8 < PARTS))
        exact += judged(lived).is_exact
        try:
            what_somebody_sets_stays(lived)
        except AssertionError as error:
            broken.append(f"{number}: {error}")
    measured(f"disturbed worlds, part {part}: {exact} of {len(numbers)} are judged exactly")
    assert broken == []
    assert exact >= EXACT_SHARE * len(numbers)


def test_what_was_found_is_there_where_somebody_writes_what_the_run_wrote(bench: Bench) -> None:
    lived = live_through(bench, with_limits_at(100.0, min_capacity=4, max_capacity=5))
    verdict = judged(lived)
    assert (verdict.is_exact, capacity(lived.world)) == (True, (3, 1, 5))
    assert verdict.allows((3, 1, 5))
    assert not verdict.allows((3, 4, 5))


def test_what_somebody_writes_otherwise_stays(bench: Bench) -> None:
    lived = live_through(bench, with_limits_at(100.0, min_capacity=2, max_capacity=9))
    verdict = judged(lived)
    assert (verdict.is_exact, capacity(lived.world)) == (True, (3, 2, 9))
    assert not verdict.allows((3, 1, 5))
    assert not verdict.allows((4, 2, 9))


def with_limits_at(at: float, *, min_capacity: int, max_capacity: int) -> Story:
    """Return a plain story, of three tasks and limits of 1 to 5, in which somebody sets limits."""

    def act(world: World) -> None:
        world.set_limits(CLUSTER, SERVICE, min_capacity=min_capacity, max_capacity=max_capacity)

    return Story(
        number=1,
        knobs=Knobs(),
        options={"desired_count": 3},
        limits=(1, 5),
        event={
            "maintain_service_state": True,
            "wait_time": 60,
            "stabilize_timeout": 600,
            "protected_tasks": "wait",
        },
        is_guarded=False,
        is_calm=False,
        accidents=(Accident(name="set_limits", at=at, act=act),),
    )
