"""A run outlives its invocation: any size, any duration, healed without anybody invoking again."""

from __future__ import annotations

import json
import math
import os
import random
import re
import shlex
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from ecs_emulator import FailingStart, Killed, Knobs, World
from ecs_emulator.api.stepfunctions import INPUT_LIMIT_BYTES
from ecs_emulator.neighbours.tables import RUNS_TABLE
from ecs_task_recycle.aws.guardian import Guardian
from ecs_task_recycle.before import preflight
from ecs_task_recycle.clock import as_utc
from ecs_task_recycle.errors import (
    AlreadyRunningError,
    PreconditionError,
    RunDiedError,
    StepTimeoutError,
)
from ecs_task_recycle.model import Capacity, ScaleUp
from ecs_task_recycle.outcome import Status
from ecs_task_recycle.report.commands import command_for_the_rest
from ecs_task_recycle.settings.function import FunctionContext
from tests.emulated.bench import (
    ACCESS_KEY,
    LAMBDA_SECONDS,
    a_service,
    asked_to_stop_at,
    autoscaled,
    capacity,
    is_free,
    record,
    stopped_by_us,
    stopped_under_protection,
    sweep,
)
from tests.emulated.guarded import MACHINE_ARN, Guarded
from tests.emulated.lived import changes
from tests.emulated.quick import KNOBS

if TYPE_CHECKING:
    from collections.abc import Callable

    from ecs_emulator import Call
    from ecs_task_recycle.report.report import Report
    from tests.emulated.bench import Bench

AT_ONCE = Knobs(replaces_after_stopped=False)
"""The instants and numbers of segments below are those of runs whose replacements come at once."""
IN_SEGMENTS = replace(KNOBS, replaces_after_stopped=False)
TASKS = 5
QUICK_LIMIT_SECONDS = 310.0
PAIRS = int(os.environ.get("RECYCLE_PAIRS", "120"))
"""Pairs of kills, at random."""
LARGE = int(os.environ.get("RECYCLE_LARGE", "120"))
"""Tasks of a large service; 1200 take half an hour on one processor."""
ROTATIONS = 60
EVENT: dict[str, Any] = {"wait_time": 100, "stabilize_timeout": 300}


def test_a_small_run_completes_in_its_first_invocation(bench: Bench) -> None:
    world = World(knobs=AT_ONCE)
    a_service(world)
    guarded = Guarded(bench, world)

    report = guarded.recycle()

    assert report.status is Status.COMPLETED
    assert guarded.invocations == 2
    execution = guarded.execution("run")
    assert execution is not None
    assert execution.status == "SUCCEEDED"
    assert len(guarded.reports) == 1


@pytest.mark.slow
def test_a_larger_run_goes_on_in_segments_and_reports_once_for_all(bench: Bench) -> None:
    world = World(knobs=AT_ONCE)
    service = a_service(world, tasks=30)
    autoscaled(world, 1, 30)
    originals = {task.arn for task in service.active_tasks}
    guarded = Guarded(bench, world)

    report = guarded.recycle()

    assert [each.status for each in guarded.reports] == [Status.CONTINUED] * 2 + [Status.COMPLETED]
    answer = report.answer().as_json()
    assert answer["tasks_recycled"] == 30
    assert {task["task"] for task in answer["tasks"]} == originals == stopped_by_us(service)
    assert answer["segments"] == 3
    assert answer["duration_seconds"] > 1500
    assert [count for _, count, _ in world.desired_history()] == [30, 31, 30]
    assert capacity(world) == (30, 1, 30)
    assert world.lowest_in_service() == 30
    assert is_free(world)


def test_a_hand_over_is_answered_202_and_names_the_execution(bench: Bench) -> None:
    world = World(knobs=AT_ONCE)
    a_service(world, tasks=30)
    guarded = Guarded(bench, world)

    guarded.invoke("run", {})

    (first,) = guarded.reports
    assert first.status.code == 202
    assert first.answer().as_json()["execution"].endswith(":execution:guardian:run")
    assert "repeat the event" not in str(first.reason)
    assert capacity(world)[0] == 31
    assert record(world)["state"] == "handed_over"


# -- deaths ----------------------------------------------------------------------------------------


def quick_guarded(bench: Bench, world: World) -> Guarded:
    """Return a request whose invocations have 310 s: three segments for the quick world."""
    return Guarded(bench, world, limit_seconds=QUICK_LIMIT_SECONDS)


def three_segments() -> World:
    world = World(knobs=IN_SEGMENTS, seed=3)
    a_service(world, tasks=TASKS)
    autoscaled(world, 1, TASKS)
    world.advance(10)
    return world


def three_segments_with_protection() -> World:
    world = three_segments()
    world.protect_task(world.service("demo", "web").active_tasks[0], minutes=4)
    return world


WORLDS = {"no protection": three_segments, "a protected task": three_segments_with_protection}


def calls_of(bench: Bench, build: Callable[[], World]) -> list[Call]:
    world = build()
    guarded = quick_guarded(bench, world)
    assert guarded.recycle(**EVENT).status is Status.COMPLETED
    assert guarded.reports[-1].progress.segments >= 3
    return [call for call in world.calls if call.access_key == ACCESS_KEY]


def broken_promises(world: World, originals: set[str]) -> list[str]:
    """Return what does not hold once a guarded run is over."""
    world.advance(300)
    service = world.service("demo", "web")
    stops = [str(call.parameters["task"]) for call in world.calls_of("StopTask") if call.wrote]
    twice = [arn for arn in set(stops) if stops.count(arn) > 1 and not arn.endswith("0" * 32)]
    # Not the last report: an invocation may be killed after it has closed the record.
    last = record(world).get("status")
    checks = {
        f"outcome {last}": last != Status.COMPLETED.value,
        f"capacity {capacity(world)}": capacity(world) != (TASKS, 1, TASKS),
        "fewer in service": world.lowest_in_service() < TASKS,
        "record left open": not is_free(world),
        "originals kept": bool(originals & {task.arn for task in service.active_tasks}),
        "stopped others": not stopped_by_us(service) <= originals,
        f"stopped twice {twice}": bool(twice),
        "stopped under protection": stopped_under_protection(world) != [],
    }
    return [name for name, is_broken in checks.items() if is_broken]


