"""Which tasks a request asks for, in which order: decided once, from one read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from ecs_task_recycle.aws.gateway import Gateway
from ecs_task_recycle.model import By, Original, Plan, Selection
from ecs_task_recycle.settings.event import Settings
from ecs_task_recycle.settings.parameters import IfRunning
from ecs_task_recycle.settings.values import HoursTag, NamedTask
from ecs_task_recycle.task import Task
from ecs_task_recycle.watch.in_service import Snapshot, short

STUCK_MARGIN: Final = timedelta(seconds=60)
STUCK_WITHOUT_MEASURE: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """The tasks of a request. ``gone`` are named ones that have stopped already: replaced.

    ``refusals`` are why named tasks cannot be meant.
    """

    originals: tuple[Original, ...]
    gone: tuple[Original, ...] = ()
    refusals: tuple[str, ...] = ()


def selection_of(
    settings: Settings, run_started_at: datetime, tags: Mapping[str, str]
) -> Selection:
    """Return which tasks an event asks for; ``tags`` are the service's, where it goes by one.

    A request that may be queued gets the same whether a run is in progress or not: by creation.
    Raises PreconditionError where the tag does not say what it has to.
    """
    if settings.tasks:
        return Selection(before_at=run_started_at, by=By.NAMES)
    queues = settings.if_running is IfRunning.QUEUE
    before_at = settings.started_before_at(run_started_at, tags)
    return Selection(before_at=before_at, by=By.CREATION if queues else By.START)


def select(
    gateway: Gateway,
    snapshot: Snapshot,
    selection: Selection,
    *,
    names: Iterable[NamedTask],
    now_at: datetime,
) -> Selected:
    """Return the tasks that are asked for, as they are now. Raises AwsCallError."""
    match selection.by:
        case By.NAMES:
            return _named(gateway, snapshot, names)
        case By.CREATION:
            return Selected(originals=_created_before(snapshot, selection.before_at))
        case By.START:
            return Selected(originals=_started_before(snapshot, selection.before_at, now_at))


def tags_for(gateway: Gateway, settings: Settings) -> Mapping[str, str]:
    """Return the service's tags if the event goes by one of them. Raises AwsCallError."""
    if not isinstance(settings.older_than_hours, HoursTag):
        return {}
    service = gateway.service("TAGS")
    return {} if service is None else service.tags


def why_nothing_to_do(plan: Plan) -> str | None:
    """Return why there is nothing to recycle, None if there is something."""
    if not plan.found.desired_count:
        return "the desired count is 0"
    if not plan.originals and plan.selection.by is By.NAMES:
        return "none of the named tasks is running any more"
    if not plan.originals:
        return f"no task was started before {plan.selection.before_at.isoformat()}"
    if not plan.would_be_recycled:
        return "all tasks are under scale-in protection"
    return None


# -- by instant ------------------------------------------------------------------------------------


def _started_before(
    snapshot: Snapshot, started_before_at: datetime, now_at: datetime
) -> tuple[Original, ...]:
    """Return the tasks started before an instant: those not in service first, then the oldest.

    Stopping a task that is not in service costs nothing. A task that has not started yet is none
    of them, unless it was created before that instant and is stuck: ``startedAt`` is the instant of
    its transition to RUNNING.
    https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Task.html
    """
    live = _live(snapshot)
    stuck_since_at = now_at - _longest_start(live)
    return _sorted(
        _original(task, snapshot)
        for task in live
        if (began_at := _began(task, stuck_since_at)) is not None and began_at < started_before_at
    )


def _created_before(snapshot: Snapshot, instant_at: datetime) -> tuple[Original, ...]:
    """Return the tasks created before an instant, those that are still starting among them.

    Such a task may have read its secrets before the instant, though it is RUNNING after it.
    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/secrets-envvar-secrets-manager.html
    """
    return _sorted(
        _original(task, snapshot)
        for task in _live(snapshot)
        if (began_at := task.created_at or task.started_at) is not None and began_at < instant_at
    )


def _live(snapshot: Snapshot) -> list[Task]:
    tasks = ((arn, task) for arn, task in snapshot.tasks.items() if task.is_meant_to_run)
    return [task for arn, task in tasks if arn not in snapshot.leaving]


def _original(task: Task, snapshot: Snapshot) -> Original:
    return Original(
        arn=task.arn,
        created_at=task.created_at,
        started_at=task.started_at,
        not_in_service=snapshot.not_in_service.get(task.arn),
        zone=task.zone,
    )


def _sorted(tasks: Iterable[Original]) -> tuple[Original, ...]:
    """Return tasks in the order of their turns: those not in service first, then the oldest."""
    return tuple(sorted(tasks, key=_order))


def _began(task: Task, stuck_since_at: datetime) -> datetime | None:
    """Return when a task was started, or created if it is stuck before that."""
    if task.started_at is not None or task.created_at is None:
        return task.started_at
    return task.created_at if task.created_at < stuck_since_at else None


def _longest_start(tasks: Iterable[Task]) -> timedelta:
    """Return how long a task may take to RUNNING, by what the others took, before it is stuck."""
    taken = [
        task.started_at - task.created_at for task in tasks if task.started_at and task.created_at
    ]
    return 2 * max(taken) + STUCK_MARGIN if taken else STUCK_WITHOUT_MEASURE


def _order(task: Original) -> tuple[bool, datetime, str]:
    began_at = task.started_at or task.created_at
    return task.not_in_service is None, began_at or datetime.max.replace(tzinfo=UTC), task.arn


# -- by name ---------------------------------------------------------------------------------------


def _named(gateway: Gateway, snapshot: Snapshot, names: Iterable[NamedTask]) -> Selected:
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
    live = [task for task in found if task.is_meant_to_run and task.arn not in snapshot.leaving]
    return Selected(
        originals=_sorted(_original(task, snapshot) for task in live),
        gone=tuple(_original(task, snapshot) for task in found if task not in live),
        refusals=tuple(refusals),
    )


def _described(gateway: Gateway, ids: Iterable[str]) -> dict[str, Task]:
    return {short(arn): task for arn, task in gateway.tasks(sorted(ids)).items()}


def _refusal(gateway: Gateway, name: NamedTask, known: Mapping[str, Task]) -> str | None:
    """Return why a named task cannot be meant, None if it is one of the service's."""
    task = known.get(name.id)
    if task is None:
        return f"it has no task {name.id}, nor has it had one in the last hour"
    if task.group != gateway.task_group:
        return f"task {name.id} is not one of its tasks but of {task.group or 'no service'}"
    if name.region is not None and task.arn.split(":")[:5] != name.arn_head:
        text = "task {} is named as one of account {} in {}, partition {}"
        return text.format(name.id, name.account, name.region, name.partition)
    return None
