"""What is arranged to happen at calls."""

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True, kw_only=True)
class AfterCall:
    """Something that happens right after the n-th call of an operation took effect."""

    operation: str | None
    countdown: int
    happening: Callable[..., object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """The call at which a caller dies, before or after its effect. Key None: whoever calls."""

    call_number: int
    access_key: str | None
    after_effect: bool


@dataclass(slots=True, kw_only=True)
class PlannedFaults:
    """What was arranged to happen at calls."""

    after_calls: list[AfterCall] = field(default_factory=list)
    kills: list[Kill] = field(default_factory=list)
