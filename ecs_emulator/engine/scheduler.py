"""The service scheduler: keeps each service at its desired count, and rolls deployments.

A task that is to stop is replaced once it is STOPPED, or long before
(https://github.com/aws/containers-roadmap/issues/2171): both were seen, the knob
`replaces_after_stopped` decides. Each decision follows the change that caused it by the knob
`scheduler_interval`.
"""

from functools import partial

from ecs_emulator.engine.lifecycle import LifeCycle
from ecs_emulator.engine.placement import Placer
from ecs_emulator.engine.rebalancing import Rebalancing
from ecs_emulator.engine.rollout import Rollout, ceiling
from ecs_emulator.engine.staffing import Staffing
from ecs_emulator.ground.simulation import Simulation
from ecs_emulator.state.ledger import Ledger
from ecs_emulator.state.model import Service, Task
from ecs_emulator.state.task_state import StopKind, TaskState

SHORTEST_INTERVAL_SECONDS = 0.1
"""Lest a world in which everything takes no time goes round in circles at one instant."""


class Scheduler:
    """Decides which tasks start and stop. Keeps nothing itself: see SchedulerState."""

    def __init__(
        self, time: Simulation, ledger: Ledger, lifecycle: LifeCycle, placer: Placer
    ) -> None:
        self._time = time
        self._ledger = ledger
        self._staffing = Staffing(time, ledger, lifecycle, placer)
        self._rollout = Rollout(time, ledger, self._staffing)
        self._rebalancing = Rebalancing(time, ledger, self._staffing)
        self.rebalance = self._rebalancing.rebalance

    # -- being told -------------------------------------------------------------------------

    def wake(self, service: Service) -> None:
        """Have the scheduler look at a service, `scheduler_interval` from now."""
        if service.scheduler_state.reconcile_due:
            return
        service.scheduler_state.reconcile_due = True
        interval = service.knobs.scheduler_interval
        seconds = service.dice.seconds(interval, "scheduler", service.launch_count + 1)
        due = self._time.now + max(SHORTEST_INTERVAL_SECONDS, seconds)
        self._time.schedule(due, partial(self._reconcile, service))

    def noticed(self, task: Task, before: TaskState, after: TaskState) -> None:
        """Take note of any change of a task."""
        service = task.service
        newly_failing = after.failing_checks and not before.failing_checks
        if service.scheduler_state.unfinished or (newly_failing and task.active):
            self.wake(service)
        if newly_failing:
            self._look_after_grace(task)
        if after.last_status == "STOPPED" and before.last_status != "STOPPED":
            self._offer_room(service)
        if after.last_status == "RUNNING" and before.last_status != "RUNNING":
            service.scheduler_state.failed_in_a_row = 0
        if service.serves(after) and not service.serves(before):
            self._look_for_steady(service)

    def _look_after_grace(self, task: Task) -> None:
        ends_at = self._staffing.grace_ends_at(task)
        if ends_at > self._time.now:
            self._time.schedule(ends_at, partial(self.wake, task.service))

    def _offer_room(self, leaver: Service) -> None:
        for service in leaver.cluster.services.values():
            if service.scheduler_state.unfinished:
                self.wake(service)

    def noticed_stop(self, task: Task, was: str) -> None:
        """Take note of a task that is to stop; `was` is its lastStatus until now."""
        service = task.service
        service.scheduler_state.steady = False
        self.wake(service)
        kind = task.stop_cause.kind if task.stop_cause else None
        failed = kind in {StopKind.FAILED_START, StopKind.UNHEALTHY}
        if failed and was != "RUNNING":
            self._staffing.throttle(service)
        if failed:
            self._rollout.count_failure(service, task)

    # -- deciding ---------------------------------------------------------------------------

    def _reconcile(self, service: Service) -> None:
        service.scheduler_state.reconcile_due = False
        service.scheduler_state.unfinished = False
        if service.status == "INACTIVE":
            return
        if service.status == "DRAINING":
            self._empty(service)
        elif service.daemon:
            self._fill_instances(service)
        elif len(service.state.deployments) > 1:
            self._rollout.roll(service)
        else:
            self._hold(service)
        self._look_for_steady(service)

    def _empty(self, service: Service) -> None:
        """Let a service that is being deleted run out."""
        self._staffing.stop(service, service.active_tasks, StopKind.DELETION)
        service.scheduler_state.unfinished = True
        if all(task.last_status == "STOPPED" for task in service.present):
            self._ledger.change_service(service, status="INACTIVE")
            service.scheduler_state.unfinished = False

    def _fill_instances(self, service: Service) -> None:
        """Run one task on each instance."""
        held = service.active_tasks
        if service.knobs.replaces_after_stopped:
            held += service.leaving_tasks
            service.scheduler_state.unfinished = bool(service.leaving_tasks)
        taken = {task.placement.instance for task in held}
        for instance in service.cluster.instances:
            if instance not in taken:
                self._staffing.start(service, 1, instance_arn=instance.arn)

    def _hold(self, service: Service) -> None:
        """Keep the desired count: stop what is too much, start what is missing."""
        self._rebalancing.tend(service)
        want = service.desired_count + len(service.scheduler_state.rebalances)
        self._stop_unhealthy(service, want)
        sound = [task for task in service.staffed_tasks if not self._staffing.failing(task)]
        self._staffing.scale_in(service, sound, len(sound) - want)
        waits = self._waits_for_leaving(service, want)
        self._staffing.start(service, self._missing(service, want) - waits)
        if service.scheduler_state.rebalances or any(
            t.state.failing_checks for t in service.staffed_tasks
        ):
            service.scheduler_state.unfinished = True

    @staticmethod
    def _waits_for_leaving(service: Service, want: int) -> int:
        """Count the tasks whose replacement waits until they are STOPPED, if the knob says so.

        Seen on Fargate: the replacement came 28 s after StopTask, 3 s after STOPPED; behind a load
        balancer only after the deregistration delay
        (https://github.com/alphagov/prometheus-aws-configuration-beta/pull/17).
        """
        if not service.knobs.replaces_after_stopped:
            return 0
        gap = max(0, want - len(service.staffed_tasks))
        waiting = min(gap, len(service.leaving_tasks))
        if waiting:
            service.scheduler_state.unfinished = True
        return waiting

    def _missing(self, service: Service, want: int) -> int:
        """How many tasks to start; an unhealthy one is replaced before it stops, if there is room.

        https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_UpdateService.html
        (maximumPercent)
        """
        active = service.staffed_tasks
        sound_count = sum(not self._staffing.failing(task) for task in active)
        plain = max(0, want - len(active))
        most = ceiling(service)
        if service.scheduler_state.rebalances:
            most = max(most, want)
        room = max(0, most - len(active) - plain)
        return plain + max(0, min(want - sound_count - plain, room))

    def _stop_unhealthy(self, service: Service, want: int) -> None:
        active = service.staffed_tasks
        unhealthy = [task for task in active if self._staffing.failing(task)]
        if not unhealthy:
            return
        surplus = len(active) - want
        settled = not any(task.starting for task in active)
        if surplus > 0 and (service.in_service_count >= service.desired_count or settled):
            chosen = self._staffing.dice(service).sample(unhealthy, min(surplus, len(unhealthy)))
        elif ceiling(service) <= len(active):
            chosen = unhealthy
        else:
            chosen = []
        self._staffing.weed(service, chosen)

    # -- steady state -----------------------------------------------------------------------

    def _look_for_steady(self, service: Service) -> None:
        state = service.scheduler_state
        if state.steady or state.steady_due or not _is_steady(service):
            return
        state.steady_due = True
        interval = service.knobs.scheduler_interval
        seconds = service.dice.seconds(interval, "steady", service.launch_count)
        self._time.schedule(self._time.now + seconds, partial(self._announce_steady, service))

    def _announce_steady(self, service: Service) -> None:
        service.scheduler_state.steady_due = False
        if not _is_steady(service) or service.scheduler_state.steady:
            return
        service.scheduler_state.steady = True
        self._ledger.tell(service, "has reached a steady state.")
        primary = service.state.primary
        if primary.rollout_state == "IN_PROGRESS":
            self._rollout.complete(service)


def _is_steady(service: Service) -> bool:
    active = service.staffed_tasks
    return (
        service.status == "ACTIVE"
        and len(service.state.deployments) == 1
        and service.state.primary.rollout_state != "FAILED"
        and not service.scheduler_state.rebalances
        and len(active) == service.desired_count
        and all(task.in_service for task in active)
    )
