"""Starting and stopping a service's tasks: where there is room, and who has to go first."""

import random
from collections import Counter
from collections.abc import Sequence
from functools import partial

from ecs_emulator.engine.lifecycle import LifeCycle
from ecs_emulator.engine.placement import Placer
from ecs_emulator.engine.stopping import StopOrder
from ecs_emulator.ground.knobs import ScaleInChoice, StartFailure
from ecs_emulator.ground.simulation import Simulation
from ecs_emulator.state.ledger import Ledger
from ecs_emulator.state.model import Service, Task
from ecs_emulator.state.service_events import launch_failed
from ecs_emulator.state.task_state import StopCause, StopKind

RETRY_SECONDS = 15.0
THROTTLE_FROM_FAILURES = 3
THROTTLE_LIMIT_SECONDS = 900.0


class Staffing:
    """Starts and stops tasks for those who decide how many there are to be."""

    def __init__(
        self, time: Simulation, ledger: Ledger, lifecycle: LifeCycle, placer: Placer
    ) -> None:
        self._time = time
        self._ledger = ledger
        self._lifecycle = lifecycle
        self.placer = placer

    def start(
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
        service.scheduler_state.steady = False
        started: list[Task] = []
        while len(started) < number:
            if self._fails_at_once(service):
                break
            placement = self.placer.place(service, zone=zone, instance_arn=instance_arn)
            if placement is None:
                self._tell_unplaced(service)
                break
            service.scheduler_state.placement_event_at = None
            started.append(self._lifecycle.launch(service, primary, placement))
        if started:
            names = " ".join(f"(task {task.id})" for task in started)
            self._ledger.tell(service, f"has started {len(started)} tasks: {names}.")
        return started

    def _fails_at_once(self, service: Service) -> bool:
        """Tell whether the next launch fails so early that there is never a task of it."""
        failing = self._lifecycle.failing_of(service, service.state.primary)
        if failing is None or failing.kind != StartFailure.NOT_LAUNCHED:
            return False
        service.launch_count += 1
        service.scheduler_state.unfinished = True
        retry_at = self._time.now + RETRY_SECONDS
        self._time.schedule(retry_at, partial(self._ledger.wake, service))
        self._ledger.tell(service, launch_failed(failing.stopped_reason))
        return True

    def _held_back(self, service: Service) -> bool:
        wait = service.scheduler_state.launches_from - self._time.now
        if wait > 0:
            self._time.schedule(
                service.scheduler_state.launches_from, partial(self._ledger.wake, service)
            )
        return wait > 0

    def _tell_unplaced(self, service: Service) -> None:
        state, now = service.scheduler_state, self._time.now
        state.unfinished = True
        interval = service.knobs.placement_event_interval
        if state.placement_event_at is not None and now < state.placement_event_at + interval:
            return
        state.placement_event_at = now
        self._time.schedule(now + interval, partial(self._ledger.wake, service))
        self._ledger.tell(service, self.placer.complaint(service))

    def _tell_once(self, service: Service, message: str) -> None:
        if not service.events or not service.events[-1].message.endswith(message):
            self._ledger.tell(service, message)

    def stop(self, service: Service, tasks: Sequence[Task], kind: StopKind) -> None:
        """Stop these tasks, as the scheduler does."""
        for task in tasks:
            order = StopOrder(
                cause=StopCause(kind=kind),
                code="ServiceSchedulerInitiated",
                reason=_reason(service, task, kind),
            )
            running = task.last_status == "RUNNING"
            self._lifecycle.stop(task, order)
            self._ledger.tell(
                service,
                f"has stopped 1 {'running' if running else 'pending'} tasks: (task {task.id}).",
            )

    def throttle(self, service: Service) -> None:
        """Slow down launches that fail before RUNNING, if the knob says so.

        https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-throttle-logic.html
        """
        state = service.scheduler_state
        state.failed_in_a_row += 1
        if not service.knobs.launch_throttle or state.failed_in_a_row < THROTTLE_FROM_FAILURES:
            return
        wait = min(THROTTLE_LIMIT_SECONDS, 10.0 * 2.0 ** (state.failed_in_a_row - 1))
        state.launches_from = self._time.now + wait
        self._ledger.tell(
            service,
            "is unable to consistently start tasks successfully. For more information, see the "
            "Troubleshooting section of the Amazon ECS Developer Guide.",
        )

    def failing(self, task: Task) -> bool:
        """Tell whether a task fails its checks and is past its grace period."""
        return task.state.failing_checks and self.grace_ends_at(task) <= self._time.now

    @staticmethod
    def grace_ends_at(task: Task) -> float:
        """Return the instant until which the task's failing checks are ignored.

        https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_UpdateService.html
        (healthCheckGracePeriodSeconds)
        """
        grace_seconds = task.service.setup.health_check_grace_seconds
        return (task.state.started_at or task.created_at) + grace_seconds

    def weed(self, service: Service, unhealthy: Sequence[Task]) -> None:
        """Stop these tasks, which have failed their health checks."""
        for task in unhealthy:
            self._tell_unhealthy(task)
            self.stop(service, [task], StopKind.UNHEALTHY)

    def _tell_unhealthy(self, task: Task) -> None:
        if "unhealthy" not in task.targets:
            self._ledger.tell(task.service, f"(task {task.id}) failed container health checks.")
            return
        group = task.service.target_groups[task.targets.index("unhealthy")]
        self._ledger.tell(
            task.service,
            f"(port {task.placement.target[1]}) is unhealthy in (target-group {group.arn}) "
            "due to (reason Health checks failed)",
        )

    def scale_in(self, service: Service, candidates: list[Task], surplus: int) -> None:
        """Stop so many of the candidates, chosen as the knob says; protected ones never."""
        if surplus <= 0:
            return
        victims = self._victims(service, candidates, surplus)
        self.stop(service, victims, StopKind.SCALE_IN)
        if len(victims) < surplus:
            self.blocked(service, candidates)

    def blocked(self, service: Service, candidates: Sequence[Task]) -> None:
        """Say that protection is in the way, and look again when the next one ends."""
        now = self._time.now
        ends = [
            task.state.protected_until or now for task in candidates if task.state.protected(now)
        ]
        self._tell_once(
            service,
            f"was unable to scale in due to (reason {len(ends)} tasks under protection)",
        )
        service.scheduler_state.unfinished = True
        if ends:
            self._time.schedule(min(ends), partial(self._ledger.wake, service))

    def _victims(self, service: Service, candidates: Sequence[Task], surplus: int) -> list[Task]:
        generator = self.dice(service)
        free = [task for task in candidates if not task.state.protected(self._time.now)]
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

    def dice(self, service: Service) -> random.Random:
        """Return the generator for the next decision about a service."""
        service.scheduler_state.decisions += 1
        return service.dice.generator("decision", service.scheduler_state.decisions)


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