def killed_at(bench: Bench, build: Callable[[], World], kills: list[tuple[int, bool]]) -> list[str]:
    """Kill at calls, before or after their effect; return what is broken in the end."""
    world = build()
    originals = {task.arn for task in world.service("demo", "web").active_tasks}
    guarded = quick_guarded(bench, world)
    first, *others = kills
    world.kill_at_call(first[0], after_effect=first[1])
    guarded.on_revival = [
        partial(world.kill_at_call, number, after_effect=after) for number, after in others
    ]
    guarded.invoke("run", EVENT)
    guarded.walk("run")
    if guarded.execution("run") is None:
        # Killed before its guardian was started: nothing was raised, nobody was stopped.
        stops = [call for call in world.calls_of("StopTask") if call.wrote]
        return [] if capacity(world)[0] == TASKS and not stops else ["touched"]
    return broken_promises(world, originals)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
@pytest.mark.parametrize("build", WORLDS)
def test_killed_at_any_call_the_guardian_heals_and_finishes(
    bench: Bench, build: str, part: int, measured: Callable[[str], None]
) -> None:
    calls = calls_of(bench, WORLDS[build])
    kills = [(n, False) for n in range(1, len(calls) + 1)]
    kills += [(n, True) for n, call in enumerate(calls, start=1) if call.wrote]
    kills = kills[part::4]
    failed = {kill: bad for kill in kills if (bad := killed_at(bench, WORLDS[build], [kill]))}
    measured(f"guarded, killed ({build}): {len(kills) - len(failed)} of {len(kills)} healed")
    assert failed == {}


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_killed_twice_at_random_the_guardian_heals_and_finishes(
    bench: Bench, part: int, seed: int, measured: Callable[[str], None]
) -> None:
    rng = random.Random(seed + part)
    failed, pairs = {}, PAIRS // 4
    counts = {name: len(calls_of(bench, build)) for name, build in WORLDS.items()}
    for _ in range(pairs):
        name = rng.choice(list(WORLDS))
        first = rng.randrange(1, counts[name] + 1)
        second = first + rng.randrange(1, counts[name])
        kills = [(first, rng.random() < 0.5), (second, rng.random() < 0.5)]
        if bad := killed_at(bench, WORLDS[name], kills):
            failed[name, *kills] = bad
    measured(f"guarded, killed twice at random: {pairs - len(failed)} of {pairs} healed")
    assert failed == {}


@pytest.mark.parametrize("seconds", [100, 190, 280])
def test_after_a_death_the_replacements_are_noticed_as_soon_as_before(
    bench: Bench, seconds: int
) -> None:
    world = three_segments()
    guarded = quick_guarded(bench, world)
    world.kill_at(seconds)

    report = guarded.recycle(**EVENT)

    assert guarded.deaths == 1
    tasks = report.answer().as_json()["tasks"]
    taken = [task["seconds_to_replace"] for task in tasks if task["seconds_to_replace"]]
    assert max(taken) < 2 * min(taken)


def test_every_segment_dies_the_third_death_puts_the_capacity_back_and_fails(
    bench: Bench,
) -> None:
    world = three_segments()
    guarded = quick_guarded(bench, world)
    world.kill_at(40)

    def dies_once_it_has_taken_over() -> None:
        world.after_call("UpdateItem", 1, lambda w: w.kill())

    guarded.on_revival = [dies_once_it_has_taken_over] * 2

    with pytest.raises(RunDiedError, match="died 3 times in a row"):
        raise guarded.recycle(**EVENT).error or AssertionError

    assert guarded.deaths == 3
    execution = guarded.execution("run")
    assert execution is not None
    assert execution.status == "FAILED"
    assert capacity(world) == (TASKS, 1, TASKS)
    assert is_free(world)
    assert world.lowest_in_service() == TASKS


@pytest.mark.parametrize("event", [{"action": "restore"}, {"alarms": ["busy"]}], ids=str)
def test_a_run_that_was_only_to_restore_stops_no_task_after_its_death_either(
    bench: Bench, event: dict[str, Any]
) -> None:
    world = three_segments()
    world.set_alarm("busy", "ALARM")
    world.kill_at(world.elapsed + 25)
    with pytest.raises(Killed):
        bench.recycle(world, run_id="first", **EVENT)
    world.revive()
    world.advance(LAMBDA_SECONDS + 31)
    stopped_before = stopped_by_us(world.service("demo", "web"))
    guarded = quick_guarded(bench, world)
    world.after_call("StartExecution", 1, lambda w: w.at(w.elapsed + 1, lambda dying: dying.kill()))

    report = guarded.recycle(run_id="second", **event)

    assert guarded.deaths == 1
    if "action" in event:
        assert report.status is Status.RESTORED
    else:
        assert "What a dead run had left raised was put back" in str(report.error)
    assert stopped_by_us(world.service("demo", "web")) == stopped_before
    assert capacity(world) == (TASKS, 1, TASKS)
    assert is_free(world)


# -- stop ------------------------------------------------------------------------------------------


def ask(bench: Bench, world: World, **event: Any) -> Report:  # noqa: ANN401 - what users send
    """Invoke the function beside the run that goes on; its calls take no time."""
    return bench.act(world, run_id="other", deadline_seconds=900, **event)


