"""Names the sender of an event that AWS makes by itself, for an error's sentence.

https://docs.aws.amazon.com/lambda/latest/dg/lambda-services.html
"""

from __future__ import annotations

from collections.abc import Mapping

from ecs_task_recycle.text import one_line


def source_of(event: Mapping[str, object]) -> str | None:
    """Return the sender of an event in AWS's own shapes; None for any other event."""
    match event:
        case {"source": str(source), "detail-type": str(kind)} if source.startswith("aws."):
            return one_line(f"{source} ({kind})")
        case {"alarmData": {}}:
            return "a CloudWatch alarm"
        case {"Records": [{"eventSource": str(source)} | {"EventSource": str(source)}, *_]}:
            return one_line(source)
        case {"requestContext": {}}:
            return "an HTTP request or a Lambda destination"
    return None
