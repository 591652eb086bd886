"""Draw the tasks of a service over time: who was in service when, and how many were."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from ecs_emulator.ground.calls import lowest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ecs_emulator import World
    from ecs_emulator.state.model import Service, Task

LEGEND: Final = (
    "· starting  ▒ running  █ in service  ░ draining, stopping",
    "◆ in service and protected  ▼ fewer than at the start",
)
LABEL_WIDTH: Final = 23
TICK_COLUMNS: Final = 10
STEPS_SECONDS: Final = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0)


def draw(world: World, service: Service, since: float, *, width: int) -> list[str]:
    """Return the picture of a service with its legend; see `rows`."""
    return [*rows(world, service, since, width=width), "", *LEGEND]


def rows(world: World, service: Service, since: float, *, width: int) -> list[str]:
    """Return the picture from `since` until now; a row is a task, and time goes to the right.

    A task's row shows what it was at each column's beginning. The counts are the lowest within
    each column, so that no dip is too short to be seen.
    """
    room, span = width - LABEL_WIDTH, max(world.now - since, 1.0)
    step = next((step for step in STEPS_SECONDS if span / step <= room), span / room)
    starts = [since + number * step for number in range(math.ceil(span / step))]
    serving = _counts(service.in_service_history, starts, step)
    wanted = _counts([(at, count) for at, count, _ in service.desired_history], starts, step)
    line = service.desired_history[0][1]
    ticks = [f"{number * step:<{TICK_COLUMNS}g}" for number in range(0, len(starts), TICK_COLUMNS)]
    own = {task.arn for task in service.tasks}
    stops = (call for call in world.calls_of("StopTask") if call.wrote)
    first_stop = min((call.at for call in stops if call.parameters["task"] in own), default=None)
    parts = [
        ("task     seconds:", "".join(ticks)),
        *((_label(task, first_stop), _row(task, starts)) for task in service.tasks),
        ("         desired count", "".join(f"{min(count, 9)}" for count in wanted)),
        ("         in service", "".join(f"{min(count, 9)}" for count in serving)),
        (f"         the line at {line}", "".join("▼" if n < line else "━" for n in serving)),
    ]
    drawn = [f"{label:<{LABEL_WIDTH}}{cells}".rstrip() for label, cells in parts]
    return [*drawn, f"(A column is {step:g} s; the counts are the lowest in it.)"]


def _label(task: Task, first_stop: float | None) -> str:
    if task.launch == 0:
        return f"{task.id[:8]} original"
    # Started before any was stopped, so it takes no task's place.
    is_extra = first_stop is None or task.created_at < first_stop
    return f"{task.id[:8]} {'extra' if is_extra else 'replacement'}"


def _row(task: Task, starts: Sequence[float]) -> str:
    return "".join(_sign(task, at) if at >= task.created_at else " " for at in starts)


def _sign(task: Task, instant: float) -> str:
    state = task.timeline.at(instant)
    if state.last_status in {"STOPPED", "DELETED"}:
        return " "
    if state.desired_status == "STOPPED":
        return "░"
    if task.service.serves(state):
        return "◆" if state.protected(instant) else "█"
    return "▒" if state.last_status == "RUNNING" else "·"


def _counts(
    history: list[tuple[float, int]], starts: Sequence[float], seconds: float
) -> Sequence[int]:
    return [lowest(history, start, start + seconds) for start in starts]
