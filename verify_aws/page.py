"""The page: what AWS did, beside what the emulator does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ecs_task_recycle.clock import as_utc
from verify_aws.load import CLIENTS, GOOD
from verify_aws.measures import pairs, since_stop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from verify_aws.findings import Findings, Step
    from verify_aws.measures import Figure, Pair

BEHAVIOURS: Final = Path(__file__).parents[1] / "docs/emulator.md"
MOST_BAD: Final = 100


def page(findings: Findings, masked: Callable[[object], str]) -> str:
    """Return the page, in Markdown."""
    parts = [
        f"# What AWS did on {as_utc(findings.began_at):%Y-%m-%d}",
        _summary(findings),
        "## Circumstances",
        _table(("What", "Value"), findings.facts.items()),
        "## What was done",
        _table(
            ("Service", "Step", "Begun (UTC)", "Seconds", "Lowest in service", "Outcome"),
            [_step(each) for each in findings.steps],
        ),
        "## Figures",
        (
            "One value, or lowest / median / highest. Instants of ECS are by its own clock; what "
            "is only seen from outside (draining, in service) is up to about a second late."
        ),
        _figures(findings),
        "Reads that failed meanwhile: " + (_counts(findings.read_errors) or "none") + ".",
        "## Beside the emulator",
        "The last two columns are those of docs/emulator.md.",
        _beside(findings),
        "## Answers to clients",
        _answers(findings),
        "## Each task that was stopped",
        _tasks(findings),
        *_deletion(findings),
    ]
    return masked("\n\n".join(parts)) + "\n"


def _summary(findings: Findings) -> str:
    if findings.error is not None:
        return f"**It ended early**: {findings.error} What follows is what was found until then."
    if findings.broken:
        return "\n".join(["**Promises that did not hold**:", "", *_list(findings.broken)])
    return "Every step came to its end, and every promise of the function held."


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} x {name}" for name, count in counts.items())


def _list(texts: Iterable[str]) -> list[str]:
    return [f"- {text}" for text in texts]


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [[_cell(each) for each in row] for row in rows] or [["-"] * len(head)]
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, ["---"] * len(head), *lines])


def _cell(value: object) -> str:
    return " ".join(str(value).replace("|", "\\|").split()) or "-"


def _step(step: Step) -> tuple[object, ...]:
    seconds = step.ended_at - step.began_at
    lowest = "-" if step.lowest_in_service is None else step.lowest_in_service
    begun = f"{as_utc(step.began_at):%H:%M:%S}"
    return step.service, step.name, begun, f"{seconds:.0f}", lowest, step.outcome


def _all_figures(findings: Findings) -> list[tuple[str, Figure]]:
    services = [(name, each) for name in findings.watched for each in findings.figures_of(name)]
    return [*services, *(("probe", each) for each in findings.probes)]


def _figures(findings: Findings) -> str:
    rows = [
        (service, each.name, each, len(each.seconds)) for service, each in _all_figures(findings)
    ]
    return _table(("Service", "From, to", "Measured", "Times"), rows)


def _beside(findings: Findings) -> str:
    known = behaviours(BEHAVIOURS.read_text(encoding="utf-8"))
    measured: dict[str, list[str]] = {}
    for service, figure in _all_figures(findings):
        if figure.seconds:
            text = f"{service}: {figure.name}: {figure}"
            measured.setdefault(figure.behaviour, []).append(text)
    rows = [(name, "; ".join(texts), *known[name]) for name, texts in measured.items()]
    return _table(("Behaviour", "Measured", "Recorded or reported", "The emulator"), rows)


def behaviours(text: str) -> dict[str, tuple[str, str]]:
    """Return, by behaviour, what docs/emulator.md says was recorded and what the emulator does."""
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    # The links are relative to docs/, or long: here their texts are enough.
    cells = [[re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", cell) for cell in row] for row in rows]
    return {row[0]: (row[2], row[3]) for row in cells if len(row) == len("ABCDE")}


def _answers(findings: Findings) -> str:
    counts = findings.answers.counts
    if not counts:
        return "No requests were made."
    outcomes = sorted({outcome for _, outcome in counts}, key=lambda each: (each != GOOD, each))
    rows = [
        (client, *(counts[client, outcome] for outcome in outcomes))
        for client in dict.fromkeys(CLIENTS)
    ]
    bad = findings.answers.bad
    watched = findings.watched["balanced"]
    seconds = [since_stop(each, watched, findings.ahead_seconds) for each in bad]
    listed = [
        (f"{as_utc(each.at):%H:%M:%S.%f}"[:-3], each.client, each.outcome,
         "before any" if since is None else f"{since:.1f}")
        for each, since in zip(bad[:MOST_BAD], seconds, strict=False)
    ]  # fmt: skip
    return "\n\n".join(
        [
            _table(("Client", *outcomes), rows),
            f"Answers other than {GOOD}: {len(bad)}"
            + (f"; the first {MOST_BAD}:" if len(bad) > MOST_BAD else "."),
            *(
                [_table(("At (UTC)", "Client", "Outcome", "Seconds since StopTask"), listed)]
                * bool(bad)
            ),
        ]
    )


def _tasks(findings: Findings) -> str:
    head = ("Service", "Task", "StopTask (UTC)", "Draining", "Signal", "Container ended", "STOPPED",
            "Exit code", "Replacement created", "Started", "In service")  # fmt: skip
    rows = [
        (service, *_task(each, findings.ahead_seconds))
        for service, watched in findings.watched.items()
        for each in pairs(watched)
    ]
    return "Seconds after StopTask.\n\n" + _table(head, rows)


def _task(pair: Pair, ahead: float) -> list[str]:
    old, new = pair.stopped, pair.replacement
    begun = old.stopping_at or 0.0

    def after(instant: float | None) -> str:
        return "-" if instant is None else f"{instant - begun:.1f}"

    draining = old.first_seen.get("target draining")
    served = new.first_seen.get("in service") if new else None
    return [
        old.id[:8],
        f"{as_utc(begun):%H:%M:%S}",
        after(draining and draining - ahead),
        after(old.signal_at),
        after(old.execution_stopped_at),
        after(old.stopped_at),
        "-" if old.exit_code is None else str(old.exit_code),
        after(new.created_at if new else None),
        after(new.started_at if new else None),
        after(served and served - ahead),
    ]


def _deletion(findings: Findings) -> list[str]:
    if findings.left is None:
        return []
    if not findings.left:
        return ["## Deletion", "Everything that was created is deleted."]
    left = [f"{each.what}: {each.reason}: `{each.command}`" for each in findings.left]
    return ["## Deletion", "These are left:", "\n".join(_list(left))]
