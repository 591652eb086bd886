"""How a stopped task went: how long it took to be STOPPED, and how its containers ended."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from ecs_task_recycle.model import TaskResult
from ecs_task_recycle.task import Task

KILLED: Final = 137
"""128 and the number of the signal, SIGKILL: the container was ended by force.

https://github.com/aws/agent-toolkit-for-aws/blob/main/skills/core-skills/aws-containers/references/ecs-troubleshooting-guide.md
"""

NOT_IN_TIME: Final = "did not stop in time: killed (SIGKILL) after its stopTimeout"
"""StopTask sends SIGTERM, and SIGKILL to what is still there after 30 s or the stopTimeout.

https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_StopTask.html
https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html
"""

OUT_OF_MEMORY: Final = "out of memory: killed (SIGKILL)"
"""What ECS calls an OutOfMemoryError in the container's reason.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/out-of-memory.html
"""


def with_departure(result: TaskResult, task: Task) -> TaskResult:
    """Return a result with what a read of its STOPPED task shows."""
    seconds_to_stop = None
    if result.stopped_at is not None and task.stopped_at is not None:
        seconds_to_stop = (task.stopped_at - result.stopped_at).total_seconds()
    by_run = result.stopped_at is not None
    exit_code = KILLED if KILLED in task.exit_codes else task.exit_code
    return replace(
        result,
        seconds_to_stop=None if seconds_to_stop is None else round(max(0.0, seconds_to_stop), 1),
        exit_code=exit_code,
        exit_verdict=_verdict(exit_code, task.container_reason, by_run=by_run),
    )


def _verdict(exit_code: int | None, reason: str | None, *, by_run: bool) -> str | None:
    """Return what an exit code means, where that is certain."""
    if exit_code != KILLED:
        return None
    if "OutOfMemory" in (reason or ""):
        return OUT_OF_MEMORY
    return NOT_IN_TIME if by_run else None
