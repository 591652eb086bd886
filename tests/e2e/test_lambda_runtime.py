"""The Lambda runtime harness, proved on a function of five lines."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

from demo.lambda_runtime import LambdaRuntime, RuntimeUnavailableError, emulator
from demo.supervisor import processes_of_session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(sys.platform != "linux", reason="the Lambda emulator runs on Linux only"),
]

FUNCTION = """
    import json, logging, os, subprocess, time

    def lambda_handler(event, context):
        event = event if isinstance(event, dict) else {"payload": event}
        print("asked for", json.dumps(event), flush=True)
        if "raise" in event:
            raise ValueError(event["raise"])
        if "exit" in event:
            os._exit(event["exit"])
        if "child" in event:
            subprocess.Popen(["sleep", str(event["child"])], start_new_session=False)
        time.sleep(event.get("sleep", 0))
        return {
            "event": event,
            "endpoint": os.environ.get("AWS_ENDPOINT_URL_ECS"),
            "key": os.environ["AWS_ACCESS_KEY_ID"],
            "home": os.environ.get("HOME"),
            "name": context.function_name,
            "milliseconds_left": context.get_remaining_time_in_millis(),
        }
"""


@pytest.fixture(scope="module")
def function_zip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("function") / "function.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("lambda_function.py", dedent(FUNCTION))
    return path


@pytest.fixture(scope="module")
def runtime(function_zip: Path) -> Iterator[LambdaRuntime]:
    environment = {"AWS_ENDPOINT_URL_ECS": "http://127.0.0.1:1"}
    with LambdaRuntime(function_zip, environment=environment, timeout_seconds=2) as started:
        yield started


def test_an_event_reaches_the_function_and_its_answer_comes_back(runtime: LambdaRuntime) -> None:
    answer = runtime.invoke({"cluster_name": "c"})
    assert answer["event"] == {"cluster_name": "c"}


@pytest.mark.parametrize("payload", [None, [], [1, {"a": None}]])
def test_an_event_may_be_a_list_or_null(runtime: LambdaRuntime, payload: list[object]) -> None:
    assert runtime.invoke(payload)["event"] == {"payload": payload}


def test_the_function_sees_what_it_was_given_and_nothing_of_the_machine(
    runtime: LambdaRuntime,
) -> None:
    answer = runtime.invoke({})
    assert answer["endpoint"] == "http://127.0.0.1:1"
    assert answer["key"] == "AKIAIOSFODNN7EXAMPLE"
    assert answer["home"] is None
    assert answer["name"] == "ecs-task-recycle-function"
    assert answer["milliseconds_left"] <= 2000


def test_an_exception_comes_back_as_lambda_reports_it(runtime: LambdaRuntime) -> None:
    answer = runtime.invoke({"raise": "no such thing"})
    assert (answer["errorType"], answer["errorMessage"]) == ("ValueError", "no such thing")


def test_a_process_that_ends_is_reported_and_the_next_invocation_gets_a_new_one(
    runtime: LambdaRuntime,
) -> None:
    assert runtime.invoke({"exit": 3})["errorType"] == "Runtime.ExitError"
    assert runtime.invoke({"again": 1})["event"] == {"again": 1}


def test_a_function_is_killed_at_its_timeout_and_the_next_invocation_works(
    runtime: LambdaRuntime,
) -> None:
    answer = runtime.invoke({"sleep": 60})
    assert answer["errorType"] == "Sandbox.Timedout"
    assert "2.00 seconds" in answer["errorMessage"]
    assert runtime.invoke({"again": 2})["event"] == {"again": 2}


def test_the_real_cli_invokes_it_and_writes_the_answer_to_a_file(
    runtime: LambdaRuntime, tmp_path: Path
) -> None:
    out_file = tmp_path / "response.json"
    done = runtime.invoke_with_cli({"by": "cli"}, out_file)
    assert (done.returncode, json.loads(done.stdout)["StatusCode"]) == (0, 200), done.stderr
    assert json.loads(out_file.read_text())["event"] == {"by": "cli"}


def test_log_lines_come_while_the_function_is_still_running(function_zip: Path) -> None:
    seen: list[str] = []
    with LambdaRuntime(function_zip, on_line=seen.append) as runtime:
        asking = threading.Thread(target=runtime.invoke, args=({"sleep": 1.0},))
        asking.start()
        runtime.wait_for_line("asked for")
        still_running = asking.is_alive()
        asking.join()
        runtime.wait_for_line("REPORT RequestId")
    assert still_running
    assert any("asked for" in line for line in seen)
    assert seen == runtime.log_lines


def test_a_line_that_never_comes_is_not_waited_for_for_ever(runtime: LambdaRuntime) -> None:
    with pytest.raises(TimeoutError, match="never said"):
        runtime.wait_for_line("never said", timeout_seconds=0.05)


def test_a_second_invocation_at_the_same_time_is_refused(function_zip: Path) -> None:
    with LambdaRuntime(function_zip) as runtime:
        asking = threading.Thread(target=runtime.invoke, args=({"sleep": 1.0},))
        asking.start()
        runtime.wait_for_line("asked for")
        with pytest.raises(RuntimeError, match="a second one would end the emulator"):
            runtime.invoke({})
        asking.join()
        assert runtime.invoke({"after": 1})["event"] == {"after": 1}


def test_it_listens_on_127_0_0_1_alone(runtime: LambdaRuntime) -> None:
    runtime.invoke({})
    listening = _listening_addresses_of(processes_of_session(runtime.process.session_id))
    assert len(listening) == 2
    assert {address.split(":")[0] for address in listening} == {"0100007F"}


def test_nothing_is_left_running_afterwards_even_what_the_function_started(
    function_zip: Path,
) -> None:
    with LambdaRuntime(function_zip) as runtime:
        session_id = runtime.process.session_id
        runtime.invoke({"child": 60})
        assert len(processes_of_session(session_id)) >= 4
    assert not processes_of_session(session_id)


def test_nothing_is_left_running_when_the_owner_is_killed(function_zip: Path) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", dedent(OWNER), str(function_zip)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    with owner:
        assert owner.stdout
        session_id = int(owner.stdout.readline())
        assert len(processes_of_session(session_id)) >= 3
        owner.send_signal(signal.SIGKILL)
    assert _becomes_true(lambda: not processes_of_session(session_id))


OWNER = """
    import sys, time
    from pathlib import Path
    from demo.lambda_runtime import LambdaRuntime
    with LambdaRuntime(Path(sys.argv[1])) as runtime:
        runtime.invoke({})
        sys.stdout.write(f"{runtime.process.session_id}\\n")
        sys.stdout.flush()
        time.sleep(60)
