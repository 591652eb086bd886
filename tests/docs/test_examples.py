"""Every Python example of the pages does what its page says, against an emulated ECS."""

from __future__ import annotations

import runpy
from typing import TYPE_CHECKING, Any, Final, cast

import pytest

from ecs_emulator import Knobs, WallClock, World
from ecs_emulator.wire.server import serve
from tests.docs.markdown import fences
from tests.docs.pages import MANUAL

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ecs_emulator.state.model import Task

pytestmark = pytest.mark.local_socket

QUEUE_WORKER: Final = "ECS_AGENT_URI"
SESSION_TRACKER: Final = "update_task_protection"


def example(mark: str, folder: Path) -> dict[str, Any]:
    """Run the one Python block with this text in it, as a file; return what it defines."""
    (body,) = [each.body for each in fences(MANUAL, "python") if mark in each.body]
    path = folder / "example.py"
    path.write_text(body)
    return runpy.run_path(str(path))


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A service of 25 tasks that can be called; the agent's address is that of the first one."""
    one = World(knobs=Knobs(), clock=WallClock())
    task = one.create_service(cluster="demo", name="web", desired_count=25).tasks[0]
    with serve(one) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_ECS", url)
        monkeypatch.setenv("ECS_AGENT_URI", f"{url}{task.agent_path}")
        yield one


def minutes_left(world: World, task: Task) -> int | None:
    until = task.state.protected_until
    return None if until is None else round((until - world.now) / 60)


def test_the_queue_worker_is_protected_while_it_works_and_not_after(
    world: World, tmp_path: Path
) -> None:
    task = world.services[0].tasks[0]
    work_on = example(QUEUE_WORKER, tmp_path)["work_on"]
    seen: list[tuple[str, int | None]] = []
    work_on("a video", lambda message: seen.append((message, minutes_left(world, task))))
    assert seen == [("a video", 60)]
    assert minutes_left(world, task) is None


def test_the_queue_worker_clears_its_protection_when_a_job_fails(
    world: World, tmp_path: Path
) -> None:
    work_on = example(QUEUE_WORKER, tmp_path)["work_on"]
    with pytest.raises(ValueError, match="no video"):
        work_on("no video", fail)
    assert minutes_left(world, world.services[0].tasks[0]) is None


def fail(message: str) -> None:
    raise ValueError(message)


def test_the_queue_worker_begins_no_job_without_protection(world: World, tmp_path: Path) -> None:
    work_on = example(QUEUE_WORKER, tmp_path)["work_on"]
    with world.lock:
        world.stop_task(world.services[0].tasks[0])
    begun: list[str] = []
    with pytest.raises(RuntimeError, match="not protected: TASK_NOT_VALID"):
        work_on("a video", begun.append)
    assert begun == []


def test_the_session_tracker_protects_and_clears_tasks_ten_at_a_time(
    world: World, tmp_path: Path
) -> None:
    tracker = example(SESSION_TRACKER, tmp_path)
    tasks = world.services[0].tasks
    arns = [task.arn for task in tasks]
    assert tracker["set_protection"]("demo", arns, enabled=True) == {}
    assert [minutes_left(world, task) for task in tasks] == [30] * 25
    assert tracker["set_protection"]("demo", arns[:12], enabled=False) == {}
    assert [minutes_left(world, task) for task in tasks] == [None] * 12 + [30] * 13
    asked = [call.parameters["tasks"] for call in world.calls_of("UpdateTaskProtection")]
    sizes = [len(cast("list[str]", each)) for each in asked]
    assert sizes == [10, 10, 5, 10, 2]
    tracker["ecs"].close()


def test_the_session_tracker_tells_what_was_refused(world: World, tmp_path: Path) -> None:
    tracker = example(SESSION_TRACKER, tmp_path)
    known = world.services[0].tasks[0].arn
    unknown = known[:-32] + "0" * 32
    assert tracker["set_protection"]("demo", [known, unknown], enabled=True) == {unknown: "MISSING"}
    tracker["ecs"].close()


def test_there_is_no_python_example_that_is_not_run() -> None:
    marks = (QUEUE_WORKER, SESSION_TRACKER)
    blocks = [each.body for each in fences(MANUAL, "python")]
    assert [sum(mark in body for mark in marks) for body in blocks] == [1, 1]