@pytest.mark.parametrize("seconds", sweep([60, 260, 15, 130, 190, 330, 370], quick=2))
def test_a_run_that_is_asked_to_stop_ends_after_the_task_in_hand(
    bench: Bench, seconds: int
) -> None:
    world = three_segments()
    guarded = quick_guarded(bench, world)
    answers: list[Report] = []
    world.at(seconds, lambda w: answers.append(without_latency(bench, w, action="stop")))

    report = guarded.recycle(**EVENT)

    assert answers[0].status is Status.STOPPING, world.elapsed
    assert report.status is Status.PARTIAL
    assert "was asked to stop" in str(report.reason)
    assert report.answer().as_json()["remaining"] != []
    assert capacity(world) == (TASKS, 1, TASKS)
    assert is_free(world)
    assert world.lowest_in_service() == TASKS


def without_latency(bench: Bench, world: World, **event: Any) -> Report:  # noqa: ANN401
    """Act at an instant at which something else is under way: no call may take time."""
    knobs, world.knobs = world.knobs, replace(world.knobs, latency=0.0)
    try:
        return ask(bench, world, **event)
    finally:
        world.knobs = knobs


def test_a_stop_in_a_long_pause_says_when_it_takes_effect_and_what_is_quicker(bench: Bench) -> None:
    world = World(knobs=AT_ONCE)
    a_service(world)
    guarded = Guarded(bench, world)
    guarded.invoke("run", {"wait_time": 7200})

    answer = ask(bench, world, action="stop").answer().as_json()

    resumes_at = record(world)["resumes_at"]
    assert answer["status"] == "stopping"
    assert answer["reason"] == (
        f"run run ends when its pause is over, at {resumes_at}; to end it at once, stop the "
        "guardian's execution run"
    )


def test_a_stop_without_a_run_says_so(bench: Bench) -> None:
    world = three_segments()

    answer = ask(bench, world, action="stop").answer().as_json()

    assert (answer["status"], answer["reason"]) == ("nothing_to_do", "no run is in progress")


def stop_execution(world: World) -> None:
    for execution in world.executions.values():
        execution.end("ABORTED", world.now)


@pytest.mark.parametrize("seconds", sweep(range(12, 500, 61), quick=3))
def test_an_execution_that_is_stopped_stops_its_run_wherever_it_is(
    bench: Bench, seconds: int
) -> None:
    world = three_segments()
    guarded = quick_guarded(bench, world)
    world.at(seconds, stop_execution)

    report = guarded.recycle(**EVENT)

    if guarded.execution("run") is None or report.status is Status.COMPLETED:
        assert seconds < 13 or report.answer().as_json()["remaining"] == []
    else:
        assert report.status is Status.PARTIAL
        assert "the guardian's execution is ABORTED" in str(report.reason)
    world.advance(300)
    assert capacity(world) == (TASKS, 1, TASKS)
    assert is_free(world)
    assert world.lowest_in_service() == TASKS


@pytest.mark.parametrize("died_at", [20, 31, 40])
def test_a_run_that_died_before_its_execution_was_stopped_is_restored_once_that_is_certain(
    bench: Bench, died_at: int
) -> None:
    """The invocation that is told of the end of the execution has its limit before that."""
    world = three_segments()
    guarded = quick_guarded(bench, world)
    world.kill_at(died_at)
    world.at(45, stop_execution)

    guarded.invoke("run", EVENT)
    guarded.walk("run")
    guarded.walk("run-restore")

    assert guarded.deaths == 1
    assert guarded.reports[-1].reason == "the guardian's execution is ABORTED"
    assert capacity(world) == (TASKS, 1, TASKS)
    assert is_free(world)


def test_a_stopped_execution_in_a_pause_is_restored_within_seconds(
    bench: Bench, measured: Callable[[str], None]
) -> None:
    world = three_segments()
    world.protect_task(world.service("demo", "web").active_tasks[0], minutes=60)
    guarded = quick_guarded(bench, world)
    world.at(1500, stop_execution)

    guarded.recycle(**EVENT)

    back_at = world.desired_history()[-1][0] - world.started_at
    measured(f"execution stopped in a pause: capacity back after {back_at - 1500:.1f} s")
    assert 1500 <= back_at <= 1510


# -- status ----------------------------------------------------------------------------------------


def test_status_says_where_the_run_stands_and_needs_no_right_but_reading(bench: Bench) -> None:
    world = three_segments()
    guarded = quick_guarded(bench, world)
    seen: list[dict[str, Any]] = []

    def look(w: World) -> None:
        w.faults.allow_only(["dynamodb:GetItem"])
        seen.append(without_latency(bench, w, action="status").answer().as_json()["run"])
        w.faults.allow_all()

    for seconds in (135, 400, 5000):
        world.at(seconds, look)
    guarded.recycle(**EVENT)
    world.advance(5000)

    first, second, last = seen
    assert (first["run_id"], first["state"], first["total"]) == ("run", "running", TASKS)
    assert first["awaited"].startswith("the replacement of arn:aws:ecs:")
    assert first["number"] < second["number"]
    assert second["minutes_left"] >= 1
    assert second["segments"] >= 1
    assert (last["state"], last["outcome"]) == ("ended", "completed")
    assert "awaited" not in last
    found = {"desired_count": TASKS, "min_capacity": 1, "max_capacity": TASKS}
    written = {"desired_count": TASKS + 1, "min_capacity": TASKS + 1, "max_capacity": TASKS + 1}
    assert [each["found"] for each in seen] == [found] * 3
    assert [each.get("written") for each in seen] == [written, written, None]
    assert [each.get("outcomes") for each in (first, second)] == [[], []]
    assert [each["tasks_recycled"] for each in last["outcomes"]] == [TASKS]


@pytest.mark.parametrize("failing_after", [0, 1], ids=["extra task", "replacement"])
def test_status_says_that_a_run_that_fails_puts_the_capacity_back(
    bench: Bench, failing_after: int
) -> None:
    world = World(knobs=Knobs(failing_starts=(FailingStart(after=failing_after),)))
    a_service(world)
    autoscaled(world, 1, 5)
    awaited: list[str] = []

    def look(w: World) -> None:
        run = without_latency(bench, w, action="status").answer().as_json()["run"]
        awaited.append(run["awaited"])

    world.after_call("UpdateService", 2, look)  # The raise, then the way back.
    report = Guarded(bench, world).recycle(wait_time=0)

    assert report.status is Status.FAILED
    assert awaited == ["the capacity to be restored"]
    assert capacity(world) == (3, 1, 5)


