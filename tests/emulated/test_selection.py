"""An event may ask for old tasks, or for exactly the tasks that it names."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecs_emulator import World
from ecs_task_recycle.errors import PreconditionError
from ecs_task_recycle.outcome import Status
from ecs_task_recycle.report.commands import command_for_the_rest
from ecs_task_recycle.settings.function import FunctionContext
from tests.emulated.bench import SURGE, a_service, capacity, record, stopped_by_us, sweep
from tests.emulated.guarded import Guarded
from tests.emulated.quick import KNOBS

if TYPE_CHECKING:
    from ecs_emulator.state.model import Service
    from tests.emulated.bench import Bench

NOBODY = "0123456789abcdef" * 2


def id_of(arn: str) -> str:
    return arn.rpartition("/")[2]


def arns_of(service: Service) -> list[str]:
    return [task.arn for task in service.active_tasks]


def hours_old(world: World, arn: str) -> float:
    """Return how long ago a task started."""
    service = world.service("demo", "web")
    task = next(each for each in service.tasks if each.arn == arn)
    started_at = next(at for at, last, *_ in task.history if last == "RUNNING")
    return (world.now - started_at) / 3600


# ---- older_than_hours ----


@SURGE
def test_only_tasks_that_started_longer_ago_are_recycled(bench: Bench, *, surge: bool) -> None:
    world = World()
    service = a_service(world, tasks=4)
    ages = {arn: hours_old(world, arn) for arn in arns_of(service)}
    youngest, *others = sorted(ages, key=lambda arn: ages[arn])
    limit = (ages[youngest] + min(ages[arn] for arn in others)) / 2

    report = bench.recycle(world, older_than_hours=limit, maintain_service_state=surge)

    assert report.status is Status.COMPLETED
    assert stopped_by_us(service) == set(others)
    assert world.lowest_in_service() == (4 if surge else 3)


def test_tasks_of_any_age_below_it_stay_and_nothing_is_raised(bench: Bench) -> None:
    world = World()
    a_service(world)

    answer = bench.recycle(world, older_than_hours="87600").answer().as_json()

    assert answer["status"] == "nothing_to_do"
    assert "no task was started before" in answer["reason"]
    assert world.writes == []


def test_the_next_night_makes_up_for_a_run_that_ended_early(bench: Bench) -> None:
    world = World()
    service = a_service(world, tasks=6)
    originals = set(arns_of(service))
    oldest_hours = max(hours_old(world, arn) for arn in originals)
    world.advance(24 * 3600)
    event = {"older_than_hours": 24, "wait_time": 0}
    assert oldest_hours + 24 > 24

    first = bench.recycle(world, run_id="first", deadline_seconds=320, **event).answer().as_json()
    world.advance(24 * 3600)
    second = bench.recycle(world, run_id="second", deadline_seconds=900, **event).answer().as_json()

    assert first["status"] == "partial"
    assert set(first["remaining"])
    assert second["status"] == "completed"
    assert originals <= stopped_by_us(service)


def test_the_age_may_be_the_services_own_by_its_tag(bench: Bench) -> None:
    world = World()
    tags: dict[str, str] = {}
    service = a_service(world, tasks=4, tags=tags)
    oldest, second, *_ = sorted(arns_of(service), key=lambda arn: -hours_old(world, arn))
    limit = (hours_old(world, oldest) + hours_old(world, second)) / 2
    tags["max-age"] = f"{limit:.6f}"

    report = bench.recycle(world, older_than_hours={"tag": "max-age"}, wait_time=0)

    assert report.status is Status.COMPLETED
    assert stopped_by_us(service) == {oldest}
    assert report.answer().as_json()["parameters"]["older_than_hours"] == {"tag": "max-age"}


@pytest.mark.parametrize(
    "tags, said",
    [
        ({}, "its tag max-age is missing"),
        ({"Max-Age": "24"}, "its tag max-age is missing"),
        *(
            ({"max-age": value}, f"its tag max-age is {value!r}")
            for value in ("", "a week", "0", "-1", "87600.5", "1e3", " 24")
        ),
    ],
)
@pytest.mark.parametrize("dry_run", [False, True])
def test_a_tag_that_says_no_hours_is_a_refusal_that_names_service_and_tag(
    bench: Bench, tags: dict[str, str], said: str, *, dry_run: bool
) -> None:
    world = World()
    a_service(world, tags=tags)

    report = bench.recycle(world, older_than_hours={"tag": "max-age"}, dry_run=dry_run)

    assert isinstance(report.error, PreconditionError)
    for text in ("Service demo/web", said, "expected a number of hours above 0, at most 87600"):
        assert text in report.error.sentence
    assert world.writes == []


def test_the_age_by_a_tag_is_asked_for_only_where_it_counts(bench: Bench) -> None:
    world = World()
    a_service(world, tags={"max-age": "24"})
    bench.recycle(world, older_than_hours=24)
    assert [
        each for each in world.calls_of("DescribeServices") if "include" in each.parameters
    ] == []


def test_the_absence_of_the_service_is_told_before_that_of_its_tag(bench: Bench) -> None:
    world = World()
    a_service(world)
    by_tag = {"tag": "max-age"}
    report = bench.recycle(world, service_name="none", older_than_hours=by_tag)
    assert isinstance(report.error, PreconditionError)
    assert "no service none" in report.error.sentence


def test_a_read_that_is_denied_is_named_with_all_others(bench: Bench) -> None:
    world = World()
    service = a_service(world)
    world.faults.deny("ecs:DescribeServices")
    world.faults.deny("ecs:ListTasks")
    report = bench.recycle(world, older_than_hours={"tag": "max-age"})
    assert isinstance(report.error, PreconditionError)
    assert "ecs:DescribeServices, ecs:ListTasks" in report.error.sentence
    assert stopped_by_us(service) == set()


def test_a_queued_request_goes_by_the_tag_too(bench: Bench) -> None:
    world = World()
    service = a_service(world, tags={"max-age": "0.000001"})
    originals = set(arns_of(service))

    def ask(_: World) -> None:
        asked = bench.recycle(
            world, run_id="more", if_running="queue", older_than_hours={"tag": "max-age"}
        )
        assert asked.status is Status.QUEUED

    world.after_call("StopTask", 2, ask)
    report = bench.recycle(world, wait_time=0)

    assert report.status is Status.COMPLETED
    assert originals < stopped_by_us(service)


def test_a_tag_that_goes_away_meanwhile_does_not_end_a_run_that_goes_on(bench: Bench) -> None:
    world = World()
    tags = {"max-age": "0.000001"}
    service = a_service(world, tasks=3, tags=tags)
    originals = set(arns_of(service))

    world.after_call("StopTask", 1, lambda _: tags.clear())
    guarded = Guarded(bench, world)
    report = guarded.recycle(older_than_hours={"tag": "max-age"}, wait_time=400)

    assert report.status is Status.COMPLETED
    assert guarded.invocations > 1
    assert stopped_by_us(service) == originals


def test_the_answer_names_the_instant_to_go_on_with(bench: Bench) -> None:
    world = World()
    a_service(world)
    began = datetime.fromtimestamp(world.now, UTC)

    answer = bench.recycle(world, older_than_hours=0.001).answer().as_json()

    started_before = datetime.fromisoformat(answer["started_before"])
    assert timedelta(0) <= started_before - (began - timedelta(hours=0.001)) < timedelta(seconds=1)


# ---- tasks ----


@SURGE
@pytest.mark.parametrize("named", ["id", "arn"])
def test_exactly_the_named_tasks_are_recycled(bench: Bench, named: str, *, surge: bool) -> None:
    world = World()
    service = a_service(world, tasks=5)
    chosen = arns_of(service)[1:3]
    names = chosen if named == "arn" else [id_of(arn) for arn in chosen]

    report = bench.recycle(world, tasks=names, maintain_service_state=surge)

    assert report.status is Status.COMPLETED
    assert stopped_by_us(service) == set(chosen)
    assert {row["task"] for row in report.answer().as_json()["tasks"]} == set(chosen)
    assert report.answer().as_json()["started_before"] is None
    assert world.lowest_in_service() == (5 if surge else 4)
    assert capacity(world)[0] == 5


def test_a_task_named_twice_is_recycled_once(bench: Bench) -> None:
    world = World()
    service = a_service(world)
    arn = arns_of(service)[0]

    answer = bench.recycle(world, tasks=[arn, id_of(arn), arn]).answer().as_json()

    assert answer["tasks_recycled"] == 1
    assert stopped_by_us(service) == {arn}


def test_the_one_sick_task_is_recycled_without_touching_the_others(bench: Bench) -> None:
    world = World()
    service = a_service(world)
    sick = service.active_tasks[1]
    world.make_unhealthy(sick)
    world.hold_task(sick)

    answer = bench.recycle(world, tasks=[sick.arn]).answer().as_json()

    assert answer["status"] == "completed"
    assert [row["task"] for row in answer["tasks"]] == [sick.arn]
    assert world.lowest_in_service() == 2
    assert stopped_by_us(service) == {sick.arn}


@pytest.mark.parametrize("others", [0, 2])
def test_an_unknown_task_is_an_error_before_anything_is_touched(bench: Bench, others: int) -> None:
    world = World()
    service = a_service(world)

    report = bench.recycle(world, tasks=[*arns_of(service)[:others], NOBODY])

    assert isinstance(report.error, PreconditionError)
    assert f"it has no task {NOBODY}, nor has it had one in the last hour" in str(report.error)
    assert world.writes == []
    assert not record(world)


def test_a_task_of_another_service_is_an_error(bench: Bench) -> None:
    world = World()
    a_service(world)
    other = world.create_service(cluster="demo", name="api", desired_count=2)
    arn = arns_of(other)[0]

    report = bench.recycle(world, tasks=[arn])

    assert f"task {id_of(arn)} is not one of its tasks but of service:api" in str(report.error)
    assert world.writes == []


@pytest.mark.parametrize(
    "partition, region, account",
    [
        ("aws", "eu-west-1", "123456789012"),
        ("aws", "us-east-1", "210987654321"),
        ("aws-cn", "us-east-1", "123456789012"),
    ],
)
def test_a_task_of_another_partition_region_or_account_is_an_error(
    bench: Bench, partition: str, region: str, account: str
) -> None:
    world = World()
    task_id = id_of(arns_of(a_service(world))[0])
    arn = f"arn:{partition}:ecs:{region}:{account}:task/demo/{task_id}"

    report = bench.recycle(world, tasks=[arn])

    place = f"account {account} in {region}, partition {partition}"
    expected = f"task {task_id} is named as one of {place}"
    assert expected in str(report.error)
    assert world.writes == []


def test_named_tasks_that_are_gone_already_count_as_replaced(bench: Bench) -> None:
    world = World()
    service = a_service(world)
    gone, leaving, live = service.active_tasks
    world.stop_task(gone)
    world.advance(200)
    world.stop_task(leaving)
    world.advance(5)

    answer = bench.recycle(world, tasks=[gone.arn, leaving.arn, live.arn]).answer().as_json()

    assert answer["status"] == "completed"
    assert answer["tasks_recycled"] == 3
    notes = {row["task"]: row["note"] for row in answer["tasks"]}
    assert notes[gone.arn] == notes[leaving.arn] == "it was gone before the run began"
    assert stopped_by_us(service) == {live.arn}


def test_where_all_of_them_are_gone_nothing_is_raised(bench: Bench) -> None:
    world = World()
    service = a_service(world)
    gone = service.active_tasks[0]
    world.stop_task(gone)
    world.advance(200)
    writes = list(world.writes)

    answer = bench.recycle(world, tasks=[gone.arn]).answer().as_json()

    assert answer["status"] == "nothing_to_do"
    assert answer["reason"] == "none of the named tasks is running any more"
    assert answer["tasks_recycled"] == 1
    assert world.writes == writes


@pytest.mark.parametrize("surge", [True, False])
def test_a_request_that_may_be_queued_also_takes_what_is_just_starting(
    bench: Bench, *, surge: bool
) -> None:
    """Whether a run is in progress or not: it may have read its secrets before they rotated."""
    world = World()
    service = a_service(world)
    world.set_desired_count("demo", "web", 4)
    world.advance(15)
    before = set(arns_of(service))
    starting = [task.arn for task in service.active_tasks if task.last_status != "RUNNING"]

    answer = (
        bench.recycle(
            world, maintain_service_state=surge, if_running="queue", deadline_seconds=5000
        )
        .answer()
        .as_json()
    )

    assert len(starting) == 1
    assert answer["status"] == "completed"
    assert stopped_by_us(service) == before
    assert service.desired_count == 4
    assert world.lowest_in_service() == 3  # as many as before the fourth had started


@pytest.mark.parametrize("seed", sweep(range(8), quick=3))
def test_a_request_that_may_be_queued_takes_what_no_read_shows_yet(bench: Bench, seed: int) -> None:
    world = World(knobs=replace(KNOBS, staleness=10.0), seed=seed)
    service = a_service(world)
    world.advance(20)
    world.crash_task(service.active_tasks[0])
    world.advance(4)
    asked_at = world.now

    report = bench.recycle(world, if_running="queue", wait_time=0)

    assert report.status is Status.COMPLETED
    assert min(task.created_at for task in service.active_tasks) > asked_at


def test_where_all_tasks_are_just_starting_a_request_that_may_be_queued_takes_them(
    bench: Bench,
) -> None:
    world = World()
    service = a_service(world, tasks=0)
    world.set_desired_count("demo", "web", 2)
    world.advance(15)
    before = set(arns_of(service))

    plain = bench.recycle(world, dry_run=True).answer().as_json()
    answer = bench.recycle(world, if_running="queue").answer().as_json()

    assert plain["status"] == "nothing_to_do"
    assert answer["status"] == "completed"
    assert stopped_by_us(service) == before
    assert len(before) == 2


def test_a_part_asks_for_the_tasks_that_are_left(bench: Bench) -> None:
    world = World()
    service = a_service(world, tasks=6)
    chosen = arns_of(service)[:5]

    answer = bench.recycle(world, tasks=chosen, deadline_seconds=320).answer().as_json()
    again = bench.recycle(world, run_id="again", tasks=answer["remaining"]).answer().as_json()

    assert answer["status"] == "partial"
    assert "repeat the event with the remaining tasks to go on" in answer["reason"]
    assert again["status"] == "completed"
    assert stopped_by_us(service) == set(chosen)


@pytest.mark.parametrize("named", [True, False], ids=["named", "by instant"])
def test_the_command_to_go_on_asks_for_the_tasks_that_are_left_alone(
    bench: Bench, *, named: bool
) -> None:
    world = World()
    service = a_service(world, tasks=6)
    manner: dict[str, Any] = {
        "wait_time": 40,
        "maintain_service_state": False,
        "protected_tasks": "skip",
    }
    chosen: dict[str, Any] = {"tasks": arns_of(service)[:5]} if named else {}

    answer = bench.recycle(world, deadline_seconds=320, **manner, **chosen).answer()
    words = shlex.split(command_for_the_rest(answer, FunctionContext()))
    again = bench.recycle(world, run_id="again", **json.loads(words[words.index("echo") + 1]))

    assert answer.status is Status.PARTIAL
    assert again.status is Status.COMPLETED
    assert {row["task"] for row in again.answer().as_json()["tasks"]} == set(answer.remaining)
    assert again.answer().as_json()["parameters"].items() >= manner.items()


def test_a_named_task_that_the_list_does_not_show_yet_is_recycled_all_the_same(
    bench: Bench,
) -> None:
    world = World()
    service = a_service(world, tasks=4)
    for task in service.active_tasks:
        world.protect_task(task)
    # One more than desired, for as long as they are protected: so nobody looks for more.
    world.set_desired_count("demo", "web", 3)
    world.advance(60)
    hidden = arns_of(service)[-1]
    seen: list[str] = []

    def hide(parsed: dict[str, Any], **_: object) -> None:
        if not seen:
            parsed["taskArns"].remove(hidden)
        seen.append(hidden)

    events = bench.session.client("ecs").meta.events
    events.register("after-call.ecs.ListTasks", hide)
    try:
        answer = (
            bench.recycle(
                world, tasks=[hidden], maintain_service_state=False, protected_tasks="stop"
            )
            .answer()
            .as_json()
        )
    finally:
        events.unregister("after-call.ecs.ListTasks", hide)

    assert seen
    assert answer["tasks"][0]["note"] is None
    assert stopped_by_us(service) == {hidden}


def test_named_tasks_are_known_to_every_invocation_of_a_run(bench: Bench) -> None:
    world = World()
    service = a_service(world, tasks=8)
    chosen = arns_of(service)[:6]
    guarded = Guarded(bench, world, limit_seconds=300)

    guarded.invoke("run", {"tasks": chosen})
    guarded.walk("run")

    answer = guarded.reports[-1].answer().as_json()
    assert answer["status"] == "completed"
    assert answer["segments"] > 1
    assert answer["started_before"] is None
    assert stopped_by_us(service) == set(chosen)


@given(data=st.data())
@settings(max_examples=8, deadline=None)
def test_whatever_is_named_exactly_that_is_recycled(bench: Bench, data: st.DataObject) -> None:
    world = World(seed=data.draw(st.integers(0, 9999), label="seed"))
    service = a_service(world, tasks=data.draw(st.integers(1, 5), label="tasks"))
    chosen = data.draw(st.sets(st.sampled_from(arns_of(service)), min_size=1), label="chosen")
    names = [arn if data.draw(st.booleans()) else id_of(arn) for arn in sorted(chosen)]
    count = len(arns_of(service))

    report = bench.recycle(world, tasks=names, wait_time=0)

    assert report.status is Status.COMPLETED, report.answer()
    assert stopped_by_us(service) == chosen
    assert world.lowest_in_service() >= count
    assert capacity(world)[0] == count


# ---- alarms ----


@pytest.mark.parametrize("composite", [False, True], ids=["metric", "composite"])
def test_an_alarm_of_the_event_that_goes_off_ends_the_run_before_the_next_stop(
    bench: Bench, *, composite: bool
) -> None:
    world = World()
    service = a_service(world)
    world.set_alarm("queue-age", "OK", composite=composite)
    world.at(100, lambda w: w.set_alarm("queue-age", "ALARM", composite=composite))

    answer = bench.recycle(world, alarms=["queue-age"]).answer().as_json()

    assert answer["status"] == "partial"
    assert answer["reason"] == "alarms of the event are in ALARM: queue-age"
    assert 0 < len(stopped_by_us(service)) < 3
    assert capacity(world)[0] == 3


def test_alarms_of_the_event_stand_beside_the_services_own(bench: Bench) -> None:
    world = World()
    a_service(world, alarms=("errors",))
    world.set_alarm("errors", "ALARM")
    world.set_alarm("queue-age", "ALARM")
    world.set_alarm("latency", "INSUFFICIENT_DATA")

    report = bench.recycle(world, alarms=["queue-age", "latency", "absent"])

    assert isinstance(report.error, PreconditionError)
    for reason in (
        "deployment alarms are in ALARM: errors",
        "alarms of the event are in ALARM: queue-age",
        "alarms of the event do not exist: absent",
    ):
        assert reason in str(report.error)
    assert "latency" not in str(report.error)
    assert world.writes == []


def test_an_alarm_without_data_is_no_reason_to_end(bench: Bench) -> None:
    world = World()
    a_service(world)
    world.set_alarm("queue-age", "INSUFFICIENT_DATA")

    assert bench.recycle(world, alarms=["queue-age"]).status is Status.COMPLETED


def test_an_alarm_that_is_deleted_meanwhile_ends_the_run(bench: Bench) -> None:
    world = World()
    service = a_service(world)
    world.set_alarm("queue-age")
    world.at(100, lambda w: w.alarms.pop("queue-age"))

    answer = bench.recycle(world, alarms=["queue-age"]).answer().as_json()

    assert answer["reason"] == "alarms of the event do not exist: queue-age"
    assert 0 < len(stopped_by_us(service)) < 3
    assert capacity(world)[0] == 3


def test_more_alarms_than_one_call_takes_are_all_read(bench: Bench) -> None:
    world = World()
    names = [f"alarm-{number:03}" for number in range(100)]
    a_service(world, alarms=("errors", "latency"))
    for name in names:
        world.set_alarm(name)
    world.set_alarm("alarm-099", "ALARM")

    report = bench.recycle(world, alarms=names)

    assert "alarms of the event are in ALARM: alarm-099" in str(report.error)


def test_reading_alarms_needs_its_permission(bench: Bench) -> None:
    world = World()
    a_service(world)
    world.set_alarm("queue-age")
    world.faults.deny("cloudwatch:DescribeAlarms")

    report = bench.recycle(world, alarms=["queue-age"])

    assert isinstance(report.error, PreconditionError)
    assert "cloudwatch:DescribeAlarms" in str(report.error)


@pytest.mark.parametrize("action", ["restore", "status", "stop"])
def test_other_actions_look_at_neither_tasks_nor_alarms(bench: Bench, action: str) -> None:
    world = World()
    a_service(world)
    event: dict[str, Any] = {"tasks": [NOBODY], "alarms": ["absent"]}

    report = bench.recycle(world, action=action, **event)

    assert report.error is None
    assert not world.calls_of("DescribeAlarms")
    assert not any(NOBODY in str(call.parameters) for call in world.calls)
