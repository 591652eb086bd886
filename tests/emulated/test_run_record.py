"""The run record: who owns it acts, who lost it does not; what it says is checked before use."""

from __future__ import annotations

import json
import lzma
from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecs_emulator import Killed, World
from ecs_emulator.neighbours.tables import RUNS_TABLE
from ecs_task_recycle.errors import AlreadyRunningError, OwnershipLostError, PreconditionError
from ecs_task_recycle.outcome import Status
from ecs_task_recycle.record.packing import packed, unpacked
from tests.emulated.bench import (
    CLUSTER,
    SERVICE,
    a_service,
    capacity,
    is_free,
    record,
    stopped_by_us,
    sweep,
)
from tests.emulated.guarded import Guarded
from tests.emulated.quick import (
    FOUND,
    KNOBS,
    OWNER_IS_DEAD_SECONDS,
    QUICK,
    another_run_starts,
    quick_world,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from ecs_emulator import Call
    from ecs_task_recycle.report.report import Report
    from tests.emulated.bench import Bench


def put(world: World, **attributes: Any) -> None:  # noqa: ANN401 - whatever stands in a table
    world.put_item(RUNS_TABLE, {"service": f"{CLUSTER}/{SERVICE}", **attributes})


@pytest.fixture(scope="module")
def left(bench: Bench) -> dict[str, Any]:
    """The record of a run that was killed after it had raised."""
    world = quick_world()
    world.kill_at(world.elapsed + 20)
    with pytest.raises(Killed):
        bench.recycle(world, **QUICK)
    return record(world)


# -- owning it -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_run_that_lost_its_record_stops_nothing_more_and_restores_nothing(
    bench: Bench, measured: Callable[[str], None]
) -> None:
    world = quick_world()
    bench.recycle(world, **QUICK)
    calls = [call for call in world.calls if call.error_code is None]
    failed = {}
    for number, call in enumerate(calls, start=1):
        if bad := _acts_after_losing(bench, number):
            failed[number, call.operation] = bad
    measured(
        f"lost its record at any call: nothing more in {len(calls) - len(failed)} of {len(calls)}"
    )
    assert failed == {}


def _acts_after_losing(bench: Bench, number: int) -> str | None:
    """Take the record away after the n-th call that took effect; return what was done wrong."""
    world = quick_world()
    lost: list[Call] = []

    def take_away(w: World) -> None:
        another_run_starts(w)
        lost.append(w.calls[-1])

    world.after_call(None, number, take_away)
    report = bench.recycle(world, **QUICK)
    if not lost:
        return None if report.status is Status.COMPLETED else str(report.reason)
    after = world.calls[lost[0].number :]
    stops = [call for call in after if call.operation == "StopTask" and call.wrote]
    # Nothing lies between a renewal and its stop: a loss right there cannot be seen.
    if len(stops) > (lost[0].operation == "UpdateItem"):
        return f"{len(stops)} stops"
    refused = [
        call.number for call in after if call.error_code == "ConditionalCheckFailedException"
    ]
    told_at = min(refused, default=len(world.calls))
    writes = [call.operation for call in after if call.wrote and call.number > told_at]
    if writes:
        return f"wrote after it had lost: {writes}"
    if record(world)["owner"] != "other":
        return "took the record back"
    is_told = isinstance(report.error, OwnershipLostError | AlreadyRunningError)
    return None if is_told or capacity(world) == FOUND else str(report.reason)


def test_lost_ownership_is_an_error_of_its_own_that_names_the_other_run(bench: Bench) -> None:
    world = quick_world()
    world.after_call("StopTask", 2, another_run_starts)

    report = bench.recycle(world, **QUICK)

    assert isinstance(report.error, OwnershipLostError)
    assert "run other has taken it over" in str(report.error)
    assert record(world)["owner"] == "other"
    assert capacity(world)[0] == FOUND[0] + 1


