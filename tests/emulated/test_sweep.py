"""Many services in one event: who is swept, at most so many at once, and whatever happens."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from ecs_emulator import FailingStart, Knobs, World
from ecs_emulator.neighbours.tables import RUNS_TABLE
from ecs_task_recycle.errors import PreconditionError
from ecs_task_recycle.report.sweep_answer import SweepStatus, SweptService, SweptStatus
from ecs_task_recycle.settings.sweep import SweepSettings, SweepTurn
from ecs_task_recycle.sweep.gateway import ServiceName
from ecs_task_recycle.sweep.record import (
    NAMES_LIMIT_BYTES,
    PARAMETERS_LIMIT_BYTES,
    REASON_LIMIT_BYTES,
    key_of,
)
from ecs_task_recycle.sweep.turns import take_turn
from tests.emulated.bench import sweep as values
from tests.emulated.lanes import world_of_lanes
from tests.emulated.observers import perfect_seconds
from tests.emulated.swept import Swept

if TYPE_CHECKING:
    from collections.abc import Callable

    from ecs_emulator.state.model import Service
    from tests.emulated.bench import Bench

QUICK: dict[str, Any] = {"wait_time": 0}
SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:api/db-a1b2c3"
PARAMETER = "arn:aws:ssm:us-east-1:123456789012:parameter/api/token"


def services(world: World, *names: str, tasks: int = 2, **features: Any) -> list[Service]:  # noqa: ANN401
    """Create services, each as cluster/service."""
    return [
        world.create_service(
            cluster=name.partition("/")[0],
            name=name.partition("/")[2],
            desired_count=tasks,
            **features,
        )
        for name in names
    ]


def arns(service: Service) -> set[str]:
    return {task.arn for task in service.active_tasks}


def stops(world: World) -> Counter[str]:
    calls = world.calls_of("StopTask")
    return Counter(str(call.parameters["task"]) for call in calls if call.wrote)


def selected(swept: Swept, **event: Any) -> list[str]:  # noqa: ANN401 - users' events
    return [each.service for each in swept.begin(dry_run=True, **event).services]


# ---- Who ----


def test_services_are_named_in_every_way_and_come_in_their_order_each_once(bench: Bench) -> None:
    world = world_of_lanes()
    services(world, "a/one", "a/two", "b/three", tasks=1)
    named = ["two", "b|three", "a/one", "arn:aws:ecs:us-east-1:123456789012:service/a/two"]
    found = selected(Swept(bench, world), cluster_name="a", services=named)
    assert found == ["a/two", "b/three", "a/one"]


def test_all_of_a_cluster_and_those_with_tags_are_found_by_pages(bench: Bench) -> None:
    world = world_of_lanes(Knobs(page_size=2))
    services(world, "a/one", "a/two", "b/three", tasks=1, tags={"team": "x", "stage": "prod"})
    services(world, "a/four", "b/five", tasks=1, tags={"team": "y"})
    swept = Swept(bench, world)
    every = ["a/four", "a/one", "a/two"]
    assert selected(swept, cluster_name="a", services="all") == every
    assert selected(swept, tagged={"team": ["x", "z"], "stage": "prod"}) == [
        *("a/one", "a/two", "b/three"),
    ]
    assert selected(swept, cluster_name="b", tagged={"team": "y"}) == ["b/five"]


@pytest.mark.parametrize(
    "features, wanted, is_found",
    [
        ({"secrets": (f"{SECRET}:password::",)}, SECRET, True),
        ({"secrets": (SECRET,)}, "api/db", True),
        ({"secrets": (SECRET[:-7],)}, SECRET, True),
        ({"log_secrets": (SECRET,)}, SECRET, True),
        ({"registry_secret": SECRET}, SECRET, True),
        ({"secrets": (PARAMETER,)}, "/api/token", True),
        ({"secrets": ("/api/token",)}, PARAMETER, True),
        ({"secrets": (SECRET,)}, f"{SECRET[:-6]}zzzzzz", False),
        ({"secrets": (SECRET,)}, SECRET.replace("us-east-1", "eu-west-1"), False),
        ({"secrets": (PARAMETER,)}, "token", False),
        ({"secrets": (SECRET,)}, "api", False),
        ({}, SECRET, False),
    ],
)
def test_whoever_reads_a_secret_or_a_parameter_is_found_wherever_it_is_named(
    bench: Bench,
    features: dict[str, Any],
    wanted: str,
    is_found: bool,  # noqa: FBT001
) -> None:
    world = world_of_lanes()
    services(world, "a/reads", tasks=1, **features)
    services(world, "a/other", tasks=1, secrets=("other",))
    found = selected(Swept(bench, world), uses=wanted)
    assert found == (["a/reads"] if is_found else [])
    assert len(world.calls_of("DescribeTaskDefinition")) == 2


def test_everything_that_cannot_be_swept_is_named_before_anything_begins(bench: Bench) -> None:
    world = world_of_lanes()
    services(world, "a/one", "b/two", tasks=1)
    swept = Swept(bench, world, cluster_names=("a", "c"))
    named = ["one", "absent", "b/two", "c/none"]
    with pytest.raises(PreconditionError) as refused:
        swept.begin(cluster_name="a", services=named)
    for text in ("a/absent", "cluster b is none", "c/none"):
        assert text in refused.value.sentence
    assert world.writes == []


def test_another_account_is_foreign(bench: Bench) -> None:
    world = world_of_lanes()
    services(world, "a/one", tasks=1)
    arn = "arn:aws:ecs:us-east-1:210987654321:service/a/one"
    with pytest.raises(PreconditionError, match="lies in account 123456789012"):
        Swept(bench, world).begin(services=[arn])


def test_a_dry_run_tells_each_ones_plan_and_writes_nothing(bench: Bench) -> None:
    world = world_of_lanes()
    services(world, "a/one", tasks=2)
    services(world, "a/daemon", scheduling_strategy="DAEMON")
    answer = Swept(bench, world).begin(cluster_name="a", services="all", dry_run=True)
    plans = {each.service: (each.status, each.tasks) for each in answer.services}
    assert answer.status is SweepStatus.PLANNED
    assert plans["a/one"] == (SweptStatus.PLANNED, 2)
    assert plans["a/daemon"][0] is SweptStatus.REFUSED
    assert world.executions == {}
    assert stops(world) == {}


def test_nothing_that_is_selected_is_nothing_to_do(bench: Bench) -> None:
    world = world_of_lanes()
    services(world, "a/one", tasks=1)
    answer = Swept(bench, world).begin(tagged={"no": "body"})
    assert answer.status is SweepStatus.NOTHING_TO_DO


# ---- The sweep ----


def test_a_sweep_recycles_every_service_and_tells_of_each(bench: Bench) -> None:
    world = world_of_lanes()
    found = services(world, "a/one", "b/two")
    originals = set.union(*map(arns, found))
    swept = Swept(bench, world)
    begun = swept.begin(**QUICK, services=["a/one", "b/two"])
    assert (begun.status.code, begun.services_count, begun.sweep) == (202, 2, "s")
    swept.go_on()
    assert swept.walks["s"].execution.status == "SUCCEEDED"
    answer = swept.answer
    assert answer.status is SweepStatus.COMPLETED
    told = [(each.service, each.tasks_recycled, each.tasks) for each in answer.services]
    assert told == [("a/one", 2, 2), ("b/two", 2, 2)]
    assert all(each.lowest_in_service >= 2 for each in answer.services if each.lowest_in_service)
    assert stops(world) == dict.fromkeys(originals, 1)
    status = swept.begin(sweep="s", action="status")
    assert status.services == answer.services


def test_those_that_refuse_or_have_nothing_to_do_are_told_and_are_no_failures(bench: Bench) -> None:
    world = world_of_lanes()
    services(world, "a/one", tasks=1)
    services(world, "a/empty", tasks=0)
    services(world, "a/daemon", scheduling_strategy="DAEMON")
    answer = Swept(bench, world).sweep(**QUICK, cluster_name="a", services="all")
    found = {each.service: each for each in answer.services}
    assert answer.status is SweepStatus.COMPLETED
    assert found["a/one"].status is SweptStatus.COMPLETED
    assert found["a/empty"].status is SweptStatus.NOTHING_TO_DO
    assert "DAEMON" in str(found["a/daemon"].reason)


def test_a_sweep_with_a_window_waits_for_it_with_nothing_raised(bench: Bench) -> None:
    world = world_of_lanes()
    (one,) = services(world, "a/one", tasks=2)
    originals = arns(one)
    swept = Swept(bench, world)
    answer = swept.sweep(**QUICK, services=["a/one"], window="Tue 02:00-05:00 UTC")
    assert answer.status is SweepStatus.COMPLETED
    assert stops(world) == dict.fromkeys(originals, 1)
    stopped = [each.at for each in world.calls_of("StopTask") if each.wrote]
    hours = {datetime.fromtimestamp(each, UTC).strftime("%a %H") for each in stopped}
    assert hours == {"Tue 02"}


@pytest.mark.parametrize("dry_run", [False, True])
def test_each_service_may_have_an_age_of_its_own_and_those_without_are_told(
    bench: Bench, *, dry_run: bool
) -> None:
    world = world_of_lanes()
    (old,) = services(world, "a/old", tasks=1, tags={"max-age": "0.01"})
    services(world, "a/young", tasks=1, tags={"max-age": "87600"})
    services(world, "a/none", tasks=1)
    services(world, "a/odd", tasks=1, tags={"max-age": "a week"})
    originals = arns(old)
    age = {"tag": "max-age"}
    event: dict[str, Any] = {"cluster_name": "a", "services": "all", "older_than_hours": age}
    swept = Swept(bench, world)
    answer = swept.begin(**event, dry_run=True) if dry_run else swept.sweep(**QUICK, **event)
    found = {each.service: (each.status, each.reason or "") for each in answer.services}
    assert found["a/old"][0] is (SweptStatus.PLANNED if dry_run else SweptStatus.COMPLETED)
    assert found["a/young"][0] is SweptStatus.NOTHING_TO_DO
    for service, said in (("a/none", "is missing"), ("a/odd", "is 'a week'")):
        status, reason = found[service]
        assert status is SweptStatus.REFUSED
        assert f"Service {service} is not recycled: its tag max-age {said}" in reason
    assert answer.status is (SweepStatus.PLANNED if dry_run else SweepStatus.COMPLETED)
    assert stops(world) == ({} if dry_run else dict.fromkeys(originals, 1))


@pytest.mark.parametrize(
    "on_error, last", [("stop", SweptStatus.NOT_BEGUN), ("continue", SweptStatus.COMPLETED)]
)
def test_after_a_run_that_failed_no_further_service_begins_unless_it_is_to(
    bench: Bench, on_error: str, last: SweptStatus
) -> None:
    world = world_of_lanes()
    services(world, "a/one", tasks=1, knobs=Knobs(failing_starts=(FailingStart(after=0),)))
    services(world, "a/two", tasks=1)
    swept = Swept(bench, world)
    named = ["a/one", "a/two"]
    answer = swept.sweep(**QUICK, services=named, on_error=on_error)
    assert [each.status for each in answer.services] == [SweptStatus.FAILED, last]
    assert answer.status is SweepStatus.FAILED
    assert swept.walks["s"].execution.status == "FAILED"
    assert [each.desired_count for each in world.services] == [1, 1]


@pytest.mark.parametrize("seconds", values(range(5, 200, 15), quick=2))
def test_a_sweep_that_is_asked_to_stop_begins_no_other_and_leaves_nothing_raised(
    bench: Bench, seconds: int
) -> None:
    world = world_of_lanes()
    names = ["a/one", "a/two", "a/three"]
    found = services(world, *names)
    swept = Swept(bench, world)
    swept.begin(**QUICK, services=names)
    world.at(world.elapsed + seconds, lambda _: swept.later(sweep="s", action="stop"))
    swept.go_on()
    assert swept.answer.status is SweepStatus.PARTIAL
    assert "asked to stop" in str(swept.answer.reason)
    begun = sum(each.status is not SweptStatus.NOT_BEGUN for each in swept.answer.services)
    assert begun < len(names)
    assert [each.desired_count for each in found] == [2, 2, 2]
    assert max(stops(world).values(), default=1) == 1


def test_a_second_sweep_over_the_same_service_is_refused_by_the_run_itself(bench: Bench) -> None:
    world = world_of_lanes()
    (one,) = services(world, "a/one")
    originals = arns(one)
    swept, event = Swept(bench, world), {**QUICK, "services": ["a/one"]}
    world.after_call("StopTask", 1, lambda _: swept.later("t", **event))
    first = swept.sweep(**event)
    assert first.status is SweepStatus.COMPLETED
    ((refused,),) = (each.services for each in swept.answers["t"])
    assert refused.status is SweptStatus.REFUSED
    assert stops(world) == dict.fromkeys(originals, 1)


def test_without_its_state_machine_a_sweep_is_refused(bench: Bench) -> None:
    world = world_of_lanes()
    services(world, "a/one")
    with pytest.raises(PreconditionError, match="Sweeps=enabled"):
        Swept(bench, world, has_machine=False).begin(services=["a/one"])
    assert world.calls == []


# ---- Notices ----


def changed(world: World) -> dict[str, Any]:
    return {
        "source": "aws.secretsmanager",
        "detail-type": "Secret Label Updated",
        "resources": [SECRET],
        "detail": {"labelUpdated": "AWSCURRENT"},
        "time": iso(world),
    }


def iso(world: World) -> str:
    return datetime.fromtimestamp(world.now, UTC).isoformat()


def test_a_secret_that_changes_twice_while_services_wait_costs_one_rotation(bench: Bench) -> None:
    world = world_of_lanes()
    found = services(world, "a/one", "a/two", tasks=2, secrets=(SECRET,))
    services(world, "a/other", tasks=2)
    originals = set.union(*map(arns, found))
    swept = Swept(bench, world)
    swept.begin("first", **changed(world))
    world.advance(30)
    swept.begin("second", **changed(world))
    swept.go_on()
    told = [each for sweep in ("first", "second") for each in swept.answers[sweep]]
    assert [each.status for each in told] == [SweepStatus.COMPLETED] * 2
    assert stops(world) == dict.fromkeys(originals, 1)


def test_a_retirement_notice_sweeps_its_services_as_far_as_they_are_there(bench: Bench) -> None:
    world = world_of_lanes()
    (one,) = services(world, "a/one")
    originals = arns(one)
    notice: dict[str, Any] = {
        "source": "aws.health",
        "detail-type": "AWS Health Event",
        "detail": {
            "eventTypeCode": "AWS_ECS_TASK_PATCHING_RETIREMENT",
            "affectedEntities": [
                {"entityValue": "a|one"},
                {"entityValue": "a|gone"},
                {"entityValue": "0" * 32},
            ],
        },
        "time": iso(world),
    }
    answer = Swept(bench, world).sweep(**notice)
    assert [each.service for each in answer.services] == ["a/one"]
    assert stops(world) == dict.fromkeys(originals, 1)


def test_what_another_invocation_of_a_lane_has_ended_is_not_begun_again(bench: Bench) -> None:
    """One that was taken for dead ends the service between the lane's taking and reading it."""
    world = world_of_lanes()
    _, two = services(world, "a/one", "a/two", tasks=1)
    originals = arns(two)
    swept = Swept(bench, world)
    swept.begin(**QUICK, services=["a/one", "a/two"])
    ended = SweptService(service="a/one", status=SweptStatus.COMPLETED)
    world.after_call("UpdateItem", 1, lambda _: swept.context("s").store.note(0, ended))

    take_turn(swept.context("s"), SweepTurn(sweep="s", lane=0, turns=0))

    record = swept.context("s").store.read()
    assert record is not None
    assert record.in_hand == {0: 1}
    assert set(stops(world)) == originals


