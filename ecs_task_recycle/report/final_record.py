"""The last log record of a run: its answer, and CloudWatch metrics in the embedded metric format.

CloudWatch makes metrics of it by itself, without a call and without a permission.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import boto3
import botocore

from ecs_task_recycle.outcome import Status
from ecs_task_recycle.report.answer import Answer

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
    "OldestTaskHours": "None",
}
"""The metrics, and their units. CloudWatch has none for hours.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_MetricDatum.html"""

VALUES_LIMIT: Final = 100
"""How many values of one metric a record may have."""

LISTED_LIMIT: Final = 100
"""How many entries of each list the record shows, so that it has a few 100 KB at most."""

logger = logging.getLogger(__name__)


def log_final_record(answer: Answer, *, function_name: str) -> None:
    """Log a run's answer, with its long lists cut, its metrics, and the SDK's versions.

    What AWS answers is only seen as far as the SDK knows its members.
    """
    metrics = _metrics(answer)
    lists = {"tasks": answer.tasks, "skipped": answer.skipped, "remaining": answer.remaining}
    lengths = {name: len(entries) for name, entries in lists.items()}
    shown: dict[str, Any] = {name: entries[:LISTED_LIMIT] for name, entries in lists.items()}
    facts = {
        **replace(answer, **shown).as_json(),
        "left_out": {name: n - LISTED_LIMIT for name, n in lengths.items() if n > LISTED_LIMIT},
        "function": function_name,
        "boto3": boto3.__version__,
        "botocore": botocore.__version__,
        **metrics,
        "_aws": _directive(answer.timestamp, metrics),
    }
    logger.info("Task recycle report", extra=facts)


def log_oldest_task(answer: Answer, *, function_name: str) -> None:
    """Log the age of a service's oldest task, and its metric: all that a dry run counts for."""
    hours = answer.oldest_task_hours
    metrics = {"OldestTaskHours": hours}
    facts = {
        "cluster": answer.cluster,
        "service": answer.service,
        "function": function_name,
        **metrics,
        "_aws": _directive(answer.timestamp, metrics),
    }
    logger.info("The oldest task in service started %s hours ago", hours, extra=facts)


def _metrics(answer: Answer) -> dict[str, Any]:
    """Return the values of the metrics, without those that are not known."""
    values: dict[str, Any] = {
        "Completed": int(answer.status is Status.COMPLETED),
        "Partial": int(answer.status is Status.PARTIAL),
        "Failed": int(answer.status is Status.FAILED),
        "TasksRecycled": answer.tasks_recycled,
        "TasksLeft": len(answer.remaining),
        "LowestInService": answer.lowest_in_service,
        "RequiredInService": answer.required_in_service,
        "MissingInService": _missing(answer.lowest_in_service, answer.required_in_service),
        "SecondsToReplace": _seconds_to_replace(answer) or None,
        "Duration": answer.duration_seconds,
        "OldestTaskHours": answer.oldest_task_hours,
    }
    return {name: value for name, value in values.items() if value is not None}


def _missing(lowest: int | None, required: int | None) -> int | None:
    return None if lowest is None or required is None else max(0, required - lowest)


def _seconds_to_replace(answer: Answer) -> list[float]:
    taken = [task.seconds_to_replace for task in answer.ended_tasks]
    return [seconds for seconds in taken if seconds is not None][-VALUES_LIMIT:]


def _directive(ended_at: datetime, metrics: Mapping[str, object]) -> dict[str, Any]:
    """Return what tells CloudWatch of the metrics: by service, and for the function as a whole.

    An alarm that does not know the services can watch the second.
    """
    return {
        "Timestamp": round(ended_at.timestamp() * 1000),
        "CloudWatchMetrics": [
            {
                "Namespace": NAMESPACE,
                "Dimensions": [["cluster", "service"], ["function"]],
                "Metrics": [{"Name": name, "Unit": UNITS[name]} for name in metrics],
            }
        ],
    }
