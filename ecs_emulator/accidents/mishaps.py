"""What happens to tasks without anybody's wish: hosts that fail or drain, checks, lost agents."""

from dataclasses import dataclass
from enum import StrEnum

from ecs_emulator.engine.lifecycle import LifeCycle
from ecs_emulator.engine.stopping import StopOrder
from ecs_emulator.ground.errors import EmulatorError
from ecs_emulator.state.ledger import Ledger
from ecs_emulator.state.model import Task
from ecs_emulator.state.task_state import StopCause, StopKind

HANGING = ("RUNNING", "DEACTIVATING", "STOPPING")
COMING = ("PROVISIONING", "PENDING", "ACTIVATING")


class Interruption(StrEnum):
    """Why the platform takes a task away."""

    INSTANCE_DRAINING = "instance draining"
    SPOT = "spot"
    SPOT_NOTICE = "spot notice"
    HOST_TERMINATED = "host terminated"
    HOST_STOPPED = "host stopped"
    MAINTENANCE = "maintenance"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Story:
    """What a task says of its interruption; `sudden`: its containers are gone at once."""

    code: str
    reason: str
    sudden: bool = False


STORIES = {
    # https://github.com/aws/containers-roadmap/issues/2478
    Interruption.INSTANCE_DRAINING: _Story(
        code="ServiceSchedulerInitiated", reason="Task stopped during instance draining"
    ),
    # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-capacity-providers.html
    Interruption.SPOT: _Story(code="SpotInterruption", reason="Your Spot Task was interrupted."),
    Interruption.SPOT_NOTICE: _Story(
        code="TerminationNotice", reason="Your Spot Task was interrupted."
    ),
    # https://repost.aws/knowledge-center/ecs-task-stopped
    Interruption.HOST_TERMINATED: _Story(
        code="TerminationNotice", reason="Host EC2 (instance {instance}) terminated.", sudden=True
    ),
    Interruption.HOST_STOPPED: _Story(
        code="TerminationNotice", reason="Host EC2 (instance {instance}) stopped.", sudden=True
    ),
    # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-maintenance.html
    Interruption.MAINTENANCE: _Story(
        code="InfrastructureHealth",
        reason="ECS is performing maintenance on the underlying infrastructure hosting the task.",
    ),
}


class Mishaps:
    """Lets things go wrong by themselves. All of it at once, as of now."""

    def __init__(self, ledger: Ledger, lifecycle: LifeCycle) -> None:
        self._ledger = ledger
        self._lifecycle = lifecycle

    def crash_task(self, task: Task | str, exit_code: int = 137) -> None:
        """Let a task's essential container exit by itself."""
        cause = StopCause(kind=StopKind.CRASH)
        self._lifecycle.crash(self._ledger.task(task), exit_code=exit_code, cause=cause)

    def interrupt_task(self, task: Task | str, by: Interruption | str) -> None:
        """Have the platform take a task away: its instance drains or fails, Spot wants it back."""
        taken = self._ledger.task(task)
        story = STORIES[Interruption(by)]
        instance = taken.placement.instance
        order = StopOrder(
            cause=StopCause(kind=StopKind.INTERRUPTION),
            code=story.code,
            reason=story.reason.format(instance=instance and instance.ec2_instance_id),
            drains=taken.service.knobs.drains_on_stop,
            exited=story.sudden,
            exit_code=None if story.sudden else 0,
        )
        self._lifecycle.stop(taken, order)

    def hang_task(self, task: Task | str, in_status: str = "STOPPING") -> None:
        """Let a task, once it is to stop, stay in this lastStatus for ever: its agent is lost.

        RUNNING, DEACTIVATING (a task that does not drain hangs in STOPPING) or STOPPING.
        https://github.com/aws/containers-roadmap/issues/2040
        """
        if in_status not in HANGING:
            raise EmulatorError(f"No task hangs in {in_status}; say one of {HANGING}.")
        self._ledger.task(task).hangs_in = in_status

    def hold_task(self, task: Task | str, last_status: str = "PENDING") -> None:
        """Put a task back to before RUNNING, where it stays until it is stopped."""
        if last_status not in COMING:
            raise EmulatorError(f"No task is held in {last_status}; say one of {COMING}.")
        held = self._ledger.task(task)
        held.journey += 1
        self._ledger.change_task(
            held,
            last_status=last_status,
            health="UNKNOWN",
            targets=(None,) * len(held.targets),
            pull_started_at=None if last_status == "PROVISIONING" else held.state.pull_started_at,
            pull_stopped_at=held.state.pull_stopped_at if last_status == "ACTIVATING" else None,
            started_at=None,
        )

    def make_unhealthy(self, task: Task | str, *, by_container: bool = False) -> None:
        """Let a task's health checks fail: the target group's if it has one, or the container's."""
        self._lifecycle.find_unhealthy(self._ledger.task(task), by_container=by_container)

    def forget_health(self, task: Task | str) -> None:
        """Let nothing be known of a task's container health: UNKNOWN, though it has checks."""
        self._ledger.change_task(self._ledger.task(task), health="UNKNOWN")

    def add_service_event(self, cluster: str, service: str, message: str) -> None:
        """Write a line into a service's event log; texts: see service_events."""
        self._ledger.tell(self._ledger.service(cluster, service), message)
