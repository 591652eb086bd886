"""The demo as a user starts it: what it shows, that it can fail, and that it leaves nothing."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from demo.picture import draw
from demo.process import becomes_true
from demo.stage import clock_of, emulated_ecs

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(sys.platform != "linux", reason="the Lambda emulator runs on Linux only"),
]

PROJECT: Final = Path(__file__).parents[2]
DEMO: Final = ("-m", "demo")
SHOWN: Final = (
    r"You will see .* about a\s+minute",
    r"aws lambda invoke --endpoint-url http://127.0.0.1:\d+ ",
    r"INFO +Starting task recycle for demo/web\n",
    r"INFO +Original desired count: 3, tasks: 3\n",
    r"INFO +Recycling task 1/3: arn:\S+\n",
    r"INFO +Task 1 recycled, waiting 1s\n",
    r"INFO +Recycling task 2/3: arn:\S+\n",
    r"INFO +Task 2 recycled, waiting 1s\n",
    r"\(Task (\w+) has finished its work and ended its protection",
    r"INFO +Recycling task 3/3: arn:\S+/\1\w+\n",
    r"INFO +Task 3 recycled, waiting 1s\n",
    r"INFO +Task recycle completed successfully\n",
    r"\n\1 original +█*◆{5,}█*░",
    r"\n\w+ extra +[·▒]+█+",
    r"(\n\w+ replacement +[·▒]+█+[░ ]*){3}\n",
    r"\n +in service +[34]+\n +the line at 3 +━+\n",
    r'"status": "completed"',
    r"\nSubject: \[AWS ECS\] ECS Service Task Recycle Completed: demo/web\n",
    r"\nDid it work\? Yes: ",
    r"for a browser: build/demo-mail.html\n",
    r"\nThe event of AWS: Secret Label Updated\n",
    r'"labelUpdated": "AWSCURRENT"',
    r"INFO +Starting task recycle for demo/cart\n",
    r"INFO +Task recycle completed successfully\n",
    r"INFO +Starting task recycle for demo/orders\n",
    r"INFO +Task recycle completed successfully\n",
    r"INFO +Sweep ended: 2 completed\n",
    r"\nsearch\ntask .*(\n\w+ original +█+){3}\n +desired count +3+\n",
    r"\nAll 18 promises kept.\n",
    r"\nNext: make demo-deploy ",
)
TELLS_THE_TIME: Final = """
import datetime, time
first = time.time()
time.sleep(100)
others = time.time_ns() / 1e9, datetime.datetime.now(datetime.UTC).timestamp()
print(first, *others, time.time())
"""
# Says that all went well, but stops every task at once.
BAD_FUNCTION: Final = """
import boto3

def lambda_handler(event, context):
    ecs, cluster = boto3.client("ecs"), event["cluster_name"]
    tasks = ecs.list_tasks(cluster=cluster, serviceName=event["service_name"])["taskArns"]
    for task in tasks:
        ecs.stop_task(cluster=cluster, task=task)
    return {"statusCode": 200, "body": '{"status": "completed"}'}
"""
BAD_DEMO: Final = """
import pathlib, sys
from demo import stage, story
story.build_zip = lambda *_: pathlib.Path(sys.argv[1])
stage.main(story.play, next_step="")
"""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A home that stays empty."""
    (tmp_path / "home").mkdir()
    yield tmp_path / "home"
    assert list((tmp_path / "home").iterdir()) == []


def started(home: Path, *arguments: str, **more: str) -> subprocess.Popen[str]:
    """Start a demo in an environment that tempts it to leave this machine, or its folder."""
    tempting = {
        "AWS_PROFILE": "not-there",
        "PYTHONIOENCODING": "ascii",
        "http_proxy": "http://127.0.0.1:1",
        "HOME": str(home),
        "TMPDIR": str(home),
        "PYTHONDONTWRITEBYTECODE": "1",
        **more,
    }
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=PROJECT,
        env={**os.environ, **tempting},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )


