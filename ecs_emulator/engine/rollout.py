"""Deployments: the old tasks make way for the primary deployment's, or the breaker trips."""

import math
from dataclasses import replace

from ecs_emulator.engine.staffing import Staffing
from ecs_emulator.ground.simulation import Simulation
from ecs_emulator.state.ledger import Ledger
from ecs_emulator.state.model import Service, Task
from ecs_emulator.state.service_state import Deployment
from ecs_emulator.state.task_state import StopKind

BREAKER_LOWEST, BREAKER_HIGHEST = 3, 200
"""https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-circuit-breaker.html"""

BEFORE_SCALE_UP = frozenset({"RECONCILE_SERVICE", "PRE_SCALE_UP"})
"""Stages of a deployment at which no task of it has been started:
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/pause-lifecycle-hooks.html"""


class Rollout:
    """Rolls deployments, within the two percentages."""

    def __init__(self, time: Simulation, ledger: Ledger, staffing: Staffing) -> None:
        self._time = time
        self._ledger = ledger
        self._staffing = staffing

    def roll(self, service: Service) -> None:
        """Replace the old deployments' tasks by the primary one's, within the two percentages."""
        primary = service.state.primary
        if primary.rollout_state == "FAILED":
            return
        service.scheduler_state.unfinished = True
        service.scheduler_state.rebalances.clear()
        if primary.paused_at in BEFORE_SCALE_UP:
            return
        self._staffing.weed(service, [t for t in service.active_tasks if self._staffing.failing(t)])
        active = service.active_tasks
        new = [task for task in active if task.deployment_id == primary.id]
        old = [task for task in active if task.deployment_id != primary.id]
        self._staffing.scale_in(service, new, len(new) - service.desired_count)
        if primary.paused_at is None:
            self._retire(service, old)
        held = sum(task.last_status != "STOPPED" for task in service.present)
        self._staffing.start(
            service, min(service.desired_count - len(new), ceiling(service) - held)
        )
        served = sum(task.in_service for task in new)
        if served >= service.desired_count and not any(task.active for task in old):
            self.complete(service)

    def _retire(self, service: Service, old: list[Task]) -> None:
        """Stop as many old tasks as the minimum healthy percentage allows."""
        percent = service.setup.minimum_healthy_percent
        floor = math.ceil(service.desired_count * percent / 100)
        now = self._time.now
        free = [task for task in old if not task.state.protected(now)]
        idle = [task for task in free if not task.in_service]
        serving = [task for task in free if task.in_service]
        spare = max(0, service.in_service_count - floor)
        self._staffing.stop(service, [*idle, *serving[:spare]], StopKind.DEPLOYMENT)
        if old and not free:
            self._staffing.blocked(service, old)

    def complete(self, service: Service) -> None:
        """Let the primary deployment be the only one, COMPLETED."""
        primary = replace(
            service.state.primary,
            rollout_state="COMPLETED",
            rollout_state_reason=f"ECS deployment {service.state.primary.id} completed.",
            updated_at=self._time.now,
        )
        replaced = tuple(replace(each, status="INACTIVE") for each in service.state.deployments[1:])
        self._ledger.change_service(service, deployments=(primary,))
        self._list_for_a_while(service, replaced)
        service.scheduler_state.unfinished = False
        self._ledger.tell(service, f"(deployment {primary.id}) deployment completed.")

    def _list_for_a_while(self, service: Service, replaced: tuple[Deployment, ...]) -> None:
        seconds = service.knobs.inactive_deployments_listed
        if not replaced or seconds <= 0:
            return
        self._ledger.change_service(service, inactive=(*service.state.inactive, *replaced))

        def forget() -> None:
            left = tuple(each for each in service.state.inactive if each not in replaced)
            self._ledger.change_service(service, inactive=left)

        self._time.schedule(self._time.now + seconds, forget)

    def count_failure(self, service: Service, task: Task) -> None:
        """Count a start that failed; the circuit breaker may trip."""
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
                updated_at=self._time.now,
            )
            self._ledger.tell(service, f"(deployment {primary.id}) deployment failed: "
                             "tasks failed to start.")  # fmt: skip
        self._set_primary(service, primary)

    def _set_primary(self, service: Service, primary: Deployment) -> None:
        others = service.state.deployments[1:]
        self._ledger.change_service(service, deployments=(primary, *others))


def ceiling(service: Service) -> int:
    """Return how many tasks the service may have at most."""
    return service.desired_count * service.setup.maximum_percent // 100
