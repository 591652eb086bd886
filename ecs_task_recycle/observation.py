"""Who is in service, told from task to task.

In service is a task that is RUNNING and meant to run, HEALTHY where the service's tasks have
container health checks, and healthy in every load balancer's target group. Counts of the service
are not used: ECS counts tasks as running before they are healthy, and the reads that show them may
be seconds old. What has once been seen to leave is never in service again, whatever an older
picture still shows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from ecs_task_recycle.clock import as_utc
from ecs_task_recycle.errors import AwsCallError
from ecs_task_recycle.model import NOT_YET_RUNNING, Service, Task

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ecs_task_recycle.clock import Clock
    from ecs_task_recycle.gateway import Gateway, Targets
    from ecs_task_recycle.model import LoadBalancer

CONSISTENCY_SECONDS: Final = 15.0
"""How long a read may still show what was before a write."""

CLOCK_SKEW: Final = timedelta(seconds=1)
"""How far this machine's clock and AWS's may lie apart."""

# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-event-messages-list.html
_STARTED: Final = re.compile(r"has started \d+ tasks?: (.*)\.")
_TASK_ID: Final = re.compile(r"\(task ([0-9a-f-]+)\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """The service at one look. ``absent`` tells of each task not in service why not."""

    service: Service
    tasks: Mapping[str, Task]
    in_service: frozenset[str]
    absent: Mapping[str, str]
    gone: frozenset[str]

    def describe(self) -> str:
        """Return what was seen, for a log line or an error."""
        leaving = {arn: self.tasks[arn] for arn in self.gone & set(self.tasks)}
        waiting = [
            *(f"{short(arn)}: {why}" for arn, why in sorted(self.absent.items())),
            *(
                f"{short(arn)}: {t.last_status}, to stop"
                for arn, t in leaving.items()
                if not t.has_left
            ),
        ]
        text = f"{len(self.in_service)} in service of {self.service.desired_count} desired"
        return "; ".join([text, *waiting[:5]])


class Observer:
    """Looks at the service again and again, and remembers which tasks have left."""

    def __init__(
        self,
        gateway: Gateway,
        clock: Clock,
        *,
        checks_health: bool,
        gone: Iterable[str] = (),
        watched: Iterable[str] = (),
    ) -> None:
        """Take what is known: tasks that were stopped, tasks to watch, whether any has checks."""
        self._gateway = gateway
        self._clock = clock
        self._gone = set(gone)
        self._left: set[str] = set()
        self._watched = set(watched)
        self._last_in_service_at: dict[str, float] = {}
        self._checks_health = checks_health
        self._since_at = as_utc(clock.now()) - timedelta(seconds=CONSISTENCY_SECONDS)

    @property
    def checks_health(self) -> bool:
        """Whether any task of the service was seen HEALTHY or UNHEALTHY."""
        return self._checks_health

    def mark_stopped(self, arn: str) -> None:
        """Count a task out from the instant it is stopped, and keep watching it leave."""
        self._gone.add(arn)
        self._watched.add(arn)

    def has_left(self, arn: str) -> bool:
        """Whether a task was seen STOPPED, or ECS has forgotten it."""
        return arn in self._left

    def look(self) -> Picture:
        """Take one picture: each of the four reads once."""
        service = self._gateway.service()
        if service is None:
            raise AwsCallError.of("ecs:DescribeServices", "MISSING", "the service is not there")
        listed = self._gateway.task_arns()
        self._watch_started(service, listed)
        self._watched.update(listed)
        tasks = self._gateway.tasks(sorted(self._watched))
        targets = self._gateway.targets(service.load_balancers)
        self._learn(tasks)
        return self._picture(service, tasks, targets)

    def _watch_started(self, service: Service, listed: Iterable[str]) -> None:
        """Watch what the service says it has started: it may fail between two looks."""
        head = next((arn.rpartition("/")[0] for arn in listed), None)
        if head is None:
            return
        for event in service.events:
            if not is_since(event.created_at, self._since_at):
                continue
            started = _STARTED.search(event.message)
            for task_id in _TASK_ID.findall(started.group(1)) if started else ():
                self._watched.add(f"{head}/{task_id}")

    def _learn(self, tasks: Mapping[str, Task]) -> None:
        for arn in self._watched - set(tasks):
            # ECS forgets a task an hour after its stop; a new one may not be readable yet.
            if arn in self._gone:
                self._left.add(arn)
        for arn, task in tasks.items():
            if not task.is_meant_to_run:
                self._gone.add(arn)
            if task.has_left:
                self._left.add(arn)
            if task.health_status in ("HEALTHY", "UNHEALTHY"):
                self._checks_health = True

    def _picture(self, service: Service, tasks: Mapping[str, Task], targets: Targets) -> Picture:
        absent: dict[str, str] = {}
        in_service: set[str] = set()
        for arn, task in tasks.items():
            if arn in self._gone:
                continue
            why = absence(task, service.load_balancers, targets, checks_health=self._checks_health)
            if why is None:
                in_service.add(arn)
                self._last_in_service_at[arn] = self._clock.now()
            else:
                absent[arn] = why
        return Picture(
            service=service,
            tasks=tasks,
            in_service=frozenset(in_service),
            absent=absent,
            gone=frozenset(self._gone),
        )

    def in_service_count(self) -> int:
        """Return how many tasks are in service for all that is known.

        A picture may be older than the one before it: a task seen in service seconds ago counts
        unless it was seen to leave.
        """
        since = self._clock.now() - CONSISTENCY_SECONDS
        return sum(
            1
            for arn, seen_at in self._last_in_service_at.items()
            if seen_at >= since and arn not in self._gone
        )


def absence(
    task: Task, load_balancers: Iterable[LoadBalancer], targets: Targets, *, checks_health: bool
) -> str | None:
    """Return why a task is not in service, or None if it is."""
    if task.last_status != "RUNNING":
        return task.last_status
    if not task.is_meant_to_run:
        return f"RUNNING, desired {task.desired_status}"
    if checks_health and task.health_status != "HEALTHY":
        return f"RUNNING, container health {task.health_status}"
    for each in load_balancers:
        state = _target_state(task, each, targets)
        if state != "healthy":
            group = each.target_group_arns[0].rpartition(":targetgroup/")[2]
            return f"RUNNING, target {state} in {group}"
    return None


def _target_state(task: Task, load_balancer: LoadBalancer, targets: Targets) -> str:
    """Return the task's state in a load balancer's groups; healthy in one of them is enough."""
    found = {
        targets[(group, *address)]
        for group in load_balancer.target_group_arns
        for address in _addresses(task, load_balancer)
        if (group, *address) in targets
    }
    if "healthy" in found:
        return "healthy"
    return ", ".join(sorted(found)) or "not registered"


def _addresses(task: Task, load_balancer: LoadBalancer) -> list[tuple[str, int]]:
    """Return the address of a task as its target: its own, or its instance's and a host port."""
    if task.ip_address is not None:
        return [(task.ip_address, load_balancer.container_port)]
    if task.instance_id is None:
        return []
    return [
        (task.instance_id, binding.host_port)
        for binding in task.port_bindings
        if binding.container_port == load_balancer.container_port
        and load_balancer.container_name in (None, binding.container_name)
    ]


