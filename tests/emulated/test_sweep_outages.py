"""A sweep ends well, and says what has become of it, whatever is out, gone, throttled or stopped.

RECYCLE_SWEEP_OUTAGES=1 lets each outage begin at each instant; the usual tests take a sample.
"""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Final

import pytest

from ecs_emulator.neighbours.tables import RUNS_TABLE
from ecs_task_recycle.errors import PreconditionError
from ecs_task_recycle.report.sweep_answer import SweepStatus, SweptStatus
from ecs_task_recycle.sweep.record import key_of
from ecs_task_recycle.sweep.sweep import stop
from tests.emulated.attacked import EVENT, TASKS, attacked, small_world, stops
from tests.emulated.guarded import MACHINE_ARN
from tests.emulated.swept import Swept
from tests.emulated.test_outages import SERVICES, out

if TYPE_CHECKING:
    from collections.abc import Callable

    from ecs_emulator import World
    from ecs_task_recycle.report.sweep_answer import SweepAnswer, SweptService
    from tests.emulated.bench import Bench

EVERY: Final = int(os.environ.get("RECYCLE_SWEEP_OUTAGES", "11"))
INSTANTS: Final = tuple(range(0, 120, 6))
LENGTHS: Final = (600, 3_600, 10_800)
HOURS: Final = 3_600.0


def outage(swept: Swept, *, operations: tuple[str, ...], begins: float, seconds: float) -> None:
    world = swept.world
    world.at(world.elapsed + begins, lambda w: out(w, operations))
    world.at(world.elapsed + begins + seconds, lambda w: w.faults.clear())


@pytest.mark.parametrize("name", SERVICES)
def test_an_outage_at_any_instant_leaves_every_capacity_as_found_and_is_told(
    bench: Bench, name: str, measured: Callable[[str], None]
) -> None:
    number = [*SERVICES].index(name)
    chosen = [(begins, seconds) for seconds in LENGTHS for begins in INSTANTS][number::EVERY]
    failed = {}
    for begins, seconds in chosen:
        arrange = partial(outage, operations=SERVICES[name], begins=begins, seconds=seconds)
        _, wrong = attacked(bench, arrange)
        if wrong:
            failed[begins, seconds] = wrong
    measured(f"sweep with {name} out: {len(chosen) - len(failed)} of {len(chosen)}")
    assert failed == {}


@pytest.mark.parametrize("begins", [0, 20, 50])
def test_a_sweep_whose_invocations_are_throttled_goes_on_afterwards(
    bench: Bench, begins: float
) -> None:
    def throttle(swept: Swept) -> None:
        since = swept.world.elapsed + begins
        swept.is_throttled = lambda w: since <= w.elapsed < since + 5 * HOURS

    swept, wrong = attacked(bench, throttle)
    assert wrong == []
    assert swept.answer.status is SweepStatus.COMPLETED
    assert max(each.events for each in swept.walks["s"].children) < 25_000


# ---- A run, its record, its guardian ----


def standing(answer: SweepAnswer) -> dict[str, SweptStatus]:
    return {each.service.removeprefix("a/"): each.status for each in answer.services}


def of_the_record(change: Callable[[World, str], object], begins: float, swept: Swept) -> None:
    """Let somebody change the run record of the first service."""
    swept.world.at(swept.world.elapsed + begins, lambda w: change(w, "a/one"))


def delete(world: World, key: str) -> None:
    world.tables.write("DeleteItem", {"TableName": RUNS_TABLE, "Key": {"service": {"S": key}}})


def spoil(world: World, key: str) -> None:
    item = world.item(RUNS_TABLE, service=key)
    if item is not None:
        world.put_item(RUNS_TABLE, item | {"format": 9})


@pytest.mark.parametrize("change", [delete, spoil], ids=["deleted", "unreadable"])
@pytest.mark.parametrize("begins", range(2, 70, 17))
def test_a_run_record_that_is_lost_costs_at_most_its_run(
    bench: Bench, change: Callable[[World, str], object], begins: float
) -> None:
    swept, wrong = attacked(bench, partial(of_the_record, change, begins))
    assert [each for each in wrong if "record is not free" not in each] == []
    assert swept.world.elapsed < 4 * HOURS
    assert standing(swept.answer)["three"] is SweptStatus.COMPLETED


