"""What a run knows of itself, from its start to its end. What it answers is made from it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from ecs_task_recycle.errors import RecycleError
from ecs_task_recycle.model import (
    CapacityReport,
    InServicePoint,
    Plan,
    Protection,
    ScaleUp,
    TaskOutcome,
    TaskResult,
)
from ecs_task_recycle.outcome import Ended, Status
from ecs_task_recycle.record.record import Memory, RunRecord
from ecs_task_recycle.task import Task, with_exit
from ecs_task_recycle.watch.watch import Seen


@dataclass(slots=True, kw_only=True)
class Progress:
    """The state of a run.

    ``results`` holds the tasks that were stopped or are gone, in their order, ``protected`` those
    that are waited for or spared; ``in_service`` is how many were in service and when;
    ``seconds_to_start`` is what the extra task took; ``to_restore`` is what is raised; ``segments``
    invocations have worked on it. ``ended`` is its outcome, ``errors`` are what made it fail, the
    first one first.
    """

    started_at: datetime
    plan: Plan | None = None
    results: dict[str, TaskResult] = field(default_factory=dict)
    protected: dict[str, Protection] = field(default_factory=dict)
    new_task_arns: set[str] = field(default_factory=set)
    deaths: list[Task] = field(default_factory=list)
    raised_at: datetime | None = None
    seconds_to_start: float | None = None
    segments: int = 1
    in_service: tuple[InServicePoint, ...] = ()
    to_restore: ScaleUp | None = None
    capacity: CapacityReport | None = None
    ended: Ended | None = None
    errors: list[Exception] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    finished_at: datetime | None = None

    @property
    def seconds_to_replace(self) -> list[float]:
        """What the replaced tasks took, in their order."""
        taken = (each.seconds_to_replace for each in self.results.values())
        return [seconds for seconds in taken if seconds is not None]

    @property
    def spared_out_of_service(self) -> frozenset[str]:
        """The protected originals that were not in service when the run began.

        Nobody waits for them: they may never be, and their protection forbids to replace them.
        """
        originals = () if self.plan is None else self.plan.originals
        lacking = {task.arn for task in originals if task.not_in_service is not None}
        return frozenset(lacking & self.protected.keys())

    @property
    def recycled_count(self) -> int:
        """How many originals are replaced, those included that were gone before."""
        gone_count = 0 if self.plan is None else len(self.plan.gone)
        return gone_count + sum(each.is_recycled for each in self.results.values())

    @property
    def has_work(self) -> bool:
        """Whether a task of the work list is yet to be stopped."""
        originals = () if self.plan is None else self.plan.originals
        return any(task.arn not in self.results for task in originals)

    @property
    def awaits_extra_task(self) -> bool:
        """Whether the extra task is yet to come into service."""
        adds_task = self.plan is not None and self.plan.scale_up is not None
        return adds_task and self.seconds_to_start is None and not self.results

    @property
    def in_hand(self) -> TaskResult | None:
        """The task that was stopped and is not replaced yet."""
        last = next(reversed(self.results.values()), None)
        return last if last is not None and last.outcome is TaskOutcome.STOPPED else None

    @property
    def seen(self) -> Seen:
        """What the watch of an earlier invocation has seen."""
        return Seen(
            served_new_arns=frozenset(self.new_task_arns),
            failed_new_tasks=tuple(self.deaths),
            in_service=self.in_service,
            checks_health=self.plan is not None and self.plan.checks_health,
        )

    @property
    def error(self) -> Exception | None:
        """What made the run fail, the last thing first."""
        return self.errors[-1] if self.errors else None

    @property
    def status(self) -> Status:
        """The outcome; a run that has not ended would be a failure."""
        return Status.FAILED if self.errors or self.ended is None else self.ended.status

    @property
    def reason(self) -> str | None:
        """Why, in sentences."""
        if self.errors:
            *earlier, last = self.errors
            before = (f"Before that: {error}" for error in reversed(earlier))
            return " ".join([sentence_of(last), *before, *self.notes])
        reason = None if self.ended is None else self.ended.reason
        return ". ".join(filter(None, (reason, *self.notes))) or None

    def as_memory(self) -> Memory | None:
        """Return what another invocation needs to go on."""
        if self.plan is None:
            return None
        return Memory(
            plan=self.plan,
            results=tuple(self.results.values()),
            protected=tuple(self.protected.values()),
            new_task_arns=tuple(self.new_task_arns),
            deaths=tuple(self.deaths),
            raised_at=self.raised_at,
            seconds_to_start=self.seconds_to_start,
            in_service=self.in_service,
        )

    @classmethod
    def from_record(cls, record: RunRecord) -> Progress:
        """Return what an earlier invocation of the same run knew."""
        memory = record.memory
        if memory is None:
            return cls(started_at=record.run_started_at)
        return cls(
            started_at=record.run_started_at,
            plan=memory.plan,
            results={each.task_arn: each for each in memory.results},
            protected={each.task_arn: each for each in memory.protected},
            new_task_arns=set(memory.new_task_arns),
            deaths=list(memory.deaths),
            raised_at=memory.raised_at,
            seconds_to_start=memory.seconds_to_start,
            in_service=memory.in_service,
            to_restore=record.scale_up,
            segments=record.segments,
        )

    def note_departures(self, stopped_tasks: Iterable[Task]) -> None:
        """Take in what the reads have shown of tasks that are STOPPED by now."""
        for task in stopped_tasks:
            result = self.results.get(task.arn)
            if result is not None:
                self.results[task.arn] = with_exit(result, task)

    def end(self, how: Exception) -> None:
        """Note how the run ended: by an outcome, or by one more error."""
        if isinstance(how, Ended):
            self.ended = how
            return
        if self.errors:
            how.__cause__ = self.errors[-1]
        self.errors.append(how)


def sentence_of(error: Exception) -> str:
    """Return what an error says, its remedy left out."""
    return error.sentence if isinstance(error, RecycleError) else repr(error)
