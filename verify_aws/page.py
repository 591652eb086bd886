"""The page: what AWS did, with the rows in docs/emulator.md to set it beside."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import botocore

from ecs_task_recycle.clock import as_utc
from verify_aws.watching import GOOD, Client, Figure, Watched, figures, stops

FIGURES: Final = (
    "Seconds: lowest / median / highest. Instants of ECS are by its own clock; what is only seen "
    "from outside (draining, in service) is up to two seconds late. The last column names the "
    "row in docs/emulator.md that says what the emulator does."
)


@dataclass(slots=True)
class Step:
    """One thing that was done with a service, from when to when (epoch seconds).

    `broken` names what did not hold that the function promises.
    """

    service: str
    name: str
    began_at: float = 0.0
    ended_at: float = 0.0
    lowest_in_service: int | None = None
    outcome: str = ""
    broken: list[str] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Findings:
    """Everything that the page tells, as far as it is known; `left`: what, and why."""

    began_at: float
    region: str
    steps: list[Step] = field(default_factory=list)
    probes: list[Figure] = field(default_factory=list)
    watched: dict[str, Watched] = field(default_factory=dict)
    clients: list[Client] = field(default_factory=list)
    told: dict[str, str] = field(default_factory=dict)
    read_errors: Counter[str] = field(default_factory=Counter)
    error: str | None = None
    left: dict[str, str] = field(default_factory=dict)

    @property
    def problems(self) -> list[str]:
        """What ended it early, and every promise that did not hold."""
        early = [f"It ended early: {self.error}"] if self.error else []
        return early + [f"{at.service}, {at.name}: {one}" for at in self.steps for one in at.broken]


def page(findings: Findings) -> str:
    """Return the page, in Markdown."""
    good = "Every step came to its end, and every promise of the function held."
    errors = ", ".join(f"{count} x {name}" for name, count in findings.read_errors.items())
    left = [f"- {what} is left: {reason}" for what, reason in findings.left.items()]
    parts = [
        f"# What AWS did in {findings.region} on {as_utc(findings.began_at):%Y-%m-%d}",
        "\n".join(f"- **{each}**" for each in findings.problems) or good,
        f"Seen by botocore {botocore.__version__}.",
        "## What was done",
        _steps(findings.steps),
        "\n".join(left) or "Everything that was created is deleted.",
        "## Figures",
        FIGURES,
        _figures(findings),
        f"Reads that failed meanwhile: {errors or 'none'}.",
        "## What only an account can tell",
        _table(("Question", "Answer"), findings.told.items()),
        "## Answers to clients",
        _answers(findings),
    ]
    return "\n\n".join(parts) + "\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [[_cell(each) for each in row] for row in rows] or [["-"] * len(head)]
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, ["---"] * len(head), *lines])


def _cell(value: object) -> str:
    text = "" if value is None else f"{value:.1f}" if isinstance(value, float) else str(value)
    return " ".join(text.replace("|", "\\|").split()) or "-"


def _steps(steps: Iterable[Step]) -> str:
    head = ("Service", "Step", "Begun (UTC)", "Seconds", "Lowest in service", "Outcome")
    rows = [(each.service, each.name, f"{as_utc(each.began_at):%H:%M:%S}",
             round(each.ended_at - each.began_at), each.lowest_in_service, each.outcome)
            for each in steps]  # fmt: skip
    return _table(head, rows)


def _figures(findings: Findings) -> str:
    rows = [("probe", each) for each in findings.probes]
    for service, watched in findings.watched.items():
        rows += [(service, each) for each in figures(watched)]
    return _table(
        ("Service", "From, to", "Measured", "Times", "Row"),
        [(service, each.name, each, len(each.seconds), each.row) for service, each in rows],
    )


def _answers(findings: Findings) -> str:
    """Count the answers by kind; those that are not good with their time since a StopTask."""
    found: dict[tuple[str, str], list[float]] = {}
    called = [at["StopTask"] for at in stops(findings.watched.get("balanced", Watched()))]
    for each in findings.clients:
        kind = "kept connection" if each.keeps_connection else "new connection"
        for at, outcome in each.answers:
            since = min((at - stop for stop in called if stop <= at), default=-1.0)
            found.setdefault((kind, outcome), []).append(since)
    rows = [
        (*key, len(seconds), "" if key[1] == GOOD else Figure("", "", tuple(seconds)))
        for key, seconds in sorted(found.items())
    ]
    return _table(("Client", "Answer", "Times", "Seconds since StopTask (-1: before any)"), rows)
