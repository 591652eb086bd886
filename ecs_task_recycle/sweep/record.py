"""The record of a sweep: one item of the table of run records, under a key of its own.

Lanes of a sweep write it at the same time. Each write is conditional on what it depends on, and
none overwrites what another lane has written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, cast

from ecs_task_recycle.aws.errors import retry_until
from ecs_task_recycle.clock import Clock, as_utc
from ecs_task_recycle.codec import Json, decode, encode
from ecs_task_recycle.errors import PreconditionError
from ecs_task_recycle.record.item import KEPT
from ecs_task_recycle.record.packing import packed, unpacked
from ecs_task_recycle.record.table import Item, RunTable
from ecs_task_recycle.report.sweep_answer import SweepStatus, SweptService, SweptStatus
from ecs_task_recycle.settings.parameters import OnError
from ecs_task_recycle.settings.sweep import SweepSettings
from ecs_task_recycle.sweep.gateway import ServiceName
from ecs_task_recycle.text import one_line

FORMAT: Final = "sweep 2"
LONGEST_SWEEP: Final = timedelta(days=60)
NAMES_LIMIT_BYTES: Final = 100_000
PARAMETERS_LIMIT_BYTES: Final = 32_768
REASON_LIMIT_BYTES: Final = 150
"""An item may have 400 KB: the names, and what the run of each of 1,000 services came to.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html"""
_TASK_ID: Final = re.compile(r"\b([0-9a-f]{8})[0-9a-f]{24}\b")
PATIENCE_SECONDS: Final = 60.0


def key_of(sweep: str) -> str:
    """Return the key of a sweep's item."""
    return f"sweep/{sweep}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepRecord:
    """A sweep as its item tells it.

    ``services`` are what was selected, by their numbers; ``in_hand`` is the number that each lane
    has taken last. ``taken_at``, and ``attempts`` to begin its run, are there for each that is
    running, ``outcomes`` for each that has ended. The numbers below ``next_number`` are taken.
    """

    services: tuple[ServiceName, ...]
    parameters: Mapping[str, Json]
    on_error: OnError
    started_at: datetime
    next_number: int
    in_hand: Mapping[int, int]
    taken_at: Mapping[int, datetime]
    attempts: Mapping[int, int]
    outcomes: Mapping[int, SweptService]
    has_failed: bool = False
    stop_reason: str | None = None
    status: SweepStatus | None = None
    ended_at: datetime | None = None
    is_told: bool = False

    @property
    def early_end(self) -> str | None:
        """Why no further service begins, None if one may."""
        if self.stop_reason is not None:
            return self.stop_reason
        if self.has_failed and self.on_error is OnError.STOP:
            return 'a run has failed, and on_error is "stop"'
        return None

    @property
    def may_begin_another(self) -> bool:
        """Whether a lane may take a service that none has taken."""
        is_over = self.status is not None or self.early_end is not None
        return not is_over and self.next_number < len(self.services)

    @property
    def is_left(self) -> bool:
        """Whether a lane has to go on: with a run in progress, or with another service."""
        return self.status is None and (bool(self.running) or self.may_begin_another)

    @property
    def running(self) -> tuple[int, ...]:
        """The numbers that are taken, and whose runs have not ended."""
        return tuple(sorted(self.taken_at))

    def event_of(self, number: int) -> dict[str, Json]:
        """Return the event of one service's run.

        Should it be begun once more, it recycles nothing that it has started itself.
        """
        name = self.services[number]
        event = {"cluster_name": name.cluster, "service_name": name.service, **self.parameters}
        if not {"started_before", "older_than_hours"} & event.keys():
            event["started_before"] = self.taken_at[number].isoformat()
        return event

    def standing(self, number: int) -> SweptService:
        """Return how a service stands."""
        if number in self.outcomes:
            return self.outcomes[number]
        ended_or_not = SweptStatus.WAITING if self.status is None else SweptStatus.NOT_BEGUN
        status = SweptStatus.RUNNING if number in self.taken_at else ended_or_not
        return SweptService(service=str(self.services[number]), status=status)


