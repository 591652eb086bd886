"""Instants and durations for people: in UTC, and beside it in a zone of their own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from ecs_task_recycle.channels.mail.body import instant, number, one_line

_MINUTE_SECONDS: Final = 60
_HOUR_SECONDS: Final = 3_600
_DAY_SECONDS: Final = 86_400
_LONGEST_DURATION_SECONDS: Final = 366 * _DAY_SECONDS


def zone_of(name: str | None) -> ZoneInfo | None:
    """Return the zone of an IANA name, None where there is no such zone on this machine.

    Its data come from the operating system, in Lambda from Amazon Linux 2023: an image without them
    knows no zone. https://docs.python.org/3.13/library/zoneinfo.html#data-sources
    """
    if not name:
        return None
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        return None


def duration(seconds: object) -> str:
    """Return a duration, such as 12 min 34 s; what is none, as it is."""
    found = number(seconds)
    if found is None or found >= _LONGEST_DURATION_SECONDS:
        return one_line(seconds)
    if found < _MINUTE_SECONDS:
        return f"{one_line(seconds)} s"
    minutes, rest = divmod(round(found), _MINUTE_SECONDS)
    hours, minutes = divmod(minutes, 60)
    return (f"{hours} h " if hours else "") + f"{minutes} min {rest} s"


def age(born: object, at: object) -> str:
    """Return how old something was, such as 12 d 3 h, 5 h or 17 min."""
    born_at, then = instant(born), instant(at)
    if born_at is None or then is None or then < born_at:
        return ""
    minutes = int((then - born_at).total_seconds()) // _MINUTE_SECONDS
    days, hours = minutes // (24 * 60), minutes // 60 % 24
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h" if hours else f"{minutes} min"


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeFormat:
    """How instants are written; ``zone`` is the readers' own, None for UTC alone.

    ``unknown_zone`` is the name of a zone that was asked for and is not known here.
    """

    zone: ZoneInfo | None = None
    unknown_zone: str = ""

    @classmethod
    def of(cls, name: str | None) -> TimeFormat:
        """Return the format for the readers of a zone."""
        zone = zone_of(name)
        return cls(zone=zone, unknown_zone="" if zone is not None else name or "")

    def instant(self, value: object) -> str:
        """Return an instant in UTC and in the readers' zone; what is none, as it is."""
        found = instant(value)
        if found is None:
            return one_line(value)
        return f"{found:%Y-%m-%d %H:%M:%S} UTC{self._local(found)}"

    def _local(self, at: datetime) -> str:
        """Return the instant in the readers' zone, with its date where that is another one."""
        if self.zone is None:
            return ""
        try:
            local = at.astimezone(self.zone)
        except (OverflowError, ValueError):  # in the year 1 or 9999
            return ""
        form = "%H:%M:%S" if local.date() == at.date() else "%Y-%m-%d %H:%M:%S"
        return f" ({local:{form}} {self.zone.key})"
