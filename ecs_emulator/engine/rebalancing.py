"""Moving tasks to another zone: the replacement first, then one in the fuller zone stops.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-rebalancing.html
"""

from collections import Counter

from ecs_emulator.engine.staffing import Staffing
from ecs_emulator.ground.simulation import Simulation
from ecs_emulator.state.ledger import Ledger
from ecs_emulator.state.model import Rebalance, Service, Task
from ecs_emulator.state.service_events import zones_blocked, zones_even, zones_uneven
from ecs_emulator.state.task_state import StopKind


class Rebalancing:
    """Moves tasks between zones."""

    def __init__(self, time: Simulation, ledger: Ledger, staffing: Staffing) -> None:
        self._time = time
        self._ledger = ledger
        self._staffing = staffing

    def rebalance(self, service: Service, victim: Task) -> Task | None:
        """Replace a task by one in another zone: start first, then stop.

        None: there is no room for it, or a deployment goes on, during which ECS does not rebalance.
        """
        if len(service.state.deployments) > 1:
            return None
        counts = Counter(task.placement.availability_zone for task in service.active_tasks)
        zones = self._staffing.placer.zones_by_load(service)
        other = next(z for z in zones if z != victim.placement.availability_zone)
        started = self._staffing.start(service, 1, zone=other)
        if not started:
            return None
        self._ledger.tell(service, zones_uneven(counts))
        service.scheduler_state.rebalances.append(Rebalance(victim=victim, replacement=started[0]))
        service.scheduler_state.unfinished = True
        service.scheduler_state.steady = False
        return started[0]

    def tend(self, service: Service) -> None:
        """Go on with the moves that are under way, and end those that cannot go on."""
        for rebalance in list(service.scheduler_state.rebalances):
            if not rebalance.victim.active or not rebalance.replacement.active:
                service.scheduler_state.rebalances.remove(rebalance)
            elif rebalance.replacement.in_service:
                service.scheduler_state.rebalances.remove(rebalance)
                self._end_rebalance(service, rebalance)

    def _end_rebalance(self, service: Service, rebalance: Rebalance) -> None:
        zone = rebalance.victim.placement.availability_zone
        neighbours = [rebalance.victim, *service.active_tasks]
        free = [
            task
            for task in neighbours
            if task.placement.availability_zone == zone and not task.state.protected(self._time.now)
        ]
        if free:
            self._staffing.stop(service, free[:1], StopKind.REBALANCING)
            counts = Counter(task.placement.availability_zone for task in service.active_tasks)
            self._ledger.tell(service, zones_even(counts))
        else:
            task_set = f"(deployment {service.state.primary.id})"
            reason = "(reason tasks under protection)"
            self._ledger.tell(service, zones_blocked(task_set, reason))
            self._staffing.blocked(service, neighbours)
