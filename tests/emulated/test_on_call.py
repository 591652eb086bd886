"""The commands that somebody on call is given find the run, whatever its service.

Those of docs/troubleshooting.md, and those with which the descriptions of the alarms end.
"""

from __future__ import annotations

import itertools
import json
import logging
import re
import shlex
from typing import TYPE_CHECKING, Any, Final

import pytest

from ecs_emulator import FailingStart, Killed, Knobs, World
from ecs_emulator.neighbours.tables import RUNS_TABLE
from ecs_task_recycle.log import JsonFormatter
from ecs_task_recycle.outcome import Status
from ecs_task_recycle.report.final_record import log_final_record
from ecs_task_recycle.sweep.record import key_of
from tests import screenshots
from tests.docs.markdown import fences
from tests.docs.pages import guide
from tests.emulated.bench import a_service, record
from tests.emulated.lanes import world_of_lanes
from tests.emulated.quick import KNOBS
from tests.emulated.swept import Swept
from tests.infrastructure.template import stack

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.emulated.bench import Bench

TAIL: Final = ["aws", "logs", "tail"]
SCAN: Final = ["aws", "dynamodb", "scan"]
CONDITION: Final = re.compile(r"(#\w+) (<>|IN) (:\w+|\(.*\))")
TOPIC: Final = "arn:aws:sns:us-east-1:123456789012:on-call"
ALARMS_WITHOUT_A_LOG: Final = (
    *("GuardianFailedAlarm", "GuardianAbortedAlarm", "GuardianTimedOutAlarm"),
    "SweepFailedAlarm",
)
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


def command_of(alarm: str) -> list[str]:
    """Return the words of the command in an alarm's description."""
    properties = stack(AlarmTopicArn=TOPIC, Sweeps="enabled").resource(alarm)
    assert properties
    return shlex.split(re.sub(r"^.*?: (?=aws )", "", properties["AlarmDescription"]))


def pattern_of(alarm: str) -> str:
    """Return the filter pattern of the command in an alarm's description."""
    words = command_of(alarm)
    return words[words.index("--filter-pattern") + 1]


def scans() -> list[list[str]]:
    """Return the commands that read the run records: of the page, and of the alarms."""
    blocks = (each.body.replace("\\\n", " ") for each in fences(guide("troubleshooting"), "bash"))
    commands = [shlex.split(each) for each in blocks]
    of_alarms = [command_of(name) for name in ALARMS_WITHOUT_A_LOG]
    return [each for each in commands if each[:3] == SCAN] + of_alarms


def is_found(scan: list[str], item: dict[str, Any]) -> bool:
    """Whether a scan finds an item. An attribute that is missing counts as another value.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.OperatorsAndFunctions.html
    """
    options = dict(itertools.pairwise(scan))
    names = json.loads(options["--expression-attribute-names"])
    values = json.loads(options["--expression-attribute-values"])
    terms = [CONDITION.fullmatch(each) for each in options["--filter-expression"].split(" OR ")]
    for term in terms:
        assert term is not None
        listed = [values[each]["S"] for each in re.findall(r":\w+", term[3])]
        is_listed = item.get(names[term[1]]) in listed
        if is_listed is (term[2] == "IN"):
            return True
    return False


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
    assert all(
        is_found(each, record(world)) is (status is not Status.COMPLETED) for each in scans()
    )
    is_told = {
        "Alarm": status is Status.FAILED,
        "DroppedEventsAlarm": status is Status.FAILED,
        "PartialRunsAlarm": status is Status.PARTIAL,
        "MissingInServiceAlarm": missing_count == 1,
    }
    for alarm, is_expected in is_told.items():
        assert sum(matches(pattern_of(alarm), line) for line in lines) == is_expected, alarm
    for line in (*ended, *missing):
        assert (line["cluster"], line["service"], line["run_id"]) == ("demo", "web", "the-run")
        assert str(report.reason) in line["message"] or line["MissingInService"]


def test_an_invocation_that_lambda_has_ended_is_found_too() -> None:
    (ended, _) = patterns()
    for pattern in (ended, pattern_of("Alarm")):
        assert matches(pattern, TIMED_OUT)
        succeeded = {"requestId": "run", "status": "success"}
        assert not matches(pattern, {**TIMED_OUT, "record": succeeded})


def test_the_records_of_runs_that_were_killed_are_found(bench: Bench) -> None:
    world = World(knobs=KNOBS)
    a_service(world, tasks=3)
    world.after_call("StopTask", 1, lambda w: w.kill())
    with pytest.raises(Killed):
        bench.recycle(world, wait_time=0)
    assert len(scans()) == 1 + len(ALARMS_WITHOUT_A_LOG)
    assert all(is_found(each, record(world)) for each in scans())


def test_the_record_of_a_sweep_is_found_until_it_has_ended(bench: Bench) -> None:
    """As it lies in the same table: no sweep of the last 90 days may pass for one that goes on."""
    world = world_of_lanes()
    world.create_service(cluster="a", name="one", desired_count=1)
    swept = Swept(bench, world)
    swept.begin(wait_time=0, services=["a/one"])
    key = key_of("s")
    assert all(is_found(each, world.item(RUNS_TABLE, service=key) or {}) for each in scans())
    swept.go_on()
    assert not any(is_found(each, world.item(RUNS_TABLE, service=key) or {}) for each in scans())


def test_the_record_of_a_sweep_tells_the_cause_of_a_failed_run(bench: Bench) -> None:
    """The ids of the tasks that did not start are longer than what it keeps of a reason."""
    world = world_of_lanes()
    fails = Knobs(failing_starts=(FailingStart(after=0),))
    world.create_service(cluster="a", name="one", desired_count=1, knobs=fails)
    (service,) = Swept(bench, world).sweep(wait_time=0, services=["a/one"]).services
    assert "CannotPullContainerError" in str(service.reason)


def test_the_sweep_of_the_screenshots_has_each_outcome_that_it_tells_of(bench: Bench) -> None:
    told = {each.status.value for each in screenshots.sweep(bench).services}
    assert told == {"completed", "failed", "refused", "nothing_to_do"}
