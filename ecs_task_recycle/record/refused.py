"""When somebody was last mailed of an event that could not be understood: an item of its own.

A rule that has gone wild sends one such event after the other, and each is a failed invocation in
Lambda's metrics and in the log; one mail an hour says the same.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from ecs_task_recycle.clock import Clock
from ecs_task_recycle.errors import AwsCallError, PreconditionError
from ecs_task_recycle.record.table import RunTable

KEY: Final = "refused-events"
"""No service has this key: theirs are cluster/service."""
SILENT_SECONDS: Final = int(timedelta(hours=1).total_seconds())
KEPT_SECONDS: Final = int(timedelta(days=90).total_seconds())


def may_mail(table: RunTable, clock: Clock) -> bool:
    """Whether nobody was mailed of such an event in the last hour; that is noted, so ask once.

    Where the table does not answer, rather a mail too many than none.
    """
    try:
        return _takes_the_hour(table, int(clock.now()))
    except (AwsCallError, PreconditionError):
        return True


def _takes_the_hour(table: RunTable, now: int) -> bool:
    found = table.read() or {}
    mailed = found.get("mailed")
    # An instant to come is nobody's note of ours, and must not silence us.
    if isinstance(mailed, int) and 0 <= now - mailed < SILENT_SECONDS:
        return False
    note = {"mailed": now, "state": "ended", "expires_at": now + KEPT_SECONDS}
    return table.write(note, conditions={"mailed": mailed}).is_ours
