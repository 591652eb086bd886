"""A maintenance window: when tasks may be stopped, by the clock on a wall.

It is open in every minute that the clock of its zone shows between its two times. So a window in
the hour that a change to summer time skips does not open that day, and one in the hour that the
change back repeats is open twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

from ecs_task_recycle.settings.values import UnusableHereError, text, zone_of

DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
DAY_MINUTES: Final = 1_440

LONGEST_AHEAD: Final = timedelta(days=14, hours=2)
"""No window opens later than this: one of a single day, which a change to summer time skips."""

_DAY = "|".join(DAYS)
_DAYS = rf"(?:{_DAY})(?:-(?:{_DAY}))?"
_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]"
_WINDOW = re.compile(
    rf"(?:(?P<days>{_DAYS}(?:,{_DAYS})*) )?(?P<begins>{_TIME})-(?P<ends>{_TIME}|24:00)"
    r" (?P<zone>[A-Za-z0-9_+/-]{1,64})"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """On which days (0: Monday) it opens, and from which minute of a day to which.

    ``ends_minute`` is one of the next day where it is not after ``begins_minute``.
    """

    text: str
    days: frozenset[int]
    begins_minute: int
    ends_minute: int
    zone: tzinfo

    def __str__(self) -> str:
        return self.text

    @property
    def open_seconds(self) -> int:
        """How long it is open at a time, but for changes to summer time and back."""
        return (self.ends_minute - self.begins_minute) % DAY_MINUTES * 60 or DAY_MINUTES * 60

    def is_open(self, now_at: datetime) -> bool:
        """Whether a task may be stopped at this instant."""
        local = now_at.astimezone(self.zone)
        minute, day = _minute(local), local.weekday()
        if self.begins_minute < self.ends_minute:
            return day in self.days and self.begins_minute <= minute < self.ends_minute
        begun_today = day in self.days and minute >= self.begins_minute
        return begun_today or ((day - 1) % len(DAYS) in self.days and minute < self.ends_minute)

    def opens_at(self, now_at: datetime) -> datetime:
        """Return when it is open: at this instant, if it is now, else when it opens next."""
        if self.is_open(now_at):
            return now_at
        return next(at for at in self._changes(now_at) if self.is_open(at))

    def closes_at(self, now_at: datetime) -> datetime | None:
        """Return when it closes, or for one that is shut, when it will after it has opened.

        None for a window that never closes.
        """
        opens_at = self.opens_at(now_at)
        return next((at for at in self._changes(opens_at) if not self.is_open(at)), None)

    def _changes(self, now_at: datetime) -> Iterator[datetime]:
        """Yield the instants after this one at which it may open or close, as far as needed."""
        at = now_at.astimezone(UTC).replace(second=0, microsecond=0)
        until = at + LONGEST_AHEAD
        while at < until:
            at = self._next_change(at)
            yield at

    def _next_change(self, at: datetime) -> datetime:
        """Return when a wall's clock shows a time of the window or midnight next, or is changed."""
        minute = _minute(at.astimezone(self.zone))
        times = (0, self.begins_minute, self.ends_minute)
        minutes = min((time - minute) % DAY_MINUTES or DAY_MINUTES for time in times)
        steps = (at + timedelta(minutes=each) for each in range(1, minutes))
        then = at + timedelta(minutes=minutes)
        offset = self._offset(at)
        if self._offset(then) == offset:
            return then
        return next((step for step in steps if self._offset(step) != offset), then)

    def _offset(self, at: datetime) -> timedelta | None:
        return at.astimezone(self.zone).utcoffset()


def window(value: object) -> Window:
    """Read a window. Raises UnusableHereError where this machine knows no zone at all."""
    match = _WINDOW.fullmatch(" ".join(text(value).split()))
    if match is None:
        raise ValueError
    begins_minute, ends_minute = _minutes(match["begins"]), _minutes(match["ends"])
    if begins_minute == ends_minute:
        raise ValueError
    return Window(
        text=match.group(),
        days=frozenset(_days(match["days"] or "Mon-Sun")),
        begins_minute=begins_minute,
        ends_minute=ends_minute,
        zone=_zone(match["zone"]),
    )


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    zone = zone_of(name)
    if zone is not None:
        return zone
    if zone_of("Etc/UTC") is None:
        raise UnusableHereError("this machine has no time zone data: name UTC, or install tzdata")
    raise ValueError


def _days(listed: str) -> Iterator[int]:
    for part in listed.split(","):
        first, _, last = part.partition("-")
        begins = DAYS.index(first)
        count = (DAYS.index(last or first) - begins) % len(DAYS) + 1
        yield from ((begins + each) % len(DAYS) for each in range(count))


def _minutes(time: str) -> int:
    hours, minutes = time.split(":")
    return 60 * int(hours) + int(minutes)


def _minute(local: datetime) -> int:
    return 60 * local.hour + local.minute
