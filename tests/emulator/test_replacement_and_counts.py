"""When a stopped task is replaced, who is counted as running, and when its target leaves."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ecs_emulator import Knobs
    from ecs_emulator.state.model import Service
    from tests.emulator.conftest import Bench


def counts(bench: Bench) -> tuple[int, int]:
    service = bench.service()
    return service["runningCount"], service["pendingCount"]


def stopped_after(service: Service) -> float:
    """How long the first task, stopped at once, took to be STOPPED."""
    old = service.tasks[0].state
    assert old.stopped_at is not None
    assert old.stopping_at is not None
    return old.stopped_at - old.stopping_at


@pytest.mark.parametrize("target_group", [False, True])
def test_a_replacement_may_come_only_after_the_old_task_is_stopped(
    bench: Bench,
    calm: Knobs,
    target_group: bool,  # noqa: FBT001
) -> None:
    service = bench.furnish(replace(calm, replaces_after_stopped=True), target_group=target_group)
    began_at = bench.world.now
    bench.stop(service.tasks[0].arn)
    bench.sleep(120)
    assert service.tasks[3].created_at - began_at == stopped_after(service) + 2
    assert service.in_service_count == 3


def test_a_surge_task_does_not_wait_for_those_that_leave(bench: Bench, calm: Knobs) -> None:
    service = bench.furnish(replace(calm, replaces_after_stopped=True), target_group=True)
    bench.stop(service.tasks[0].arn)
    bench.ecs.update_service(cluster="demo", service="web", desiredCount=4)
    bench.sleep(5)
    assert len(service.tasks) == 4, "one for the raised count, none yet for the stopped task"
    bench.sleep(120)
    assert service.in_service_count == 4


def test_no_replacement_for_what_leaves_by_scale_in(bench: Bench, calm: Knobs) -> None:
    service = bench.furnish(replace(calm, replaces_after_stopped=True), target_group=True)
    bench.ecs.update_service(cluster="demo", service="web", desiredCount=2)
    bench.sleep(300)
    assert len(service.tasks) == 3


def test_a_raised_count_does_not_wait_for_what_leaves_by_scale_in(
    bench: Bench, calm: Knobs
) -> None:
    service = bench.furnish(replace(calm, replaces_after_stopped=True), target_group=True)
    bench.ecs.update_service(cluster="demo", service="web", desiredCount=2)
    bench.sleep(10)
    bench.ecs.update_service(cluster="demo", service="web", desiredCount=3)
    bench.sleep(3)
    assert len(service.tasks) == 4


def test_a_daemon_may_come_back_only_after_the_old_one_is_stopped(
    bench: Bench, calm: Knobs
) -> None:
    options: dict[str, Any] = {"scheduling_strategy": "DAEMON", "network_mode": "bridge"}
    knobs = replace(calm, replaces_after_stopped=True, stop_time=20)
    service = bench.furnish(knobs, instances=2, **options)
    bench.stop(service.tasks[0].arn)
    bench.sleep(20)
    assert len(service.tasks) == 2
    bench.sleep(60)
    assert service.in_service_count == 2


def test_a_task_that_is_to_stop_leaves_the_counts_at_once(bench: Bench) -> None:
    service = bench.furnish(target_group=True)
    answer = bench.stop(service.tasks[0].arn)
    assert answer["lastStatus"] == "RUNNING"
    assert counts(bench) == (2, 0)
    assert bench.service()["deployments"][0]["runningCount"] == 2
    bench.sleep(3)
    assert counts(bench) == (2, 1)
    bench.sleep(16)
    assert counts(bench) == (3, 0)
    assert service.in_service_count == 2


def test_a_task_that_is_to_stop_may_be_counted_by_its_last_status(
    bench: Bench, calm: Knobs
) -> None:
    service = bench.furnish(replace(calm, counts_stopping_tasks=True), target_group=True)
    bench.stop(service.tasks[0].arn)
    assert counts(bench) == (3, 0)
    bench.sleep(1)
    assert counts(bench) == (2, 0)


def stop_all_by_waiter(bench: Bench) -> int:
    """Stop the tasks one by one, waiting by services_stable; return the lowest in service."""
    for arn in bench.listed():
        bench.stop(arn)
        bench.ecs.get_waiter("services_stable").wait(cluster="demo", services=["web"])
    return bench.world.lowest_in_service()


def test_the_waiter_services_stable_lets_one_of_three_remain(bench: Bench) -> None:
    bench.furnish(target_group=True)
    assert stop_all_by_waiter(bench) == 1


def test_after_a_stale_first_look_it_lets_none_remain(bench: Bench, calm: Knobs) -> None:
    bench.furnish(replace(calm, staleness=60), target_group=True)
    bench.sleep(100)
    assert stop_all_by_waiter(bench) == 0


def test_with_stopping_tasks_counted_it_passes_right_after_stop_task(
    bench: Bench, calm: Knobs
) -> None:
    bench.furnish(replace(calm, counts_stopping_tasks=True), target_group=True)
    assert stop_all_by_waiter(bench) == 0
    assert bench.world.elapsed == 0


@pytest.mark.parametrize("after_exit", [False, True])
def test_a_target_leaves_with_sigterm_or_only_when_the_containers_are_gone(
    bench: Bench,
    calm: Knobs,
    after_exit: bool,  # noqa: FBT001
) -> None:
    knobs = replace(calm, drains_on_stop=False, deregisters_after_exit=after_exit)
    service = bench.furnish(knobs, target_group=True)
    old, group = service.tasks[0], service.target_groups[0].arn
    bench.stop(old.arn)
    bench.sleep(2)
    assert old.last_status == "STOPPING"
    state = bench.target_states(group)[str(old.placement.private_ip)]
    assert state == ("healthy" if after_exit else "draining")
    bench.sleep(3)
    assert bench.target_states(group)[str(old.placement.private_ip)] == "draining"
