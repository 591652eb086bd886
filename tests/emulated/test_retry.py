"""One call is tried again until a deadline: after which errors, how often, and never longer."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import pytest

from ecs_emulator import World
from ecs_task_recycle.aws.errors import CONFLICT, retry_until
from ecs_task_recycle.aws.gateway import Gateway
from ecs_task_recycle.errors import AwsCallError
from tests.emulated.bench import CLUSTER, SERVICE, a_service, autoscaled, capacity

if TYPE_CHECKING:
    from tests.emulated.bench import Bench

OPERATION: Final = "RegisterScalableTarget"
EVERY_SECONDS: Final = 10.0


def world_that_answers(code: str, *, times: int | None) -> World:
    """Return a world whose next calls for limits fail: so many, or all."""
    world = World()
    a_service(world)
    autoscaled(world, 1, 3)
    world.faults.fail(OPERATION, nth=1, times=times, code=code, status=400)
    return world


def write_limits(bench: Bench, world: World, *, within_seconds: float = 60.0) -> None:
    bench.board.world = world
    gateway = Gateway(
        bench.session.as_session(), world.clock, cluster_name=CLUSTER, service_name=SERVICE
    )
    retry_until(
        partial(gateway.set_limits, min_capacity=2, max_capacity=5),
        world.clock,
        until=world.clock.now() + within_seconds,
        every_seconds=EVERY_SECONDS,
    )


def pauses(world: World) -> list[float]:
    """Return the seconds between the calls for limits."""
    calls = [call.at for call in world.calls if call.operation == OPERATION]
    return [later - earlier for earlier, later in pairwise(calls)]


def test_a_call_is_repeated_until_it_succeeds(bench: Bench) -> None:
    world = world_that_answers(CONFLICT, times=3)

    write_limits(bench, world)

    assert capacity(world) == (3, 2, 5)
    assert len(pauses(world)) == 3
    assert all(0.75 * EVERY_SECONDS <= each <= 1.25 * EVERY_SECONDS for each in pauses(world))
    assert len(set(pauses(world))) == 3


def test_in_virtual_time_the_pauses_are_repeatable(bench: Bench) -> None:
    worlds = [world_that_answers(CONFLICT, times=3) for _ in range(2)]

    for world in worlds:
        write_limits(bench, world)

    assert pauses(worlds[0]) == pauses(worlds[1])


def test_no_call_begins_after_the_deadline(bench: Bench) -> None:
    world = world_that_answers(CONFLICT, times=None)
    began_at = world.clock.now()

    with pytest.raises(AwsCallError, match=CONFLICT):
        write_limits(bench, world, within_seconds=60.0)

    assert len(pauses(world)) >= 4
    assert world.clock.now() <= began_at + 60.0


def test_a_deadline_that_has_passed_leaves_one_call(bench: Bench) -> None:
    world = world_that_answers(CONFLICT, times=None)

    with pytest.raises(AwsCallError, match=CONFLICT):
        write_limits(bench, world, within_seconds=-1.0)

    assert pauses(world) == []
    assert world.calls[-1].operation == OPERATION


def test_an_error_that_no_repetition_mends_is_raised_at_once(bench: Bench) -> None:
    world = world_that_answers("ValidationException", times=1)

    with pytest.raises(AwsCallError, match="ValidationException"):
        write_limits(bench, world)

    assert pauses(world) == []
