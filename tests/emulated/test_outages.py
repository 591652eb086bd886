"""Outages of any length end with the capacity as it was found: the guardian does not give up."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import pytest

from AWSSession import get_aws_session
from ecs_emulator.neighbours.tables import RUNS_TABLE
from ecs_task_recycle.clock import as_utc
from ecs_task_recycle.outcome import Status
from ecs_task_recycle.settings.input_json import AwsCredentials
from tests.emulated.bench import ACCESS_KEY, capacity, is_free, record, sweep
from tests.emulated.guarded import Guarded
from tests.emulated.test_guardian import EVENT, TASKS, quick_guarded, three_segments

if TYPE_CHECKING:
    from collections.abc import Callable

    from ecs_emulator import World
    from tests.emulated.bench import Bench

FOUND: Final = (TASKS, 1, TASKS)
DAY: Final = 86_400.0

ECS: Final = (
    *("DescribeServices", "ListTasks", "DescribeTasks", "UpdateService", "StopTask"),
    "GetTaskProtection",
)
SERVICES: Final[dict[str, tuple[str, ...]]] = {
    "ECS": ECS,
    "autoscaling": ("DescribeScalableTargets", "RegisterScalableTarget"),
    "DynamoDB": ("GetItem", "UpdateItem"),
    "load balancers": ("DescribeTargetHealth",),
    "everything": (
        *(*ECS, "DescribeScalableTargets", "RegisterScalableTarget", "GetItem", "UpdateItem"),
        *("DescribeTargetHealth", "StartExecution", "DescribeExecution"),
    ),
}
PERMISSIONS: Final = {
    "dynamodb": "dynamodb:*",
    "registering": "application-autoscaling:RegisterScalableTarget",
    "updating": "ecs:UpdateService",
    "reading": "ecs:DescribeServices",
}
# Before the raise, while the extra task starts, after each of two stops, and handed over.
INSTANTS: Final = (12, 25, 60, 110, 170, 230, 260, 330)
LENGTHS: Final = (600, 3_600, 10_800)


def out(world: World, operations: tuple[str, ...]) -> None:
    """Let every call of these operations fail, as AWS does where it is overloaded."""
    for operation in operations:
        world.faults.fail(operation, times=None, code="ServerException", status=503)


def whole_again(bench: Bench, arrange: Callable[[World, Guarded], None]) -> list[str]:
    """Run through what is arranged, let a day pass, and return what is not as it was found."""
    world = three_segments()
    service = world.service("demo", "web")
    originals = {task.arn for task in service.active_tasks}
    guarded = quick_guarded(bench, world)
    arrange(world, guarded)
    guarded.invoke("run", EVENT)
    guarded.walk("run")
    world.faults.clear()
    world.faults.allow_all()
    # As long as an owner may be alive that nobody heard of again.
    world.advance(1000)
    checks = {
        f"capacity {capacity(world)}": capacity(world) != FOUND,
        f"in service {service.in_service_count}": service.in_service_count != TASKS,
        "stopped others": not asked_to_stop(world) <= originals,
        "record blocks the next run": not is_free_for_others(world),
        "nobody told": not any(report.is_worth_a_mail for report in guarded.reports),
    }
    return [name for name, is_wrong in checks.items() if is_wrong]


def bad_beginnings(bench: Bench, arrange: Callable[..., None]) -> dict[int, list[str]]:
    """Return the instants at which what is arranged, beginning there, leaves a thing wrong."""
    found = {each: whole_again(bench, partial(arrange, begins=each)) for each in INSTANTS}
    return {begins: bad for begins, bad in found.items() if bad}


def told(failed: dict[int, list[str]]) -> str:
    return f"{len(INSTANTS) - len(failed)} of {len(INSTANTS)}"


def asked_to_stop(world: World) -> set[str]:
    """Return the tasks that StopTask was called for, by whomever."""
    return {str(call.parameters["task"]) for call in world.calls_of("StopTask") if call.wrote}


def is_free_for_others(world: World) -> bool:
    """Whether the next run may take the record: its run has ended, or is certainly dead."""
    return is_free(world) or record(world)["owner_dead_at"] < as_utc(world.now).isoformat()


def outage(
    world: World, _: Guarded, *, operations: tuple[str, ...], begins: float, seconds: float
) -> None:
    world.at(begins, lambda w: out(w, operations))
    world.at(begins + seconds, lambda w: w.faults.clear())


@pytest.mark.parametrize("seconds", sweep(LENGTHS, quick=0))
@pytest.mark.parametrize("name", SERVICES)
def test_an_outage_at_any_instant_leaves_nothing_raised_once_it_is_over(
    bench: Bench, name: str, seconds: float, measured: Callable[[str], None]
) -> None:
    failed = bad_beginnings(bench, partial(outage, operations=SERVICES[name], seconds=seconds))
    measured(f"outage of {name} for {seconds / 60:.0f} min: {told(failed)}")
    assert failed == {}


def unreachable(world: World, _: Guarded, *, service: str, begins: float, seconds: float) -> None:
    """Let there be no way to the endpoint of a service, or to none."""
    world.outages.take_out(
        service, since=begins, until=begins + seconds, answers=False, connects=False
    )


NETWORKS: Final = ("all", "ecs", "application-autoscaling", "dynamodb", "elbv2", "stepfunctions")


@pytest.mark.parametrize("seconds", sweep(LENGTHS, quick=0))
@pytest.mark.parametrize("service", NETWORKS)
def test_no_network_at_any_instant_leaves_nothing_raised_once_it_is_back(
    bench: Bench, service: str, seconds: float, measured: Callable[[str], None]
) -> None:
    failed = bad_beginnings(bench, partial(unreachable, service=service, seconds=seconds))
    measured(f"no way to {service} for {seconds / 60:.0f} min: {told(failed)}")
    assert failed == {}


def assuming(bench: Bench) -> Bench:
    """Return a bench whose invocations each assume a role anew, as a fresh process does."""
    role = "arn:aws:iam::123456789012:role/recycler"
    credentials = AwsCredentials(
        access_key=ACCESS_KEY, secret_key="x", region_name="us-east-1", role_arn=role
    )
    return replace(bench, assume=partial(get_aws_session, credentials))


@pytest.mark.parametrize("connects", [True, False], ids=["answers 503", "no network"])
@pytest.mark.parametrize("seconds", sweep(LENGTHS, quick=0))
def test_a_role_that_cannot_be_assumed_for_hours_leaves_nothing_raised(
    bench: Bench,
    seconds: float,
    *,
    connects: bool,
    measured: Callable[[str], None],
) -> None:
    def out_of_sts(world: World, _: Guarded, *, begins: float) -> None:
        world.outages.take_out("sts", since=begins, until=begins + seconds, connects=connects)

    failed = bad_beginnings(assuming(bench), out_of_sts)
    measured(f"no STS for {seconds / 60:.0f} min: {told(failed)}")
    assert failed == {}


def test_a_role_is_assumed_by_each_invocation(bench: Bench) -> None:
    world = three_segments()
    guarded = quick_guarded(assuming(bench), world)

    guarded.recycle(**EVENT)

    assert len(world.calls_of("AssumeRole")) >= guarded.invocations > 2


@pytest.mark.parametrize("name", ["DynamoDB", "ECS"])
def test_an_outage_of_an_hour_while_handed_over_leaves_nothing_raised(
    bench: Bench, name: str
) -> None:
    arrange = partial(outage, operations=SERVICES[name], begins=230, seconds=3600)

    assert whole_again(bench, arrange) == []


@pytest.mark.parametrize("begins", sweep([260, 60, 110, 330], quick=1))
@pytest.mark.parametrize("name", PERMISSIONS)
def test_a_permission_that_is_taken_away_for_hours_leaves_nothing_raised(
    bench: Bench, name: str, begins: float
) -> None:
    def deny(world: World, _: Guarded) -> None:
        world.at(begins, lambda w: w.faults.deny(PERMISSIONS[name]))
        world.at(begins + 3 * 3600, lambda w: w.faults.allow_all())

    assert whole_again(bench, deny) == []


def test_a_function_that_is_throttled_for_hours_goes_on_afterwards(bench: Bench) -> None:
    world = three_segments()
    guarded = quick_guarded(bench, world)
    guarded.is_throttled = lambda w: 200 < w.elapsed < 5 * 3600

    report = guarded.recycle(**EVENT)

    assert report.status is Status.COMPLETED
    assert report.answer().as_json()["tasks_recycled"] == TASKS
    assert "Restore" not in guarded.visited
    assert guarded.events < 25_000
    assert capacity(world) == FOUND


def test_a_table_that_is_deleted_while_handed_over_is_restored_by_what_the_execution_carries(
    bench: Bench,
) -> None:
    def drop(world: World, _: Guarded) -> None:
        world.at(230, lambda w: w.drop_table(RUNS_TABLE))

    world = three_segments()
    guarded = quick_guarded(bench, world)
    drop(world, guarded)

    report = guarded.recycle(**EVENT)

    assert capacity(world) == FOUND
    assert report.status is Status.PARTIAL
    assert "restored by what its execution carries" in str(report.reason)
    assert sum("Nothing was touched" in str(each.reason) for each in guarded.reports) == 0


def test_a_record_that_is_deleted_while_handed_over_is_restored_by_what_the_execution_carries(
    bench: Bench,
) -> None:
    world = three_segments()
    guarded = quick_guarded(bench, world)
    key = {"service": {"S": "demo/web"}}
    delete = {"TableName": RUNS_TABLE, "Key": key}
    world.at(230, lambda w: w.tables.write("DeleteItem", delete))

    report = guarded.recycle(**EVENT)

    assert capacity(world) == FOUND
    assert report.status is Status.PARTIAL
    assert "it is gone; restored by what its execution carries" in str(report.reason)


@pytest.mark.parametrize(
    "change", [{"format": 9}, {"memory": b"broken"}, {"parameters": "{"}], ids=str
)
def test_a_record_of_which_only_the_numbers_are_read_is_restored(
    bench: Bench, change: dict[str, Any]
) -> None:
    world = three_segments()
    guarded = quick_guarded(bench, world)
    world.at(230, lambda w: w.put_item(RUNS_TABLE, record(w) | change))

    guarded.recycle(**EVENT)

    assert capacity(world) == FOUND
    assert is_free(world)


def test_after_seven_days_the_guardian_gives_up_and_says_so(bench: Bench) -> None:
    world = three_segments()
    guarded = quick_guarded(bench, world)
    world.at(230, lambda w: out(w, ("UpdateItem", "RegisterScalableTarget", "UpdateService")))

    guarded.recycle(**EVENT)

    assert 6.5 * DAY < world.elapsed < 8 * DAY
    assert guarded.visited[-1] == "Done"
    assert "Given up" in guarded.visited
    assert guarded.events < 25_000
    told = [report for report in guarded.reports if report.is_worth_a_mail]
    assert 1 <= len(told) <= 4


def test_what_the_execution_carries_is_checked_like_a_record(bench: Bench) -> None:
    world = three_segments()
    guarded = quick_guarded(bench, world)
    guarded.invoke("run", EVENT)
    execution = guarded.execution("run")
    assert execution is not None
    forged = json.loads(execution.input)
    forged["next"]["raised"]["found"]["desired_count"] = 0
    execution.input = json.dumps(forged)
    world.drop_table(RUNS_TABLE)
    before = capacity(world)

    guarded.walk("run")

    assert capacity(world) == before
