"""What can be said of a task at an instant: its state, where it runs, and why it stops."""

from dataclasses import dataclass
from enum import StrEnum

CONTAINER_PORT = 8080


class StopKind(StrEnum):
    """Who made a task stop."""

    STOP_TASK = "StopTask"
    SCALE_IN = "scheduler scale-in"
    DEPLOYMENT = "scheduler deployment"
    UNHEALTHY = "scheduler unhealthy"
    REBALANCING = "scheduler rebalancing"
    DELETION = "service deleted"
    THIRD_PARTY = "third party"
    CRASH = "crash"
    FAILED_START = "failed start"
    INTERRUPTION = "interruption"


OF_SURPLUS = frozenset(
    {StopKind.SCALE_IN, StopKind.DEPLOYMENT, StopKind.REBALANCING, StopKind.DELETION}
)
"""The stops of tasks that nobody misses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StopCause:
    """Why a task stops: the kind, and for StopTask the access key that signed the call."""

    kind: StopKind
    access_key: str | None = None

    def __str__(self) -> str:
        return f"{self.kind} by {self.access_key}" if self.access_key else str(self.kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskState:
    """What can change about a task; all instants in epoch seconds.

    `health` is the containers' (HEALTHY, UNHEALTHY, UNKNOWN). `targets` has one entry per target
    group of the service: None (not registered) or Elastic Load Balancing's state of the target;
    `target_reason` is its reason code where it is not the usual one.
    """

    last_status: str
    desired_status: str = "RUNNING"
    health: str = "UNKNOWN"
    targets: tuple[str | None, ...] = ()
    target_reason: str | None = None
    pull_started_at: float | None = None
    pull_stopped_at: float | None = None
    started_at: float | None = None
    stopping_at: float | None = None
    execution_stopped_at: float | None = None
    stopped_at: float | None = None
    stop_code: str | None = None
    stopped_reason: str | None = None
    exit_code: int | None = None
    protected_until: float | None = None

    def protected(self, at: float) -> bool:
        """Tell whether scale-in protection holds at this instant."""
        return self.protected_until is not None and self.protected_until > at

    @property
    def failing_checks(self) -> bool:
        """Whether a container or target group health check has found the task unhealthy."""
        return self.health == "UNHEALTHY" or "unhealthy" in self.targets


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerInstance:
    """An instance of a cluster. `ec2_instance_id` None: it shows none."""

    arn: str
    ec2_instance_id: str | None
    availability_zone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where a task runs: its zone, and either own addresses or a port on an instance.

    `by_ipv6`: it is its IPv6 address that is registered in target groups.
    """

    availability_zone: str
    instance: ContainerInstance | None = None
    private_ip: str | None = None
    ipv6_address: str | None = None
    by_ipv6: bool = False
    host_port: int | None = None

    @property
    def target(self) -> tuple[str, int]:
        """The (id, port) under which a target group knows the task."""
        address = self.ipv6_address if self.by_ipv6 else self.private_ip
        if address is not None:
            return address, CONTAINER_PORT
        if self.instance is None or self.host_port is None:
            return "", 0
        return self.instance.ec2_instance_id or "", self.host_port
