"""What docs/troubleshooting.md gives to somebody on call finds the run, whatever its service."""

from __future__ import annotations

import json
import logging
import re
import shlex
from typing import TYPE_CHECKING, Any, Final

import pytest

from ecs_emulator import World
from ecs_task_recycle.log import JsonFormatter
from ecs_task_recycle.outcome import Status
from ecs_task_recycle.report.final_record import log_final_record
from tests.docs.markdown import fences
from tests.docs.pages import guide
from tests.emulated.bench import a_service
from tests.emulated.quick import KNOBS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.emulated.bench import Bench

TAIL: Final = ["aws", "logs", "tail"]
TERM: Final = re.compile(r'\$\.([\w.]+) (=|>) ("[^"]*"|\d+)')
TIMED_OUT: Final = {
    "time": "2026-11-30T02:00:00Z",
    "type": "platform.report",
    "record": {"requestId": "run", "status": "timeout", "metrics": {"durationMs": 900000.0}},
}
"""As Lambda writes it: https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html"""


def patterns() -> list[str]:
    """Return the filter patterns of the page's commands, in their order."""
    blocks = (each.body.replace("\\\n", " ") for each in fences(guide("troubleshooting"), "bash"))
    commands = [shlex.split(each) for each in blocks]
    return [each[each.index("--filter-pattern") + 1] for each in commands if each[:3] == TAIL]


def matches(pattern: str, line: dict[str, Any]) -> bool:
    """Whether CloudWatch Logs takes a JSON line for one of the pattern's: terms with || between.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
    """
    assert pattern[0] + pattern[-1] == "{}"
    terms = [TERM.fullmatch(each.strip()) for each in pattern[1:-1].split("||")]
    return any(_holds(each, line) for each in terms)


def _holds(term: re.Match[str] | None, line: dict[str, Any]) -> bool:
    assert term is not None
    value: Any = line
    for name in term[1].split("."):
        value = value.get(name) if isinstance(value, dict) else None
    expected = json.loads(term[3])
    if term[2] == ">":
        return isinstance(value, int | float) and value > expected
    if expected.endswith("*"):
        return isinstance(value, str) and value.startswith(expected[:-1])
    return bool(value == expected)


def completes(world: World) -> None:
    """Let nothing happen."""


def fails(world: World) -> None:
    """Let no new task start."""
    world.after_call("StopTask", 1, lambda w: w.faults.deny("ecs:StopTask"))


def leaves_tasks(world: World) -> None:
    """Let a deployment start."""
    world.after_call("StopTask", 1, lambda w: w.start_deployment("demo", "web"))


def loses_tasks(world: World) -> None:
    """Let tasks die that the run has not stopped."""

    def two_die(w: World) -> None:
        for task in w.service("demo", "web").active_tasks[:2]:
            w.crash_task(task)

    world.after_call("StopTask", 1, lambda w: w.at(w.elapsed + 2, two_die))


@pytest.mark.parametrize(
    "happens, status, lines_count, missing_count",
    [
        (completes, Status.COMPLETED, 0, 0),
        (fails, Status.FAILED, 1, 0),
        (leaves_tasks, Status.PARTIAL, 1, 0),
        (loses_tasks, Status.COMPLETED, 0, 1),
    ],
)
def test_the_commands_print_one_line_of_a_run_that_needs_somebody(
    bench: Bench,
    caplog: pytest.LogCaptureFixture,
    happens: Callable[[World], None],
    status: Status,
    *,
    lines_count: int,
    missing_count: int,
) -> None:
    world = World(knobs=KNOBS)
    a_service(world, tasks=3)
    happens(world)

    with caplog.at_level(logging.INFO, logger="ecs_task_recycle"):
        report = bench.recycle(world, run_id="the-run", wait_time=0)
        log_final_record(report.answer(), function_name="recycler")

    formatter = JsonFormatter(run_id="the-run")
    lines = [json.loads(formatter.format(each)) for each in caplog.records]
    ended, missing = ([line for line in lines if matches(each, line)] for each in patterns())
    assert report.status is status
    assert (len(ended), len(missing)) == (lines_count, missing_count)
    for line in (*ended, *missing):
        assert (line["cluster"], line["service"], line["run_id"]) == ("demo", "web", "the-run")
        assert str(report.reason) in line["message"] or line["MissingInService"]


def test_an_invocation_that_lambda_has_ended_is_found_too() -> None:
    (ended, _) = patterns()
    assert matches(ended, TIMED_OUT)
    assert not matches(ended, {**TIMED_OUT, "record": {"requestId": "run", "status": "success"}})