@pytest.mark.parametrize("event", [{}, {"if_running": "queue"}], ids=["refuse", "queue"])
@pytest.mark.parametrize("dies", [False, True], ids=["ended", "died"])
def test_an_event_that_is_delivered_once_more_after_its_run_recycles_nothing_again(
    bench: Bench, event: dict[str, Any], *, dies: bool
) -> None:
    world = quick_world()
    service = world.service(CLUSTER, SERVICE)
    if dies:
        world.kill_at(world.elapsed + 20)
    with pytest.raises(Killed) if dies else nullcontext():
        bench.recycle(world, run_id="request", **QUICK, **event)
    world.revive()
    world.advance(OWNER_IS_DEAD_SECONDS)
    stopped_before = stopped_by_us(service)

    report = bench.recycle(world, run_id="request", **QUICK, **event)

    if dies:
        assert report.status is Status.COMPLETED
        return
    assert isinstance(report.error, AlreadyRunningError)
    assert "has ended already, as completed" in str(report.error)
    assert not report.is_worth_a_mail
    assert stopped_by_us(service) == stopped_before
    assert record(world)["status"] == "completed"
    assert capacity(world) == FOUND


@pytest.mark.slow
def test_a_chain_of_200_dead_runs_is_healed(bench: Bench) -> None:
    world = quick_world()
    for number in range(200):
        world.kill_at(world.elapsed + 3 + number % 40)
        with pytest.raises(Killed):
            bench.recycle(world, **{**QUICK, "wait_time": 600})
        world.revive()
        world.advance(OWNER_IS_DEAD_SECONDS)

    report = bench.recycle(world, **QUICK)

    assert report.status in {Status.COMPLETED, Status.NOTHING_TO_DO}
    assert capacity(world) == FOUND
    assert is_free(world)


@pytest.mark.parametrize("seed", sweep([3, 92, 10]))
def test_a_run_without_an_extra_task_lets_ecs_take_away_that_of_a_dead_one_first(
    bench: Bench, seed: int
) -> None:
    """It stopped a task while ECS stopped another one, which stale reads did not show yet."""
    knobs = replace(KNOBS, staleness=10.0, scheduler_interval=(1.0, 10.0))
    world = World(knobs=knobs, seed=seed)
    a_service(world)
    world.advance(20)
    world.kill_at(world.elapsed + 60)
    with pytest.raises(Killed):
        bench.recycle(world, wait_time=60)
    world.revive()
    world.advance(OWNER_IS_DEAD_SECONDS)

    report = bench.recycle(world, wait_time=0, maintain_service_state=False)

    assert report.status is Status.COMPLETED
    assert world.lowest_in_service() == 2
    assert capacity(world)[0] == 3


def killed_with_a_queued_request(bench: Bench, world: World, *, after: int = 1) -> float:
    """Kill a run of one named task seconds after another request was queued; return when it was.

    There is no guardian.
    """
    named = min(task.arn for task in world.service(CLUSTER, SERVICE).active_tasks)
    queued_at = world.now + 19
    asked: list[Report] = []

    def ask(w: World) -> None:
        knobs, w.knobs = w.knobs, replace(w.knobs, latency=0.0)
        asked.append(bench.recycle(w, run_id="other", if_running="queue"))
        w.knobs = knobs

    world.at(world.elapsed + 19, ask)
    world.kill_at(world.elapsed + 19 + after)
    with pytest.raises(Killed):
        bench.recycle(world, tasks=[named], **QUICK)
    assert asked[0].status is Status.QUEUED
    world.revive()
    world.advance(OWNER_IS_DEAD_SECONDS)
    return queued_at


@pytest.mark.parametrize("after", sweep([1, 40, 30, 60], quick=2))
def test_what_was_queued_for_a_dead_run_is_served_by_the_next(bench: Bench, after: int) -> None:
    """Whether the dead run had not come so far, or had taken it up."""
    world = quick_world()
    service = world.service(CLUSTER, SERVICE)
    queued_at = killed_with_a_queued_request(bench, world, after=after)
    youngest = max(service.active_tasks, key=lambda task: task.created_at)

    report = bench.recycle(world, run_id="next", tasks=[youngest.arn], **QUICK)

    assert report.status is Status.COMPLETED
    assert min(task.created_at for task in service.active_tasks) > queued_at
    assert capacity(world) == FOUND
    assert is_free(world)


