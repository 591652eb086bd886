"""The demo as a user starts it: what it shows, that it can fail, and that it leaves nothing."""

from __future__ import annotations

import io
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Final, cast

import pytest

from demo.narration import Narrator
from demo.palette import Palette
from demo.scenario import WorkerError, _worker_at_work

if TYPE_CHECKING:
    from collections.abc import Callable

    from demo.scenario import Stage

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(sys.platform != "linux", reason="the Lambda emulator runs on Linux only"),
]

PROJECT: Final = Path(__file__).parents[2]
DEMO: Final = (sys.executable, "-m", "demo")
CONTRACT_LINES: Final = (
    "worker: job taken, protected until ",
    "Starting task recycle for demo/web",
    "Original desired count: 3, tasks: 3",
    "Recycling task 1/3: …task/demo/",
    "Task 1 recycled, waiting 1s",
    "Recycling task 2/3: …task/demo/",
    "Task 2 recycled, waiting 1s",
    "worker: job done, mark cleared",
    "Recycling task 3/3: …task/demo/",
    "Task 3 recycled, waiting 1s",
    "Task recycle completed successfully",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """A demo that has ended: its exit status, what it wrote, and how long it took."""

    status: int
    output: str
    errors: str
    seconds: float

    @property
    def text(self) -> str:
        """What it wrote, with every run of spaces and line ends as one space."""
        return " ".join(self.output.split())

    @property
    def folder(self) -> Path:
        return folder_in(self.output)


def folder_in(output: str) -> Path:
    found = re.search(r"happens in (build/demo/\S+),", output)
    assert found, output
    return PROJECT / found[1]


def environment(home: Path) -> dict[str, str]:
    """Return an environment that tempts the demo to leave this machine, or its folder."""
    return {
        **os.environ,
        "AWS_PROFILE": "not-there",
        "PYTHONIOENCODING": "ascii",
        "HTTP_PROXY": "http://127.0.0.1:1",
        "http_proxy": "http://127.0.0.1:1",
        "HOME": str(home),
        "TMPDIR": str(home),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def play(home: Path, *options: str) -> Played:
    started_at = time.monotonic()
    done = subprocess.run(
        [*DEMO, *options],
        cwd=PROJECT,
        env=environment(home),
        capture_output=True,
        encoding="utf-8",
        timeout=170,
        check=False,
    )
    seconds = time.monotonic() - started_at
    return Played(status=done.returncode, output=done.stdout, errors=done.stderr, seconds=seconds)


def processes_around(folder: Path) -> list[int]:
    """The processes that were started with the folder as their home."""
    mark = f"HOME={folder}".encode()
    return [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and mark in environment_of(entry).split(b"\0")
    ]


def environment_of(process: Path) -> bytes:
    try:
        return (process / "environ").read_bytes()
    except OSError:  # it has just ended, or it is somebody else's
        return b""


def test_the_demo_shows_a_whole_run_within_a_minute_and_keeps_every_promise(
    tmp_path: Path,
) -> None:
    input_json = (PROJECT / "input.json").read_bytes()
    played = play(tmp_path)
    assert (played.status, played.errors) == (0, ""), played.output
    assert played.seconds < 60
    in_order = re.compile(".*".join(map(re.escape, CONTRACT_LINES)))
    assert in_order.search(played.text), played.output
    assert_it_reads_well(played)
    for said in (
        "$ AWS_MAX_ATTEMPTS=1 aws lambda invoke --endpoint-url http://127.0.0.1:",
        '"maintain_service_state":true,"wait_time":1}',
        '"status": "completed"',
        "Subject: [AWS ECS] ECS Service Task Recycle Completed: demo/web",
        "lowest in service: 3. The line was never crossed.",
        "yes the worker was not stopped while it was protected, and was recycled afterwards: ",
        "All 8 promises kept.",
    ):
        assert said in played.text, played.output
    assert len(re.findall(r"^  yes  ", played.output, re.MULTILINE)) == 8
    assert_nothing_is_left(played.folder, tmp_path)
    assert (PROJECT / "input.json").read_bytes() == input_json


def assert_it_reads_well(played: Played) -> None:
    """No colours where there is no terminal, and every line fits; the rows of the picture too."""
    assert "\033" not in played.output
    assert max(map(len, played.output.splitlines())) <= 100
    rows = re.findall(r"^[0-9a-f]{8} (original|surge|replacement) .*█", played.output, re.MULTILINE)
    assert sorted(rows) == ["original"] * 3 + ["replacement"] * 3 + ["surge"]
    (worker,) = re.findall(r"^([0-9a-f]{8}) original +█*◆{10,}█", played.output, re.MULTILINE)
    assert f"Recycling task 3/3: …task/demo/{worker}…" in played.text


def assert_nothing_is_left(folder: Path, home: Path) -> None:
    assert not folder.exists()
    assert processes_around(folder) == []
    assert list(home.iterdir()) == []


def test_a_world_in_which_no_replacement_comes_up_fails_the_demo_and_says_why(
    tmp_path: Path,
) -> None:
    played = play(tmp_path, "--", "--failing-start", "after=1,after_seconds=0.5")
    assert (played.status, played.errors) == (1, ""), played.output
    for said in (
        "NO the answer is 200, completed: ReplacementError: No new task comes up,",
        "CannotPullContainerError",
        "NO all 3 originals are replaced:",
        "missing: Task 1 recycled, waiting {seconds}s",
        "yes one task more meanwhile, then the capacity as found:",
        "yes the journal was kept, and is gone:",
        "yes exactly one mail came, over TLS:",
        "Subject: [AWS ECS] FAILED (ReplacementError): demo/web",
        "NO the worker was not stopped while it was protected, and was recycled afterwards:",
        "FAILED, 4 of 8 promises: the answer is 200, completed; all 3 originals are replaced;",
    ):
        assert said in played.text, played.output
    assert_nothing_is_left(played.folder, tmp_path)


def test_an_emulator_that_does_not_start_ends_the_demo_with_its_own_words(tmp_path: Path) -> None:
    played = play(tmp_path, "--", "--nonsense")
    assert (played.status, played.errors) == (1, "")
    assert played.seconds < 20
    assert "The demo cannot go on: python -m ecs_emulator: error: unrecognized" in played.text
    assert_nothing_is_left(played.folder, tmp_path)


def test_a_worker_that_gets_no_protection_ends_the_demo_with_its_own_words(tmp_path: Path) -> None:
    stage = SimpleNamespace(
        aws=SimpleNamespace(url="http://127.0.0.1:1"),
        worker=SimpleNamespace(agent_path="/api/1"),
        folder=tmp_path,
    )
    narrator = Narrator(io.StringIO(), Palette())
    with (
        pytest.raises(WorkerError, match="Connection refused"),
        _worker_at_work(cast("Stage", stage), narrator),
    ):
        pytest.fail("the worker is not at work")
    assert processes_around(tmp_path) == []


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_a_demo_that_is_interrupted_leaves_nothing_behind(
    tmp_path: Path, ending: signal.Signals
) -> None:
    with started(tmp_path) as demo:
        output = read_until(demo, "Recycling task 1/3")
        folder = folder_in(output)
        # The AWS emulator, Lambda's with its runtime, the worker, their supervisors, the AWS CLI.
        assert len(processes_around(folder)) == 8
        demo.send_signal(ending)
        rest, errors = demo.communicate(timeout=30)
    assert (demo.returncode, errors) == (130, "")
    assert "Interrupted" in rest
    assert_nothing_is_left(folder, tmp_path)


def test_a_demo_that_is_killed_leaves_no_process_behind(tmp_path: Path) -> None:
    with started(tmp_path) as demo:
        folder = folder_in(read_until(demo, "Recycling task 1/3"))
        demo.kill()
    assert becomes_true(lambda: processes_around(folder) == [])
    shutil.rmtree(folder)


def started(home: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        DEMO,
        cwd=PROJECT,
        env=environment(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )


def read_until(demo: subprocess.Popen[str], text: str) -> str:
    assert demo.stdout
    lines = []
    for line in demo.stdout:
        lines.append(line)
        if text in line:
            break
    return "".join(lines)


def becomes_true(condition: Callable[[], bool], within_seconds: float = 20.0) -> bool:
    give_up_at = time.monotonic() + within_seconds
    while not condition() and time.monotonic() < give_up_at:
        time.sleep(0.05)
    return condition()
