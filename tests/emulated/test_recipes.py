"""What docs/recipes.md says of events that come twice, too late or at the wrong time."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ecs_emulator import World
from ecs_task_recycle.errors import PreconditionError
from tests.docs.commands import saved_files
from tests.docs.guards import input_of
from tests.docs.pages import guide
from tests.emulated.bench import CLUSTER, SERVICE, a_service, stopped_by_us

if TYPE_CHECKING:
    from tests.emulated.bench import Bench

HOURS = 3600


def event_of(file: str, *, at: float = 0.0) -> dict[str, Any]:
    """Return what a recipe's target hands to the function, for the service at hand."""
    (target,) = json.loads(saved_files(guide("recipes"))[file])
    event_time = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    event: dict[str, Any] = json.loads(input_of(target, event_time=event_time))
    return {**event, "cluster_name": CLUSTER, "service_name": SERVICE}


def test_a_notice_that_is_delivered_twice_recycles_nothing_twice(bench: Bench) -> None:
    world = World()
    service = a_service(world)
    originals = {task.arn for task in service.active_tasks}
    event = event_of("retirement-targets.json", at=world.now)

    first = bench.recycle(world, run_id="first", **event).answer().as_json()
    again = bench.recycle(world, run_id="again", **event).answer().as_json()

    assert (first["status"], again["status"]) == ("completed", "nothing_to_do")
    assert stopped_by_us(service) == originals


def test_a_later_message_about_a_retirement_recycles_once_more(bench: Bench) -> None:
    world = World()
    a_service(world)
    bench.recycle(world, **event_of("retirement-targets.json", at=world.now))
    world.advance(HOURS)

    again = (
        bench.recycle(world, **event_of("retirement-targets.json", at=world.now)).answer().as_json()
    )

    assert (again["status"], again["tasks_recycled"]) == ("completed", 3)


def test_an_alarm_that_fires_again_within_the_hour_recycles_nothing(bench: Bench) -> None:
    world = World()
    service = a_service(world)
    event = event_of("alarm-targets.json")
    first = bench.recycle(world, run_id="first", **event).answer().as_json()
    stopped = stopped_by_us(service)
    world.advance(HOURS / 2)

    again = bench.recycle(world, run_id="again", **event).answer().as_json()
    world.advance(HOURS)
    later = bench.recycle(world, run_id="later", **event).answer().as_json()

    assert (first["status"], again["status"]) == ("completed", "nothing_to_do")
    assert (later["status"], later["tasks_recycled"]) == ("completed", 3)
    assert len(stopped) == 3


def test_the_alarm_that_starts_a_run_would_refuse_it_under_alarms(bench: Bench) -> None:
    world = World()
    a_service(world)
    world.set_alarm("reports-memory", "ALARM")

    report = bench.recycle(world, alarms=["reports-memory"], **event_of("alarm-targets.json"))

    assert isinstance(report.error, PreconditionError)
    assert world.writes == []
