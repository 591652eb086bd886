"""What the reads of a run have shown of its service, kept up to date read by read.

Any read may show the service as it was seconds ago. So a task's life cycle never goes backwards
here, and a task that was seen to leave is never in service again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from heapq import nsmallest

from ecs_task_recycle.aws.gateway import Targets
from ecs_task_recycle.clock import is_since
from ecs_task_recycle.model import LoadBalancer, Service
from ecs_task_recycle.task import LIFECYCLE, Task
from ecs_task_recycle.watch.in_service import (
    Snapshot,
    inherits_target,
    why_no_target_is_healthy,
    why_not_ready,
)
from ecs_task_recycle.watch.messages import started_task_ids
from ecs_task_recycle.watch.reads import CONSISTENCY_SECONDS, may_be_stale


class ServiceMemory:
    """The tasks of one service: which are in service, starting, leaving.

    Instants without ``_at`` are epoch seconds of the run's clock. ``unready`` are the tasks whose
    own state keeps them out of service, ``awaiting_targets`` those that only a target group keeps
    out. ``unread`` are tasks of which only the ARN is known, with the instant of the event that
    named them, if one has. ``leaving`` are the tasks that are stopping or were asked to stop,
    ``stopped`` those of them that are STOPPED. ``quickest_start_seconds`` is the least that a task
    took from its creation to RUNNING; 0 if no task shows it.
    """

    def __init__(self, run_started_at: datetime) -> None:
        """Take the instant from which on tasks are new."""
        self.run_started_at = run_started_at
        self.service: Service | None = None
        self.checks_health = False
        self.checked_names: set[str] = set()
        self.tasks: dict[str, Task] = {}
        self.new_tasks: dict[str, Task] = {}
        self.unread: dict[str, datetime | None] = {}
        self.leaving: set[str] = set()
        self.stopped: set[str] = set()
        self.unready: dict[str, str] = {}
        self.awaiting_targets: dict[str, str] = {}
        self.quickest_start_seconds = 0.0
        self._targets: Targets = {}
        self._targets_read = 0.0
        self._in_service: dict[str, float] = {}
        self._first_read: dict[str, float] = {}
        self._last_read: dict[str, float] = {}

    # -- learning -------------------------------------------------------------------------------

    def learn_service(self, service: Service) -> None:
        """Take in a read of the service.

        Its events name the tasks that it has started: also those that failed between two reads,
        which the list of its tasks never shows.
        """
        self.service = service
        head = next((arn.rpartition("/")[0] for arn in self.tasks), None)
        if head is None:
            return
        since_at = self.run_started_at - timedelta(seconds=CONSISTENCY_SECONDS)
        for event in service.events:
            if is_since(event.created_at, since_at):
                ids = started_task_ids(event.message)
                self.learn_arns((f"{head}/{task_id}" for task_id in ids), event.created_at)

    def learn_arns(self, arns: Iterable[str], created_at: datetime | None = None) -> None:
        """Take in the ARNs of tasks, whether known or new."""
        for arn in arns:
            if arn not in self.tasks:
                self.unread.setdefault(arn, created_at)

    def learn_tasks(self, asked: Iterable[str], tasks: Mapping[str, Task], now: float) -> None:
        """Take in a read of tasks. ECS forgets a task an hour after it has stopped."""
        if self._learn_checks(tasks.values()):
            for arn in [*self._in_service, *self.awaiting_targets]:
                self._judge(self.tasks[arn], now)
        for arn in asked:
            if arn in tasks:
                self._learn_task(tasks[arn], now)
            elif arn in self.leaving:
                self._leave(arn, has_stopped=True)
            elif not may_be_stale(now, self._first_read.setdefault(arn, now)):
                # A task that is newer may not be readable everywhere yet.
                self._leave(arn, has_stopped=True)

    def _learn_checks(self, tasks: Iterable[Task]) -> bool:
        """Take in which containers have health checks; return whether that is news."""
        names = {
            container.name
            for task in tasks
            for container in task.containers
            if container.health_status != "UNKNOWN"
        }
        is_new = not names <= self.checked_names
        self.checked_names |= names
        checks = bool(names) or any(task.health_status != "UNKNOWN" for task in tasks)
        is_new |= checks and not self.checks_health
        self.checks_health |= checks
        return is_new

    def _learn_task(self, task: Task, now: float) -> None:
        self.unread.pop(task.arn, None)
        self._first_read.setdefault(task.arn, now)
        self._last_read[task.arn] = now
        known = self.tasks.get(task.arn)
        if known is not None and _age(task) < _age(known):
            return
        self.tasks[task.arn] = task
        if seconds := task.seconds_to_start:
            self.quickest_start_seconds = min(seconds, self.quickest_start_seconds or seconds)
        if is_since(task.created_at, self.run_started_at):
            self.new_tasks[task.arn] = task
        if not task.is_meant_to_run:
            self._leave(task.arn, has_stopped=task.has_stopped)
        self._judge(task, now)

    def learn_targets(self, targets: Targets, now: float) -> None:
        """Take in a read of the target groups' health."""
        self._targets, self._targets_read = targets, now
        for arn in [*self._in_service, *self.awaiting_targets]:
            self._judge(self.tasks[arn], now)

    def _judge(self, task: Task, now: float) -> None:
        self.unready.pop(task.arn, None)
        self.awaiting_targets.pop(task.arn, None)
        if task.arn in self.leaving:
            return
        unready = why_not_ready(
            task, checks_health=self.checks_health, checked_names=self.checked_names
        )
        load_balancers = self.service.load_balancers if self.service else ()
        if unready is not None:
            self.unready[task.arn] = unready
        elif (why := self._why_no_target_is_healthy(task, load_balancers)) is not None:
            self.awaiting_targets[task.arn] = why
        else:
            self._in_service[task.arn] = now
            return
        if not may_be_stale(now, self._in_service.get(task.arn, now)):
            del self._in_service[task.arn]

    def _why_no_target_is_healthy(
        self, task: Task, load_balancers: tuple[LoadBalancer, ...]
    ) -> str | None:
        """Return which target group keeps a task out of service, or None.

        A stale read may show the health of the task that had its address before.
        """
        if task.arn in self.new_tasks and task.started_at is not None:
            is_stale = may_be_stale(self._targets_read, task.started_at.timestamp())
            before = (self.tasks[arn] for arn in self.leaving & self.tasks.keys())
            if is_stale and inherits_target(task, before, load_balancers):
                return "RUNNING, its target was another task's until just now"
        return why_no_target_is_healthy(task, load_balancers, self._targets)

    def count_out(self, arn: str) -> None:
        """Take a task for one that is stopping, whatever reads still show."""
        self._leave(arn, has_stopped=False)

    def _leave(self, arn: str, *, has_stopped: bool) -> None:
        self.leaving.add(arn)
        self.unread.pop(arn, None)
        for each in (self.unready, self.awaiting_targets, self._in_service):
            each.pop(arn, None)
        if has_stopped:
            self.stopped.add(arn)

    # -- telling --------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """Return the service as it is known now."""
        if self.service is None:
            raise AssertionError("the service was never read")
        not_in_service = {**dict.fromkeys(self.unread, "not read yet"), **self.unready}
        not_in_service |= self.awaiting_targets
        return Snapshot(
            service=self.service,
            tasks=self.tasks,
            in_service=frozenset(self._in_service.keys() - not_in_service.keys()),
            not_in_service=not_in_service,
            leaving=frozenset(self.leaving),
            stopped=frozenset(self.stopped),
            targets=self._targets,
        )

    def in_service_count(self) -> int:
        """Return how many tasks are in service by all reads together.

        A read may be older than the one before it, so a task that was in service seconds ago
        counts until it is seen to leave.
        """
        return len(self._in_service)

    @property
    def oldest_started_at(self) -> datetime | None:
        """When the oldest task in service started, None where none is."""
        starts = (self.tasks[arn].started_at for arn in self._in_service)
        return min((at for at in starts if at is not None), default=None)

    def all_stopped_at(self, arns: Collection[str]) -> datetime | None:
        """Return when the last of these tasks was STOPPED, None while one of them is not."""
        if not self.stopped.issuperset(arns):
            return None
        known = (self.tasks[arn].stopped_at for arn in arns if arn in self.tasks)
        return max((at for at in known if at is not None), default=self.run_started_at)

    def is_in_service(self, arn: str) -> bool:
        """Whether a task is in service by all reads together."""
        return arn in self._in_service

    def stopped_tasks(self) -> list[Task]:
        """Return the tasks that were seen STOPPED."""
        return [
            task for arn, task in self.tasks.items() if arn in self.stopped and task.has_stopped
        ]

    @property
    def live_arns(self) -> list[str]:
        """The tasks that are meant to run."""
        return [*self.unread, *(arn for arn in self.tasks if arn not in self.leaving)]

    @property
    def has_all_in_service(self) -> bool:
        """Whether only new tasks are not in service yet."""
        return not (self.unready.keys() | self.awaiting_targets.keys()) - self.new_tasks.keys()

    @property
    def lacks_tasks(self) -> bool:
        """Whether the service wants more tasks than are known."""
        known_count = len(self.unread) + len(self.tasks) - len(self.leaving & self.tasks.keys())
        return self.service is not None and self.service.desired_count > known_count

    @property
    def uncertain_arns(self) -> list[str]:
        """The tasks that are meant to run and were not in service when they were last read."""
        return [*self.unread, *self.unready, *self.awaiting_targets]

    def coming_task_ages(self, now: float) -> list[float]:
        """Return for how many seconds each new task that is not in service has existed."""
        new = (self.new_tasks[arn] for arn in self.uncertain_arns if arn in self.new_tasks)
        created_at = [*self.unread.values(), *(task.created_at for task in new)]
        return [0.0 if each is None else now - each.timestamp() for each in created_at]

    def arns_to_describe(self, first: Iterable[str], count: int) -> list[str]:
        """Return tasks for one read: these, then those still stopping, then the longest unread."""
        chosen = dict.fromkeys((*first, *(self.leaving - self.stopped)))
        room = count - len(chosen)
        if room > 0:
            others = (arn for arn in self.live_arns if arn not in chosen)
            chosen |= dict.fromkeys(
                nsmallest(room, others, key=lambda arn: self._last_read.get(arn, 0.0))
            )
        return list(chosen)[:count]


def _age(task: Task) -> tuple[int, bool]:
    """Return how far a task is in its life cycle, to tell an older read of it from a newer one."""
    rank = LIFECYCLE.index(task.last_status) if task.last_status in LIFECYCLE else 0
    return rank, task.desired_status != "RUNNING"
