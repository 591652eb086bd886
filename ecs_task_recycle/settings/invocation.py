"""Tells who invokes the function: a user or a rule, or the guardian that watches over a run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ecs_task_recycle.errors import SettingsError

SEGMENT: Final = "segment_of"
RESTORE: Final = "restore_of"

# How an execution ended, or a state of it, so that only restoring is left.
STATUSES: Final = frozenset({"ABORTED", "FAILED", "TIMED_OUT"})
LAST_ATTEMPT: Final = 1_000
NAMES: Final = ("cluster_name", "service_name")
# The names of executions: https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
_RUN_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,80}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreOnly:
    """That a run is only to be restored, for the ``attempt``-th time, from 0 on.

    ``status`` is how its guardian ended.
    """

    status: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """The event of an invocation, and the run that it continues, if any.

    ``event`` holds the parameters of a run; of one that is continued only the names, as its record
    holds the others. ``run_id`` is the id of the run to continue, or with ``restore`` to restore.
    ``raised`` is what the execution carries of the capacity that was found and written; it is as
    yet unchecked.
    """

    event: object
    run_id: str | None = None
    raised: object = None
    restore: RestoreOnly | None = None


def read_invocation(event: object) -> Invocation:
    """Tell a guardian's event from a user's. Raises SettingsError for a guardian's broken one."""
    if not isinstance(event, Mapping):
        return Invocation(event=event)
    if SEGMENT in event:
        return _of_guardian(event, SEGMENT, restore=None)
    if RESTORE in event:
        return _of_guardian(event, RESTORE, restore=_restore(event))
    return Invocation(event=event)


def _of_guardian(
    event: Mapping[str, object], name: str, *, restore: RestoreOnly | None
) -> Invocation:
    """Read the run that an event is about: of its parameters no more than the names."""
    run_id, parameters = event[name], event.get("event")
    is_name = isinstance(run_id, str) and _RUN_ID.fullmatch(run_id)
    if not is_name or not isinstance(parameters, Mapping):
        raise SettingsError.of("the event", [f"{name} and event do not come from a guardian"])
    names = {each: parameters[each] for each in NAMES if each in parameters}
    raised = event.get("raised")
    return Invocation(event=names, run_id=str(run_id), raised=raised, restore=restore)


def _restore(event: Mapping[str, object]) -> RestoreOnly:
    status, attempt = event.get("status"), event.get("attempt")
    is_status = isinstance(status, str) and status in STATUSES
    if not is_status or not isinstance(attempt, int) or not 0 <= attempt <= LAST_ATTEMPT:
        raise SettingsError.of("the event", ["status and attempt do not come from a guardian"])
    return RestoreOnly(status=str(status), attempt=attempt)
