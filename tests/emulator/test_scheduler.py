"""What the service scheduler does by itself."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ecs_emulator import FailingStart, Knobs, StopKind

if TYPE_CHECKING:
    from ecs_emulator.state.model import Service
    from tests.emulator.conftest import Bench


def stopped_by(service: Service, kind: StopKind) -> list[int]:
    return [t.number for t in service.tasks if t.stop_cause and t.stop_cause.kind is kind]


def test_a_stopped_task_is_replaced_long_before_it_is_stopped(bench: Bench) -> None:
    service = bench.furnish(target_group=True)
    bench.stop(service.tasks[0].arn)
    bench.sleep(5)
    assert len(service.tasks) == 4
    assert service.tasks[0].last_status == "DEACTIVATING"


def test_the_events_tell_of_starts_drains_and_steady_state_newest_first(bench: Bench) -> None:
    service = bench.furnish(target_group=True)
    bench.stop(service.tasks[0].arn)
    bench.sleep(120)
    group = service.target_groups[0].arn
    assert bench.messages()[:5] == [
        "(service web) has reached a steady state.",
        f"(service web) registered 1 targets in (target-group {group})",
        f"(service web) has started 1 tasks: (task {service.tasks[-1].id}).",
        "(service web) has begun draining connections on 1 tasks.",
        f"(service web) deregistered 1 targets in (target-group {group})",
    ]


def test_no_more_than_a_hundred_events_are_shown(bench: Bench, calm: Knobs) -> None:
    bench.furnish(replace(calm, failing_starts=(FailingStart(after_seconds=0),)))
    bench.stop(bench.listed()[0])
    bench.sleep(3000)
    assert len(bench.messages()) == 100


def test_a_raised_desired_count_starts_tasks_and_keeps_the_deployment(bench: Bench) -> None:
    before = bench.service()["deployments"]
    bench.ecs.update_service(cluster="demo", service="web", desiredCount=5)
    bench.sleep(60)
    after = bench.service()
    assert after["runningCount"] == 5
    assert [d["id"] for d in after["deployments"]] == [d["id"] for d in before]
    assert after["deployments"][0]["rolloutState"] == "COMPLETED"


def test_scale_in_takes_from_the_fullest_zone(bench: Bench, calm: Knobs) -> None:
    for seed in range(10):
        service = bench.furnish(calm, seed, desired_count=4)
        bench.ecs.update_service(cluster="demo", service="web", desiredCount=3)
        bench.sleep(60)
        (victim,) = stopped_by(service, StopKind.SCALE_IN)
        assert victim in {1, 4}, "tasks 1 and 4 share a zone"
        assert bench.messages()[1].startswith("(service web) has stopped 1 running tasks: (task ")


def test_scale_in_takes_those_not_in_service_first(bench: Bench) -> None:
    service = bench.furnish()
    bench.ecs.update_service(cluster="demo", service="web", desiredCount=4)
    bench.sleep(5)
    bench.ecs.update_service(cluster="demo", service="web", desiredCount=3)
    bench.sleep(60)
    assert stopped_by(service, StopKind.SCALE_IN) == [4]


def test_scale_in_can_be_adversarial_and_take_the_newest(bench: Bench, calm: Knobs) -> None:
    service = bench.furnish(replace(calm, scale_in_choice="newest"), desired_count=5)
    bench.ecs.update_service(cluster="demo", service="web", desiredCount=3)
    bench.sleep(60)
    assert stopped_by(service, StopKind.SCALE_IN) == [4, 5]


def test_scale_in_at_random_hits_different_tasks_by_seed(bench: Bench, calm: Knobs) -> None:
    knobs = replace(calm, scale_in_choice="random")
    victims = set()
    for seed in range(20):
        service = bench.furnish(knobs, seed, desired_count=4)
        bench.ecs.update_service(cluster="demo", service="web", desiredCount=3)
        bench.sleep(60)
        victims.update(stopped_by(service, StopKind.SCALE_IN))
    assert victims == {1, 2, 3, 4}


@pytest.mark.parametrize("choice", ["az_heaviest", "random", "newest"])
def test_scale_in_spares_protected_tasks_and_says_so(
    bench: Bench, calm: Knobs, choice: str
) -> None:
    service = bench.furnish(replace(calm, scale_in_choice=choice))
    for task in service.tasks[1:]:
        bench.world.protect_task(task, minutes=10)
    bench.ecs.update_service(cluster="demo", service="web", desiredCount=1)
    bench.sleep(500)
    assert stopped_by(service, StopKind.SCALE_IN) == [1]
    assert bench.messages()[0].endswith(
        "unable to scale in due to (reason 2 tasks under protection)"
    )
    bench.sleep(200)
    assert len(stopped_by(service, StopKind.SCALE_IN)) == 2, "the protection has expired"


def test_without_capacity_the_surplus_never_comes_and_the_event_repeats(
    bench: Bench, calm: Knobs
) -> None:
    service = bench.furnish(replace(calm, capacity=3, placement_event_interval=60))
    bench.ecs.update_service(cluster="demo", service="web", desiredCount=4)
    bench.sleep(200)
    assert len(service.tasks) == 3
    told = [m for m in bench.messages() if "unable to place a task" in m]
    assert len(told) == 4


def test_once_its_cause_was_gone_the_event_is_told_anew(bench: Bench, calm: Knobs) -> None:
    service = bench.furnish(replace(calm, capacity=3, placement_event_interval=21_600))
    for _ in range(2):
        bench.stop(service.active_tasks[0].arn)
        bench.sleep(100)
    told = [m for m in bench.messages() if "unable to place a task" in m]
    assert (service.in_service_count, len(told)) == (3, 2)


def test_without_spare_capacity_a_replacement_waits_for_the_old_task_to_be_stopped(
    bench: Bench, calm: Knobs
) -> None:
    service = bench.furnish(replace(calm, capacity=3), target_group=True)
    bench.stop(service.tasks[0].arn)
    bench.sleep(39)
    assert len(service.tasks) == 3
    bench.sleep(60)
    assert service.in_service_count == 3
    assert service.tasks[3].created_at >= (service.tasks[0].state.stopped_at or 0)


def test_a_static_host_port_keeps_the_replacement_off_the_instance(bench: Bench) -> None:
    service = bench.furnish(network_mode="bridge-static", instances=3, target_group=True)
    bench.stop(service.tasks[0].arn)
    bench.sleep(30)
    assert len(service.tasks) == 3
    assert any("is already using a port" in message for message in bench.messages())
    bench.sleep(60)
    assert service.tasks[3].placement.instance == service.tasks[0].placement.instance
    assert service.in_service_count == 3


def test_a_static_host_port_leaves_room_on_a_spare_instance(bench: Bench) -> None:
    service = bench.furnish(network_mode="bridge-static", target_group=True)
    bench.ecs.update_service(cluster="demo", service="web", desiredCount=4)
    bench.sleep(60)
    assert service.in_service_count == 4


def test_a_daemon_service_refuses_a_desired_count_and_fills_its_instances(bench: Bench) -> None:
    service = bench.furnish(scheduling_strategy="DAEMON", network_mode="bridge", instances=2)
    with pytest.raises(bench.ecs.exceptions.InvalidParameterException, match="daemon scheduling"):
        bench.ecs.update_service(cluster="demo", service="web", desiredCount=3)
    bench.stop(service.tasks[0].arn)
    bench.sleep(60)
    assert service.in_service_count == 2
    assert service.tasks[2].placement.instance == service.tasks[0].placement.instance


@pytest.mark.parametrize("controller", ["CODE_DEPLOY", "EXTERNAL"])
def test_other_deployment_controllers_show_task_sets_instead_of_deployments(
    bench: Bench, controller: str
) -> None:
    bench.furnish(controller=controller)
    described = bench.service()
    assert described["deployments"] == []
    (task_set,) = described["taskSets"]
    assert task_set["stabilityStatus"] == "STEADY_STATE"
    assert task_set["computedDesiredCount"] == 3
    with pytest.raises(bench.ecs.exceptions.InvalidParameterException, match=controller):
        bench.ecs.update_service(cluster="demo", service="web", forceNewDeployment=True)
    assert described["deploymentController"] == {"type": controller}


def test_a_rolling_deployment_replaces_all_tasks_without_a_gap(bench: Bench) -> None:
    service = bench.furnish(target_group=True)
    bench.ecs.update_service(cluster="demo", service="web", forceNewDeployment=True)
    bench.sleep(10)
    described = bench.service()["deployments"]
    assert [(d["status"], d["rolloutState"]) for d in described] == [
        ("PRIMARY", "IN_PROGRESS"),
        ("ACTIVE", "COMPLETED"),
    ]
    bench.sleep(200)
    (deployment,) = bench.service()["deployments"]
    assert deployment["rolloutState"] == "COMPLETED"
    assert stopped_by(service, StopKind.DEPLOYMENT) == [1, 2, 3]
    assert bench.world.lowest_in_service() == 3


def test_a_rolling_deployment_leaves_protected_tasks_until_they_are_free(bench: Bench) -> None:
    service = bench.furnish()
    bench.world.protect_task(service.tasks[1], minutes=10)
    bench.world.start_deployment("demo", "web")
    bench.sleep(550)
    assert stopped_by(service, StopKind.DEPLOYMENT) == [1, 3]
    assert len(bench.service()["deployments"]) == 2
    bench.sleep(120)
    assert stopped_by(service, StopKind.DEPLOYMENT) == [1, 2, 3]
    assert len(bench.service()["deployments"]) == 1


def test_the_circuit_breaker_fails_a_deployment_which_then_launches_nothing(bench: Bench) -> None:
    service = bench.furnish(circuit_breaker=True)
    bench.world.start_deployment("demo", "web", failing=FailingStart())
    bench.sleep(300)
    primary = bench.service()["deployments"][0]
    assert primary["rolloutState"] == "FAILED"
    assert primary["failedTasks"] >= 3
    known = len(service.tasks)
    bench.stop(service.tasks[0].arn)
    bench.sleep(300)
    assert len(service.tasks) == known
    assert service.in_service_count == 2


def test_a_failed_single_deployment_does_not_replace_a_stopped_task(bench: Bench) -> None:
    service = bench.furnish(rollout_state="FAILED")
    bench.stop(service.tasks[0].arn)
    bench.sleep(300)
    assert len(service.tasks) == 3


def test_an_unhealthy_task_is_replaced_before_it_is_stopped(bench: Bench) -> None:
    service = bench.furnish(target_group=True)
    bench.world.make_unhealthy(service.tasks[0])
    bench.sleep(20)
    assert service.tasks[0].active
    assert len(service.tasks) == 4
    bench.sleep(60)
    assert stopped_by(service, StopKind.UNHEALTHY) == [1]
    assert service.in_service_count == 3
    assert bench.world.lowest_in_service() == 2


def test_without_room_above_an_unhealthy_task_is_stopped_first(bench: Bench) -> None:
    service = bench.furnish(target_group=True, maximum_percent=100)
    bench.world.make_unhealthy(service.tasks[0])
    bench.sleep(10)
    assert not service.tasks[0].active
    bench.sleep(100)
    assert service.in_service_count == 3


def test_rebalancing_starts_in_another_zone_first_and_then_stops_one(bench: Bench) -> None:
    service = bench.furnish(target_group=True)
    started = bench.world.rebalance("demo", "web")
    assert started is not None
    bench.sleep(120)
    assert bench.world.lowest_in_service() == 3
    assert stopped_by(service, StopKind.REBALANCING) == [1]
    reason = bench.task(service.tasks[0].arn)["stoppedReason"]
    assert reason.startswith("Availability-zone rebalancing initiated by (deployment ecs-svc/")
    zones = {task.placement.availability_zone for task in (service.tasks[0], started)}
    assert len(zones) == 2
    assert service.in_service_count == 3


def test_rebalancing_spares_protected_tasks(bench: Bench) -> None:
    service = bench.furnish(desired_count=6)
    bench.world.protect_task(service.tasks[0])
    bench.world.rebalance("demo", "web", service.tasks[0])
    bench.sleep(120)
    assert stopped_by(service, StopKind.REBALANCING) == [4], "the other one in its zone"


def test_a_crashed_task_is_replaced(bench: Bench) -> None:
    service = bench.furnish(target_group=True)
    bench.world.at(10, lambda w: w.crash_task(service.tasks[1]))
    bench.sleep(100)
    crashed = bench.task(service.tasks[1].arn)
    assert crashed["stopCode"] == "EssentialContainerExited"
    assert crashed["containers"][0]["exitCode"] == 137
    assert service.in_service_count == 3
    assert bench.world.lowest_in_service(since=bench.world.started_at + 11) == 2


def test_a_deleted_service_drains_and_becomes_inactive(bench: Bench) -> None:
    bench.world.delete_service("demo", "web")
    assert bench.service()["status"] == "DRAINING"
    with pytest.raises(bench.ecs.exceptions.ServiceNotActiveException):
        bench.ecs.update_service(cluster="demo", service="web", desiredCount=4)
    bench.sleep(100)
    assert bench.service()["status"] == "INACTIVE"
    assert bench.ecs.list_services(cluster="demo")["serviceArns"] == []


def test_an_unsettled_service_starts_its_tasks_by_itself(bench: Bench) -> None:
    service = bench.furnish(settled=False)
    assert bench.service()["runningCount"] == 0
    bench.sleep(60)
    assert service.in_service_count == 3


def test_settled_tasks_have_different_ages_and_zones(bench: Bench) -> None:
    service = bench.furnish(desired_count=6)
    starts = [bench.task(task.arn)["startedAt"] for task in service.tasks]
    assert starts == sorted(starts)
    assert len(set(starts)) == 6
    zones = [task.placement.availability_zone for task in service.tasks]
    assert {zones.count(zone) for zone in zones} == {2}


def test_room_that_another_service_leaves_is_taken_at_once(bench: Bench, calm: Knobs) -> None:
    service = bench.furnish(replace(calm, capacity=5, placement_event_interval=10_000))
    other = bench.world.create_service(cluster="demo", name="other", desired_count=2)
    bench.world.set_desired_count("demo", "web", 4)
    bench.sleep(100)
    assert len(service.tasks) == 3
    bench.world.set_desired_count("demo", "other", 1)
    bench.sleep(60)
    assert (service.in_service_count, other.in_service_count) == (4, 1)


def test_scale_in_takes_those_not_in_service_first_whatever_their_zone(
    bench: Bench, calm: Knobs
) -> None:
    for seed in range(10):
        service = bench.furnish(calm, seed, desired_count=5)
        bench.stop(service.tasks[2].arn)
        bench.sleep(5)
        bench.ecs.update_service(cluster="demo", service="web", desiredCount=4)
        bench.sleep(60)
        assert stopped_by(service, StopKind.SCALE_IN) == [6], "alone in its zone, but starting"


def test_scale_in_by_several_keeps_the_zones_even(bench: Bench, calm: Knobs) -> None:
    for seed in range(10):
        service = bench.furnish(calm, seed, desired_count=9)
        bench.ecs.update_service(cluster="demo", service="web", desiredCount=3)
        bench.sleep(60)
        zones = {task.placement.availability_zone for task in service.active_tasks}
        assert len(zones) == 3


def test_a_waiter_waits_in_virtual_time(bench: Bench) -> None:
    bench.ecs.update_service(cluster="demo", service="web", desiredCount=4)
    bench.ecs.get_waiter("services_stable").wait(cluster="demo", services=["web"])
    assert bench.world.elapsed == 30, "two pauses of 15 seconds"
