"""What the reads of a run have shown of its service, kept up to date read by read.

Any read may show the service as it was seconds ago. So a task's life cycle never goes backwards
here, and a task that was seen to leave is never in service again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from heapq import nsmallest
from typing import Final

from ecs_task_recycle.aws.gateway import Targets
from ecs_task_recycle.model import LoadBalancer, Service
from ecs_task_recycle.task import LIFECYCLE, Task
from ecs_task_recycle.watch.failed_starts import is_since
from ecs_task_recycle.watch.in_service import (
    Snapshot,
    inherits_target,
    why_not_reached,
    why_not_ready,
)
from ecs_task_recycle.watch.messages import started_task_ids
from ecs_task_recycle.watch.reads import CONSISTENCY_SECONDS
from ecs_task_recycle.watch.starts import StartTimes

REACH_LIMIT_SECONDS: Final = 60.0
"""After so long a new task's targets are read in any case."""

UNREAD_LIMIT_SECONDS: Final = 15.0
"""A new task that has failed to start is read at the latest so long after its creation."""


class ServiceMemory:
    """The tasks of one service: which are in service, starting, leaving.

    Instants without ``_at`` are epoch seconds of the run's clock. ``unready`` are the tasks whose
    own state keeps them out of service, ``unreached`` those that only a target group keeps out.
    ``unread`` are new tasks known by name alone, with the instant of the event that named them.
    ``events_name_tasks``: the service's events have been seen to name the tasks that it starts.
    """

    def __init__(self, run_started_at: datetime) -> None:
        """Take the instant from which on tasks are new."""
        self.run_started_at = run_started_at
        self.start_times = StartTimes(run_started_at)
        self.service: Service | None = None
        self.checks_health = False
        self.tasks: dict[str, Task] = {}
        self.new_tasks: dict[str, Task] = {}
        self.unread: dict[str, datetime | None] = {}
        self.events_name_tasks = False
        self.leaving: set[str] = set()
        self.left: set[str] = set()
        self.unready: dict[str, str] = {}
        self.unreached: dict[str, str] = {}
        self._targets: Targets = {}
        self._targets_read = 0.0
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
            ids = started_task_ids(event.message)
            self.events_name_tasks |= bool(ids)
            if is_since(event.created_at, since_at):
                self.learn_arns((f"{head}/{task_id}" for task_id in ids), event.created_at)

    def learn_arns(self, arns: Iterable[str], created_at: datetime | None = None) -> None:
        """Take in the ARNs of tasks, known ones or new ones."""
        for arn in arns:
            if arn not in self.tasks:
                self.unread.setdefault(arn, created_at)

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
        self.unread.pop(task.arn, None)
        self._first_read.setdefault(task.arn, now)
        self._last_read[task.arn] = now
        known = self.tasks.get(task.arn)
        if known is not None and _age(task) < _age(known):
            return
        self.tasks[task.arn] = task
        self.start_times.learn_start(task)
        if is_since(task.created_at, self.run_started_at):
            self.new_tasks[task.arn] = task
        if not task.is_meant_to_run:
            self._leave(task.arn, has_left=task.has_left)
        self._judge(task, now)

    def learn_targets(self, targets: Targets, now: float) -> None:
        """Take in a read of the target groups' health."""
        self._targets, self._targets_read = targets, now
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
        elif (why := self._why_not_reached(task, load_balancers)) is not None:
            self.unreached[task.arn] = why
        else:
            if was_unreached:
                self.start_times.learn_reach(task, now)
            self._in_service[task.arn] = now
            return
        if now - self._in_service.get(task.arn, now) > CONSISTENCY_SECONDS:
            del self._in_service[task.arn]

    def _why_not_reached(self, task: Task, load_balancers: tuple[LoadBalancer, ...]) -> str | None:
        """Return why a task is not reached; a read may still show who had its address before."""
        if task.arn in self.new_tasks and task.started_at is not None:
            read_seconds = self._targets_read - task.started_at.timestamp()
            before = (self.tasks[arn] for arn in self.leaving & self.tasks.keys())
            if read_seconds < CONSISTENCY_SECONDS and inherits_target(task, before, load_balancers):
                return "RUNNING, its target was another task's until just now"
        return why_not_reached(task, load_balancers, self._targets)

    def mark_stopped(self, arn: str) -> None:
        """Count a task out from the instant at which the run stops it."""
        self._leave(arn, has_left=False)

    def _leave(self, arn: str, *, has_left: bool) -> None:
        self.leaving.add(arn)
        self.unread.pop(arn, None)
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

    def all_left_at(self, arns: Collection[str]) -> datetime | None:
        """Return when the last of these tasks had left, None while one of them has not."""
        if not self.left.issuperset(arns):
            return None
        known = (self.tasks[arn].stopped_at for arn in arns if arn in self.tasks)
        return max((at for at in known if at is not None), default=self.run_started_at)

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

    def coming_seconds(self, now: float) -> tuple[float, float] | None:
        """Return how far the new task is that comes into service first, and what that takes.

        That is the time since its creation, or where only a target group keeps it out since it is
        RUNNING, and the least that it took a task from there into service, 0 where that is not
        known, and for one of which no more than the name is known what it takes to be worth a read.
        As long as it has no name, its creation may be this instant. None: none is awaited.
        """
        new = self.new_tasks
        started = _ages((new[arn].started_at for arn in self.unreached if arn in new), now)
        created = _ages((new[arn].created_at for arn in self.unready if arn in new), now)
        if started:
            return max(started), self.start_times.reach_seconds
        if created:
            return max(created), self.start_times.least_seconds
        if self.unread:
            # Read for the first time at half of what is returned here: see in_question.
            return max(_ages(self.unread.values(), now), default=0.0), 2 * self._rest_seconds
        if self.lacks_tasks:
            # A name is not yet a state: it may be learned a little later than that.
            return 0.0, 3 * self._rest_seconds
        return None

    def in_question(self, now: float) -> list[str]:
        """Return the tasks that may have become ready, or have failed, since they were last read.

        One that an event has named is first read after half of the shortest time to serve: until
        then it can only be on its way.
        """
        unread = (
            arn
            for arn, named_at in self.unread.items()
            if named_at is None or now - named_at.timestamp() >= self._rest_seconds
        )
        return [*unread, *self.unready]

    @property
    def _rest_seconds(self) -> float:
        return min(UNREAD_LIMIT_SECONDS, self.start_times.least_seconds / 2)

    def may_be_reached(self, now: float) -> bool:
        """Whether a task that waits for its target groups may be healthy there by now.

        Not in the first half of the shortest time that it took a new task of this run.
        """
        started = [self.tasks[arn].started_at for arn in self.unreached]
        since = min((each.timestamp() for each in started if each is not None), default=0.0)
        least_seconds = min(self.start_times.half_reach, REACH_LIMIT_SECONDS)
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


def _ages(instants_at: Iterable[datetime | None], now: float) -> list[float]:
    """Return how many seconds ago these instants were, as far as they are known."""
    return [now - each.timestamp() for each in instants_at if each is not None]


def _age(task: Task) -> tuple[int, bool]:
    """Return how far a task is in its life: no read shows less than an earlier one did."""
    rank = LIFECYCLE.index(task.last_status) if task.last_status in LIFECYCLE else 0
    return rank, task.desired_status != "RUNNING"
