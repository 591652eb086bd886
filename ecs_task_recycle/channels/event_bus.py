"""The event bus: `Task Recycle Started` and `Task Recycle Ended`, for anybody's rules.

https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from botocore.config import Config

from ecs_task_recycle.report.answer import Answer

if TYPE_CHECKING:
    import boto3

CONFIG: Final = Config(
    connect_timeout=2, read_timeout=3, retries={"mode": "standard", "total_max_attempts": 2}
)
SOURCE: Final = "ecs-task-recycle"
STARTED: Final = "Task Recycle Started"
ENDED: Final = "Task Recycle Ended"

DETAIL_BYTES: Final = 200_000
"""Of the 262,144 bytes that one entry may have.
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html"""

LISTS: Final = ("in_service", "tasks", "skipped", "remaining")
"""Of an answer that is too long, left out in this order."""

logger = logging.getLogger(__name__)


def tell_event_bus(session: boto3.Session, bus_name: str | None, answer: Answer) -> None:
    """Put the end of a run on the bus, if there is one: its detail is the answer."""
    _put(session, bus_name, ENDED, _fitting(answer.as_json()))


def tell_event_bus_of_start(
    session: boto3.Session, bus_name: str | None, *, cluster: str, service: str, run_id: str
) -> None:
    """Put the start of a run on the bus, if there is one."""
    _put(session, bus_name, STARTED, {"cluster": cluster, "service": service, "run_id": run_id})


def _put(
    session: boto3.Session, bus_name: str | None, kind: str, detail: Mapping[str, Any]
) -> None:
    """Put one event. What goes wrong is a warning, and no more."""
    if not bus_name:
        return
    entry = {
        "EventBusName": bus_name,
        "Source": SOURCE,
        "DetailType": kind,
        "Detail": json.dumps(detail),
    }
    try:
        client: Any = session.client("events", config=CONFIG)
        refused = client.put_events(Entries=[entry])["Entries"][0].get("ErrorMessage")
    except Exception as error:  # noqa: BLE001 - whatever a channel meets, the run's outcome stands
        refused = f"{type(error).__name__}: {error}"
    if refused is not None:
        logger.warning("The event bus %s was not told: events:PutEvents: %s", bus_name, refused)


def _fitting(detail: dict[str, Any]) -> dict[str, Any]:
    """Return a detail that an event can hold; `left_out` names the lists that it could not."""
    left_out: list[str] = []
    for name in LISTS:
        if len(json.dumps(detail).encode()) <= DETAIL_BYTES:
            break
        detail = {**detail, name: []}
        left_out.append(name)
    return {**detail, "left_out": left_out} if left_out else detail
