"""The one that waits: reads the service until something holds, and says meanwhile what is awaited.

A wait asks only the question that is open: for the new task's name, then for its state, then for
its targets' health, one call at a time, closely once it can be in service. Whatever else may
happen (a deployment, a task that dies) is read at a slower beat.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from ecs_task_recycle.aws.gateway import DESCRIBE_TASKS_LIMIT, Gateway
from ecs_task_recycle.clock import HEARTBEAT_SECONDS, Clock, as_utc
from ecs_task_recycle.errors import AwsCallError, StepTimeoutError
from ecs_task_recycle.model import Service
from ecs_task_recycle.outcome import Interference, OutOfTime
from ecs_task_recycle.record.estimate import Estimate, facts, suffix
from ecs_task_recycle.record.record import Checkpoint
from ecs_task_recycle.watch.failed_starts import FailedStarts
from ecs_task_recycle.watch.in_service import Snapshot
from ecs_task_recycle.watch.interference import Guard
from ecs_task_recycle.watch.memory import ServiceMemory
from ecs_task_recycle.watch.reads import CONSISTENCY_SECONDS
from ecs_task_recycle.watch.timeline import Timeline
from ecs_task_recycle.watch.wait import IDLE_SECONDS, SLOWEST_SECONDS, Wait, delay_seconds

BEAT_SECONDS: Final = 15.0
"""How old a read may get of what is not in question: the service's deployments, other tasks."""
SLOW_BEAT_SECONDS: Final = 60.0
"""Likewise of other tasks while a new one is far from serving, and of the list where events do."""
FRESH_SECONDS: Final = 5.0

logger = logging.getLogger(__name__)


