"""What a run knows of itself, from its start to its end. What it answers is made from it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from ecs_task_recycle.errors import RecycleError
from ecs_task_recycle.model import (
    CapacityReport,
    InServicePoint,
    Original,
    Plan,
    Protection,
    ScaleUp,
    Selection,
    TaskOutcome,
    TaskResult,
)
from ecs_task_recycle.outcome import Ended, Status
from ecs_task_recycle.task import Task, with_exit


@dataclass(frozen=True, slots=True, kw_only=True)
class Interrupted:
    """A run that has died, whose capacity this one has put back, or would."""

    run_id: str
    selection: Selection


@dataclass(slots=True, kw_only=True)
class Progress:
    """The state of a run.

    ``plan`` is that of the request in hand, ``earlier`` the tasks of those served before.
    ``results`` holds the tasks that were stopped or are gone, in their order, ``protected`` those
    that are waited for or spared. ``scale_up`` is what is raised, since ``raised_since_at`` by this
    run or an interrupted one; ``raised_at`` is when the extra task began to be awaited, and
    ``seconds_to_start`` what it took. ``segments`` invocations have worked on the run; at
    ``opens_at`` its window opens, for which it waits; since ``restoring_since_at`` the capacity is
    being put back.

    The rest is for the answer alone: ``in_service`` is how many were in service and when,
    ``oldest_started_at`` when the oldest task in service at the end had started,
    ``allowed_actions`` are the IAM actions that a dry run has tried. ``ended`` is the outcome,
    ``errors`` are what made the run fail, the first one first.
    """

    started_at: datetime
    plan: Plan | None = None
    earlier: tuple[Original, ...] = ()
    results: dict[str, TaskResult] = field(default_factory=dict)
    protected: dict[str, Protection] = field(default_factory=dict)
    scale_up: ScaleUp | None = None
    raised_since_at: datetime | None = None
    raised_at: datetime | None = None
    seconds_to_start: float | None = None
    segments: int = 1
    opens_at: datetime | None = None
    restoring_since_at: datetime | None = None
    interrupted: Interrupted | None = None
    in_service: tuple[InServicePoint, ...] = ()
    oldest_started_at: datetime | None = None
    allowed_actions: tuple[str, ...] = ()
    capacity: CapacityReport | None = None
    ended: Ended | None = None
    errors: list[Exception] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    finished_at: datetime | None = None

    def begin(self, plan: Plan) -> None:
        """Take up a request: the event's own, or one that was queued meanwhile."""
        if self.plan is not None:
            self.earlier = self.tasks
            plan = replace(plan, gone=(*self.plan.gone, *plan.gone))
        self.plan = plan
        self.protected = {}

    def put_back(self, capacity: CapacityReport) -> None:
        """Note that nothing is raised any more."""
        self.capacity = capacity
        self.scale_up = self.raised_since_at = self.raised_at = self.seconds_to_start = None
        self.restoring_since_at = None

    @property
    def planned(self) -> Plan:
        """The plan of a run that has one."""
        if self.plan is None:
            raise AssertionError("the run has no plan yet")
        return self.plan

    @property
    def tasks(self) -> tuple[Original, ...]:
        """The work list: the tasks of every request so far, each once."""
        current = () if self.plan is None else self.plan.originals
        return tuple({task.arn: task for task in (*self.earlier, *current)}.values())

    @property
    def required_in_service(self) -> int:
        """How many have to be in service for the next one to be stopped, that one included."""
        return (self.scale_up.written if self.scale_up else self.planned.found).desired_count

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
        lacking = {task.arn for task in self.tasks if task.not_in_service is not None}
        return frozenset(lacking & self.protected.keys())

    @property
    def recycled_count(self) -> int:
        """How many originals are replaced, those included that were gone before."""
        gone_count = 0 if self.plan is None else len(self.plan.gone)
        return gone_count + sum(each.is_recycled for each in self.results.values())

    @property
    def waiting_arns(self) -> set[str]:
        """The tasks of the work list that are yet to be stopped."""
        return {task.arn for task in self.tasks} - self.results.keys()

    @property
    def has_work(self) -> bool:
        """Whether a task of the work list is yet to be stopped."""
        return bool(self.waiting_arns)

    @property
    def awaits_extra_task(self) -> bool:
        """Whether the extra task is yet to come into service."""
        adds_task = self.plan is not None and self.plan.adds_task and self.has_work
        return adds_task and self.seconds_to_start is None

    @property
    def in_hand(self) -> TaskResult | None:
        """The task that was stopped and is not replaced yet."""
        last = next(reversed(self.results.values()), None)
        return last if last is not None and last.outcome is TaskOutcome.STOPPED else None

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

    def note_departures(self, stopped_tasks: Iterable[Task]) -> None:
        """Take in what the reads have shown of tasks that are STOPPED by now."""
        for task in stopped_tasks:
            result = self.results.get(task.arn)
            if result is not None:
                self.results[task.arn] = with_exit(result, task)

    def end(self, how: Exception) -> None:
        """Note how the run ended, once: by an outcome, or by one more error."""
        if isinstance(how, Ended):
            self.ended = how
        elif how not in self.errors:
            self.errors.append(how)


def sentence_of(error: Exception) -> str:
    """Return what an error says, its remedy left out."""
    return error.sentence if isinstance(error, RecycleError) else repr(error)
