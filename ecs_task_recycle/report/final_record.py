"""The last log record of a run: its answer, and CloudWatch metrics in the embedded metric format.

CloudWatch makes metrics of it by itself, without a call and without a permission.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from ecs_task_recycle.outcome import Status

NAMESPACE: Final = "EcsTaskRecycle"
UNITS: Final[Mapping[str, str]] = {
    "Completed": "Count",
    "Partial": "Count",
    "Failed": "Count",
    "TasksRecycled": "Count",
    "TasksLeft": "Count",
    "LowestInService": "Count",
    "RequiredInService": "Count",
    "MissingInService": "Count",
    "SecondsToReplace": "Seconds",
    "Duration": "Seconds",
}
"""The metrics, and their units."""

VALUES_LIMIT: Final = 100
"""The values of one metric that one record may have."""

LISTED_LIMIT: Final = 100
"""The entries of each list that the record shows: a record is a few 100 KB at most."""

LISTS: Final = ("tasks", "skipped", "remaining")

logger = logging.getLogger(__name__)


def log_final_record(body: Mapping[str, Any], *, function_name: str) -> None:
    """Log the body of a run's answer, long lists cut, and its metrics."""
    metrics = _metrics(body)
    facts = {**_cut(body), "function": function_name, **metrics}
    facts["_aws"] = _directive(body["timestamp"], metrics)
    logger.info("Task recycle report", extra=facts)


def _cut(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a body with the first entries of its lists, and how many are left out."""
    cut = {name: body[name][:LISTED_LIMIT] for name in LISTS}
    lengths = {name: len(body[name]) - LISTED_LIMIT for name in LISTS}
    left_out = {name: count for name, count in lengths.items() if count > 0}
    return {**body, **cut, "left_out": left_out}


def _metrics(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of the metrics; one that is not known is left out."""
    lowest, required = body["lowest_in_service"], body["required_in_service"]
    values: dict[str, Any] = {
        "Completed": int(body["status"] == Status.COMPLETED),
        "Partial": int(body["status"] == Status.PARTIAL),
        "Failed": int(body["status"] == Status.FAILED),
        "TasksRecycled": body["tasks_recycled"],
        "TasksLeft": len(body["remaining"]),
        "LowestInService": lowest,
        "RequiredInService": required,
        "MissingInService": None if None in (lowest, required) else max(0, required - lowest),
        "SecondsToReplace": _seconds_to_replace(body) or None,
        "Duration": body["duration_seconds"],
    }
    return {name: value for name, value in values.items() if value is not None}


def _seconds_to_replace(body: Mapping[str, Any]) -> list[float]:
    taken = [row["seconds_to_replace"] for row in body["tasks"]]
    return [seconds for seconds in taken if seconds is not None][-VALUES_LIMIT:]


def _directive(finished_at: str, metrics: Mapping[str, object]) -> dict[str, Any]:
    """Return what tells CloudWatch of the metrics: by service, and for the function as a whole.

    The second is what an alarm can watch that does not know the services.
    """
    return {
        "Timestamp": round(datetime.fromisoformat(finished_at).timestamp() * 1000),
        "CloudWatchMetrics": [
            {
                "Namespace": NAMESPACE,
                "Dimensions": [["cluster", "service"], ["function"]],
                "Metrics": [{"Name": name, "Unit": UNITS[name]} for name in metrics],
            }
        ],
    }
