"""Over HTTP: boto3, the AWS CLI, the command line, hanging up, the history."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError

from ecs_emulator import Knobs, WallClock, World
from ecs_emulator.wire.server import serve

PROJECT = Path(__file__).parents[2]
CLI = Path(sys.executable).with_name("aws")
ONCE = Config(retries={"mode": "standard", "total_max_attempts": 1})


@pytest.fixture
def world() -> World:
    """Return a world 200 times as fast as life, with the service demo/web."""
    made = World(knobs=Knobs(staleness=0, latency=0), clock=WallClock(speed=200))
    made.create_service(cluster="demo", name="web", target_group=True)
    return made


@pytest.mark.slow
@pytest.mark.local_socket
def test_a_client_stops_a_task_and_sees_it_replaced(world: World) -> None:
    with serve(world) as url:
        ecs = boto3.client("ecs", endpoint_url=url, config=ONCE)
        elbv2 = boto3.client("elbv2", endpoint_url=url, config=ONCE)
        arn = ecs.list_tasks(cluster="demo", serviceName="web")["taskArns"][0]
        ecs.stop_task(cluster="demo", task=arn)
        world.clock.sleep(200)
        listed = ecs.list_tasks(cluster="demo", serviceName="web")["taskArns"]
        states = elbv2.describe_target_health(
            TargetGroupArn=world.services[0].target_groups[0].arn
        )["TargetHealthDescriptions"]
        with pytest.raises(ClientError, match="not emulated"):
            ecs.create_cluster()
    assert arn not in listed
    assert len(listed) == 3
    assert [each["TargetHealth"]["State"] for each in states] == ["healthy"] * 3


@pytest.mark.local_socket
def test_the_history_can_be_fetched(world: World) -> None:
    with serve(world) as url:
        boto3.client("ecs", endpoint_url=url).list_clusters()
        with urllib.request.urlopen(f"{url}/_emulator/history") as answer:  # noqa: S310
            history = json.load(answer)
    (service,) = history["services"]
    assert [len(task["states"]) for task in service["tasks"]] == [1, 1, 1]
    assert service["in_service"][0]["count"] == 3
    assert [call["operation"] for call in history["calls"]] == ["ListClusters"]


@pytest.mark.local_socket
def test_a_killed_caller_is_hung_up_on(world: World) -> None:
    world.kill_at_call(1)
    with serve(world) as url, pytest.raises(ConnectionClosedError):
        boto3.client("ecs", endpoint_url=url, config=ONCE).list_clusters()
    assert world.calls == []


@pytest.mark.local_socket
def test_many_clients_at_once_are_served_one_after_the_other(world: World) -> None:
    with serve(world) as url:
        client = boto3.client("ecs", endpoint_url=url, config=ONCE)
        threads = [threading.Thread(target=client.list_clusters) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [call.number for call in world.calls] == list(range(1, 21))


@pytest.mark.e2e
def test_the_command_line_serves_the_aws_cli_until_it_is_terminated() -> None:
    command = [sys.executable, "-m", "ecs_emulator", "--tasks", "2", "--target-group"]
    command += ["--autoscaling", "2:4", "--speed", "100", "--knob", "staleness=0"]
    with subprocess.Popen(  # noqa: S603  our own command
        command, cwd=PROJECT, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            url = json.loads(process.stdout.readline())["endpoint_url"]
            listed = aws(url, "ecs", "list-tasks", "--cluster", "demo", "--service-name", "web")
            task = listed["taskArns"][0]
            stopped = aws(url, "ecs", "stop-task", "--cluster", "demo", "--task", task)
            targets = aws(
                url,
                "application-autoscaling",
                "describe-scalable-targets",
                "--service-namespace",
                "ecs",
            )
        finally:
            process.send_signal(signal.SIGTERM)
    assert process.returncode == 0
    assert url.startswith("http://127.0.0.1:")
    assert stopped["task"]["desiredStatus"] == "STOPPED"
    assert targets["ScalableTargets"][0]["MaxCapacity"] == 4


def aws(url: str, *arguments: str) -> Any:  # noqa: ANN401  as the command has it
    command = [str(CLI), *arguments, "--endpoint-url", url, "--output", "json"]
    done = subprocess.run(  # noqa: S603  likewise
        command, capture_output=True, text=True, check=True, env=os.environ
    )
    return json.loads(done.stdout)