# ---- How large ----


def bytes_of(value: object) -> int:
    """Return what a value takes in an item, at most.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
    """
    match value:
        case str():
            return len(value.encode())
        case dict():
            return 3 + sum(1 + bytes_of(name) + bytes_of(each) for name, each in value.items())
        case None:
            return 1
        case _:
            return len(str(value)) + 1


@pytest.mark.parametrize("letter", ["a", "\u00fc", '"', "\U0001f4a5"])
def test_a_thousand_services_whose_runs_have_long_reasons_fit_into_one_item(
    bench: Bench, letter: str
) -> None:
    world = bench.board.world = world_of_lanes()
    store = Swept(bench, world).context("s").store
    store.open((ServiceName(cluster="a", service="one"),), SweepSettings())
    opened = store.read()
    assert opened is not None
    store.take_next(opened, lane=0)
    store.note_attempt(0, 3)
    told = SweptService(
        service="a/one",
        status=SweptStatus.NOTHING_TO_DO,
        reason=letter * 500,
        tasks_recycled=5_000,
        tasks=5_000,
        seconds=604_800.4,
        lowest_in_service=5_000,
    )
    store.note(0, told)
    item = world.item(RUNS_TABLE, service=key_of("s")) or {}
    record = store.read()
    assert record is not None
    assert record.running == ()
    kept = record.standing(0)
    assert kept == replace(told, reason=kept.reason, seconds=604_800)
    assert len(str(kept.reason)) >= REASON_LIMIT_BYTES // 4
    assert str(kept.reason).endswith("…")
    assert not {"taken_0", "attempts_0"} & item.keys()
    of_each = bytes_of("outcome_999") + bytes_of(item["outcome_0"])
    # The last part: the lanes, and what there is once.
    whole = 1_000 * of_each + NAMES_LIMIT_BYTES + PARAMETERS_LIMIT_BYTES + 5_000
    assert whole < 400 * 1024


