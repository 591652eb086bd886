"""The one that waits: reads the service until something holds, and logs meanwhile what is awaited.

``Polls`` knows what is read each time, ``rhythm`` when. Here it is decided what that means for the
run: go on waiting, go on with the run, or end it.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from ecs_task_recycle.aws.gateway import Gateway
from ecs_task_recycle.clock import HEARTBEAT_SECONDS, Clock, as_utc
from ecs_task_recycle.errors import AwsCallError, StepTimeoutError
from ecs_task_recycle.model import Service
from ecs_task_recycle.outcome import Interference, OutOfTime
from ecs_task_recycle.task import Seen
from ecs_task_recycle.watch.failed_starts import FailedStarts, placement_in_question
from ecs_task_recycle.watch.in_service import Snapshot
from ecs_task_recycle.watch.memory import ServiceMemory
from ecs_task_recycle.watch.messages import MAKE_ROOM
from ecs_task_recycle.watch.polls import Polls
from ecs_task_recycle.watch.reads import Doubt
from ecs_task_recycle.watch.rhythm import FAR_SECONDS, seconds_to_next_read
from ecs_task_recycle.watch.timeline import Timeline

LOG_SECONDS: Final = HEARTBEAT_SECONDS - 1.5 * FAR_SECONDS
"""After so long the next read logs a line, so that there is one at least once a minute."""

BLIND_SECONDS: Final = 60.0
"""After so long without a read nobody can say that what was awaited has not come."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """One thing to wait for.

    ``began`` (epoch seconds) is when it began where an earlier invocation has waited, too; the
    time-out is for the whole of it. ``deadline_at`` (epoch seconds) is the run's own limit:
    reaching it is no error. ``is_guarded``: failed starts and interference end the wait.
    ``is_fresh``: it has to hold in reads that are seconds old at most. ``remedy`` is what to do if
    it takes too long, ``room_remedy`` if AWS has no room for one more task.
    """

    awaited: str
    timeout_seconds: float
    began: float | None = None
    deadline_at: float = math.inf
    remedy: str = ""
    room_remedy: str = MAKE_ROOM
    is_guarded: bool = True
    is_fresh: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedService:
    """What the service has to look like for the run to go on."""

    deployment_id: str
    required_in_service: int

    def interference(self, service: Service) -> str | None:
        """Return what somebody else did that ends the run, or None."""
        if service.status != "ACTIVE":
            return f"the service is {service.status}"
        ids = [deployment.id for deployment in service.deployments]
        if not ids:
            return "the service's deployment was removed"
        if ids != [self.deployment_id]:
            return f"a deployment started: {', '.join(ids)}"
        if service.deployments[0].rollout_state == "FAILED":
            return "the deployment failed, so ECS starts no more tasks"
        if service.desired_count < self.required_in_service:
            return (
                f"somebody set the desired count to {service.desired_count}, "
                f"{self.required_in_service} are needed to go on"
            )
        return None

    def is_superseded(self, service: Service) -> bool:
        """Whether a later deployment than the expected one is shown, as no outdated read can.

        The most recent one is PRIMARY.
        https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Deployment.html
        """
        return any(
            deployment.id == self.deployment_id and deployment.status != "PRIMARY"
            for deployment in service.deployments
        )


class ProgressLine(Protocol):
    """How far the run is, for the log lines of a wait."""

    def suffix(self) -> str:
        """Return it as the end of a sentence."""
        ...

    def facts(self) -> Mapping[str, object]:
        """Return it as fields of a log record."""
        ...


class Watch:
    """Reads one service for one run, and remembers over the whole run."""

    def __init__(self, gateway: Gateway, clock: Clock, progress_line: ProgressLine) -> None:
        """Take the gateway of the service; nothing is called yet."""
        self._clock = clock
        self._progress_line = progress_line
        now_at = as_utc(clock.now())
        self.memory = ServiceMemory(now_at)
        self.failed_starts = FailedStarts(run_started_at=now_at, since_at=now_at)
        self.timeline = Timeline()
        self._polls = Polls(gateway, clock, self.memory)
        self._expected: ExpectedService | None = None
        self._doubt = Doubt(written=clock.now())
        self._stopped_by_run: set[str] = set()
        self._problem: AwsCallError | None = None
        self._last_read = clock.now()

    def resume(self, run_started_at: datetime, seen: Seen, stopped_arns: Iterable[str]) -> None:
        """Remember what an earlier invocation of the run has seen, and the tasks it stopped."""
        self.memory.run_started_at = self.failed_starts.run_started_at = run_started_at
        self.failed_starts.served_new_arns |= set(seen.served_new_arns)
        self.failed_starts.failed_new_tasks |= {task.arn: task for task in seen.failed_new_tasks}
        self.timeline = Timeline(seen.in_service)
        self.memory.checks_health |= seen.checks_health
        for arn in stopped_arns:
            self.stopped(arn)

    def seen(self) -> Seen:
        """Return what an invocation that goes on with the run has to know."""
        return Seen(
            served_new_arns=tuple(self.failed_starts.served_new_arns),
            failed_new_tasks=tuple(self.failed_starts.failed_new_tasks.values()),
            in_service=self.timeline.points,
            checks_health=self.memory.checks_health,
        )

    # -- what the run does itself ----------------------------------------------------------------

    def expect(self, expected: ExpectedService) -> None:
        """Let guarded waits end when the service no longer looks like this."""
        self._expected = expected

    def wrote(self, service: Service) -> None:
        """Take in the answer to a write of this run: for a while reads may be older than that."""
        self._doubt.wrote(self._clock.now())
        self.memory.learn_service(service)

    @property
    def last_write(self) -> float:
        """When this run, or the invocation before this one, may have written last (epoch s)."""
        return self._doubt.written or self._clock.now()

    def stopped(self, arn: str) -> None:
        """Count a task out from the instant at which the run stops it."""
        self._stopped_by_run.add(arn)
        self.memory.count_out(arn)
        self._extend_timeline()

    def still_stopping(self) -> dict[str, str]:
        """Return the lastStatus of each task that the run has stopped and that is not STOPPED yet.

        A task whose host or agent is lost may never be. Raises AwsCallError.
        """
        stopping = sorted(self._stopped_by_run - self.memory.stopped)
        self._polls.read_tasks(stopping)
        memory = self.memory
        return {
            arn: memory.tasks[arn].last_status
            for arn in stopping
            if arn in memory.tasks and arn not in memory.stopped
        }

    # -- reading ---------------------------------------------------------------------------------

    def refresh(self, *, lists: bool = False, known: Service | None = None) -> Snapshot:
        """Read the service, all its tasks and their targets, and return what they show.

        ``lists``: read the list of its tasks even if none is lacking. ``known``: the service, if it
        was read just now. Raises AwsCallError.
        """
        self._polls.read_everything(lists=lists, known=known)
        self._extend_timeline()
        return self.memory.snapshot()

    def _extend_timeline(self) -> None:
        """Go on with the line of tasks in service, once the run has begun to change something."""
        if self._expected is not None:
            seconds = self._clock.now() - self.memory.run_started_at.timestamp()
            self.timeline.add(seconds, self.memory.in_service_count())

    # -- waiting ---------------------------------------------------------------------------------

    def until[T](self, condition: Callable[[Snapshot], T | None], wait: Wait) -> T:
        """Read until the condition returns a value, and return it.

        Reads that fail for a moment are repeated. Raises Interference for what somebody else did,
        OutOfTime at the run's own deadline, ReplacementError after the third failed start or when
        time runs out after a failed one, AwsCallError when it runs out while nothing can be read,
        else StepTimeoutError, and whatever the condition raises.
        """
        logged = self._clock.now()
        started = logged if wait.began is None else wait.began
        self.failed_starts.begin(as_utc(started), room_remedy=wait.room_remedy)
        if not self._polls.is_fresh:
            self._poll(reads_all=True)
        while True:
            value = self._judge(condition, wait)
            if value is not None and (not wait.is_fresh or self._polls.is_fresh):
                return value
            elapsed = self._clock.now() - started
            self._require_time(wait, elapsed)
            if self._clock.now() - logged >= LOG_SECONDS:
                logged = self._clock.now()
                self._log_wait(wait, elapsed)
            if value is None or self._problem:
                self._clock.sleep(self._seconds_to_next_read(wait, elapsed))
            self._poll(reads_all=value is not None or self._polls.is_due)

    def _poll(self, *, reads_all: bool) -> None:
        """Read; a read that fails for a moment is logged, and does not end the wait."""
        self._problem = None
        try:
            if reads_all:
                self._polls.read_everything()
            else:
                self._polls.read_what_matters()
            self._last_read = self._clock.now()
            self._extend_timeline()
        except AwsCallError as error:
            if not error.transient:
                raise
            text = "Could not read the service, trying again: %s"
            logger.warning(text, error, extra=dict(error.facts))
            self._problem = error

    def _judge[T](self, condition: Callable[[Snapshot], T | None], wait: Wait) -> T | None:
        if self.memory.service is None:
            return None
        snapshot = self.memory.snapshot()
        if not wait.is_guarded or self._expected is None:
            return condition(snapshot)
        reason = self._expected.interference(snapshot.service)
        # Reads may have failed since: what counts is when this was read.
        self._doubt.saw(self._polls.service_read, differs=reason is not None)
        if reason is not None:
            if self._doubt.is_over() or self._expected.is_superseded(snapshot.service):
                raise Interference(reason)
            return None
        room_since_at = self.memory.all_stopped_at(self._stopped_by_run)
        self.failed_starts.learn(snapshot, self.memory.new_tasks, room_since_at=room_since_at)
        self.failed_starts.require_few(as_utc(self._clock.now()))
        return condition(snapshot)

    def _seconds_to_next_read(self, wait: Wait, elapsed: float) -> float:
        now = self._clock.now()
        remaining = min(wait.timeout_seconds - elapsed, wait.deadline_at - now)
        # What somebody else does meanwhile is not to wait for a whole beat after that, too.
        doubted = self._doubt.seconds_left(now) or math.inf
        pause_seconds = seconds_to_next_read(self.memory, now, waited_seconds=elapsed)
        return max(0.0, min(remaining, doubted, pause_seconds))

    def _require_time(self, wait: Wait, elapsed: float) -> None:
        """Raise what ends a wait that has taken too long."""
        is_late = elapsed >= wait.timeout_seconds
        if not is_late and self._clock.now() < wait.deadline_at:
            return
        problem = self._problem
        is_blind = self._blind_seconds >= min(BLIND_SECONDS, elapsed / 2)
        if problem is not None and is_blind and wait.is_guarded:
            raise self._blind_error(problem, wait, is_late=is_late)
        seen = self._last_seen()
        if not is_late:
            if self.memory.has_all_in_service:
                text = f"time ran short while waiting for {wait.awaited}; last seen: {seen}"
                raise OutOfTime(text)
            raise OutOfTime(
                f"not all tasks are in service while waiting for {wait.awaited}; last seen: {seen}"
            )
        timeout = StepTimeoutError(
            f"Waited {elapsed:.0f} s for {wait.awaited}; last seen: {seen}.",
            remedy=self._remedy(wait),
            awaited=wait.awaited,
            last_seen=seen,
        )
        if wait.is_guarded and self.failed_starts.cause() is not None:
            raise self.failed_starts.error(as_utc(self._clock.now())) from timeout
        raise timeout

    @property
    def _blind_seconds(self) -> float:
        """For how long nothing could be read."""
        return self._clock.now() - self._last_read

    def _blind_error(self, problem: AwsCallError, wait: Wait, *, is_late: bool) -> Exception:
        """Return what ends a wait of which nobody can say whether it is over."""
        seconds, awaited, cause = self._blind_seconds, wait.awaited, problem.sentence.rstrip(".")
        if not is_late:
            return OutOfTime(
                f"the service could not be read for {seconds:.0f} s while waiting for {awaited}; "
                f"{cause}"
            )
        return problem.after(
            f"The service could not be read for {seconds:.0f} s while waiting for {awaited}."
        )

    def _remedy(self, wait: Wait) -> str:
        """Return what to do where time ran out and no start has failed."""
        if self.memory.service is None:
            return wait.remedy
        placement = placement_in_question(self.memory.snapshot())
        if placement is None:
            return wait.remedy
        return f"{self.failed_starts.unplaced_remedy(placement)}."

    def _last_seen(self) -> str:
        if self.memory.service is None:
            seen = "nothing yet"
        else:
            snapshot = self.memory.snapshot()
            said = self.failed_starts.reasons(snapshot)
            seen = "; AWS said: ".join([snapshot.describe(), *said])
        return f"{seen}, then {self._problem.sentence.rstrip('.')}" if self._problem else seen

    def _log_wait(self, wait: Wait, elapsed: float) -> None:
        seen, line = self._last_seen(), self._progress_line
        facts = {"awaited": wait.awaited, "seconds": round(elapsed), "seen": seen, **line.facts()}
        text = "Waiting for %s for %d s%s: %s"
        logger.info(text, wait.awaited, elapsed, line.suffix(), seen, extra=facts)
