"""When somebody was last mailed of an event that could not be understood: an item of its own.

A rule that has gone wild sends one such event after the other, and each is a failed invocation in
Lambda's metrics and in the log; one mail an hour says the same.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Final

from ecs_task_recycle.clock import Clock
from ecs_task_recycle.errors import RecycleError
from ecs_task_recycle.record.table import RunTable

KEY: Final = "refused-events"
"""No service has this key: theirs are cluster/service."""
SILENT_SECONDS: Final = int(timedelta(hours=1).total_seconds())
KEPT_SECONDS: Final = int(timedelta(days=90).total_seconds())


def once_an_hour(
    table_of: Callable[[str], RunTable], clock: Clock, tell: Callable[[], None]
) -> None:
    """Call ``tell``, unless any invocation has called it in the last hour.

    ``table_of`` returns the table by an item's key. Where that does not answer, ``tell`` is called:
    rather a mail too many than none.
    """
    now = int(clock.now())
    try:
        table = table_of(KEY)
        mailed = (table.read() or {}).get("mailed")
        # An instant to come is no note of ours, and must not silence us.
        if isinstance(mailed, int) and 0 <= now - mailed < SILENT_SECONDS:
            return
        note = {"mailed": now, "state": "ended", "expires_at": now + KEPT_SECONDS}
        is_another_faster = not table.write(note, conditions={"mailed": mailed}).is_ours
    except RecycleError:
        is_another_faster = False
    if not is_another_faster:
        tell()
