"""Where a task is reached: every network mode, address family and kind of instance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ecs_emulator import EmulatorError

if TYPE_CHECKING:
    from tests.emulator.conftest import Bench


def container_of(bench: Bench, arn: str) -> dict[str, Any]:
    (container,) = bench.task(arn)["containers"]
    return dict(container)


def targets(bench: Bench) -> set[tuple[str, int]]:
    (group,) = bench.elbv2.describe_target_groups()["TargetGroups"]
    found = bench.elbv2.describe_target_health(TargetGroupArn=group["TargetGroupArn"])
    return {
        (each["Target"]["Id"], each["Target"]["Port"]) for each in found["TargetHealthDescriptions"]
    }


def instance_of(bench: Bench, arn: str) -> dict[str, Any]:
    (instance,) = bench.ecs.describe_container_instances(
        cluster="demo", containerInstances=[bench.task(arn)["containerInstanceArn"]]
    )["containerInstances"]
    return dict(instance)


def network_mode(bench: Bench) -> str:
    definition = bench.ecs.describe_task_definition(
        taskDefinition=bench.service()["taskDefinition"]
    )
    return str(definition["taskDefinition"]["networkMode"])


def test_a_host_mode_task_is_known_by_its_instance_and_the_container_port(bench: Bench) -> None:
    service = bench.furnish(network_mode="host", target_group=True)
    arn = service.tasks[0].arn
    assert container_of(bench, arn)["networkBindings"] == []
    assert container_of(bench, arn)["networkInterfaces"] == []
    assert bench.task(arn)["attachments"] == []
    assert (instance_of(bench, arn)["ec2InstanceId"], 8080) in targets(bench)
    assert network_mode(bench) == "host"


def test_a_host_mode_task_needs_an_instance_of_its_own(bench: Bench) -> None:
    service = bench.furnish(network_mode="host", instances=3, target_group=True)
    bench.stop(service.tasks[0].arn)
    bench.sleep(30)
    assert len(service.tasks) == 3
    bench.sleep(60)
    assert service.in_service_count == 3


@pytest.mark.parametrize("mode, port", [("bridge", 32768), ("bridge-static", 80)])
def test_a_bridge_task_is_known_by_its_instance_and_the_bound_port(
    bench: Bench, mode: str, port: int
) -> None:
    service = bench.furnish(network_mode=mode, target_group=True)
    arn = service.tasks[0].arn
    (binding,) = container_of(bench, arn)["networkBindings"]
    assert (binding["hostPort"], binding["containerPort"]) == (port, 8080)
    assert (instance_of(bench, arn)["ec2InstanceId"], port) in targets(bench)
    assert network_mode(bench) == "bridge"


def test_a_task_without_ipv4_is_known_by_its_ipv6_address(bench: Bench) -> None:
    service = bench.furnish(ip_family="ipv6", target_group=True)
    (interface,) = container_of(bench, service.tasks[0].arn)["networkInterfaces"]
    assert "privateIpv4Address" not in interface
    assert (interface["ipv6Address"], 8080) in targets(bench)
    (group,) = bench.elbv2.describe_target_groups()["TargetGroups"]
    assert (group["TargetType"], group["IpAddressType"]) == ("ip", "ipv6")
    (attachment,) = bench.task(service.tasks[0].arn)["attachments"]
    assert {"name": "ipv6Address", "value": interface["ipv6Address"]} in attachment["details"]


@pytest.mark.parametrize("kind, member", [("ipv4", "privateIpv4Address"), ("ipv6", "ipv6Address")])
def test_the_group_decides_by_which_address_a_dual_stack_task_is_known(
    bench: Bench, kind: str, member: str
) -> None:
    service = bench.furnish(ip_family="dual-stack", target_ip_address_type=kind, target_group=True)
    interfaces = [container_of(bench, t.arn)["networkInterfaces"][0] for t in service.tasks]
    assert all(each.keys() >= {"privateIpv4Address", "ipv6Address"} for each in interfaces)
    assert targets(bench) == {(each[member], 8080) for each in interfaces}
    (group,) = bench.elbv2.describe_target_groups()["TargetGroups"]
    assert group["IpAddressType"] == kind


def test_a_task_may_have_attachments_beside_the_interface_it_is_known_by(bench: Bench) -> None:
    extra = ("elb", "ElasticNetworkInterface")
    service = bench.furnish(extra_attachments=extra, target_group=True)
    arn = service.tasks[0].arn
    kinds = [each["type"] for each in bench.task(arn)["attachments"]]
    assert kinds == [*extra, "ElasticNetworkInterface"]
    addresses = [
        each["privateIpv4Address"] for each in container_of(bench, arn)["networkInterfaces"]
    ]
    assert [(address, 8080) in targets(bench) for address in addresses] == [False, True]


def test_an_external_instance_has_a_managed_instances_id(bench: Bench) -> None:
    service = bench.furnish(network_mode="bridge", launch_type="EXTERNAL")
    assert instance_of(bench, service.tasks[0].arn)["ec2InstanceId"].startswith("mi-")
    assert (
        bench.service()["launchType"]
        == bench.task(service.tasks[0].arn)["launchType"]
        == "EXTERNAL"
    )
    bench.stop(service.tasks[0].arn)
    bench.sleep(60)
    assert service.in_service_count == 3


def test_an_instance_may_show_no_ec2_instance_id(bench: Bench) -> None:
    service = bench.furnish(network_mode="bridge", launch_type="EXTERNAL", instance_ids=False)
    assert "ec2InstanceId" not in instance_of(bench, service.tasks[0].arn)


@pytest.mark.parametrize("network_mode", ["awsvpc", "host"])
def test_managed_instances_are_told_by_a_capacity_provider_and_the_tasks_launch_type(
    bench: Bench, network_mode: str
) -> None:
    service = bench.furnish(
        network_mode=network_mode, launch_type="MANAGED_INSTANCES", target_group=True
    )
    arn = service.tasks[0].arn
    described = (bench.service(), bench.service()["deployments"][0])
    for each in described:
        assert each["capacityProviderStrategy"][0]["capacityProvider"] == "managed"
        assert "launchType" not in each
    assert bench.task(arn)["launchType"] == "MANAGED_INSTANCES"
    assert bench.task(arn)["capacityProviderName"] == "managed"
    assert instance_of(bench, arn)["ec2InstanceId"].startswith("i-")


def test_external_services_have_no_load_balancers(bench: Bench) -> None:
    with pytest.raises(EmulatorError, match="no load balancers"):
        bench.furnish(network_mode="bridge", launch_type="EXTERNAL", target_group=True)
