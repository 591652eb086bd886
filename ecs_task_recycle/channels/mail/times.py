"""Instants and durations for people: in UTC, and beside it in a zone of their own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from ecs_task_recycle.settings.values import zone_of
from ecs_task_recycle.text import one_line

_MINUTE_SECONDS: Final = 60


def duration(seconds: float | None) -> str:
    """Return a duration such as 12 min 34 s, or an empty text if it is not known."""
    if seconds is None:
        return ""
    if seconds < _MINUTE_SECONDS:
        return f"{round(seconds, 1)} s"
    minutes, rest = divmod(round(seconds), _MINUTE_SECONDS)
    hours, minutes = divmod(minutes, 60)
    return (f"{hours} h " if hours else "") + f"{minutes} min {rest} s"


def age(born_at: datetime | None, at: datetime | None) -> str:
    """Return how old something was, such as 12 d 3 h, 5 h or 17 min."""
    if born_at is None or at is None or at < born_at:
        return ""
    minutes = int((at - born_at).total_seconds()) // _MINUTE_SECONDS
    days, hours = minutes // (24 * 60), minutes // 60 % 24
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h" if hours else f"{minutes} min"


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeFormat:
    """How instants are written; ``zone`` is the readers' own, None for UTC alone.

    ``unknown_zone`` is the name of a configured zone that this machine does not know.
    """

    zone: ZoneInfo | None = None
    unknown_zone: str = ""

    @classmethod
    def of(cls, name: str | None) -> TimeFormat:
        """Return the format for the readers in a zone."""
        zone = zone_of(name)
        return cls(zone=zone, unknown_zone="" if zone is not None else one_line(name))

    def instant(self, at: datetime | None) -> str:
        """Return an instant in UTC and in the readers' zone, or an empty text if there is none."""
        if at is None:
            return ""
        in_utc = at.astimezone(UTC)
        return f"{in_utc:%Y-%m-%d %H:%M:%S} UTC{self._local(in_utc)}"

    def _local(self, at: datetime) -> str:
        """Return the instant in the readers' zone, with its date if that differs."""
        if self.zone is None:
            return ""
        local = at.astimezone(self.zone)
        form = "%H:%M:%S" if local.date() == at.date() else "%Y-%m-%d %H:%M:%S"
        return f" ({local:{form}} {self.zone.key})"