@pytest.mark.parametrize("after", sweep([1, 40, 30, 60], quick=2))
def test_restoring_what_a_dead_run_left_says_that_it_did_not_serve_what_was_queued(
    bench: Bench, after: int
) -> None:
    world = quick_world()
    killed_with_a_queued_request(bench, world, after=after)

    report = bench.recycle(world, run_id="next", action="restore")
    afterwards = bench.recycle(world, run_id="last", older_than_hours=1000, **QUICK)

    assert report.status is Status.RESTORED
    assert "The request to recycle also the tasks created before" in str(report.reason)
    assert "was not served" in str(report.reason)
    assert afterwards.status is Status.NOTHING_TO_DO
    assert capacity(world) == FOUND


def test_a_write_whose_answer_was_lost_is_known_as_ones_own(bench: Bench) -> None:
    world = quick_world()
    world.faults.fail("UpdateItem", nth=2, times=1, after_effect=True)

    assert bench.recycle(world, **QUICK).status is Status.COMPLETED
    assert is_free(world)


def test_a_write_whose_answers_are_all_lost_is_not_taken_for_the_next_one(bench: Bench) -> None:
    """That one, which closes the record, has the same owner and version."""
    world = quick_world()

    def lose_the_answers_to_the_last_renewal(w: World) -> None:
        w.faults.fail("UpdateItem", times=30, after_effect=True)

    world.after_call(
        "StopTask", 2, lambda w: w.at(w.elapsed + 5, lose_the_answers_to_the_last_renewal)
    )

    report = bench.recycle(world, **QUICK)

    assert report.status is Status.COMPLETED
    assert record(world)["status"] == "completed"
    assert is_free(world)


def test_a_table_that_does_not_answer_ends_the_run_with_its_capacity_restored(
    bench: Bench,
) -> None:
    world = quick_world()
    world.at(30, lambda w: w.faults.fail("UpdateItem", times=None, code="InternalServerError"))

    report = bench.recycle(world, **QUICK)

    assert report.status is Status.FAILED
    assert "dynamodb:UpdateItem" in str(report.reason)
    assert capacity(world) == FOUND
    assert len(stopped_by_us(world.service(CLUSTER, SERVICE))) <= 1


@pytest.mark.parametrize("wait_time", [5, 560], ids=["at a renewal", "at the hand-over"])
def test_a_table_that_is_deleted_ends_the_run_with_its_capacity_restored(
    bench: Bench, wait_time: int
) -> None:
    world = World(knobs=quick_world().knobs)
    a_service(world, tasks=3)
    world.after_call("StopTask", 1, lambda w: w.drop_table(RUNS_TABLE))
    guarded = Guarded(bench, world)

    guarded.invoke("run", {"wait_time": wait_time})

    report = guarded.reports[-1]
    assert report.status in {Status.FAILED, Status.PARTIAL}
    assert "could not be closed" in str(report.reason)
    assert capacity(world)[0] == 3


def test_a_run_that_has_just_ended_is_let_settle_before_the_next_reads(bench: Bench) -> None:
    world = World(knobs=replace(quick_world().knobs, staleness=10))
    a_service(world, tasks=2)
    world.advance(10)
    for _ in range(5):
        assert bench.recycle(world, wait_time=0).status is Status.COMPLETED
    assert capacity(world)[0] == 2


@pytest.mark.parametrize("seed", sweep([3, 5, 7, 8, 10]))
def test_it_is_let_settle_also_where_its_machine_s_clock_was_ahead(bench: Bench, seed: int) -> None:
    """Reads that still showed the raised count were taken for what somebody wants."""
    world = World(knobs=replace(KNOBS, staleness=10.0), seed=seed)
    a_service(world, tasks=2)
    world.advance(20)
    bench.recycle(world, wait_time=0)
    item = record(world)
    ended_at = datetime.fromisoformat(item["ended_at"]) + timedelta(seconds=2)
    put(world, **item | {"ended_at": ended_at.isoformat()})

    assert bench.recycle(world, wait_time=0).status is Status.COMPLETED
    assert capacity(world)[0] == 2