def outcome(answer: SweepAnswer, service: str) -> SweptService:
    (found,) = (each for each in answer.services if each.service == service)
    return found


def test_a_run_that_died_and_whose_record_is_gone_has_failed(bench: Bench) -> None:
    def die_and_forget(swept: Swept) -> None:
        of_the_record(delete, 40, swept)
        swept.world.at(swept.world.elapsed + 40, lambda _: swept.clock.kill_all())

    swept, wrong = attacked(bench, die_and_forget)
    assert [each for each in wrong if "record is not free" not in each] == []
    one = outcome(swept.answer, "a/one")
    assert one.status is SweptStatus.FAILED
    assert str(one.reason).startswith("its run record is gone or not understood")


@pytest.mark.parametrize("dies_after", [34, 40, 49])
def test_how_a_run_ended_is_read_from_the_record_of_a_later_one(
    bench: Bench, dies_after: float
) -> None:
    def run_again_once_it_has_ended(swept: Swept) -> None:
        world = swept.world
        arn = f"{MACHINE_ARN.replace(':stateMachine:', ':execution:')}:sweep-s-0"

        def again() -> None:
            swept.bench.act(
                world,
                run_id="later",
                deadline_seconds=900,
                cluster_name="a",
                service_name="one",
                wait_time=60,
            )

        def look(_: World) -> None:
            if arn in world.executions and world.executions[arn].status != "RUNNING":
                since = world.elapsed
                # So that no lane looks before the later run has taken the record.
                swept.is_throttled = lambda w: w.elapsed < since + 20
                swept.clock.begin(again)
            else:
                world.at(world.elapsed + 0.1, look)

        world.at(world.elapsed + dies_after, lambda _: swept.clock.kill_all())
        world.at(world.elapsed + dies_after + 1, look)

    swept, wrong = attacked(bench, run_again_once_it_has_ended)
    # The later run recycles once more what the sweep has recycled.
    assert [each for each in wrong if "stopped" not in each] == []
    one = outcome(swept.answer, "a/one")
    assert (one.status, one.tasks_recycled) == (SweptStatus.COMPLETED, TASKS["one"])
    # Of a run that is over for long, its record tells no more.
    assert one.seconds is None


# ---- People ----


@pytest.mark.parametrize("begins", range(2, 34, 8))
@pytest.mark.parametrize("status", ["ABORTED", "TIMED_OUT"])
def test_a_sweep_whose_execution_is_stopped_by_hand_is_ended_and_told(
    bench: Bench, status: str, begins: float
) -> None:
    def abort(swept: Swept) -> None:
        at = swept.world.elapsed + begins
        swept.world.at(at, lambda _: swept.stop_executions(status))

    swept, wrong = attacked(bench, abort)
    assert wrong == []
    assert swept.answer.status is SweepStatus.PARTIAL
    assert str(swept.answer.reason).endswith(f"the execution of the sweep was {status}")
    assert standing(swept.answer)["three"] is SweptStatus.NOT_BEGUN
    assert swept.world.elapsed < 1 * HOURS


def test_a_sweep_that_has_ended_is_not_said_to_be_stopped(bench: Bench) -> None:
    swept, wrong = attacked(bench, lambda _: None)
    stop(swept.context("s"), "the execution of the sweep was ABORTED")
    record = swept.context("s").store.read()
    assert wrong == []
    assert record is not None
    assert (record.status, record.early_end) == (SweepStatus.COMPLETED, None)


@pytest.mark.parametrize("seconds", [1, 40])
def test_an_execution_that_ends_a_sweep_may_be_stopped_itself(bench: Bench, seconds: float) -> None:
    def stop_again_and_again(swept: Swept) -> None:
        for number in range(4):
            at = swept.world.elapsed + 20 + number * seconds
            swept.world.at(at, lambda _: swept.stop_executions())

    swept, wrong = attacked(bench, stop_again_and_again)
    assert wrong == []
    assert swept.answer.status is SweepStatus.PARTIAL
    assert standing(swept.answer)["three"] is SweptStatus.NOT_BEGUN


