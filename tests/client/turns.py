"""One virtual clock for a run and the client that follows it: only one of them is ever at work.

While the client sleeps, the run goes on, up to the instant at which the client is to wake; then the
run waits until the client sleeps again. So what the client sees of a run is the same every time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ecs_emulator import World

REAL_SECONDS: Final = 300.0
"""Nothing takes so long: a test that waits longer has come to a standstill."""


class Turns:
    """The clock of the function, which is a run's while one is at work."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.expects_run = False
        self._changed = threading.Condition()
        self._run_thread: int | None = None
        self._wakes_at: float | None = None
        self._is_deserted = False
        self._goes_on = threading.Event()
        self._goes_on.set()

    def now(self) -> float:
        return self.world.clock.now()

    def sleep(self, seconds: float) -> None:
        """Sleep as the function; where it is the run that does, wake the client on the way."""
        if self._is_run:
            assert self._goes_on.wait(REAL_SECONDS), "nobody lets the run go on"
        until = self.now() + seconds
        while self._is_run and self._wakes_at is not None and self._wakes_at <= until:
            self._sleep_until(self._wakes_at)
            self._let_client_act()
        self._sleep_until(until)

    @contextmanager
    def run(self) -> Iterator[None]:
        """Be the run's thread: it begins when the client sleeps."""
        self._run_thread, self.expects_run = threading.get_ident(), False
        self._notify()
        self._await(lambda: self._wakes_at is not None or self._is_deserted)
        try:
            yield
        finally:
            self._run_thread = None
            self._notify()

    def desert(self) -> None:
        """Let runs go on by themselves: the client has gone."""
        self._is_deserted, self._wakes_at = True, None
        self._notify()

    def hold(self, until: threading.Event) -> None:
        """Let the run not wake from its next sleep until this is set."""
        self._goes_on = until

    def expect_none(self) -> None:
        """Let the client's sleep move the time: no run is to come."""
        self.expects_run = False
        self._notify()

    def await_run(self) -> None:
        """Wait for the end of the run that is at work, if one is."""
        self._await(lambda: not self.is_at_work)

    # -- the client's side -----------------------------------------------------------------------

    def sleep_as_client(self, seconds: float) -> None:
        """Sleep as the client."""
        if threading.current_thread() is threading.main_thread():
            self._await(lambda: self.is_at_work or not self.expects_run)
        if not self.is_at_work:
            self.world.clock.sleep(seconds)
            return
        self._wakes_at = self.now() + seconds
        self._notify()
        self._await(lambda: self._wakes_at is None or not self.is_at_work)
        self._wakes_at = None

    @property
    def is_at_work(self) -> bool:
        """Whether a run is at work."""
        return self._run_thread is not None

    @property
    def _is_run(self) -> bool:
        return threading.get_ident() == self._run_thread

    def _let_client_act(self) -> None:
        self._wakes_at = None
        self._notify()
        self._await(lambda: self._wakes_at is not None or self._is_deserted)

    def _sleep_until(self, instant: float) -> None:
        self.world.clock.sleep(max(0.0, instant - self.now()))

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _await(self, condition: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(condition, REAL_SECONDS), "nobody goes on"


class ClientClock:
    """The client's clock. ``at`` holds what a person does meanwhile, by the seconds from now on."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._began_at = turns.now()
        self._deeds: list[tuple[float, Callable[[], object]]] = []

    def at(self, seconds: float, deed: Callable[[], object]) -> None:
        """Let a person do something, so many seconds from the clock's start."""
        self._deeds.append((self._began_at + seconds, deed))

    def now(self) -> float:
        return self._turns.now()

    def sleep(self, seconds: float) -> None:
        self._turns.sleep_as_client(seconds)
        for each in [each for each in self._deeds if each[0] <= self.now()]:
            self._deeds.remove(each)
            each[1]()
