"""Which tasks an event asks for: those started before an instant, or exactly those it names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from ecs_task_recycle.aws.gateway import Gateway
from ecs_task_recycle.model import Original
from ecs_task_recycle.settings.event import Settings
from ecs_task_recycle.settings.parameters import Action, IfRunning
from ecs_task_recycle.settings.values import NamedTask
from ecs_task_recycle.steps.work_list import (
    created_before,
    original,
    originals,
    sorted_originals,
)
from ecs_task_recycle.task import Task
from ecs_task_recycle.watch.in_service import Snapshot, short


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The work list. ``gone`` are named tasks that have stopped already: they are replaced.

    ``refusals`` are why named tasks cannot be meant.
    """

    originals: tuple[Original, ...]
    gone: tuple[Original, ...] = ()
    refusals: tuple[str, ...] = ()


def select(
    gateway: Gateway, snapshot: Snapshot, settings: Settings, run_started_at: datetime
) -> Selection:
    """Return the tasks that an event asks for, as they are now. Raises AwsCallError.

    A request that may be queued gets the same whether a run is in progress or not.
    """
    if settings.tasks and settings.action is Action.RECYCLE:
        return _named(gateway, snapshot, settings.tasks)
    before_at = settings.started_before_at(run_started_at)
    if settings.if_running is IfRunning.QUEUE:
        return Selection(originals=created_before(snapshot, before_at))
    return Selection(originals=originals(snapshot, before_at, run_started_at))


def _named(gateway: Gateway, snapshot: Snapshot, names: Iterable[NamedTask]) -> Selection:
    """Find each named task: among the service's, or among those that ECS still describes.

    That is an hour long after a task has stopped. A task that is neither is not known.
    https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeTasks.html
    """
    by_id = {name.id: name for name in names}
    known = {short(arn): task for arn, task in snapshot.tasks.items()}
    known |= _described(gateway, by_id.keys() - known.keys())
    refusals = [
        reason for name in by_id.values() if (reason := _refusal(gateway, name, known)) is not None
    ]
    found = [known[task_id] for task_id in by_id if task_id in known]
    live = [task for task in found if _is_live(task, snapshot)]
    return Selection(
        originals=sorted_originals(original(task, snapshot) for task in live),
        gone=tuple(original(task, snapshot) for task in found if task not in live),
        refusals=tuple(refusals),
    )


def _described(gateway: Gateway, ids: Iterable[str]) -> dict[str, Task]:
    return {short(arn): task for arn, task in gateway.tasks(sorted(ids)).items()}


def _is_live(task: Task, snapshot: Snapshot) -> bool:
    return task.is_meant_to_run and task.arn not in snapshot.leaving


def _refusal(gateway: Gateway, name: NamedTask, known: Mapping[str, Task]) -> str | None:
    """Return why a named task cannot be meant, None if it is one of the service's."""
    task = known.get(name.id)
    if task is None:
        return f"it has no task {name.id}, nor has it had one in the last hour"
    if task.group != gateway.task_group:
        return f"task {name.id} is not one of its tasks but of {task.group or 'no service'}"
    _, _, _, region, account, _ = task.arn.split(":", maxsplit=5)
    if (name.region or region, name.account or account) != (region, account):
        return f"task {name.id} is named as one of account {name.account} in {name.region}"
    return None