@pytest.mark.parametrize("begins", range(2, 70, 17))
def test_a_guardian_that_is_stopped_by_hand_ends_its_run_and_not_the_sweep(
    bench: Bench, begins: float
) -> None:
    def stop_guardian(swept: Swept) -> None:
        arn = f"{MACHINE_ARN.replace(':stateMachine:', ':execution:')}:sweep-s-0"

        def stop(world: World) -> None:
            if arn in world.executions:
                world.executions[arn].end("ABORTED", world.now)

        swept.world.at(swept.world.elapsed + begins, stop)

    swept, wrong = attacked(bench, stop_guardian)
    assert wrong == []
    assert standing(swept.answer)["three"] is SweptStatus.COMPLETED


@pytest.mark.parametrize("begins", range(2, 70, 17))
def test_a_sweep_whose_record_is_deleted_fails_aloud(bench: Bench, begins: float) -> None:
    def forget(swept: Swept) -> None:
        swept.world.at(swept.world.elapsed + begins, lambda w: delete(w, key_of("s")))

    swept, wrong = attacked(bench, forget)
    assert wrong == []
    assert swept.answer.status is SweepStatus.FAILED
    assert "record of the sweep is gone" in str(swept.answer.reason)
    assert swept.walks["s"].execution.status == "FAILED"


def test_a_sweep_goes_on_when_the_function_understands_it_again(bench: Bench) -> None:
    def roll_back(swept: Swept) -> None:
        since = swept.world.elapsed + 30
        swept.fails_with = lambda w: "SettingsError" if since <= w.elapsed < since + HOURS else None

    swept, wrong = attacked(bench, roll_back)
    assert wrong == []
    assert swept.answer.status is SweepStatus.COMPLETED


# ---- Runs that cannot end ----


def test_a_service_whose_run_always_dies_keeps_no_lane_waiting(bench: Bench) -> None:
    swept, wrong = attacked(bench, lambda swept: setattr(swept, "kills", "two"))
    assert [each for each in wrong if not each.startswith("two")] == []
    assert standing(swept.answer) == {
        "one": SweptStatus.COMPLETED,
        "two": SweptStatus.FAILED,
        "three": SweptStatus.COMPLETED,
    }
    (two,) = (each for each in swept.answer.services if each.service == "a/two")
    assert two.reason == "begun 3 times, its run died each time"
    assert swept.world.elapsed < 2 * HOURS


@pytest.mark.parametrize("begins", [20, 40])
def test_a_run_whose_guardian_cannot_restore_yet_keeps_no_lane_waiting(
    bench: Bench, begins: float, measured: Callable[[str], None]
) -> None:
    def deny(swept: Swept) -> None:
        world = swept.world
        world.at(world.elapsed + begins, lambda _: swept.clock.kill_all())
        action = "application-autoscaling:RegisterScalableTarget"
        world.at(world.elapsed + begins, lambda w: w.faults.deny(action))
        world.at(world.elapsed + begins + 9 * HOURS, lambda w: w.faults.allow_all())

    swept, wrong = attacked(bench, deny)
    assert wrong == []
    seconds = swept.answer.duration_seconds or 0.0
    measured(f"sweep with a run that is restored after 9 h: ended after {seconds / 60:.0f} min")
    assert seconds < 2 * HOURS


@pytest.mark.parametrize("seconds", range(1, 12, 2))
def test_a_sweep_that_is_asked_to_stop_as_a_run_begins_stops_that_run(
    bench: Bench, seconds: float
) -> None:
    world = small_world()
    swept = Swept(bench, world)
    swept.begin(**EVENT, sweep_id="s")
    world.at(world.elapsed + seconds, lambda _: swept.later(sweep="s", action="stop"))
    swept.go_on()
    assert all(count == 1 for count in stops(world).values())
    assert len(stops(world)) <= 2
    assert swept.answer.status is SweepStatus.PARTIAL


def test_parameters_that_no_record_of_a_sweep_can_hold_are_refused(bench: Bench) -> None:
    alarms = [f"{number:03}" + "\N{FIRE}" * 252 for number in range(100)]
    swept = Swept(bench, small_world())

    with pytest.raises(PreconditionError, match="expected for a sweep at most 32768"):
        swept.begin(**EVENT, alarms=alarms)

    assert swept.world.writes == []