@dataclass(slots=True, kw_only=True)
class FailedStarts:
    """What has come to nothing: starts that failed, placements, and new tasks that soon died.

    Failed starts and placements count ``since_at``, the beginning of what is awaited. Deaths count
    over the whole run: ``newcomers`` are the tasks of earlier steps that had come into service.
    """

    since_at: datetime
    run_started_at: datetime
    newcomers: set[str] = field(default_factory=set)
    tasks: dict[str, Task] = field(default_factory=dict)
    deaths: dict[str, Task] = field(default_factory=dict)
    complaints: dict[str, str] = field(default_factory=dict)
    passed_over: set[str] = field(default_factory=set)

    def learn(self, picture: Picture, *, placeable: bool = True) -> None:
        """Take note of the new tasks that stopped, and of placements that failed.

        While a stopped task still holds its port or its memory, its replacement may have no place
        yet: with ``placeable`` false such complaints are passed over.
        """
        self.newcomers |= {
            arn
            for arn in picture.in_service
            if is_since(picture.tasks[arn].created_at, self.run_started_at)
        }
        for arn, task in picture.tasks.items():
            if arn in self.newcomers and is_death(task):
                self.deaths[arn] = task
            elif is_since(task.created_at, self.since_at) and is_failed_start(task):
                self.tasks[arn] = task
        for event in picture.service.events:
            if "unable to" not in event.message or event.id in self.passed_over:
                continue
            if not placeable:
                self.passed_over.add(event.id)
            elif is_since(event.created_at, self.since_at):
                self.complaints[event.id] = event.message

    @property
    def count(self) -> int:
        """How many starts have failed: the most of one kind."""
        return max(len(self.tasks), len(self.deaths), len(self.complaints))

    def cause(self) -> str | None:
        """Return why, or None if nothing has failed."""
        ended = self.deaths if len(self.deaths) > len(self.tasks) else self.tasks
        if ended:
            return "; ".join(dict.fromkeys(_failure(task) for task in ended.values()))
        return next(iter(self.complaints.values()), None)


def is_since(instant_at: datetime | None, since_at: datetime) -> bool:
    """Whether an instant of AWS's clock lies behind one of ours."""
    return instant_at is not None and instant_at >= since_at - CLOCK_SKEW


def is_failed_start(task: Task) -> bool:
    """Whether a task ended though nobody wanted it to: not by hand, not by scaling in.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html
    """
    if task.is_meant_to_run or (task.last_status in NOT_YET_RUNNING and task.stop_code is None):
        return False
    reason = task.stopped_reason or ""
    scaled = reason.startswith(("Scaling activity initiated", "Availability-zone rebalancing"))
    return task.stop_code != "UserInitiated" and not scaled


def is_death(task: Task) -> bool:
    """Whether a task that was in service ended by its own fault, not by its host's."""
    hosts = ("SpotInterruption", "TerminationNotice", "InfrastructureHealth")
    return is_failed_start(task) and task.stop_code not in hosts


def _failure(task: Task) -> str:
    code = None if task.exit_code is None else f"exit code {task.exit_code}"
    parts = [task.stop_code, task.stopped_reason, task.container_reason, code]
    return f"task {short(task.arn)} stopped: " + ", ".join(part for part in parts if part)


def short(arn: str) -> str:
    """Return the last part of an ARN: the task's id."""
    return arn.rpartition("/")[2]