"""


def test_nothing_is_left_running_when_the_supervisor_is_killed(function_zip: Path) -> None:
    with LambdaRuntime(function_zip) as runtime:
        session_id = runtime.process.session_id
        runtime.invoke({})
        os.kill(session_id, signal.SIGKILL)
    assert not processes_of_session(session_id)


def test_killing_it_in_the_middle_of_an_invocation_ends_the_function_at_once(
    function_zip: Path,
) -> None:
    with LambdaRuntime(function_zip) as runtime:
        asking = threading.Thread(target=_ignoring_errors(runtime.invoke), args=({"sleep": 60},))
        asking.start()
        runtime.wait_for_line("asked for")
        runtime.process.kill()
        asking.join(timeout=10)
        assert not asking.is_alive()
        assert not processes_of_session(runtime.process.session_id)


def test_a_zip_without_the_handler_fails_in_a_sentence(tmp_path: Path) -> None:
    empty = tmp_path / "empty.zip"
    with zipfile.ZipFile(empty, "w") as archive:
        archive.writestr("readme.txt", "nothing here")
    with LambdaRuntime(empty) as runtime:
        assert runtime.invoke({})["errorType"] == "Runtime.ImportModuleError"


def test_a_missing_emulator_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    with pytest.raises(RuntimeUnavailableError, match="There is no Lambda emulator at"):
        emulator()


def _ignoring_errors(action: Callable[..., object]) -> Callable[..., None]:
    def act(*arguments: object) -> None:
        try:
            action(*arguments)
        except OSError:
            return

    return act


def _becomes_true(condition: Callable[[], bool], within_seconds: float = 10.0) -> bool:
    give_up_at = time.monotonic() + within_seconds
    while not condition() and time.monotonic() < give_up_at:
        time.sleep(0.02)
    return condition()


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
