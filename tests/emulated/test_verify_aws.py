"""What the verification measures, held against the knobs of an emulated ECS, in virtual time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest

from ecs_emulator import Knobs, World
from ecs_emulator.wire.in_process import attach
from verify_aws.account import MASK, Account, VerifyError, connect
from verify_aws.findings import KILL, RECYCLE, Findings, Step
from verify_aws.load import GOOD, KEPT, NEW, Answers, Received
from verify_aws.measures import Figure, figures, since_stop
from verify_aws.observer import Counts, Observer, Watched
from verify_aws.options import read_options
from verify_aws.page import BEHAVIOURS, behaviours, page
from verify_aws.probes import Probes
from verify_aws.verification import Verification, facts, parameters

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ecs_emulator.wire.in_process import Switchboard

NETWORK: Final = ["--vpc", "vpc-0a", "--subnets", "subnet-0a,subnet-0b"]
OPTIONS: Final = read_options([*NETWORK, "--client-cidr", "203.0.113.7/32"])
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


@pytest.fixture(scope="module")
def account(board: Switchboard) -> Account:
    return connect(OPTIONS, board.world.clock)


def a_world(board: Switchboard, name: str, **knobs: Any) -> World:  # noqa: ANN401 - any knob
    world = board.world = World(knobs=replace(EXACT, **knobs))
    world.create_service(cluster="c", name=name, target_group=name == "balanced")
    return world


def watch(account: Account, world: World, name: str, *, stops: int = 2) -> Watched:
    """Stop a task each 60 seconds, and look once a second."""
    observer = Observer(account, cluster="c", services=(name,), clock=world.clock)
    (service,) = world.services
    for number in range(stops):
        world.at(5.0 + 60 * number, lambda world: world.stop_task(service.active_tasks[0]))
    for _ in range(30 + 60 * stops):
        observer.look()
        world.clock.sleep(1)
    assert observer.errors == {}
    return observer.watched[name]


@pytest.fixture(scope="module")
def two_stops(board: Switchboard, account: Account) -> tuple[World, Watched]:
    """A service behind a target group, and what was seen of it while two tasks were replaced."""
    world = a_world(board, "balanced")
    return world, watch(account, world, "balanced")


def by_name(found: list[Figure]) -> dict[str, tuple[float, ...]]:
    return {each.name: each.seconds for each in found}


def test_every_figure_is_what_the_knobs_say(two_stops: tuple[World, Watched]) -> None:
    world, watched = two_stops
    found = by_name(figures(watched, 0.0, [(world.started_at, world.now)]))
    within_a_second = {
        "StopTask to the target seen draining": 1,
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
    # A target is registered while its task is ACTIVATING.
    for name, seconds in exact.items():
        assert found[name] == pytest.approx([seconds] * len(found[name]), abs=0.01), name
        assert len(found[name]) == (1 if "next" in name else 2)
    for name, seconds in within_a_second.items():
        assert all(seconds <= each <= seconds + 1.01 for each in found[name]), name
    assert found["StopTask to the stop signal, by the container's log"] == ()


def test_a_replacement_that_comes_only_after_stopped_is_told_by_its_sign(
    board: Switchboard, account: Account
) -> None:
    world = a_world(board, "plain", replaces_after_stopped=True)
    found = by_name(figures(watch(account, world, "plain"), 0.0, []))
    assert found["STOPPED to the replacement's creation (negative: before)"] == pytest.approx(
        (3, 3), abs=0.01
    )
    assert found["StopTask to the target seen draining"] == ()
    assert found["From one stop of a run to the next"] == ()


def test_a_clock_that_is_wrong_is_allowed_for_where_this_machine_says_the_instant(
    two_stops: tuple[World, Watched],
) -> None:
    _, watched = two_stops
    right, ahead = (by_name(figures(watched, seconds, [])) for seconds in (0.0, 10.0))
    name = "StopTask to the replacement in service"
    assert ahead[name] == pytest.approx([each - 10 for each in right[name]])
    assert ahead["StopTask to STOPPED"] == right["StopTask to STOPPED"]
    assert by_name(figures(watched, 1.0, [])) == right, "within what a Date header tells"


def test_the_lowest_number_in_service_is_one_that_two_looks_have_seen(
    two_stops: tuple[World, Watched],
) -> None:
    world, watched = two_stops
    assert watched.lowest_in_service(world.started_at, world.now) == 2
    assert watched.lowest_in_service(world.started_at, world.started_at + 4) == 3
    assert watched.lowest_in_service(0, 1) is None
    once = [Counts(at=at, desired=3, running=3, in_service=n) for at, n in enumerate((3, 1, 3, 3))]
    assert Watched(counts=once).lowest_in_service(0, 3) == 3


def test_a_service_that_is_gone_and_reads_that_fail_are_counted(
    board: Switchboard, account: Account
) -> None:
    world = a_world(board, "plain")
    observer = Observer(account, cluster="c", services=("plain", "none"), clock=world.clock)
    world.faults.deny("ecs:DescribeTasks")
    observer.look()
    assert observer.errors == {"service MISSING": 1, "AccessDeniedException": 1}


def probes(account: Account, world: World) -> dict[str, float]:
    of_plain = Probes(account=account, cluster="c", service="plain", clock=world.clock)
    of_plain.set_limits(3)
    world.clock.sleep(30)
    found = {each.name: each.seconds[0] for each in of_plain.run()}
    assert world.service("c", "plain").desired_count == 3
    target = world.autoscaling.targets["service/c/plain"]
    assert (target.min_capacity, target.max_capacity) == (3, 6)
    return found


def test_the_probes_measure_lag_conflicts_and_reads(board: Switchboard, account: Account) -> None:
    world = a_world(board, "plain", aas_lag=11.0, aas_conflict=60.0)
    found = probes(account, world)
    assert found["RegisterScalableTarget to the new desired count"] == pytest.approx(11, abs=0.5)
    refused = found["RegisterScalableTarget to the last ConcurrentUpdateException (0: none)"]
    assert refused == pytest.approx(60, abs=1.5)
    assert {found[name] for name in found if " until " in name} == {0.0}


def test_the_probes_see_reads_that_are_out_of_date(board: Switchboard, account: Account) -> None:
    world = a_world(board, "plain", staleness=3.0, counts_stopping_tasks=True, aas_lag=1.0)
    found = probes(account, world)
    reads = [found[name] for name in found if " until " in name and "runningCount" not in name]
    assert len(reads) == 3
    assert all(0 < each <= 3 for each in reads)
    # stop_reaction: until then the task is RUNNING, and counted here.
    assert 1 <= found["StopTask until runningCount leaves the task out"] <= 5
    assert found["RegisterScalableTarget to the last ConcurrentUpdateException (0: none)"] == 0


def test_limits_that_cannot_be_set_end_the_probes(board: Switchboard, account: Account) -> None:
    world = a_world(board, "plain", aas_lag=1.0, aas_conflict=1000.0)
    with pytest.raises(VerifyError, match="others are pending"):
        probes(account, world)


# ---- Promises ----


def broken(account: Account, world: World, watched: Watched, **run: Any) -> tuple[str, ...]:  # noqa: ANN401
    """Judge a run of the service `balanced` that has just ended."""
    nothing: Any = None
    clock: Any = world.clock
    verification = Verification(
        options=OPTIONS,
        account=account,
        clock=clock,
        stacks=nothing,
        function=nothing,
        findings=findings_of(watched, account),
        say=lambda _: None,
    )
    run = {"outcome": "completed", "reason": None, **run}
    return verification._broken("balanced", run, world.started_at)


def test_an_end_that_is_not_as_promised_is_named(board: Switchboard, account: Account) -> None:
    world = board.world = World(knobs=EXACT)
    world.create_service(cluster=OPTIONS.name, name="balanced")
    counts = [Counts(at=world.now, desired=3, running=3, in_service=number) for number in (2, 2)]
    assert broken(account, world, Watched()) == ()
    world.set_desired_count(OPTIONS.name, "balanced", 4)
    assert broken(account, world, Watched(counts=counts), outcome="partial", reason="late") == (
        "it is partial: late",
        "the capacity is (4,), and was (3,)",
        "only 2 tasks in service",
    )


def test_a_capacity_that_is_read_too_early_is_read_again(
    board: Switchboard, account: Account
) -> None:
    world = board.world = World(knobs=EXACT)
    world.create_service(cluster=OPTIONS.name, name="balanced")
    world.set_desired_count(OPTIONS.name, "balanced", 4)
    world.at(5.0, lambda world: world.set_desired_count(OPTIONS.name, "balanced", 3))
    assert broken(account, world, Watched()) == ()


# ---- The page ----


def findings_of(watched: Watched, account: Account, *steps: Step) -> Findings:
    return Findings(
        began_at=0.0,
        region="us-east-1",
        ahead_seconds=0.0,
        facts=facts(OPTIONS, account),
        steps=[*steps],
        watched={"balanced": watched},
    )


def a_step(**features: Any) -> Step:  # noqa: ANN401 - any member
    usual: dict[str, Any] = {
        "service": "balanced", "name": RECYCLE, "began_at": 0.0, "ended_at": 60.0,
        "lowest_in_service": 3, "outcome": "completed",
    }  # fmt: skip
    return Step(**{**usual, **features})


def test_a_bad_answer_is_set_against_the_last_stop_before_it(
    two_stops: tuple[World, Watched], account: Account
) -> None:
    world, watched = two_stops
    first = world.started_at + 5

    def asked(at: float) -> Received:
        return Received(at=at, client=NEW, outcome="502")

    assert since_stop(asked(first - 1), watched, 0.0) is None
    assert since_stop(asked(first + 2), watched, 0.0) == pytest.approx(2)
    assert since_stop(asked(first + 63), watched, 0.0) == pytest.approx(3)
    assert since_stop(asked(first + 12), watched, 10.0) == pytest.approx(2)
    findings = findings_of(watched, account)
    findings.answers = Answers()
    for answer in (asked(first + 2), Received(at=first, client=KEPT, outcome=GOOD)):
        findings.answers.note(answer)
    text = page(findings, account.masked)
    assert "| new connection | 502 | 2.0 |" in text
    assert "| kept connection | 1 | 0 |" in text


def test_the_page_names_promises_that_did_not_hold_and_the_error_without_the_account(
    two_stops: tuple[World, Watched], account: Account
) -> None:
    _, watched = two_stops
    steps = a_step(), a_step(name=KILL, broken=("the capacity is (4,), and was (3,)",))
    findings = findings_of(watched, account, *steps)
    text = page(findings, account.masked)
    assert "- balanced, kill and heal: the capacity is (4,), and was (3,)" in text
    findings.error = f"Denied: arn:aws:iam::{account.account_id}:role/a | b"
    text = page(findings, account.masked)
    assert f"**It ended early**: Denied: arn:aws:iam::{MASK}:role/a | b" in text
    assert account.account_id not in text


def test_each_behaviour_beside_which_a_figure_is_set_has_a_row_in_the_page_on_the_emulator(
    two_stops: tuple[World, Watched], board: Switchboard, account: Account
) -> None:
    world = a_world(board, "plain", aas_lag=1.0)
    of_plain = Probes(account=account, cluster="c", service="plain", clock=world.clock)
    of_plain.set_limits(3)
    named = {each.behaviour for each in [*figures(two_stops[1], 0.0, []), *of_plain.run()]}
    assert len(named) >= 8
    assert named <= behaviours(BEHAVIOURS.read_text()).keys()


# ---- The stack ----


def test_the_options_become_the_parameters_of_the_stack() -> None:
    given = parameters(read_options([*NETWORK, "--no-load-balancer", "--no-public-ip"]))
    assert (given["Balanced"], given["AssignPublicIp"]) == ("false", "DISABLED")
    assert given["LoadBalancerSubnetIds"] == "subnet-0a,subnet-0b"
    given = parameters(OPTIONS)
    assert (given["Balanced"], given["ClientCidr"]) == ("true", "203.0.113.7/32")
