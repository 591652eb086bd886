"""One set of real boto3 clients, and a fresh world behind it for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config

from ecs_emulator import Knobs, World
from ecs_emulator.wire.in_process import Switchboard, attach, virtual_sleep

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_application_autoscaling import ApplicationAutoScalingClient
    from mypy_boto3_ecs import ECSClient
    from mypy_boto3_elbv2 import ElasticLoadBalancingv2Client
    from mypy_boto3_sts import STSClient

    from ecs_emulator.state.model import Service

CALM = Knobs(
    scheduler_interval=2,
    replaces_after_stopped=False,
    provisioning=5,
    pending=10,
    activating=1,
    target_health_delay=15,
    stop_reaction=1,
    drain=30,
    stop_time=3,
    deprovision=6,
    staleness=0,
    latency=0,
    aas_lag=2,
    aas_conflict=None,
)
"""A world without chance or delay in its answers."""


class Bench:
    """Clients of a made-up account, and the world that answers them."""

    def __init__(self, session: boto3.Session, board: Switchboard) -> None:
        config = Config(retries={"mode": "standard", "total_max_attempts": 3})
        self.session = session
        self.board = board
        self.ecs: ECSClient = session.client("ecs", config=config)
        self.elbv2: ElasticLoadBalancingv2Client = session.client("elbv2", config=config)
        self.sts: STSClient = session.client("sts", config=config)
        self.autoscaling: ApplicationAutoScalingClient = session.client(
            "application-autoscaling", config=config
        )

    @property
    def world(self) -> World:
        return self.board.world

    def furnish(self, knobs: Knobs = CALM, seed: int = 0, **options: Any) -> Service:  # noqa: ANN401  create_service's
        """Put a fresh world behind the clients, with the service demo/web in it."""
        self.board.world = World(knobs=knobs, seed=seed)
        options = {"cluster": "demo", "name": "web", **options}
        return self.board.world.create_service(**options)

    def sleep(self, seconds: float) -> None:
        self.board.sleep(seconds)

    def stop(self, task_arn: str) -> dict[str, Any]:
        return dict(self.ecs.stop_task(cluster="demo", task=task_arn)["task"])

    def service(self) -> dict[str, Any]:
        (found,) = self.ecs.describe_services(cluster="demo", services=["web"])["services"]
        return dict(found)

    def messages(self) -> list[str]:
        return [event["message"] for event in self.service()["events"]]

    def task(self, task_arn: str) -> dict[str, Any]:
        (found,) = self.ecs.describe_tasks(cluster="demo", tasks=[task_arn])["tasks"]
        return dict(found)

    def listed(self, **filters: Any) -> list[str]:  # noqa: ANN401  ListTasks' own
        return self.ecs.list_tasks(cluster="demo", serviceName="web", **filters)["taskArns"]

    def target_states(self, group_arn: str) -> dict[str, str]:
        found = self.elbv2.describe_target_health(TargetGroupArn=group_arn)
        return {
            each["Target"]["Id"]: each["TargetHealth"]["State"]
            for each in found["TargetHealthDescriptions"]
        }


@pytest.fixture(scope="session")
def _bench() -> Bench:
    # Attached only while the session is made: sessions that other tests make are not to be caught.
    with attach(World()) as board:
        return Bench(boto3.Session(), board)


@pytest.fixture
def bench(_bench: Bench) -> Iterator[Bench]:
    """Yield the clients, with a world of which nothing is left from other tests."""
    _bench.furnish()
    with virtual_sleep(_bench.board):
        yield _bench


@pytest.fixture
def calm() -> Knobs:
    """Return the knobs of a world without chance."""
    return CALM
