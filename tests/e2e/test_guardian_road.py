"""The guardian on the deployed road: segments, deaths and stops, in real processes.

All runs go on at the same time, each for a service of its own: one test, its parts are the runs.
tests/emulated/test_guardian.py has the same in virtual time, at every instant.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Final

import pytest

from demo.deployed import set_stage
from demo.stage import emulated_ecs
from tests.e2e.road import GuardedRun, deploy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc"),
]

FUNCTION: Final = "road"
MORTAL: Final = "road-killed-once"
DOOMED: Final = "road-killed-always"
SPEED: Final = 5.0

type Measure = Callable[[str], None]
type Scenario = Callable[[GuardedRun, Measure], None]


def twelve_tasks_take_three_segments_and_are_reported_once(run: GuardedRun, _: Measure) -> None:
    answer = run.invoke()
    assert (answer["statusCode"], answer["body"]["status"]) == (202, "continued")
    assert answer["body"]["execution"] == run.execution_arn
    assert run.ends() == "SUCCEEDED"
    assert run.record["status"] == "completed"
    assert run.record["segments"] >= 3
    assert set(run.stops) == run.originals
    (mail,) = run.mails
    assert all(arn.rpartition("/")[2] in mail.part("plain") for arn in run.originals)


def a_segment_killed_in_the_middle_is_completed_by_the_next(run: GuardedRun, _: Measure) -> None:
    run.begin()
    run.wait_for_segment(2)
    run.kill()
    assert run.ends() == "SUCCEEDED"
    assert run.failures == ["Runtime.ExitError"]
    assert run.record["status"] == "completed"
    assert set(run.stops) == run.originals


def the_third_death_puts_the_capacity_back_and_fails(run: GuardedRun, _: Measure) -> None:
    run.begin()
    for deaths in range(3):
        run.wait_until(partial(is_raised, run, deaths), f"a run after {deaths} deaths")
        run.kill()
        run.let_it_be_dead()
    assert run.ends() == "FAILED"
    assert run.failures[-2:] == ["RunDiedError"] * 2
    assert run.execution["error"] == "RunDiedError"
    assert run.record["status"] == "failed"


def is_raised(run: GuardedRun, deaths: int) -> bool:
    record = run.record
    is_there = (record["deaths"], record["state"]) == (deaths, "running")
    return is_there and run.capacity[0] == run.found[0] + 1


def a_run_that_is_asked_to_stop_ends_after_the_task_in_hand(run: GuardedRun, _: Measure) -> None:
    run.begin()
    run.wait_for_segment(2)
    assert run.invoke(action="stop")["body"]["status"] == "stopping"
    stops = run.stops
    assert run.ends() == "SUCCEEDED"
    assert run.stops == stops
    assert run.record["status"] == "partial"
    assert "was asked to stop" in run.record["reason"]


def an_execution_stopped_in_a_pause_is_restored_within_seconds(
    run: GuardedRun, measured: Measure
) -> None:
    run.stage.world.protect_task(run.service.active_tasks[0], minutes=60)
    run.begin()
    run.wait_until(lambda: run.record["state"] == "handed_over", "a pause")
    assert run.capacity[0] == run.found[0] + 1
    stopped = monotonic()
    run.stop_execution()
    run.wait_until(lambda: run.capacity == run.found, "the capacity as found")
    seconds = monotonic() - stopped
    measured(f"deployed, execution stopped in a pause: capacity back after {seconds:.1f} s")
    assert seconds < 30
    run.wait_until(lambda: run.record["state"] == "ended", "the end of the run")
    assert run.ends() == "ABORTED"
    assert run.record["status"] == "partial"
    assert "the guardian's execution is ABORTED" in run.record["reason"]


def an_execution_stopped_in_a_segment_stops_it_before_the_next_task(
    run: GuardedRun, _: Measure
) -> None:
    run.begin()
    run.wait_for_segment(2)
    run.stop_execution()
    stops = run.stops
    assert run.ends() == "ABORTED"
    run.wait_until(lambda: run.record["state"] == "ended", "the end of the run")
    assert run.stops == stops
    assert run.record["status"] == "partial"
    assert "the guardian's execution is ABORTED" in run.record["reason"]


RUNS: Final[tuple[tuple[Scenario, str, str, int], ...]] = (
    (twelve_tasks_take_three_segments_and_are_reported_once, FUNCTION, "large", 12),
    (a_segment_killed_in_the_middle_is_completed_by_the_next, MORTAL, "killed-once", 8),
    (the_third_death_puts_the_capacity_back_and_fails, DOOMED, "killed-always", 3),
    (a_run_that_is_asked_to_stop_ends_after_the_task_in_hand, FUNCTION, "asked-to-stop", 8),
    (an_execution_stopped_in_a_pause_is_restored_within_seconds, FUNCTION, "stopped-in-pause", 3),
    (an_execution_stopped_in_a_segment_stops_it_before_the_next_task, FUNCTION, "stopped", 8),
)


def test_every_run_ends_as_it_has_to_and_keeps_every_promise(
    tmp_path: Path, measured: Measure, subtests: pytest.Subtests
) -> None:
    with ExitStack() as running:
        stage = set_stage(running, tmp_path, world=emulated_ecs(speed=SPEED))
        stage.create_mail_secret()
        deploy(stage, FUNCTION, MORTAL, DOOMED)
        # Before any thread begins: boto3 makes clients on one at a time.
        runs = [GuardedRun.of(stage, function, name, count) for _, function, name, count in RUNS]
        with ThreadPoolExecutor(len(RUNS)) as pool:
            outcomes = [
                (run, pool.submit(timed, scenario, run, measured))
                for (scenario, *_), run in zip(RUNS, runs, strict=True)
            ]
        for run, outcome in outcomes:
            with subtests.test(run.service.name):
                outcome.result()
                assert run.broken_promises() == []


def timed(scenario: Scenario, run: GuardedRun, measured: Measure) -> None:
    began = monotonic()
    scenario(run, measured)
    told = f"{monotonic() - began:.0f} s, {run.record['segments']} segments, {run.failures}"
    measured(f"deployed, {run.service.name}: {told}")
