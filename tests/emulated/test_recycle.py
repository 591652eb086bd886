"""The main job, on the wire: every task replaced, capacity as found, never fewer in service."""

from __future__ import annotations

import logging
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from ecs_emulator import Knobs, World
from ecs_task_recycle.outcome import Status
from tests.emulated.bench import a_service, autoscaled, capacity, stopped_by_us
from tests.emulated.observers import perfect_seconds, recycle_with_services_stable

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.emulated.bench import Bench


def test_every_task_is_replaced_and_the_capacity_is_as_found(bench: Bench) -> None:
    world = World()
    service = a_service(world)
    autoscaled(world, 1, 3)
    originals = {task.arn for task in service.active_tasks}

    report = bench.recycle(world)

    assert report.error is None
    answer = report.answer().as_json()
    assert answer["status"] == "completed"
    assert {task["task"] for task in answer["tasks"]} == originals
    assert answer["tasks_recycled"] == 3
    assert answer["remaining"] == []
    assert answer["lowest_in_service"] == world.lowest_in_service() == 3
    world.advance(300)
    assert {task.arn for task in service.active_tasks}.isdisjoint(originals)
    assert capacity(world) == (3, 1, 3)


def test_each_replacement_named_in_the_answer_is_one_that_came_for_its_task(bench: Bench) -> None:
    world = World()
    service = a_service(world)
    started = {task.arn: task for task in service.active_tasks}

    tasks = bench.recycle(world).answer().as_json()["tasks"]

    by_arn = {task.arn: task for task in service.tasks}
    for task in tasks:
        assert task["task"] in started
        assert by_arn[task["replacement"]].launch > 1
    assert len({task["replacement"] for task in tasks}) == 3


def test_the_oldest_task_is_stopped_first(bench: Bench) -> None:
    world = World()
    service = a_service(world, tasks=5)
    by_age = [task.arn for task in sorted(service.active_tasks, key=lambda each: each.created_at)]

    answer = bench.recycle(world).answer().as_json()

    assert [task["task"] for task in answer["tasks"]] == by_age


def test_without_the_surge_never_more_than_one_task_is_missing(bench: Bench) -> None:
    world = World()
    service = a_service(world)

    report = bench.recycle(world, maintain_service_state=False)

    assert report.status is Status.COMPLETED
    assert world.lowest_in_service() == 2
    assert [count for _, count, _ in world.desired_history()] == [3]
    assert service.in_service_count == 3


def test_a_service_of_one_task_never_has_none_in_service(bench: Bench) -> None:
    world = World()
    a_service(world, tasks=1)

    assert bench.recycle(world).status is Status.COMPLETED
    assert world.lowest_in_service() == 1


@pytest.mark.slow
def test_a_service_of_150_tasks_is_read_page_by_page(bench: Bench) -> None:
    world = World(knobs=Knobs(drain=0, target_health_delay=1))
    service = a_service(world, tasks=150)
    originals = {task.arn for task in service.active_tasks}

    report = bench.recycle(world, deadline_seconds=10**6, wait_time=0)

    assert report.status is Status.COMPLETED
    assert stopped_by_us(service) == originals
    assert world.lowest_in_service() == 150
    described: list[Any] = [call.parameters["tasks"] for call in world.calls_of("DescribeTasks")]
    assert max(len(arns) for arns in described) == 100


def test_a_service_that_wants_no_tasks_is_left_alone(bench: Bench) -> None:
    world = World()
    a_service(world, tasks=0)

    answer = bench.recycle(world).answer().as_json()

    assert (answer["status"], answer["reason"]) == ("nothing_to_do", "the desired count is 0")
    assert world.writes == []


def test_arns_do_as_well_as_names(bench: Bench) -> None:
    world = World()
    service = a_service(world)
    autoscaled(world, 1, 5)

    report = bench.recycle(
        world, cluster_name=service.cluster.arn, service_name=service.arn, wait_time=0
    )

    assert report.status is Status.COMPLETED


