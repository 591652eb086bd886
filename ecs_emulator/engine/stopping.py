"""How a task goes: from the stop to STOPPED, its targets draining before or beside it.

The states and their order:
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-lifecycle-explanation.html
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ecs_emulator.ground.knobs import Seconds
from ecs_emulator.ground.simulation import Simulation
from ecs_emulator.state.ledger import Ledger
from ecs_emulator.state.model import Task
from ecs_emulator.state.task_state import StopCause


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


class Stopping:
    """Takes tasks that are to stop from one state to the next."""

    def __init__(self, time: Simulation, ledger: Ledger) -> None:
        self._time = time
        self._ledger = ledger

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
            stopping_at=self._time.now,
            stop_code=order.code,
            stopped_reason=order.reason,
        )
        self._ledger.watcher.noticed_stop(task, was)
        if order.exited:
            self._containers_gone(task, order)
        else:
            self._later(
                task, "stop_reaction", task.service.knobs.stop_reaction, self._begin_stop, order
            )

    def stop_on_request(self, task: Task, cause: StopCause, reason: str) -> None:
        """Stop a task as StopTask does: replaced by the scheduler, drained if the knob says so."""
        order = StopOrder(
            cause=cause,
            code="UserInitiated",
            reason=reason,
            drains=task.service.knobs.drains_on_stop,
        )
        self.stop(task, order)

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

    def _begin_stop(self, task: Task, order: StopOrder) -> None:
        if task.hangs_in == "RUNNING":
            return
        if task.last_status == "PROVISIONING":
            self._containers_gone(task, order)
        elif order.drains and any(task.targets):
            self._change(task, last_status="DEACTIVATING")
            self._set_targets(task, "draining")
            self._ledger.tell(task.service, "has begun draining connections on 1 tasks.")
            if task.hangs_in != "DEACTIVATING":
                self._later(task, "drain", task.service.knobs.drain, self._drained, order)
        else:
            self._signal(task, order)
            if not task.service.knobs.deregisters_after_exit:
                self._deregister_aside(task)

    def _tell_targets(self, task: Task, verb: str) -> None:
        for group in task.service.target_groups:
            self._ledger.tell(task.service, f"{verb} 1 targets in (target-group {group.arn})")

    def _drained(self, task: Task, order: StopOrder) -> None:
        self._change(task, targets=(None,) * len(task.targets))
        self._signal(task, order)

    def _signal(self, task: Task, order: StopOrder) -> None:
        self._change(task, last_status="STOPPING")
        if task.hangs_in is None:
            self._later(task, "stop_time", task.service.knobs.stop_time, self._exited, order)
            limit = task.service.knobs.stop_timeout
            self._later(task, "stop_timeout", limit, self._killed, order)

    def _exited(self, task: Task, order: StopOrder) -> None:
        if task.last_status == "STOPPING":
            self._containers_gone(task, order)

    def _killed(self, task: Task, order: StopOrder) -> None:
        """End what has not stopped by itself by SIGKILL, 128 + 9.

        https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_StopTask.html
        """
        if task.last_status == "STOPPING":
            self._containers_gone(task, replace(order, exit_code=137))

    def _containers_gone(self, task: Task, order: StopOrder) -> None:
        started = task.state.pull_stopped_at is not None
        self._change(
            task,
            execution_stopped_at=self._time.now if started else None,
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
        self._change(task, last_status="STOPPED", stopped_at=self._time.now)

    # -- both -------------------------------------------------------------------------------

    def _set_targets(self, task: Task, state: str) -> None:
        """Let all the task's targets that are registered be in this state."""
        targets = tuple(target and state for target in task.targets)
        self._change(task, targets=targets, target_reason=None)
        if state == "draining":
            self._tell_targets(task, "deregistered")

    def _change(self, task: Task, **changes: Any) -> None:  # noqa: ANN401  TaskState's members
        self._ledger.change_task(task, **changes)

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

        self._time.schedule(self._time.now + seconds, go_on)


def _luck(task: Task) -> str:
    return f"launch {task.launch}" if task.launch else f"settled {task.number}"
