"""Random worlds in which everything happens at once: interference, faults, kills, no time.

Whatever happens, a run keeps its promises, and says what it could not do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from ecs_emulator import FailingStart, Killed, Knobs, ScaleInChoice, World
from ecs_task_recycle.outcome import Status
from tests.emulated.bench import (
    LAMBDA_SECONDS,
    a_service,
    asked_to_stop_at,
    autoscaled,
    capacity,
    is_free,
    is_protected,
    stopped_by_us,
)
from tests.emulated.random_worlds import spans

if TYPE_CHECKING:
    from ecs_emulator.model import Service
    from ecs_task_recycle.report import Report
    from tests.emulated.bench import Bench

WORLDS = 500
LOWEST, HIGHEST = 1, 9
BLIND_SECONDS = 30.0
"""What happens so shortly before a write of the run cannot have been seen by it."""

type Act = Callable[[World], object]


@dataclass(frozen=True)
class Trouble:
    """Something that somebody or something else does, so many seconds after the start."""

    name: str
    at: float
    act: Act
    count: int | None = None
    """The desired count or maximum that it sets."""


def _crash_oldest(world: World) -> None:
    for task in world.service("demo", "web").active_tasks[:1]:
        world.crash_task(task)


def _stop_newest(world: World) -> None:
    for task in world.service("demo", "web").active_tasks[-1:]:
        world.stop_task(task)


def _deploy(world: World) -> None:
    world.start_deployment("demo", "web")


def _rebalance(world: World) -> None:
    if world.service("demo", "web").active_tasks:
        world.rebalance("demo", "web")


def _protect(index: int, minutes: int) -> Act:
    def act(world: World) -> None:
        tasks = world.service("demo", "web").active_tasks
        if tasks:
            world.protect_task(tasks[index % len(tasks)], minutes)

    return act


def _unprotect(index: int) -> Act:
    def act(world: World) -> None:
        tasks = world.service("demo", "web").active_tasks
        if tasks:
            world.unprotect_task(tasks[index % len(tasks)])

    return act


def _set_desired(count: int) -> Act:
    return lambda world: world.set_desired_count("demo", "web", count)


def _set_maximum(count: int) -> Act:
    return lambda world: world.set_limits("demo", "web", max_capacity=count)


SECONDS = st.floats(0, 500).map(lambda value: round(value, 1))
TROUBLES = st.one_of(
    st.builds(Trouble, st.just("crash"), SECONDS, st.just(_crash_oldest)),
    st.builds(Trouble, st.just("stopped by somebody"), SECONDS, st.just(_stop_newest)),
    st.builds(Trouble, st.just("deployment"), SECONDS, st.just(_deploy)),
    st.builds(Trouble, st.just("rebalancing"), SECONDS, st.just(_rebalance)),
    st.integers(1, 8).flatmap(
        lambda count: st.builds(
            Trouble,
            st.just(f"desired count {count}"),
            SECONDS,
            st.just(_set_desired(count)),
            st.just(count),
        )
    ),
    st.integers(6, 12).flatmap(
        lambda count: st.builds(
            Trouble,
            st.just(f"maximum {count}"),
            SECONDS,
            st.just(_set_maximum(count)),
            st.just(count),
        )
    ),
)

PROTECTIONS = st.lists(
    st.one_of(
        st.builds(
            Trouble,
            st.just("protection"),
            SECONDS,
            st.builds(_protect, st.integers(0, 5), st.integers(1, 30)),
        ),
        st.builds(
            Trouble, st.just("mark cleared"), SECONDS, st.builds(_unprotect, st.integers(0, 5))
        ),
    ),
    max_size=5,
)

FAULTS = st.fixed_dictionaries(
    {
        "nth": st.integers(1, 400),
        "times": st.integers(1, 12),
        "code": st.sampled_from(["ServerException", "ThrottlingException", None]),
        "after_effect": st.booleans(),
    }
)

KNOBS = st.builds(
    Knobs,
    scheduler_interval=spans(5),
    pending=spans(20),
    target_health_delay=spans(20),
    drain=spans(40),
    drains_on_stop=st.booleans(),
    stop_time=spans(10),
    staleness=st.floats(0, 5),
    latency=st.floats(0, 0.3),
    scale_in_choice=st.sampled_from(ScaleInChoice),
    failing_starts=st.just(())
    | st.builds(
        FailingStart,
        kind=st.sampled_from(["never_running", "exits", "unhealthy"]),
        launches=st.frozensets(st.integers(1, 8), max_size=4),
    ).map(lambda failing: (failing,)),
)


@dataclass(frozen=True, kw_only=True)
class Story:
    """A world, and what befalls it."""

    seed: int
    knobs: Knobs
    tasks: int
    maintain: bool
    protected_tasks: str
    has_limits: bool
    troubles: tuple[Trouble, ...]
    faults: tuple[dict[str, Any], ...]
    kills_at: tuple[float, ...]

    def __str__(self) -> str:
        told = ", ".join(f"{each.name} at {each.at}" for each in self.troubles)
        return (
            f"seed {self.seed}, {self.tasks} tasks, surge {self.maintain}, limits "
            f"{self.has_limits}, {self.protected_tasks}, kills at {self.kills_at}, "
            f"faults {self.faults}, {told}\n"
            f"{self.knobs}"
        )


STORIES = st.builds(
    Story,
    seed=st.integers(0, 10**6),
    knobs=KNOBS,
    tasks=st.integers(1, 4),
    maintain=st.booleans(),
    protected_tasks=st.sampled_from(["wait", "wait", "skip", "stop"]),
    has_limits=st.booleans(),
    troubles=st.tuples(st.lists(TROUBLES, max_size=3), PROTECTIONS).map(
        lambda lists: (*lists[0], *lists[1])
    ),
    faults=st.lists(FAULTS, max_size=2).map(tuple),
    kills_at=st.lists(st.floats(1, 400), max_size=2).map(tuple),
)


@pytest.mark.slow
@settings(max_examples=WORLDS)
@given(story=STORIES)
def test_the_promises_hold_whatever_happens(bench: Bench, *, story: Story) -> None:
    world = World(knobs=story.knobs, seed=story.seed)
    service = a_service(world, tasks=story.tasks)
    if story.has_limits:
        autoscaled(world, LOWEST, HIGHEST)
    world.advance(10)
    found = capacity(world)
    originals = {task.arn for task in service.active_tasks}
    for trouble in story.troubles:
        if story.has_limits or not trouble.name.startswith("maximum"):
            world.at(10 + trouble.at, trouble.act)
    for fault in story.faults:
        status = 400 if fault["code"] == "ThrottlingException" else 500
        world.faults.fail(**fault, status=status if fault["code"] else None)

    report = _run_until_it_survives(bench, world, story)

    note(f"{story}\n{report.answer()}")
    _check(bench, world, service, report, story=story, found=found, originals=originals)


def _run_until_it_survives(bench: Bench, world: World, story: Story) -> Report:
    """Run; where the story kills a run, wait until it is certainly dead, and run again."""
    for seconds in story.kills_at:
        world.kill_at(world.elapsed + seconds)
        try:
            return _run(bench, world, story)
        except Killed:
            world.revive()
            world.advance(LAMBDA_SECONDS + 31)
    return _run(bench, world, story)


def _run(bench: Bench, world: World, story: Story) -> Report:
    limit = world.elapsed + LAMBDA_SECONDS
    report = bench.recycle(
        world,
        maintain_service_state=story.maintain,
        protected_tasks=story.protected_tasks,
        wait_time=10,
        stabilize_timeout=300,
    )
    assert world.elapsed <= limit, "Lambda would have killed it"
    world.planned_faults.kills.clear()
    return report


def _check(
    bench: Bench,
    world: World,
    service: Service,
    report: Report,
    *,
    story: Story,
    found: tuple[int, int | None, int | None],
    originals: set[str],
) -> None:
    end = world.elapsed
    if report.status is Status.COMPLETED and not story.kills_at:
        assert originals.isdisjoint({task.arn for task in service.active_tasks})
    if not is_free(world):
        assert report.error is not None
        _restore(bench, world)
    assert is_free(world)
    if not any(each.count is not None and 10 + each.at <= end for each in story.troubles):
        assert capacity(world) == found
    _check_stops(world, service, story)
    if story.protected_tasks != "stop":
        _check_protected(service, story)


def _check_protected(service: Service, story: Story) -> None:
    """Check that no task was stopped whose mark a read right before the stop could show."""
    latency = story.knobs.latency
    assert isinstance(latency, float)
    # A StopTask that is throttled is repeated by botocore, with growing pauses.
    blind_seconds = story.knobs.staleness + 20 * latency + (120 if story.faults else 0.1)
    for task in service.tasks:
        if task.arn not in stopped_by_us(service):
            continue
        at = asked_to_stop_at(task)
        seen_at = max(at - blind_seconds, task.created_at)
        marks = [is_protected(task, each) for each in (seen_at, at)]
        assert not all(marks), f"{task.arn} was stopped under protection"


def _restore(bench: Bench, world: World) -> None:
    """Put back, once AWS answers again and the owner is dead, what a run could not put back."""
    world.faults.clear()
    world.advance(LAMBDA_SECONDS + 31)
    # A kill that came too late for its run must not hit this one.
    world.revive()
    assert bench.recycle(world, action="restore").status is Status.RESTORED


def _check_stops(world: World, service: Service, story: Story) -> None:
    """Check at each stop by the run that enough stayed in service, as far as it could know."""
    counts = [each.count for each in story.troubles if each.count is not None]
    needed = min([story.tasks, *counts]) - (0 if story.maintain else 1)
    for task in service.tasks:
        if task.arn not in stopped_by_us(service):
            continue
        stopped_at = asked_to_stop_at(task)
        if _was_disturbed(service, stopped_at):
            continue
        count = [count for at, count in world.in_service_history() if at <= stopped_at][-1]
        assert count >= needed, f"{count} in service after {task.arn} was stopped"


def _was_disturbed(service: Service, at: float) -> bool:
    """Whether a task ended by itself, or by somebody, too shortly before to be seen."""
    ended = [
        ended_at
        for task in service.tasks
        if task.arn not in stopped_by_us(service)
        for ended_at, _, desired, *_ in task.history
        if desired == "STOPPED"
    ]
    return any(at - BLIND_SECONDS <= each <= at for each in ended)
