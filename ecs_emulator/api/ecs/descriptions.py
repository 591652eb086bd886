"""What all descriptions share: the members of ECS's own shapes, as JSON has them."""

from collections.abc import Sequence
from typing import Any

from ecs_emulator.state.model import Task
from ecs_emulator.state.task_state import TaskState

type Description = dict[str, Any]

COMING = ("PROVISIONING", "PENDING", "ACTIVATING")
CONTAINER_NAME = "app"
IMAGE = "registry.invalid/app:1"
SUBNET = "subnet-0emulated"
SECURITY_GROUP = "sg-0emulated"


class Known(dict[str, Any]):
    """A description that is kept and shown again; `checked` once the wire has found it right."""

    checked = False


def count_of(tasks: Sequence[tuple[Task, TaskState]], *last_statuses: str) -> int:
    """Count the tasks with one of these last statuses; those that are to stop if the knob says so.

    Without them: https://github.com/reproio/ecs_deploy/pull/50
    """
    return sum(
        state.last_status in last_statuses
        and (state.desired_status == "RUNNING" or task.service.knobs.counts_stopping_tasks)
        for task, state in tasks
    )


def instant(at: float | None) -> float | None:
    """ECS gives milliseconds."""
    return None if at is None else round(at, 3)


def given(members: Description) -> Description:
    """Return the members that have a value."""
    return {name: value for name, value in members.items() if value is not None}
