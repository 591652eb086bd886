"""A random world as it was lived through: the run in it, whoever came between, and its end."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ecs_emulator import Killed, StopKind
from ecs_emulator.neighbours.tables import RUNS_TABLE
from ecs_task_recycle.clock import as_utc
from ecs_task_recycle.outcome import Status
from ecs_task_recycle.record.item import to_item
from ecs_task_recycle.record.record import RecordState, RunRecord
from tests.emulated.bench import (
    CLUSTER,
    LAMBDA_SECONDS,
    SERVICE,
    asked_to_stop_at,
    capacity,
    is_free,
    record,
    stopped_by_us,
)
from tests.emulated.guarded import Guarded

if TYPE_CHECKING:
    from collections.abc import Callable

    from ecs_emulator import World
    from ecs_emulator.state.model import Service, Task
    from ecs_task_recycle.report.report import Report
    from tests.emulated.bench import Bench
    from tests.emulated.random_worlds import Story

DEAD_SECONDS = LAMBDA_SECONDS + 31
CALM_SECONDS = 86_400.0
AFTERWARDS_SECONDS = 700.0
CHANGES = frozenset({"StopTask", "UpdateService", "RegisterScalableTarget", "StartExecution"})


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What an event got that somebody sent while the run worked, and when."""

    what: str
    at: float
    report: Report
    wrote: bool


@dataclass(kw_only=True)
class Lived:
    """The world after its run, what was found before it, and every answer.

    `event` is what the run was asked. `originals` are the tasks at the start that it may recycle,
    `running` those of them that were RUNNING then, or all where the event may be queued: these it
    has to.
    `restored_by_hand`: what it took to free the service; None where it was free.
    """

    story: Story
    world: World
    service: Service
    found: tuple[int, int | None, int | None]
    began_at: float
    event: dict[str, Any]
    originals: set[str]
    running: set[str]
    in_service_count: int
    reports: list[Report] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    deaths: int = 0
    restored_by_hand: Report | None = None
    ended_at: float = 0.0

    @property
    def report(self) -> Report:
        """The last answer of the run."""
        return self.reports[-1]

    @property
    def queued(self) -> set[str]:
        """The tasks that a queued request has added: those created before it."""
        queued_at = [asked.at for asked in self.asked if asked.report.status is Status.QUEUED]
        return {
            task.arn for task in self.service.tasks if any(task.created_at < at for at in queued_at)
        }

    def stops(self) -> list[tuple[float, Task]]:
        """Return the stops of tasks of the work list, with their instants, in their order."""
        found = [
            (asked_to_stop_at(task), task)
            for task in self.service.tasks
            if task.arn in stopped_by_us(self.service)
            and str(task.state.stopped_reason).startswith("ecs-task-recycle run")
        ]
        return sorted(found, key=lambda each: each[0])

    def lost(self) -> list[float]:
        """Return the instants at which a task went out of service that no run had stopped."""
        ours = stopped_by_us(self.service)
        return [
            at
            for task in self.service.tasks
            for at, serves, served in _turns_of_service(self.service, task)
            if served and not serves and not (task.arn in ours and at == asked_to_stop_at(task))
        ]

    def in_service_at(self, instant: float) -> int:
        """Return how many tasks were in service after all changes of an instant."""
        history = self.world.in_service_history(CLUSTER, SERVICE)
        return [count for at, count in history if at <= instant][-1]


def changes(world: World) -> list[str]:
    """Return the calls that changed the service or its capacity: no call that tries a permission.

    Of tasks that cannot exist UpdateTaskProtection changes nothing.
    """
    return [call.operation for call in world.writes if call.operation in CHANGES]


def _turns_of_service(service: Service, task: Task) -> list[tuple[float, bool, bool]]:
    states = [(at, service.serves(state)) for at, state in task.timeline]
    before = [False, *(serves for _, serves in states)]
    return [(at, serves, was) for (at, serves), was in zip(states, before, strict=False)]


def live_through(bench: Bench, story: Story) -> Lived:
    """Build the world, run the event in it to its end, and let time go by after it."""
    world, service = story.build()
    for accident in story.accidents:
        if accident.at == 0:
            accident.act(world)
        else:
            world.at(world.elapsed + accident.at, accident.act)
    if story.record is not None:
        world.put_item(RUNS_TABLE, RECORDS[story.record](world))
    lived = _as_found(story, world, service)
    for fault in story.faults:
        world.faults.fail(**fault)
    if (out := story.outage) is not None:
        since = world.elapsed + out.begins
        until = since + out.seconds
        world.outages.take_out(
            out.service, since=since, until=until, answers=out.answers, connects=out.connects
        )
    if story.asks is not None:
        world.after_call("UpdateItem", story.asks[1], lambda _: _ask(bench, lived))
    if story.is_guarded:
        _run_guarded(bench, lived)
    else:
        _run_alone(bench, lived)
    lived.ended_at = world.now
    _free(bench, lived)
    world.advance(AFTERWARDS_SECONDS)
    return lived


def _as_found(story: Story, world: World, service: Service) -> Lived:
    """Return what stands there before the run, and what the story's event may and must recycle."""
    tasks = sorted(service.active_tasks, key=lambda task: task.number)
    named = {task.arn for number, task in enumerate(tasks) if number in story.names}
    border = world.now - (story.hours or 0) * 3600
    event = dict(story.event)
    if named:
        event["tasks"] = sorted(named)
        tasks = [task for task in tasks if task.arn in named]
    if story.hours:
        event["older_than_hours"] = story.hours
    return Lived(
        story=story,
        world=world,
        service=service,
        found=capacity(world),
        began_at=world.now,
        event=event,
        originals={task.arn for task in tasks if named or task.created_at < border},
        running={task.arn for task in tasks if _must_go(task, story, border, is_named=bool(named))},
        in_service_count=service.in_service_count,
    )


