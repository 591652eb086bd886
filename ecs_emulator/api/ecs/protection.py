"""Task scale-in protection: setting and reading it, with ECS's failures.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-scale-in-protection.html
"""

from collections.abc import Sequence
from typing import Any

from ecs_emulator.api.ecs.lookup import find_task, task_arn
from ecs_emulator.api.registry import Answer, Request, operation
from ecs_emulator.ground.errors import ApiError
from ecs_emulator.state.model import Cluster, Task
from ecs_emulator.state.task_state import TaskState
from ecs_emulator.world import World

READ_LIMIT, WRITTEN_LIMIT = 100, 10
SHORTEST_MINUTES, LONGEST_MINUTES, USUAL_MINUTES = 1, 2880, 120


@operation("ecs")
def get_task_protection(world: World, request: Request) -> Answer:
    """Read the protection of up to a hundred tasks, of the unprotected ones too."""
    cluster = world.ledger.cluster(request.parameters["cluster"])
    references = request.parameters.get("tasks") or []
    _refuse_count(references, READ_LIMIT)
    rows, failures = [], []
    for reference in references:
        task, failure = _service_task(world, cluster, reference, request.view_at)
        if task is None:
            failures.append(failure)
        else:
            rows.append(_row(task, task.timeline.at(request.view_at), request.view_at))
    return {"protectedTasks": rows, "failures": failures}


@operation("ecs", writes=True)
def update_task_protection(world: World, request: Request) -> Answer:
    """Set or clear the protection of up to ten tasks; setting it anew starts its time anew."""
    asked = request.parameters
    cluster = world.ledger.cluster(asked["cluster"])
    _refuse_count(asked["tasks"], WRITTEN_LIMIT)
    minutes = _minutes(asked.get("expiresInMinutes"))
    until = world.now + minutes * 60 if asked["protectionEnabled"] else None
    for reference in asked["tasks"]:
        _service_task(world, cluster, reference, world.now)  # all of them, or none is written
    rows, failures = [], []
    for reference in asked["tasks"]:
        row, failure = _protect(world, cluster, reference, until)
        if row is None:
            failures.append(failure)
        else:
            rows.append(row)
    return {"protectedTasks": rows, "failures": failures}


def _protect(
    world: World, cluster: Cluster, reference: str, until: float | None
) -> tuple[Answer | None, Answer]:
    task, failure = _service_task(world, cluster, reference, world.now)
    if task is None:
        return None, failure
    if until is not None and _blocks(world, task):
        return None, _failure(
            task.arn,
            "DEPLOYMENT_BLOCKED",
            "The service has more protected tasks than its desired count.",
        )
    world.ledger.change_task(task, protected_until=until)
    return _row(task, task.state, world.now), {}


def _blocks(world: World, task: Task) -> bool:
    """Tell whether protecting this task, too, makes more protected tasks than desired ones."""
    protected = [each for each in task.service.active_tasks if each.state.protected(world.now)]
    return len({*protected, task}) > task.service.desired_count


def _service_task(
    world: World, cluster: Cluster, reference: str, at: float
) -> tuple[Task | None, Answer]:
    task = find_task(world, cluster, reference, at)
    if task is None or task.timeline.at(at).last_status == "STOPPED":
        if world.knobs.protection_of_vanished_raises:
            raise ApiError("ResourceNotFoundException", "The specified task was not found.")
        return None, _failure(task_arn(world, cluster, reference), "MISSING")
    if task.timeline.at(at).desired_status == "STOPPED":
        return None, _failure(task.arn, "TASK_NOT_VALID", "The task is stopping.")
    return task, {}


def _failure(arn: str, reason: str, detail: str | None = None) -> Answer:
    return {"arn": arn, "reason": reason} | ({"detail": detail} if detail else {})


def _row(task: Task, state: TaskState, at: float) -> Answer:
    row: dict[str, Any] = {"taskArn": task.arn, "protectionEnabled": state.protected(at)}
    if state.protected(at) and state.protected_until is not None:
        row["expirationDate"] = round(state.protected_until, 3)
    return row


def _minutes(asked: int | None) -> int:
    if asked is None:
        return USUAL_MINUTES
    if not SHORTEST_MINUTES <= asked <= LONGEST_MINUTES:
        raise ApiError(
            "InvalidParameterException",
            f"expiresInMinutes must be between {SHORTEST_MINUTES} and {LONGEST_MINUTES}.",
        )
    return asked


def _refuse_count(references: Sequence[str], limit: int) -> None:
    if not references:
        raise ApiError("InvalidParameterException", "Tasks cannot be empty.")
    if len(references) > limit:
        raise ApiError("InvalidParameterException", f"taskIds can have at most {limit} items.")
