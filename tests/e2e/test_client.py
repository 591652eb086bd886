"""The client as a process of its own, by a person at a keyboard and by a workflow of GitHub's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml  # type: ignore[import-untyped]

from AWSSession import get_aws_session
from demo.deployed import SPEED
from demo.stage import CLUSTER, PROJECT, clock_of, emulated_ecs
from ecs_emulator.wire.in_process import Switchboard
from ecs_task_recycle.settings.input_json import AwsCredentials
from tests.client.cloud import FUNCTION, Cloud
from tests.emulated.bench import OneSetOfClients, record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.e2e

CLIENT: Final = (sys.executable, "-m", "ecs_task_recycle_client")
ACTION: Final = yaml.safe_load((PROJECT / "action.yml").read_text())


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """A cloud by a quick clock, which the client has, too."""
    world = emulated_ecs("web", speed=SPEED)
    for name, text in clock_of(world).items():
        monkeypatch.setenv(name, text)
    session = get_aws_session(AwsCredentials(region_name="us-east-1"))
    session.events.register_first("before-send", Switchboard(world).answer)
    with Cloud(world, OneSetOfClients(session), monkeypatch) as made:
        made.turns.desert()
        monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", made.url)
        monkeypatch.setenv("ECS_TASK_RECYCLE_FUNCTION", FUNCTION)
        yield made


def test_ctrl_c_ends_the_process_and_not_the_run(cloud: Cloud) -> None:
    has_ended = threading.Event()
    cloud.world.after_call("StopTask", 1, lambda _: cloud.turns.hold(has_ended))
    words = (*CLIENT, "run", CLUSTER, "web", "--wait-time", "0")
    with subprocess.Popen(
        words,
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        text=True,
        # Tests that run in the background of a script would hand down that they ignore it.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    ) as process:
        assert process.stdout is not None
        first = next(line for line in process.stdout if line.startswith("Recycling task"))
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()

    is_recycled = record(cloud.world)["state"] == "ended"
    has_ended.set()
    cloud.turns.await_run()
    assert "1/3: " in first
    assert not is_recycled
    assert process.returncode == 130
    assert "Interrupted. The run goes on without this command.\n" in rest
    assert "ecs-task-recycle stop demo web\n" in rest
    assert record(cloud.world)["status"] == "completed"


def script() -> tuple[str, dict[str, str]]:
    """Return what the action runs, and the variables that it sets, by the names of inputs."""
    (step,) = [each for each in ACTION["runs"]["steps"] if "run" in each]
    given: dict[str, str] = step["env"]
    return step["run"], given


def test_the_action_recycles_a_service(cloud: Cloud, tmp_path: Path) -> None:
    for name, text in {"pip": "true", "ecs-task-recycle": f'{" ".join(CLIENT)} "$@"'}.items():
        command = tmp_path / name
        command.write_text(f"#!/bin/sh\n{text}\n")
        command.chmod(0o755)
    inputs = {
        "cluster": CLUSTER,
        "service": "web",
        "function": FUNCTION,
        "options": "--wait-time 0",
    }
    run, variables = script()
    given = {name: filled(text, inputs) for name, text in variables.items()}
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"

    done = subprocess.run(
        ("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", run),
        cwd=PROJECT,
        env={**os.environ, **given, "PATH": path, "GITHUB_ACTION_PATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "demo/web: completed. 3 tasks recycled" in done.stdout
    assert [each.event["wait_time"] for each in cloud.invocations if each.runs] == [0]


def filled(text: str, inputs: dict[str, str]) -> str:
    """Put inputs into an expression, as GitHub does."""
    return inputs[text.removeprefix("${{ inputs.").removesuffix(" }}")]


def test_the_action_puts_no_input_into_the_shell_s_words() -> None:
    """Whoever can choose an input must not choose commands."""
    run, _ = script()
    steps: list[dict[str, Any]] = ACTION["runs"]["steps"]
    assert "${{" not in run
    assert [step.get("shell") for step in steps if "run" in step] == ["bash"]
