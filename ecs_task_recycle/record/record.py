"""The run record: one DynamoDB item per service that is lock, journal and progress in one.

Taking it, taking it over from a dead run, renewing and closing it are one conditional write each:
owner and version must be those that were seen. A run that is no longer the owner stops nothing and
restores nothing. What the item says is checked like any other input before it is used.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from ecs_task_recycle.codec import decode, encode
from ecs_task_recycle.model import (
    Capacity,
    InServicePoint,
    Plan,
    Protection,
    ScaleUp,
    TaskResult,
)
from ecs_task_recycle.record.packing import packed, unpacked
from ecs_task_recycle.task import Task

FORMAT: Final = 2
"""Of the item's layout: one that is not known here is refused, never half-read."""

FORMAT_WITHOUT_MEMORY: Final = 1
"""Its memory is packed as no version since then unpacks it; the rest is as today, so that what a
run of the version before has raised can be restored."""

KEPT: Final = timedelta(days=90)
"""How long the outcome of a run stays."""

TEXT_LIMIT: Final = 10_000
REASON_LIMIT: Final = 2_000

CAPACITY_KEYS: Final = ("desired_count", "min_capacity", "max_capacity")


class RecordState(StrEnum):
    """Where the run of a record stands.

    ``HANDED_OVER``: between two invocations. ``UNRESTORED``: it ended with its capacity raised.
    """

    RUNNING = "running"
    HANDED_OVER = "handed_over"
    UNRESTORED = "unrestored"
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What a run remembers of its work, so that another invocation can go on with it."""

    plan: Plan
    results: tuple[TaskResult, ...] = ()
    protected: tuple[Protection, ...] = ()
    new_task_arns: tuple[str, ...] = ()
    deaths: tuple[Task, ...] = ()
    raised_at: datetime | None = None
    seconds_to_start: float | None = None
    in_service: tuple[InServicePoint, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """One service's record.

    ``owner`` is unique to one invocation, as AWS may deliver one request twice; after
    ``owner_dead_at`` it is certainly dead. ``scale_up`` is what has to be restored, None where
    nothing was raised. ``number`` of ``total`` tasks are stopped or gone, ``task`` is in hand. A
    run that was handed over goes on at ``resumes_at``; ``segments`` invocations have worked on it,
    the last ``deaths`` of them died without progress. ``stop_requested_at`` and
    ``queued_before_at`` are requests of others to the run.
    """

    version: int
    state: RecordState
    owner: str
    owner_dead_at: datetime
    run_id: str
    run_started_at: datetime
    started_before_at: datetime
    scale_up: ScaleUp | None = None
    number: int = 0
    total: int = 0
    task: str | None = None
    status: str | None = None
    reason: str | None = None
    ended_at: datetime | None = None
    resumes_at: datetime | None = None
    segments: int = 1
    deaths: int = 0
    stop_requested_at: datetime | None = None
    queued_before_at: datetime | None = None
    memory: Memory | None = None

    @property
    def is_open(self) -> bool:
        """Whether its run has not ended, or has left something raised."""
        return self.state is not RecordState.ENDED

    def may_be_alive(self, now_at: datetime) -> bool:
        """Whether its owner may still be working."""
        return self.is_open and now_at < self.owner_dead_at


def to_item(record: RunRecord) -> dict[str, Any]:
    """Return the attributes of a record, its key left out; those that are None stay away."""
    values: dict[str, Any] = {
        "format": FORMAT,
        "version": record.version,
        "state": record.state.value,
        "owner": record.owner,
        "owner_dead_at": record.owner_dead_at.isoformat(),
        "run_id": record.run_id,
        "run_started_at": record.run_started_at.isoformat(),
        "started_before_at": record.started_before_at.isoformat(),
        "number": record.number,
        "total": record.total,
        "task": record.task,
        "segments": record.segments,
        "deaths": record.deaths,
        "status": record.status,
        "reason": None if record.reason is None else record.reason[:REASON_LIMIT],
    }
    if record.scale_up is not None:
        values["found"] = encode(record.scale_up.found)
        values["written"] = encode(record.scale_up.written)
    if record.ended_at is not None:
        values["ended_at"] = record.ended_at.isoformat()
        values["expires_at"] = int((record.ended_at + KEPT).timestamp())
    if record.resumes_at is not None:
        values["resumes_at"] = record.resumes_at.isoformat()
    if record.memory is not None:
        values["memory"] = packed(encode(record.memory))
    return {name: value for name, value in values.items() if value is not None}


ATTRIBUTES: Final = (
    *("status", "reason", "task", "found", "written", "ended_at", "expires_at", "memory"),
    "resumes_at",
)
"""The attributes that not every record has."""

REQUESTS: Final = ("stop_requested_at", "queued_before_at")
"""The attributes that others write, with a condition of their own: a run never overwrites them."""


def from_item(item: dict[str, Any]) -> RunRecord:
    """Return the record of an item. Raises ValueError with what is wrong with it."""
    found_format = item.get("format")
    if found_format not in (FORMAT_WITHOUT_MEMORY, FORMAT):
        raise ValueError(f"its format is {found_format!r:.80}, this version knows {FORMAT}")
    if found_format == FORMAT_WITHOUT_MEMORY:
        item = {name: value for name, value in item.items() if name != "memory"}
    try:
        return _checked(item)
    except (LookupError, TypeError, AttributeError, RecursionError) as problem:
        raise ValueError(f"{type(problem).__name__}: {problem}") from problem


def _checked(item: dict[str, Any]) -> RunRecord:
    record = RunRecord(
        version=_count(item["version"]),
        state=RecordState(item["state"]),
        owner=_text(item["owner"]),
        owner_dead_at=_instant(item["owner_dead_at"]),
        run_id=_text(item["run_id"]),
        run_started_at=_instant(item["run_started_at"]),
        started_before_at=_instant(item["started_before_at"]),
        scale_up=_scale_up(item),
        number=_count(item["number"]),
        total=_count(item["total"]),
        task=item.get("task"),
        status=item.get("status"),
        reason=item.get("reason"),
        ended_at=_instant(item["ended_at"]) if "ended_at" in item else None,
        resumes_at=_instant(item["resumes_at"]) if "resumes_at" in item else None,
        segments=_count(item.get("segments", 1)),
        deaths=_count(item.get("deaths", 0)),
        **{name: _instant(item[name]) for name in REQUESTS if name in item},
        memory=_memory(item["memory"]) if "memory" in item else None,
    )
    for text in (record.task, record.status, record.reason):
        if text is not None:
            _text(text)
    return record


def _count(value: object) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!r:.80} is no whole number from 0 on")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str) or not value or len(value) > TEXT_LIMIT:
        raise ValueError(f"{value!r:.80} is no text")
    return value


def _instant(value: object) -> datetime:
    instant = datetime.fromisoformat(_text(value))
    if instant.tzinfo is None:
        raise ValueError(f"{value!r:.80} has no zone")
    return instant


def _scale_up(item: dict[str, Any]) -> ScaleUp | None:
    """Read what was raised: it must be exactly what this tool writes for one task more."""
    if "found" not in item and "written" not in item:
        return None
    found, written = (_capacity(item[name]) for name in ("found", "written"))
    scale_up = ScaleUp(found=found, written=written)
    _require_by_one(scale_up)
    return scale_up


def _capacity(value: Any) -> Capacity:  # noqa: ANN401 - whatever stands there
    desired_count, lowest, highest = (value[key] for key in CAPACITY_KEYS)
    capacity = Capacity(
        desired_count=_count(desired_count),
        min_capacity=None if lowest is None else _count(lowest),
        max_capacity=None if highest is None else _count(highest),
    )
    if (lowest is None) != (highest is None) or (lowest is not None and lowest > highest):
        raise ValueError(f"{capacity} are no limits")
    return capacity


def _memory(value: object) -> Memory:
    memory = decode(Memory, unpacked(value))
    plan = memory.plan
    for scale_up in (plan.scale_up, plan.unrestored):
        _require_by_one(scale_up)
    if plan.scale_up is not None and plan.scale_up.found != plan.found:
        raise ValueError("its plan raises another capacity than it found")
    for count in (plan.in_service_count, *(point.count for point in memory.in_service)):
        _count(count)
    return memory


def _require_by_one(scale_up: ScaleUp | None) -> None:
    """Raise ValueError for a capacity that is not exactly what this tool writes."""
    if scale_up is None:
        return
    _capacity(encode(scale_up.found))
    if scale_up != ScaleUp.by_one(scale_up.found):
        raise ValueError(f"it says that {scale_up.written} is one task more than {scale_up.found}")


def foreign_arns(memory: Memory, service_arn: str) -> list[str]:
    """Return the task ARNs of a memory that lie in another account, region or cluster.

    Task ARNs made before the long format carry no cluster name.
    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-account-settings.html
    """
    head, _, name = service_arn.partition(":service/")
    cluster = name.rpartition("/")[0]
    own = re.compile(rf"{re.escape(head)}:task/(?:{re.escape(cluster)}/)?[0-9A-Za-z-]+")
    results = memory.results
    arns = [
        *(each.arn for each in (*memory.plan.originals, *memory.plan.gone)),
        *(each.task_arn for each in (*memory.plan.protections, *memory.protected)),
        *(each.task_arn for each in results),
        *(each.replacement_arn for each in results if each.replacement_arn is not None),
        *memory.new_task_arns,
        *(task.arn for task in memory.deaths),
    ]
    return [arn for arn in arns if not own.fullmatch(arn)]


def renewed(record: RunRecord, **changes: Any) -> RunRecord:  # noqa: ANN401 - its fields
    """Return a record with changes, as the version after the one that was seen."""
    return replace(record, version=record.version + 1, **changes)
