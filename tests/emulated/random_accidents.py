"""What may happen to a random world: by accident, by the platform, by other people.

Each row is a method of World and how a call of it is drawn. What a call is about (a task, a target)
is chosen when it happens, by numbers drawn before: the same world always meets the same fate.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from ecs_emulator import EmulatorError, FailingStart, World
from ecs_emulator.accidents.mishaps import COMING, HANGING, Interruption
from ecs_emulator.state.service_events import zone_full, zones_blocked, zones_even, zones_uneven
from ecs_emulator.state.target_groups import DESCRIPTIONS, OVERRIDES, USUAL_REASONS
from tests.emulated.bench import CLUSTER, SERVICE

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from ecs_emulator.state.model import Task

type Act = Callable[[World], object]
type Draw = Callable[[Random], Act]

NAMES: Final = (CLUSTER, SERVICE)
ALARM: Final = "web-5xx"
ZONES: Final = ("us-east-1a", "us-east-1b", "us-east-1c")
MINUTE: Final = 60.0
SAME_SHARE: Final = 0.3
"""How often somebody sets the very limits that a run sets, or has set."""
EVENTS: Final = (
    zones_uneven({"us-east-1a": 2, "us-east-1b": 0}),
    zones_even({"us-east-1a": 1, "us-east-1b": 1}),
    zones_blocked("ecs-svc/1", "(reason 1 tasks under protection)"),
    zone_full("us-east-1c", on_instances=True),
    "was unable to place a task because no container instance met all of its requirements.",
    "operations are being throttled on elb. Will try again later.",
    "has a message that nobody has ever seen.",
)
STARTS: Final = (
    None,
    FailingStart(kind="never_running"),
    FailingStart(kind="exits"),
    FailingStart(kind="unhealthy"),
)


def _on_task(do: Callable[[World, Task, Random], object]) -> Draw:
    """Draw which of the tasks that are meant to run something happens to."""

    def draw(rng: Random) -> Act:
        index, seed = rng.randrange(8), rng.random()

        def act(world: World) -> None:
            tasks = world.service(*NAMES).active_tasks
            if tasks:
                do(world, tasks[index % len(tasks)], type(rng)(seed))

        return act

    return draw


def _on_service(do: Callable[[World, Random], object]) -> Draw:
    """Draw something that happens to the service, where it can."""

    def draw(rng: Random) -> Act:
        seed = rng.random()

        def act(world: World) -> None:
            with suppress(EmulatorError):  # where there is no room for it
                do(world, type(rng)(seed))

        return act

    return draw


def _in_group(method: str) -> Draw:
    def do(world: World, rng: Random) -> None:
        groups = world.service(*NAMES).target_groups
        if groups:
            getattr(world, method)(*NAMES, group=rng.randrange(len(groups)))

    return _on_service(do)


def _in_zone(method: str, **drawn: Callable[[Random], Any]) -> Draw:
    def do(world: World, rng: Random) -> None:
        options = {name: value(rng) for name, value in drawn.items()}
        if world.service(*NAMES).target_groups:
            getattr(world, method)(*NAMES, rng.choice(ZONES), **options)

    return _on_service(do)


def _set_target_state(world: World, task: Task, rng: Random) -> None:
    if task.targets:
        state = rng.choice([*USUAL_REASONS, "healthy"])
        reason = rng.choice([None, *DESCRIPTIONS]) if state != "healthy" else None
        world.set_target_state(task, state, reason, group=rng.randrange(len(task.targets)))


def _deregister_target(world: World, task: Task, rng: Random) -> None:
    if task.targets:
        world.deregister_target(task, group=rng.randrange(len(task.targets)))


def _register_foreign_target(world: World, rng: Random) -> None:
    if world.service(*NAMES).target_groups:
        state = rng.choice(["healthy", "unhealthy", "draining"])
        world.register_foreign_target(*NAMES, f"10.9.0.{rng.randrange(250)}", state=state)


def _make_unhealthy(world: World, task: Task, rng: Random) -> None:
    by_container = task.service.container_health and rng.random() < 0.5
    if task.targets or task.service.container_health:
        world.make_unhealthy(task, by_container=by_container)


def _forget_health(world: World, task: Task, _: Random) -> None:
    if task.service.container_health:
        world.forget_health(task)


def _rebalance(world: World, task: Task, _: Random) -> None:
    if task.service.status == "ACTIVE" and not task.service.daemon:
        world.rebalance(*NAMES, task)


def _with_limits(do: Callable[[World, Random], object]) -> Draw:
    def guarded(world: World, rng: Random) -> None:
        service = world.service(*NAMES)
        if world.autoscaling.target_of(service) is not None and service.status == "ACTIVE":
            do(world, rng)

    return _on_service(guarded)


def _set_limits(world: World, rng: Random) -> None:
    lowest, highest = rng.randrange(3), rng.randint(6, 12)
    target = world.autoscaling.target_of(world.service(*NAMES))
    if target is not None and rng.random() < SAME_SHARE:
        lowest, highest = target.min_capacity, rng.choice([target.max_capacity, 12])
    world.set_limits(*NAMES, min_capacity=lowest, max_capacity=max(lowest, highest))


def _schedule_limits(world: World, rng: Random) -> None:
    later = world.elapsed + rng.uniform(0, 4 * MINUTE)
    lowest, highest = rng.randrange(4), 9
    service = world.service(*NAMES)
    target = world.autoscaling.target_of(service)
    if target is not None and rng.random() < SAME_SHARE:
        lowest = service.desired_count + 1
        highest = max(lowest, target.max_capacity)
    world.schedule_limits(*NAMES, later, min_capacity=lowest, max_capacity=highest)


def _keep_load(world: World, rng: Random) -> None:
    counts = [rng.randint(1, 6) for _ in range(3)]
    world.keep_load(*NAMES, lambda seconds: counts[int(seconds / (5 * MINUTE)) % len(counts)])


def _hold_task(world: World, task: Task, rng: Random) -> None:
    world.hold_task(task, rng.choice(COMING))


def _hang_task(world: World, task: Task, rng: Random) -> None:
    world.hang_task(task, rng.choice(HANGING))


def _interrupt_task(world: World, task: Task, rng: Random) -> None:
    world.interrupt_task(task, rng.choice([*Interruption]))


def _complete_early(world: World, rng: Random) -> None:
    world.complete_deployment_early(
        *NAMES, cleanup_after=rng.choice([None, rng.uniform(0, 5 * MINUTE)])
    )


ACCIDENTS: Final[dict[str, Draw]] = {
    "crash_task": _on_task(
        lambda world, task, rng: world.crash_task(task, rng.choice([0, 1, 137]))
    ),
    "interrupt_task": _on_task(_interrupt_task),
    "hang_task": _on_task(_hang_task),
    "hold_task": _on_task(_hold_task),
    "make_unhealthy": _on_task(_make_unhealthy),
    "forget_health": _on_task(_forget_health),
    "add_service_event": _on_service(
        lambda world, rng: world.add_service_event(*NAMES, rng.choice(EVENTS))
    ),
    "set_target_state": _on_task(_set_target_state),
    "deregister_target": _on_task(_deregister_target),
    "take_group_out_of_use": _in_group("take_group_out_of_use"),
    "disable_health_checks": _in_group("disable_health_checks"),
    "disable_zone": _in_zone("disable_zone"),
    "shift_zone": _in_zone("shift_zone", state=lambda rng: rng.choice([*OVERRIDES])),
    "register_foreign_target": _on_service(_register_foreign_target),
    "start_deployment": _on_service(
        lambda world, rng: world.start_deployment(*NAMES, failing=rng.choice(STARTS))
    ),
    "fail_deployment": _on_service(lambda world, _: world.fail_deployment(*NAMES)),
    "pause_deployment": _on_service(
        lambda world, rng: world.pause_deployment(
            *NAMES, stage=rng.choice(["RECONCILE_SERVICE", "POST_SCALE_UP"])
        )
    ),
    "continue_deployment": _on_service(lambda world, _: world.continue_deployment(*NAMES)),
    "list_inactive_deployment": _on_service(
        lambda world, _: world.list_inactive_deployment(*NAMES)
    ),
    "complete_deployment_early": _on_service(_complete_early),
    "set_desired_count": _on_service(
        lambda world, rng: world.set_desired_count(*NAMES, rng.randint(1, 8))
    ),
    "set_limits": _with_limits(_set_limits),
    "schedule_limits": _with_limits(_schedule_limits),
    "put_load": _with_limits(lambda world, rng: world.put_load(*NAMES, rng.randint(1, 8))),
    "keep_load": _with_limits(_keep_load),
    "stop_task": _on_task(lambda world, task, _: world.stop_task(task)),
    "rebalance": _on_task(_rebalance),
    "delete_service": _on_service(lambda world, _: world.delete_service(*NAMES)),
    "protect_task": _on_task(
        lambda world, task, rng: world.protect_task(task, minutes=rng.uniform(0.2, 30))
    ),
    "unprotect_task": _on_task(lambda world, task, _: world.unprotect_task(task)),
    "set_alarm": _on_service(
        lambda world, rng: world.set_alarm(ALARM, rng.choice(["ALARM", "ALARM", "OK"]))
    ),
}
"""How each accident is drawn, by the method of World that it is."""

MOVES_CAPACITY: Final = frozenset(
    {
        "set_desired_count",
        "set_limits",
        "schedule_limits",
        "put_load",
        "keep_load",
        "delete_service",
    }
)
"""After these it takes the oracle to say which capacity has to be there."""
