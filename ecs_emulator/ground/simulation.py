"""A world's time: the heap of what is to happen, each thing at its own instant."""

import heapq
import threading
from collections.abc import Callable
from itertools import count

from ecs_emulator.ground.clock import Clock, VirtualClock
from ecs_emulator.ground.deaths import Deaths


class Simulation:
    """Time, in epoch seconds. `now` is the instant of the event that is happening, if one is.

    Whoever sleeps on the virtual clock dies at the instant at which everybody is killed.
    """

    def __init__(self, clock: Clock, deaths: Deaths) -> None:
        self.lock = threading.RLock()
        self.started_at = clock.now()
        self.now = self.started_at
        self._deaths = deaths
        self._heap: list[tuple[float, int, Callable[[], object]]] = []
        self._sequence = count()
        self.live_by(clock)

    def live_by(self, clock: Clock) -> None:
        """Go by this clock from now on; everything that is due by then happens."""
        with self.lock:
            self.clock = clock
            if isinstance(clock, VirtualClock):
                clock.drive(self._travel)
            self.catch_up()

    @property
    def elapsed(self) -> float:
        """Seconds since the world's start."""
        return self.now - self.started_at

    def schedule(self, at: float, happening: Callable[[], object]) -> None:
        """Let something happen at an instant (epoch seconds; not before now)."""
        heapq.heappush(self._heap, (max(at, self.now), next(self._sequence), happening))

    def advance_to(self, instant: float) -> None:
        """Let everything that is due until `instant` happen, each at its own instant."""
        with self.lock:
            while self._heap and self._heap[0][0] <= instant:
                self._happen()
            self._move_to(instant)

    def advance(self, seconds: float) -> None:
        """Let `seconds` go by, for the world and its virtual clock; kills nobody's sleep."""
        self.advance_to(self.now + seconds)

    def catch_up(self) -> None:
        """Bring the world to the clock's time (the wall's; a virtual one is never ahead)."""
        self.advance_to(self.clock.now())

    def run_until(self, condition: Callable[[], bool], timeout: float = 3600.0) -> bool:
        """Go from event to event until the condition holds; return whether it came to that.

        What an observer that sees every change at once would do. Stops `timeout` seconds from
        now at the latest.
        """
        limit = self.now + timeout
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
        self.now = max(self.now, instant)
        if isinstance(self.clock, VirtualClock):
            self.clock.move_to(self.now)

    def _travel(self, instant: float) -> None:
        """Sleep as the caller: ends at the instant at which the caller is killed."""
        with self.lock:
            self._deaths.check()
            while self._heap and self._heap[0][0] <= instant:
                self._happen()
                self._deaths.check()
            self._move_to(instant)