# -- reading it ------------------------------------------------------------------------------------


def refused(bench: Bench, world: World) -> str:
    report = bench.recycle(world, **QUICK)
    assert isinstance(report.error, PreconditionError)
    assert world.writes == []
    return str(report.error)


def test_without_the_table_the_command_that_makes_it_is_named(bench: Bench) -> None:
    world = quick_world()
    world.drop_table(RUNS_TABLE)

    assert "aws dynamodb create-table --table-name ecs-task-recycle-runs" in refused(bench, world)


@pytest.mark.parametrize("change", [{"format": 3}, {"format": 0}, {"format": None}])
def test_a_record_of_another_version_is_refused(
    bench: Bench, left: dict[str, Any], change: dict[str, Any]
) -> None:
    world = quick_world()
    put(world, **{**left, **change})

    assert "is not one that this version understands: its format is" in refused(bench, world)


def test_what_a_run_of_the_version_before_has_raised_is_restored(
    bench: Bench, left: dict[str, Any]
) -> None:
    """Its memory is packed in another way, so it is not read; what to restore is no part of it."""
    world = quick_world()
    bench.recycle(world, **QUICK)
    world.set_desired_count("demo", "web", left["written"]["desired_count"])
    put(world, **{**left, "format": 1, "memory": b"of another kind"})
    world.advance(3600)

    report = bench.recycle(world, action="restore")

    assert report.status is Status.RESTORED
    assert capacity(world) == FOUND
    assert record(world)["format"] == 2


PAST: Final[dict[str, Any]] = {
    "run_id": "earlier",
    "ended_at": "2026-01-01T00:00:00+00:00",
    "status": "completed",
    "tasks_recycled": 3,
}

HOSTILE: dict[str, dict[str, Any]] = {
    "negative count": {"found": {"desired_count": -1, "min_capacity": None, "max_capacity": None}},
    "half a count": {"found": {"desired_count": 1.5, "min_capacity": None, "max_capacity": None}},
    "a hundred more": {
        "written": {"desired_count": 102, "min_capacity": None, "max_capacity": None}
    },
    "only what was found": {"written": None},
    "half of the limits": {
        "found": {"desired_count": 2, "min_capacity": 1, "max_capacity": None},
    },
    "limits that are none": {
        "found": {"desired_count": 2, "min_capacity": 5, "max_capacity": 1},
        "written": {"desired_count": 3, "min_capacity": 5, "max_capacity": 3},
    },
    "no instant": {"owner_dead_at": "yesterday"},
    "no zone": {"owner_dead_at": "2026-01-01T00:00:00"},
    "no owner": {"owner": ""},
    "a state of its own": {"state": "resting"},
    "a memory that is none": {"memory": b"none"},
    "a memory of other things": {"memory": packed({"plan": 1})},
    "a memory that is a bomb": {"memory": lzma.compress(b" " * 2**26)},
    "a version that is none": {"version": "1"},
    "outcomes that are none": {"outcomes": [1]},
    "outcomes of other things": {"outcomes": '[{"run_id": 1}]'},
    "more outcomes than are kept": {"outcomes": json.dumps([PAST] * 21)},
    "an outcome that tells a long story": {"outcomes": json.dumps([{**PAST, "reason": "x" * 201}])},
    "an outcome of less than no task": {"outcomes": json.dumps([{**PAST, "tasks_recycled": -1}])},
    "outcomes without an end": {"outcomes": "[" * 50_000},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_record_that_this_tool_has_not_written_changes_nothing(
    bench: Bench, left: dict[str, Any], name: str
) -> None:
    world = quick_world()
    item = {**left, **HOSTILE[name]}
    put(world, **{key: value for key, value in item.items() if value is not None})

    sentence = refused(bench, world)

    assert "is not one that this version understands" in sentence
    assert "aws dynamodb delete-item" in sentence
    assert capacity(world) == FOUND


ATTRIBUTES = (
    *("format", "version", "state", "owner", "owner_dead_at", "run_id", "run_started_at"),
    *("started_before_at", "found", "written", "number", "total", "memory", "deaths"),
    "outcomes",
)
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 10**6),
    st.text(max_size=20),
    st.binary(max_size=20),
    st.dictionaries(st.text(max_size=5), st.integers(0, 9), max_size=3),
    st.lists(st.integers(0, 9), max_size=3),
)