# ---- How long ----


SERVICES = int(os.environ.get("RECYCLE_SWEPT", "100"))
"""1000 take some ten minutes on one processor."""
LANES = 10 if SERVICES < 1000 else 50


@pytest.mark.slow
def test_many_services_take_what_perfect_lanes_take(
    bench: Bench, measured: Callable[[str], None]
) -> None:
    world = world_of_lanes()
    names = [f"a/s{number:04}" for number in range(SERVICES)]
    found = services(world, *names, tasks=3, target_group=True)
    originals = set.union(*map(arns, found))
    perfect_world = World()
    (perfect,) = services(perfect_world, "a/s0000", tasks=3, target_group=True)
    one_lane = SERVICES / LANES * perfect_seconds(perfect_world, perfect, wait_seconds=30)
    swept = Swept(bench, world)
    swept.begin(cluster_name="a", services="all", at_once=LANES)
    swept.go_on()
    seconds = swept.answer.duration_seconds or 0.0
    calls = Counter(int(each.at) for each in world.calls)
    walks = [swept.walks["s"], *swept.walks["s"].children]
    transitions = sum(len(each.visited) for each in walks)
    record = world.item(RUNS_TABLE, service=key_of("s"))
    measured(
        f"{SERVICES} services of 3 tasks, {LANES} at once: {seconds:.0f} s, perfect lanes "
        f"{one_lane:.0f} s ({seconds / one_lane:.2f}); calls a second: mean "
        f"{len(world.calls) / seconds:.1f}, peak {max(calls.values())}; {transitions} transitions "
        f"of the sweep, longest history {max(each.events for each in walks)} events, record "
        f"{len(str(record))} bytes"
    )
    assert swept.answer.status is SweepStatus.COMPLETED
    assert set(stops(world)) == originals
    assert all(world.lowest_in_service("a", each.name) >= 3 for each in found)
    assert seconds <= 1.1 * one_lane
    assert len(str(record)) < 400_000
    # The lanes neither begin at once nor write the record against one another.
    own = {"service": {"S": key_of("s")}}
    writes = [each for each in world.calls_of("UpdateItem") if each.parameters["Key"] == own]
    assert sum(1 for each in writes if each.error_code) < LANES < len(writes)
    assert max(calls.values()) < 10 * LANES
