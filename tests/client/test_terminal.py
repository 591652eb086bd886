"""What reaches a terminal: a bar where there is one, and never a control sequence of others."""

from __future__ import annotations

import io
import json
import re
import sys
from typing import TYPE_CHECKING, Any, Final

import pytest
from rich.console import Console

from ecs_emulator import FailingStart, Knobs
from ecs_task_recycle_client.replies import Standing
from ecs_task_recycle_client.terminal import Lines, Terminal, screen_on
from tests.client.cloud import HttpAnswer
from tests.emulated.bench import a_service

if TYPE_CHECKING:
    from ecs_emulator import World
    from tests.client.cloud import Cloud
    from tests.client.conftest import Person

pytestmark = pytest.mark.local_socket

HOSTILE: Final = "\x1b]0;owned\x07\x1b[2J\r\x9b31m\u202egnp\ud800[bold]x[/bold]"
ESCAPED: Final = "\\x1b]0;owned\\x07\\x1b[2J\\r\\x9b31m\\u202egnp\\ud800[bold]x[/bold]"


class Tty(io.StringIO):
    """A terminal that remembers what it was sent."""

    def isatty(self) -> bool:
        return True


def at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> Tty:
    """Put a terminal in place of pytest's capture, which sets itself anew before each test."""
    made = Tty()
    monkeypatch.setattr(sys, "stdout", made)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    return made


def answer(**body: Any) -> HttpAnswer:  # noqa: ANN401 - whatever a function says
    document = {"statusCode": 200, "body": json.dumps(body)}
    return HttpAnswer(status=200, body=json.dumps(document).encode())


def everywhere(status: str) -> dict[str, Any]:
    """Return a body with hostile text in every field."""
    task = dict.fromkeys(("task", "note", "zone", "started_at", "not_in_service"), HOSTILE)
    run = {"run_id": HOSTILE, "state": HOSTILE, "reason": HOSTILE, "outcome": HOSTILE, "total": 1}
    return {
        "status": status,
        "reason": HOSTILE,
        "tasks": [task],
        "skipped": [{"task": HOSTILE, "reason": HOSTILE, "until": HOSTILE}],
        "remaining": [HOSTILE],
        "remarks": [HOSTILE],
        "run": {**run, "history": [{HOSTILE: HOSTILE}]},
        HOSTILE: HOSTILE,
    }


@pytest.mark.parametrize(
    "status", ["planned", "completed", "partial", "status", "nothing_to_do", "sweeping"]
)
def test_no_control_sequence_of_an_answer_is_printed(
    person: Person, cloud: Cloud, status: str
) -> None:
    cloud.answers = [answer(**everywhere(status))]

    printed = person.types("plan demo web")

    assert ESCAPED in printed.output
    assert all(line.isprintable() for line in printed.output.split("\n"))


def test_no_control_sequence_of_a_container_is_printed(world: World, person: Person) -> None:
    reason = f"CannotPullContainerError: {HOSTILE.replace('\ud800', '')}"
    world.knobs = Knobs(failing_starts=(FailingStart(after=1, reason=reason),))
    a_service(world, tasks=1)

    printed = person.types("run demo web --wait-time 0")

    assert "owned" in printed.output
    assert all(line.isprintable() for line in printed.output.split("\n"))


@pytest.mark.parametrize("words", ["plan demo web", "plan demo web --json"])
def test_no_control_sequence_of_an_error_is_printed(
    person: Person, cloud: Cloud, words: str
) -> None:
    cloud.answers = [HttpAnswer.function_error(HOSTILE, HOSTILE)]

    printed = person.types(words)

    assert printed.code == 1
    assert all(line.isprintable() for line in printed.output.split("\n"))


def test_on_a_terminal_a_bar_comes_and_goes(
    world: World, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    tty = at_a_terminal(monkeypatch)
    tasks = a_service(world, tasks=2).active_tasks

    assert person.types("run demo web --wait-time 0").code == 0

    text = tty.getvalue()
    assert "━" in text
    assert f"Recycling task 2/2: {tasks[1].id}" in text
    last = text.rpartition("\x1b[2K")[2]
    assert "demo/web: completed. 2 tasks recycled in " in last
    assert "━" not in last


@pytest.mark.parametrize("width", [60, 80])
@pytest.mark.parametrize("title", ["demo/web", "production-in-europe/orders-and-invoices"])
def test_the_bar_fits_into_one_row_whatever_the_names(width: int, title: str) -> None:
    tty = Tty()
    screen = Terminal(Console(file=tty, force_terminal=True, width=width, color_system=None))
    standing = Standing(number=12, total=20, minutes_left=139)
    with screen.bar(title):
        screen.show(standing)
    row = max(re.split(r"[\r\n]|\x1b\[[0-9;?]*[A-Za-z]", tty.getvalue()), key=len)
    assert len(row) <= width
    assert re.search(r"(demo/web|-invoices) ━+.* 12/20, 2 h 19 min left 0:00:0\d", row), row


def test_on_a_terminal_no_control_sequence_of_an_answer_is_printed_either(
    person: Person, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    tty = at_a_terminal(monkeypatch)
    cloud.answers = [answer(**everywhere("planned"))]

    person.types("plan demo web")

    text = tty.getvalue()
    assert ESCAPED in text
    assert not any(mark in text for mark in ("\x1b]0;", "\x1b[2J", "\x07", "\x9b", "\u202e"))


def test_a_dumb_terminal_and_a_pipe_get_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(screen_on(Tty()), Terminal)
    assert isinstance(screen_on(io.StringIO()), Lines)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(screen_on(Tty()), Lines)
