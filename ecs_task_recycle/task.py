"""A task of ECS: its life cycle, its addresses for target groups, and how it ended."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from ecs_task_recycle.model import InServicePoint, TaskResult

NOT_YET_RUNNING = ("PROVISIONING", "PENDING", "ACTIVATING")
LIFECYCLE = (
    *NOT_YET_RUNNING,
    "RUNNING",
    "DEACTIVATING",
    "STOPPING",
    "DEPROVISIONING",
    "STOPPED",
    "DELETED",
)
"""https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-lifecycle-explanation.html"""

KILLED: Final = 137
"""128 and the number of the signal, SIGKILL: the container was ended by force.

https://github.com/aws/agent-toolkit-for-aws/blob/main/skills/core-skills/aws-containers/references/ecs-troubleshooting-guide.md
"""

ENDED: Final = 143
"""128 and SIGTERM: what ECS sends to the other containers once an essential one has exited."""

STOPPED_BY_DEAD: Final = "it was stopped by an invocation that died"
NOT_IN_TIME: Final = "did not stop in time: killed (SIGKILL) after its stopTimeout"
"""StopTask sends SIGTERM, and SIGKILL to what is still there after 30 s or the stopTimeout.

https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_StopTask.html
https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html
"""

OUT_OF_MEMORY: Final = "ran out of memory: killed (SIGKILL)"
"""What ECS calls an OutOfMemoryError in the container's reason.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/out-of-memory.html
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PortBinding:
    """A container port and the port of the instance that leads to it."""

    container_name: str | None
    container_port: int
    host_port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A container of a task: its health by its own check, how it ended, and ECS's reason."""

    name: str
    health_status: str = "UNKNOWN"
    exit_code: int | None = None
    reason: str | None = None

    @property
    def is_out_of_memory(self) -> bool:
        """Whether it was killed because it needed more memory than it may have."""
        return "OutOfMemory" in (self.reason or "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One task as DescribeTasks shows it."""

    arn: str
    last_status: str
    desired_status: str
    health_status: str = "UNKNOWN"
    started_by: str | None = None
    group: str | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    stopped_at: datetime | None = None
    stop_code: str | None = None
    stopped_reason: str | None = None
    execution_stopped_at: datetime | None = None
    containers: tuple[Container, ...] = ()
    is_on_instance: bool = False
    zone: str | None = None
    ip_address: str | None = None
    instance_id: str | None = None
    port_bindings: tuple[PortBinding, ...] = ()
    other_ip_addresses: tuple[str, ...] = ()

    def health(self, checked_names: Collection[str]) -> str:
        """Return the task's health, by its containers' own where it has none itself.

        ECS calls a task UNKNOWN if not all of its essential containers have a health check.
        ``checked_names`` are the containers that have one. One that is UNHEALTHY while its task is
        not is not essential. https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Task.html
        """
        if self.health_status != "UNKNOWN":
            return self.health_status
        states = {c.health_status for c in self.containers if c.name in checked_names}
        return "HEALTHY" if states and "UNKNOWN" not in states else "UNKNOWN"

    @property
    def seconds_to_start(self) -> float | None:
        """How long it took from its creation to RUNNING, where ECS says so."""
        if self.started_at is None or self.created_at is None:
            return None
        return (self.started_at - self.created_at).total_seconds()

    @property
    def seconds_of_work(self) -> float | None:
        """How long its containers ran, where ECS says so."""
        ended_at = self.execution_stopped_at or self.stopped_at
        if self.started_at is None or ended_at is None:
            return None
        return (ended_at - self.started_at).total_seconds()

    @property
    def ended_well(self) -> bool:
        """Whether its work was done: a container has ended with 0, and no other one failed."""
        return 0 in self.exit_codes and not set(self.exit_codes) - {0, ENDED}

    @property
    def shares_host(self) -> bool:
        """Whether it uses its instance's address, and so the ports that others may hold."""
        return self.is_on_instance and not self.ip_addresses

    @property
    def container_reason(self) -> str | None:
        """The first reason that ECS gives of a container."""
        return next((each.reason for each in self.containers if each.reason), None)

    @property
    def exit_codes(self) -> tuple[int, ...]:
        """The exit codes of those of its containers that have one."""
        codes = (each.exit_code for each in self.containers)
        return tuple(code for code in codes if code is not None)

    @property
    def exit_code(self) -> int | None:
        """The exit code that says most of why it stopped: the first that is not 0, else 0."""
        return next((code for code in self.exit_codes if code), next(iter(self.exit_codes), None))

    @property
    def ip_addresses(self) -> tuple[str, ...]:
        """Every address of its own, IPv4 and IPv6: none in bridge and host mode."""
        return (() if self.ip_address is None else (self.ip_address,)) + self.other_ip_addresses

    def addresses(self, container_name: str | None, container_port: int) -> list[tuple[str, int]]:
        """Return the addresses by which target groups may know a port of it.

        Its own ones, or its instance's with the port that leads to it. In host mode that is the
        container's port, and no binding is shown: https://github.com/traefik/traefik/issues/2169
        """
        if self.ip_addresses:
            return [(address, container_port) for address in self.ip_addresses]
        if self.instance_id is None:
            return []
        if not self.port_bindings:
            return [(self.instance_id, container_port)]
        return [
            (self.instance_id, binding.host_port)
            for binding in self.port_bindings
            if binding.container_port == container_port
            and container_name in (None, binding.container_name)
        ]

    @property
    def is_meant_to_run(self) -> bool:
        """Whether nobody has asked ECS to stop it."""
        return self.desired_status == "RUNNING" and not self.is_stopping

    @property
    def is_stopping(self) -> bool:
        """Whether its life cycle is past RUNNING."""
        return self.last_status in LIFECYCLE[len(NOT_YET_RUNNING) + 1 :]

    @property
    def has_stopped(self) -> bool:
        """Whether nothing of it remains: no target, no resources."""
        return self.last_status in ("STOPPED", "DELETED")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the watch has seen that another invocation of the run needs, and the answer tells.

    ``served_new_arns`` are the new tasks that have been in service, ``failed_new_tasks`` those of
    them that failed afterwards; ``in_service`` is how many tasks were in service and when;
    ``checks_health``: the tasks have container health checks.
    """

    served_new_arns: tuple[str, ...] = ()
    failed_new_tasks: tuple[Task, ...] = ()
    in_service: tuple[InServicePoint, ...] = ()
    checks_health: bool = False


def with_exit(result: TaskResult, task: Task) -> TaskResult:
    """Return a result with what a read of its STOPPED task shows: how long it took, exit code."""
    seconds_to_stop = None
    if result.stopped_at is not None and task.stopped_at is not None:
        seconds_to_stop = (task.stopped_at - result.stopped_at).total_seconds()
    exit_code = KILLED if KILLED in task.exit_codes else task.exit_code
    return replace(
        result,
        seconds_to_stop=None if seconds_to_stop is None else round(max(0.0, seconds_to_stop), 1),
        exit_code=exit_code,
        exit_verdict=_exit_verdict(task, by_run=result.stopped_at is not None),
    )


def _exit_verdict(task: Task, *, by_run: bool) -> str | None:
    """Return which containers were killed, and why, where that is certain."""
    killed = [each for each in task.containers if each.exit_code == KILLED]
    starved = [each.name for each in killed if each.is_out_of_memory]
    late = [each.name for each in killed if by_run and not each.is_out_of_memory]
    verdicts = [
        f"{', '.join(names)} {what}"
        for names, what in ((starved, OUT_OF_MEMORY), (late, NOT_IN_TIME))
        if names
    ]
    return "; ".join(verdicts) or None
