"""The service scheduler: keeps each service at its desired count, and rolls deployments.

It acts on desiredStatus: a task that is to stop is replaced at once, long before it is STOPPED
(https://github.com/aws/containers-roadmap/issues/2171). Each decision follows the change that
caused it by the knob `scheduler_interval`.
"""

import math
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from ecs_emulator.knobs import ScaleInChoice
from ecs_emulator.lifecycle import StopOrder
from ecs_emulator.model import (
    Deployment,
    Rebalance,
    Service,
    StopCause,
    StopKind,
    Task,
    TaskState,
)
from ecs_emulator.placement import Placer

if TYPE_CHECKING:
    from ecs_emulator.core import Core

SHORTEST_INTERVAL_SECONDS = 0.1
"""Lest a world in which everything takes no time goes round in circles at one instant."""
THROTTLE_FROM_FAILURES = 3
THROTTLE_LIMIT_SECONDS = 900.0
BREAKER_LOWEST, BREAKER_HIGHEST = 3, 200
"""https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-circuit-breaker.html"""


class Scheduler:
    """Decides which tasks start and stop. Keeps nothing itself: see SchedulerDesk."""

    def __init__(self, world: "Core") -> None:
        self._world = world
        self.placer = Placer(world)

    # -- being told -------------------------------------------------------------------------

    def wake(self, service: Service) -> None:
        """Have the scheduler look at a service, `scheduler_interval` from now."""
        if service.desk.reconcile_due:
            return
        service.desk.reconcile_due = True
        interval = service.knobs.scheduler_interval
        seconds = service.dice.seconds(interval, "scheduler", service.launch_count + 1)
        due = self._world.now + max(SHORTEST_INTERVAL_SECONDS, seconds)
        self._world.schedule(due, partial(self._reconcile, service))

    def noticed(self, task: Task, before: TaskState, after: TaskState) -> None:
        """Take note of any change of a task."""
        service = task.service
        newly_failing = after.failing_checks and not before.failing_checks
        if service.desk.unfinished or (newly_failing and task.active):
            self.wake(service)
        if after.last_status == "STOPPED" and before.last_status != "STOPPED":
            self._offer_room(service)
        if after.last_status == "RUNNING" and before.last_status != "RUNNING":
            service.desk.failed_in_a_row = 0
        if service.serves(after) and not service.serves(before):
            self._look_for_steady(service)

    def _offer_room(self, leaver: Service) -> None:
        for service in leaver.cluster.services.values():
            if service.desk.unfinished:
                self.wake(service)

    def noticed_stop(self, task: Task, was: str) -> None:
        """Take note of a task that is to stop; `was` is its lastStatus until now."""
        service = task.service
        service.desk.steady = False
        self.wake(service)
        kind = task.stop_cause.kind if task.stop_cause else None
        failed = kind in {StopKind.FAILED_START, StopKind.UNHEALTHY}
        if failed and was != "RUNNING":
            self._throttle(service)
        if failed:
            self._count_failure(service, task)

    def _throttle(self, service: Service) -> None:
        """Slow down launches that fail before RUNNING, if the knob says so.

        https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-throttle-logic.html
        """
        desk = service.desk
        desk.failed_in_a_row += 1
        if not service.knobs.launch_throttle or desk.failed_in_a_row < THROTTLE_FROM_FAILURES:
            return
        wait = min(THROTTLE_LIMIT_SECONDS, 10.0 * 2.0 ** (desk.failed_in_a_row - 1))
        desk.launches_from = self._world.now + wait
        self._world.tell(
            service,
            "is unable to consistently start tasks successfully. For more information, see the "
            "Troubleshooting section of the Amazon ECS Developer Guide.",
        )

    def _count_failure(self, service: Service, task: Task) -> None:
        primary = service.state.primary
        if primary.rollout_state != "IN_PROGRESS" or task.deployment_id != primary.id:
            return
        failed = primary.failed_tasks + 1
        limit = math.ceil(0.5 * service.desired_count)
        trips = failed >= min(BREAKER_HIGHEST, max(BREAKER_LOWEST, limit))
        primary = replace(primary, failed_tasks=failed)
        if service.setup.circuit_breaker and trips:
            primary = replace(
                primary,
                rollout_state="FAILED",
                rollout_state_reason="ECS deployment circuit breaker: tasks failed to start.",
                updated_at=self._world.now,
            )
            self._world.tell(service, f"(deployment {primary.id}) deployment failed: "
                             "tasks failed to start.")  # fmt: skip
        self._set_primary(service, primary)

    def _set_primary(self, service: Service, primary: Deployment) -> None:
        others = service.state.deployments[1:]
        self._world.change_service(service, deployments=(primary, *others))

    # -- deciding ---------------------------------------------------------------------------

    def _reconcile(self, service: Service) -> None:
        service.desk.reconcile_due = False
        service.desk.unfinished = False
        if service.status == "INACTIVE":
            return
        if service.status == "DRAINING":
            self._empty(service)
        elif service.daemon:
            self._fill_instances(service)
        elif len(service.state.deployments) > 1:
            self._roll(service)
        else:
            self._hold(service)
        self._look_for_steady(service)

    def _empty(self, service: Service) -> None:
        """Let a service that is being deleted run out."""
        self._stop(service, service.active_tasks, StopKind.DELETION)
        service.desk.unfinished = True
        if all(task.last_status == "STOPPED" for task in service.present):
            self._world.change_service(service, status="INACTIVE")
            service.desk.unfinished = False

    def _fill_instances(self, service: Service) -> None:
        """Run one task on each instance."""
        taken = {task.placement.instance for task in service.active_tasks}
        for instance in service.cluster.instances:
            if instance not in taken:
                self._start(service, 1, instance_arn=instance.arn)

    def _hold(self, service: Service) -> None:
        """Keep the desired count: stop what is too much, start what is missing."""
        self._tend_rebalances(service)
        want = service.desired_count + len(service.desk.rebalances)
        self._stop_unhealthy(service, want)
        sound = [task for task in service.active_tasks if not task.state.failing_checks]
        self._scale_in(service, sound, len(sound) - want)
        self._start(service, self._missing(service, want))
        if service.desk.rebalances or any(t.state.failing_checks for t in service.active_tasks):
            service.desk.unfinished = True

    def _missing(self, service: Service, want: int) -> int:
        """How many tasks to start; an unhealthy one is replaced before it stops, if there is room.

        https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_UpdateService.html
        (maximumPercent)
        """
        active = service.active_tasks
        sound_count = sum(not task.state.failing_checks for task in active)
        plain = max(0, want - len(active))
        ceiling = _ceiling(service)
        if service.desk.rebalances:
            ceiling = max(ceiling, want)
        room = max(0, ceiling - len(active) - plain)
        return plain + max(0, min(want - sound_count - plain, room))

    def _stop_unhealthy(self, service: Service, want: int) -> None:
        active = service.active_tasks
        unhealthy = [task for task in active if task.state.failing_checks]
        if not unhealthy:
            return
        surplus = len(active) - want
        settled = not any(task.starting for task in active)
        if surplus > 0 and (service.in_service_count >= service.desired_count or settled):
            chosen = self._dice(service).sample(unhealthy, min(surplus, len(unhealthy)))
        elif _ceiling(service) <= len(active):
            chosen = unhealthy
        else:
            chosen = []
        self._weed(service, chosen)

    def _weed(self, service: Service, unhealthy: Sequence[Task]) -> None:
        for task in unhealthy:
            self._tell_unhealthy(task)
            self._stop(service, [task], StopKind.UNHEALTHY)

    def _tell_unhealthy(self, task: Task) -> None:
        if "unhealthy" not in task.targets:
            self._world.tell(task.service, f"(task {task.id}) failed container health checks.")
            return
        group = task.service.target_groups[task.targets.index("unhealthy")]
        self._world.tell(
            task.service,
            f"(port {task.placement.target[1]}) is unhealthy in (target-group {group.arn}) "
            "due to (reason Health checks failed)",
        )

    def _scale_in(self, service: Service, candidates: list[Task], surplus: int) -> None:
        if surplus <= 0:
            return
        victims = self._victims(service, candidates, surplus)
        self._stop(service, victims, StopKind.SCALE_IN)
        if len(victims) < surplus:
            self._blocked(service, candidates)

    def _blocked(self, service: Service, candidates: Sequence[Task]) -> None:
        """Say that protection is in the way, and look again when the next one ends."""
        now = self._world.now
        ends = [
            task.state.protected_until or now for task in candidates if task.state.protected(now)
        ]
        self._tell_once(
            service,
            f"was unable to scale in due to (reason {len(ends)} tasks under protection)",
        )
        service.desk.unfinished = True
        if ends:
            self._world.schedule(min(ends), partial(self.wake, service))

    def _victims(self, service: Service, candidates: Sequence[Task], surplus: int) -> list[Task]:
        generator = self._dice(service)
        free = [task for task in candidates if not task.state.protected(self._world.now)]
        choice = ScaleInChoice(service.knobs.scale_in_choice)
        if choice is ScaleInChoice.NEWEST:
            return sorted(free, key=lambda task: task.number, reverse=True)[:surplus]
        if choice is ScaleInChoice.RANDOM:
            return generator.sample(free, min(surplus, len(free)))
        zones = Counter(task.placement.availability_zone for task in candidates)
        victims: list[Task] = []
        generator.shuffle(free)
        while free and len(victims) < surplus:
            victim = max(
                free,
                key=lambda task: (not task.in_service, zones[task.placement.availability_zone]),
            )
            free.remove(victim)
            zones[victim.placement.availability_zone] -= 1
            victims.append(victim)
        return victims

    def _dice(self, service: Service) -> random.Random:
        service.desk.decisions += 1
        return service.dice.generator("decision", service.desk.decisions)

    # -- zone rebalancing -------------------------------------------------------------------

    def rebalance(self, service: Service, victim: Task) -> Task | None:
        """Replace a task by one in another zone: start first, then stop.

        None: there is no room for it, or a deployment goes on, during which ECS does not rebalance.
        """
        if len(service.state.deployments) > 1:
            return None
        zones = self.placer.zones_by_load(service)
        other = next(z for z in zones if z != victim.placement.availability_zone)
        started = self._start(service, 1, zone=other)
        if not started:
            return None
        self._world.tell(service, "is not AZ balanced. AZ Rebalancing in progress.")
        service.desk.rebalances.append(Rebalance(victim=victim, replacement=started[0]))
        service.desk.unfinished = True
        service.desk.steady = False
        return started[0]

    def _tend_rebalances(self, service: Service) -> None:
        for rebalance in list(service.desk.rebalances):
            if not rebalance.victim.active or not rebalance.replacement.active:
                service.desk.rebalances.remove(rebalance)
            elif rebalance.replacement.in_service:
                service.desk.rebalances.remove(rebalance)
                self._end_rebalance(service, rebalance)

    def _end_rebalance(self, service: Service, rebalance: Rebalance) -> None:
        zone = rebalance.victim.placement.availability_zone
        neighbours = [rebalance.victim, *service.active_tasks]
        free = [
            task
            for task in neighbours
            if task.placement.availability_zone == zone
            and not task.state.protected(self._world.now)
        ]
        if free:
            self._stop(service, free[:1], StopKind.REBALANCING)
        else:
            self._blocked(service, neighbours)

    # -- deployments ------------------------------------------------------------------------

    def _roll(self, service: Service) -> None:
        """Replace the old deployments' tasks by the primary one's, within the two percentages."""
        primary = service.state.primary
        if primary.rollout_state == "FAILED":
            return
        service.desk.unfinished = True
        service.desk.rebalances.clear()
        self._weed(service, [t for t in service.active_tasks if t.state.failing_checks])
        active = service.active_tasks
        new = [task for task in active if task.deployment_id == primary.id]
        old = [task for task in active if task.deployment_id != primary.id]
        self._scale_in(service, new, len(new) - service.desired_count)
        self._retire(service, old)
        held = sum(task.last_status != "STOPPED" for task in service.present)
        self._start(service, min(service.desired_count - len(new), _ceiling(service) - held))
        served = sum(task.in_service for task in new)
        if served >= service.desired_count and not any(task.active for task in old):
            self._complete(service)

    def _retire(self, service: Service, old: list[Task]) -> None:
        """Stop as many old tasks as the minimum healthy percentage allows."""
        percent = service.setup.minimum_healthy_percent
        floor = math.ceil(service.desired_count * percent / 100)
        now = self._world.now
        free = [task for task in old if not task.state.protected(now)]
        idle = [task for task in free if not task.in_service]
        serving = [task for task in free if task.in_service]
        spare = max(0, service.in_service_count - floor)
        self._stop(service, [*idle, *serving[:spare]], StopKind.DEPLOYMENT)
        if old and not free:
            self._blocked(service, old)

    def _complete(self, service: Service) -> None:
        primary = replace(
            service.state.primary,
            rollout_state="COMPLETED",
            rollout_state_reason=f"ECS deployment {service.state.primary.id} completed.",
            updated_at=self._world.now,
        )
        self._world.change_service(service, deployments=(primary,))
        service.desk.unfinished = False
        self._world.tell(service, f"(deployment {primary.id}) deployment completed.")

    # -- acting -----------------------------------------------------------------------------

    def _start(
        self,
        service: Service,
        number: int,
        *,
        zone: str | None = None,
        instance_arn: str | None = None,
    ) -> list[Task]:
        """Start up to `number` tasks of the primary deployment; return those that found a place."""
        primary = service.state.primary
        if number <= 0 or primary.rollout_state == "FAILED" or self._held_back(service):
            return []
        service.desk.steady = False
        started: list[Task] = []
        while len(started) < number:
            placement = self.placer.place(service, zone=zone, instance_arn=instance_arn)
            if placement is None:
                self._tell_unplaced(service)
                break
            started.append(self._world.lifecycle.launch(service, primary, placement))
        if started:
            names = " ".join(f"(task {task.id})" for task in started)
            self._world.tell(service, f"has started {len(started)} tasks: {names}.")
        return started

    def _held_back(self, service: Service) -> bool:
        wait = service.desk.launches_from - self._world.now
        if wait > 0:
            self._world.schedule(service.desk.launches_from, partial(self.wake, service))
        return wait > 0

    def _tell_unplaced(self, service: Service) -> None:
        desk, now = service.desk, self._world.now
        desk.unfinished = True
        interval = service.knobs.placement_event_interval
        if desk.placement_event_at is not None and now < desk.placement_event_at + interval:
            return
        desk.placement_event_at = now
        self._world.schedule(now + interval, partial(self.wake, service))
        self._world.tell(service, self.placer.complaint(service))

    def _tell_once(self, service: Service, message: str) -> None:
        if not service.events or not service.events[-1].message.endswith(message):
            self._world.tell(service, message)

    def _stop(self, service: Service, tasks: Sequence[Task], kind: StopKind) -> None:
        for task in tasks:
            order = StopOrder(
                cause=StopCause(kind=kind),
                code="ServiceSchedulerInitiated",
                reason=_reason(service, task, kind),
            )
            running = task.last_status == "RUNNING"
            self._world.lifecycle.stop(task, order)
            self._world.tell(
                service,
                f"has stopped 1 {'running' if running else 'pending'} tasks: (task {task.id}).",
            )

    # -- steady state -----------------------------------------------------------------------

    def _look_for_steady(self, service: Service) -> None:
        desk = service.desk
        if desk.steady or desk.steady_due or not _is_steady(service):
            return
        desk.steady_due = True
        interval = service.knobs.scheduler_interval
        seconds = service.dice.seconds(interval, "steady", service.launch_count)
        self._world.schedule(self._world.now + seconds, partial(self._announce_steady, service))

    def _announce_steady(self, service: Service) -> None:
        service.desk.steady_due = False
        if not _is_steady(service) or service.desk.steady:
            return
        service.desk.steady = True
        self._world.tell(service, "has reached a steady state.")
        primary = service.state.primary
        if primary.rollout_state == "IN_PROGRESS":
            self._complete(service)


def _ceiling(service: Service) -> int:
    return service.desired_count * service.setup.maximum_percent // 100


def _is_steady(service: Service) -> bool:
    active = service.active_tasks
    return (
        service.status == "ACTIVE"
        and len(service.state.deployments) == 1
        and service.state.primary.rollout_state != "FAILED"
        and not service.desk.rebalances
        and len(active) == service.desired_count
        and all(task.in_service for task in active)
    )


def _reason(service: Service, task: Task, kind: StopKind) -> str:
    deployment = service.state.primary.id
    if kind is StopKind.REBALANCING:
        return f"Availability-zone rebalancing initiated by (deployment {deployment})"
    if kind is StopKind.UNHEALTHY and "unhealthy" in task.targets:
        group = service.target_groups[task.targets.index("unhealthy")]
        return f"Task failed ELB health checks in (target-group {group.arn})"
    if kind is StopKind.UNHEALTHY:
        return "Task failed container health checks"
    return f"Scaling activity initiated by (deployment {deployment})"