def processes_of(demo: subprocess.Popen[str]) -> list[int]:
    """The processes that a demo has started: its folder is their home."""
    home = f"HOME={PROJECT}/build/demo-{demo.pid}".encode()
    entries = [entry for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [int(each.name) for each in entries if home in environment_of(each).split(b"\0")]


def assert_nothing_is_left_of(demo: subprocess.Popen[str]) -> None:
    assert processes_of(demo) == []
    assert not (PROJECT / f"build/demo-{demo.pid}").exists()


def environment_of(process: Path) -> bytes:
    try:
        return (process / "environ").read_bytes()
    except OSError:  # it has just ended, or it is another user's
        return b""


def read_until(demo: subprocess.Popen[str], text: str) -> None:
    assert demo.stdout
    assert any(text in line for line in demo.stdout), f"{text} never came"


def test_it_shows_a_whole_run_and_keeps_every_promise(home: Path) -> None:
    input_json = (PROJECT / "input.json").read_bytes()
    with started(home, *DEMO, COLUMNS="60") as demo:
        output, errors = demo.communicate(timeout=180)
    assert (demo.returncode, errors) == (0, "")
    assert re.search(".*".join(SHOWN), output, re.DOTALL), output
    assert_nothing_is_left_of(demo)
    assert (PROJECT / "input.json").read_bytes() == input_json
    assert "\x1b" not in output
    pictures = [each.partition("(A column is")[0] for each in output.split("\ntask ")[1:]]
    assert len(pictures) == 4
    assert [line for each in pictures for line in each.splitlines() if len(line) > 60] == []
    assert "<html" in (PROJECT / "build/demo-mail.html").read_text()


def test_a_function_that_breaks_its_promises_fails_it(home: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr("lambda_function.py", BAD_FUNCTION)
    with started(home, "-c", BAD_DEMO, str(tmp_path / "bad.zip")) as demo:
        output, errors = demo.communicate(timeout=60)
    assert (demo.returncode, errors) == (1, "")
    assert_nothing_is_left_of(demo)
    assert "▼" in output
    assert re.findall(r"^NO   ([\w ]+)", output, re.MULTILINE) == [
        "never fewer in service than desired",
        "the task under scale",
        "the run",
        "its log has the documented lines",
        "one mail came",
        "the event chooses the services that use the secret",
        "cart",
        "orders",
        "one service after the other",
        "the sweep has ended",
    ]


@pytest.mark.parametrize(
    "ending, text",
    [
        (signal.SIGINT, "You will see"),
        (signal.SIGTERM, "The command"),
        (signal.SIGHUP, "Recycling task 1/3"),
        (signal.SIGINT, "Task recycle completed"),
    ],
)
def test_interrupted_at_any_time_it_leaves_nothing_behind(
    home: Path, ending: signal.Signals, text: str
) -> None:
    with started(home, *DEMO) as demo:
        read_until(demo, text)
        demo.send_signal(ending)
        demo.send_signal(signal.SIGINT)  # once more, while it clears up
        output, errors = demo.communicate(timeout=30)
    assert (demo.returncode, errors) == (130, "")
    assert "Interrupted" in output
    assert_nothing_is_left_of(demo)


def test_interrupted_while_it_imports_it_ends_without_a_traceback(home: Path) -> None:
    with started(home, *DEMO) as demo:
        # Not before its modules are looked for: until then Python itself is starting.
        status = Path(f"/proc/{demo.pid}/status")

        def handles() -> bool:
            (line,) = re.findall(r"SigCgt:\s*(\w+)", status.read_text())
            return bool(int(line, 16) & 1 << (signal.SIGHUP - 1))

        assert becomes_true(handles, within_seconds=20, every_seconds=0.005)
        demo.send_signal(signal.SIGINT)
        output, errors = demo.communicate(timeout=30)
    assert (demo.returncode, output, errors) == (130, "", "")
    assert_nothing_is_left_of(demo)


def test_when_nobody_reads_any_more_it_ends_without_a_traceback(home: Path) -> None:
    with started(home, *DEMO) as demo:
        read_until(demo, "You will see")
        assert demo.stdout
        demo.stdout.close()
        assert demo.wait(timeout=60) == 130
        assert demo.stderr
        assert demo.stderr.read() == ""
    assert_nothing_is_left_of(demo)


def test_killed_it_leaves_no_process_behind(home: Path) -> None:
    with started(home, *DEMO) as demo:
        read_until(demo, "Recycling task 1/3")
        assert len(processes_of(demo)) >= 4  # Lambda's emulator, its runtime, the AWS CLI
        demo.kill()
    assert becomes_true(lambda: processes_of(demo) == [], within_seconds=20)
    subprocess.run(["rm", "-r", f"build/demo-{demo.pid}"], cwd=PROJECT, check=True)


def test_the_picture_shows_a_dip() -> None:
    world = emulated_ecs("web")
    (service,) = world.services
    since = world.now
    world.stop_task(service.tasks[0])
    world.advance(10)
    task, _, _, replacement, desired, in_service, line, *_ = draw(world, service, since, width=100)[
        1:
    ]
    assert re.fullmatch(r"\w+ original +░+", task)
    assert re.fullmatch(r"\w+ (extra|replacement) +·+▒+█+", replacement)
    assert re.fullmatch(r" +desired count +3{20}", desired)
    assert re.fullmatch(r" +in service +2+3+", in_service)
    assert re.fullmatch(r" +the line at 3 +▼+━+", line)


def test_a_process_goes_by_the_clock_of_a_quick_world() -> None:
    world = emulated_ecs(speed=100)
    before = world.clock.now()
    done = subprocess.run(
        [sys.executable, "-c", TELLS_THE_TIME],
        env={**os.environ, **clock_of(world)},
        capture_output=True,
        text=True,
        check=True,
    )
    first, *others, last = map(float, done.stdout.split())
    assert before < first < last - 100
    assert last < world.clock.now()
    assert all(first + 100 < each < last for each in others)
    assert clock_of(emulated_ecs()) == {}