def _must_go(task: Task, story: Story, border: float, *, is_named: bool) -> bool:
    if story.queues:
        return task.created_at < border
    is_old = is_named or (task.state.started_at or 0) < border
    return task.last_status == "RUNNING" and is_old


# -- the run ---------------------------------------------------------------------------------------


def _run_guarded(bench: Bench, lived: Lived) -> None:
    """Send the event until an invocation has lived long enough to start the guardian."""
    kills = list(lived.story.kills)
    guarded = Guarded(bench, lived.world, reports=lived.reports)

    def arm() -> None:
        if kills:
            lived.world.kill_at_call(len(lived.world.calls) + kills.pop(0))

    guarded.on_revival = [arm] * len(kills)
    arm()
    again = _again(lived)
    for attempt in range(len(lived.story.kills) + 2):
        run_id = f"run-{attempt}"
        guarded.invoke(run_id, again if attempt else lived.event)
        guarded.walk(run_id)
        if lived.reports:
            break
        lived.world.advance(DEAD_SECONDS)
    lived.deaths = guarded.deaths


def _again(lived: Lived) -> dict[str, Any]:
    """Return the event that goes on with a run that has died: for the same tasks."""
    if "tasks" in lived.event:
        return lived.event
    border_at = as_utc(lived.began_at - (lived.story.hours or 0) * 3600)
    return lived.story.event | {"started_before": border_at.isoformat()}


def _run_alone(bench: Bench, lived: Lived) -> None:
    """Send the event; after a death again, with the same border, when its record may be taken."""
    world, story = lived.world, lived.story
    again = _again(lived)
    for attempt, call in enumerate((*story.kills, None)):
        if call is not None:
            world.kill_at_call(len(world.calls) + call)
        event = again if attempt else lived.event
        seconds = CALM_SECONDS if story.is_calm else LAMBDA_SECONDS
        limit = world.now + seconds
        try:
            report = bench.recycle(
                world, run_id=f"run-{attempt}", deadline_seconds=seconds, **event
            )
        except Killed:
            lived.deaths += 1
            world.revive()
            world.advance(DEAD_SECONDS)
            continue
        assert world.now <= limit, "Lambda would have killed it"
        lived.reports.append(report)
        return


def _ask(bench: Bench, lived: Lived) -> None:
    """Send another event, which takes no time, while a run is at work or between invocations."""
    world, story = lived.world, lived.story
    if record(world).get("state") not in {"running", "handed_over"} or story.asks is None:
        return
    what = story.asks[0]
    knobs, world.knobs = world.knobs, replace(world.knobs, latency=0.0)
    before_count = len(changes(world))
    events = {"recycle": lived.event | {"if_running": "refuse"}, "queue": {"if_running": "queue"}}
    event = events.get(what, {"action": what})
    at = world.now
    report = bench.act(world, run_id="other", deadline_seconds=LAMBDA_SECONDS, **event)
    wrote = len(changes(world)) > before_count
    lived.asked.append(Asked(what=what, at=at, report=report, wrote=wrote))
    world.knobs = knobs


def _free(bench: Bench, lived: Lived) -> None:
    """Restore by hand, once AWS answers again and the owner is dead, what is still raised."""
    lived.world.faults.clear()
    lived.world.revive()
    if (out := lived.story.outage) is not None:
        # What it has kept from being read is free by itself when the owner is dead.
        lived.world.advance(max(0.0, lived.began_at + out.begins + out.seconds - lived.world.now))
    if lived.story.record in {None, "dead"} and not is_free(lived.world):
        lived.world.advance(DEAD_SECONDS)
        lived.restored_by_hand = bench.recycle(lived.world, action="restore")


# -- the record that a run finds -------------------------------------------------------------------


def _record_of(world: World, *, minutes: float) -> dict[str, Any]:
    at = as_utc(world.now)
    other = RunRecord(
        version=999,
        state=RecordState.RUNNING,
        owner="other",
        owner_dead_at=at + timedelta(minutes=minutes),
        run_id="other",
        run_started_at=at,
        started_before_at=at,
    )
    return {"service": f"{CLUSTER}/{SERVICE}", **to_item(other)}


def _nonsense(world: World) -> dict[str, Any]:
    return _record_of(world, minutes=-1) | {"state": "asleep", "version": "<b>"}


RECORDS: dict[str, Callable[[World], dict[str, Any]]] = {
    "alive": lambda world: _record_of(world, minutes=15),
    "dead": lambda world: _record_of(world, minutes=-1),
    "nonsense": _nonsense,
}


def protected_stops(lived: Lived, blind_seconds: float) -> list[str]:
    """Return the tasks stopped by the run though a read before could show their protection."""
    return [
        task.arn
        for at, task in lived.stops()
        if all(
            task.timeline.at(each).protected(each)
            for each in (max(at - blind_seconds, task.created_at), at)
        )
    ]


def ended_by_ecs(lived: Lived, kind: StopKind) -> list[Task]:
    """Return the tasks that were stopped for a reason of ECS's own."""
    tasks = lived.service.tasks
    return [task for task in tasks if task.stop_cause is not None and task.stop_cause.kind is kind]
