"""How a task comes and goes: PROVISIONING to RUNNING, and from the stop to STOPPED.

The states and their order:
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-lifecycle-explanation.html
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ecs_emulator.knobs import FailingStart, Seconds, StartFailure
from ecs_emulator.model import (
    Deployment,
    Placement,
    Service,
    StopCause,
    StopKind,
    Task,
    TaskState,
)
from ecs_emulator.timeline import Timeline

if TYPE_CHECKING:
    from ecs_emulator.core import Core


@dataclass(frozen=True, slots=True, kw_only=True)
class StopOrder:
    """How a task is to stop.

    `drains`: its targets are deregistered, and the delay is waited for, before the containers get
    their signal. `exited`: the containers are gone already.
    """

    cause: StopCause
    code: str
    reason: str
    drains: bool = True
    exited: bool = False
    exit_code: int | None = 0


class LifeCycle:
    """Takes tasks from one state to the next, each at its drawn instant."""

    def __init__(self, world: "Core") -> None:
        self._world = world

    def launch(self, service: Service, deployment: Deployment, placement: Placement) -> Task:
        """Start a task: it begins to go through its states at once."""
        service.launch_count += 1
        launch = service.launch_count
        state = TaskState(
            last_status="PROVISIONING" if service.awsvpc else "PENDING",
            targets=(None,) * len(service.target_groups),
        )
        timeline = Timeline(self._world.now, state)
        task = self._admit(service, deployment, placement, timeline)
        task.launch = launch
        failing = service.failing_deployments.get(deployment.id)
        for other in service.knobs.failing_starts:
            failing = failing or (other if other.hits(launch) else None)
        task.failing = failing
        if service.awsvpc:
            self._later(task, "provisioning", service.knobs.provisioning, self._pending)
        else:
            self._pending(task)
        return task

    def settle(
        self, service: Service, deployment: Deployment, placement: Placement, started_at: float
    ) -> Task:
        """Add a task that has been in service since long before the world's start."""
        state = TaskState(
            last_status="RUNNING",
            health="HEALTHY" if service.container_health else "UNKNOWN",
            targets=("healthy",) * len(service.target_groups),
            pull_started_at=started_at - 12,
            pull_stopped_at=started_at - 4,
            started_at=started_at,
        )
        return self._admit(service, deployment, placement, Timeline(started_at - 20, state))

    def stop(self, task: Task, order: StopOrder) -> None:
        """Make the task stop; a task that is stopping already goes on as it was."""
        if not task.active:
            return
        was = task.last_status
        task.stop_cause = order.cause
        task.journey += 1
        self._change(
            task,
            desired_status="STOPPED",
            stopping_at=self._world.now,
            stop_code=order.code,
            stopped_reason=order.reason,
        )
        self._world.scheduler.noticed_stop(task, was)
        if order.exited:
            self._containers_gone(task, order)
        else:
            self._later(
                task, "stop_reaction", task.service.knobs.stop_reaction, self._begin_stop, order
            )

    def crash(self, task: Task, *, exit_code: int, cause: StopCause) -> None:
        """Let the task's essential container exit by itself."""
        order = StopOrder(
            cause=cause,
            code="EssentialContainerExited",
            reason="Essential container in task exited",
            exited=True,
            exit_code=exit_code,
        )
        self.stop(task, order)

    def find_unhealthy(self, task: Task, *, by_container: bool = False) -> None:
        """Let the task's health checks fail from now on."""
        if not task.active:
            return
        registered = any(target is not None for target in task.targets)
        if registered and not by_container:
            self._set_targets(task, "unhealthy")
        else:
            self._change(task, health="UNHEALTHY")

    def _admit(
        self,
        service: Service,
        deployment: Deployment,
        placement: Placement,
        timeline: Timeline[TaskState],
    ) -> Task:
        number = len(service.tasks) + 1
        task_id = f"{service.dice.generator('task id', number).getrandbits(128):032x}"
        task = Task(
            service=service,
            arn=f"{service.cluster.arn.replace(':cluster/', ':task/')}/{task_id}",
            number=number,
            deployment=deployment,
            placement=placement,
            timeline=timeline,
        )
        self._world.admit(task)
        return task

    # -- coming -----------------------------------------------------------------------------

    def _pending(self, task: Task) -> None:
        self._change(task, last_status="PENDING", pull_started_at=self._world.now)
        failing = task.failing
        if failing is not None and failing.kind == StartFailure.NEVER_RUNNING:
            self._later(task, "failing", failing.after_seconds, self._fail_to_start, failing)
        else:
            self._later(task, "pending", task.service.knobs.pending, self._activating)

    def _activating(self, task: Task) -> None:
        if not task.service.target_groups:
            self._change(task, pull_stopped_at=self._world.now)
            self._running(task)
            return
        self._change(task, last_status="ACTIVATING", pull_stopped_at=self._world.now)
        self._set_targets(task, "initial")
        self._tell_targets(task, "registered")
        knobs = task.service.knobs
        self._later(task, "activating", knobs.activating, self._running)
        if self._fails_checks(task):
            return
        for group in task.service.target_groups:
            self._later(
                task,
                f"target_health/{group.index}",
                knobs.target_health_delay,
                self._target_healthy,
                group.index,
            )

    def _fails_checks(self, task: Task) -> bool:
        failing = task.failing
        if failing is None or failing.kind != StartFailure.UNHEALTHY:
            return False
        self._later(task, "failing", failing.after_seconds, self.find_unhealthy)
        return True

    def _target_healthy(self, task: Task, index: int) -> None:
        targets = list(task.targets)
        if targets[index] == "initial":
            targets[index] = "healthy"
            self._change(task, targets=tuple(targets))

    def _running(self, task: Task) -> None:
        self._change(task, last_status="RUNNING", started_at=self._world.now)
        service, failing = task.service, task.failing
        if failing is not None and failing.kind == StartFailure.EXITS:
            self._later(task, "failing", failing.after_seconds, self._exit, failing)
        if not service.target_groups and self._fails_checks(task):
            return
        if service.container_health:
            delay = service.knobs.container_health_delay
            delay = service.knobs.container_health_default if delay is None else delay
            self._later(task, "container_health", delay, self._healthy)

    def _healthy(self, task: Task) -> None:
        if task.health == "UNKNOWN":
            self._change(task, health="HEALTHY")

    def _exit(self, task: Task, failing: FailingStart) -> None:
        cause = StopCause(kind=StopKind.FAILED_START)
        self.crash(task, exit_code=failing.exit_code, cause=cause)

    def _fail_to_start(self, task: Task, failing: FailingStart) -> None:
        order = StopOrder(
            cause=StopCause(kind=StopKind.FAILED_START),
            code=failing.stop_code,
            reason=failing.stopped_reason,
            exited=True,
            exit_code=None,
        )
        self.stop(task, order)

    # -- going ------------------------------------------------------------------------------

    def _begin_stop(self, task: Task, order: StopOrder) -> None:
        if task.last_status == "PROVISIONING":
            self._containers_gone(task, order)
        elif order.drains and any(task.targets):
            self._change(task, last_status="DEACTIVATING")
            self._set_targets(task, "draining")
            self._world.tell(task.service, "has begun draining connections on 1 tasks.")
            self._later(task, "drain", task.service.knobs.drain, self._drained, order)
        else:
            self._signal(task, order)
            self._deregister_aside(task)

    def _tell_targets(self, task: Task, verb: str) -> None:
        for group in task.service.target_groups:
            self._world.tell(task.service, f"{verb} 1 targets in (target-group {group.arn})")

    def _drained(self, task: Task, order: StopOrder) -> None:
        self._change(task, targets=(None,) * len(task.targets))
        self._signal(task, order)

    def _signal(self, task: Task, order: StopOrder) -> None:
        self._change(task, last_status="STOPPING")
        self._later(task, "stop_time", task.service.knobs.stop_time, self._containers_gone, order)

    def _containers_gone(self, task: Task, order: StopOrder) -> None:
        started = task.state.pull_stopped_at is not None
        self._change(
            task,
            execution_stopped_at=self._world.now if started else None,
            exit_code=order.exit_code if started else None,
        )
        self._deregister_aside(task)
        if task.service.awsvpc:
            self._change(task, last_status="DEPROVISIONING")
            self._later(task, "deprovision", task.service.knobs.deprovision, self._stopped)
        else:
            self._stopped(task)

    def _deregister_aside(self, task: Task) -> None:
        """Let the targets drain by themselves, while the task's end goes on regardless."""
        if any(target not in {None, "draining"} for target in task.targets):
            self._set_targets(task, "draining")
            self._later(task, "drain", task.service.knobs.drain, self._forget_targets)

    def _forget_targets(self, task: Task) -> None:
        self._change(task, targets=(None,) * len(task.targets))

    def _stopped(self, task: Task) -> None:
        self._change(task, last_status="STOPPED", stopped_at=self._world.now)

    # -- both -------------------------------------------------------------------------------

    def _set_targets(self, task: Task, state: str) -> None:
        self._change(task, targets=(state,) * len(task.targets))
        if state == "draining":
            self._tell_targets(task, "deregistered")

    def _change(self, task: Task, **changes: Any) -> None:  # noqa: ANN401  TaskState's members
        self._world.change_task(task, **changes)

    def _later(
        self,
        task: Task,
        phase: str,
        span: Seconds,
        step: Callable[..., None],
        *details: object,
    ) -> None:
        """Go on with `step` when the phase's drawn time is over, unless a stop intervened."""
        seconds = task.service.dice.seconds(span, _luck(task), phase)
        journey = task.journey

        def go_on() -> None:
            if task.journey == journey:
                step(task, *details)

        self._world.schedule(self._world.now + seconds, go_on)


def _luck(task: Task) -> str:
    return f"launch {task.launch}" if task.launch else f"settled {task.number}"
