"""The guardian's state machine as the template has it, and what is wrong with one.

`python -m tests.infrastructure.machine` says what is wrong with ours.
"""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Any, Final

from statelint.linter import Linter  # type: ignore[import-untyped]

from tests.infrastructure.template import stack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.infrastructure.template import Stack

PATH: Final = re.compile(r"\$\$?(\.[a-zA-Z_]+)*|States\.[A-Za-z]+\(\$(\.[a-zA-Z_]+)+(, \d+)?\)")
"""What is used of JSONPath: the whole, or a field by its name; and functions of one."""


def definition(of: Stack, name: str = "GuardianMachine") -> dict[str, Any]:
    """Return the definition of a machine with its substitutions filled in."""
    machine = of.resource(name)
    assert machine
    document = json.loads(machine["DefinitionString"])
    assert isinstance(document, dict)
    return document


def problems(document: dict[str, Any]) -> list[str]:
    """Return what Step Functions would refuse a state machine for, and paths unlike ours."""
    found = [str(each) for each in Linter.validate(document)]
    for name, state in document["States"].items():
        found += [f"{name}: the path {each!r}" for each in paths(state) if not PATH.fullmatch(each)]
        found += [f"{name}: {each}" for each in task_problems(state)]
    return found


def paths(part: object) -> Iterator[str]:
    """Return every path that stands in a part of a definition."""
    if isinstance(part, list):
        for each in part:
            yield from paths(each)
    elif isinstance(part, dict):
        for name, value in part.items():
            if name == "Variable" or name.endswith(("Path", ".$")):
                yield str(value)
            else:
                yield from paths(value)


def task_problems(state: dict[str, Any]) -> Iterator[str]:
    """Return what statelint lets pass: a task without anything to do, misplaced States.ALL."""
    if state["Type"] == "Task" and "Resource" not in state:
        yield "no Resource"
    *earlier, _ = [each["ErrorEquals"] for each in state.get("Retry", ())] or [[]]
    if any("States.ALL" in each for each in earlier):
        yield "States.ALL is not the last"


if __name__ == "__main__":
    sys.exit("\n".join(f"template.yaml: {each}" for each in problems(definition(stack()))) or 0)
