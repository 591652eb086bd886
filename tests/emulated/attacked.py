"""A small sweep that is attacked, and what has to hold once everything is over."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from ecs_emulator.neighbours.tables import RUNS_TABLE
from ecs_task_recycle.report.sweep_answer import SweptStatus
from ecs_task_recycle.sweep.record import key_of
from tests.emulated.lanes import world_of_lanes
from tests.emulated.quick import KNOBS
from tests.emulated.swept import Swept

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ecs_emulator import World
    from ecs_emulator.state.model import Service
    from ecs_task_recycle.report.sweep_answer import SweepAnswer, SweptService
    from tests.emulated.bench import Bench

    type Arrange = Callable[[Swept], object]

EVENT: Final[dict[str, Any]] = {
    "wait_time": 0,
    "cluster_name": "a",
    "services": ["one", "two", "three"],
    "at_once": 2,
    "on_error": "continue",
}
TASKS: Final = {"one": 2, "two": 1, "three": 1}
AUTOSCALED: Final = "one"


def small_world() -> World:
    """Return a world with three services, one of them with autoscaling limits."""
    world = world_of_lanes(KNOBS, seed=5)
    for name, count in TASKS.items():
        world.create_service(cluster="a", name=name, desired_count=count, target_group=True)
    most = TASKS[AUTOSCALED]
    world.register_scalable_target(
        cluster="a", service=AUTOSCALED, min_capacity=1, max_capacity=most
    )
    world.advance(10)
    return world


def attacked(bench: Bench, arrange: Arrange, **event: Any) -> tuple[Swept, list[str]]:  # noqa: ANN401
    """Sweep a small world while something befalls it; return what does not hold afterwards."""
    world = small_world()
    swept = Swept(bench, world)
    originals = {each.name: tasks_of(each) for each in world.services}
    swept.begin(**EVENT | event)
    arrange(swept)
    swept.go_on()
    world.faults.clear()
    # A death that was to come later than the end.
    world.revive()
    # As long as an owner may be alive that nobody heard of again.
    world.advance(1000)
    return swept, [*broken(swept, originals)]


def tasks_of(service: Service) -> set[str]:
    return {task.arn for task in service.active_tasks}


def stops(world: World) -> Counter[str]:
    """Return how often each task was asked to stop, and was."""
    calls = world.calls_of("StopTask")
    return Counter(str(call.parameters["task"]) for call in calls if call.wrote)


def capacity(world: World, service: Service) -> tuple[int, ...]:
    """Return desired count and, where there are limits, minimum and maximum."""
    target = world.autoscaling.targets.get(f"service/{service.cluster.name}/{service.name}")
    limits = () if target is None else (target.min_capacity, target.max_capacity)
    return (service.desired_count, *limits)


def broken(swept: Swept, originals: dict[str, set[str]]) -> Iterator[str]:
    """Yield what does not hold that has to, whatever has befallen a sweep."""
    world = swept.world
    found: dict[str, tuple[int, ...]] = {name: (count,) for name, count in TASKS.items()}
    found[AUTOSCALED] = (TASKS[AUTOSCALED], 1, TASKS[AUTOSCALED])
    for service in world.services:
        name = service.name
        if capacity(world, service) != found[name]:
            yield f"{name}: capacity {capacity(world, service)}, found {found[name]}"
        if service.in_service_count != TASKS[name]:
            yield f"{name}: in service {service.in_service_count}"
        if world.lowest_in_service("a", name) < TASKS[name]:
            yield f"{name}: lowest in service {world.lowest_in_service('a', name)}"
        if not is_free(world, f"a/{name}"):
            yield f"{name}: its record is not free: {world.item(RUNS_TABLE, service=f'a/{name}')}"
    asked = stops(world)
    if asked.keys() - set.union(*originals.values()) or max(asked.values(), default=1) > 1:
        yield f"stopped twice, or others: {asked}"
    if running := [each.name for each in world.executions.values() if each.status == "RUNNING"]:
        yield f"executions that run still: {running}"
    yield from untrue(swept, originals)


def is_free(world: World, service: str) -> bool:
    """Whether the next run may take a service's record."""
    record = world.item(RUNS_TABLE, service=service) or {}
    return bool(record.get("state", "ended") == "ended")


def untrue(swept: Swept, originals: dict[str, set[str]]) -> Iterator[str]:
    """Yield what the sweep tells, at its end and afterwards, that is not so."""
    told = swept.answers.get("s", [])
    if not told:
        yield "nobody was told"
        return
    if len({str(each.services) for each in told}) > 1:
        yield f"told differently: {told}"
    asked = stops(swept.world)
    for service in swept.world.services:
        tasks = originals[service.name]
        gone, stopped = len(tasks - tasks_of(service)), len(tasks & asked.keys())
        named = [each for each in told[-1].services if each.service == f"a/{service.name}"]
        for each in named:
            yield from lies(each, gone=gone, stopped=stopped, tasks=len(tasks))
    if key_of("s") and swept.world.item(RUNS_TABLE, service=key_of("s")):
        yield from told_otherwise(swept, told[-1])


def lies(told: SweptService, *, gone: int, stopped: int, tasks: int) -> Iterator[str]:
    """Yield in what a service's outcome is not what became of its tasks.

    Of those that are gone, ECS may have stopped one itself, as the capacity was put back.
    """
    what = f"{told}: gone {gone}, stopped {stopped} of {tasks}"
    match told.status:
        case SweptStatus.COMPLETED:
            is_true = told.tasks_recycled == told.tasks and gone == tasks
        case SweptStatus.NOTHING_TO_DO:
            is_true = gone == tasks
        case SweptStatus.PARTIAL | SweptStatus.FAILED:
            is_true = bool(told.reason) and (told.tasks_recycled or 0) <= stopped
        case SweptStatus.NOT_BEGUN | SweptStatus.REFUSED:
            is_true = stopped == 0
        case _:
            is_true = False
    if not is_true:
        yield what


def told_otherwise(swept: Swept, told: SweepAnswer) -> Iterator[str]:
    """Yield if the status of the sweep does not say what was told at its end."""
    status = swept.begin(sweep="s", action="status")
    if status.services != told.services:
        yield f"the status says {status.services}, told was {told.services}"
