"""What a run says of itself: the body of the answer, and of the mail."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ecs_task_recycle.codec import Json, encode
from ecs_task_recycle.model import CapacityReport, Protection, Replacement, Status, Task, WorkList
from ecs_task_recycle.protection import in_order
from ecs_task_recycle.selection import quickest_start_seconds
from ecs_task_recycle.settings import Action, ProtectedTasks, Settings


@dataclass(slots=True, kw_only=True)
class Report:
    """The state of a run, from its start to its end."""

    settings: Settings
    run_id: str
    status: Status = Status.FAILED
    reason: str | None = None
    error: Exception | None = None
    work: WorkList | None = None
    replacements: list[Replacement] = field(default_factory=list)
    capacity: CapacityReport | None = None
    started_at: datetime | None = None
    started_before_at: datetime | None = None
    waiting: dict[str, Protection] = field(default_factory=dict)
    seconds_to_start: float | None = None
    finished_at: datetime | None = None
    is_interrupted: bool = False
    _decided: bool = False

    @property
    def is_decided(self) -> bool:
        """Whether the outcome is known."""
        return self._decided or self.error is not None

    def decide(self, status: Status, reason: str | None = None) -> None:
        """Set the outcome of a run that did not fail."""
        if self.error is None:
            self.status, self.reason, self._decided = status, reason, True

    @property
    def needed_work(self) -> WorkList:
        """The work list, where there must be one."""
        if self.work is None:
            raise AssertionError("there is no work before the service was read")
        return self.work

    @property
    def seconds_to_replace(self) -> list[float]:
        """What the replaced tasks took, in their order."""
        taken = (each.seconds_to_replace for each in self.replacements)
        return [seconds for seconds in taken if seconds is not None]

    @property
    def newcomer_arns(self) -> tuple[str, ...]:
        """The tasks that came into service during the run."""
        return tuple({arn for each in self.replacements for arn in each.newcomer_arns})

    def answer(self) -> dict[str, Any]:
        """Return the body of the answer: JSON, without any secret."""
        work = self.work
        body: dict[str, Any] = {
            "cluster": self.settings.cluster_name,
            "service": self.settings.service_name,
            "status": self.status.value,
            "reason": self.reason,
            "run_id": self.run_id,
            "tasks_recycled": sum(each.is_recycled for each in self.replacements),
            "tasks": self._tasks(),
            "skipped": self._skipped(),
            "remaining": self._remaining(),
            "original_desired_count": None if work is None else work.found.desired_count,
            "lowest_in_service": self._lowest_in_service(),
            "capacity": None if self.capacity is None else encode(self.capacity),
            "started_before": encode(self.started_before_at),
            "duration_seconds": self._duration_seconds(),
            "timestamp": encode(self.finished_at),
        }
        if self.status is Status.PLANNED and self.work is not None:
            body["at_least_seconds"] = self._at_least_seconds(self.work)
            body["permissions"] = list(self.work.actions)
        if self.error is not None:
            body |= {
                "error": type(self.error).__name__,
                "remedy": getattr(self.error, "remedy", ""),
            }
        return body

    def _tasks(self) -> list[Json]:
        if self.status is Status.PLANNED and self.work is not None:
            return [
                {"task": task.arn, "started_at": encode(task.started_at)} for task in self.planned
            ]
        return [
            {
                "task": each.task_arn,
                "replacement": each.replacement_arn,
                "started_at": encode(each.started_at),
                "stopped_at": encode(each.stopped_at),
                "seconds_to_replace": each.seconds_to_replace,
                "note": each.note,
            }
            for each in self.replacements
            if each.is_told
        ]

    @property
    def _spares_protected(self) -> bool:
        return (
            self.settings.action is Action.RECYCLE
            and self.settings.protected_tasks is not ProtectedTasks.STOP
        )

    @property
    def planned(self) -> list[Task]:
        """The tasks that a dry run says would be recycled."""
        work = self.needed_work
        skipped = {each.task_arn for each in work.protections}
        if self.settings.protected_tasks is not ProtectedTasks.SKIP:
            skipped = set()
        return [task for task in work.originals if task.arn not in skipped]

    def _skipped(self) -> list[Json]:
        """Return the protected tasks; where nothing was recycled, those of the work list."""
        waiting = in_order(self.waiting.values())
        if self.work is not None and not self.replacements and self._spares_protected:
            waiting = self.work.protections
        return [
            {"task": each.task_arn, "reason": each.reason, "until": encode(each.until_at)}
            for each in waiting
        ]

    def _remaining(self) -> list[Json]:
        if self.work is None:
            return []
        done = {each.task_arn for each in self.replacements if each.is_told}
        return [task.arn for task in self.work.originals if task.arn not in done]

    def _lowest_in_service(self) -> int | None:
        seen = [each.lowest_in_service for each in self.replacements]
        counts = [count for count in seen if count is not None]
        if self.work is not None:
            counts.append(self.work.in_service_count)
        return min(counts, default=None)

    def _duration_seconds(self) -> float | None:
        if self.started_at is None or self.finished_at is None:
            return None
        return round((self.finished_at - self.started_at).total_seconds(), 1)

    def _at_least_seconds(self, work: WorkList) -> int:
        """Return the sum of all waits and of the quickest start seen, surge included."""
        starts = len(work.originals) + int(self.settings.maintain_service_state)
        waits = len(work.originals) * self.settings.wait_time_seconds
        return round(starts * quickest_start_seconds(work.originals) + waits)
