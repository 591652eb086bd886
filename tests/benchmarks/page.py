"""docs/benchmarks.md: the tables, made from what was measured."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Final

from tests.benchmarks.approaches import APPROACHES, OURS, WAITER

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tests.benchmarks.approaches import Measurement
    from tests.benchmarks.cases import Case
    from tests.benchmarks.function import FunctionFigures

type Results = Mapping[Case, Mapping[str, Measurement]]

LAMBDA_LIMIT_SECONDS: Final = 900
RIVALS: Final = tuple(name for name in APPROACHES if name not in ("perfect", OURS))

INTRODUCTION: Final = """\
# Benchmarks

`make bench` makes this page and its plot. It replaces all tasks of the same emulated services
([how they behave](emulator.md)) in four ways, and measures the function itself on this machine.

- **this tool**: the function under its guardian, as deployed, with `maintain_service_state`.
- **waiter**: what many scripts do. One task more, then for each task StopTask, botocore's waiter
  `services_stable`, and the same pause; then the desired count back.
- **rolling 100/200** and **rolling 100/134**: ECS's own rolling deployment by `forceNewDeployment`,
  with a minimum of 100 % and a maximum of 200 % or 134 %. It starts as many tasks at once as the
  maximum allows, and has no pause. 134 % of one task is one task, so that a service of one never
  begins.
- **perfect**: one task after the other, each stopped at the very instant at which that is safe.
  Nobody can do that; it shows what the service itself takes.

All times are virtual and repeat exactly; nothing was recorded on AWS. *missing* is how many of the
service's tasks were missing in service at once, at the worst instant. A service is behind a target
group; the worlds differ from the emulator's defaults in these knobs:

| World | Knobs |
|---|---|
{worlds}
"""


COSTS: Final = """\
With a pause of 30 s. *billed* is Lambda's time: a run over 15 minutes has several invocations; a
script with a waiter could not finish in one. *Processor time* is that of this machine, for the
function and boto3.
"""
CASES_HEADING: Final = "Replacements start {start}, pause {pause} s"
COST_COLUMNS: Final = (
    "World",
    "Tasks",
    "Replacement",
    "Calls a task",
    "Calls a second",
    "Most called, a task",
    "Billed",
    "Processor time a task",
    "Waiter: calls a task",
)


def page(results: Results, figures: FunctionFigures, worlds: Mapping[str, str]) -> str:
    """Return the whole page."""
    rows = "\n".join(f"| {name} | {knobs} |" for name, knobs in worlds.items())
    parts = [INTRODUCTION.format(worlds=rows)]
    ordered = sorted(results, key=_group)
    for _, group in groupby(ordered, key=_group):
        cases = list(group)
        parts.append(f"## {CASES_HEADING.format(**cases[0].words)}\n")
        parts.append(_comparison([(case, results[case]) for case in cases]))
    parts += ["## What a run of this tool costs\n", _costs(results), figures.section()]
    return "\n".join(parts)


def _group(case: Case) -> tuple[bool, int]:
    return case.after_stopped, -case.wait_seconds


def _comparison(rows: Iterable[tuple[Case, Mapping[str, Measurement]]]) -> str:
    """Return a table: the time of each approach, and how many were missing at once."""
    names = "".join(f" {name} | missing | launches |" for name in (OURS, *RIVALS))
    lines = [f"| World | Tasks | perfect |{names}", "|---|---|---|" + "---|---|---|" * 4]
    for case, measured in sorted(rows, key=lambda row: _place(row[0])):
        perfect = measured["perfect"].seconds
        cells = [case.pace, f"{case.tasks:,}", _duration(perfect)]
        for name in (OURS, *RIVALS):
            one = measured[name]
            ratio = ""
            if name == OURS and one.seconds is not None and perfect:
                ratio = f" ({one.seconds / perfect:.2f})"
            cells += [_duration(one.seconds) + ratio, _missing(case, one), str(one.launches)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _missing(case: Case, one: Measurement) -> str:
    count = case.tasks - one.lowest
    return f"**{count}**" if count else "0"


def _place(case: Case) -> tuple[int, str]:
    return case.tasks, case.pace


def _costs(results: Results) -> str:
    """Return a table: calls by operation, and what Lambda bills."""
    lines = [COSTS, f"| {' | '.join(COST_COLUMNS)} |", "|---" * len(COST_COLUMNS) + "|"]
    for case in sorted((each for each in results if each.wait_seconds), key=_place):
        ours, theirs = results[case][OURS], results[case][WAITER]
        lines.append(f"| {' | '.join(_cost_cells(case, ours, theirs))} |")
    return "\n".join(lines) + "\n"


def _cost_cells(case: Case, ours: Measurement, theirs: Measurement) -> list[str]:
    most = sorted(ours.calls.items(), key=lambda item: -item[1])[:3]
    seconds = ours.seconds or float("inf")
    return [
        case.pace,
        f"{case.tasks:,}",
        "after STOPPED" if case.after_stopped else "at once",
        f"{ours.calls_count / case.tasks:.1f}",
        f"{ours.calls_count / seconds:.2f}",
        ", ".join(f"{name} {count / case.tasks:.1f}" for name, count in most),
        _duration(ours.billed_seconds),
        f"{ours.processor_seconds / case.tasks * 1000:.0f} ms",
        f"{theirs.calls_count / case.tasks:.1f}",
    ]


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "never ends"
    return f"{seconds:,.0f} s"
