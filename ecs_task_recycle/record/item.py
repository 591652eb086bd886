"""The run record as a DynamoDB item; what an item says is checked like any other input."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from ecs_task_recycle.codec import Json, decode, encode
from ecs_task_recycle.model import Capacity, ScaleUp
from ecs_task_recycle.record.packing import packed, unpacked
from ecs_task_recycle.record.record import (
    OUTCOMES_LIMIT,
    Checkpoint,
    PastRun,
    RecordState,
    RunRecord,
)

FORMAT: Final = 2
"""Of the item's layout: one that is not known here is refused, never half-read."""

FORMAT_WITHOUT_MEMORY: Final = 1
"""Its memory is packed as no version since then unpacks it; the rest is as today, so that what a
run of the version before has raised can be restored."""

KEPT: Final = timedelta(days=90)
"""How long the outcome of a run stays."""

TEXT_LIMIT: Final = 10_000
PARAMETERS_LIMIT: Final = 200_000
"""What 1,000 ids of tasks and 100 names of alarms take, with room."""
REASON_LIMIT: Final = 2_000
PAST_REASON_LIMIT: Final = 200
OUTCOMES_BYTES: Final = 40_000
"""What twenty outcomes take at most, each character of a reason escaped."""

CAPACITY_KEYS: Final = ("desired_count", "min_capacity", "max_capacity")

OPTIONAL: Final = (
    *("status", "reason", "task", "found", "written", "raised_since_at", "ended_at", "expires_at"),
    *("memory", "resumes_at", "parameters"),
)
"""The attributes that not every record has."""

NEEDED_TO_RESTORE: Final = (
    *("version", "state", "owner", "owner_dead_at", "run_id"),
    *("found", "written", "raised_since_at"),
)

STOP: Final = "stop_requested_at"
QUEUED: Final = "queued_before_at"
REQUESTS: Final = (STOP, QUEUED)
"""The attributes that others write, with a condition of their own: a run never overwrites them."""


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
        "parameters": None if record.parameters is None else _parameters_text(record.parameters),
        "number": record.done_count,
        "total": record.total_count,
        "task": record.task,
        "segments": record.segments,
        "deaths": record.interruptions,
        "status": record.status,
        "reason": None if record.reason is None else record.reason[:REASON_LIMIT],
        "raised_since_at": encode(record.raised_since_at),
        "resumes_at": encode(record.resumes_at),
        "ended_at": encode(record.ended_at),
    }
    if record.outcomes:
        values["outcomes"] = json.dumps([_past(each) for each in record.outcomes])
    if record.scale_up is not None:
        values["found"] = encode(record.scale_up.found)
        values["written"] = encode(record.scale_up.written)
    if record.ended_at is not None:
        values["expires_at"] = int((record.ended_at + KEPT).timestamp())
    if record.checkpoint is not None:
        values["memory"] = packed(encode(record.checkpoint))
    return {name: value for name, value in values.items() if value is not None}


def _past(outcome: PastRun) -> Json:
    reason = outcome.reason
    return encode(replace(outcome, reason=None if reason is None else reason[:PAST_REASON_LIMIT]))


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


def restorable(item: dict[str, Any]) -> RunRecord:
    """Return as much of an item's record as restoring needs: what was found, written, and by whom.

    Whatever version has written the rest, and whether or not its memory can be read. Raises
    ValueError where not even that is told.
    """
    dead_at = item.get("owner_dead_at")
    others = {"run_started_at": dead_at, "started_before_at": dead_at, "number": 0, "total": 0}
    known = {name: item[name] for name in (*NEEDED_TO_RESTORE, *others) if name in item}
    try:
        return _checked(others | known)
    except (LookupError, TypeError, AttributeError) as problem:
        raise ValueError(f"{type(problem).__name__}: {problem}") from problem


def _checked(item: dict[str, Any]) -> RunRecord:
    return RunRecord(
        version=_count(item["version"]),
        state=RecordState(item["state"]),
        owner=_text(item["owner"]),
        owner_dead_at=_instant(item["owner_dead_at"]),
        run_id=_text(item["run_id"]),
        run_started_at=_instant(item["run_started_at"]),
        started_before_at=_instant(item["started_before_at"]),
        parameters=_optional(item, "parameters", _parameters),
        scale_up=_scale_up(item),
        raised_since_at=_optional(item, "raised_since_at", _instant),
        done_count=_count(item["number"]),
        total_count=_count(item["total"]),
        task=_optional(item, "task", _text),
        status=_optional(item, "status", _text),
        reason=_optional(item, "reason", _text),
        ended_at=_optional(item, "ended_at", _instant),
        resumes_at=_optional(item, "resumes_at", _instant),
        segments=_count(item.get("segments", 1)),
        interruptions=_count(item.get("deaths", 0)),
        stop_requested_at=_optional(item, STOP, _instant),
        queued_before_at=_optional(item, QUEUED, _instant),
        checkpoint=_optional(item, "memory", _checkpoint),
        outcomes=_outcomes(item),
    )


