"""A window is what a clock on a wall says, minute by minute, also when that clock is changed."""

from __future__ import annotations

import zoneinfo
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ecs_task_recycle.errors import SettingsError
from ecs_task_recycle.settings.event import settings_from_event
from ecs_task_recycle.settings.window import DAYS, LONGEST_AHEAD, Window, window

if TYPE_CHECKING:
    from collections.abc import Iterator

MINUTE: Final = timedelta(minutes=1)
ZONES: Final = (
    *("UTC", "Europe/Berlin", "America/New_York", "America/Santiago", "Africa/Cairo"),
    *("Australia/Lord_Howe", "Pacific/Chatham", "Asia/Kolkata"),
)
NAMED: Final = {"cluster_name": "shop", "service_name": "web"}


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.fixture
def no_zones() -> Iterator[None]:
    """Take the machine's time zone data away."""
    zoneinfo.reset_tzpath(to=[])
    zoneinfo.ZoneInfo.clear_cache()
    yield
    zoneinfo.reset_tzpath()


# ---- Minute by minute ----

times = st.integers(0, 1439).map(lambda minute: f"{minute // 60:02}:{minute % 60:02}")
dates = st.datetimes(datetime(2020, 1, 1), datetime(2037, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def shows(text: str, at: datetime) -> bool:
    """Whether a wall's clock stands between the two times, and the opening began on a listed day.

    Written for days that are listed one by one.
    """
    days, span, zone = text.split(" ")
    begins, ends = span.split("-")
    local = at.astimezone(zoneinfo.ZoneInfo(zone))
    clock, today = f"{local.hour:02}:{local.minute:02}", DAYS[local.weekday()]
    yesterday = DAYS[local.weekday() - 1]
    if begins < ends:
        return today in days and begins <= clock < ends
    return (today in days and clock >= begins) or (yesterday in days and clock < ends)


@st.composite
def texts(draw: st.DrawFn) -> str:
    days = ",".join(draw(st.lists(st.sampled_from(DAYS), min_size=1, unique=True)))
    begins, ends = draw(times), draw(times | st.just("24:00"))
    assume(begins != ends)
    return f"{days} {begins}-{ends} {draw(st.sampled_from(ZONES))}"


@cache
def changing_instants(zone: str) -> list[datetime]:
    """The midnights (UTC) of 2026 and 2027 within a day of which the zone's clock is changed."""
    days = [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=each) for each in range(730)]
    here = zoneinfo.ZoneInfo(zone)
    offsets = [day.astimezone(here).utcoffset() for day in days]
    return [
        day for day, one, other in zip(days, offsets, offsets[1:], strict=False) if one != other
    ]


@st.composite
def instants(draw: st.DrawFn, zone: str) -> datetime:
    """Any instant, half of them within two days of a change of the zone's clock."""
    changes = changing_instants(zone)
    if not changes or draw(st.booleans()):
        return draw(dates)
    seconds = draw(st.integers(-86_400, 2 * 86_400))
    return draw(st.sampled_from(changes)) + timedelta(seconds=seconds)


@settings(max_examples=60)
@given(st.data())
def test_it_opens_and_closes_in_the_minutes_in_which_a_walls_clock_says_so(
    data: st.DataObject,
) -> None:
    text = data.draw(texts())
    now = data.draw(instants(text.split(" ")[2]))
    one = window(text)
    assert one.is_open(now) is shows(text, now)

    opens = one.opens_at(now)
    closes = one.closes_at(now)

    first = now.replace(second=0, microsecond=0) + MINUTE
    minutes = (first + each * MINUTE for each in range(15 * 1440))
    expected = now if shows(text, now) else next(each for each in minutes if shows(text, each))
    assert opens == expected
    assert opens - now <= LONGEST_AHEAD
    first = expected.replace(second=0, microsecond=0) + MINUTE
    minutes = (first + each * MINUTE for each in range(15 * 1440))
    assert closes == next((each for each in minutes if not shows(text, each)), None)


# ---- Cases ----


@pytest.mark.parametrize(
    "text, now, opens, closes",
    [
        ("02:00-05:00 UTC", "2026-11-30T12:00Z", "2026-12-01T02:00Z", "2026-12-01T05:00Z"),
        ("02:00-05:00 UTC", "2026-11-30T03:00Z", "2026-11-30T03:00Z", "2026-11-30T05:00Z"),
        # Friday's night is over; the next one begins on Monday.
        (
            "Mon-Fri 02:00-05:00 Europe/Berlin",
            "2026-12-04T05:00+01:00",
            "2026-12-07T02:00+01:00",
            "2026-12-07T05:00+01:00",
        ),
        # Over midnight: on Saturday still Friday's.
        (
            "Fri 22:00-04:00 UTC",
            "2026-12-05T03:59:59Z",
            "2026-12-05T03:59:59Z",
            "2026-12-05T04:00Z",
        ),
        ("Fri 22:00-04:00 UTC", "2026-12-05T04:00Z", "2026-12-11T22:00Z", "2026-12-12T04:00Z"),
        # Two whole days in a row are one opening.
        ("Sat,Sun 00:00-24:00 UTC", "2026-12-02T00:00Z", "2026-12-05T00:00Z", "2026-12-07T00:00Z"),
        # Sunday and Monday: a range over the end of the week.
        ("Sun-Mon 01:00-02:00 UTC", "2026-12-07T02:00Z", "2026-12-13T01:00Z", "2026-12-13T02:00Z"),
        # The clock goes from 02:00 to 03:00: that hour does not come, half of the next one is left.
        (
            "Sun 02:30-03:30 Europe/Berlin",
            "2027-03-27T12:00Z",
            "2027-03-28T03:00+02:00",
            "2027-03-28T03:30+02:00",
        ),
        (
            "Sun 02:00-03:00 Europe/Berlin",
            "2027-03-21T03:00+01:00",
            "2027-04-04T02:00+02:00",
            "2027-04-04T03:00+02:00",
        ),
        # The clock goes from 03:00 to 02:00: the second half past two is another opening.
        (
            "Sun 02:00-02:30 Europe/Berlin",
            "2027-10-31T02:30+02:00",
            "2027-10-31T02:00+01:00",
            "2027-10-31T02:30+01:00",
        ),
        # A night that spans the change is longer than others, and is one.
        (
            "01:00-04:00 Europe/Berlin",
            "2027-10-31T01:00+02:00",
            "2027-10-31T01:00+02:00",
            "2027-10-31T04:00+01:00",
        ),
    ],
)
def test_a_window_opens_and_closes(text: str, now: str, opens: str, closes: str) -> None:
    one = window(text)
    assert (one.opens_at(at(now)), one.closes_at(at(now))) == (at(opens), at(closes))


def test_a_window_of_all_hours_never_closes() -> None:
    assert window("00:00-24:00 Europe/Berlin").closes_at(at("2026-11-30T12:00Z")) is None


@pytest.mark.parametrize(
    "text, minutes",
    [("02:00-05:00 UTC", 180), ("Fri 22:00-04:00 UTC", 360), ("00:00-24:00 UTC", 1440)],
)
def test_how_long_it_is_open_at_a_time(text: str, minutes: int) -> None:
    assert window(text).open_seconds == minutes * 60


# ---- As a parameter ----


@pytest.mark.parametrize(
    "value",
    [
        *("", "02:00-05:00", "Mon 2:00-5:00 UTC", "02:00-25:00 UTC", "24:00-02:00 UTC"),
        *("02:00-02:00 UTC", "Mo-Fr 02:00-05:00 UTC", "Mon- 02:00-05:00 UTC"),
        *("02:00-05:00 Mars/Olympus", "02:00-05:00 ../../etc/passwd", "02:00-05:00 /etc/localtime"),
        *("02:00-05:00 Europe", "02:00 - 05:00 UTC", 5, None, ["02:00-05:00 UTC"]),
    ],
)
def test_what_is_no_window_is_an_error_that_shows_one(value: object) -> None:
    with pytest.raises(
        SettingsError, match=r"expected days \(optional\), times and a time zone, such"
    ):
        settings_from_event({**NAMED, "window": value})


def test_the_parameter_survives_the_record_of_its_run() -> None:
    read = settings_from_event({**NAMED, "window": "Mon,Wed  22:00-04:00   Europe/Berlin"})
    assert read.event["window"] == "Mon,Wed 22:00-04:00 Europe/Berlin"
    assert settings_from_event(read.event) == read
    assert isinstance(read.window, Window)


@pytest.mark.usefixtures("no_zones")
def test_without_time_zone_data_an_error_says_so_and_utc_works() -> None:
    with pytest.raises(SettingsError, match="this machine has no time zone data"):
        settings_from_event({**NAMED, "window": "02:00-05:00 Europe/Berlin"})
    assert settings_from_event({**NAMED, "window": "02:00-05:00 UTC"}).window is not None