class SweepStore:
    """Reads and writes the record of one sweep."""

    def __init__(self, table: RunTable, clock: Clock) -> None:
        """Take the table with the sweep's key; call nothing yet."""
        self._table = table
        self._clock = clock

    def read(self) -> SweepRecord | None:
        """Return the record, None where there is no such sweep.

        Raises AwsCallError, and PreconditionError for a record that nobody here wrote.
        """
        item = self._patiently(self._table.read)
        if item is None or item.get("format") != FORMAT:
            return None
        try:
            return _read(item)
        except (LookupError, TypeError, ValueError, AttributeError) as problem:
            raise PreconditionError(
                f"The record of the sweep is not one that this version understands: {problem}.",
                remedy="Nothing was touched. Delete it if nobody of yours has written it.",
            ) from problem

    def open(self, services: tuple[ServiceName, ...], settings: SweepSettings) -> None:
        """Write down what is selected, unless it is: AWS may deliver an event twice."""
        names = packed([[each.cluster, each.service] for each in services])
        if len(names) > NAMES_LIMIT_BYTES:
            raise PreconditionError(
                f"The names of {len(services)} services do not fit into the record of a sweep.",
                remedy="Nothing was touched. Sweep fewer at a time.",
            )
        parameters = json.dumps(settings.parameters, ensure_ascii=False)
        if (size_bytes := len(parameters.encode())) > PARAMETERS_LIMIT_BYTES:
            raise PreconditionError(
                f"The parameters take {size_bytes} bytes as JSON, expected for a sweep at most "
                f"{PARAMETERS_LIMIT_BYTES}.",
                remedy="Nothing was touched. Name fewer alarms, or one alarm that combines them.",
            )
        values = {
            "format": FORMAT,
            # As in the record of a run: cloudformation_deploy.sh asks for the open ones.
            "state": "sweeping",
            "names": names,
            "parameters": parameters,
            "on_error": settings.on_error.value,
            "started_at": self._now_at.isoformat(),
            "next": 0,
            "expires_at": int((self._now_at + LONGEST_SWEEP + KEPT).timestamp()),
        }
        self._write(values, {"format": None})

    def take_next(self, record: SweepRecord, lane: int) -> None:
        """Take the next service for a lane, unless that is no longer as ``record`` shows it."""
        number = record.next_number
        taken = {
            f"lane_{lane}": number,
            f"taken_{number}": self._now_at.isoformat(),
            "next": number + 1,
        }
        holds: Item = {"next": number, "stop_reason": None, "status": None}
        if record.on_error is OnError.STOP:
            holds = {**holds, "has_failed": None}
        self._write(taken, holds)

    def note_attempt(self, number: int, count: int) -> None:
        """Write down that the run of a service is begun, for the ``count``-th time."""
        self._write({f"attempts_{number}": count}, {"format": FORMAT})

    def note(self, number: int, outcome: SweptService) -> None:
        """Write down how the run of a service ended, once."""
        # A task's first characters tell it from the others, and leave room for the cause.
        text = _TASK_ID.sub(r"\1", one_line(outcome.reason))
        kept = text.encode()[: REASON_LIMIT_BYTES - len("…".encode())].decode(errors="ignore")
        reason = text if len(text.encode()) <= REASON_LIMIT_BYTES else f"{kept}…"
        seconds = None if outcome.seconds is None else round(outcome.seconds)
        told = encode(replace(outcome, service="", reason=reason or None, seconds=seconds))
        flag = {"has_failed": True} if outcome.status is SweptStatus.FAILED else {}
        over = (f"taken_{number}", f"attempts_{number}")
        holds: Item = {f"outcome_{number}": None, "format": FORMAT}
        self._write({f"outcome_{number}": told, **flag}, holds, remove=over)

    def request_stop(self, reason: str) -> None:
        """Let no further service begin, unless the sweep has ended; the first reason stays."""
        holds: Item = {"stop_reason": None, "status": None, "format": FORMAT}
        self._write({"stop_reason": reason}, holds)

    def close(self, status: SweepStatus) -> None:
        """Write down how the sweep ended, once."""
        ends = {
            "status": status.value,
            "state": "ended",
            "ended_at": self._now_at.isoformat(),
            "expires_at": int((self._now_at + KEPT).timestamp()),
        }
        self._write(ends, {"status": None, "format": FORMAT})

    def note_told(self) -> None:
        """Write down that somebody was told how it ended."""
        self._write({"told_at": self._now_at.isoformat()}, {"format": FORMAT})

    @property
    def _now_at(self) -> datetime:
        return as_utc(self._clock.now())

    def _write(self, values: Item, conditions: Item, *, remove: Sequence[str] = ()) -> None:
        write = self._table.write
        self._patiently(partial(write, values, conditions=conditions, remove=remove))

    def _patiently[T](self, call: Callable[[], T]) -> T:
        return retry_until(call, self._clock, until=self._clock.now() + PATIENCE_SECONDS)


def _read(item: Item) -> SweepRecord:
    names = cast("list[list[str]]", unpacked(item["names"]))
    services = tuple(ServiceName(cluster=cluster, service=name) for cluster, name in names)
    outcomes = {
        number: decode(SweptService, {**told, "service": str(services[number])})
        for number, told in _numbered(item, "outcome_").items()
    }
    taken = _numbered(item, "taken_")
    return SweepRecord(
        services=services,
        parameters=json.loads(item["parameters"]),
        on_error=OnError(item["on_error"]),
        started_at=datetime.fromisoformat(item["started_at"]),
        next_number=item["next"],
        in_hand=_numbered(item, "lane_"),
        taken_at={number: datetime.fromisoformat(at) for number, at in taken.items()},
        attempts=_numbered(item, "attempts_"),
        outcomes=outcomes,
        has_failed="has_failed" in item,
        stop_reason=item.get("stop_reason"),
        status=SweepStatus(item["status"]) if "status" in item else None,
        ended_at=datetime.fromisoformat(item["ended_at"]) if "ended_at" in item else None,
        is_told="told_at" in item,
    )


def _numbered(item: Item, prefix: str) -> dict[int, Any]:
    """Return the attributes whose names are a word and a number, by that."""
    return {
        int(name.removeprefix(prefix)): value
        for name, value in item.items()
        if name.startswith(prefix)
    }