def test_status_says_that_what_a_dead_run_has_left_is_put_back(bench: Bench) -> None:
    world = World()
    a_service(world)
    world.kill_at(60)
    with suppress(Killed):
        bench.recycle(world, wait_time=0)
    world.revive()
    world.advance(1000)
    awaited: list[str] = []

    def look(w: World) -> None:
        run = without_latency(bench, w, action="status").answer().as_json()["run"]
        awaited.append(run["awaited"])

    world.after_call("UpdateService", 1, look)
    bench.recycle(world, action="restore")

    assert awaited == ["the capacity to be restored"]


def test_status_of_a_service_that_was_never_recycled(bench: Bench) -> None:
    world = three_segments()

    answer = ask(bench, world, action="status").answer().as_json()

    assert (answer["status"], answer["run"]) == ("status", {})
    assert answer["reason"] == "no run of the service in the last 90 days"


def test_status_names_one_run_and_answers_no_null(bench: Bench) -> None:
    world = World(knobs=KNOBS)
    a_service(world)
    bench.recycle(world, run_id="first", wait_time=0)

    body = ask(bench, world, action="status").answer().as_json()

    assert (
        re.findall(r'"run_id": "([^"]*)"', json.dumps({**body, "run": without(body["run"])})) == []
    )
    assert body["run"]["run_id"] == "first"
    assert "null" not in json.dumps(body)
    assert body["run"]["found"] == {"desired_count": 3}


def without(run: dict[str, Any]) -> dict[str, Any]:
    """Return what is told of a run beside its id and those of the runs before it."""
    return {name: value for name, value in run.items() if name not in ("run_id", "outcomes")}


def test_the_last_twenty_outcomes_of_a_service_are_kept_the_newest_first(bench: Bench) -> None:
    world = World(knobs=KNOBS)
    a_service(world, tasks=1)
    for number in range(22):
        world.advance(60)
        event: dict[str, Any] = {"started_before": "2020-01-01T00:00:00Z"} if number % 2 else {}
        bench.recycle(world, run_id=f"run-{number}", wait_time=0, **event)

    outcomes = ask(bench, world, action="status").answer().as_json()["run"]["outcomes"]

    # A run with nothing to do takes no record.
    assert [each["run_id"] for each in outcomes] == [f"run-{n}" for n in range(20, -1, -2)]
    assert {(each["status"], each["tasks_recycled"]) for each in outcomes} == {("completed", 1)}


def test_a_run_that_died_and_the_one_that_healed_it_leave_the_outcomes_before_them(
    bench: Bench,
) -> None:
    world = three_segments()
    bench.recycle(world, run_id="before", wait_time=0)
    world.advance(60)
    guarded = quick_guarded(bench, world)
    world.kill_at(world.elapsed + 40)

    guarded.recycle(**EVENT)

    outcomes = ask(bench, world, action="status").answer().as_json()["run"]["outcomes"]
    assert guarded.deaths == 1
    assert [each["run_id"] for each in outcomes] == ["run", "before"]


def test_an_outcome_that_is_restored_later_is_told_once_and_no_reason_is_long(
    bench: Bench,
) -> None:
    world = three_segments()
    guarded = quick_guarded(bench, world)
    world.after_call("StopTask", 1, lambda w: w.faults.deny("ecs:UpdateService"))
    seen: list[dict[str, Any]] = []

    def look(w: World) -> None:
        seen.append(without_latency(bench, w, action="status").answer().as_json()["run"])
        w.faults.allow_all()

    world.at(1100, look)
    guarded.recycle(wait_time=0)
    seen.append(ask(bench, world, action="status").answer().as_json()["run"])

    failed, restored = (each["outcomes"] for each in seen)
    assert [each["state"] for each in seen] == ["unrestored", "ended"]
    assert [(each["run_id"], each["status"]) for each in failed] == [("run", "failed")]
    assert [(each["run_id"], each["status"]) for each in restored] == [("run", "completed")]
    assert len(failed[0]["reason"]) == 200 < len(seen[0]["reason"])


