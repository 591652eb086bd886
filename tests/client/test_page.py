"""docs/client.md shows what the client prints, word for word.

`RECORD=1` writes what it prints now into the page.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from ecs_emulator import FailingStart, Knobs
from ecs_task_recycle_client.command_line import HELP
from tests.docs.markdown import codes, table
from tests.emulated.bench import a_service

if TYPE_CHECKING:
    from ecs_emulator import World
    from tests.client.conftest import Person

pytestmark = pytest.mark.local_socket

PAGE: Final = Path(__file__).parents[2] / "docs/client.md"


def hold_against_page(name: str, printed: str) -> None:
    """Compare with the block that is recorded under a name; write it if that is asked for."""
    text = PAGE.read_text()
    block = re.compile(rf"(<!-- recorded: {name} -->\n```text\n)(.*?)(```\n)", re.DOTALL)
    found = block.search(text)
    assert found is not None
    if os.environ.get("RECORD"):
        PAGE.write_text(block.sub(lambda each: each[1] + printed + each[3], text))
        return
    assert found[2] == printed


def printed_by(person: Person, command: str) -> str:
    return f"$ ecs-task-recycle {command}\n{person.types(command).output}"


def test_a_run_prints_what_the_page_shows(world: World, person: Person) -> None:
    a_service(world)
    hold_against_page("run", printed_by(person, "run demo web"))


def test_a_plan_prints_what_the_page_shows(world: World, person: Person) -> None:
    world.protect_task(a_service(world).active_tasks[1], minutes=120)
    hold_against_page("plan", printed_by(person, "plan demo web --protected-tasks skip"))


def test_a_failure_prints_what_the_page_shows(world: World, person: Person) -> None:
    world.knobs = Knobs(failing_starts=(FailingStart(after=1),))
    a_service(world)
    hold_against_page("failed", printed_by(person, "run demo web"))


def test_a_partial_run_prints_what_the_page_shows(world: World, person: Person) -> None:
    a_service(world)
    command = "run demo web --finish-within-minutes 4"
    hold_against_page("partial", printed_by(person, command))


def test_an_interruption_prints_what_the_page_shows(world: World, person: Person) -> None:
    a_service(world)

    def interrupt() -> None:
        raise KeyboardInterrupt

    person.clock.at(120, interrupt)
    hold_against_page("interrupted", printed_by(person, "run demo web"))


def test_the_page_names_every_command() -> None:
    rows = table(PAGE.read_text(), "Command")
    assert [codes(row["Command"])[0].split()[0] for row in rows] == [*HELP]
