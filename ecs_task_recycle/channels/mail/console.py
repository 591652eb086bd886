"""Links into AWS's console: to the service, its tasks, the log of a run, and its guardian.

Where something of a link is not known, the link is an empty text.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final
from urllib.parse import quote

from ecs_task_recycle.settings.function import FunctionContext
from ecs_task_recycle.text import one_line

# https://docs.aws.amazon.com/general/latest/gr/mgmt-console.html
# https://docs.aws.amazon.com/govcloud-us/latest/UserGuide/using-govcloud.html
# https://docs.amazonaws.cn/en_us/aws/latest/userguide/endpoints-Beijing.html
_HOSTS: Final = (
    ("cn-", "console.amazonaws.cn"),
    ("us-gov-", "console.amazonaws-us-gov.com"),
    ("us-iso", ""),  # no console that a mail could lead to
    ("eu-iso", ""),
    ("", "{region}.console.aws.amazon.com"),
)
_REGION: Final = re.compile(r"[a-z]{2}(-[a-z]{1,12}){1,2}-[0-9]{1,2}")
_EXECUTION: Final = re.compile(r"arn:[a-z-]+:states:([a-z0-9-]+):[0-9]{12}:execution:[^\s/]+")
MARGIN_SECONDS: Final = 60
"""How long before the start of a run the link shows the log."""
SHORT_ID_LENGTH: Final = 8


def service_url(region: str | None, cluster: str, service: str) -> str:
    """Return the page of a service in the ECS console."""
    if not cluster or not service:
        return ""
    path = f"/ecs/v2/clusters/{_escaped(cluster)}/services/{_escaped(service)}/health"
    return _url(region, path)


def task_url(region: str | None, cluster: str, task_id: str) -> str:
    """Return the page of a task in the ECS console; ECS keeps it for an hour after its end.

    https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeTasks.html
    """
    if not cluster or not task_id:
        return ""
    path = f"/ecs/v2/clusters/{_escaped(cluster)}/tasks/{_escaped(task_id)}/configuration"
    return _url(region, path)


def log_url(function: FunctionContext, run_id: str, *, since_at: datetime | None) -> str:
    """Return the log group, filtered by the run's id: several invocations may have written.

    The fragment is escaped twice, with a dollar in place of the percent sign; not documented, but
    that is what the console writes itself: https://stackoverflow.com/q/60796991
    """
    if not function.log_group or not run_id:
        return ""
    query = f"?filterPattern={_escaped(f'"{run_id}"')}"
    if since_at is not None:
        query += f"&start={round((since_at.timestamp() - MARGIN_SECONDS) * 1000)}"
    group = _escaped(_escaped(function.log_group))
    path = f"logsV2:log-groups/log-group/{group}/log-events{_escaped(query)}"
    return _url(function.region, "/cloudwatch/home", f"#{path.replace('%', '$')}")


def execution_url(arn: str | None) -> str:
    """Return the page of an execution in the console of Step Functions."""
    found = _EXECUTION.fullmatch(arn or "")
    if found is None:
        return ""
    return _url(found[1], "/states/home", f"#/v2/executions/details/{_escaped(found[0])}")


def region_of(arn: str) -> str | None:
    """Return the region in an ARN; None if it is not an ARN, or has no region."""
    parts = arn.split(":")
    return parts[3] if parts[0] == "arn" and len(parts) > 5 and parts[3] else None  # noqa: PLR2004


def task_id(arn: str) -> str:
    """Return the last part of a task's ARN: its id."""
    return one_line(arn).rpartition("/")[2]


def short_id(arn: str | None) -> str:
    """Return as much of a task's id as people need to tell tasks apart."""
    return task_id(arn or "")[:SHORT_ID_LENGTH]


def _url(region: str | None, path: str, fragment: str = "") -> str:
    if region is None or not _REGION.fullmatch(region):
        return ""
    host = next(host for prefix, host in _HOSTS if region.startswith(prefix))
    host = host.format(region=region)
    return f"https://{host}{path}?region={region}{fragment}" if host else ""


def _escaped(text: str) -> str:
    return quote(text, safe="")
