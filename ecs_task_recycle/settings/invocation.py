"""Tells who invokes the function: a user or rule, a run's guardian, or a guardian's end.

https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ecs_task_recycle.errors import SettingsError

SEGMENT: Final = "segment_of"
EXECUTION_ENDED: Final = "Step Functions Execution Status Change"

# The statuses that template.yaml's rule forwards.
_ENDED: Final = frozenset({"ABORTED", "FAILED", "TIMED_OUT"})
# The names of executions: https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
_RUN_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,80}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """The event of an invocation, and the run that it continues, if any.

    ``event`` holds the parameters of a run. ``segment_of`` is the id of the run to continue.
    ``execution_status`` tells how that run's guardian ended; then the run is only restored.
    """

    event: object
    segment_of: str | None = None
    execution_status: str | None = None


def read_invocation(event: object) -> Invocation:
    """Tell a guardian's event from a user's. Raises SettingsError for a guardian's broken one."""
    if not isinstance(event, Mapping):
        return Invocation(event=event)
    if SEGMENT in event:
        return _segment(event, execution_status=None)
    if event.get("source") == "aws.states" and event.get("detail-type") == EXECUTION_ENDED:
        return _ended(event.get("detail"))
    return Invocation(event=event)


def _segment(event: Mapping[str, object], *, execution_status: str | None) -> Invocation:
    run_id, parameters = event.get(SEGMENT), event.get("event")
    is_name = isinstance(run_id, str) and _RUN_ID.fullmatch(run_id)
    if not is_name or not isinstance(parameters, Mapping):
        problem = f"{SEGMENT} and event do not come from a guardian"
        raise SettingsError.of("the event", [problem])
    return Invocation(event=parameters, segment_of=str(run_id), execution_status=execution_status)


def _ended(detail: object) -> Invocation:
    """Read the run from the input of an execution that has ended."""
    try:
        fields: Mapping[str, object] = dict(detail) if isinstance(detail, Mapping) else {}
        following = json.loads(str(fields["input"]))["next"]
        (status,) = _ENDED & {str(fields["status"])}
        return _segment(following, execution_status=status)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        problem = "it reports the end of an execution that is not a guardian"
        raise SettingsError.of("the event", [problem]) from None
