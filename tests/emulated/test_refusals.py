"""What cannot be done safely is refused in a sentence, before anything is touched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ecs_emulator import World
from ecs_task_recycle.errors import PreconditionError
from tests.emulated.bench import a_service, autoscaled, capacity

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.emulated.bench import Bench

EVERY_ACTION = [
    "ecs:DescribeServices",
    "ecs:ListTasks",
    "ecs:DescribeTasks",
    "ecs:StopTask",
    "ecs:UpdateService",
    "elasticloadbalancing:DescribeTargetHealth",
    "application-autoscaling:DescribeScalableTargets",
    "application-autoscaling:RegisterScalableTarget",
    "dynamodb:GetItem",
    "dynamodb:UpdateItem",
]


def refused(bench: Bench, world: World, **event: Any) -> str:  # noqa: ANN401 - what users send
    """Run, and return the sentence of the refusal that is expected."""
    report = bench.recycle(world, **event)
    assert isinstance(report.error, PreconditionError), report.answer()
    assert "Nothing was touched" in str(report.error)
    assert world.writes == []
    return str(report.error)


def daemon(world: World) -> None:
    a_service(world, scheduling_strategy="DAEMON", target_group=False)


def code_deploy(world: World) -> None:
    a_service(world, controller="CODE_DEPLOY")


def external(world: World) -> None:
    a_service(world, controller="EXTERNAL")


def in_progress(world: World) -> None:
    a_service(world)
    world.start_deployment("demo", "web")


def failed_deployment(world: World) -> None:
    a_service(world, rollout_state="FAILED")


def draining(world: World) -> None:
    a_service(world)
    world.delete_service("demo", "web")


def above_maximum(world: World) -> None:
    a_service(world)
    autoscaled(world, 1, 5)
    world.advance(20)  # until autoscaling has looked at the count for the last time
    world.set_desired_count("demo", "web", 7)


@pytest.mark.parametrize(
    "build, words",
    [
        (daemon, "DAEMON"),
        (code_deploy, "CODE_DEPLOY"),
        (external, "EXTERNAL"),
        (in_progress, "deployment"),
        (failed_deployment, "FAILED"),
        (draining, "not ACTIVE"),
        (above_maximum, "desired count 7 is above the autoscaling maximum 5"),
    ],
)
def test_a_service_that_cannot_be_recycled_safely_is_refused(
    bench: Bench, build: Callable[[World], None], words: str
) -> None:
    world = World()
    build(world)
    world.advance(2)

    assert words in refused(bench, world)


def test_a_service_that_is_not_there_is_named(bench: Bench) -> None:
    world = World()
    world.create_cluster("demo")

    assert "no service nothing in a cluster demo" in refused(bench, world, service_name="nothing")


@pytest.mark.parametrize("action", ["recycle", "restore"])
@pytest.mark.parametrize(
    "named",
    [
        {"cluster_name": "arn:aws:ecs:us-east-1:210987654321:cluster/demo"},
        {"service_name": "arn:aws:ecs:us-east-1:210987654321:service/demo/web"},
    ],
    ids=["cluster", "service"],
)
def test_a_service_of_another_account_is_not_the_one_of_that_name_in_ours(
    bench: Bench, named: dict[str, str], action: str
) -> None:
    world = World()
    a_service(world)

    expected = "demo/web lies in account 123456789012, the event names 210987654321"
    assert expected in refused(bench, world, action=action, **named)


def test_a_service_that_is_named_by_its_own_arn_is_recycled(bench: Bench) -> None:
    world = World()
    a_service(world)

    report = bench.recycle(
        world, service_name="arn:aws:ecs:us-east-1:123456789012:service/demo/web", dry_run=True
    )

    assert report.error is None


def test_a_cluster_that_is_not_there_is_named(bench: Bench) -> None:
    world = World()
    a_service(world)

    assert "in a cluster nowhere" in refused(bench, world, cluster_name="nowhere")


@pytest.mark.parametrize("action", EVERY_ACTION)
def test_each_missing_permission_is_named_before_anything_is_touched(
    bench: Bench, action: str
) -> None:
    world = World()
    a_service(world)
    autoscaled(world, 1, 5)
    world.faults.deny(action)

    assert action in refused(bench, world)


def test_all_missing_permissions_are_named_at_once_with_the_statement_to_add(bench: Bench) -> None:
    world = World()
    a_service(world)
    autoscaled(world, 1, 5)
    for action in EVERY_ACTION[1:]:
        world.faults.deny(action)

    sentence = refused(bench, world)

    assert [action for action in EVERY_ACTION[1:] if f'"{action}"' not in sentence] == []


WIDER = "AutoscalingRights=wide"


@pytest.mark.parametrize(
    "action, is_autoscalings", [("cloudwatch:PutMetricAlarm", True), ("ecs:StopTask", False)]
)
def test_what_autoscaling_finds_missing_alone_names_the_parameter_that_widens_the_role(
    bench: Bench, *, action: str, is_autoscalings: bool
) -> None:
    world = World()
    a_service(world)
    autoscaled(world, 1, 5)
    world.faults.deny(action)

    error = bench.recycle(world, dry_run=True).error

    assert isinstance(error, PreconditionError)
    assert error.facts["lacking_actions"] == [action]
    assert (WIDER in error.remedy) == is_autoscalings


@pytest.mark.parametrize("nth", [2, 3], ids=["raising", "putting back"])
def test_it_is_named_also_where_autoscaling_tries_only_when_the_limits_are_written(
    bench: Bench, nth: int
) -> None:
    world = World()
    a_service(world)
    autoscaled(world, 1, 5)
    world.faults.fail(
        "RegisterScalableTarget",
        nth=nth,
        times=None,
        code="ValidationException",
        message="User is missing the following permissions: [ecs:UpdateService]",
    )

    error = bench.recycle(world, wait_time=0).error

    assert error is not None
    assert "ecs:UpdateService" in str(error)
    assert WIDER in str(error)
    assert capacity(world)[0] == 3


def test_a_dry_run_refuses_what_the_run_would_refuse(bench: Bench) -> None:
    world = World()
    a_service(world)
    world.faults.deny("ecs:StopTask")

    assert "ecs:StopTask" in refused(bench, world, dry_run=True)


def test_without_the_surge_no_right_to_raise_is_needed(bench: Bench) -> None:
    world = World()
    a_service(world)
    autoscaled(world, 1, 5)
    world.faults.deny("ecs:UpdateService", "application-autoscaling:RegisterScalableTarget")

    report = bench.recycle(world, maintain_service_state=False)

    assert report.error is None
