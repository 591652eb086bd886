"""Tasks that are taken away, hang or never come, and the texts that tell of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ecs_emulator import EmulatorError, FailingStart, StopKind, service_events

if TYPE_CHECKING:
    from ecs_emulator import Knobs
    from tests.emulator.conftest import Bench


@pytest.mark.parametrize(
    "by, stop_code, reason",
    [
        ("instance draining", "ServiceSchedulerInitiated", "Task stopped during instance draining"),
        ("spot", "SpotInterruption", "Your Spot Task was interrupted."),
        ("spot notice", "TerminationNotice", "Your Spot Task was interrupted."),
        ("maintenance", "InfrastructureHealth", "ECS is performing maintenance"),
    ],
)
def test_the_platform_takes_a_task_away_with_a_notice(
    bench: Bench, by: str, stop_code: str, reason: str
) -> None:
    service = bench.furnish(target_group=True)
    bench.world.interrupt_task(service.tasks[0], by)
    bench.sleep(10)
    assert service.tasks[0].last_status == "DEACTIVATING"
    bench.sleep(100)
    described = bench.task(service.tasks[0].arn)
    assert described["stopCode"] == stop_code
    assert described["stoppedReason"].startswith(reason)
    assert described["containers"][0]["exitCode"] == 0
    assert service.in_service_count == 3


@pytest.mark.parametrize("end", ["terminated", "stopped"])
def test_a_host_that_fails_takes_its_task_along_at_once(bench: Bench, end: str) -> None:
    service = bench.furnish(network_mode="bridge", target_group=True)
    task = service.tasks[0]
    bench.world.interrupt_task(task, f"host {end}")
    described = bench.task(task.arn)
    assert (described["lastStatus"], described["stopCode"]) == ("STOPPED", "TerminationNotice")
    assert task.placement.instance is not None
    host = task.placement.instance.ec2_instance_id
    assert described["stoppedReason"] == f"Host EC2 (instance {host}) {end}."
    assert "exitCode" not in described["containers"][0]
    bench.sleep(100)
    assert service.in_service_count == 3


def test_what_the_platform_takes_away_is_no_failed_start(bench: Bench) -> None:
    bench.furnish(circuit_breaker=True)
    bench.world.start_deployment("demo", "web")
    for _ in range(6):
        bench.sleep(10)
        newest = bench.world.services[0].active_tasks[-1]
        bench.world.interrupt_task(newest, "spot")
    assert bench.service()["deployments"][0]["failedTasks"] == 0
    assert bench.service()["deployments"][0]["rolloutState"] == "IN_PROGRESS"


@pytest.mark.parametrize("in_status", ["RUNNING", "DEACTIVATING", "STOPPING"])
def test_a_task_of_a_lost_agent_never_reaches_stopped(bench: Bench, in_status: str) -> None:
    service = bench.furnish(target_group=True)
    bench.world.hang_task(service.tasks[0], in_status)
    bench.stop(service.tasks[0].arn)
    bench.sleep(7200)
    described = bench.task(service.tasks[0].arn)
    assert (described["lastStatus"], described["desiredStatus"]) == (in_status, "STOPPED")
    assert "stoppedAt" not in described
    assert bench.service()["runningCount"] == 3
    assert service.in_service_count == 3


def test_a_hanging_task_is_replaced_even_where_replacements_wait(bench: Bench, calm: Knobs) -> None:
    service = bench.furnish(replace(calm, replaces_after_stopped=True))
    bench.world.hang_task(service.tasks[0])
    bench.stop(service.tasks[0].arn)
    bench.sleep(100)
    assert service.tasks[0].last_status == "STOPPING"
    assert service.in_service_count == 3


def test_nonsense_is_refused(bench: Bench) -> None:
    task = bench.world.services[0].tasks[0]
    with pytest.raises(EmulatorError, match="No task hangs in PENDING"):
        bench.world.hang_task(task, "PENDING")
    with pytest.raises(EmulatorError, match="No task is held in RUNNING"):
        bench.world.hold_task(task, "RUNNING")
    with pytest.raises(EmulatorError, match="no reason code"):
        bench.world.set_target_state(task, "unused", "Target.Tired")
    with pytest.raises(EmulatorError, match="no administrative override"):
        bench.world.shift_zone("demo", "web", "us-east-1a", state="away")


@pytest.mark.parametrize("last_status", ["PROVISIONING", "PENDING", "ACTIVATING"])
def test_an_original_may_be_stuck_before_running(bench: Bench, last_status: str) -> None:
    service = bench.furnish(target_group=True)
    bench.world.hold_task(service.tasks[0], last_status)
    bench.sleep(3600)
    described = bench.task(service.tasks[0].arn)
    assert (described["lastStatus"], described["desiredStatus"]) == (last_status, "RUNNING")
    assert "startedAt" not in described
    assert (bench.service()["runningCount"], bench.service()["pendingCount"]) == (2, 1)
    assert len(bench.target_states(service.target_groups[0].arn)) == 2
    bench.stop(service.tasks[0].arn)
    bench.sleep(100)
    assert service.in_service_count == 3


def test_an_originals_container_health_may_be_unknown(bench: Bench) -> None:
    service = bench.furnish(container_health=True)
    bench.world.forget_health(service.tasks[0])
    bench.sleep(600)
    assert bench.task(service.tasks[0].arn)["healthStatus"] == "UNKNOWN"
    assert service.in_service_count == 2


@pytest.mark.parametrize("by_container", [False, True])
def test_in_its_grace_period_an_unhealthy_task_stays(
    bench: Bench,
    by_container: bool,  # noqa: FBT001
) -> None:
    grace_seconds = 10 * 3600
    service = bench.furnish(
        target_group=True, container_health=True, health_check_grace_seconds=grace_seconds
    )
    assert bench.service()["healthCheckGracePeriodSeconds"] == grace_seconds
    newest = service.tasks[2]
    bench.world.make_unhealthy(newest, by_container=by_container)
    bench.sleep(3600)
    assert (len(service.tasks), service.in_service_count) == (3, 2)
    bench.sleep(grace_seconds)
    assert not newest.active
    assert service.in_service_count == 3


def test_a_launch_may_fail_before_there_is_a_task(bench: Bench, calm: Knobs) -> None:
    failing = FailingStart(kind="not_launched", launches=frozenset({1, 2}), reason="no such role")
    service = bench.furnish(replace(calm, failing_starts=(failing,)))
    bench.stop(service.tasks[0].arn)
    bench.sleep(10)
    assert len(service.tasks) == 3
    assert bench.messages()[0] == "(service web) failed to launch a task with (error no such role)."
    bench.sleep(100)
    assert service.in_service_count == 3
    failures = [m for m in bench.messages() if "failed to launch a task with (error" in m]
    assert len(failures) == 2


def test_rebalancing_tells_how_the_tasks_are_spread(bench: Bench) -> None:
    bench.furnish()
    bench.world.rebalance("demo", "web")
    assert (
        "(service web) is not AZ balanced with 1 tasks in us-east-1a, 1 tasks in us-east-1b, "
        "1 tasks in us-east-1c. AZ Rebalancing in progress."
    ) in bench.messages()
    bench.sleep(120)
    assert any("is AZ balanced with 2 tasks in us-east-1b" in each for each in bench.messages())


def test_rebalancing_tells_that_protection_blocks_it(bench: Bench) -> None:
    service = bench.furnish()
    for task in service.tasks:
        bench.world.protect_task(task)
    started = bench.world.rebalance("demo", "web")
    assert started is not None
    bench.world.protect_task(started)
    bench.sleep(120)
    assert any("was unable to AZ Rebalance because" in each for each in bench.messages())


@pytest.mark.parametrize(
    "text, message",
    [
        (
            service_events.zones_blocked("ecs-svc/1", "(reason 1 tasks under protection)"),
            (
                "was unable to AZ Rebalance because ecs-svc/1 was unable to scale in due to "
                "(reason 1 tasks under protection)."
            ),
        ),
        (service_events.zone_full("us-east-1a"), "is unable to place a task in us-east-1a."),
        (
            service_events.zone_full("us-east-1a", on_instances=True),
            (
                "is unable to place a task in us-east-1a because no container instance met all of "
                "its requirements."
            ),
        ),
        (
            service_events.zones_even({"us-east-1a": 2}),
            "is AZ balanced with 2 tasks in us-east-1a.",
        ),
        (service_events.ZONES_STOPPED, "stopped AZ Rebalancing."),
        (service_events.launch_failed("x"), "failed to launch a task with (error x)."),
    ],
)
def test_any_service_event_can_be_injected(bench: Bench, text: str, message: str) -> None:
    bench.world.add_service_event("demo", "web", text)
    assert bench.messages()[0] == f"(service web) {message}"


@pytest.mark.parametrize("network_mode", ["awsvpc", "bridge", "host"])
def test_a_stopped_task_shows_its_zone_exit_code_and_instants(
    bench: Bench, network_mode: str
) -> None:
    service = bench.furnish(network_mode=network_mode, target_group=True)
    arn = service.tasks[0].arn
    running = bench.task(arn)
    assert running["availabilityZone"].startswith("us-east-1")
    assert not running.keys() & {"stoppingAt", "executionStoppedAt", "stoppedAt", "stopCode"}
    assert "exitCode" not in running["containers"][0]
    bench.stop(arn)
    bench.sleep(100)
    stopped = bench.task(arn)
    assert stopped["stoppingAt"] < stopped["executionStoppedAt"] <= stopped["stoppedAt"]
    assert stopped["containers"][0]["exitCode"] == 0
    assert stopped["availabilityZone"] == running["availabilityZone"]
    assert service.tasks[0].stop_cause is not None
    assert service.tasks[0].stop_cause.kind is StopKind.STOP_TASK
