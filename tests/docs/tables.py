"""The tables of the pages that the code has a say in.

`python -m tests.docs.tables` writes them between their markers. What the code knows is written
anew; the words beside it are kept by row, and stay empty in a new one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ecs_emulator.api.autoscaling import PROBED_ACTIONS
from ecs_task_recycle.errors import RecycleError
from ecs_task_recycle.settings.parameters import (
    PARAMETERS,
    REQUIRED,
    SWEEP_PARAMETERS,
    Parameter,
)
from tests.docs.markdown import table
from tests.docs.pages import PROJECT
from tests.infrastructure.policy import actions_in
from tests.source import texts_here

NOT_CALLED_BY_US: Final = ("logs:CreateLogStream", "logs:PutLogEvents", *PROBED_ACTIONS)
"""Lambda writes the log; Application Auto Scaling checks what its caller may."""

NONE: Final = {
    "started_before": "the start of the run",
    "finish_within_minutes": "no limit",
    "window": "always",
    "older_than_hours": "tasks of any age",
    "tasks": "all tasks",
    "alarms": "none",
    "services": "-",
    "tagged": "-",
    "uses": "-",
    "sweep": "-",
}
"""What stands for a default of nothing, by parameter."""

type Row = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table of a page: its columns, and of each row what the code knows, the first cell too."""

    name: str
    page: Path
    columns: tuple[str, ...]
    rows: Callable[[], Sequence[Row]]

    def written(self, text: str) -> str:
        """Return the page with this table as the code has it. Raises LookupError: no markers."""
        begin, end = f"<!-- {self.name}: python -m tests.docs.tables -->\n", "<!-- end -->\n"
        found = re.search(re.escape(begin) + "(.*?)" + end, text, re.DOTALL)
        if found is None:
            raise LookupError(f"{self.page.name} has no markers for the table {self.name}")
        lines = "\n".join(self._lines(found[1])) + "\n"
        return text[: found.start()] + begin + lines + end + text[found.end() :]

    def _lines(self, now: str) -> list[str]:
        key = self.columns[0]
        told = {row[key]: row for row in table(now, key)}
        known = {row[key]: row for row in self.rows()}
        # The page's order: it tells a story that the code's does not.
        order = sorted(known, key=lambda each: list(told).index(each) if each in told else 99)
        rows = [{**told.get(each, {}), **known[each]} for each in order]
        cells = [[row.get(column, "") for column in self.columns] for row in rows]
        head = [list(self.columns), ["---"] * len(self.columns)]
        return [_line(each) for each in (*head, *cells)]


def _line(cells: Sequence[str]) -> str:
    return "|" + "|".join(cells) + "|" if set(cells) == {"---"} else f"| {' | '.join(cells)} |"


def parameters() -> list[Row]:
    """Return what the settings know of each parameter."""
    return [
        {
            "Parameter": f"`{each.name}`",
            "Required": "yes" if each.default is REQUIRED else "no",
            "Default": _default(each),
            "Expected": each.expected,
        }
        for each in PARAMETERS
    ]


def sweep_parameters() -> list[Row]:
    """Return what the settings know of each parameter of an event for many services."""
    return [
        {
            "Parameter for many services": f"`{each.name}`",
            "Default": _default(each),
            "Expected": each.expected,
        }
        for each in SWEEP_PARAMETERS
    ]


def _default(parameter: Parameter[object]) -> str:
    if parameter.default is REQUIRED:
        return "-"
    if parameter.default in (None, ()):
        return NONE[parameter.name]
    return f"`{json.dumps(parameter.default)}`"


def errors() -> list[Row]:
    """Return the classes of errors."""
    return [{"Error": f"`{each.__name__}`"} for each in RecycleError.__subclasses__()]


def actions() -> list[Row]:
    """Return the IAM actions that the code names, and those that others use for it."""
    texts = texts_here("ecs_task_recycle")
    named = {action for text in texts.values() for action in actions_in(text)}
    return [{"Action": f"`{each}`"} for each in sorted({*named, *NOT_CALLED_BY_US})]


TABLES: Final = (
    Table(
        name="parameters",
        page=PROJECT / "README.md",
        columns=("Parameter", "Required", "Default", "Expected", "Description"),
        rows=parameters,
    ),
    Table(
        name="sweep parameters",
        page=PROJECT / "docs/many-services.md",
        columns=("Parameter for many services", "Default", "Expected", "Description"),
        rows=sweep_parameters,
    ),
    Table(
        name="errors",
        page=PROJECT / "docs/reference.md",
        columns=("Error", "Meaning", "What to do"),
        rows=errors,
    ),
    Table(
        name="actions",
        page=PROJECT / "docs/iam.md",
        columns=("Action", "Used in", "When"),
        rows=actions,
    ),
)


def main() -> None:
    """Write every table anew."""
    for each in TABLES:
        each.page.write_text(each.written(each.page.read_text()))


if __name__ == "__main__":
    main()
