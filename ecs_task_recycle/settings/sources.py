"""Where an event without parameters comes from, and how to have it carry some.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-events-structure.html
https://docs.aws.amazon.com/lambda/latest/dg/with-sns.html
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-actions-Lambda.html
https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ecs_task_recycle.text import one_line

LONGEST_SHOWN: Final = 120

RULE: Final = "give the rule's target a constant input with both"
SCHEDULE: Final = "give the schedule an input with both"
WRAPPED: Final = "its messages are not opened: invoke the function by a rule or schedule with both"
ALARM: Final = (
    "it carries no input of yours: have a rule match the alarm's state, with both as input"
)
REQUEST: Final = "its body is not opened: invoke the function itself with both"

_SCHEDULES: Final = ("aws.scheduler", "aws.events")


def source_of(event: Mapping[str, object]) -> tuple[str, str] | None:
    """Return who has sent an event of AWS's own, and what to do; None for any other event."""
    source = event.get("source")
    if isinstance(source, str) and source.startswith("aws.") and "detail-type" in event:
        kind = _shown(event["detail-type"])
        return f"{_shown(source)} ({kind})", SCHEDULE if source in _SCHEDULES else RULE
    if isinstance(event.get("alarmData"), Mapping):
        return f"an action of a CloudWatch alarm ({_shown(event.get('alarmArn'))})", ALARM
    records = event.get("Records")
    if isinstance(records, list) and records and isinstance(records[0], Mapping):
        return _of_record(records[0])
    if isinstance(event.get("requestContext"), Mapping):
        is_outcome = "requestPayload" in event
        return ("a destination of Lambda", WRAPPED) if is_outcome else ("an HTTP request", REQUEST)
    return None


def _of_record(record: Mapping[str, object]) -> tuple[str, str] | None:
    message = record.get("Sns")
    if isinstance(message, Mapping):
        return f"Amazon SNS (topic {_shown(message.get('TopicArn'))})", WRAPPED
    source = record.get("eventSource") or record.get("EventSource")
    return None if source is None else (_shown(source), WRAPPED)


def _shown(value: object) -> str:
    return one_line(value)[:LONGEST_SHOWN] if isinstance(value, str) else "unnamed"
