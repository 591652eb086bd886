"""`make bench`: measure everything, and write docs/benchmarks.md and its plot."""

from __future__ import annotations

import argparse
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING, Final

import boto3

from ecs_emulator import World
from ecs_emulator.wire.in_process import attach
from tests.benchmarks import function
from tests.benchmarks.approaches import APPROACHES, OURS, MeteredSwitchboard
from tests.benchmarks.cases import PACES, Case, all_cases, short_cases
from tests.benchmarks.page import page
from tests.benchmarks.plot import in_service_plot
from tests.emulated.bench import ACCESS_KEY, Bench, OneSetOfClients

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.benchmarks.approaches import Measurement

PROJECT: Final = Path(__file__).parents[2]
PAGE: Final = PROJECT / "docs" / "benchmarks.md"
PLOT: Final = PROJECT / "docs" / "benchmarks.svg"
PLOTTED: Final = Case(pace="default", tasks=3, wait_seconds=30, after_stopped=True)


def measure(case: Case) -> dict[str, Measurement]:
    """Return what each approach does in a case."""
    with attach(MeteredSwitchboard(World())) as board:
        session = boto3.Session(
            aws_access_key_id=ACCESS_KEY, aws_secret_access_key="x", region_name="us-east-1"
        )
        bench = Bench(session=OneSetOfClients(session), board=board)
        return {name: approach(case, bench) for name, approach in APPROACHES.items()}


def measure_all(
    cases: Sequence[Case], processes: int
) -> Iterator[tuple[Case, Mapping[str, Measurement]]]:
    """Yield what was measured in each case, as it is there."""
    with ProcessPoolExecutor(processes) as pool:
        asked = {pool.submit(measure, case): case for case in cases}
        for done in as_completed(asked):
            yield asked[done], done.result()


def plot() -> str:
    """Return the plot of one case."""
    measured = measure(PLOTTED)
    lines = {name: one.in_service for name, one in measured.items() if name != "perfect"}
    title = "Three tasks replaced: how many are in service"
    return in_service_plot(lines, title=title)


def main() -> None:
    """Measure, and write the page and the plot."""
    options = _options()
    cases = short_cases() if options.short else all_cases()
    results = {}
    worlds = {name: _knobs(name) for name in PACES}
    options.plot.write_text(plot(), encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        figures = function.measure(Path(folder))
    for case, measured in measure_all(cases, options.processes):
        results[case] = measured
        ours = measured[OURS]
        seconds = "never ends" if ours.seconds is None else f"{ours.seconds:,.0f} s"
        sys.stderr.write(f"{len(results)}/{len(cases)} {case}: {seconds}, lowest {ours.lowest}\n")
        # Anew each time: what is there stays, if it is ended early.
        options.page.write_text(page(results, figures, worlds), encoding="utf-8")


def _knobs(pace: str) -> str:
    named = [f"`{name}={value}`" for name, value in PACES[pace].items()]
    return ", ".join(named) or "none"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--short", action="store_true", help="small services only")
    parser.add_argument("--processes", type=int, default=2, help="how many at once (default: 2)")
    parser.add_argument("--page", type=Path, default=PAGE, help="where to write the tables")
    parser.add_argument("--plot", type=Path, default=PLOT, help="where to write the plot")
    return parser.parse_args()


if __name__ == "__main__":
    main()
