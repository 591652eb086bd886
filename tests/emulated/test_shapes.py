"""Services of every shape run to their right end: recycled, or refused before any write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ecs_emulator import Knobs, World
from ecs_task_recycle.errors import PreconditionError
from ecs_task_recycle.outcome import Status
from tests.emulated.bench import SURGE, a_service, stopped_by_us

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.emulated.bench import Bench


REACHED: list[dict[str, Any]] = [
    {"network_mode": "host"},
    {"network_mode": "bridge"},
    {"network_mode": "bridge-static"},
    {"ip_family": "ipv6"},
    {"ip_family": "dual-stack"},
    {"ip_family": "dual-stack", "target_ip_address_type": "ipv6"},
    {"extra_attachments": ("elb", "ElasticNetworkInterface")},
    {"launch_type": "MANAGED_INSTANCES"},
    {"launch_type": "MANAGED_INSTANCES", "network_mode": "host"},
    {"network_mode": "bridge", "launch_type": "EXTERNAL", "target_group": False},
    {
        "network_mode": "bridge",
        "launch_type": "EXTERNAL",
        "target_group": False,
        "instance_ids": False,
    },
]


def refused(bench: Bench, world: World, *, surge: bool) -> str:
    """Run, and return the sentence of the refusal that is expected before any write."""
    report = bench.recycle(world, maintain_service_state=surge)
    assert isinstance(report.error, PreconditionError), report.answer()
    assert world.writes == []
    return str(report.error)


@SURGE
@pytest.mark.parametrize("shape", REACHED, ids=str)
def test_tasks_are_found_wherever_their_target_group_reaches_them(
    bench: Bench, shape: dict[str, Any], *, surge: bool
) -> None:
    world = World()
    service = a_service(world, **shape)
    originals = {task.arn for task in service.active_tasks}

    report = bench.recycle(world, maintain_service_state=surge)

    assert report.status is Status.COMPLETED, report.answer()
    assert stopped_by_us(service) >= originals
    assert world.lowest_in_service() >= (3 if surge else 2)


@SURGE
def test_targets_on_instances_without_an_ec2_id_are_refused(bench: Bench, *, surge: bool) -> None:
    world = World()
    a_service(world, network_mode="bridge", instance_ids=False)

    assert "without an EC2 instance id (ECS Anywhere)" in refused(bench, world, surge=surge)


@SURGE
@pytest.mark.parametrize(
    "ingress, words",
    [
        ({"classic_load_balancer": "old"}, "behind a Classic Load Balancer (old)"),
        ({"vpc_lattice": True}, "behind VPC Lattice"),
    ],
)
def test_an_ingress_whose_health_is_not_read_is_refused(
    bench: Bench, ingress: dict[str, Any], words: str, *, surge: bool
) -> None:
    world = World()
    a_service(world, target_group=False, **ingress)

    assert f"{words}, whose health is not read" in refused(bench, world, surge=surge)


def no_listener(world: World) -> None:
    a_service(world)
    world.take_group_out_of_use("demo", "web")


def zone_not_enabled(world: World) -> None:
    a_service(world)
    world.disable_zone("demo", "web", "us-east-1a")


def no_health_checks(world: World) -> None:
    a_service(world)
    world.disable_health_checks("demo", "web")


def nobody_registers(world: World) -> None:
    a_service(world, registers_targets=False)


@SURGE
@pytest.mark.parametrize(
    "build, words",
    [
        (no_listener, "3 of its 3 targets in demo-web-1"),
        (no_listener, "unused (Target.NotInUse): Target group is not configured"),
        (zone_not_enabled, "unused (Target.NotInUse): Target is in an Availability Zone"),
        (no_health_checks, "unavailable (Target.HealthCheckDisabled)"),
        (nobody_registers, "none of its 3 running tasks is registered in target group demo-web-1"),
    ],
)
def test_a_service_no_task_can_come_into_is_refused_with_awss_reason(
    bench: Bench, build: Callable[[World], None], words: str, *, surge: bool
) -> None:
    world = World()
    build(world)

    assert words in refused(bench, world, surge=surge)


@SURGE
def test_a_zonal_shift_is_named_and_the_service_recycled(bench: Bench, *, surge: bool) -> None:
    world = World()
    a_service(world)
    world.shift_zone("demo", "web", "us-east-1a")

    answer = bench.recycle(world, maintain_service_state=surge).answer().as_json()

    assert answer["status"] == "completed"
    assert "A zonal shift (zonal_shift_active) keeps traffic from 1" in answer["remarks"][0]


@SURGE
def test_targets_of_others_do_not_matter(bench: Bench, *, surge: bool) -> None:
    world = World()
    a_service(world)
    world.register_foreign_target("demo", "web", "10.9.9.9", state="unhealthy")

    assert bench.recycle(world, maintain_service_state=surge).status is Status.COMPLETED


@pytest.mark.parametrize("staleness", [0.0, 10.0])
@pytest.mark.parametrize("mode", ["host", "bridge-static"])
def test_a_target_that_was_another_tasks_is_not_taken_for_healthy(
    bench: Bench, mode: str, staleness: float
) -> None:
    knobs = Knobs(
        scheduler_interval=0.5,
        provisioning=0.2,
        pending=0.5,
        activating=0.2,
        target_health_delay=20.0,
        drain=0.0,
        stop_time=0.5,
        deprovision=0.2,
        staleness=staleness,
    )
    world = World(knobs=knobs)
    a_service(world, network_mode=mode, instances=4)
    world.advance(20)

    report = bench.recycle(world, wait_time=0)

    assert report.status is Status.COMPLETED
    assert min(report.progress.seconds_to_replace) > 20
    assert world.lowest_in_service() == 3