class ServiceWatch:
    """Polls one service for one run, and remembers over the whole run."""

    def __init__(self, gateway: Gateway, clock: Clock) -> None:
        """Take the gateway of the service; nothing is called yet."""
        self._estimate: Callable[[], Estimate | None] = lambda: None
        self._gateway = gateway
        self._clock = clock
        now_at = as_utc(clock.now())
        self.memory = ServiceMemory(now_at)
        self.failed_starts = FailedStarts(run_started_at=now_at, since_at=now_at)
        self.timeline = Timeline()
        self._guard: Guard | None = None
        self._problem: str | None = None
        self._stopped_by_run: set[str] = set()
        self._written = clock.now()
        # When each was read last; the list: when it last had nothing new to tell.
        self._service_read = self._tasks_read = self._listed = self._everything_read = -math.inf

    def tell_progress_by(self, estimate: Callable[[], Estimate | None]) -> None:
        """Let log lines say how far the run is."""
        self._estimate = estimate

    def resume(self, run_started_at: datetime, known: Checkpoint) -> None:
        """Remember what an earlier invocation of the same run has seen."""
        self.memory.run_started_at = self.failed_starts.run_started_at = run_started_at
        self.failed_starts.new_arns |= set(known.served_new_arns)
        self.failed_starts.deaths |= {task.arn: task for task in known.failed_new_tasks}
        self.timeline = Timeline(known.in_service)
        self.memory.checks_health |= known.checks_health
        for result in known.results:
            if result.stopped_at is not None:
                self.stopped(result.task_arn)

    # -- what the run does itself ----------------------------------------------------------------

    def guard(self, guard: Guard) -> None:
        """Let guarded waits end when the service no longer looks like this."""
        self._guard = guard

    def wrote(self, service: Service) -> None:
        """Take in the answer to a write of this run: for a while reads may be older than that."""
        self._written = self._clock.now()
        self.memory.learn_service(service)

    def stopped(self, arn: str) -> None:
        """Count a task out from the instant at which the run stops it."""
        self._stopped_by_run.add(arn)
        self.memory.mark_stopped(arn)
        self._note_count()

    def still_stopping(self) -> dict[str, str]:
        """Return the tasks that the run has stopped and that have not left yet: their lastStatus.

        One whose host or agent is lost may never be STOPPED. Raises AwsCallError.
        """
        stopping = sorted(self._stopped_by_run - self.memory.left)
        self._read_tasks(stopping)
        left, known = self.memory.left, self.memory.tasks
        return {arn: known[arn].last_status for arn in stopping if arn in known and arn not in left}

    # -- reading ---------------------------------------------------------------------------------

    def refresh(self, *, lists: bool = False, known: Service | None = None) -> Snapshot:
        """Read the service, all its tasks and their targets, and return what is seen.

        ``lists``: ask for the list of its tasks even where none is missing. ``known``: the service,
        if it was read just now.
        """
        memory = self.memory
        self._read_service(known)
        if lists or not memory.tasks or memory.lacks_tasks:
            self._list()
        self._listed = self._clock.now()
        # The targets first: a task is never taken for unreached only because they are not read yet.
        self._read_targets()
        self._read_tasks(memory.worth_reading(memory.live_arns, len(memory.live_arns) + 100))
        self._everything_read = self._clock.now()
        return self._seen()

    def _ask(self, next_seconds: float) -> Snapshot:
        """Read what is in question, and what would be too old at the next poll.

        A new task's name is in the service's events, or else in the list.
        """
        memory, now = self.memory, self._clock.now()
        due = now - BEAT_SECONDS + next_seconds
        if memory.lacks_tasks or self._service_read <= due:
            self._read_service()
        listing_due = now - SLOW_BEAT_SECONDS if memory.events_name_tasks else due
        if memory.lacks_tasks and self._listed <= listing_due:
            self._list()
        is_far = memory.coming_seconds(now) is not None and not memory.unreached
        others_due = now - SLOW_BEAT_SECONDS if is_far else due
        in_question = memory.in_question(now)
        if in_question or (self._tasks_read <= others_due and not memory.unread):
            self._read_tasks(memory.worth_reading(in_question, DESCRIBE_TASKS_LIMIT))
        if memory.may_be_reached(now):
            self._read_targets()
        return self._seen()

    def _read_service(self, known: Service | None = None) -> None:
        service = known or self._gateway.service()
        if service is None:
            raise AwsCallError.of("ecs:DescribeServices", "MISSING", "the service is not there")
        self._service_read = self._clock.now()
        self.memory.learn_service(service)

    def _list(self) -> None:
        self.memory.learn_arns(self._gateway.task_arns())
        self._listed = self._clock.now()

    def _read_tasks(self, arns: Sequence[str]) -> None:
        if arns:
            service = self.memory.service
            has_targets = service is not None and bool(service.load_balancers)
            tasks = self._gateway.tasks(arns, with_instances=has_targets)
            self.memory.learn_tasks(arns, tasks, self._clock.now())
        self._tasks_read = self._clock.now()

    def _read_targets(self) -> None:
        service = self.memory.service
        if service is not None and service.load_balancers:
            targets = self._gateway.targets(service.load_balancers)
            self.memory.learn_targets(targets, self._clock.now())

    def _seen(self) -> Snapshot:
        self._note_count()
        return self.memory.snapshot()

    def _note_count(self) -> None:
        """Go on with the line of tasks in service, once the run has begun to change something."""
        if self._guard is not None:
            seconds = self._clock.now() - self.memory.run_started_at.timestamp()
            self.timeline.add(seconds, self.memory.in_service_count())

    # -- waiting ---------------------------------------------------------------------------------

    def until[T](self, condition: Callable[[Snapshot], T | None], wait: Wait) -> T:
        """Poll until the condition returns a value, and return it.

        Reads that fail for a moment are repeated. Raises Interference for what somebody else did,
        OutOfTime at the run's own deadline, ReplacementError after the third failed start or when
        time runs out after a failed one, else StepTimeoutError, and whatever the condition raises.
        """
        started = spoken = self._clock.now()
        self.failed_starts.begin(as_utc(started))
        if not self._is_fresh():
            self._poll(reads_all=True)
        while True:
            verdict = self._judge(condition, wait)
            if verdict is not None and (not wait.is_fresh or self._is_fresh()):
                return verdict
            elapsed = self._clock.now() - started
            self._require_time(wait, elapsed)
            if self._clock.now() - spoken >= HEARTBEAT_SECONDS - IDLE_SECONDS:
                spoken = self._clock.now()
                self._log_wait(wait, elapsed)
            if verdict is None or self._problem:
                self._clock.sleep(self._delay_seconds(wait, elapsed))
            next_seconds = self._next_seconds(self._clock.now() - started)
            reads_all = verdict is not None or self.memory.service is None
            self._poll(reads_all=reads_all, next_seconds=next_seconds)

    def _is_fresh(self) -> bool:
        return self._clock.now() - self._everything_read <= FRESH_SECONDS

    def _poll(self, *, reads_all: bool, next_seconds: float = 0.0) -> None:
        """Read; a read that fails for a moment is a problem to be told, not one to end for."""
        self._problem = None
        try:
            if reads_all:
                self.refresh()
            else:
                self._ask(next_seconds)
        except AwsCallError as error:
            if not error.transient:
                raise
            text = "Could not read the service, trying again: %s"
            logger.warning(text, error, extra=dict(error.facts))
            self._problem = error.sentence

    def _last_seen(self) -> str:
        seen = self.memory.snapshot().describe() if self.memory.service else "nothing yet"
        if self.failed_starts.unknown:
            seen = f"{seen}; AWS said: {self.failed_starts.unknown[-1].rstrip('.')}"
        return f"{seen}, then {self._problem}" if self._problem else seen

    def _judge[T](self, condition: Callable[[Snapshot], T | None], wait: Wait) -> T | None:
        if self.memory.service is None:
            return None
        snapshot = self.memory.snapshot()
        if not wait.is_guarded or self._guard is None:
            return condition(snapshot)
        reason = self._guard.interference(snapshot.service)
        if reason is not None:
            if self._clock.now() - self._written >= CONSISTENCY_SECONDS:
                raise Interference(reason)
            self._service_read = -math.inf
            return None
        room_since_at = self.memory.all_left_at(self._stopped_by_run)
        self.failed_starts.learn(snapshot, self.memory.new_tasks, room_since_at=room_since_at)
        self.failed_starts.require_few()
        return condition(snapshot)

    def _require_time(self, wait: Wait, elapsed: float) -> None:
        is_late = elapsed >= wait.timeout_seconds
        if not is_late and self._clock.now() < wait.deadline_at:
            return
        seen = self._last_seen()
        if not is_late:
            if self.memory.has_all_in_service:
                raise OutOfTime(
                    f"time ran short while waiting for {wait.awaited}; last seen: {seen}"
                )
            raise OutOfTime(
                f"not all tasks are in service while waiting for {wait.awaited}; last seen: {seen}"
            )
        timeout = StepTimeoutError(
            f"Waited {wait.timeout_seconds:g} s for {wait.awaited}; last seen: {seen}.",
            remedy="If the tasks only need longer, raise stabilize_timeout.",
            awaited=wait.awaited,
            last_seen=seen,
        )
        if wait.is_guarded and self.failed_starts.cause() is not None:
            raise self.failed_starts.error() from timeout
        raise timeout

    def _delay_seconds(self, wait: Wait, elapsed: float) -> float:
        left = min(wait.timeout_seconds - elapsed, wait.deadline_at - self._clock.now())
        return max(0.0, min(left, self._next_seconds(elapsed)))

    def _next_seconds(self, elapsed: float) -> float:
        """Return how long to wait for the next poll, ``elapsed`` seconds after the wait began.

        What counts is how far the new task is: as long as it has no name, it is far from serving.
        """
        memory = self.memory
        coming = memory.coming_seconds(self._clock.now())
        passed, shortest = coming if coming and any(coming) else (elapsed, 0.0)
        seconds = delay_seconds(passed, shortest)
        if not memory.is_starting:
            return seconds
        # Its targets are yet to become healthy: that is what is polled for closely.
        return max(seconds, SLOWEST_SECONDS, min(IDLE_SECONDS, memory.start_times.half_reach))

    def _log_wait(self, wait: Wait, elapsed: float) -> None:
        seen = self._last_seen()
        logger.info(
            "Waiting for %s for %d s%s: %s",
            wait.awaited,
            elapsed,
            suffix(self._estimate()),
            seen,
            extra={
                "awaited": wait.awaited,
                "seconds": round(elapsed),
                "seen": seen,
                **facts(self._estimate()),
            },
        )
