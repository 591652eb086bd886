"""Who invokes the function: a user or a rule, the guardian of a run, or the end of a guardian.

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

# The names of executions: https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
_RUN_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,80}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """What an invocation is about.

    ``event`` holds a run's parameters. ``segment_of`` is the id of a run that goes on,
    ``execution_status`` how its guardian's execution ended: then it only has to be restored.
    """

    event: object
    segment_of: str | None = None
    execution_status: str | None = None


def read_invocation(event: object) -> Invocation:
    """Tell a guardian's event from a user's. Raises SettingsError for a broken one."""
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
        problem = f"{SEGMENT} and event are not those of a guardian"
        raise SettingsError.of("the event", [problem])
    return Invocation(event=parameters, segment_of=str(run_id), execution_status=execution_status)


def _ended(detail: object) -> Invocation:
    """Read the end of an execution, whose input holds the event of the run's segments."""
    try:
        fields: Mapping[str, object] = dict(detail) if isinstance(detail, Mapping) else {}
        following = json.loads(str(fields["input"]))["next"]
        return _segment(following, execution_status=str(fields["status"])[:40])
    except (KeyError, TypeError, ValueError, AttributeError):
        problem = "it tells of an execution that is not a guardian's"
        raise SettingsError.of("the event", [problem]) from None
