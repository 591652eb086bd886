"""In every world of several services, whatever befalls it, sweeps keep their promises.

RECYCLE_SWEEPS=<count> lives through more worlds than usual, RECYCLE_SWEEP=<number> through one.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any, Final

import pytest

from ecs_emulator.ground.errors import EmulatorError
from ecs_task_recycle.report.sweep_answer import SweptStatus
from tests.emulated.attacked import capacity, is_free, stops, tasks_of
from tests.emulated.lanes import world_of_lanes
from tests.emulated.quick import KNOBS
from tests.emulated.swept import Swept

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ecs_emulator import World
    from ecs_emulator.state.model import Service
    from tests.emulated.bench import Bench

WORLDS: Final = int(os.environ.get("RECYCLE_SWEEPS", "20"))
SECRETS: Final = ("shared", "own")
TAGS: Final[tuple[dict[str, str], ...]] = ({"team": "x"}, {"team": "y"}, {})
WAYS: Final[tuple[dict[str, Any], ...]] = (
    {"cluster_name": "a", "services": "all"},
    {"tagged": {"team": "x"}},
    {"tagged": {"team": ["x", "y"]}},
    {"uses": "shared"},
    {"uses": "own", "tagged": {"team": "x"}},
)
LONGEST_SECONDS: Final = 150
RECYCLED: Final = (SweptStatus.COMPLETED, SweptStatus.NOTHING_TO_DO)


@dataclass
class Story:
    """One world with its sweeps; `disturbed` are the services that somebody else has changed."""

    number: int
    swept: Swept
    rng: Random
    has_second: bool = False
    originals: dict[str, set[str]] = field(default_factory=dict)
    found: dict[str, tuple[int, ...]] = field(default_factory=dict)
    desired: dict[str, int] = field(default_factory=dict)
    disturbed: set[str] = field(default_factory=set)

    @property
    def world(self) -> World:
        return self.swept.world

    def at(self, act: Callable[[], object]) -> None:
        self.world.at(self.world.elapsed + self.rng.uniform(1, LONGEST_SECONDS), lambda _: act())

    def create_services(self) -> None:
        for number in range(self.rng.randint(2, 5)):
            service = self.world.create_service(
                cluster=self.rng.choice("ab") if number else "a",
                name=f"s{number}",
                desired_count=self.rng.choice([0, 1, 1, 2, 3]),
                target_group=self.rng.random() < 0.5,
                tags=self.rng.choice(TAGS),
                secrets=tuple(self.rng.sample(SECRETS, self.rng.randint(0, 2))),
                scheduling_strategy="DAEMON" if self.rng.random() < 0.1 else "REPLICA",
            )
            self._limit(service)
            name = name_of(service)
            self.originals[name] = tasks_of(service)
            self.found[name] = capacity(self.world, service)
            self.desired[name] = service.desired_count

    def _limit(self, service: Service) -> None:
        is_scaled = service.desired_count > 0 and self.rng.random() < 0.4
        if is_scaled and service.setup.scheduling_strategy == "REPLICA":
            self.world.register_scalable_target(
                cluster=service.cluster.name,
                service=service.name,
                min_capacity=self.rng.choice([1, service.desired_count]),
                max_capacity=service.desired_count + self.rng.choice([0, 2]),
            )

    def begin(self, sweep: str) -> None:
        how = {"at_once": self.rng.randint(1, 3), "on_error": self.rng.choice(["stop", "continue"])}
        event = {"wait_time": 0, **how, **self.rng.choice(WAYS)}
        if self.rng.random() < 0.3:
            event |= {"if_running": "queue"}
        if self.has_second:
            # Of the tasks that had started by then, each sweep leaves none for the other.
            event["started_before"] = datetime.fromtimestamp(self.world.now, UTC).isoformat()
        if sweep == "first":
            self.swept.begin(sweep, **event)
        else:
            self.at(partial(self.swept.later, sweep, **event))

    def befall(self) -> None:
        for _ in range(self.rng.randint(0, 3)):
            self.at(self.rng.choice(BEFALLS)(self))

    def some_service(self) -> Service:
        return self.rng.choice(self.world.services)


def name_of(service: Service) -> str:
    return f"{service.cluster.name}/{service.name}"


# ---- What befalls a world ----


def dies(story: Story) -> Callable[[], object]:
    return story.swept.clock.kill_all


def is_stopped(story: Story) -> Callable[[], object]:
    return partial(story.swept.later, sweep="first", action="stop")


def changes_tags(story: Story) -> Callable[[], object]:
    service, tags = story.some_service(), story.rng.choice(TAGS)
    return lambda: setattr(service, "setup", replace(service.setup, tags=tags))


def is_throttled(story: Story) -> Callable[[], object]:
    seconds = story.rng.choice([60, 600, 7200])

    def throttle() -> None:
        until = story.world.now + seconds
        story.swept.is_throttled = lambda w: w.now < until

    return throttle


def somebody(story: Story, act: Callable[[str, str], object]) -> Callable[[], object]:
    service = story.some_service()

    def disturb() -> None:
        story.disturbed.add(name_of(service))
        try:
            act(service.cluster.name, service.name)
        except EmulatorError:
            return  # A daemon, or gone already.

    return disturb


def sets_count(story: Story) -> Callable[[], object]:
    count = story.rng.choice([0, 1, 4])

    def act(cluster: str, service: str) -> None:
        story.world.set_desired_count(cluster, service, count)

    return somebody(story, act)


def deletes(story: Story) -> Callable[[], object]:
    return somebody(story, story.world.delete_service)


def deploys(story: Story) -> Callable[[], object]:
    return somebody(story, story.world.start_deployment)


BEFALLS: Final = (dies, dies, is_stopped, changes_tags, is_throttled, sets_count, deletes, deploys)


# ---- The promises ----


def lived(bench: Bench, number: int) -> Story:
    rng = Random(number)
    story = Story(number, Swept(bench, world_of_lanes(KNOBS, seed=number)), rng)
    story.create_services()
    story.world.advance(10)
    story.has_second = rng.random() < 0.5
    story.begin("first")
    if story.has_second:
        story.begin("second")
    story.befall()
    story.swept.go_on()
    story.world.advance(1000)
    return story


def broken(story: Story) -> Iterator[str]:
    world, asked = story.world, stops(story.world)
    known = set.union(*story.originals.values())
    if asked.keys() - known and not story.disturbed:
        yield f"stopped what is new: {asked.keys() - known}"
    if max(asked.values(), default=1) > 1:
        yield f"stopped twice: {asked}"
    if [each.name for each in world.executions.values() if each.status == "RUNNING"]:
        yield "executions run still"
    for sweep in story.swept.walks:
        if not story.swept.answers.get(sweep):
            yield f"nobody was told of {sweep}"
    for service in world.services:
        if name_of(service) not in story.disturbed:
            yield from broken_of(story, service)


def broken_of(story: Story, service: Service) -> Iterator[str]:
    """Yield what does not hold of a service that nobody else has changed."""
    name, world = name_of(service), story.world
    if capacity(world, service) != story.found[name]:
        yield f"{name}: capacity {capacity(world, service)}, found {story.found[name]}"
    lowest = world.lowest_in_service(service.cluster.name, service.name)
    if lowest < story.desired[name]:
        yield f"{name}: lowest in service {lowest}"
    if not is_free(world, name):
        yield f"{name}: its record is not free"
    left = story.originals[name] & tasks_of(service)
    told = [each for answers in story.swept.answers.values() for each in answers[-1].services]
    for each in told:
        if each.service == name and each.status in RECYCLED and left:
            yield f"{name}: {each}, but left are {left}"
        if each.service == name and each.status is SweptStatus.RUNNING:
            yield f"{name}: told as running"


def numbers(seed: int) -> list[int]:
    if "RECYCLE_SWEEP" in os.environ:
        return [int(os.environ["RECYCLE_SWEEP"])]
    return [seed * 100_000 + index for index in range(WORLDS)]


def test_the_promises_of_sweeps_hold_in_random_worlds(
    bench: Bench, seed: int, measured: Callable[[str], None]
) -> None:
    failed = {}
    for number in numbers(seed):
        if wrong := [*broken(lived(bench, number))]:
            failed[f"RECYCLE_SWEEP={number}"] = wrong
    count = len(numbers(seed))
    measured(f"random sweeps: {count - len(failed)} of {count}")
    assert failed == {}


@pytest.mark.parametrize("number", [7])
def test_the_same_number_is_the_same_sweep(bench: Bench, number: int) -> None:
    first, again = lived(bench, number), lived(bench, number)
    calls = [[each.operation for each in story.world.calls] for story in (first, again)]
    assert calls[0] == calls[1]
