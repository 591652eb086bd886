"""What all descriptions share: the members of ECS's own shapes, as JSON has them."""

from collections.abc import Sequence
from typing import Any

from ecs_emulator.state.model import Service, Task
from ecs_emulator.state.task_state import TaskState

type Description = dict[str, Any]

COMING = ("PROVISIONING", "PENDING", "ACTIVATING")
CONTAINER_NAME = "app"
IMAGE = "registry.invalid/app:1"
SUBNET = "subnet-0emulated"
SECURITY_GROUP = "sg-0emulated"
MANAGED_INSTANCES = "MANAGED_INSTANCES"
CAPACITY_PROVIDER = "managed"


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


def capacity_of(service: Service) -> Description:
    """Return where the tasks run: by a launch type, or by a capacity provider, never by both.

    https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_CreateService.html
    """
    if service.launch_type != MANAGED_INSTANCES:
        return {"launchType": service.launch_type}
    strategy = {"capacityProvider": CAPACITY_PROVIDER, "weight": 1, "base": 0}
    return {"capacityProviderStrategy": [strategy]}


def given(members: Description) -> Description:
    """Return the members that have a value."""
    return {name: value for name, value in members.items() if value is not None}
