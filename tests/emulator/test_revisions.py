"""Services whose ingress, owner or strategy only newer members of ECS's answers tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.emulator.conftest import Bench


def revision(bench: Bench) -> dict[str, Any]:
    (current,) = bench.service()["currentServiceRevisions"]
    answer = bench.ecs.describe_service_revisions(serviceRevisionArns=[current["arn"]])
    (found,) = answer["serviceRevisions"]
    return dict(found)


def test_a_services_current_revision_tells_its_target_group(bench: Bench) -> None:
    service = bench.furnish(target_group=True)
    assert bench.service()["resourceManagementType"] == "CUSTOMER"
    found = revision(bench)
    assert found["loadBalancers"][0]["targetGroupArn"] == service.target_groups[0].arn
    assert "ecsManagedResources" not in found


def test_a_gateways_target_group_is_told_by_the_revision_alone(bench: Bench) -> None:
    service = bench.furnish(target_group=True, gateway_connector=True)
    assert bench.service()["loadBalancers"] == []
    found = revision(bench)
    (connection,) = found["ecsManagedResources"]["gatewayConnections"]
    (shared,) = connection["resources"]["hostSharedAlb"]
    assert shared["targetGroupArn"] == service.target_groups[0].arn
    assert found["gatewayConnectors"][0]["portName"] == connection["portName"]


def test_in_express_mode_the_target_groups_are_ecss_own(bench: Bench) -> None:
    service = bench.furnish(target_group=True, resource_management="ECS")
    assert bench.service()["resourceManagementType"] == "ECS"
    (path,) = revision(bench)["ecsManagedResources"]["ingressPaths"]
    assert path["targetGroups"][0]["arn"] == service.target_groups[0].arn


def test_a_classic_load_balancer_is_told_by_its_name(bench: Bench) -> None:
    bench.furnish(classic_load_balancer="old")
    (told,) = bench.service()["loadBalancers"]
    assert told["loadBalancerName"] == "old"
    assert "targetGroupArn" not in told


def test_vpc_lattice_is_told_with_the_deployment(bench: Bench) -> None:
    bench.furnish(vpc_lattice=True)
    (told,) = bench.service()["deployments"][0]["vpcLatticeConfigurations"]
    assert told["portName"] == "http"


def test_a_service_tells_how_clients_find_its_tasks(bench: Bench) -> None:
    bench.furnish(cloud_map=True, service_connect=True)
    service = bench.service()
    assert len(service["serviceRegistries"]) == 1
    assert service["deployments"][0]["serviceConnectConfiguration"]["enabled"]


def test_a_revision_that_is_not_there_is_a_failure(bench: Bench) -> None:
    arn = bench.service()["currentServiceRevisions"][0]["arn"] + "0"
    answer = bench.ecs.describe_service_revisions(serviceRevisionArns=[arn])
    assert answer["failures"] == [{"arn": arn, "reason": "MISSING"}]


@pytest.mark.parametrize(
    "strategy,member",
    [
        ("ROLLING", None),
        ("BLUE_GREEN", "bakeTimeInMinutes"),
        ("LINEAR", "linearConfiguration"),
        ("CANARY", "canaryConfiguration"),
    ],
)
def test_a_strategy_is_told_with_its_configuration(
    bench: Bench, strategy: str, member: str | None
) -> None:
    bench.furnish(deployment_strategy=strategy)
    configuration = bench.service()["deploymentConfiguration"]
    assert configuration["strategy"] == strategy
    assert (member or "strategy") in configuration
    assert ("bakeTimeInMinutes" in configuration) is (strategy != "ROLLING")
