"""What AWS says in its events and stopped reasons counts only where it tells of a failed start."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ecs_emulator import FailingStart, Knobs, World, service_events
from ecs_emulator.accidents.mishaps import Interruption
from ecs_task_recycle.errors import ReplacementError
from ecs_task_recycle.outcome import Status
from tests.emulated.bench import SURGE, a_service, sweep

if TYPE_CHECKING:
    from ecs_emulator.state.model import Service
    from tests.emulated.bench import Bench


INFORMATION = {
    "zones blocked": service_events.zones_blocked("ecs-svc/1", "(reason 1 tasks under protection)"),
    "zone full": service_events.zone_full("us-east-1a"),
    "zone full, on instances": service_events.zone_full("us-east-1a", on_instances=True),
    "zones uneven": service_events.zones_uneven({"us-east-1a": 3, "us-east-1b": 1}),
    "zones even": service_events.zones_even({"us-east-1a": 2, "us-east-1b": 2}),
    "zones stopped": service_events.ZONES_STOPPED,
    "scale in": "was unable to scale in due to (reason 1 tasks under protection)",
}


def tell(world: World, message: str) -> None:
    """Write an event into the service's log again and again from now on."""
    for number in range(8):
        world.at(5 + number * 20, lambda w: w.add_service_event("demo", "web", message))


def lose_new_tasks(world: World, service: Service, by: str) -> None:
    """Take the first new task away, five times."""

    def lose(world: World) -> None:
        for task in [each for each in service.active_tasks if each.launch][:1]:
            world.interrupt_task(task, by)

    for seconds in (8, 20, 32, 44, 56):
        world.at(seconds, lose)


@SURGE
@pytest.mark.parametrize("name", sweep(INFORMATION, quick=3))
def test_events_that_tell_of_no_start_are_no_failed_starts(
    bench: Bench, name: str, caplog: pytest.LogCaptureFixture, *, surge: bool
) -> None:
    world = World()
    a_service(world)
    tell(world, INFORMATION[name])

    report = bench.recycle(world, maintain_service_state=surge)

    assert report.status is Status.COMPLETED, report.answer()
    assert "Not counted" not in caplog.text


@SURGE
@pytest.mark.parametrize("by", sweep(Interruption, quick=3))
def test_new_tasks_that_the_platform_takes_away_are_no_failed_starts(
    bench: Bench, by: Interruption, caplog: pytest.LogCaptureFixture, *, surge: bool
) -> None:
    world = World()
    on_instances = "host" in by or "instance" in by
    service = a_service(world, network_mode="bridge" if on_instances else "awsvpc")
    lose_new_tasks(world, service, by)

    report = bench.recycle(world, maintain_service_state=surge)

    assert report.status is Status.COMPLETED, report.answer()
    assert "Not counted" not in caplog.text


@SURGE
def test_launches_without_a_task_are_failed_starts(bench: Bench, *, surge: bool) -> None:
    world = World(knobs=Knobs(failing_starts=(FailingStart(kind="not_launched"),)))
    a_service(world)

    report = bench.recycle(world, maintain_service_state=surge)

    assert isinstance(report.error, ReplacementError)
    assert "failed to launch a task with (error" in str(report.error)
    assert world.elapsed < 120


@SURGE
def test_what_is_in_no_table_is_told_once_and_never_counted(
    bench: Bench, caplog: pytest.LogCaptureFixture, *, surge: bool
) -> None:
    world = World()
    a_service(world)
    tell(world, "was unable to foresee this message")

    report = bench.recycle(world, maintain_service_state=surge)

    told = [line for line in caplog.messages if line.startswith("Unrecognized ECS message")]
    assert len(told) == 1
    assert told[0].endswith("(service web) was unable to foresee this message")
    assert report.status is Status.COMPLETED


@SURGE
def test_an_unknown_message_stands_in_what_was_last_seen(bench: Bench, *, surge: bool) -> None:
    world = World(knobs=Knobs(target_health_delay=400))
    a_service(world)
    world.at(10, lambda w: w.add_service_event("demo", "web", "was unable to foresee this"))

    report = bench.recycle(world, maintain_service_state=surge, stabilize_timeout=60)

    assert "AWS said: (service web) was unable to foresee this" in str(report.reason)
