"""In every world, whatever befalls it, a run keeps its promises.

RECYCLE_WORLDS=<count> lives through more worlds than usual, RECYCLE_WORLD=<number> through one.
"""

from __future__ import annotations

import os
from dataclasses import fields
from typing import TYPE_CHECKING, Final

import pytest

from ecs_emulator import Knobs
from ecs_emulator.accidents.deployments import Deployments
from ecs_emulator.accidents.load_balancers import LoadBalancers
from ecs_emulator.accidents.mishaps import Mishaps
from ecs_emulator.accidents.people import People
from ecs_emulator.state.setup import ServiceSetup
from tests.emulated.lived import live_through
from tests.emulated.promises import PROMISES
from tests.emulated.random_accidents import ACCIDENTS
from tests.emulated.random_worlds import FIXED, KNOBS, OPTIONS, OUT, REFUSED, story

if TYPE_CHECKING:
    from tests.emulated.bench import Bench
    from tests.emulated.random_worlds import Story

WORLDS: Final = int(os.environ.get("RECYCLE_WORLDS", "1000"))
WITH_OUTAGES: Final = int(os.environ.get("RECYCLE_WORLDS", "200"))
PARTS: Final = 20
"""So that the worlds are shared among processes."""
ONCE_BROKEN: Final = (2026112200380, 2026112200603, 2026112200795, 2026112200966)
"""Worlds with an outage in which a promise was broken once: beyond those that CI lives through."""
DRAWN: Final = 2000
ACCIDENT_PARTS: Final = (Deployments, LoadBalancers, Mishaps, People)


def numbers(part: int, seed: int, count: int) -> list[int]:
    """Return the numbers of the worlds of a part."""
    if "RECYCLE_WORLD" in os.environ:
        return [int(os.environ["RECYCLE_WORLD"])] if part == 0 else []
    return [seed * 100_000 + index for index in range(part, count, PARTS)]


def broken_promises(bench: Bench, stories: list[Story]) -> list[str]:
    """Live through worlds, and return which promise was broken in which."""
    broken = []
    for told in stories:
        lived = live_through(bench, told)
        for promise in PROMISES:
            try:
                promise(lived)
            except AssertionError as error:
                broken.append(f"RECYCLE_WORLD={told.number}: {promise.__name__}: {error}")
    return broken


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_the_promises_hold_in_random_worlds(bench: Bench, part: int, seed: int) -> None:
    assert broken_promises(bench, [story(number) for number in numbers(part, seed, WORLDS)]) == []


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_the_promises_hold_where_a_service_is_out_for_up_to_three_hours(
    bench: Bench, part: int, seed: int
) -> None:
    stories = [story(number, is_out=True) for number in numbers(part, seed, WITH_OUTAGES)]
    assert broken_promises(bench, stories) == []


def test_the_promises_hold_where_they_were_broken_once(bench: Bench) -> None:
    stories = [story(number, is_out=True) for number in ONCE_BROKEN]
    assert broken_promises(bench, stories) == []


def test_every_service_is_out_in_some_world_for_minutes_and_for_hours() -> None:
    told = [story(number, is_out=True) for number in range(DRAWN)]
    drawn = [each.outage for each in told if each.outage is not None and each.is_guarded]
    assert len(drawn) == DRAWN
    assert {each.service for each in drawn} == set(OUT)
    for service in OUT:
        seconds = [each.seconds for each in drawn if each.service == service]
        assert min(seconds) < 120
        assert 7_200 < max(seconds) <= 10_800
        ways = {(each.answers, each.connects) for each in drawn if each.service == service}
        assert ways == {(True, True), (False, True), (False, False)}


def test_no_knob_is_forgotten_by_the_draw() -> None:
    assert KNOBS.keys() == {each.name for each in fields(Knobs)}
    drawn = [story(number).knobs for number in range(DRAWN)]
    for each in fields(Knobs):
        assert len({getattr(knobs, each.name) for knobs in drawn}) > 1, each.name


def test_no_option_is_forgotten_by_the_draw() -> None:
    given = [story(number).options for number in range(DRAWN)]
    for each in fields(ServiceSetup):
        values = {str(options[each.name]) for options in given if each.name in options}
        assert (each.name in FIXED) or len(values | {str(each.default)}) > 1, each.name
    assert not (OPTIONS.keys() | REFUSED.keys()) - {each.name for each in fields(ServiceSetup)}


def test_no_accident_is_forgotten_by_the_draw() -> None:
    methods = {name for part in ACCIDENT_PARTS for name in vars(part) if not name.startswith("_")}
    assert methods | {"set_alarm"} == ACCIDENTS.keys()
    told = [each.name for number in range(DRAWN) for each in story(number).accidents]
    assert set(told) == ACCIDENTS.keys()


def test_no_way_to_choose_tasks_is_forgotten_by_the_draw() -> None:
    drawn = [story(number) for number in range(DRAWN)]
    assert {(bool(each.names), each.hours is not None, each.queues) for each in drawn} == {
        (False, False, False),
        (False, False, True),
        (True, False, False),
        (False, True, False),
        (False, True, True),
    }


def test_the_same_number_is_the_same_world() -> None:
    assert repr(story(7)) == repr(story(7)) != repr(story(8))
