"""Virtual time of several at once: lanes, guardians and people, of whom one works at a time.

Each is a thread that waits for its turn. While one sleeps, the one that wakes first goes on: so ten
lanes take the virtual time that ten lanes would, and the same test takes the same way each time. No
other is woken: each of a thousand costs no more than each of ten.
"""

from __future__ import annotations

import math
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ecs_emulator import Killed, World
from ecs_emulator.ground.clock import VirtualClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ecs_emulator import Knobs

    type Work = Callable[[], object]


LONGEST_SECONDS = 14 * 86_400.0
"""A guardian gives up after seven days; what goes on for twice as long waits for nothing."""


class LanesClock(VirtualClock):
    """A virtual clock for what `begin` is given; `go_on` lets all of that come to its end."""

    def __init__(self) -> None:
        super().__init__()
        self._began = self.now()
        self._turns: dict[threading.Thread, threading.Semaphore] = {}
        self._is_over = threading.Semaphore(0)
        self._wakes: dict[threading.Thread, float] = {}
        self._awake: threading.Thread | None = None
        self._deaths: dict[threading.Thread, float] = {}
        self._problems: list[BaseException] = []

    def sleep(self, seconds: float) -> None:
        """Sleep as one of several, or alone; raises Killed at the instant of `dies_after`."""
        me = threading.current_thread()
        until = self.now() + max(0.0, seconds)
        if me is self._awake:
            self._wait(me, min(until, self._dies_at(me)))
        super().sleep(min(until, self._dies_at(me)) - self.now())
        if self._dies_at(me) <= self.now():
            raise Killed

    def begin(self, work: Work) -> None:
        """Have something done from now on, beside all else."""
        thread = threading.Thread(target=self._live, args=(work,), daemon=True)
        self._turns[thread] = threading.Semaphore(0)
        self._wakes[thread] = self.now()
        thread.start()

    def together(self, lanes: list[Callable[[], None]]) -> None:
        """Do things at the same virtual time, and go on when all of them are done."""
        me, left = threading.current_thread(), [len(lanes)]

        def lane(work: Work) -> None:
            try:
                work()
            finally:
                left[0] -= 1
                if not left[0]:
                    self._wakes[me] = self.now()

        for each in lanes:
            self.begin(lambda each=each: lane(each))  # type: ignore[misc]
        self._wake_next()
        self._turns[me].acquire()

    def go_on(self) -> None:
        """Let everything that has begun, and whatever that begins, come to its end."""
        if self._turns:
            self._wake_next()
            self._is_over.acquire()
        if self._problems:
            raise self._problems.pop(0)

    @contextmanager
    def dies_after(self, seconds: float) -> Iterator[None]:
        """Have whoever works in this block killed at an instant."""
        me = threading.current_thread()
        self._deaths[me] = self.now() + seconds
        try:
            yield
        finally:
            del self._deaths[me]

    def kill_all(self) -> None:
        """Kill whoever works in such a block, at this instant."""
        self._deaths = dict.fromkeys(self._deaths, self.now())
        self._wakes |= dict.fromkeys(self._deaths.keys() & self._wakes.keys(), self.now())

    def _dies_at(self, thread: threading.Thread) -> float:
        return self._deaths.get(thread, math.inf)

    def _wait(self, me: threading.Thread, instant: float) -> None:
        if instant - self._began > LONGEST_SECONDS:
            raise AssertionError(f"still at work after {LONGEST_SECONDS:.0f} s")
        self._wakes[me] = instant
        self._wake_next()
        self._turns[me].acquire()

    def _live(self, work: Work) -> None:
        me = threading.current_thread()
        self._turns[me].acquire()
        try:
            work()
        except BaseException as problem:  # noqa: BLE001 - told by the thread that waits
            self._problems.append(problem)
        del self._turns[me]
        self._wake_next()

    def _wake_next(self) -> None:
        """Give the turn to whoever wakes first, to `go_on` when nobody is left."""
        self._awake = min(self._wakes, key=self._wakes.__getitem__, default=None)
        if self._awake is None:
            self._is_over.release()
        else:
            del self._wakes[self._awake]
            self._turns[self._awake].release()


def world_of_lanes(knobs: Knobs | None = None, seed: int = 0) -> World:
    """Return a world whose clock several lanes may share."""
    return World(knobs=knobs, clock=LanesClock(), seed=seed)
