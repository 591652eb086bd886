"""The Lambda runtime: killed at its timeout, on 127.0.0.1 alone, never left running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from textwrap import dedent

import pytest

from demo.lambda_runtime import LambdaRuntime
from demo.process import DemoError, becomes_true, processes_of_session

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(sys.platform != "linux", reason="the Lambda emulator runs on Linux only"),
]

FUNCTION = """
    import os, subprocess, time

    def lambda_handler(event, context):
        if "raise" in event:
            raise ValueError(event["raise"])
        if "child" in event:
            subprocess.Popen(["sleep", str(event["child"])])
        time.sleep(event.get("sleep", 0))
        return {"event": event, "environment": dict(os.environ)}
"""
OWNER = """
    import sys, time
    from pathlib import Path
    from demo.lambda_runtime import LambdaRuntime
    with LambdaRuntime(Path(sys.argv[1]), environment={}) as runtime:
        print(runtime.process.pid, flush=True)
        time.sleep(60)
"""


@pytest.fixture
def function_zip(tmp_path: Path) -> Path:
    path = tmp_path / "function.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("lambda_function.py", dedent(FUNCTION))
    return path


def test_it_answers_as_lambda_does_and_kills_at_the_timeout(
    function_zip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OF_THE_MACHINE", "1")
    with LambdaRuntime(function_zip, environment={"GIVEN": "1"}, timeout_seconds=2) as runtime:
        answer = runtime.invoke({"a": [None]})
        assert answer["event"] == {"a": [None]}
        assert answer["environment"].keys() >= {"GIVEN", "AWS_LAMBDA_FUNCTION_NAME"}
        assert "OF_THE_MACHINE" not in answer["environment"]
        error = runtime.invoke({"raise": "no such thing"})
        assert (error["errorType"], error["errorMessage"]) == ("ValueError", "no such thing")
        assert runtime.invoke({"sleep": 60})["errorType"] == "Sandbox.Timedout"
        assert runtime.invoke({"again": 2})["event"] == {"again": 2}


def test_it_listens_on_127_0_0_1_alone(function_zip: Path) -> None:
    with LambdaRuntime(function_zip, environment={}) as runtime:
        runtime.invoke({})
        listening = _listening_addresses_of(processes_of_session(runtime.process.pid))
    assert len(listening) == 2
    assert {address.split(":")[0] for address in listening} == {"0100007F"}


@pytest.mark.parametrize("is_supervisor_killed", [False, True])
def test_nothing_is_left_running_even_what_the_function_started(
    function_zip: Path, *, is_supervisor_killed: bool
) -> None:
    with LambdaRuntime(function_zip, environment={}) as runtime:
        runtime.invoke({"child": 60})
        assert len(processes_of_session(runtime.process.pid)) >= 4
        if is_supervisor_killed:
            os.kill(runtime.process.pid, signal.SIGKILL)
    assert not processes_of_session(runtime.process.pid)


def test_nothing_is_left_running_when_the_owner_is_killed(function_zip: Path) -> None:
    command = [sys.executable, "-c", dedent(OWNER), str(function_zip)]
    project = Path(__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=project) as owner:
        assert owner.stdout
        session_id = int(owner.stdout.readline())
        assert len(processes_of_session(session_id)) >= 2
        owner.kill()
    assert becomes_true(lambda: not processes_of_session(session_id), within_seconds=10)


def test_a_missing_emulator_is_named(monkeypatch: pytest.MonkeyPatch, function_zip: Path) -> None:
    monkeypatch.setattr(sys, "prefix", str(function_zip.parent))
    with pytest.raises(DemoError, match="There is no Lambda emulator at"):
        LambdaRuntime(function_zip, environment={})


def _listening_addresses_of(process_ids: set[int]) -> set[str]:
    """Return HEXADDRESS:HEXPORT of the processes' listening TCP sockets, IPv6 ones included."""
    links = (link for pid in process_ids for link in Path(f"/proc/{pid}/fd").iterdir())
    sockets = {str(link.readlink()) for link in links}
    found = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        for row in (line.split() for line in table.read_text().splitlines()[1:]):
            if row[3] == "0A" and f"socket:[{row[9]}]" in sockets:
                found.add(row[1])
    return found
