"""Outside its window a run stops nothing and has nothing raised; in the next one it goes on."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import pytest

from ecs_emulator import World
from ecs_emulator.ground.clock import VirtualClock
from ecs_task_recycle.clock import as_utc
from ecs_task_recycle.errors import AlreadyRunningError, PreconditionError
from ecs_task_recycle.outcome import Status
from ecs_task_recycle.settings.window import window
from tests.emulated.bench import (
    a_service,
    asked_to_stop_at,
    autoscaled,
    capacity,
    is_free,
    record,
    stopped_by_us,
    sweep,
)
from tests.emulated.guarded import Guarded
from tests.emulated.quick import KNOBS, OWNER_IS_DEAD_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from ecs_task_recycle.report.report import Report
    from tests.emulated.bench import Bench

NIGHT: Final = "02:00-05:00 UTC"
FIVE_MINUTES: Final = "02:00-02:05 UTC"
PUT_BACK_WITHIN: Final = timedelta(minutes=2)
"""So long after the last task the extra one may stay."""
MINUTE: Final = 60.0


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def world_at(text: str, *, tasks: int = 3, **features: Any) -> World:  # noqa: ANN401 - as a_service
    """Return a world at rest at this instant, with a service and its limits."""
    world = World(knobs=KNOBS, seed=3, clock=VirtualClock(at(text).timestamp()))
    a_service(world, tasks=tasks, **features)
    autoscaled(world, 1, tasks)
    return world


def originals_of(world: World) -> set[str]:
    return {task.arn for task in world.service("demo", "web").active_tasks}


def stops_of(world: World) -> list[datetime]:
    """When the run has stopped its tasks, in their order."""
    service = world.service("demo", "web")
    ours = stopped_by_us(service)
    return sorted(as_utc(asked_to_stop_at(task)) for task in service.tasks if task.arn in ours)


def raised_spans(world: World, found_count: int) -> list[tuple[datetime, datetime]]:
    """From when to when the service had one task more than found."""
    history = [(as_utc(when), count) for when, count, _ in world.desired_history()]
    return [
        (begins, ends) for (begins, count), (ends, _) in pairwise(history) if count > found_count
    ]


def require_kept(world: World, text: str, *, tasks: int) -> None:
    """Require that nothing was stopped or raised outside the window, and nobody was ever short."""
    one = window(text)
    assert [each for each in stops_of(world) if not one.is_open(each)] == []
    for begins, ends in raised_spans(world, tasks):
        closes = one.closes_at(begins)
        assert one.is_open(begins)
        assert closes is not None
        assert ends <= closes + PUT_BACK_WITHIN
    assert world.lowest_in_service() == tasks
    assert capacity(world) == (tasks, 1, tasks)
    assert is_free(world)


def ask(bench: Bench, world: World, **event: Any) -> Report:  # noqa: ANN401 - what users send
    """Invoke the function beside the run; its calls take no time."""
    knobs, world.knobs = world.knobs, replace(world.knobs, latency=0.0)
    try:
        return bench.act(world, run_id="other", deadline_seconds=900, **event)
    finally:
        world.knobs = knobs


# -- nights ----------------------------------------------------------------------------------------


def test_a_run_that_begins_outside_raises_nothing_before_the_window_opens(bench: Bench) -> None:
    world = world_at("2026-12-01T00:30Z")
    originals = originals_of(world)
    guarded = Guarded(bench, world)

    report = guarded.recycle(window=NIGHT)

    first, last = guarded.reports
    assert (first.status, last.status) == (Status.CONTINUED, Status.COMPLETED)
    assert "goes on when the window opens, at 2026-12-01T02:00:00+00:00" in str(first.reason)
    assert report.answer().as_json()["parameters"]["window"] == NIGHT
    assert stopped_by_us(world.service("demo", "web")) == originals
    ((begins, _),) = raised_spans(world, 3)
    assert timedelta(0) <= begins - at("2026-12-01T02:00Z") < timedelta(seconds=30)
    require_kept(world, NIGHT, tasks=3)


def test_a_run_in_its_window_is_as_any_other(bench: Bench) -> None:
    world = world_at("2026-12-01T02:30Z")

    assert bench.recycle(world, window=NIGHT).status is Status.COMPLETED
    require_kept(world, NIGHT, tasks=3)


def test_a_night_too_short_for_all_tasks_goes_on_the_next_night_with_the_same_list(
    bench: Bench, measured: Callable[[str], None]
) -> None:
    world = world_at("2026-12-01T01:50Z", tasks=8)
    originals = originals_of(world)
    guarded = Guarded(bench, world)

    report = guarded.recycle(window=FIVE_MINUTES, wait_time=30)

    answer = report.answer().as_json()
    nights = {each.date() for each in stops_of(world)}
    measured(f"8 tasks in windows of five minutes: {len(nights)} nights")
    assert answer["status"] == "completed"
    assert {task["task"] for task in answer["tasks"]} == originals
    assert stopped_by_us(world.service("demo", "web")) == originals
    assert len(nights) == len(raised_spans(world, 8)) == 2
    require_kept(world, FIVE_MINUTES, tasks=8)


def test_at_the_end_of_the_window_the_task_in_hand_is_finished_and_the_extra_one_goes(
    bench: Bench,
) -> None:
    world = world_at("2026-12-01T02:02Z", tasks=8)
    guarded = Guarded(bench, world)

    guarded.invoke("run", {"window": FIVE_MINUTES, "wait_time": 30})

    (report,) = guarded.reports
    tasks = report.answer().as_json()["tasks"]
    assert report.status is Status.CONTINUED
    assert "goes on when the window opens, at 2026-12-02T02:00:00+00:00" in str(report.reason)
    assert 0 < len(tasks) < 8
    assert all(task["replacement"] for task in tasks)
    assert capacity(world) == (8, 1, 8)
    assert record(world)["state"] == "handed_over"
    assert "found" not in record(world)


def test_a_pause_that_lasts_beyond_the_window_goes_on_the_next_night(bench: Bench) -> None:
    world = world_at("2026-12-01T02:00Z", tasks=2)
    guarded = Guarded(bench, world)

    report = guarded.recycle(window=FIVE_MINUTES, wait_time=3600, maintain_service_state=False)

    assert report.status is Status.COMPLETED
    assert [each.date().day for each in stops_of(world)] == [1, 2]
    assert raised_spans(world, 2) == []
    assert capacity(world) == (2, 1, 2)
    assert is_free(world)


def test_a_pause_after_the_extra_task_that_fits_no_opening_is_refused(bench: Bench) -> None:
    world = world_at("2026-12-01T02:00Z", tasks=2)
    guarded = Guarded(bench, world)

    report = guarded.recycle(window=FIVE_MINUTES, wait_time=3600)

    assert isinstance(report.error, PreconditionError)
    assert "is open for 300 s at a time, and the next task may need 3720 s" in str(report.error)
    assert not stops_of(world)
    require_kept(world, FIVE_MINUTES, tasks=2)


def test_a_window_over_midnight_is_one_opening(bench: Bench) -> None:
    world = world_at("2026-12-04T23:50Z", tasks=6)
    text = "Fri 23:57-00:20 UTC"

    report = Guarded(bench, world).recycle(window=text, wait_time=30)

    assert report.status is Status.COMPLETED
    assert {each.date().day for each in stops_of(world)} == {4, 5}
    assert len(raised_spans(world, 6)) == 1
    require_kept(world, text, tasks=6)


@pytest.mark.parametrize(
    "begins, text, opens",
    [
        ("2027-03-28T00:40+01:00", "02:30-03:30 Europe/Berlin", "2027-03-28T03:00+02:00"),
        ("2027-10-31T02:31+02:00", "02:00-02:30 Europe/Berlin", "2027-10-31T02:00+01:00"),
    ],
    ids=["to summer time", "and back"],
)
def test_on_the_night_in_which_the_clock_is_changed_the_wall_counts(
    bench: Bench, begins: str, text: str, opens: str
) -> None:
    world = world_at(begins)

    report = Guarded(bench, world).recycle(window=text, wait_time=5)

    assert report.status is Status.COMPLETED
    assert timedelta(0) <= stops_of(world)[0] - at(opens) < timedelta(minutes=2)
    require_kept(world, text, tasks=3)


# -- while it waits --------------------------------------------------------------------------------


def test_while_a_run_waits_for_its_window_status_says_when_that_opens(bench: Bench) -> None:
    world = world_at("2026-12-01T00:30Z")
    seen: list[Any] = []

    def look(w: World) -> None:
        seen.append(ask(bench, w, action="status").answer().as_json()["run"])
        seen.append(ask(bench, w).error)

    world.at(60 * MINUTE, look)
    Guarded(bench, world).recycle(window=NIGHT)

    status, refused = seen
    assert status["state"] == "handed_over"
    assert status["awaited"] == "the window, which opens at 2026-12-01T02:00:00+00:00"
    assert isinstance(refused, AlreadyRunningError)


def test_a_run_that_waits_for_two_weeks_keeps_other_runs_out(bench: Bench) -> None:
    world = world_at("2027-03-21T03:00+01:00")
    event = {"window": "Sun 02:00-03:00 Europe/Berlin"}
    guarded = Guarded(bench, world)
    guarded.invoke("run", event)

    assert record(world)["resumes_at"] == "2027-04-04T00:00:00+00:00"
    assert isinstance(ask(bench, world).error, AlreadyRunningError)


def test_a_run_that_is_asked_to_stop_while_it_waits_ends_when_the_window_opens(
    bench: Bench,
) -> None:
    world = world_at("2026-12-01T00:30Z")
    asked: list[Report] = []
    world.at(60 * MINUTE, lambda w: asked.append(ask(bench, w, action="stop")))

    report = Guarded(bench, world).recycle(window=NIGHT)

    assert asked[0].status is Status.STOPPING
    assert "ends when its pause is over, at 2026-12-01T02:00:00+00:00" in str(asked[0].reason)
    assert report.status is Status.PARTIAL
    assert "was asked to stop" in str(report.reason)
    assert [count for _, count, _ in world.desired_history()] == [3]
    assert is_free(world)


def test_a_run_whose_execution_is_stopped_while_it_waits_ends_at_once(bench: Bench) -> None:
    world = world_at("2026-12-01T00:30Z")

    def stop(w: World) -> None:
        for execution in w.executions.values():
            execution.end("ABORTED", w.now)

    world.at(60 * MINUTE, stop)
    report = Guarded(bench, world).recycle(window=NIGHT)

    assert report.reason == "the guardian's execution is ABORTED"
    assert world.now < at("2026-12-01T01:31Z").timestamp()
    assert is_free(world)


def test_an_invocation_that_dies_as_the_window_opens_costs_no_night(bench: Bench) -> None:
    world = world_at("2026-12-01T00:30Z")
    world.kill_at(90 * MINUTE + 3)
    guarded = Guarded(bench, world)

    report = guarded.recycle(window=NIGHT)

    assert guarded.deaths == 1
    assert report.status is Status.COMPLETED
    assert {each.date().day for each in stops_of(world)} == {1}
    require_kept(world, NIGHT, tasks=3)


@pytest.mark.parametrize("dies_after", sweep([100, 5, 40, 60, 150]))
def test_what_a_dead_invocation_left_raised_goes_before_the_run_waits_for_the_next_night(
    bench: Bench, dies_after: int
) -> None:
    world = world_at("2026-12-01T02:00Z", tasks=4)
    originals = originals_of(world)
    world.kill_at(dies_after)
    guarded = Guarded(bench, world)

    report = guarded.recycle(window=FIVE_MINUTES)

    assert guarded.deaths == 1
    if guarded.execution("run") is None:
        return
    assert report.status is Status.COMPLETED
    # ECS may take an original away as the extra task goes: that one is not stopped again.
    assert not originals & originals_of(world)
    assert stopped_by_us(world.service("demo", "web")) <= originals
    spans = raised_spans(world, 4)
    # It is certain that the invocation is dead when its limit is over; then its extra task goes.
    limit = timedelta(seconds=OWNER_IS_DEAD_SECONDS) + PUT_BACK_WITHIN
    assert all(ends - begins < limit for begins, ends in spans)
    assert [each for each in stops_of(world) if not window(FIVE_MINUTES).is_open(each)] == []
    assert world.lowest_in_service() == 4
    assert is_free(world)


def test_a_protected_task_is_waited_for_night_after_night(bench: Bench) -> None:
    world = world_at("2026-12-01T02:01Z")
    held = world.service("demo", "web").active_tasks[0]
    world.protect_task(held, minutes=20 * 60)

    report = Guarded(bench, world).recycle(window=FIVE_MINUTES)

    assert report.status is Status.COMPLETED
    assert [each.date().day for each in stops_of(world)] == [1, 1, 2]
    require_kept(world, FIVE_MINUTES, tasks=3)


def test_a_request_queued_while_a_run_waits_is_served_in_the_window_too(bench: Bench) -> None:
    world = world_at("2026-12-01T01:40Z")
    world.at(10 * MINUTE, lambda w: ask(bench, w, if_running="queue"))

    report = Guarded(bench, world).recycle(window=NIGHT)

    assert report.status is Status.COMPLETED
    assert len(stops_of(world)) == 3
    require_kept(world, NIGHT, tasks=3)


# -- no guardian -----------------------------------------------------------------------------------


@pytest.mark.parametrize("begins", ["2026-12-01T00:30Z", "2026-12-01T02:02Z"])
def test_without_a_guardian_a_run_is_partial_and_says_when_the_window_opens(
    bench: Bench, begins: str
) -> None:
    world = world_at(begins, tasks=8)

    report = bench.recycle(world, window=FIVE_MINUTES, wait_time=30)

    day = 1 if begins < "2026-12-01T02" else 2
    assert report.status is Status.PARTIAL
    assert f"which opens at 2026-12-0{day}T02:00:00+00:00; repeat the event" in str(report.reason)
    assert bool(stops_of(world)) is (day == 2)
    require_kept(world, FIVE_MINUTES, tasks=8)


# -- how long it is open ---------------------------------------------------------------------------


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_window_shorter_than_one_task_is_refused_with_the_figures(
    bench: Bench, *, dry_run: bool
) -> None:
    world = world_at("2026-12-01T00:30Z")

    report = bench.recycle(world, window="02:00-02:01 UTC", dry_run=dry_run)

    assert isinstance(report.error, PreconditionError)
    assert "the window 02:00-02:01 UTC is open for 60 s at a time, and the next" in str(
        report.error
    )
    assert record(world) == {}


def test_a_dry_run_says_when_the_window_opens(bench: Bench) -> None:
    world = world_at("2026-12-01T00:30Z")

    answer = bench.recycle(world, window=NIGHT, dry_run=True).answer().as_json()

    assert answer["status"] == "planned"
    assert answer["remarks"][-1] == (
        f"No task is stopped before the window {NIGHT} opens, at 2026-12-01T02:00:00+00:00"
    )


def test_a_window_that_turns_out_to_be_too_short_is_not_tried_night_after_night(
    bench: Bench,
) -> None:
    world = world_at("2026-12-01T01:50Z")
    service = world.service("demo", "web")
    service.knobs = replace(world.knobs, pending=200.0)

    report = Guarded(bench, world).recycle(window="02:00-02:06 UTC")

    assert report.status is Status.PARTIAL
    assert "is open for 360 s at a time, and the next task may need" in str(report.reason)
    assert stops_of(world) == []
    require_kept(world, "02:00-02:06 UTC", tasks=3)


@pytest.mark.parametrize(
    "minutes, said",
    [
        (60, "finish_within_minutes ends at 2026-12-01T01:30:00"),
        (94, "finish_within_minutes ends"),
    ],
)
def test_of_the_window_and_the_minutes_to_finish_within_the_earlier_end_counts(
    bench: Bench, minutes: int, said: str
) -> None:
    world = world_at("2026-12-01T00:30Z", tasks=16)

    report = Guarded(bench, world).recycle(window=NIGHT, finish_within_minutes=minutes)

    assert report.status is Status.PARTIAL
    assert said in str(report.reason)
    # With an hour it would be over before the window opens, so nobody waits for that.
    seconds = report.answer().as_json()["duration_seconds"]
    assert (seconds < MINUTE) is (minutes == 60)
    assert seconds < minutes * MINUTE + PUT_BACK_WITHIN.total_seconds()
    require_kept(world, NIGHT, tasks=16)
