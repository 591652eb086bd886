"""Every line of progress says where the run stands, and how long it may take."""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from ecs_emulator import Knobs, World
from ecs_task_recycle.record.estimate import Estimate
from tests.emulated.bench import a_service, stopped_by_us

if TYPE_CHECKING:
    from tests.emulated.bench import Bench

SLOW = Knobs(pending=(60, 80))


class Listener(logging.Handler):
    """Takes each record with the virtual time at which it was written."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.said: list[tuple[float, logging.LogRecord]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append((self.world.now, record))

    def lines(self, begin: str) -> list[tuple[float, str, dict[str, Any]]]:
        return [
            (at, record.getMessage(), vars(record))
            for at, record in self.said
            if record.getMessage().startswith(begin)
        ]


def listened(bench: Bench, world: World, **event: Any) -> tuple[Listener, dict[str, Any]]:  # noqa: ANN401
    listener, logger = Listener(world), logging.getLogger("ecs_task_recycle")
    logger.addHandler(listener)
    logger.setLevel(logging.INFO)
    try:
        return listener, bench.recycle(world, deadline_seconds=9000, **event).answer().as_json()
    finally:
        logger.removeHandler(listener)


def test_every_wait_says_where_the_run_stands(bench: Bench) -> None:
    world = World(knobs=SLOW)
    a_service(world, tasks=4)

    listener, answer = listened(bench, world, wait_time=130)

    waits = listener.lines("Waiting")
    assert answer["status"] == "completed"
    assert len(waits) > 8
    for _, line, facts in waits:
        found = re.search(r"\((\d) of 4, about (?:1 h )?(\d+) min left\)", line)
        assert found, line
        assert facts["recycled"] == int(found[1])
        assert facts["of"] == 4
        assert facts["minutes_left"]
    assert {facts["recycled"] for _, _, facts in waits} == {0, 1, 2, 3, 4}


@pytest.mark.parametrize("wait_time", [0, pytest.param(90, marks=pytest.mark.slow)])
def test_the_estimate_holds_at_a_steady_pace(bench: Bench, wait_time: int) -> None:
    world = World(knobs=SLOW)
    service = a_service(world, tasks=8)

    listener, _ = listened(bench, world, wait_time=wait_time)

    ended = max(at for at, _ in listener.said)
    after_two = [
        (facts["minutes_left"] * 60, ended - at)
        for at, _, facts in listener.lines("Waiting")
        if facts["recycled"] >= 2 and facts["minutes_left"]
    ]
    assert len(stopped_by_us(service)) == 8
    assert len(after_two) >= 4
    for said, really in after_two:
        assert abs(said - really) <= 60 + 0.25 * really, (said, really)


@pytest.mark.parametrize("wait_time", [0, 600])
def test_the_extra_task_counts_before_the_first_stop(bench: Bench, wait_time: int) -> None:
    """It starts like any other, and nobody pauses after it."""
    world = World(knobs=replace(SLOW, replaces_after_stopped=False, target_health_delay=1.0))
    a_service(world, tasks=1)
    # How long tasks take to start is known by those that have started in this world.
    bench.recycle(world, run_id="first", wait_time=0)

    listener, answer = listened(bench, world, wait_time=wait_time)

    (_, _, first), *_ = listener.lines("Waiting for the extra task")
    really = answer["duration_seconds"] / 60
    assert abs(first["minutes_left"] - really) <= 1 + 0.2 * really
    assert first["minutes_left"] > (really - wait_time / 60) / 2 + wait_time / 60


def test_the_lines_about_each_task_have_it_as_fields(bench: Bench) -> None:
    world = World()
    a_service(world)

    listener, _ = listened(bench, world)

    recycling = listener.lines("Recycling task")
    recycled = [each for each in listener.lines("Task ") if "recycled, waiting" in each[1]]
    assert [facts["recycled"] for _, _, facts in recycling] == [0, 1, 2]
    assert [facts["recycled"] for _, _, facts in recycled] == [1, 2, 3]
    assert all(facts["minutes_left"] >= 1 for _, _, facts in recycling)


def test_how_long_protected_tasks_are_waited_for_is_not_guessed(bench: Bench) -> None:
    world = World()
    protected = a_service(world).active_tasks[0]
    world.protect_task(protected)
    world.at(1200, lambda w: w.unprotect_task(protected))

    listener, answer = listened(bench, world)

    waits = listener.lines("Tasks under scale-in protection")
    assert answer["status"] == "completed"
    assert waits[-1][1].endswith("(2 of 3)")
    assert waits[-1][2]["minutes_left"] is None


@pytest.mark.parametrize(
    "minutes, words",
    [(None, "3 of 12"), (1, "3 of 12, about 1 min left"), (125, "3 of 12, about 2 h 5 min left")],
)
def test_a_standing_is_short(minutes: int | None, words: str) -> None:
    assert str(Estimate(recycled_count=3, total_count=12, minutes_to_go=minutes)) == words
