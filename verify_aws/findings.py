"""What a verification has found so far, in the order in which it was found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from verify_aws.load import Answers
from verify_aws.measures import Figure, figures

if TYPE_CHECKING:
    from verify_aws.observer import Watched
    from verify_aws.stacks import Left

DRY_RUN: Final = "dry run"
RECYCLE: Final = "recycle"
KILL: Final = "kill and heal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that was done with a service, from when to when (epoch seconds)."""

    service: str
    name: str
    began_at: float
    ended_at: float
    lowest_in_service: int | None
    outcome: str
    broken: tuple[str, ...] = ()
    """What did not hold that the function promises."""


@dataclass(slots=True, kw_only=True)
class Findings:
    """Everything that the page tells, as far as it is known."""

    began_at: float
    region: str
    ahead_seconds: float
    facts: dict[str, str]
    steps: list[Step] = field(default_factory=list)
    probes: list[Figure] = field(default_factory=list)
    watched: dict[str, Watched] = field(default_factory=dict)
    answers: Answers = field(default_factory=Answers)
    read_errors: dict[str, int] = field(default_factory=dict)
    error: str | None = None
    left: list[Left] | None = None

    @property
    def broken(self) -> list[str]:
        """Every promise that did not hold, with its service and step."""
        return [f"{each.service}, {each.name}: {one}" for each in self.steps for one in each.broken]

    def figures_of(self, service: str) -> list[Figure]:
        """Return what was measured on a service while runs went on."""
        runs = [
            (each.began_at, each.ended_at)
            for each in self.steps
            if (each.service, each.name) == (service, RECYCLE)
        ]
        return figures(self.watched[service], self.ahead_seconds, runs)
