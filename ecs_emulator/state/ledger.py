"""What there is in a world, and every change of it: clusters, services, tasks, their events.

The rules (life cycle, scheduler, autoscaling) write into the ledger; it knows none of them. Whoever
has to react to a change watches it.
"""

from dataclasses import replace
from typing import Any, Protocol

from ecs_emulator.ground.errors import ApiError, EmulatorError
from ecs_emulator.ground.simulation import Simulation
from ecs_emulator.state.model import Cluster, Service, Task
from ecs_emulator.state.service_state import ServiceEvent
from ecs_emulator.state.task_state import TaskState

KEPT_SECONDS = 3600.0
"""How long a stopped task can still be described:
https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeTasks.html"""


class Watcher(Protocol):
    """Who is told of changes: the scheduler."""

    def wake(self, service: Service) -> None:
        """Look at a service soon."""
        ...

    def noticed(self, task: Task, before: TaskState, after: TaskState) -> None:
        """Take note of any change of a task."""
        ...

    def noticed_stop(self, task: Task, was: str) -> None:
        """Take note of a task that is to stop; `was` is its lastStatus until now."""
        ...


class Ledger:
    """Existence."""

    watcher: Watcher

    def __init__(self, time: Simulation) -> None:
        self._time = time
        self.clusters: dict[str, Cluster] = {}
        self.tasks: dict[str, Task] = {}

    def cluster(self, reference: str | None) -> Cluster:
        """Return the cluster of this name or ARN; None is the one called "default"."""
        name = (reference or "default").rsplit("/", 1)[-1]
        if name not in self.clusters:
            raise ApiError("ClusterNotFoundException", "Cluster not found.")
        return self.clusters[name]

    def service(self, cluster: str, name: str) -> Service:
        """Return the service of this name; for those who know that it is there."""
        try:
            return self.clusters[cluster].services[name]
        except KeyError as missing:
            raise EmulatorError(f"There is no service {cluster}/{name}.") from missing

    @property
    def services(self) -> list[Service]:
        """All services of all clusters."""
        return [
            service for cluster in self.clusters.values() for service in cluster.services.values()
        ]

    def task(self, reference: Task | str) -> Task:
        """Return the task of this ARN or id, whatever its age."""
        if isinstance(reference, Task):
            return reference
        if reference in self.tasks:
            return self.tasks[reference]
        for task in self.tasks.values():
            if task.id == reference:
                return task
        raise EmulatorError(f"There is no task {reference}.")

    def admit(self, task: Task) -> None:
        """Take in a new task."""
        service = task.service
        self._forget_old(service)
        service.tasks.append(task)
        service.present.append(task)
        self.tasks[task.arn] = task
        if task.in_service:
            self._count_in_service(service, 1)

    def change_task(self, task: Task, **changes: Any) -> None:  # noqa: ANN401  TaskState's members
        """Change members of a task's state, now."""
        before = task.state
        after = replace(before, **changes)
        task.timeline.set(self._time.now, after)
        self._note_in_service(task.service, before, after)
        self.watcher.noticed(task, before, after)

    def move_desired_count(self, service: Service, desired_count: int, who: str) -> None:
        """Set a service's desired count, and write down who did."""
        state = service.state
        if state.desired_count == desired_count:
            return
        primary = replace(state.primary, updated_at=self._time.now)
        deployments = (primary, *state.deployments[1:])
        self.change_service(service, desired_count=desired_count, deployments=deployments)
        service.desired_history.append((self._time.now, desired_count, who))
        service.scheduler_state.steady = False
        self.wake(service)

    def wake(self, service: Service) -> None:
        """Have the scheduler look at a service soon."""
        self.watcher.wake(service)

    def change_service(self, service: Service, **changes: Any) -> None:  # noqa: ANN401  as above
        """Change members of a service's state, now."""
        service.timeline.set(self._time.now, replace(service.state, **changes))

    def tell(self, service: Service, message: str, *, at: float | None = None) -> None:
        """Write a line into a service's event log."""
        number = len(service.events) + 1
        bits = service.dice.generator("event", number).getrandbits(128)
        digits = f"{bits:032x}"
        event = ServiceEvent(
            id="-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])),
            created_at=self._time.now if at is None else at,
            message=f"(service {service.name}) {message}",
        )
        service.events.append(event)

    def _note_in_service(self, service: Service, before: TaskState, after: TaskState) -> None:
        change = service.serves(after) - service.serves(before)
        if change:
            self._count_in_service(service, change)

    def _count_in_service(self, service: Service, change: int) -> None:
        history = service.in_service_history
        at, number = history[-1]
        if at == self._time.now:
            history.pop()
        history.append((self._time.now, number + change))

    def _forget_old(self, service: Service) -> None:
        oldest = self._time.now - KEPT_SECONDS - service.knobs.staleness
        service.present = [
            task
            for task in service.present
            if task.state.stopped_at is None or task.state.stopped_at > oldest or any(task.targets)
        ]
