"""A task's states, from its launch to an hour after its end."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from ecs_emulator import FailingStart, Knobs, StopKind, VirtualClock

if TYPE_CHECKING:
    from tests.emulator.conftest import Bench


def test_stop_task_answers_at_once_that_the_task_is_running_and_meant_to_stop(bench: Bench) -> None:
    oldest = bench.world.services[0].tasks[0]
    stopped = bench.stop(oldest.arn)
    assert (stopped["lastStatus"], stopped["desiredStatus"]) == ("RUNNING", "STOPPED")
    assert (stopped["stopCode"], stopped["stoppedReason"]) == (
        "UserInitiated",
        "Task stopped by user",
    )
    assert stopped["stoppingAt"].timestamp() == bench.world.now


def test_the_reason_given_to_stop_task_replaces_the_usual_one(bench: Bench) -> None:
    arn = bench.world.services[0].tasks[0].arn
    answer = bench.ecs.stop_task(cluster="demo", task=arn, reason="recycled")
    assert answer["task"]["stoppedReason"] == "recycled"


def test_a_replacement_goes_through_all_states_in_their_order(bench: Bench) -> None:
    service = bench.furnish(target_group=True)
    bench.stop(service.tasks[0].arn)
    bench.sleep(100)
    new = service.tasks[-1]
    seen = [(round(at - new.created_at), last) for at, last, *_ in new.history]
    assert list(dict.fromkeys(last for _, last in seen)) == [
        "PROVISIONING",
        "PENDING",
        "ACTIVATING",
        "RUNNING",
    ]
    assert dict(reversed(seen)) == {0: "PROVISIONING", 5: "PENDING", 15: "ACTIVATING", 16: "RUNNING", 30: "RUNNING"}  # fmt: skip  # noqa: E501
    assert new.history[-1] == (new.created_at + 30, "RUNNING", "RUNNING", "UNKNOWN", ("healthy",))


def test_a_stopped_task_drains_then_ends_then_gives_its_address_back(bench: Bench) -> None:
    service = bench.furnish(target_group=True)
    old = service.tasks[0]
    bench.stop(old.arn)
    bench.sleep(100)
    since = [
        (at - bench.world.started_at, last, targets) for at, last, _, _, targets in old.history
    ]
    assert since[1:] == [
        (0, "RUNNING", ("healthy",)),
        (1, "DEACTIVATING", ("healthy",)),
        (1, "DEACTIVATING", ("draining",)),
        (31, "DEACTIVATING", (None,)),
        (31, "STOPPING", (None,)),
        (34, "STOPPING", (None,)),
        (34, "DEPROVISIONING", (None,)),
        (40, "STOPPED", (None,)),
    ]


def test_without_a_drain_on_stop_the_target_outlives_its_task(bench: Bench, calm: Knobs) -> None:
    service = bench.furnish(replace(calm, drains_on_stop=False), target_group=True)
    old, group = service.tasks[0], service.target_groups[0].arn
    bench.stop(old.arn)
    bench.sleep(15)
    assert old.last_status == "STOPPED"
    assert bench.target_states(group)[old.placement.private_ip or ""] == "draining"
    bench.sleep(20)
    assert old.placement.private_ip not in bench.target_states(group)


def test_a_bridge_task_has_no_interface_and_skips_its_states(bench: Bench) -> None:
    service = bench.furnish(network_mode="bridge", target_group=True)
    bench.stop(service.tasks[0].arn)
    bench.sleep(100)
    statuses = {last for task in service.tasks for _, last, *_ in task.history}
    assert statuses.isdisjoint({"PROVISIONING", "DEPROVISIONING"})
    described = bench.task(service.tasks[-1].arn)
    (container,) = described["containers"]
    (binding,) = container["networkBindings"]
    (instance,) = bench.ecs.describe_container_instances(
        cluster="demo", containerInstances=[described["containerInstanceArn"]]
    )["containerInstances"]
    states = bench.elbv2.describe_target_health(TargetGroupArn=service.target_groups[0].arn)
    targets = {
        (each["Target"]["Id"], each["Target"].get("Port"))
        for each in states["TargetHealthDescriptions"]
    }
    assert (instance["ec2InstanceId"], binding["hostPort"]) in targets


def test_an_awsvpc_task_shows_its_address_where_ecs_shows_it(bench: Bench) -> None:
    service = bench.furnish(target_group=True)
    described = bench.task(service.tasks[0].arn)
    (attachment,) = described["attachments"]
    details = {each["name"]: each["value"] for each in attachment["details"]}
    assert attachment["type"] == "ElasticNetworkInterface"
    assert details["privateIPv4Address"] in bench.target_states(service.target_groups[0].arn)
    assert described["group"] == "service:web"
    assert described["startedBy"] == bench.service()["deployments"][0]["id"]


def test_container_health_is_unknown_before_it_is_healthy(bench: Bench, calm: Knobs) -> None:
    service = bench.furnish(replace(calm, container_health_delay=20))
    assert bench.task(service.tasks[0].arn)["healthStatus"] == "HEALTHY"
    bench.stop(service.tasks[0].arn)
    bench.sleep(30)
    new = bench.task(service.tasks[-1].arn)
    assert (new["lastStatus"], new["healthStatus"]) == ("RUNNING", "UNKNOWN")
    assert service.in_service_count == 2
    bench.sleep(10)
    assert bench.task(service.tasks[-1].arn)["healthStatus"] == "HEALTHY"
    assert service.in_service_count == 3


def test_a_stopped_task_can_be_described_for_an_hour(bench: Bench) -> None:
    arn = bench.world.services[0].tasks[0].arn
    bench.stop(arn)
    bench.sleep(10 + 3600 - 1)
    assert bench.task(arn)["lastStatus"] == "STOPPED"
    assert arn in bench.listed(desiredStatus="STOPPED")
    bench.sleep(2)
    answer = bench.ecs.describe_tasks(cluster="demo", tasks=[arn])
    assert answer["failures"] == [{"arn": arn, "reason": "MISSING"}]
    assert arn not in bench.listed(desiredStatus="STOPPED")
    with pytest.raises(bench.ecs.exceptions.InvalidParameterException, match="was not found"):
        bench.stop(arn)


def test_stopping_a_task_twice_answers_the_task_and_changes_nothing(bench: Bench) -> None:
    service = bench.world.services[0]
    first = bench.stop(service.tasks[0].arn)
    bench.sleep(20)
    again = bench.stop(service.tasks[0].arn)
    assert again["stoppingAt"] == first["stoppingAt"]
    bench.sleep(60)
    assert len(service.tasks) == 4


@pytest.mark.parametrize(
    "kind, stop_code, exit_code, reached_running",
    [
        ("never_running", "TaskFailedToStart", None, False),
        ("exits", "EssentialContainerExited", 7, True),
    ],
)
def test_a_start_fails_with_its_code_and_the_next_launch_follows(
    bench: Bench,
    calm: Knobs,
    kind: str,
    stop_code: str,
    exit_code: int | None,
    reached_running: bool,  # noqa: FBT001
) -> None:
    failing = FailingStart(kind=kind, launches=frozenset({1, 2, 3}), exit_code=7)
    service = bench.furnish(replace(calm, failing_starts=(failing,)))
    bench.stop(service.tasks[0].arn)
    bench.sleep(200)
    first, second, third, fourth = service.tasks[3:]
    for failed in (first, second, third):
        described = bench.task(failed.arn)
        assert described["stopCode"] == stop_code
        assert described["containers"][0].get("exitCode") == exit_code
        assert ("startedAt" in described) is reached_running
        assert failed.stop_cause is not None
        assert failed.stop_cause.kind is StopKind.FAILED_START
    assert fourth.in_service


def test_a_task_that_never_gets_healthy_is_stopped_by_the_scheduler(
    bench: Bench, calm: Knobs
) -> None:
    failing = FailingStart(kind="unhealthy", launches=frozenset({1, 2}))
    service = bench.furnish(replace(calm, failing_starts=(failing,)), target_group=True)
    bench.stop(service.tasks[0].arn)
    bench.sleep(400)
    group = service.target_groups[0].arn
    for failed in service.tasks[3:5]:
        described = bench.task(failed.arn)
        assert described["stopCode"] == "ServiceSchedulerInitiated"
        expected = f"Task failed ELB health checks in (target-group {group})"
        assert described["stoppedReason"] == expected
    assert service.in_service_count == 3
    assert bench.service()["runningCount"] == 3


def test_a_launch_throttle_slows_starts_that_keep_failing(bench: Bench, calm: Knobs) -> None:
    knobs = replace(calm, launch_throttle=True, failing_starts=(FailingStart(),))
    service = bench.furnish(knobs)
    bench.stop(service.tasks[0].arn)
    bench.sleep(600)
    launched = [task.created_at for task in service.tasks[3:]]
    gaps = [later - earlier for earlier, later in pairwise(launched)]
    assert gaps[-1] > 100 > gaps[0]
    assert any("unable to consistently start tasks" in line for line in bench.messages())


@pytest.mark.parametrize("after, last_status", [(4, "PROVISIONING"), (9, "PENDING")])
def test_a_task_stopped_before_it_runs_never_runs(
    bench: Bench, after: float, last_status: str
) -> None:
    service = bench.furnish(target_group=True)
    bench.stop(service.tasks[0].arn)
    bench.sleep(after)
    new = service.tasks[-1]
    assert bench.stop(new.arn)["lastStatus"] == last_status
    bench.sleep(300)
    assert new.last_status == "STOPPED"
    assert all(last not in {"ACTIVATING", "RUNNING"} for _, last, *_ in new.history)
    described = bench.task(new.arn)
    assert "exitCode" not in described["containers"][0]
    assert "executionStoppedAt" not in described
    assert service.in_service_count == 3


def test_a_world_that_lives_by_another_clock_goes_on_by_that_one(bench: Bench) -> None:
    world, (service,) = bench.world, bench.world.services
    week_seconds = 7 * 24 * 3600
    later = VirtualClock(world.now + week_seconds)
    world.live_by(later)
    assert world.elapsed == week_seconds
    world.stop_task(service.tasks[0])
    later.sleep(100)
    assert (world.now, world.clock) == (later.now(), later)
    assert service.tasks[-1].last_status == "RUNNING"
    assert service.tasks[-1].created_at > world.started_at + week_seconds
