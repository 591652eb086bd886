"""The states in which deployments are found."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from ecs_emulator import EmulatorError

if TYPE_CHECKING:
    from ecs_emulator import Knobs
    from tests.emulator.conftest import Bench


def entries(bench: Bench) -> list[tuple[str, str]]:
    return [(each["status"], each["rolloutState"]) for each in bench.service()["deployments"]]


def test_a_replaced_deployment_may_still_be_listed_as_inactive(bench: Bench, calm: Knobs) -> None:
    service = bench.furnish(replace(calm, inactive_deployments_listed=100))
    old = service.state.primary.id
    bench.ecs.update_service(cluster="demo", service="web", forceNewDeployment=True)
    bench.sleep(80)
    assert entries(bench) == [("PRIMARY", "COMPLETED"), ("INACTIVE", "COMPLETED")]
    assert bench.service()["deployments"][1]["id"] == old
    assert bench.service()["deployments"][1]["runningCount"] == 0
    bench.sleep(120)
    assert entries(bench) == [("PRIMARY", "COMPLETED")]


def test_an_inactive_deployment_from_before_stays_and_does_nothing(bench: Bench) -> None:
    service = bench.world.services[0]
    bench.world.list_inactive_deployment("demo", "web")
    bench.stop(service.tasks[0].arn)
    bench.sleep(100)
    assert entries(bench) == [("PRIMARY", "COMPLETED"), ("INACTIVE", "COMPLETED")]
    assert service.in_service_count == 3


@pytest.mark.parametrize("stage, launched", [("PRE_SCALE_UP", 0), ("POST_SCALE_UP", 3)])
def test_a_pause_hook_holds_a_deployment_until_somebody_lets_it_go_on(
    bench: Bench, stage: str, launched: int
) -> None:
    service = bench.world.services[0]
    bench.world.pause_deployment("demo", "web", stage=stage, minutes=14 * 24 * 60)
    bench.sleep(13 * 24 * 3600)
    assert entries(bench) == [("PRIMARY", "IN_PROGRESS"), ("ACTIVE", "COMPLETED")]
    assert len(service.tasks) == 3 + launched
    assert len(service.active_tasks) == 3 + launched
    described = bench.service()
    assert described["deploymentConfiguration"]["lifecycleHooks"] == [
        {"targetType": "PAUSE", "lifecycleStages": [stage]}
    ]
    (deployment,) = bench.ecs.describe_service_deployments(
        serviceDeploymentArns=[described["currentServiceDeployment"]]
    )["serviceDeployments"]
    assert (deployment["status"], deployment["lifecycleStage"]) == ("IN_PROGRESS", stage)
    (hook,) = deployment["lifecycleHookDetails"]
    assert (hook["targetType"], hook["status"]) == ("PAUSE", "AWAITING_ACTION")
    assert hook["expiresAt"].timestamp() - bench.world.started_at == 14 * 24 * 3600
    bench.world.continue_deployment("demo", "web")
    bench.sleep(200)
    assert entries(bench) == [("PRIMARY", "COMPLETED")]
    assert "lifecycleHooks" not in bench.service()["deploymentConfiguration"]


def test_a_pause_lasts_at_most_14_days(bench: Bench) -> None:
    with pytest.raises(EmulatorError, match="14 days"):
        bench.world.pause_deployment("demo", "web", minutes=14 * 24 * 60 + 1)


def test_service_deployments_are_listed_with_their_status(bench: Bench) -> None:
    rows = bench.ecs.list_service_deployments(cluster="demo", service="web")["serviceDeployments"]
    assert [row["status"] for row in rows] == ["SUCCESSFUL"]
    bench.world.start_deployment("demo", "web")
    running = bench.ecs.list_service_deployments(
        cluster="demo", service="web", status=["IN_PROGRESS"]
    )["serviceDeployments"]
    (known,) = bench.ecs.describe_service_deployments(
        serviceDeploymentArns=[running[0]["serviceDeploymentArn"]]
    )["serviceDeployments"]
    assert "lifecycleHookDetails" not in known
    answer = bench.ecs.describe_service_deployments(serviceDeploymentArns=["arn:nope"])
    assert answer["failures"] == [{"arn": "arn:nope", "reason": "MISSING"}]


def test_with_a_deferred_cleanup_old_tasks_outlive_their_deployment(bench: Bench) -> None:
    service = bench.furnish(target_group=True)
    old = list(service.tasks)
    bench.world.complete_deployment_early("demo", "web", cleanup_after=600)
    bench.sleep(500)
    assert entries(bench) == [("PRIMARY", "COMPLETED")]
    described = bench.service()
    assert described["deploymentConfiguration"]["earlySuccessCriteria"] == {
        "enable": True,
        "healthyPercent": 100,
        "sourceServiceRevisionCleanup": "DEFERRED",
    }
    assert (described["runningCount"], described["desiredCount"]) == (6, 3)
    assert described["deployments"][0]["runningCount"] == 3
    assert len(bench.listed()) == 6
    shown = [bench.task(task.arn) for task in old]
    primary = described["deployments"][0]
    assert all(task["startedBy"] != primary["id"] for task in shown)
    assert all(task["taskDefinitionArn"] != primary["taskDefinition"] for task in shown)
    bench.sleep(200)
    assert {task.arn for task in service.active_tasks} == set(bench.listed())
    assert not {task.arn for task in old} & set(bench.listed())
    assert service.in_service_count == 3


def test_what_a_deferred_cleanup_left_over_is_not_replaced(bench: Bench) -> None:
    service = bench.furnish()
    bench.world.complete_deployment_early("demo", "web")
    bench.stop(service.tasks[0].arn)
    bench.sleep(100)
    assert len(service.active_tasks) == 5
    bench.stop(service.tasks[3].arn)
    bench.sleep(100)
    assert len(service.active_tasks) == 5
    assert service.tasks[-1].launch == 1


@pytest.mark.parametrize(
    "knob, options, shown",
    [
        (False, {}, "DISABLED"),
        (True, {}, "ENABLED"),
        (True, {"maximum_percent": 100, "minimum_healthy_percent": 0}, "DISABLED"),
        (True, {"scheduling_strategy": "DAEMON", "network_mode": "bridge"}, "DISABLED"),
        (True, {"controller": "EXTERNAL"}, "DISABLED"),
        (True, {"network_mode": "bridge", "launch_type": "EXTERNAL"}, "DISABLED"),
        (False, {"availability_zone_rebalancing": True}, "ENABLED"),
    ],
    ids=str,
)
def test_zone_rebalancing_is_enabled_where_ecs_can_do_it(
    bench: Bench,
    calm: Knobs,
    knob: bool,  # noqa: FBT001
    options: dict[str, Any],
    shown: str,
) -> None:
    bench.furnish(replace(calm, az_rebalancing=knob), **options)
    assert bench.service()["availabilityZoneRebalancing"] == shown
