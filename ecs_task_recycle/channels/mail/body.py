"""Reads the body of an answer for people: any key may be missing, null or of an unexpected kind.

What comes out is printable and short, whatever an event, a task or AWS has put in.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

type Body = Mapping[str, object]

SHORT_ID_LENGTH: Final = 8

_LONGEST_CELL: Final = 500
_LONGEST_SENTENCE: Final = 8_000  # A remedy's commands must not be cut.
_HIGHEST_NUMBER: Final = 10**9


def one_line(value: object) -> str:
    """Return a value as one line of printable text; control characters and the like are spaces."""
    visible = (char if char.isprintable() else " " for char in _written(value)[:_LONGEST_CELL])
    return " ".join("".join(visible).split())


def lines(value: object) -> str:
    """Return a value as lines of printable text, the empty ones left out."""
    parts = _written(value)[:_LONGEST_SENTENCE].splitlines()
    printable = ("".join(c if c.isprintable() else " " for c in part) for part in parts)
    return "\n".join(filter(None, map(str.strip, printable)))


def _written(value: object) -> str:
    if value is None:
        return ""
    try:
        return str(round(value, 1) if isinstance(value, float) else value)
    except ValueError:  # Python refuses to write out integers of more than 4300 digits.
        return f"a large {type(value).__name__}"


def mapping(value: object) -> Body:
    """Return an object, an empty one in place of anything else."""
    return value if isinstance(value, Mapping) else {}


def sequence(value: object) -> Sequence[object]:
    """Return a list, an empty one in place of anything else."""
    return value if isinstance(value, list | tuple) else ()


def rows(body: Body, key: str) -> list[Body]:
    """Return a list of objects."""
    return [mapping(row) for row in sequence(body.get(key))]


def number(value: object) -> float | None:
    """Return a number from 0 on that something can be measured with, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not 0 <= value < _HIGHEST_NUMBER or math.isnan(value):
        return None
    return float(value)


def count(value: object) -> int | None:
    """Return a whole number from 0 on, else None."""
    found = number(value)
    return int(found) if found is not None and found.is_integer() else None


def instant(value: object) -> datetime | None:
    """Return an instant with a zone, in UTC, else None."""
    if not isinstance(value, str):
        return None
    try:
        found = datetime.fromisoformat(value)
        return None if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def started_at(body: Body) -> datetime | None:
    """Return when the run started, to the second: as long before its end as it took."""
    ended_at, seconds = instant(body.get("timestamp")), number(body.get("duration_seconds"))
    if ended_at is None or seconds is None:
        return None
    try:
        return (ended_at - timedelta(seconds=seconds - 0.5)).replace(microsecond=0)
    except OverflowError:
        return None


def task_id(arn: object) -> str:
    """Return the last part of a task's ARN: its id."""
    return one_line(arn).rsplit("/", 1)[-1]


def short_id(arn: object) -> str:
    """Return as much of a task's id as tells tasks apart for people."""
    return task_id(arn)[:SHORT_ID_LENGTH]


def service_name(body: Body) -> str:
    """Return cluster and service as people name them."""
    return "/".join(filter(None, (one_line(body.get("cluster")), one_line(body.get("service")))))


def recycled_count(body: Body) -> int | None:
    """Return how many tasks are gone, None where the body does not say."""
    told = count(body.get("tasks_recycled"))
    return told if told is not None else len(rows(body, "tasks")) or None


def left_arns(body: Body) -> list[str]:
    """Return the tasks that are left as they were, each once."""
    remaining = (one_line(arn) for arn in sequence(body.get("remaining")))
    skipped = (one_line(row.get("task")) for row in rows(body, "skipped"))
    return list(dict.fromkeys([*filter(None, remaining), *filter(None, skipped)]))
