"""Killed at any call and at any second, then healed: by the next run, or by action restore."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from ecs_emulator import Killed, World
from ecs_task_recycle.errors import AlreadyRunningError
from ecs_task_recycle.outcome import Status
from tests.emulated.bench import (
    ACCESS_KEY,
    a_service,
    autoscaled,
    capacity,
    is_free,
    record,
    stopped_under_protection,
    sweep,
)
from tests.emulated.quick import (
    FOUND,
    OWNER_IS_DEAD_SECONDS,
    QUICK,
    TASKS,
    another_run_starts,
    quick_world,
    world_with_a_mark,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from ecs_task_recycle.report.report import Report
    from tests.emulated.bench import Bench

WORLDS = {"no marks": quick_world, "a protected task": world_with_a_mark}


@dataclass(frozen=True)
class Kill:
    """One way to die: at a call, with or without its effect, or at a second."""

    name: str
    arm: Callable[[World], Any]


def every_kill(bench: Bench, build: Callable[[], World]) -> list[Kill]:
    """Return one kill for each call, after each write, and for each second of a run."""
    world = build()
    began_at = int(world.elapsed)
    assert bench.recycle(world, **QUICK).status is Status.COMPLETED
    calls = [call for call in world.calls if call.access_key == ACCESS_KEY]
    before = [
        Kill(f"before call {n}", partial(World.kill_at_call, number=n))
        for n in range(1, len(calls) + 1)
    ]
    after = [
        Kill(f"after call {n}", partial(World.kill_at_call, number=n, after_effect=True))
        for n, call in enumerate(calls, start=1)
        if call.wrote
    ]
    seconds = [
        Kill(f"at second {second - began_at}", partial(World.kill_at, seconds=second))
        for second in range(began_at, int(world.elapsed) + 1)
    ]
    return [*before, *after, *seconds]


def killed_world(bench: Bench, build: Callable[[], World], kill: Kill) -> World:
    """Return a world in which a run was killed, once its owner is certainly dead."""
    world = build()
    kill.arm(world)
    return _dead(bench, world)


def killed_after(bench: Bench, world: World, seconds: float) -> World:
    """Kill a run in a world after so many seconds, and wait until its owner is certainly dead."""
    world.kill_at(world.elapsed + seconds)
    return _dead(bench, world)


def _dead(bench: Bench, world: World) -> World:
    with pytest.raises(Killed):
        bench.recycle(world, **QUICK)
    world.revive()
    world.advance(OWNER_IS_DEAD_SECONDS)
    return world


def test_a_killed_run_leaves_its_record_and_the_next_is_refused_until_it_is_dead(
    bench: Bench,
) -> None:
    world = quick_world()
    world.kill_at(world.elapsed + 20)
    with pytest.raises(Killed):
        bench.recycle(world, run_id="first", **QUICK)
    world.revive()
    calls, left = len(world.writes), record(world)

    report = bench.recycle(world, run_id="second", **QUICK)

    assert isinstance(report.error, AlreadyRunningError)
    assert "Run first of demo/web started at 2026-01-05T09:00:10+00:00" in str(report.error)
    assert len(world.writes) == calls
    assert record(world) == left


def test_a_run_that_takes_the_record_between_its_read_and_its_write_wins(
    bench: Bench,
) -> None:
    world = quick_world()

    world.after_call("DescribeTasks", 1, another_run_starts)

    report = bench.recycle(world, **QUICK)

    assert isinstance(report.error, AlreadyRunningError)
    assert "Run other of demo/web" in str(report.error)
    assert world.writes == []
    assert record(world)["owner"] == "other"


def test_restore_is_refused_while_the_owner_may_be_alive(bench: Bench) -> None:
    world = quick_world()
    world.kill_at(world.elapsed + 20)
    with pytest.raises(Killed):
        bench.recycle(world, **QUICK)
    world.revive()

    assert isinstance(bench.recycle(world, action="restore").error, AlreadyRunningError)


def test_restore_says_so_when_there_is_nothing(bench: Bench) -> None:
    world = quick_world()

    answer = bench.recycle(world, action="restore").answer().as_json()

    assert answer["status"] == "nothing_to_do"
    assert answer["reason"] == "no interrupted run found; nothing to restore"
    assert world.writes == []


def test_a_run_puts_back_what_a_dead_one_had_raised_before_it_raises_itself(bench: Bench) -> None:
    world = killed_after(bench, quick_world(), 25)

    report = bench.recycle(world, **QUICK)

    assert report.status is Status.COMPLETED
    assert [count for _, count, _ in world.desired_history()] == [2, 3, 2, 3, 2]
    assert world.lowest_in_service() == 2
    assert capacity(world) == FOUND


def test_a_run_without_surge_puts_back_what_a_dead_one_had_raised(bench: Bench) -> None:
    world = killed_after(bench, quick_world(), 25)

    report = bench.recycle(world, maintain_service_state=False, **QUICK)

    assert report.status is Status.COMPLETED
    assert capacity(world) == FOUND
    assert is_free(world)


def test_a_refused_run_still_puts_back_what_a_dead_one_had_raised(bench: Bench) -> None:
    world = killed_after(bench, quick_world(), 25)
    world.set_alarm("busy", "ALARM")

    report = bench.recycle(world, alarms=["busy"], **QUICK)

    assert "What a dead run had left raised was put back" in str(report.error)
    assert capacity(world) == FOUND
    assert is_free(world)


def test_what_somebody_set_after_the_death_stays(bench: Bench) -> None:
    world = killed_after(bench, quick_world(), 25)
    world.set_desired_count("demo", "web", 6)
    world.set_limits("demo", "web", max_capacity=9)
    world.advance(60)

    report = bench.recycle(world, action="restore")

    assert report.status is Status.RESTORED
    assert capacity(world) == (6, 1, 9)


@pytest.mark.parametrize("dies_again", sweep([None, 23.0, 5.5, 8.0, 30.0], quick=2))
def test_what_autoscaling_did_after_the_death_is_what_the_next_run_raises_from(
    bench: Bench, dies_again: float | None
) -> None:
    world = World(knobs=replace(quick_world().knobs, staleness=10.0), seed=3)
    a_service(world, tasks=3)
    autoscaled(world, 1, 10)
    world.advance(20)
    killed_after(bench, world, 35)
    assert capacity(world) == (4, 4, 10)
    world.put_load("demo", "web", 6)
    world.advance(120)
    if dies_again is not None:
        killed_after(bench, world, dies_again)

    report = bench.recycle(world, **QUICK)

    assert report.status is Status.COMPLETED
    assert capacity(world) == (6, 1, 10)
    assert is_free(world)


def test_a_chain_of_deaths_is_healed_too(bench: Bench) -> None:
    world = quick_world()
    for seconds in (25, 40, 20, 35):
        killed_after(bench, world, seconds)

    report = bench.recycle(world, **QUICK)

    assert report.status is Status.COMPLETED
    assert capacity(world) == FOUND
    assert is_free(world)
    assert world.lowest_in_service() == TASKS


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
@pytest.mark.parametrize("marks", WORLDS)
def test_killed_anywhere_the_next_run_heals_and_finishes(
    bench: Bench, part: int, marks: str, measured: Callable[[str], None]
) -> None:
    kills = every_kill(bench, WORLDS[marks])[part::4]
    failed = [
        problem for kill in kills if (problem := _not_healed_by_run(bench, WORLDS[marks], kill))
    ]
    done = len(kills) - len(failed)
    measured(f"killed ({marks}), healed by the next run: {done} of {len(kills)}")
    assert failed == []


def _not_healed_by_run(bench: Bench, build: Callable[[], World], kill: Kill) -> str | None:
    world = killed_world(bench, build, kill)
    service = world.service("demo", "web")
    originals = {task.arn for task in service.tasks if not task.launch}
    report = bench.recycle(world, **QUICK)
    world.advance(300)
    kept = originals & {task.arn for task in service.active_tasks}
    return _problem(kill, world, report, wrong={"kept originals": bool(kept)})


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
@pytest.mark.parametrize("marks", WORLDS)
def test_killed_anywhere_restore_puts_the_capacity_back(
    bench: Bench, part: int, marks: str, measured: Callable[[str], None]
) -> None:
    kills = every_kill(bench, WORLDS[marks])[part::4]
    failed = [problem for kill in kills if (problem := _not_restored(bench, WORLDS[marks], kill))]
    done = len(kills) - len(failed)
    measured(f"killed ({marks}), healed by restore: {done} of {len(kills)}")
    assert failed == []


def _not_restored(bench: Bench, build: Callable[[], World], kill: Kill) -> str | None:
    world = killed_world(bench, build, kill)
    report = bench.recycle(world, action="restore")
    world.advance(300)
    return _problem(kill, world, report, wrong={})


def _problem(kill: Kill, world: World, report: Report, *, wrong: dict[str, bool]) -> str | None:
    """Return what promise was broken, or None."""
    checks = {
        "failed": report.error is not None or report.status is Status.PARTIAL,
        "capacity": capacity(world) != FOUND,
        "fewer in service": world.lowest_in_service() < TASKS,
        "record left open": not is_free(world),
        "stopped under protection": stopped_under_protection(world) != [],
        **wrong,
    }
    broken = [name for name, is_broken in checks.items() if is_broken]
    return f"{kill.name}: {broken}, {report.reason}" if broken else None