@pytest.mark.parametrize(
    "features",
    [
        {"target_group": False},
        {"target_group": False, "container_health": True},
        {"target_group": 2, "container_health": True},
        {"network_mode": "bridge"},
        {"network_mode": "bridge-static"},
    ],
    ids=str,
)
def test_services_of_every_build_are_followed_to_the_end(
    bench: Bench, features: dict[str, Any]
) -> None:
    world = World()
    service = a_service(world, **features)
    originals = {task.arn for task in service.active_tasks}

    assert bench.recycle(world).status is Status.COMPLETED
    assert stopped_by_us(service) == originals
    assert world.lowest_in_service() == 3


def test_tasks_started_later_than_asked_stay(bench: Bench) -> None:
    world = World()
    service = a_service(world)
    oldest, middle, newest = sorted(service.active_tasks, key=lambda task: task.created_at)
    first = bench.recycle(world, dry_run=True).answer().as_json()["tasks"]
    border = next(task["started_at"] for task in first if task["task"] == newest.arn)

    answer = bench.recycle(world, started_before=border).answer().as_json()

    assert [task["task"] for task in answer["tasks"]] == [oldest.arn, middle.arn]
    assert answer["started_before"] == border


def test_repeating_an_event_with_the_returned_started_before_changes_nothing(bench: Bench) -> None:
    world = World()
    a_service(world)
    first = bench.recycle(world).answer().as_json()
    writes = len(world.calls_of("StopTask"))

    again = bench.recycle(world, started_before=first["started_before"]).answer().as_json()

    assert again["status"] == "nothing_to_do"
    # The one more StopTask is the permission check, for a task that cannot exist.
    assert len(world.calls_of("StopTask")) == writes + 1


def test_a_dry_run_tells_the_plan_and_writes_nothing(bench: Bench) -> None:
    world = World()
    service = a_service(world)
    autoscaled(world, 1, 5)

    answer = bench.recycle(world, dry_run=True, wait_time=60).answer().as_json()

    assert answer["status"] == "planned"
    assert [task["task"] for task in answer["tasks"]] == [
        task.arn for task in sorted(service.active_tasks, key=lambda each: each.created_at)
    ]
    assert answer["at_least_seconds"] >= 3 * 60
    assert "ecs:StopTask" in answer["permissions"]
    assert world.writes == []


