"""The demo's worker: under protection for as long as it works, and not a moment without."""

from __future__ import annotations

import json
import signal
import time
from typing import TYPE_CHECKING

import pytest

from demo import worker
from ecs_emulator import Knobs, WallClock, World
from ecs_emulator.server import serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ecs_emulator.model import Task

pytestmark = pytest.mark.local_socket


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A world to whose one task the container agent's address leads."""
    one = World(knobs=Knobs(), clock=WallClock())
    task = one.create_service(cluster="demo", name="web", desired_count=1).tasks[0]
    with serve(one) as url:
        monkeypatch.setenv("ECS_AGENT_URI", f"{url}{task.agent_path}")
        yield one


@pytest.fixture
def task(world: World) -> Task:
    return world.services[0].tasks[0]


def marked(task: Task) -> bool:
    return task.state.protected_until is not None


def test_it_works_under_protection_and_says_so(
    task: Task, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[tuple[float, bool]] = []
    monkeypatch.setattr(time, "sleep", lambda seconds: seen.append((seconds, marked(task))))
    monkeypatch.setattr(signal, "pause", lambda: seen.append((0.0, marked(task))))
    worker.main(25.0)
    assert seen == [(25.0, True), (0.0, False)]
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    first, second = [each["message"] for each in records]
    assert first.startswith("worker: job taken, protected until ")
    assert second == "worker: job done, mark cleared"


def test_it_clears_the_mark_of_a_job_that_fails_too(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: float) -> None:
        assert marked(task)
        raise InterruptedError

    monkeypatch.setattr(time, "sleep", fail)
    with pytest.raises(InterruptedError):
        worker.main(25.0)
    assert not marked(task)


def test_it_takes_no_job_without_protection(
    world: World, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    worked: list[float] = []
    monkeypatch.setattr(time, "sleep", worked.append)
    with world.lock:
        world.stop_task(task)
    with pytest.raises(worker.RefusedError, match="TASK_NOT_VALID"):
        worker.main(25.0)
    assert worked == []
