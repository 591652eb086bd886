"""Quickens the clock of each Python process that has this folder on its PYTHONPATH.

CLOCK is its start, in epoch seconds and by the machine's monotonic clock, and its speed:
"1800000000.0 4711.0 5". The process then reads the time, and sleeps, as ecs_emulator.WallClock
does with these. Timeouts of sockets and locks stay the
machine's own, and so do processes that are not Python's.

Lambda's own emulator is such a process: with LAMBDA_LIMIT=real its limit is told in the machine's
time, and what is left of it is counted in ours.
"""

from __future__ import annotations

import datetime as dt
import os
import time
from typing import Any, Self

STARTED_AT, BEGAN, SPEED = map(float, os.environ["CLOCK"].split())
real_time, real_sleep = time.time, time.sleep
real_gmtime, real_localtime = time.gmtime, time.localtime


def now() -> float:
    """Return the quickened time in epoch seconds."""
    return STARTED_AT + (time.monotonic() - BEGAN) * SPEED


class QuickDatetime(dt.datetime):
    """A datetime that takes the present from our clock."""

    @classmethod
    def now(cls, tz: dt.tzinfo | None = None) -> Self:
        """Return the present."""
        return cls.fromtimestamp(now(), tz)

    @classmethod
    def today(cls) -> Self:
        """Return the present, in local time."""
        return cls.fromtimestamp(now())

    @classmethod
    def utcnow(cls) -> Self:
        """Return the present, in UTC and naive."""
        return cls.fromtimestamp(now(), dt.UTC).replace(tzinfo=None)


def remaining_milliseconds(context: Any) -> int:  # noqa: ANN401 - awslambdaric has no types
    """Return what is left of Lambda's real limit, on our clock."""
    limit: float = context._epoch_deadline_time_in_ms  # noqa: SLF001
    return max(0, int((limit - real_time() * 1000) * SPEED))


time.time = now
time.time_ns = lambda: int(now() * 1e9)
time.sleep = lambda seconds: real_sleep(float(seconds) / SPEED)
time.gmtime = lambda seconds=None: real_gmtime(now() if seconds is None else seconds)
time.localtime = lambda seconds=None: real_localtime(now() if seconds is None else seconds)
dt.datetime = QuickDatetime  # type: ignore[misc]
if os.environ.get("LAMBDA_LIMIT") == "real":
    from awslambdaric.lambda_context import LambdaContext  # type: ignore[import-untyped]

    LambdaContext.get_remaining_time_in_millis = remaining_milliseconds
