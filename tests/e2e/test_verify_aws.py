"""`make verify-aws` from end to end: MiniStack and the emulator stand for the account.

Real: both stacks, the zip, the processes, the kill, the guardian, the load, the page, the deletion.
Not as in AWS: the services of the stack are MiniStack's, those that are recycled the emulator's, of
the same names; there is no load balancer but a small server; and the record of the killed run is
taken for dead at once.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import boto3
import pytest

from demo.deployed import Stage, set_stage
from demo.process import becomes_true, environment_in, processes_of_session
from demo.stage import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ecs_emulator import World

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc"),
]

NAME: Final = "verify"
SERVICES: Final = ("plain", "balanced")
# The state machine's pauses: 4 minutes take 5 seconds.
WAIT_SCALE: Final = "0.02"
BAD_SECONDS: Final = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What came of it."""

    status: int
    said: str
    page: str
    stage: Stage


def account_of(running: ExitStack, folder: Path) -> Stage:
    """Start what stands for an account."""
    stage = set_stage(running, folder, SFN_WAIT_SCALE=WAIT_SCALE)
    for name in SERVICES:
        stage.world.create_service(
            cluster=NAME, name=name, desired_count=3, target_group=name == "balanced"
        )
    return stage


def command(stage: Stage, *arguments: str) -> list[str]:
    ec2 = stage.cloud.client("ec2")
    subnets = ec2.describe_subnets()["Subnets"][:2]
    network = ("--vpc", subnets[0]["VpcId"], "--subnets")
    ids = ",".join(each["SubnetId"] for each in subnets)
    client = ("--client-cidr", "127.0.0.1/32")
    return [sys.executable, "-m", "verify_aws", "--name", NAME, *network, ids, *client, *arguments]


@contextmanager
def verification(stage: Stage, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    environment = {**environment_in(stage.tree.parent), **stage.function_environment}
    with subprocess.Popen(
        command(stage, *arguments),
        env=environment,
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def load_balancer(world: World) -> Iterator[str]:
    """A server that answers 502 for a moment after each StopTask."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            balanced = {task.arn for task in world.service(NAME, "balanced").tasks}
            calls = [call for call in world.calls_of("StopTask") if call.wrote]
            stops = [call.at for call in calls if call.parameters["task"] in balanced]
            is_bad = bool(stops) and world.clock.now() - stops[-1] < BAD_SECONDS
            self.send_response(502 if is_bad else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def start_afresh(stage: Stage, line: str) -> None:
    """End the idle process of the function: MiniStack takes ten seconds for that by itself."""
    if line.rstrip().endswith("plain: kill and heal ..."):
        mark = f"AWS_LAMBDA_FUNCTION_NAME={NAME}".encode()
        for process_id in processes_of_session(stage.cloud.process.pid):
            with suppress(FileNotFoundError, ProcessLookupError):
                if mark in Path(f"/proc/{process_id}/environ").read_bytes().split(b"\0"):
                    os.kill(process_id, signal.SIGKILL)


def let_dead_runs_be_dead(stage: Stage, line: str) -> None:
    """Let the record take a killed invocation for dead at once, not 30 s after its limit."""
    if found := re.search(r"(\w+): the function was killed", line):
        table = boto3.resource("dynamodb", endpoint_url=stage.cloud.url).Table(NAME)
        table.update_item(
            Key={"service": f"{NAME}/{found[1]}"},
            UpdateExpression="SET owner_dead_at = run_started_at",
        )


def stacks_of(stage: Stage) -> list[str]:
    found = stage.cloud.client("cloudformation").describe_stacks()["Stacks"]
    return [each["StackName"] for each in found if each["StackStatus"] != "DELETE_COMPLETE"]


@pytest.fixture(scope="module")
def verified(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Verified]:
    """Verify once."""
    folder = tmp_path_factory.mktemp("verify")
    with ExitStack() as running:
        stage = account_of(running, folder)
        url = running.enter_context(load_balancer(stage.world))
        path = folder / "page.md"
        said: list[str] = []
        options = ("--yes", "--url", url, "--page", str(path))
        with verification(stage, *options) as process:
            assert process.stdout is not None
            for line in process.stdout:
                said.append(line)
                print(line, end="", flush=True)
                start_afresh(stage, line)
                let_dead_runs_be_dead(stage, line)
            status = process.wait()
        yield Verified(status=status, said="".join(said), page=path.read_text(), stage=stage)


def test_it_ends_well(verified: Verified) -> None:
    print(verified.page)
    assert verified.status == 0, verified.said
