"""An answer of AWS that lacks any of its fields ends no run in an error of Python's."""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final

import pytest

from ecs_emulator import World
from ecs_task_recycle.errors import RecycleError
from tests.emulated.bench import a_service, autoscaled, capacity
from tests.emulated.guarded import Guarded
from tests.emulated.quick import KNOBS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.emulated.bench import Bench

type Path = tuple[str | int, ...]

FOUND: Final = (2, 1, 2)
ALARM: Final = "errors are high"
EVENT: Final[dict[str, Any]] = {"wait_time": 0, "stabilize_timeout": 60, "alarms": [ALARM]}
CALLS: Final = 3_000
LACKS_SECONDS: Final = 300.0
OPERATIONS: Final = (
    *("DescribeServices", "DescribeServiceRevisions", "ListTasks", "DescribeTasks"),
    *("DescribeContainerInstances", "DescribeTargetHealth", "DescribeTargetGroupAttributes"),
    *("DescribeAlarms", "DescribeScalableTargets", "GetTaskProtection", "UpdateTaskProtection"),
    *("UpdateService", "StopTask", "RegisterScalableTarget", "GetItem", "UpdateItem"),
    *("StartExecution", "DescribeExecution"),
)


def a_world() -> World:
    world = World(knobs=KNOBS)
    a_service(world, tasks=2, network_mode="bridge")
    autoscaled(world, FOUND[1], FOUND[2])
    world.set_alarm(ALARM, "OK")
    world.protect_task(world.service("demo", "web").active_tasks[0], minutes=30)
    return world


def guarded(bench: Bench, world: World) -> Guarded:
    return Guarded(bench, world, states_limit=400)


def run(guarded: Guarded) -> None:
    guarded.recycle(**EVENT, protected_tasks="stop")


@cache
def fields(bench: Bench) -> dict[tuple[str, Path], list[int]]:
    """Return every field of every answer of a run, with the numbers of the calls that have it."""
    world = a_world()
    found: dict[tuple[str, Path], list[int]] = {}
    answers: dict[int, dict[str, Any]] = {}
    for number in range(1, CALLS):
        world.faults.alter(number, partial(answers.__setitem__, number))
    run(guarded(bench, world))
    for number, answer in answers.items():
        for path in paths(answer):
            key = (world.calls[number - 1].operation, path)
            found.setdefault(key, []).append(number)
    return found


def paths(value: object, path: Path = ()) -> Iterator[Path]:
    """Yield the way to each member and to each entry; of a list to its first entry."""
    match value:
        case dict():
            inside = value.items()
        case [first, *_]:
            inside = {0: first}.items()
        case _:
            return
    for name, each in inside:
        yield (*path, name)
        yield from paths(each, (*path, name))


def without(path: Path) -> Callable[[dict[str, Any]], None]:
    """Return how to take a field out of an answer; an entry of a list becomes null."""

    def change(answer: Any) -> None:  # noqa: ANN401 - an answer of AWS's
        *outer, last = path
        try:
            for each in outer:
                answer = answer[each]
            if isinstance(last, int):
                answer[last] = None
            else:
                del answer[last]
        except (LookupError, TypeError):
            return  # This answer has none.

    return change


def lacking(bench: Bench, operation: str, path: Path, *, since: int) -> list[str]:
    """Let a field be missing for minutes, from a call on; return what is not as it should be."""
    world = a_world()

    def change(answer: dict[str, Any]) -> None:
        if world.calls[-1].operation == operation:
            without(path)(answer)

    for number in range(since, CALLS):
        world.faults.alter(number, change)
    world.at(world.elapsed + LACKS_SECONDS, lambda w: w.faults.clear())
    under_guard = guarded(bench, world)
    run(under_guard)
    errors = [each.error for each in under_guard.reports if each.error is not None]
    bare = [repr(each) for each in errors if not isinstance(each, RecycleError)]
    world.advance(LACKS_SECONDS)
    checks = {
        f"capacity {capacity(world)}": capacity(world) != FOUND,
        f"in service {world.lowest_in_service()}": world.lowest_in_service() < FOUND[0],
    }
    return [*bare, *(name for name, is_wrong in checks.items() if is_wrong)]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_whatever_an_answer_lacks_ends_in_an_error_of_ours_and_nothing_raised(
    bench: Bench, operation: str, measured: Callable[[str], None]
) -> None:
    cases = {
        (path, since)
        for (name, path), numbers in fields(bench).items()
        if name == operation
        for since in (numbers[0], numbers[len(numbers) // 2])
    }
    assert cases, "the run makes no such call"

    found = {
        case: bad for case in cases if (bad := lacking(bench, operation, case[0], since=case[1]))
    }

    measured(f"fields missing from {operation}: {len(cases) - len(found)} of {len(cases)}")
    assert found == {}


def test_the_error_names_the_call_and_the_field(bench: Bench) -> None:
    world = a_world()
    world.faults.alter(2, without(("services", 0, "serviceArn")))
    assert fields(bench)["DescribeServices", ("services", 0, "serviceArn")][0] == 2

    report = bench.recycle(world)

    assert str(report.error) == (
        "ecs:DescribeServices was answered with IncompleteAnswer: it lacks 'serviceArn'. "
        "Invoke again once AWS answers."
    )
