"""The README's commands, run as they stand by the real AWS CLI on a deployed stack."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

import boto3
import pytest

from demo.deployed import SPEED, Stage, set_stage
from demo.process import becomes_true
from demo.stage import add_service, capacity, emulated_ecs
from ecs_emulator.neighbours.tables import RUNS_TABLE
from tests.docs.commands import aws_commands
from tests.docs.pages import README, guide

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(sys.platform != "linux", reason="the Lambda emulator runs on Linux only"),
]

CLUSTER: Final = "my-cluster"
SERVICE: Final = "my-service"
ENDS_WITHIN_SECONDS: Final = 120.0
DEPLOYMENTS: Final = [
    line.partition("#")[0].strip()
    for line in README.splitlines()
    if line.startswith("./cloudformation_deploy.sh")
]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """The local AWS with the service that the README names."""
    with ExitStack() as running:
        world = emulated_ecs(speed=SPEED)
        add_service(world, SERVICE, 1, cluster=CLUSTER)
        yield set_stage(running, tmp_path, world=world)


def commands(stage: Stage, operation: str, **more: str) -> list[list[str]]:
    """Return the README's commands of an operation, with what a user puts in."""
    account = str(stage.cloud.client("sts").get_caller_identity()["Account"])
    found = aws_commands(
        README + guide("operations"), {"REGION": "us-east-1", "ACCOUNT_ID": account}
    )
    fitting = [each for each in found if " ".join(each[:2]) == operation]
    assert fitting, operation
    return [[filled(word, more) for word in words] for words in fitting]


def filled(word: str, more: dict[str, str]) -> str:
    for old, new in more.items():
        word = word.replace(old, new)
    return word


def typed(stage: Stage, words: list[str]) -> Any:  # noqa: ANN401 - what the CLI prints
    """Run a command; return what it prints, read as JSON where it is."""
    done = stage.type("aws", *words)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if done.stdout.startswith("{") else done.stdout


def outcome_of_next_run(stage: Stage, start: Callable[[], object]) -> dict[str, Any]:
    """Start a run; return its record once it has ended, as the page's command shows it."""
    table = boto3.resource("dynamodb", endpoint_url=stage.cloud.url).Table(RUNS_TABLE)

    def record() -> dict[str, Any]:
        key = {"service": f"{CLUSTER}/{SERVICE}"}
        item: dict[str, Any] = table.get_item(Key=key).get("Item", {})
        return item

    before = record().get("run_id")
    start()
    ended = becomes_true(
        lambda: record().get("run_id") != before and record()["state"] == "ended",
        within_seconds=ENDS_WITHIN_SECONDS,
        every_seconds=0.25,
    )
    assert ended, record()
    (get_item,) = commands(stage, "dynamodb get-item")
    item: dict[str, Any] = typed(stage, get_item)["Item"]
    return item


def test_what_the_readme_tells_to_type_does_what_it_says(stage: Stage) -> None:
    assert len(DEPLOYMENTS) == 3
    assert stage.type(DEPLOYMENTS[0]).returncode == 0
    found = capacity(stage.world, SERVICE, cluster=CLUSTER)
    first, synchronous = commands(stage, "lambda invoke")

    ended = outcome_of_next_run(stage, lambda: typed(stage, first))
    assert (ended["state"]["S"], ended["status"]["S"]) == ("ended", "completed")

    answer = typed(stage, synchronous)
    body = json.loads(json.loads((stage.tree / "response.json").read_text())["body"])
    assert answer["StatusCode"] == 200
    assert "FunctionError" not in answer
    assert (body["status"], body["tasks_recycled"]) == ("completed", 1)

    (log,) = commands(stage, "logs filter-log-events")
    assert "Task recycle completed successfully" in typed(stage, log)
    assert capacity(stage.world, SERVICE, cluster=CLUSTER) == found


def test_the_execution_that_the_readme_finds_can_be_stopped(stage: Stage) -> None:
    assert stage.type(DEPLOYMENTS[0]).returncode == 0
    (find,) = commands(stage, "stepfunctions list-executions")
    invoke = [*commands(stage, "lambda invoke")[0]]
    payload = invoke.index("--payload") + 1
    invoke[payload] = invoke[payload].replace("}", ',"wait_time":300}')

    def running() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = typed(stage, find)["executions"]
        return found

    typed(stage, invoke)
    began = becomes_true(
        lambda: bool(running()), within_seconds=ENDS_WITHIN_SECONDS, every_seconds=1.0
    )
    assert began
    (execution,) = running()
    (stop,) = commands(stage, "stepfunctions stop-execution", RUN_ID=execution["name"])
    typed(stage, stop)

    # Another execution restores the capacity.
    assert execution["name"] not in {each["name"] for each in running()}