@given(
    changes=st.dictionaries(
        st.sampled_from(ATTRIBUTES),
        VALUES,
        min_size=1,
        max_size=3,
    )
)
def test_whatever_a_record_says_it_is_understood_or_refused(
    bench: Bench, left: dict[str, Any], *, changes: dict[str, Any]
) -> None:
    world = quick_world()
    item = {**left, **changes}
    put(world, **{key: value for key, value in item.items() if value is not None})

    report = bench.recycle(world, **QUICK)

    assert isinstance(report.error, PreconditionError | AlreadyRunningError) or _is_right(report)
    assert capacity(world) == FOUND


def _is_right(report: Report) -> bool:
    return report.status in {Status.COMPLETED, Status.NOTHING_TO_DO}


def test_what_happened_lately_stays_readable_for_90_days(bench: Bench) -> None:
    world = quick_world()
    bench.recycle(world, run_id="tonight", **QUICK)

    item = record(world)

    shown = {name: item[name] for name in ("state", "run_id", "status", "number", "total")}
    assert shown == {
        "state": "ended",
        "run_id": "tonight",
        "status": "completed",
        "number": 2,
        "total": 2,
    }
    assert item["expires_at"] - world.now == pytest.approx(90 * 86_400, abs=120)


# -- going on with it ------------------------------------------------------------------------------


def handed_over(bench: Bench) -> tuple[World, Guarded]:
    """Return a world in which a run has been handed over, and its guardian."""
    world = World()
    a_service(world, tasks=30)
    guarded = Guarded(bench, world)
    guarded.invoke("run", {})
    assert record(world)["state"] == "handed_over"
    world.advance(60)
    return world, guarded


def tampered(world: World, change: Callable[[dict[str, Any]], None]) -> None:
    item = record(world)
    memory: Any = unpacked(item["memory"])
    change(memory)
    put(world, **{**item, "memory": packed(memory)})


def a_negative_count(memory: dict[str, Any]) -> None:
    memory["plan"]["found"]["desired_count"] = -1


def half_of_the_limits(memory: dict[str, Any]) -> None:
    memory["plan"]["found"]["min_capacity"] = 1


def of_another_cluster(memory: dict[str, Any]) -> None:
    task = memory["plan"]["originals"][-1]
    task["arn"] = task["arn"].replace("task/demo/", "task/production/")


def of_another_account(memory: dict[str, Any]) -> None:
    task = memory["plan"]["originals"][-1]
    task["arn"] = task["arn"].replace("123456789012", "210987654321")


def gone_of_another_cluster(memory: dict[str, Any]) -> None:
    task = dict(memory["plan"]["originals"][0])
    memory["plan"]["gone"] = [task | {"arn": task["arn"].replace("task/demo/", "task/other/")}]


def of_no_task(memory: dict[str, Any]) -> None:
    memory["plan"]["originals"][-1]["arn"] += "\n{}"


@pytest.mark.parametrize(
    "change",
    sweep(
        [
            a_negative_count,
            of_another_account,
            half_of_the_limits,
            of_another_cluster,
            gone_of_another_cluster,
            of_no_task,
        ],
        quick=2,
    ),
)
def test_a_memory_that_this_tool_has_not_written_is_not_gone_on_with(
    bench: Bench, change: Callable[[dict[str, Any]], None]
) -> None:
    world, guarded = handed_over(bench)
    tampered(world, change)
    writes = len(world.writes)

    with pytest.raises(PreconditionError, match="The run record of demo/web"):
        guarded.segment("run")

    assert len(world.writes) == writes
