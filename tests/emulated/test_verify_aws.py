"""What the verification measures, held against the knobs of an emulated ECS, in virtual time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest
from botocore.stub import Stubber

from ecs_emulator import Knobs, World
from ecs_emulator.wire.in_process import attach
from tests.docs.markdown import table
from tests.docs.pages import guide
from verify_aws import questions
from verify_aws.account import Account, VerifyError, connect
from verify_aws.page import Findings, Step, page
from verify_aws.probes import Probes
from verify_aws.watching import Client, Figure, Observer, Watched, WatchedTask, figures

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ecs_emulator.wire.in_process import Switchboard

EXACT: Final = Knobs(
    scheduler_interval=3.0,
    replaces_after_stopped=False,
    provisioning=5.0,
    pending=10.0,
    activating=2.0,
    target_health_delay=12.0,
    stop_reaction=1.0,
    drain=20.0,
    stop_time=4.0,
    deprovision=6.0,
    staleness=0.0,
    latency=0.0,
)


@pytest.fixture(scope="module")
def board() -> Iterator[Switchboard]:
    with attach(World()) as one:
        yield one


def a_world(board: Switchboard, name: str, **knobs: Any) -> tuple[World, Account]:  # noqa: ANN401
    world = board.world = World(knobs=replace(EXACT, **knobs))
    world.create_service(cluster="c", name=name, target_group=name == "balanced")
    clock: Any = world.clock
    return world, replace(connect(None, None), clock=clock)


def watch(world: World, account: Account, name: str) -> Watched:
    """Stop two tasks, one each 60 seconds, and look once a second."""
    watched = {name: Watched()}
    observer = Observer(account=account, cluster="c", watched=watched)
    for at in (5.0, 65.0):
        world.at(at, lambda world: world.stop_task(world.services[0].active_tasks[0]))
    for _ in range(150):
        observer.look()
        world.clock.sleep(1)
    assert not observer.errors
    return watched[name]


@pytest.fixture(scope="module")
def two_stops(board: Switchboard) -> tuple[World, Watched]:
    world, account = a_world(board, "balanced")
    return world, watch(world, account, "balanced")


def by_name(found: list[Figure]) -> dict[str, tuple[float, ...]]:
    return {each.name: each.seconds for each in found}


def test_every_figure_is_what_the_knobs_say(two_stops: tuple[World, Watched]) -> None:
    world, watched = two_stops
    found = by_name(figures(watched, [(world.started_at, world.now)]))
    within_a_second = {
        "StopTask to the target seen draining": 1,
        # A target is registered while its task is ACTIVATING.
        "The replacement's start to in service": 12 - 2,
        "StopTask to the replacement in service": 3 + 15 + 12,
    }
    exact = {
        "StopTask to the end of the container": 1 + 20 + 4,
        "StopTask to STOPPED": 1 + 20 + 4 + 6,
        "StopTask to the replacement's creation": 3,
        "STOPPED to the replacement's creation (negative: before)": 3 - 31,
        "The replacement's creation to its start": 5 + 10 + 2,
        "From one stop of a run to the next": 60,
    }
    for name, seconds in exact.items():
        assert found[name] == pytest.approx([seconds] * len(found[name]), abs=0.01), name
        assert len(found[name]) == (1 if "next" in name else 2)
    for name, seconds in within_a_second.items():
        assert all(seconds <= each <= seconds + 1.01 for each in found[name]), name
    assert found["StopTask to the stop signal, by the container's log"] == ()


def test_a_service_without_a_target_group_is_in_service_when_it_runs(board: Switchboard) -> None:
    found = by_name(
        figures(watch(*a_world(board, "plain", replaces_after_stopped=True), "plain"), [])
    )
    after = found["STOPPED to the replacement's creation (negative: before)"]
    assert after == pytest.approx((3, 3), abs=0.01)
    assert found["StopTask to the target seen draining"] == ()
    assert all(0 <= each <= 1.01 for each in found["The replacement's start to in service"])


def test_the_lowest_number_in_service_is_one_that_two_looks_have_seen(
    two_stops: tuple[World, Watched],
) -> None:
    world, watched = two_stops
    assert watched.lowest_in_service(world.started_at, world.now) == 2
    assert watched.lowest_in_service(world.started_at, world.started_at + 4) == 3
    assert watched.lowest_in_service(0, 1) is None
    once = Watched(in_service=[(0.0, 3), (1.0, 1), (2.0, 3), (3.0, 3)])
    assert once.lowest_in_service(0, 3) == 3


def test_reads_that_fail_are_counted(board: Switchboard) -> None:
    world, account = a_world(board, "plain")
    observer = Observer(account=account, cluster="c", watched={"plain": Watched()})
    world.faults.deny("ecs:DescribeTasks")
    observer.look()
    assert observer.errors == {"AccessDeniedException": 1}


def probe(world: World, account: Account) -> dict[str, float]:
    found: list[Figure] = []
    Probes(account=account, cluster="c", service="plain", figures=found).run()
    assert world.service("c", "plain").desired_count == 3
    target = world.autoscaling.targets["service/c/plain"]
    assert (target.min_capacity, target.max_capacity) == (3, 6)
    rows = {row["Behaviour"] for row in table(guide("emulator"), "Behaviour")}
    assert {each.row for each in [*found, *figures(Watched(), [])]} <= rows
    return {each.name: each.seconds[0] for each in found}


def test_the_probes_measure_lag_conflicts_and_reads(board: Switchboard) -> None:
    found = probe(*a_world(board, "plain", aas_lag=11.0, aas_conflict=60.0))
    assert found["RegisterScalableTarget to the new desired count"] == pytest.approx(11, abs=0.5)
    refused = found["RegisterScalableTarget to the last ConcurrentUpdateException (0: none)"]
    assert refused == pytest.approx(60, abs=1.5)
    assert {found[name] for name in found if " until " in name} == {0.0}


def test_the_probes_see_reads_that_are_out_of_date(board: Switchboard) -> None:
    knobs = {"staleness": 3.0, "counts_stopping_tasks": True, "aas_lag": 1.0}
    found = probe(*a_world(board, "plain", **knobs))
    reads = [found[name] for name in found if " until " in name and "runningCount" not in name]
    assert len(reads) == 3
    assert all(0 < each <= 3 for each in reads)
    # stop_reaction: until then the task is RUNNING, and counted here.
    assert 1 <= found["StopTask until runningCount leaves the task out"] <= 5


def test_limits_that_cannot_be_set_end_the_probes(board: Switchboard) -> None:
    with pytest.raises(VerifyError, match="others are pending"):
        probe(*a_world(board, "plain", aas_lag=1.0, aas_conflict=1000.0))


def test_a_deleted_service_tells_its_states_and_how_calls_are_refused(board: Switchboard) -> None:
    world, account = a_world(board, "gone")
    world.delete_service("c", "gone")
    told = questions.inactive(account, "c", "gone")
    assert told.startswith("DescribeServices: DRAINING, then INACTIVE; ListTasks: ")
    assert "UpdateService: ServiceNotActiveException: " in told


def test_limits_are_set_again_with_less_and_less_of_the_rights(board: Switchboard) -> None:
    world, account = a_world(board, "plain")
    role = f"arn:aws:iam::{world.account.id}:role/limits"
    never = role.replace(":iam:", ":sts:").replace(":role/", ":assumed-role/") + "/via-None"
    world.faults.deny("application-autoscaling:RegisterScalableTarget", principal=never)
    told = questions.via_aws_service(account, "c", role)
    via, directly, never_told = told.split("; ")
    assert [via[-8:], directly[-8:]] == ["accepted", "accepted"]
    assert never_told.startswith("rights to ECS never: AccessDeniedException: ")


def test_a_gateway_service_is_read_only_if_it_is_named(board: Switchboard) -> None:
    _, account = a_world(board, "plain")
    assert questions.gateway(account, None) == "not tried: no --gateway-service"


def test_the_slow_start_compares_requests_at_first_with_those_later(board: Switchboard) -> None:
    _, account = a_world(board, "balanced")
    new = WatchedTask(id="a", at={"createdAt": 105.0, "inService": 120.0})
    old = WatchedTask(id="b", at={"createdAt": 50.0, "inService": 100.0})
    watched = Watched(tasks={"a": new, "b": old}, in_service=[(100.0, 3)])
    with Stubber(account.aws.logs) as logs:
        for since, count in ((120, 5), (160, 80)):
            asked = {"logGroupName": "/ecs/c", "logStreamNames": ["task/web/a"],
                     "startTime": since * 1000, "endTime": (since + 10) * 1000,
                     "filterPattern": '"GET /" -"ELB-HealthChecker"'}  # fmt: skip
            logs.add_response("filter_log_events", {"events": [{}] * count}, asked)
        told = questions.slow_start(account, "c", watched)
    assert told.startswith("0.5 requests a second to a task in its first 10 s")
    assert "8.0 after 40 s (1 tasks" in told


def test_the_page_sets_answers_against_stops_and_names_what_did_not_hold(
    two_stops: tuple[World, Watched],
) -> None:
    world, watched = two_stops
    first = world.started_at + 5
    client = Client(url="", keeps_connection=False, clock=None)  # type: ignore[arg-type]
    client.answers.extend([(first - 1, "502"), (first + 2, "502"), (first + 63, "200")])
    step = Step(service="balanced", name="heal", began_at=0.0, ended_at=60.0, lowest_in_service=3,
                outcome="completed", broken=("the capacity is (4,), and was (3,)",))  # fmt: skip
    findings = Findings(began_at=0.0, facts={"Image": "a | b"}, steps=[step], clients=[client])
    findings.watched["balanced"] = watched
    findings.error = "denied"
    text = page(findings)
    assert "- **It ended early: denied**" in text
    assert "- **balanced, heal: the capacity is (4,), and was (3,)**" in text
    assert r"| Image | a \| b |" in text
    (bad,) = [row for row in table(text, "Client") if row["Answer"] == "502"]
    assert bad["Times"] == "2"
    assert bad["Seconds since StopTask (-1: before any)"] == "-1.0 / 0.5 / 2.0"
