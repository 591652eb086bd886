"""A world: an Amazon ECS in memory, with its clock, its people and its records."""

from collections.abc import Callable
from functools import partial
from typing import Self

from ecs_emulator.accidents.people import ThirdParty
from ecs_emulator.accidents.planned import AfterCall, Kill
from ecs_emulator.ground.calls import Call, lowest
from ecs_emulator.ground.errors import EmulatorError
from ecs_emulator.neighbours.tables import Item
from ecs_emulator.state.model import Service

type Happening = Callable[["World"], object]


class World(ThirdParty):
    """An Amazon ECS in memory. All instants are epoch seconds unless a name says otherwise.

    World(knobs=Knobs(...), clock=VirtualClock(), seed=0, region="us-east-1", account=...).
    """

    # -- arranging --------------------------------------------------------------------------

    def at(self, seconds: float, happening: Happening) -> Self:
        """Let something happen `seconds` after the world's start."""
        self.schedule(self.started_at + seconds, partial(happening, self))
        return self

    def after_call(self, operation: str | None, nth: int, happening: Happening) -> Self:
        """Let something happen right after the n-th call (from now) of an operation took effect.

        `operation` None: any operation.
        """
        self.planned_faults.after_calls.append(
            AfterCall(operation=operation, countdown=nth, happening=happening)
        )
        return self

    def kill_at_call(
        self, number: int, *, access_key: str | None = None, after_effect: bool = False
    ) -> Self:
        """Kill the caller at the call of this number (1 is the world's first).

        The call does not reach the world; with `after_effect` it does, and only its answer is
        lost. From then on nothing of this access key's owner (None: of anybody) reaches it. In
        process `Killed` is raised to the caller, over HTTP the connection is closed.
        """
        self.planned_faults.kills.append(
            Kill(call_number=number, access_key=access_key, after_effect=after_effect)
        )
        return self

    def kill_at(self, seconds: float, *, access_key: str | None = None) -> Self:
        """Kill the owner of this access key, `seconds` after the world's start.

        None: whoever calls or sleeps on the virtual clock.
        """
        self.schedule(self.started_at + seconds, partial(self.kill, access_key))
        return self

    def revive(self) -> Self:
        """Let callers reach the world again: the next process after the dead one."""
        self.killed_keys.clear()
        self.planned_faults.kills.clear()
        return self

    # -- looking on -------------------------------------------------------------------------

    def in_service_history(
        self, cluster: str | None = None, service: str | None = None
    ) -> list[tuple[float, int]]:
        """Return (instant, number of tasks in service) for the start and every change.

        In service: lastStatus and desiredStatus RUNNING, containers HEALTHY where they have
        checks, healthy in every target group. Names may be left out where there is one service.
        """
        return list(self._observed(cluster, service).in_service_history)

    def lowest_in_service(
        self,
        cluster: str | None = None,
        service: str | None = None,
        *,
        since: float | None = None,
        until: float | None = None,
    ) -> int:
        """Return the lowest number of tasks in service at any instant from `since` to `until`."""
        history = self._observed(cluster, service).in_service_history
        since = self.started_at if since is None else since
        return lowest(history, since, self.now if until is None else until)

    def desired_history(
        self, cluster: str | None = None, service: str | None = None
    ) -> list[tuple[float, int, str]]:
        """Return (instant, desired count, who) for the start and every change."""
        return list(self._observed(cluster, service).desired_history)

    def items(self, table: str) -> list[Item]:
        """Return what is in a DynamoDB table now, as plain Python values."""
        return self.tables.items(table)

    def item(self, table: str, **key: object) -> Item | None:
        """Return the item of this key, None where there is none."""
        fitting = (item for item in self.items(table) if key.items() <= item.items())
        return next(fitting, None)

    def calls_of(self, *operations: str) -> list[Call]:
        """Return the calls of these operations, in their order."""
        return [call for call in self.calls if call.operation in operations]

    @property
    def writes(self) -> list[Call]:
        """The calls that changed something."""
        return [call for call in self.calls if call.wrote]

    def _observed(self, cluster: str | None, service: str | None) -> Service:
        fitting = [
            each
            for each in self.services
            if cluster in {None, each.cluster.name} and service in {None, each.name}
        ]
        if len(fitting) != 1:
            raise EmulatorError(f"{len(fitting)} services fit {cluster}/{service}; name one.")
        return fitting[0]

    # -- for the API ------------------------------------------------------------------------

    def note_call(self, call: Call, *, effect: bool) -> None:
        """Write down a call, and if it was performed let happen what was to happen after it."""
        self.calls.append(call)
        if not effect:
            return
        due = []
        for planned in self.planned_faults.after_calls:
            if planned.operation in {None, call.operation}:
                planned.countdown -= 1
            if planned.countdown == 0:
                due.append(planned)
        for planned in due:
            self.planned_faults.after_calls.remove(planned)
            planned.happening(self)
