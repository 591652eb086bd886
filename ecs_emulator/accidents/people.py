"""Somebody else: what other people and the platform do to a service while one looks on.

All of it at once, as of now; `world.at(seconds, lambda w: ...)` and `world.after_call(...)` choose
the instant.
"""

from collections.abc import Callable

from ecs_emulator.engine.autoscaling import AutoScaling, Limits, ScheduledAction
from ecs_emulator.engine.lifecycle import LifeCycle
from ecs_emulator.engine.scheduler import Scheduler
from ecs_emulator.ground.simulation import Simulation
from ecs_emulator.state.ledger import Ledger
from ecs_emulator.state.model import Task
from ecs_emulator.state.task_state import StopCause, StopKind

THIRD_PARTY = "third party"


class People:
    """Other people who are at work, too."""

    def __init__(
        self,
        time: Simulation,
        ledger: Ledger,
        *,
        lifecycle: LifeCycle,
        scheduler: Scheduler,
        autoscaling: AutoScaling,
    ) -> None:
        self._time = time
        self._ledger = ledger
        self._lifecycle = lifecycle
        self._scheduler = scheduler
        self._autoscaling = autoscaling

    def set_desired_count(self, cluster: str, service: str, desired_count: int) -> None:
        """Have somebody set the desired count, whatever the scaling limits say."""
        self._ledger.move_desired_count(
            self._ledger.service(cluster, service), desired_count, THIRD_PARTY
        )

    def set_limits(
        self,
        cluster: str,
        service: str,
        *,
        min_capacity: int | None = None,
        max_capacity: int | None = None,
    ) -> None:
        """Have somebody change the scaling limits; the clamp follows as for everybody."""
        limits = Limits(min_capacity=min_capacity, max_capacity=max_capacity)
        self._autoscaling.register(self._ledger.service(cluster, service), limits, THIRD_PARTY)

    def schedule_limits(
        self,
        cluster: str,
        service: str,
        at: float,
        *,
        min_capacity: int | None = None,
        max_capacity: int | None = None,
    ) -> ScheduledAction:
        """Have a scheduled action change the scaling limits, `at` seconds after the start."""
        limits = Limits(min_capacity=min_capacity, max_capacity=max_capacity)
        target = self._ledger.service(cluster, service)
        return self._autoscaling.schedule_action(target, self._time.started_at + at, limits)

    def put_load(self, cluster: str, service: str, wanted_count: int) -> None:
        """Let a scaling policy find that the load wants this many tasks; it acts once, now."""
        self._autoscaling.follow_load(self._ledger.service(cluster, service), wanted_count)

    def keep_load(
        self,
        cluster: str,
        service: str,
        wanted_count: Callable[[float], int],
        *,
        every: float = 60.0,
    ) -> None:
        """Let a policy act every `every` seconds on `wanted_count(seconds since the start)`."""

        def act() -> None:
            if self._ledger.service(cluster, service).status == "ACTIVE":
                self.put_load(cluster, service, wanted_count(self._time.elapsed))
                self._time.schedule(self._time.now + every, act)

        self._time.schedule(self._time.now + every, act)

    def stop_task(self, task: Task | str, reason: str = "Task stopped by user") -> None:
        """Have somebody stop a task, as StopTask does."""
        self._lifecycle.stop_on_request(
            self._ledger.task(task), StopCause(kind=StopKind.THIRD_PARTY), reason
        )

    def rebalance(self, cluster: str, service: str, task: Task | str | None = None) -> Task | None:
        """Let ECS move a task (by default the oldest) to another zone; return the new one."""
        moved = self._ledger.service(cluster, service)
        victim = self._ledger.task(task) if task else moved.active_tasks[0]
        return self._scheduler.rebalance(moved, victim)

    def delete_service(self, cluster: str, service: str) -> None:
        """Delete a service: DRAINING while its tasks stop, INACTIVE when they are gone."""
        deleted = self._ledger.service(cluster, service)
        self._ledger.move_desired_count(deleted, 0, THIRD_PARTY)
        self._ledger.change_service(deleted, status="DRAINING")
        self._ledger.wake(deleted)

    def protect_task(self, task: Task | str, minutes: float = 120.0) -> None:
        """Have somebody put a task under scale-in protection from now on."""
        self._ledger.change_task(
            self._ledger.task(task), protected_until=self._time.now + minutes * 60
        )

    def unprotect_task(self, task: Task | str) -> None:
        """Have somebody clear a task's scale-in protection."""
        self._ledger.change_task(self._ledger.task(task), protected_until=None)
