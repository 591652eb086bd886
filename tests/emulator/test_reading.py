"""What readers see: pages, failures, filters, the past, and the same world for the same seed."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecs_emulator import Knobs, World
from ecs_emulator.api.paging import page

if TYPE_CHECKING:
    from tests.emulator.conftest import Bench


def test_a_listing_comes_in_pages_of_a_hundred(bench: Bench) -> None:
    bench.furnish(desired_count=150)
    first = bench.ecs.list_tasks(cluster="demo", serviceName="web")
    assert len(first["taskArns"]) == 100
    pages = list(bench.ecs.get_paginator("list_tasks").paginate(cluster="demo", serviceName="web"))
    arns = [arn for each in pages for arn in each["taskArns"]]
    assert len(arns) == len(set(arns)) == 150


def test_pages_can_be_made_smaller(bench: Bench, calm: Knobs) -> None:
    bench.furnish(replace(calm, page_size=2), desired_count=5)
    pages = bench.ecs.get_paginator("list_tasks").paginate(cluster="demo", serviceName="web")
    assert [len(each["taskArns"]) for each in pages] == [2, 2, 1]


def test_each_call_takes_its_time(bench: Bench, calm: Knobs) -> None:
    bench.furnish(replace(calm, latency=2))
    bench.listed()
    assert bench.world.elapsed == 2
    assert bench.world.calls[0].at - bench.world.started_at == 1, "half of it on the way there"


@given(names=st.sets(st.text(min_size=1)), limit=st.integers(1, 7))
def test_pages_put_together_are_the_whole_listing(names: set[str], limit: int) -> None:
    seen: list[str] = []
    token: str | None = None
    while True:
        shown, token = page(sorted(names), key=str, limit=limit, token=token)
        seen += shown
        if token is None:
            break
    assert seen == sorted(names)


def test_a_made_up_token_is_refused(bench: Bench) -> None:
    with pytest.raises(bench.ecs.exceptions.InvalidParameterException, match="token"):
        bench.listed(nextToken="made up")


def test_more_than_a_hundred_tasks_cannot_be_described_at_once(bench: Bench) -> None:
    service = bench.furnish(desired_count=101)
    arns = [task.arn for task in service.tasks]
    with pytest.raises(bench.ecs.exceptions.InvalidParameterException, match="at most 100"):
        bench.ecs.describe_tasks(cluster="demo", tasks=arns)
    assert len(bench.ecs.describe_tasks(cluster="demo", tasks=arns[:100])["tasks"]) == 100


def test_more_than_ten_services_cannot_be_described_at_once(bench: Bench) -> None:
    with pytest.raises(bench.ecs.exceptions.InvalidParameterException, match="at most 10"):
        bench.ecs.describe_services(cluster="demo", services=["web"] * 11)


def test_names_arns_and_short_arns_find_the_same_service(bench: Bench) -> None:
    service = bench.world.services[0]
    short = service.arn.replace("/demo/", "/")
    answer = bench.ecs.describe_services(
        cluster=service.cluster.arn, services=["web", service.arn, short]
    )
    assert [each["serviceArn"] for each in answer["services"]] == [service.arn] * 3
    assert bench.ecs.list_tasks(cluster="demo", serviceName=service.arn)["taskArns"]


def test_what_is_not_there_is_a_failure_or_the_error_that_ecs_has_for_it(bench: Bench) -> None:
    errors = bench.ecs.exceptions
    answer = bench.ecs.describe_services(cluster="demo", services=["nope"])
    assert [each["reason"] for each in answer["failures"]] == ["MISSING"]
    assert bench.ecs.describe_clusters(clusters=["nope"])["failures"][0]["reason"] == "MISSING"
    with pytest.raises(errors.ClusterNotFoundException):
        bench.ecs.describe_services(cluster="nope", services=["web"])
    with pytest.raises(errors.ClusterNotFoundException):
        bench.ecs.list_tasks()
    with pytest.raises(errors.ServiceNotFoundException):
        bench.ecs.update_service(cluster="demo", service="nope", desiredCount=1)
    with pytest.raises(errors.ServiceNotFoundException):
        bench.ecs.list_tasks(cluster="demo", serviceName="nope")
    with pytest.raises(errors.InvalidParameterException, match="referenced task was not found"):
        bench.stop("00000000000000000000000000000000")


def test_started_by_lists_alone(bench: Bench) -> None:
    service = bench.world.services[0]
    started_by = service.state.primary.id
    assert len(bench.ecs.list_tasks(cluster="demo", startedBy=started_by)["taskArns"]) == 3
    with pytest.raises(bench.ecs.exceptions.InvalidParameterException, match="startedBy"):
        bench.listed(startedBy=started_by)


def test_a_task_leaves_the_usual_listing_as_soon_as_it_is_stopped(bench: Bench) -> None:
    arn = bench.listed()[0]
    bench.stop(arn)
    assert arn not in bench.listed()
    assert bench.listed(desiredStatus="STOPPED") == [arn]
    assert bench.listed(desiredStatus="PENDING") == []


def test_a_stale_read_shows_a_stopped_task_as_meant_to_run(bench: Bench, calm: Knobs) -> None:
    service = bench.furnish(replace(calm, staleness=60), target_group=True)
    bench.sleep(100)
    arn = service.tasks[0].arn
    assert bench.stop(arn)["desiredStatus"] == "STOPPED", "a write's own answer is fresh"
    seen = [bench.task(arn)["desiredStatus"] for _ in range(20)]
    assert set(seen) == {"RUNNING"}, "nothing has happened yet, but for those who look back"
    bench.sleep(30)
    seen = [bench.task(arn)["desiredStatus"] for _ in range(40)]
    assert set(seen) == {"RUNNING", "STOPPED"}
    assert "STOPPED" in seen[: seen.index("RUNNING") + 5] or seen != sorted(seen)
    assert any(earlier > later for earlier, later in pairwise(seen)), (
        "two reads may go back in time"
    )


def test_every_kind_of_read_can_be_stale(bench: Bench, calm: Knobs) -> None:
    service = bench.furnish(replace(calm, staleness=1000), target_group=True)
    bench.sleep(1000)
    bench.world.register_scalable_target(
        cluster="demo", service="web", min_capacity=1, max_capacity=5
    )
    bench.world.clock.sleep(200)
    arn = service.tasks[0].arn
    bench.world.set_limits("demo", "web", max_capacity=9)
    bench.ecs.update_service(cluster="demo", service="web", desiredCount=4)
    bench.stop(arn)
    bench.sleep(300)
    group = service.target_groups[0].arn
    counts = {bench.service()["desiredCount"] for _ in range(30)}
    logs = {len(bench.messages()) for _ in range(30)}
    listed = {arn in bench.listed() for _ in range(30)}
    targets = {len(bench.target_states(group)) for _ in range(30)}
    limits = {
        target["MaxCapacity"]
        for _ in range(30)
        for target in bench.autoscaling.describe_scalable_targets(ServiceNamespace="ecs")[
            "ScalableTargets"
        ]
    }
    assert counts == {3, 4}
    assert len(logs) > 1
    assert listed == {True, False}
    assert targets >= {3, 4}
    assert limits == {5, 9}


def test_a_fresh_task_may_be_missing_for_a_stale_read(bench: Bench, calm: Knobs) -> None:
    service = bench.furnish(replace(calm, staleness=20))
    bench.sleep(30)
    bench.stop(service.tasks[0].arn)
    bench.sleep(5)
    new = service.tasks[-1].arn
    answers = [bench.ecs.describe_tasks(cluster="demo", tasks=[new]) for _ in range(20)]
    assert {len(answer["tasks"]) for answer in answers} == {0, 1}


def life_of(world: World, pauses: list[float]) -> list[list[tuple[float, str]]]:
    """Stop each task when the one before is replaced; look on in the given rhythm."""
    service = world.create_service(
        cluster="demo", name="web", target_group=True, container_health=True
    )
    for index in range(3):
        world.stop_task(service.tasks[index])
        started = world.now
        while world.now < started + 200:
            world.clock.sleep(pauses[index % len(pauses)])
        world.advance_to(started + 200)
    return [
        [(round(at - task.created_at, 6), status) for at, status, *_ in task.history]
        for task in service.tasks
    ]


def test_the_same_seed_is_the_same_world_however_often_one_looks() -> None:
    often = life_of(World(seed=11), [0.5, 0.25])
    seldom = life_of(World(seed=11), [100.0])
    other = life_of(World(seed=12), [100.0])
    assert often == seldom
    assert often != other


def test_the_nth_launch_takes_its_times_whatever_came_before() -> None:
    in_a_row, at_once = World(seed=5), World(seed=5)
    for world in (in_a_row, at_once):
        service = world.create_service(cluster="demo", name="web", desired_count=4)
        for task in list(service.tasks):
            world.stop_task(task)
            world.advance(300 if world is in_a_row else 0)
        world.advance(600)
    durations = [
        [
            task.state.started_at - task.created_at
            for task in world.services[0].tasks
            if task.launch and task.state.started_at
        ]
        for world in (in_a_row, at_once)
    ]
    assert durations[0] == pytest.approx(durations[1])
    assert len(durations[0]) == 4


def test_the_scheduler_takes_the_same_time_for_the_nth_launch_whenever_it_is_asked() -> None:
    delays = []
    for pause in (0.0, 17.3):
        world = World(seed=5)
        service = world.create_service(cluster="demo", name="web")
        world.advance(pause)
        for index in range(3):
            world.stop_task(service.tasks[index])
            stopped_at = world.now
            world.advance(200 + pause)
            delays.append(round(service.tasks[-1].created_at - stopped_at, 6))
    assert delays[:3] == delays[3:]
    assert len(set(delays)) == 3
