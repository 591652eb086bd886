"""The emulator's own record of a run: which task was in which phase when, and how many served.

Read from GET /_emulator/history. All instants are epoch seconds.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

type Json = Mapping[str, Any]

STOP_TASK: Final = "StopTask"


class Phase(StrEnum):
    """What a task is to somebody who waits for an answer from the service."""

    STARTING = "starting"
    RUNNING = "running, not yet in service"
    IN_SERVICE = "in service"
    LEAVING = "draining and stopping"
    GONE = "gone"


class Role(StrEnum):
    """What a task is to the run."""

    ORIGINAL = "original"
    SURGE = "surge"
    REPLACEMENT = "replacement"


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """A count, and the instant from which it holds until the next one."""

    at: float
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRecord:
    """One task: `phases` holds (instant, phase) of each change, oldest first.

    `protections` holds (beginning, end) of each time under scale-in protection, `agent_path` the
    path part of the ECS_AGENT_URI that the task's container is given.
    """

    arn: str
    role: Role
    phases: tuple[tuple[float, Phase], ...]
    stopped_by: str | None
    protections: tuple[tuple[float, float], ...] = ()
    agent_path: str = ""

    @property
    def short_id(self) -> str:
        """The first characters of the task's id."""
        return short_id(self.arn)

    @property
    def was_recycled(self) -> bool:
        """Whether StopTask ended it: not the scheduler, and not the task itself."""
        return (self.stopped_by or "").startswith(STOP_TASK)

    @property
    def stopped_at(self) -> float | None:
        """The instant at which the task was no longer meant to run, None while it is."""
        ends = (at for at, phase in self.phases if phase in {Phase.LEAVING, Phase.GONE})
        return next(ends, None)

    @property
    def was_stopped_under_protection(self) -> bool:
        """Whether the task was under protection up to the instant of its stop."""
        at = self.stopped_at
        return at is not None and any(start < at <= end for start, end in self.protections)

    def is_protected_at(self, instant: float) -> bool:
        """Whether the task is under scale-in protection at an instant."""
        return any(start <= instant < end for start, end in self.protections)

    def phase_at(self, instant: float) -> Phase:
        """Return the phase at an instant; GONE before there was a task, too."""
        index = bisect_right(self.phases, instant, key=lambda change: change[0])
        return self.phases[index - 1][1] if index else Phase.GONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Everything that happened to the one service of a world, up to `until`."""

    since: float
    until: float
    tasks: tuple[TaskRecord, ...]
    desired: tuple[Level, ...]
    in_service: tuple[Level, ...]
    written_operations: tuple[str, ...]

    @property
    def original_desired_count(self) -> int:
        """The desired count before anybody changed it."""
        return self.desired[0].count

    @property
    def originals(self) -> tuple[TaskRecord, ...]:
        """The tasks that were there from the start."""
        return tuple(task for task in self.tasks if task.role is Role.ORIGINAL)

    @property
    def oldest(self) -> TaskRecord:
        """The task that was there first."""
        return min(self.originals, key=lambda task: task.phases[0][0])

    @property
    def is_settled(self) -> bool:
        """Whether every task is in service or gone, and as many serve as are desired."""
        now = [task.phase_at(self.until) for task in self.tasks]
        is_at_rest = {*now} <= {Phase.IN_SERVICE, Phase.GONE}
        return is_at_rest and now.count(Phase.IN_SERVICE) == self.desired[-1].count

    def lowest_in_service(self) -> int:
        """Return the lowest count in service at any instant."""
        return lowest(self.in_service, self.since, self.until)


def lowest(levels: tuple[Level, ...], since: float, until: float) -> int:
    """Return the lowest count that held at any instant from `since` up to `until`."""
    before = [level.count for level in levels if level.at <= since][-1:]
    within = [level.count for level in levels if since < level.at < until]
    return min(before + within, default=0)


def short_id(arn: str) -> str:
    """Return what of a task's ARN is enough to tell a handful of tasks apart."""
    return arn.rpartition("/")[2][:8]


def read_record(history: Json) -> Record:
    """Return the record of the one service in the emulator's history."""
    (service,) = history["services"]
    writes = [call for call in history["calls"] if call["wrote"]]
    stops = [call["at"] for call in writes if call["operation"] == STOP_TASK]
    first_stop_at = min(stops, default=history["now"])
    return Record(
        since=history["started_at"],
        until=history["now"],
        tasks=tuple(_task(task, first_stop_at, history["now"]) for task in service["tasks"]),
        desired=_levels(service["desired"]),
        in_service=_levels(service["in_service"]),
        written_operations=tuple(call["operation"] for call in writes),
    )


def _levels(rows: list[Json]) -> tuple[Level, ...]:
    return tuple(Level(at=row["at"], count=row["count"]) for row in rows)


def _task(task: Json, first_stop_at: float, now: float) -> TaskRecord:
    return TaskRecord(
        arn=task["arn"],
        role=_role(task, first_stop_at),
        phases=tuple((state["at"], _phase(state)) for state in task["states"]),
        stopped_by=task["stopped_by"],
        protections=_protections(task["states"], now),
        agent_path=task["ecs_agent_path"],
    )


def _protections(states: list[Json], now: float) -> tuple[tuple[float, float], ...]:
    """Return when the mark held: from the state that has it to its end or the next state."""
    next_at = [*(state["at"] for state in states[1:]), now]
    ends = [
        min(state["protected_until"] or 0.0, at) for state, at in zip(states, next_at, strict=True)
    ]
    spans = ((state["at"], end) for state, end in zip(states, ends, strict=True))
    return tuple((start, end) for start, end in spans if start < end)


def _role(task: Json, first_stop_at: float) -> Role:
    if task["launch"] == 0:
        return Role.ORIGINAL
    # Nobody has been stopped yet, so it takes nobody's place.
    came_at = task["states"][0]["at"]
    return Role.SURGE if came_at < first_stop_at else Role.REPLACEMENT


def _phase(state: Json) -> Phase:
    if state["last_status"] in {"STOPPED", "DELETED"}:
        return Phase.GONE
    if state["desired_status"] == "STOPPED":
        return Phase.LEAVING
    if state["in_service"]:
        return Phase.IN_SERVICE
    return Phase.RUNNING if state["last_status"] == "RUNNING" else Phase.STARTING
