"""Following a run: what its status tells, as lines, until it has ended."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from ecs_task_recycle.clock import Clock
from ecs_task_recycle_client.function import Call, Function
from ecs_task_recycle_client.replies import NotInvokedError, Reply, Standing, short
from ecs_task_recycle_client.terminal import Screen, minutes_text

POLL_SECONDS: Final = (5, 15)
"""Between two looks at a run's status: in the first ten minutes, and later."""

OFTEN_FOR_SECONDS: Final = 600

UNSEEN_SECONDS: Final = 300
"""For so long the status may not be had, or may not show a run that has been begun."""

DEAD_SECONDS: Final = 600
"""For so long a run may be dead: its guardian looks for it at least once a minute."""

TO_BE_RESTORED: Final = "the capacity to be restored"
"""What the function says to be awaited while a run puts the capacity back."""


class OutOfSightError(Exception):
    """A run cannot be followed any longer; the sentence says why."""


@dataclass(slots=True, kw_only=True)
class Follower:
    """Follows the run of one service. ``run_id`` is the run's, None until it is seen.

    ``earlier_id`` is the run that the service's record was of before this one began.
    """

    function: Function
    question: dict[str, Any]
    screen: Screen
    clock: Clock
    run_id: str | None = None
    earlier_id: str | None = None
    _said: set[str] = field(default_factory=set)
    _began_at: float = 0.0
    _seen_at: float = 0.0
    _alive_at: float = 0.0

    def __post_init__(self) -> None:
        """Follow from now on."""
        self._began_at = self._seen_at = self._alive_at = self.clock.now()

    def until_answered(self, call: Call) -> Reply:
        """Follow the run until its invocation is answered. Raises NotInvokedError."""
        # The next run may begin before this one's answer is here, which is on its way then.
        with suppress(OutOfSightError):
            while not self._pause(lambda: call.is_answered):
                self._look()
        return call.reply()

    def until_ended(self) -> Reply:
        """Follow the run until it has ended; return its outcome. Raises OutOfSightError."""
        while True:
            standing, problem = self._look()
            if standing is not None and standing.has_ended:
                return standing.as_reply(**self._names)
            self._require_in_sight(standing, problem)
            self._pause(lambda: False)

    @property
    def _names(self) -> dict[str, str]:
        return {
            "cluster": str(self.question["cluster_name"]),
            "service": str(self.question["service_name"]),
        }

    def _look(self) -> tuple[Standing | None, str]:
        """Ask where the run stands, and tell it; None with the reason where nothing is known."""
        try:
            reply = self.function.ask(self.question)
        except NotInvokedError as error:
            return None, str(error)
        if reply.error is not None:
            return None, reply.message
        standing = reply.standing
        if standing.run_id is None or standing.run_id == self.earlier_id:
            return None, "The run has not begun."
        if self.run_id is None:
            self.run_id = standing.run_id
            self.screen.say(f"Run {self.run_id} has begun.")
        if standing.run_id != self.run_id:
            raise OutOfSightError(
                f"Run {self.run_id} is over, and run {standing.run_id} has begun: how it ended "
                "stands in its mail and in the function's log."
            )
        self._tell(standing)
        return standing, ""

    def _tell(self, standing: Standing) -> None:
        self._seen_at = self.clock.now()
        if standing.state != "dead":
            self._alive_at = self._seen_at
        self.screen.show(standing)
        line = line_of(standing)
        if line is not None and line[0] not in self._said:
            self._said.add(line[0])
            self.screen.say("".join(line))

    def _require_in_sight(self, standing: Standing | None, problem: str) -> None:
        now = self.clock.now()
        if standing is None and now - self._seen_at > UNSEEN_SECONDS:
            raise OutOfSightError(f"The run cannot be seen. {problem}")
        if now - self._alive_at > DEAD_SECONDS:
            raise OutOfSightError(
                f"Run {self.run_id} was interrupted, and nobody goes on with it. Put back what it "
                "has raised by the command restore."
            )

    def _pause(self, is_over: Callable[[], bool]) -> bool:
        """Sleep until the next look, or until it is over; return whether it is."""
        is_early = self.clock.now() - self._began_at < OFTEN_FOR_SECONDS
        for _ in range(POLL_SECONDS[0 if is_early else 1]):
            if is_over():
                return True
            self.clock.sleep(1)
        return is_over()


def line_of(standing: Standing) -> tuple[str, str] | None:
    """Return a line for where a run stands, and what may be added to it; None for none."""
    left = f" (about {minutes_text(standing.minutes_left)} left)" if standing.minutes_left else ""
    if standing.has_ended or not standing.total:
        return None
    if standing.state == "dead":
        return f"Interrupted after {standing.number} of {standing.total} tasks", ""
    if standing.task is not None:
        number = f"{standing.number + 1}/{standing.total}"
        return f"Recycling task {number}: {short(standing.task)}", left
    if standing.awaited is None:
        return None
    if standing.awaited == TO_BE_RESTORED or standing.number == standing.total:
        return "Restoring the capacity", ""
    done = f"{standing.number} of {standing.total} tasks recycled"
    return f"Waiting for {standing.awaited}, {done}", left