def test_the_log_lines_are_those_of_the_contract(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    world = World()
    service = a_service(world, tasks=2)
    arns = [task.arn for task in sorted(service.active_tasks, key=lambda each: each.created_at)]
    caplog.set_level(logging.INFO, "ecs_task_recycle")

    bench.recycle(world, wait_time=7)

    promised = [
        "Starting task recycle for demo/web",
        "Original desired count: 2, tasks: 2",
        f"Recycling task 1/2: {arns[0]}",
        "Task 1 recycled, waiting 7s",
        f"Recycling task 2/2: {arns[1]}",
        "Task 2 recycled, waiting 7s",
        "Task recycle completed successfully",
    ]
    assert [line for line in caplog.messages if line in promised] == promised


def test_a_line_at_least_once_a_minute_says_what_is_awaited(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(knobs=Knobs(target_health_delay=200))
    a_service(world, tasks=1)
    caplog.set_level(logging.INFO, "ecs_task_recycle")
    spoken: list[float] = []

    def note_instant(_: logging.LogRecord) -> bool:
        spoken.append(world.now)
        return True

    caplog.handler.addFilter(note_instant)

    bench.recycle(world, wait_time=200)

    gaps = [later - earlier for earlier, later in pairwise(spoken)]
    assert max(gaps) <= 60
    assert any("RUNNING, target initial" in line for line in caplog.messages)


@pytest.mark.parametrize(
    "seed", [0, 1, *(pytest.param(n, marks=pytest.mark.slow) for n in (2, 3, 4))]
)
@pytest.mark.parametrize("pending", [1.0, (1.0, 60.0)], ids=str)
def test_a_replacement_in_service_is_noticed_within_five_seconds(
    bench: Bench, seed: int, pending: float | tuple[float, float]
) -> None:
    world = World(knobs=Knobs(latency=0, staleness=0, pending=pending), seed=seed)
    a_service(world, tasks=5)

    report = bench.recycle(world, wait_time=0)

    assert report.status is Status.COMPLETED
    whole = [at for at, count in world.in_service_history() if count == 6]
    for result in report.progress.results.values():
        assert result.stopped_at
        noticed = result.stopped_at.timestamp() + (result.seconds_to_replace or 0)
        assert noticed - max(at for at in whole if at <= noticed + 0.1) <= 5.1


WORLDS = {
    "default": Knobs(),
    "default, at once": Knobs(replaces_after_stopped=False),
    "drain of 300 s": Knobs(drain=300),
    "drain of 300 s, at once": Knobs(drain=300, replaces_after_stopped=False),
    "slow": Knobs(provisioning=(20, 40), pending=(60, 120), target_health_delay=(30, 60)),
}


@pytest.mark.parametrize(
    "seed", [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize(
    "tasks, wait_time, most",
    [
        (3, 30, 1.06),
        pytest.param(3, 0, 1.15, marks=pytest.mark.slow),
        pytest.param(20, 30, 1.06, marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("name", WORLDS)
def test_a_run_takes_hardly_longer_than_a_perfect_observer(
    bench: Bench,
    name: str,
    tasks: int,
    wait_time: int,
    most: float,
    seed: int,
    measured: Callable[[str], None],
) -> None:
    ours, perfect = World(seed=seed, knobs=WORLDS[name]), World(seed=seed, knobs=WORLDS[name])
    a_service(ours, tasks=tasks)
    answer = bench.recycle(ours, wait_time=wait_time, deadline_seconds=86_400).answer().as_json()
    perfect_service = a_service(perfect, tasks=tasks)

    ratio = answer["duration_seconds"] / perfect_seconds(
        perfect, perfect_service, wait_seconds=wait_time
    )

    calls = len(ours.calls)
    rate = calls / answer["duration_seconds"]
    measured(
        f"{name}, {tasks} tasks, wait_time {wait_time}, seed {seed}: {ratio:.3f} of a perfect "
        f"observer's time, {calls / tasks:.1f} calls a task, {rate:.2f} a second"
    )
    assert ratio <= most
    if tasks == 20:
        assert rate <= 0.5
        # Where a replacement takes minutes, so does the wait for it.
        assert calls / tasks <= 45 or name in {"slow", "drain of 300 s"}


def test_waiting_with_services_stable_empties_the_service_and_our_gate_does_not(
    bench: Bench, measured: Callable[[str], None]
) -> None:
    knobs = Knobs(stop_reaction=2.0, target_health_delay=60.0)
    theirs, ours = World(knobs=knobs), World(knobs=knobs)
    bench.board.world = theirs
    ecs = bench.session.client("ecs")
    lowest_theirs = recycle_with_services_stable(ecs, theirs, a_service(theirs))
    a_service(ours)
    bench.recycle(ours)

    lowest_ours = ours.lowest_in_service()

    measured(f"lowest in service of 3: services_stable {lowest_theirs}, our gate {lowest_ours}")
    assert lowest_theirs < 3
    assert lowest_ours == 3


def test_a_task_that_never_reaches_stopped_does_not_end_the_run_and_is_told(bench: Bench) -> None:
    world = World()
    service = a_service(world)
    lost, *_ = sorted(service.active_tasks, key=lambda task: task.created_at)
    world.hang_task(lost)

    answer = bench.recycle(world).answer().as_json()

    assert answer["status"] == "completed"
    states = {task["task"]: task.get("still_stopping") for task in answer["tasks"]}
    assert states.pop(lost.arn) == "STOPPING"
    assert set(states.values()) <= {None, "DEACTIVATING"}
