"""A world's time: the heap of what is to happen, the calls that came in, and who is dead."""

import heapq
import threading
from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING

from ecs_emulator.accidents.planned import PlannedFaults
from ecs_emulator.ground.clock import Clock, VirtualClock
from ecs_emulator.ground.errors import Killed

if TYPE_CHECKING:
    from ecs_emulator.ground.calls import Call


class Simulation:
    """Time. `now` is the instant of the event that is happening, if one is."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock: Clock = clock or VirtualClock()
        self.lock = threading.RLock()
        self.started_at = self.clock.now()
        self.calls: list[Call] = []
        self.planned_faults = PlannedFaults()
        self.killed_keys: set[str | None] = set()
        self._now = self.started_at
        self._heap: list[tuple[float, int, Callable[[], object]]] = []
        self._sequence = count()
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
        for kill in self.planned_faults.kills:
            at_this = number >= kill.call_number and kill.after_effect is not arriving
            if at_this and kill.access_key in {None, access_key}:
                self.kill(kill.access_key)
        self._die_if_killed(access_key)

    def _die_if_killed(self, access_key: str | None = None) -> None:
        if None in self.killed_keys or (access_key and access_key in self.killed_keys):
            raise Killed
