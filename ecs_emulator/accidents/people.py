"""Somebody else: what other people and the platform do to a service while one looks on.

All of it at once, as of now; `world.at(seconds, lambda w: ...)` and `world.after_call(...)` choose
the instant.
"""

from collections.abc import Callable

from ecs_emulator.accidents.mishaps import Accidents
from ecs_emulator.engine.autoscaling import Limits, ScheduledAction
from ecs_emulator.engine.stopping import StopOrder
from ecs_emulator.neighbours.tables import Item
from ecs_emulator.state.model import Task
from ecs_emulator.state.task_state import StopCause, StopKind

THIRD_PARTY = "third party"


class ThirdParty(Accidents):
    """A world in which other people are at work, too."""

    def set_desired_count(self, cluster: str, service: str, desired_count: int) -> None:
        """Have somebody set the desired count, whatever the scaling limits say."""
        self.move_desired_count(self.service(cluster, service), desired_count, THIRD_PARTY)

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
        self.autoscaling.register(self.service(cluster, service), limits)

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
        target = self.service(cluster, service)
        return self.autoscaling.schedule_action(target, self.started_at + at, limits)

    def put_load(self, cluster: str, service: str, wanted_count: int) -> None:
        """Let a scaling policy find that the load wants this many tasks; it acts once, now."""
        self.autoscaling.follow_load(self.service(cluster, service), wanted_count)

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
            if self.service(cluster, service).status == "ACTIVE":
                self.put_load(cluster, service, wanted_count(self.elapsed))
                self.schedule(self.now + every, act)

        self.schedule(self.now + every, act)

    def stop_task(self, task: Task | str, reason: str = "Task stopped by user") -> None:
        """Have somebody stop a task, as StopTask does."""
        self.stop_on_request(self._task(task), StopCause(kind=StopKind.THIRD_PARTY), reason)

    def rebalance(self, cluster: str, service: str, task: Task | str | None = None) -> Task | None:
        """Let ECS move a task (by default the oldest) to another zone; return the new one."""
        moved = self.service(cluster, service)
        victim = self._task(task) if task else moved.active_tasks[0]
        return self.scheduler.rebalance(moved, victim)

    def delete_service(self, cluster: str, service: str) -> None:
        """Delete a service: DRAINING while its tasks stop, INACTIVE when they are gone."""
        deleted = self.service(cluster, service)
        self.move_desired_count(deleted, 0, THIRD_PARTY)
        self.change_service(deleted, status="DRAINING")
        self.wake(deleted)

    def protect_task(self, task: Task | str, minutes: float = 120.0) -> None:
        """Have somebody put a task under scale-in protection from now on."""
        self.change_task(self._task(task), protected_until=self.now + minutes * 60)

    def unprotect_task(self, task: Task | str) -> None:
        """Have somebody clear a task's scale-in protection."""
        self.change_task(self._task(task), protected_until=None)

    def put_item(self, table: str, item: Item) -> None:
        """Have somebody write a whole item (of plain Python values) into a DynamoDB table."""
        self.tables.put(table, item)

    def stop_on_request(self, task: Task, cause: StopCause, reason: str) -> None:
        """Stop a task as StopTask does: replaced by the scheduler, drained if the knob says so."""
        order = StopOrder(
            cause=cause,
            code="UserInitiated",
            reason=reason,
            drains=task.service.knobs.drains_on_stop,
        )
        self.lifecycle.stop(task, order)
