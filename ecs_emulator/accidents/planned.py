"""What is arranged to happen right after a call."""

from collections.abc import Callable
from dataclasses import dataclass

type Happening = Callable[[], object]


@dataclass(slots=True, kw_only=True)
class AfterCall:
    """Something that happens right after the n-th call of an operation took effect."""

    operation: str | None
    countdown: int
    happening: Happening


class Planned:
    """Counts the calls down to what was arranged."""

    def __init__(self) -> None:
        self._planned: list[AfterCall] = []

    def after_call(self, operation: str | None, nth: int, happening: Happening) -> None:
        """Let something happen after the n-th call, from now, of an operation (None: of any)."""
        planned = AfterCall(operation=operation, countdown=nth, happening=happening)
        self._planned.append(planned)

    def due(self, operation: str) -> list[Happening]:
        """Count a call of this operation, and return what is to happen after it."""
        for planned in self._planned:
            if planned.operation in {None, operation}:
                planned.countdown -= 1
        due = [planned.happening for planned in self._planned if planned.countdown == 0]
        self._planned = [planned for planned in self._planned if planned.countdown != 0]
        return due
