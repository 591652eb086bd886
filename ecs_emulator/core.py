"""The heart of a world: its time, the heap of what is to happen, and what there is.

Everything else (building, other people, the API) works on this.
"""

import heapq
import threading
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any

from ecs_emulator.autoscaling import AutoScaling
from ecs_emulator.clock import Clock, VirtualClock
from ecs_emulator.dynamodb import Tables
from ecs_emulator.errors import ApiError, EmulatorError, Killed
from ecs_emulator.faults import Faults
from ecs_emulator.identities import Identities
from ecs_emulator.knobs import Dice, Knobs
from ecs_emulator.lifecycle import LifeCycle
from ecs_emulator.model import Cluster, Service, ServiceEvent, Task, TaskState
from ecs_emulator.plots import Plots
from ecs_emulator.scheduler import Scheduler
from ecs_emulator.throttling import Throttle

if TYPE_CHECKING:
    from ecs_emulator.alarms import Alarm
    from ecs_emulator.records import Call
    from ecs_emulator.timeline import Timeline
    from ecs_emulator.vault import Secret

KEPT_SECONDS = 3600.0
"""How long a stopped task can still be described:
https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeTasks.html"""


class Core:
    """Time and existence. `now` is the instant of the event that is happening, if one is."""

    def __init__(
        self,
        knobs: Knobs | None = None,
        clock: Clock | None = None,
        seed: int = 0,
        *,
        region: str = "us-east-1",
        account: str = "123456789012",
    ) -> None:
        self.knobs = knobs or Knobs()
        self.clock: Clock = clock or VirtualClock()
        self.seed = seed
        self.region = region
        self.account = account
        self.dice = Dice(seed=seed, scope="world")
        self.lock = threading.RLock()
        self.started_at = self.clock.now()
        self.clusters: dict[str, Cluster] = {}
        self.tasks: dict[str, Task] = {}
        self.calls: list[Call] = []
        self.faults = Faults()
        self.throttle = Throttle()
        self.identities = Identities(self)
        self.lifecycle = LifeCycle(self)
        self.scheduler = Scheduler(self)
        self.autoscaling = AutoScaling(self)
        self.tables = Tables(self)
        self.alarms: dict[str, Timeline[Alarm]] = {}
        self.vault: dict[str, Secret] = {}
        self._now = self.started_at
        self._heap: list[tuple[float, int, Callable[[], object]]] = []
        self._sequence = count()
        self.plots = Plots()
        self.killed_keys: set[str | None] = set()
        if isinstance(self.clock, VirtualClock):
            self.clock.drive(self._travel)

    # -- time -------------------------------------------------------------------------------

    @property
    def now(self) -> float:
        """The world's time in epoch seconds."""
        return self._now

    @property
    def elapsed(self) -> float:
        """Seconds since the world's start."""
        return self._now - self.started_at

    def schedule(self, at: float, happening: Callable[[], object]) -> None:
        """Let something happen at an instant (epoch seconds; not before now)."""
        heapq.heappush(self._heap, (max(at, self._now), next(self._sequence), happening))

    def advance_to(self, instant: float) -> None:
        """Let everything that is due until `instant` happen, each at its own instant."""
        with self.lock:
            while self._heap and self._heap[0][0] <= instant:
                self._happen()
            self._move_to(instant)

    def advance(self, seconds: float) -> None:
        """Let `seconds` go by, for the world and its virtual clock; kills nobody's sleep."""
        self.advance_to(self._now + seconds)

    def catch_up(self) -> None:
        """Bring the world to the clock's time (the wall's; a virtual one is never ahead)."""
        self.advance_to(self.clock.now())

    def run_until(self, condition: Callable[[], bool], timeout: float = 3600.0) -> bool:
        """Go from event to event until the condition holds; return whether it came to that.

        What an observer that sees every change at once would do. Stops `timeout` seconds from
        now at the latest.
        """
        limit = self._now + timeout
        while not condition():
            if not self._heap or self._heap[0][0] > limit:
                self.advance_to(limit)
                return condition()
            self._happen()
        return True

    def _happen(self) -> None:
        at, _, happening = heapq.heappop(self._heap)
        self._move_to(at)
        happening()

    def _move_to(self, instant: float) -> None:
        self._now = max(self._now, instant)
        if isinstance(self.clock, VirtualClock):
            self.clock.move_to(self._now)

    def _travel(self, instant: float) -> None:
        """Sleep as the caller: ends at the instant at which the caller is killed."""
        with self.lock:
            self._die_if_killed()
            while self._heap and self._heap[0][0] <= instant:
                self._happen()
                self._die_if_killed()
            self._move_to(instant)

    # -- killing ----------------------------------------------------------------------------

    def kill(self, access_key: str | None = None) -> None:
        """Kill the owner of this access key, or for None everybody, now."""
        self.killed_keys.add(access_key)

    def refuse_dead(self, access_key: str | None, *, arriving: bool) -> None:
        """Raise Killed for a caller that is dead, or dies of the call that arrives or is done."""
        number = len(self.calls) + (1 if arriving else 0)
        for kill in self.plots.kills:
            at_this = number >= kill.call_number and kill.after_effect is not arriving
            if at_this and kill.access_key in {None, access_key}:
                self.kill(kill.access_key)
        self._die_if_killed(access_key)

    def _die_if_killed(self, access_key: str | None = None) -> None:
        if None in self.killed_keys or (access_key and access_key in self.killed_keys):
            raise Killed

    # -- existence --------------------------------------------------------------------------

    def arn(self, service: str, resource: str) -> str:
        """Return the ARN of a resource of this world's account and region."""
        return f"arn:aws:{service}:{self.region}:{self.account}:{resource}"

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

    def task(self, reference: str) -> Task:
        """Return the task of this ARN or id, whatever its age."""
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
        task.timeline.set(self._now, after)
        self._note_in_service(task.service, before, after)
        self.scheduler.noticed(task, before, after)

    def move_desired_count(self, service: Service, desired_count: int, who: str) -> None:
        """Set a service's desired count, and write down who did."""
        state = service.state
        if state.desired_count == desired_count:
            return
        primary = replace(state.primary, updated_at=self._now)
        deployments = (primary, *state.deployments[1:])
        self.change_service(service, desired_count=desired_count, deployments=deployments)
        service.desired_history.append((self._now, desired_count, who))
        service.desk.steady = False
        self.scheduler.wake(service)

    def change_service(self, service: Service, **changes: Any) -> None:  # noqa: ANN401  as above
        """Change members of a service's state, now."""
        service.timeline.set(self._now, replace(service.state, **changes))

    def tell(self, service: Service, message: str, *, at: float | None = None) -> None:
        """Write a line into a service's event log."""
        number = len(service.events) + 1
        bits = service.dice.generator("event", number).getrandbits(128)
        digits = f"{bits:032x}"
        event = ServiceEvent(
            id="-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])),
            created_at=self._now if at is None else at,
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
        if at == self._now:
            history.pop()
        history.append((self._now, number + change))

    def _forget_old(self, service: Service) -> None:
        oldest = self._now - KEPT_SECONDS - service.knobs.staleness
        service.present = [
            task
            for task in service.present
            if task.state.stopped_at is None or task.state.stopped_at > oldest or any(task.targets)
        ]
