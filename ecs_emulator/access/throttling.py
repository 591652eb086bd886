"""ECS's own rate limits: token buckets per account and Region, shared by all callers.

https://docs.aws.amazon.com/AmazonECS/latest/APIReference/request-throttling.html
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """How many calls at once, and how many per second in the long run."""

    name: str
    burst_count: int
    per_second: float


CLUSTER_MODIFY = Bucket(name="cluster resource modify", burst_count=100, per_second=40)
CLUSTER_READ = Bucket(name="cluster resource read", burst_count=100, per_second=20)
SERVICE_MODIFY = Bucket(name="service modify", burst_count=50, per_second=5)
SERVICE_READ = Bucket(name="service read", burst_count=100, per_second=20)
TASK_PROTECTION = Bucket(name="task protection", burst_count=200, per_second=80)

BUCKETS = {
    "StopTask": CLUSTER_MODIFY,
    "ListTasks": CLUSTER_READ,
    "DescribeTasks": CLUSTER_READ,
    "DescribeContainerInstances": CLUSTER_READ,
    "UpdateService": SERVICE_MODIFY,
    "ListServices": SERVICE_READ,
    "DescribeServices": SERVICE_READ,
    "GetTaskProtection": TASK_PROTECTION,
    "UpdateTaskProtection": TASK_PROTECTION,
}


class Throttle:
    """The buckets' levels. Instants in epoch seconds."""

    def __init__(self) -> None:
        self._levels: dict[str, tuple[float, float]] = {}

    def admits(self, operation: str, at: float) -> bool:
        """Take a token for a call; False where none is left. Other operations are not limited."""
        bucket = BUCKETS.get(operation)
        if bucket is None:
            return True
        level, since = self._levels.get(bucket.name, (float(bucket.burst_count), at))
        level = min(bucket.burst_count, level + (at - since) * bucket.per_second)
        admitted = level >= 1
        self._levels[bucket.name] = (level - admitted, at)
        return admitted
