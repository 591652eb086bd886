"""A small service whose tasks come and go within seconds, for sweeps of many runs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from ecs_emulator import Knobs, World
from ecs_emulator.neighbours.tables import RUNS_TABLE
from ecs_task_recycle.clock import as_utc
from ecs_task_recycle.record.item import to_item
from ecs_task_recycle.record.record import RecordState, RunRecord
from tests.emulated.bench import CLUSTER, LAMBDA_SECONDS, SERVICE, a_service, autoscaled

KNOBS: Final = Knobs(
    scheduler_interval=1.0,
    provisioning=1.0,
    pending=4.0,
    target_health_delay=5.0,
    drain=5.0,
    stop_time=1.0,
    deprovision=2.0,
)
TASKS: Final = 2
FOUND: Final = (TASKS, 1, TASKS)
OWNER_IS_DEAD_SECONDS: Final = LAMBDA_SECONDS + 31
QUICK: Final[dict[str, Any]] = {"wait_time": 5, "stabilize_timeout": 300}


def quick_world() -> World:
    """Return a world with the service and its autoscaling limits, at rest."""
    world = World(knobs=KNOBS, seed=3)
    a_service(world, tasks=TASKS)
    autoscaled(world, FOUND[1], FOUND[2])
    world.advance(10)
    return world


def world_with_a_mark() -> World:
    """Return the same with its oldest task under scale-in protection for a minute."""
    world = quick_world()
    world.protect_task(world.service("demo", "web").active_tasks[0], minutes=1)
    return world


def another_run_starts(world: World) -> None:
    """Write the run record in the name of another run, alive for 15 minutes."""
    at = as_utc(world.now)
    other = RunRecord(
        version=999,
        state=RecordState.RUNNING,
        owner="other",
        owner_dead_at=at + timedelta(minutes=15),
        run_id="other",
        run_started_at=at,
        started_before_at=at,
    )
    world.put_item(RUNS_TABLE, {"service": f"{CLUSTER}/{SERVICE}", **to_item(other)})