# -- queue -----------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("part", range(2))
def test_after_a_queued_rotation_no_task_is_left_that_started_before_it(
    bench: Bench, part: int, seed: int, measured: Callable[[str], None]
) -> None:
    rng = random.Random(seed + part)
    outcomes: Counter[str] = Counter()
    for _ in range(ROTATIONS // 2):
        world = three_segments()
        guarded = quick_guarded(bench, world)
        rotated_at = world.started_at + rng.uniform(10, 560)
        asked: list[Report] = []
        world.at(
            rotated_at - world.started_at,
            lambda w, a=asked: (
                a.append(  # type: ignore[misc]
                    without_latency(bench, w, if_running="queue", maintain_service_state=False)
                )
                if record(w).get("state", "ended") in {"running", "handed_over"}
                else None
            ),
        )
        report = guarded.recycle(**EVENT)
        world.advance(max(0.0, rotated_at - world.now) + 300)
        outcomes[asked[0].status if asked else "not running"] += 1
        old = [
            t.arn for t in world.service("demo", "web").active_tasks if t.created_at < rotated_at
        ]
        assert report.status is Status.COMPLETED
        assert not (asked and old), f"rotated at {rotated_at - world.started_at}"
        assert capacity(world) == (TASKS, 1, TASKS)
        assert world.lowest_in_service() == TASKS
        assert is_free(world)
    measured(f"a rotation in the middle of a run: {dict(outcomes)}, no old task left")
    assert outcomes[Status.QUEUED] >= ROTATIONS // 4


def test_a_queued_instant_before_a_run_of_named_tasks_takes_only_what_is_older(
    bench: Bench,
) -> None:
    world = World()
    service = a_service(world, tasks=4)
    oldest, second, *younger = sorted(service.active_tasks, key=lambda task: task.created_at)
    border_at = as_utc(second.created_at + 1).isoformat()
    asked: list[Report] = []
    world.at(
        90,
        lambda w: asked.append(
            without_latency(bench, w, if_running="queue", started_before=border_at)
        ),
    )

    report = Guarded(bench, world).recycle(tasks=[younger[0].arn])

    assert asked[0].status is Status.QUEUED
    assert report.status is Status.COMPLETED, report.answer()
    assert stopped_by_us(service) == {oldest.arn, second.arn, younger[0].arn}


def test_a_request_queued_between_restoring_and_the_end_starts_from_what_was_found(
    bench: Bench,
) -> None:
    """No read that still shows the raised count is taken for what somebody wants."""
    world = World(knobs=replace(KNOBS, staleness=10.0), seed=3)
    service = a_service(world, tasks=TASKS)
    autoscaled(world, 1, TASKS)
    world.advance(20)
    asked: list[Report] = []
    # The first call that takes effect raises, the second restores.
    world.after_call(
        "UpdateService",
        2,
        lambda w: asked.append(without_latency(bench, w, if_running="queue")),
    )

    report = Guarded(bench, world).recycle()

    assert asked[0].status is Status.QUEUED
    assert report.status is Status.COMPLETED
    assert [count for _, count, _ in world.desired_history()] == [5, 6, 5, 6, 5]
    assert capacity(world) == (TASKS, 1, TASKS)
    assert (
        min(task.created_at for task in service.active_tasks)
        > asked[0].progress.started_at.timestamp()
    )


def queued_once_restored(
    bench: Bench,
    then: Callable[[World], object],
    **event: Any,  # noqa: ANN401 - what users send
) -> tuple[World, Report]:
    """Run, queue a request between restoring and the end, let something happen, and report."""
    world = World(knobs=KNOBS, seed=3)
    a_service(world, tasks=TASKS)
    world.advance(10)
    asked: list[Report] = []

    def ask(w: World) -> None:
        asked.append(without_latency(bench, w, if_running="queue"))
        then(w)

    # The first call that takes effect raises, the second restores.
    world.after_call("UpdateService", 2, ask)
    report = bench.recycle(world, wait_time=5, stabilize_timeout=300, **event)
    assert asked[0].status is Status.QUEUED
    return world, report


def protect_all(world: World, *, minutes: float = 4) -> None:
    for task in world.service("demo", "web").active_tasks:
        world.protect_task(task, minutes=minutes)


@pytest.mark.slow
def test_a_queued_request_whose_first_reads_fail_is_served_once_they_are_answered(
    bench: Bench,
) -> None:
    world, report = queued_once_restored(
        bench, lambda w: w.faults.fail("ListTasks", times=20, code="ServerException")
    )

    assert report.status is Status.COMPLETED
    assert report.answer().as_json()["tasks_recycled"] == 2 * TASKS
    assert capacity(world)[0] == TASKS
    assert is_free(world)


def test_a_queued_request_that_cannot_be_served_ends_the_run_with_a_sentence(
    bench: Bench,
) -> None:
    world, report = queued_once_restored(bench, lambda w: w.faults.deny("ecs:ListTasks"))

    assert isinstance(report.error, PreconditionError)
    assert "ecs:ListTasks" in str(report.reason)
    assert "was not served" in str(report.reason)
    assert capacity(world)[0] == TASKS
    assert is_free(world)


def test_a_request_queued_while_a_run_that_was_stopped_restores_is_not_dropped_in_silence(
    bench: Bench,
) -> None:
    world = World(knobs=KNOBS, seed=3)
    a_service(world, tasks=TASKS)
    world.advance(10)
    asked: list[Report] = []
    world.at(50, lambda w: without_latency(bench, w, action="stop"))
    world.after_call(
        "UpdateService",
        2,
        lambda w: asked.append(without_latency(bench, w, if_running="queue")),
    )

    report = bench.recycle(world, wait_time=5, stabilize_timeout=300)

    assert asked[0].status is Status.QUEUED
    assert report.status is Status.PARTIAL
    assert str(report.reason).count("was not served") == 1
    assert record(world)["reason"] == report.reason
    assert is_free(world)


def test_what_was_stopping_when_a_queued_request_came_is_not_told_of_as_stopping_still(
    bench: Bench,
) -> None:
    world = World(knobs=replace(KNOBS, drain=150.0, replaces_after_stopped=False))
    a_service(world)
    asked: list[Report] = []
    world.after_call(
        "UpdateService",
        2,
        lambda w: asked.append(without_latency(bench, w, if_running="queue")),
    )

    tasks = bench.recycle(world, wait_time=60).answer().as_json()["tasks"]

    assert asked[0].status is Status.QUEUED
    stopped = [task for task in tasks if task["seconds_to_stop"] is not None]
    assert len(tasks) == 6
    assert len(stopped) >= 3
    assert not any("still_stopping" in task for task in stopped)


def scaled_to_zero(world: World) -> None:
    world.set_desired_count("demo", "web", 0)


def scaled_above_the_maximum(world: World) -> None:
    autoscaled(world, 1, TASKS)
    # Once autoscaling has moved the count into the limits.
    world.at(world.elapsed + 13, lambda w: w.set_desired_count("demo", "web", TASKS + 4))


def deployed(world: World) -> None:
    service = world.service("demo", "web")
    service.knobs = replace(service.knobs, pending=200.0)
    world.start_deployment("demo", "web")


@pytest.mark.parametrize("change", [scaled_to_zero, scaled_above_the_maximum, deployed])
def test_a_queued_request_raises_nothing_where_a_run_of_its_own_would_not(
    bench: Bench, change: Callable[[World], None]
) -> None:
    world, report = queued_once_restored(bench, change)

    counts = [count for _, count, by in world.desired_history() if by != "third party"]
    assert counts.count(TASKS + 1) == 1
    assert max(counts) == TASKS + 1
    is_served = change is scaled_to_zero
    assert report.status is (Status.COMPLETED if is_served else Status.PARTIAL), report.reason
    assert ("was not served" in str(report.reason)) is not is_served
    assert is_free(world)


@pytest.mark.slow
def test_with_every_task_protected_a_queued_request_raises_nothing_until_one_is_free(
    bench: Bench,
) -> None:
    world, report = queued_once_restored(bench, protect_all)

    assert report.status is Status.COMPLETED
    instants = [at for at, _, _ in world.desired_history()]
    assert instants[3] - instants[2] > 230


def test_with_every_task_protected_a_queued_request_that_skips_them_raises_nothing(
    bench: Bench,
) -> None:
    """ECS could take none of them away again, and would refuse to renew a protection."""
    world, report = queued_once_restored(bench, protect_all, protected_tasks="skip")

    assert report.status is Status.PARTIAL
    assert "under scale-in protection: 6 of 11 tasks" in str(report.reason)
    assert [count for _, count, _ in world.desired_history()] == [TASKS, TASKS + 1, TASKS]
    assert is_free(world)


def test_what_is_left_of_a_queued_request_is_gone_on_with_by_what_the_mail_says(
    bench: Bench,
) -> None:
    """One task was just starting, with the old secret, and RUNNING only after the instant."""
    world = World(knobs=replace(KNOBS, pending=40.0), seed=3)
    service = a_service(world, tasks=2)
    world.advance(10)
    asked: list[Report] = []

    def ask(w: World) -> None:
        asked.append(without_latency(bench, w, if_running="queue"))

    world.after_call("StopTask", 2, lambda w: w.at(w.elapsed + 15, ask))
    report = bench.recycle(world, deadline_seconds=360, wait_time=0, stabilize_timeout=120)
    assert asked[0].status is Status.QUEUED
    assert report.status is Status.PARTIAL
    assert 'and if_running "queue"' in str(report.reason)
    words = shlex.split(command_for_the_rest(report.answer(), FunctionContext()))

    again = bench.recycle(world, **json.loads(words[words.index("echo") + 1]))

    assert again.status is Status.COMPLETED
    instant = asked[0].progress.started_at.timestamp()
    assert min(task.created_at for task in service.active_tasks) > instant


def test_a_queued_request_that_the_record_cannot_hold_is_not_served_and_said_so(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "TASKS_LIMIT", TASKS + 1)
    world = three_segments()
    world.at(200, lambda w: without_latency(bench, w, if_running="queue"))

    report = quick_guarded(bench, world).recycle(**EVENT)

    assert report.status is Status.PARTIAL
    assert "tasks of a queued request do not fit into its record" in str(report.reason)
    assert "was not served" in str(report.reason)
    assert report.answer().as_json()["tasks_recycled"] == TASKS
    assert capacity(world) == (TASKS, 1, TASKS)
    assert is_free(world)


def test_a_queued_instant_far_ahead_is_served_and_not_waited_for(bench: Bench) -> None:
    """The run was handed over for it without a pause, for as long as an execution may last."""
    world = World(knobs=KNOBS, seed=3)
    a_service(world, tasks=2)
    world.advance(20)
    ahead = {"queued_before_at": "2030-01-01T00:00:00+00:00"}
    world.at(60, lambda w: w.put_item(RUNS_TABLE, record(w) | ahead))
    guarded = Guarded(bench, world, states_limit=40)

    report = guarded.recycle(wait_time=30)

    assert report.status is Status.COMPLETED
    assert guarded.invocations < 4


def test_a_queued_request_that_comes_too_late_is_to_be_repeated(bench: Bench) -> None:
    """With the instant of the run there would be nothing to do."""
    world, report = queued_once_restored(bench, lambda _: None, deadline_seconds=270)

    assert report.status is Status.PARTIAL
    assert "; repeat the queued request. The request to recycle also" in str(report.reason)
    assert report.answer().as_json()["remaining"] == []
    assert is_free(world)


@pytest.mark.slow
def test_the_later_of_two_queued_requests_counts(bench: Bench) -> None:
    world = three_segments()
    guarded = quick_guarded(bench, world)
    early, late = "2026-01-05T09:00:20+00:00", "2026-01-05T09:01:30+00:00"
    for seconds, instant in ((100, late), (110, early)):
        world.at(
            seconds,
            lambda w, t=instant: without_latency(  # type: ignore[misc]
                bench, w, if_running="queue", started_before=t
            ),
        )

    report = guarded.recycle(**EVENT)

    assert report.answer().as_json()["started_before"] == late


def test_the_same_request_delivered_twice_is_not_queued(bench: Bench) -> None:
    world = three_segments()
    guarded = quick_guarded(bench, world)
    seen: list[Report] = []

    def again(w: World) -> None:
        w.knobs = replace(w.knobs, latency=0.0)
        seen.append(bench.act(w, run_id="run", deadline_seconds=900, if_running="queue"))

    world.at(100, again)
    report = guarded.recycle(if_running="queue", **EVENT)

    assert isinstance(seen[0].error, AlreadyRunningError)
    assert report.answer().as_json()["tasks_recycled"] == TASKS


# -- time ------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_no_task_is_stopped_that_could_not_be_replaced_in_the_given_time(bench: Bench) -> None:
    world = World(knobs=AT_ONCE)
    service = a_service(world, tasks=30)
    guarded = Guarded(bench, world)

    report = guarded.recycle(finish_within_minutes=20)

    assert report.status is Status.PARTIAL
    assert "finish_within_minutes ends at" in str(report.reason)
    assert world.elapsed < 20 * 60
    assert 12 <= len(stopped_by_us(service)) < 20
    assert capacity(world)[0] == 30


def test_a_protected_task_is_not_waited_for_beyond_the_given_time(bench: Bench) -> None:
    world = World(knobs=AT_ONCE)
    service = a_service(world)
    world.protect_task(service.active_tasks[0], minutes=600)

    report = Guarded(bench, world).recycle(finish_within_minutes=20)

    assert report.status is Status.PARTIAL
    assert "under scale-in protection: 1 of 3 tasks, and finish_within" in str(report.reason)
    assert 15 * 60 < world.desired_history()[-1][0] - world.started_at < 20 * 60
    assert capacity(world)[0] == 3


@pytest.mark.parametrize("is_guarded", [True, False])
def test_a_turn_is_not_waited_for_beyond_the_given_time(bench: Bench, *, is_guarded: bool) -> None:
    world = World(knobs=AT_ONCE)
    service = a_service(world)

    def fall_short_for_long(w: World) -> None:
        service.knobs = replace(service.knobs, pending=350.0)
        w.crash_task(max(service.active_tasks, key=lambda task: task.created_at))

    world.at(100, fall_short_for_long)
    event: dict[str, Any] = {"finish_within_minutes": 7}

    report = Guarded(bench, world).recycle(**event) if is_guarded else bench.recycle(world, **event)

    assert report.status is Status.PARTIAL, report.reason
    stopped = [task for task in service.tasks if task.arn in stopped_by_us(service)]
    assert max(asked_to_stop_at(task) for task in stopped) - world.started_at < 7 * 60 - 40
    assert capacity(world)[0] == 3


@pytest.mark.slow
def test_a_large_service_is_completed(bench: Bench, measured: Callable[[str], None]) -> None:
    world = World(knobs=AT_ONCE)
    service = a_service(world, tasks=LARGE)
    originals = {task.arn for task in service.active_tasks}
    guarded = Guarded(bench, world)

    report = guarded.recycle(wait_time=0)

    assert report.status is Status.COMPLETED
    assert stopped_by_us(service) == originals
    assert world.lowest_in_service() == LARGE
    measured(
        f"{LARGE} tasks: {guarded.invocations} invocations in {world.elapsed / 3600:.1f} h, "
        f"{guarded.events} events, at most {guarded.largest_bytes} bytes between states, "
        f"{len(record(world)['memory'])} bytes of memory in the record, "
        f"{len(world.calls) / LARGE:.1f} calls a task"
    )
    assert guarded.events < 25_000 * LARGE / 1200
    # What passes between two states does not grow with the service.
    assert guarded.largest_bytes < 2_000


@pytest.mark.slow
def test_a_protection_that_ends_after_47_hours_is_waited_for_at_no_cost(
    bench: Bench, measured: Callable[[str], None]
) -> None:
    world = World(knobs=AT_ONCE)
    service = a_service(world)
    worker = service.active_tasks[0]
    world.protect_task(worker, minutes=47 * 60)
    guarded = Guarded(bench, world)

    report = guarded.recycle()

    share = guarded.billed_seconds / world.elapsed
    measured(
        f"47 hours of protection: {guarded.invocations} invocations, {guarded.events} events, "
        f"{share:.2%} of the time computed"
    )
    assert report.status is Status.COMPLETED
    assert worker.arn in stopped_by_us(service)
    assert share < 0.01
    assert guarded.events < 25_000
    assert stopped_under_protection(world) == []


@pytest.mark.slow
def test_replacements_are_noticed_as_quickly_in_every_segment(bench: Bench) -> None:
    world = World(knobs=AT_ONCE)
    a_service(world, tasks=5)

    report = Guarded(bench, world).recycle(wait_time=900)

    seconds = report.progress.seconds_to_replace
    assert report.progress.segments >= 5
    assert max(seconds) < 60


def test_the_pause_is_kept_after_a_task_that_the_next_invocation_finds_replaced(
    bench: Bench,
) -> None:
    world = World(knobs=AT_ONCE)
    service = a_service(world)

    def start_slowly(w: World) -> None:
        service.knobs = replace(service.knobs, pending=400.0)
        w.at(w.elapsed + 100, lambda _: setattr(service, "knobs", AT_ONCE))

    world.after_call("StopTask", 2, start_slowly)

    report = Guarded(bench, world, limit_seconds=400).recycle(wait_time=100)

    assert report.status is Status.COMPLETED
    assert report.progress.segments > 1
    stops = sorted(asked_to_stop_at(task) for task in service.tasks if task.stop_cause)[:3]
    whole = [at for at, count in world.in_service_history() if count == 4]
    assert min(stop - max(at for at in whole if at < stop) for stop in stops[1:]) >= 100


def test_an_invocation_that_another_one_forestalls_leaves_the_run_and_its_guardian_to_that(
    bench: Bench,
) -> None:
    world = three_segments()
    guarded = quick_guarded(bench, world)
    guarded.invoke("run", EVENT)
    world.advance(100)

    def forestall(w: World) -> None:
        item = record(w)
        dead_at = as_utc(w.now + 260).isoformat()
        taken = {"owner": "twin", "version": item["version"] + 1, "state": "running"}
        w.put_item(RUNS_TABLE, item | taken | {"owner_dead_at": dead_at})

    world.after_call("GetItem", 1, forestall)
    answer = guarded.segment("run")
    guarded.walk("run")

    assert (answer["continues"], answer["wait_seconds"]) == (True, 60)
    assert guarded.reports[-1].status is Status.COMPLETED
    execution = guarded.execution("run")
    assert execution is not None
    assert execution.status == "SUCCEEDED"
    assert capacity(world) == (TASKS, 1, TASKS)


def test_an_invocation_that_sees_only_the_new_task_waits_for_its_container_health(
    bench: Bench,
) -> None:
    world = World(knobs=replace(AT_ONCE, container_health_default=500.0))
    service = a_service(world, tasks=1, target_group=False, container_health=True)
    (old,) = service.active_tasks
    # What stops has no health any more.
    world.at(60, lambda w: w.forget_health(old))

    report = Guarded(bench, world, limit_seconds=400).recycle(
        maintain_service_state=False, wait_time=0
    )

    assert report.status is Status.COMPLETED
    assert report.progress.segments > 1
    assert service.in_service_count == 1


def test_without_lambdas_limit_a_guarded_run_goes_on_as_well(bench: Bench) -> None:
    world = World(knobs=AT_ONCE)
    a_service(world)

    report = bench.act(world, run_id="run", deadline_seconds=math.inf, guardian_arn=MACHINE_ARN)

    assert report.status is Status.COMPLETED


def test_a_record_that_cannot_be_read_for_a_while_is_read_again(bench: Bench) -> None:
    world = World()
    service = a_service(world)
    originals = {task.arn for task in service.active_tasks}
    world.after_call("StopTask", 2, lambda w: w.kill())
    world.faults.fail("GetItem", nth=2, times=12, code="ServerException")
    guarded = Guarded(bench, world)

    report = guarded.recycle()

    assert guarded.deaths == 1
    assert report.status is Status.COMPLETED
    assert stopped_by_us(service) == originals
    assert capacity(world)[0] == 3


def test_an_invocation_that_comes_before_the_end_of_a_pause_waits_for_it(bench: Bench) -> None:
    world = World(knobs=AT_ONCE)
    a_service(world)
    guarded = Guarded(bench, world)
    guarded.invoke("run", {"wait_time": 3600})
    changed_before = changes(world)

    answer = guarded.segment("run")

    assert guarded.reports[-1].status is Status.CONTINUED
    resumes_at = datetime.fromisoformat(record(world)["resumes_at"]).timestamp()
    assert answer["continues"] is True
    assert answer["wait_seconds"] == math.ceil(resumes_at - world.now) > 3000
    assert changes(world) == changed_before


def test_an_invocation_whose_first_reads_fail_reads_again(bench: Bench) -> None:
    world = World()
    service = a_service(world)
    originals = {task.arn for task in service.active_tasks}

    def kill(dying: World) -> None:
        dying.kill()
        dying.faults.fail("DescribeServices", nth=2, times=12, code="ThrottlingException")

    world.after_call("StopTask", 2, kill)

    report = Guarded(bench, world).recycle()

    assert report.status is Status.COMPLETED
    assert stopped_by_us(service) == originals


@pytest.mark.parametrize("times", [16, 60])
def test_an_outage_when_a_run_is_taken_over_leaves_nothing_raised(bench: Bench, times: int) -> None:
    world = three_segments()

    def kill(dying: World) -> None:
        dying.kill()
        dying.faults.fail("DescribeServices", times=times, code="ThrottlingException")

    world.after_call("StopTask", 2, kill)

    report = quick_guarded(bench, world).recycle(**EVENT)

    assert report.status is (Status.COMPLETED if times == 16 else Status.PARTIAL)
    assert capacity(world) == (TASKS, 1, TASKS)
    assert is_free(world)


@pytest.mark.slow
def test_an_outage_of_the_table_when_a_run_is_taken_over_is_sat_out(bench: Bench) -> None:
    world = three_segments()
    guarded = Guarded(bench, world)

    def kill(dying: World) -> None:
        dying.kill()
        dying.faults.fail("UpdateItem", times=60, after_effect=True)

    world.after_call("StopTask", 2, kill)

    report = guarded.recycle(**EVENT)

    assert report.status is Status.COMPLETED
    assert capacity(world) == (TASKS, 1, TASKS)
    assert is_free(world)


@pytest.mark.slow
def test_an_event_that_comes_once_more_after_another_run_raises_nothing(bench: Bench) -> None:
    world = three_segments()
    guarded = quick_guarded(bench, world)
    guarded.recycle(**EVENT)
    guarded.recycle("other", wait_time=0)
    history = world.desired_history()

    guarded.invoke("run", EVENT)

    report = guarded.reports[-1]
    assert (report.status, report.reason) == (
        Status.PARTIAL,
        "the guardian's execution is SUCCEEDED",
    )
    assert world.desired_history() == history
    assert is_free(world)


def test_a_service_that_does_not_become_whole_is_not_handed_over_for_ever(bench: Bench) -> None:
    world = World()
    a_service(world)
    world.at(200, lambda w: w.take_group_out_of_use("demo", "web"))
    guarded = Guarded(bench, world, states_limit=30)

    report = guarded.recycle(wait_time=200, stabilize_timeout=840)

    assert isinstance(report.error, StepTimeoutError)
    assert "tasks in service to stop task" in str(report.error)
    assert guarded.invocations <= 4
    assert capacity(world)[0] == 3


@pytest.mark.slow
def test_slow_starters_begin_and_finish(bench: Bench) -> None:
    world = World(knobs=Knobs(pending=330.0))
    service = a_service(world, tasks=2)
    originals = {task.arn for task in service.active_tasks}

    report = Guarded(bench, world).recycle(wait_time=0)

    assert report.status is Status.COMPLETED
    assert stopped_by_us(service) == originals
    assert world.lowest_in_service() == 2


@pytest.mark.parametrize("chained_count", [0, 6])
def test_what_an_execution_carries_is_far_from_the_longest_input(
    bench: Bench, chained_count: int
) -> None:
    """EventBridge leaves an input out of an event that it would make too long."""
    names = {"cluster_name": "c" * 255, "service_name": "s" * 255}
    found = Capacity(desired_count=5_000, min_capacity=5_000, max_capacity=5_000)
    guardian = Guardian(
        bench.session.as_session(), machine_arn=MACHINE_ARN, run_id="r" * 80, names=names
    )
    world = bench.board.world = World()

    guardian.start(world.clock, deadline_at=float("inf"), scale_up=ScaleUp.by_one(found))

    (execution,) = world.executions.values()
    text = execution.input
    for _ in range(chained_count):
        # Somebody stops each execution that restores: each carries the input of the one before.
        text = json.dumps({"detail": {"status": "ABORTED", "input": text}})
    assert len(text) < INPUT_LIMIT_BYTES / 8
