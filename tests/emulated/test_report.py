"""What the answer says of each task and of the service over time, on the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ecs_emulator import Killed, Knobs, World
from ecs_emulator.api.ecs.descriptions import CONTAINER_NAME
from ecs_emulator.state.setup import SideCar
from ecs_task_recycle.clock import as_utc
from ecs_task_recycle.outcome import Status
from ecs_task_recycle.task import NOT_IN_TIME
from tests.emulated.bench import a_service
from tests.emulated.bench import record as item_of
from tests.emulated.guarded import Guarded

if TYPE_CHECKING:
    from tests.emulated.bench import Bench


def gone_by_the_end(answer: dict[str, Any]) -> list[dict[str, Any]]:
    return [task for task in answer["tasks"] if "still_stopping" not in task]


@pytest.mark.parametrize("surge", [True, False])
def test_the_line_of_tasks_in_service_is_what_the_service_went_through(
    bench: Bench, *, surge: bool
) -> None:
    world = World()
    a_service(world, tasks=4)

    answer = bench.recycle(world, maintain_service_state=surge).answer().as_json()

    line = answer["in_service"]
    counts = [count for _, count in line]
    assert line[0] == [0.0, 4]
    assert min(counts) == answer["lowest_in_service"] == world.lowest_in_service()
    assert answer["required_in_service"] == (4 if surge else 3) == min(counts)
    assert counts == ([4, 5] * 5 if surge else [4, 3] * 4 + [4])[: len(counts)]
    assert line == sorted(line)
    assert line[-1][0] <= answer["duration_seconds"]


def test_each_task_says_its_zone_and_how_it_went(bench: Bench) -> None:
    world = World()
    service = a_service(world)
    zones = {task.arn: task.placement.availability_zone for task in service.active_tasks}

    answer = bench.recycle(world).answer().as_json()

    stopped = {task.arn: task for task in service.tasks}
    assert {task["task"]: task["zone"] for task in answer["tasks"]} == zones
    assert len(gone_by_the_end(answer)) >= 2
    for task in gone_by_the_end(answer):
        state = stopped[task["task"]].state
        assert state.stopping_at is not None
        assert state.stopped_at is not None
        took_seconds = state.stopped_at - state.stopping_at
        assert task["seconds_to_stop"] == pytest.approx(took_seconds, abs=1.0)
        assert (task["exit_code"], task["exit_verdict"]) == (0, None)


def test_a_container_that_does_not_end_in_time_is_told_as_killed(bench: Bench) -> None:
    world = World(knobs=Knobs(stop_time=100, stop_timeout=20))
    a_service(world)

    answer = bench.recycle(world).answer().as_json()

    gone = gone_by_the_end(answer)
    assert len(gone) >= 2
    verdict = f"{CONTAINER_NAME} {NOT_IN_TIME}"
    assert {(task["exit_code"], task["exit_verdict"]) for task in gone} == {(137, verdict)}


def test_a_side_car_that_is_killed_is_told_by_its_name(bench: Bench) -> None:
    world = World()
    a_service(world, tasks=1, side_car=SideCar(name="log-router", exit_code=137))

    (task,) = bench.recycle(world, wait_time=60).answer().as_json()["tasks"]

    assert task["exit_code"] == 137
    assert task["exit_verdict"] == f"log-router {NOT_IN_TIME}"


def test_a_task_that_was_killed_by_others_is_not_told_as_too_slow(bench: Bench) -> None:
    world = World()
    *_, youngest = sorted(a_service(world).active_tasks, key=lambda task: task.created_at)
    world.at(60, lambda w: w.crash_task(youngest, exit_code=137))

    tasks = {task["task"]: task for task in bench.recycle(world).answer().as_json()["tasks"]}

    crashed = tasks[youngest.arn]
    assert (crashed["note"], crashed["exit_code"]) == ("it went away by itself", 137)
    assert (crashed["exit_verdict"], crashed["seconds_to_stop"]) == (None, None)


def test_what_was_seen_is_kept_over_several_invocations(bench: Bench) -> None:
    world = World()
    a_service(world, tasks=12)
    guarded = Guarded(bench, world, limit_seconds=400)

    answer = guarded.recycle(wait_time=0).answer().as_json()

    assert answer["segments"] > 1
    assert answer["in_service"][0] == [0.0, 12]
    assert {12, 13} == {count for _, count in answer["in_service"]}
    assert answer["in_service"][-1][0] > 400
    known = [task for task in answer["tasks"] if task["seconds_to_stop"] is not None]
    assert len(known) >= 11


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_run_that_only_restores_has_no_tasks_to_tell_of(bench: Bench, *, dry_run: bool) -> None:
    world = World()
    a_service(world)
    world.kill_at(90)
    with pytest.raises(Killed):
        bench.recycle(world)
    world.revive()
    world.advance(1000)

    answer = bench.recycle(world, action="restore", dry_run=dry_run).answer().as_json()

    assert answer["status"] == ("planned" if dry_run else "restored")
    lists = ("tasks", "skipped", "remaining", "in_service")
    assert [answer[name] for name in lists] == [[], [], [], []]
    numbers = ("original_desired_count", "required_in_service", "lowest_in_service")
    assert [answer[name] for name in numbers] == [None, None, None]
    assert "at_least_seconds" not in answer


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_run_that_died_with_nothing_raised_is_not_said_to_be_put_back(
    bench: Bench, *, dry_run: bool
) -> None:
    world = World()
    a_service(world)
    world.after_call("UpdateItem", 1, lambda w: w.kill())
    with pytest.raises(Killed):
        bench.recycle(world)
    world.revive()
    world.advance(1000)
    assert item_of(world)["state"] == "running"

    plan = bench.recycle(world, dry_run=True).answer()
    answer = bench.recycle(world, action="restore", dry_run=dry_run).answer()

    assert not any("is dead" in each for each in plan.remarks or ())
    assert answer.status is Status.NOTHING_TO_DO
    assert answer.reason == "run run is dead and has left nothing raised"
    assert dry_run or item_of(world)["state"] == "ended"


@pytest.mark.parametrize("named", [True, False], ids=["named", "by instant"])
def test_what_restores_says_how_to_go_on_with_the_run_that_has_died(
    bench: Bench, *, named: bool
) -> None:
    world = World()
    service = a_service(world)
    tasks: dict[str, Any] = {"tasks": [task.arn for task in service.active_tasks]} if named else {}
    died_at = as_utc(world.now).isoformat()
    world.kill_at(world.elapsed + 100)
    with pytest.raises(Killed):
        bench.recycle(world, **tasks)
    world.revive()
    world.advance(1000)

    answer = bench.recycle(world, run_id="healer", action="restore").answer().as_json()
    status = bench.recycle(world, action="status").answer().as_json()["run"]

    assert answer["started_before"] == (None if named else died_at)
    assert status["started_before"] == died_at
    assert bench.recycle(world, action="restore").answer().as_json()["started_before"] is None


def test_of_a_service_without_tasks_none_is_required(bench: Bench) -> None:
    world = World()
    a_service(world, tasks=0)
    answer = bench.recycle(world, maintain_service_state=False).answer().as_json()
    assert (answer["status"], answer["required_in_service"]) == ("nothing_to_do", 0)


def test_a_dry_run_says_where_the_tasks_are_and_how_many_are_in_service(bench: Bench) -> None:
    world = World()
    service = a_service(world)

    answer = bench.recycle(world, dry_run=True).answer().as_json()

    assert answer["in_service"] == [[0.0, 3]]
    zones = {task.arn: task.placement.availability_zone for task in service.active_tasks}
    assert {task["task"]: task["zone"] for task in answer["tasks"]} == zones
