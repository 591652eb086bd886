"""What the reads of a run have shown of its service, kept up to date read by read.

Any read may show the service as it was seconds ago. So a task's life cycle never goes backwards
here, and a task that was seen to leave is never in service again.
"""

from __future__ import annotations

import re
from datetime import timedelta
from heapq import nsmallest
from typing import TYPE_CHECKING, Final

from ecs_task_recycle.failed_starts import is_since
from ecs_task_recycle.snapshot import Snapshot, why_not_reached, why_not_ready
from ecs_task_recycle.task import LIFECYCLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from ecs_task_recycle.gateway import Targets
    from ecs_task_recycle.model import Service
    from ecs_task_recycle.task import Task

REACH_LIMIT_SECONDS: Final = 60.0
"""After so long a new task's targets are read in any case."""

CONSISTENCY_SECONDS: Final = 15.0
"""How long a read may still show what was before a write."""

# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-event-messages-list.html
_STARTED: Final = re.compile(r"has started \d+ tasks?: (.*)\.")
_TASK_ID: Final = re.compile(r"\(task ([0-9a-f-]+)\)")


class ServiceMemory:
    """The tasks of one service: which are in service, starting, leaving.

    Instants without ``_at`` are epoch seconds of the run's clock. ``unready`` are the tasks whose
    own state keeps them out of service, ``unreached`` those that only a target group keeps out.
    """

    def __init__(self, run_started_at: datetime) -> None:
        """Take the instant from which on tasks are new."""
        self.run_started_at = self._began_at = run_started_at
        self.service: Service | None = None
        self.checks_health = False
        self.tasks: dict[str, Task] = {}
        self.new_tasks: dict[str, Task] = {}
        self.unread: set[str] = set()
        self.leaving: set[str] = set()
        self.left: set[str] = set()
        self.unready: dict[str, str] = {}
        self.unreached: dict[str, str] = {}
        self.shortest_reach_seconds = 0.0
        self._targets: Targets = {}
        self._in_service: dict[str, float] = {}
        self._first_read: dict[str, float] = {}
        self._last_read: dict[str, float] = {}

    # -- learning -------------------------------------------------------------------------------

    def learn_service(self, service: Service) -> None:
        """Take in a read of the service; its events name the tasks that it has started."""
        self.service = service
        head = next((arn.rpartition("/")[0] for arn in self.tasks), None)
        if head is None:
            return
        since_at = self.run_started_at - timedelta(seconds=CONSISTENCY_SECONDS)
        for event in service.events:
            started = _STARTED.search(event.message)
            if started and is_since(event.created_at, since_at):
                self.learn_arns(f"{head}/{task_id}" for task_id in _TASK_ID.findall(started[1]))

    def learn_arns(self, arns: Iterable[str]) -> None:
        """Take in the ARNs of tasks, known ones or new ones."""
        self.unread.update(arn for arn in arns if arn not in self.tasks)

    def learn_tasks(self, asked: Iterable[str], tasks: Mapping[str, Task], now: float) -> None:
        """Take in a read of tasks. ECS forgets a task an hour after it has stopped."""
        health_is_new = not self.checks_health and any(
            task.health_status in ("HEALTHY", "UNHEALTHY") for task in tasks.values()
        )
        if health_is_new:
            self.checks_health = True
            for arn in [*self._in_service, *self.unreached]:
                self._judge(self.tasks[arn], now)
        for arn in asked:
            if arn in tasks:
                self._learn_task(tasks[arn], now)
            elif arn in self.leaving:
                self._leave(arn, has_left=True)
            elif now - self._first_read.setdefault(arn, now) > CONSISTENCY_SECONDS:
                # Not one that is too new to be readable everywhere.
                self._leave(arn, has_left=True)

    def _learn_task(self, task: Task, now: float) -> None:
        self.unread.discard(task.arn)
        self._first_read.setdefault(task.arn, now)
        self._last_read[task.arn] = now
        known = self.tasks.get(task.arn)
        if known is not None and _age(task) < _age(known):
            return
        self.tasks[task.arn] = task
        if is_since(task.created_at, self.run_started_at):
            self.new_tasks[task.arn] = task
        if not task.is_meant_to_run:
            self._leave(task.arn, has_left=task.has_left)
        self._judge(task, now)

    def learn_targets(self, targets: Targets, now: float) -> None:
        """Take in a read of the target groups' health."""
        self._targets = targets
        for arn in [*self._in_service, *self.unreached]:
            self._judge(self.tasks[arn], now)

    def _judge(self, task: Task, now: float) -> None:
        self.unready.pop(task.arn, None)
        was_unreached = self.unreached.pop(task.arn, None) is not None
        if task.arn in self.leaving:
            return
        unready = why_not_ready(task, checks_health=self.checks_health)
        load_balancers = self.service.load_balancers if self.service else ()
        if unready is not None:
            self.unready[task.arn] = unready
        elif (why := why_not_reached(task, load_balancers, self._targets)) is not None:
            self.unreached[task.arn] = why
        else:
            if was_unreached:
                self._measure_reach(task, now)
            self._in_service[task.arn] = now
            return
        if now - self._in_service.get(task.arn, now) > CONSISTENCY_SECONDS:
            del self._in_service[task.arn]

    def _measure_reach(self, task: Task, now: float) -> None:
        """Take note of how long a new task took from RUNNING to healthy in its target groups.

        One that started before this invocation has been so for nobody here knows how long.
        """
        if task.started_at is not None and is_since(task.started_at, self._began_at):
            reach_seconds = now - task.started_at.timestamp()
            self.shortest_reach_seconds = min(
                reach_seconds, self.shortest_reach_seconds or reach_seconds
            )

    def mark_stopped(self, arn: str) -> None:
        """Count a task out from the instant at which the run stops it."""
        self._leave(arn, has_left=False)

    def _leave(self, arn: str, *, has_left: bool) -> None:
        self.leaving.add(arn)
        self.unread.discard(arn)
        for each in (self.unready, self.unreached, self._in_service):
            each.pop(arn, None)
        if has_left:
            self.left.add(arn)

    # -- telling --------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """Return the service as it is known now."""
        if self.service is None:
            raise AssertionError("the service was never read")
        not_in_service = {**dict.fromkeys(self.unread, "not read yet"), **self.unready}
        not_in_service |= self.unreached
        return Snapshot(
            service=self.service,
            tasks=self.tasks,
            in_service=frozenset(self._in_service.keys() - not_in_service.keys()),
            not_in_service=not_in_service,
            leaving=frozenset(self.leaving),
            left=frozenset(self.left),
            targets=self._targets,
        )

    def in_service_count(self) -> int:
        """Return how many are in service for all that is known.

        A read may be older than the one before it: a task that was in service seconds ago counts
        until it is seen to leave.
        """
        return len(self._in_service)

    def is_in_service(self, arn: str) -> bool:
        """Whether a task counts as in service for all that is known."""
        return arn in self._in_service

    def stopped_tasks(self) -> list[Task]:
        """Return the tasks that were seen STOPPED."""
        return [task for arn, task in self.tasks.items() if arn in self.left and task.has_left]

    @property
    def live_arns(self) -> list[str]:
        """The tasks that are meant to run."""
        return [*self.unread, *(arn for arn in self.tasks if arn not in self.leaving)]

    @property
    def has_all_in_service(self) -> bool:
        """Whether only new tasks are not in service yet."""
        return not (self.unready.keys() | self.unreached.keys()) - self.new_tasks.keys()

    @property
    def lacks_tasks(self) -> bool:
        """Whether the service wants more tasks than are known."""
        known_count = len(self.unread) + len(self.tasks) - len(self.leaving & self.tasks.keys())
        return self.service is not None and self.service.desired_count > known_count

    @property
    def is_starting(self) -> bool:
        """Whether tasks behind load balancers are awaited, none of which is RUNNING yet."""
        awaited = self.lacks_tasks or bool(self.unread) or bool(self.unready)
        has_targets = self.service is not None and bool(self.service.load_balancers)
        return has_targets and awaited and not self.unreached

    def may_be_reached(self, now: float) -> bool:
        """Whether a task that waits for its target groups may be healthy there by now.

        Not in the first half of the shortest time that it took a new task of this run.
        """
        started = [self.tasks[arn].started_at for arn in self.unreached]
        since = min((each.timestamp() for each in started if each is not None), default=0.0)
        least_seconds = min(self.shortest_reach_seconds / 2, REACH_LIMIT_SECONDS)
        return bool(started) and now - since >= least_seconds

    def worth_reading(self, first: Iterable[str], count: int) -> list[str]:
        """Return tasks for one read: those asked for, the leaving ones, then the longest unread."""
        chosen = dict.fromkeys((*first, *(self.leaving - self.left)))
        room = count - len(chosen)
        if room > 0:
            others = (arn for arn in self.live_arns if arn not in chosen)
            chosen |= dict.fromkeys(
                nsmallest(room, others, key=lambda arn: self._last_read.get(arn, 0.0))
            )
        return list(chosen)[:count]


def _age(task: Task) -> tuple[int, bool]:
    """Return how far a task is in its life: no read shows less than an earlier one did."""
    rank = LIFECYCLE.index(task.last_status) if task.last_status in LIFECYCLE else 0
    return rank, task.desired_status != "RUNNING"