def _count(value: object) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!r:.80} is not a non-negative integer")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str) or not value or len(value) > TEXT_LIMIT:
        raise ValueError(f"{value!r:.80} is not a text")
    return value


def _instant(value: object) -> datetime:
    instant = datetime.fromisoformat(_text(value))
    if instant.tzinfo is None:
        raise ValueError(f"{value!r:.80} has no zone")
    return instant


def _optional[Value](
    item: dict[str, Any], name: str, read: Callable[[object], Value]
) -> Value | None:
    return read(item[name]) if name in item else None


def _parameters_text(parameters: Mapping[str, Any]) -> str:
    """Return JSON, its characters as they are: escaped, a hundred names of alarms take 300 KB."""
    return json.dumps(parameters, ensure_ascii=False)


def _parameters(text: object) -> dict[str, Any]:
    """Read a run's parameters; what they say is checked when they are read as an event."""
    if not isinstance(text, str) or len(text) > PARAMETERS_LIMIT:
        raise ValueError("its parameters are not a text")
    parameters = json.loads(text)
    if not isinstance(parameters, dict):
        raise TypeError("its parameters are not an object")
    return parameters


def _outcomes(item: dict[str, Any]) -> tuple[PastRun, ...]:
    """Read how the last runs have ended; they are shown, and nothing goes by them."""
    text = item.get("outcomes", "[]")
    if not isinstance(text, str) or len(text) > OUTCOMES_BYTES:
        raise ValueError("its outcomes are not a text")
    outcomes = decode(Outcomes, {"runs": json.loads(text)}).runs
    for each in outcomes:
        _count(each.tasks_recycled)
        _instant(each.ended_at.isoformat())
        if each.reason is not None and len(each.reason) > PAST_REASON_LIMIT:
            raise ValueError(f"the reason of run {each.run_id:.80} is too long")
    if len(outcomes) > OUTCOMES_LIMIT:
        raise ValueError(f"it tells of {len(outcomes)} runs")
    return outcomes


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """What the attribute of this name holds, newest first."""

    runs: tuple[PastRun, ...]


def carried(value: object) -> ScaleUp | None:
    """Return what an execution carries of a raise, checked like a record. Raises ValueError."""
    if value is None:
        return None
    if not isinstance(value, dict):
        raise ValueError("what is raised is not an object")  # noqa: TRY004 - input, not our mistake
    try:
        return _scale_up(value)
    except (LookupError, TypeError) as problem:
        raise ValueError(f"{type(problem).__name__}: {problem}") from problem


def _scale_up(item: dict[str, Any]) -> ScaleUp | None:
    """Read what was raised: it must be exactly what this tool writes for one task more."""
    if "found" not in item and "written" not in item:
        return None
    found, written = (_capacity(item[name]) for name in ("found", "written"))
    if written != ScaleUp.by_one(found).written:
        raise ValueError(f"it says that {written} is one task more than {found}")
    return ScaleUp(found=found, written=written)


def _capacity(value: Any) -> Capacity:  # noqa: ANN401 - whatever stands there
    desired_count, lowest, highest = (value[key] for key in CAPACITY_KEYS)
    capacity = Capacity(
        desired_count=_count(desired_count),
        min_capacity=None if lowest is None else _count(lowest),
        max_capacity=None if highest is None else _count(highest),
    )
    if (lowest is None) != (highest is None):
        raise ValueError(f"{capacity} has one limit without the other")
    if lowest is not None and not lowest <= desired_count <= highest:
        raise ValueError(f"{capacity} has a desired count outside its limits")
    return capacity


def _checkpoint(value: object) -> Checkpoint:
    checkpoint = decode(Checkpoint, unpacked(value))
    plan = checkpoint.plan
    if plan is not None:
        _capacity(encode(plan.found))
        _count(plan.in_service_count)
    for point in checkpoint.seen.in_service:
        _count(point.count)
    return checkpoint


def foreign_arns(checkpoint: Checkpoint, service_arn: str) -> list[str]:
    """Return the task ARNs of a checkpoint that lie in another account, region or cluster.

    Task ARNs made before the long format carry no cluster name.
    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-account-settings.html
    """
    head, _, name = service_arn.partition(":service/")
    cluster = name.rpartition("/")[0]
    own = re.compile(rf"{re.escape(head)}:task/(?:{re.escape(cluster)}/)?[0-9A-Za-z-]+")
    return [arn for arn in _arns(checkpoint) if not own.fullmatch(arn)]


def _arns(checkpoint: Checkpoint) -> list[str]:
    plan, results = checkpoint.plan, checkpoint.results
    planned = () if plan is None else (*plan.originals, *plan.gone)
    protections = () if plan is None else plan.protections
    return [
        *(each.arn for each in (*planned, *checkpoint.earlier)),
        *(each.task_arn for each in (*protections, *checkpoint.protected)),
        *(each.task_arn for each in results),
        *(each.replacement_arn for each in results if each.replacement_arn is not None),
        *checkpoint.seen.served_new_arns,
        *(task.arn for task in checkpoint.seen.failed_new_tasks),
    ]
