"""All that a target group can say of its targets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ecs_emulator.state.model import Task
    from tests.emulator.conftest import Bench

ZONE = "us-east-1a"


@pytest.fixture
def balanced(bench: Bench) -> Bench:
    """Return the clients of a world whose service is behind a target group."""
    bench.furnish(target_group=True)
    return bench


def rows(bench: Bench) -> dict[str, dict[str, Any]]:
    group = bench.world.services[0].target_groups[0].arn
    found = bench.elbv2.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
    return {each["Target"]["Id"]: dict(each) for each in found}


def health(bench: Bench, task: Task) -> tuple[str, str | None]:
    found = rows(bench)[task.placement.target[0]]["TargetHealth"]
    return found["State"], found.get("Reason")


@pytest.mark.parametrize(
    "state, reason, shown",
    [
        ("healthy", None, None),
        ("initial", "Elb.InitialHealthChecking", "Elb.InitialHealthChecking"),
        ("unhealthy.draining", None, "Target.FailedHealthChecks"),
        ("unused", "Target.InvalidState", "Target.InvalidState"),
        ("unused", "Target.IpUnusable", "Target.IpUnusable"),
        ("unavailable", "Elb.InternalError", "Elb.InternalError"),
    ],
)
def test_a_target_can_be_in_each_state_with_its_reason(
    balanced: Bench, state: str, reason: str | None, shown: str | None
) -> None:
    service = balanced.world.services[0]
    balanced.world.set_target_state(service.tasks[0], state, reason)
    assert health(balanced, service.tasks[0]) == (state, shown)
    assert service.in_service_count == (3 if state == "healthy" else 2)
    balanced.sleep(60)
    assert service.tasks[0].active, "only unhealthy ones are replaced"


def test_an_unhealthy_target_with_a_reason_is_replaced(balanced: Bench) -> None:
    service = balanced.world.services[0]
    balanced.world.set_target_state(service.tasks[0], "unhealthy", "Target.Timeout")
    assert health(balanced, service.tasks[0]) == ("unhealthy", "Target.Timeout")
    balanced.sleep(120)
    assert not service.tasks[0].active
    assert service.in_service_count == 3


def test_a_running_task_may_be_deregistered(balanced: Bench) -> None:
    service = balanced.world.services[0]
    balanced.world.deregister_target(service.tasks[0])
    assert service.tasks[0].placement.target[0] not in rows(balanced)
    balanced.sleep(60)
    assert service.in_service_count == 2
    balanced.stop(service.tasks[0].arn)
    balanced.sleep(60)
    assert service.in_service_count == 3


def test_in_a_group_without_listener_every_target_is_unused(balanced: Bench) -> None:
    service = balanced.world.services[0]
    balanced.world.take_group_out_of_use("demo", "web")
    balanced.stop(service.tasks[0].arn)
    balanced.sleep(60)
    assert len(service.active_tasks) == 3
    for task in service.active_tasks:
        assert health(balanced, task) == ("unused", "Target.NotInUse")
    assert service.in_service_count == 0


def test_in_a_zone_that_is_not_enabled_targets_are_unused(balanced: Bench) -> None:
    service = balanced.world.services[0]
    balanced.world.disable_zone("demo", "web", ZONE)
    unused = [row for row in rows(balanced).values() if row["TargetHealth"]["State"] == "unused"]
    assert [row["Target"]["AvailabilityZone"] for row in unused] == [ZONE]
    assert unused[0]["TargetHealth"]["Reason"] == "Target.NotInUse"
    assert "not enabled for the load balancer" in unused[0]["TargetHealth"]["Description"]
    assert service.in_service_count == 2
    balanced.ecs.update_service(cluster="demo", service="web", desiredCount=6)
    balanced.sleep(60)
    assert service.in_service_count == 4, "new tasks in that zone are unused as well"


def test_without_health_checks_targets_are_unavailable(balanced: Bench) -> None:
    balanced.world.disable_health_checks("demo", "web")
    states = {health(balanced, task) for task in balanced.world.services[0].tasks}
    assert states == {("unavailable", "Target.HealthCheckDisabled")}


@pytest.mark.parametrize(
    "state, reason",
    [
        ("zonal_shift_active", "AdministrativeOverride.ZonalShiftActive"),
        ("zonal_shift_delegated_to_dns", "AdministrativeOverride.ZonalShiftDelegatedToDns"),
        ("unknown", "AdministrativeOverride.Unknown"),
    ],
)
def test_a_zonal_shift_is_an_administrative_override(
    balanced: Bench, state: str, reason: str
) -> None:
    assert not any("AdministrativeOverride" in row for row in rows(balanced).values())
    balanced.world.shift_zone("demo", "web", ZONE, state=state)
    overrides = {
        row["Target"]["AvailabilityZone"]: row["AdministrativeOverride"]
        for row in rows(balanced).values()
    }
    assert overrides[ZONE]["State"] == state
    assert overrides[ZONE]["Reason"] == reason
    others = {each["State"] for zone, each in overrides.items() if zone != ZONE}
    assert others == {"no_override"}
    assert balanced.world.services[0].in_service_count == 3


def test_others_may_have_healthy_targets_in_the_group(balanced: Bench) -> None:
    balanced.world.register_foreign_target("demo", "web", "10.9.9.9")
    balanced.world.register_foreign_target("demo", "web", "10.9.9.8", state="unhealthy")
    assert len(rows(balanced)) == 5
    assert rows(balanced)["10.9.9.9"]["TargetHealth"] == {"State": "healthy"}
    assert rows(balanced)["10.9.9.8"]["TargetHealth"]["Reason"] == "Target.FailedHealthChecks"


def test_tasks_may_never_come_into_their_group(bench: Bench) -> None:
    service = bench.furnish(target_group=True, registers_targets=False)
    bench.stop(service.tasks[0].arn)
    bench.sleep(100)
    assert rows(bench) == {}
    assert bench.service()["runningCount"] == 3
    assert service.in_service_count == 0
    assert not any("registered" in message for message in bench.messages())


def test_a_named_target_that_is_not_registered_is_unused(balanced: Bench) -> None:
    group = balanced.world.services[0].target_groups[0].arn
    (row,) = balanced.elbv2.describe_target_health(
        TargetGroupArn=group, Targets=[{"Id": "10.8.8.8", "Port": 8080}]
    )["TargetHealthDescriptions"]
    assert row["TargetHealth"]["Reason"] == "Target.NotRegistered"


def test_a_group_tells_its_drain_and_its_slow_start(bench: Bench) -> None:
    service = bench.furnish(target_group=True, slow_start_seconds=90)
    answer = bench.elbv2.describe_target_group_attributes(
        TargetGroupArn=service.target_groups[0].arn
    )
    told = {each["Key"]: each["Value"] for each in answer["Attributes"]}
    assert told["slow_start.duration_seconds"] == "90"
    assert told["deregistration_delay.timeout_seconds"] == "30"
