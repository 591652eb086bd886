"""The house's measures that no rule of ruff takes (the rest is in pyproject.toml)."""

from __future__ import annotations

from collections import Counter
from pathlib import PurePath
from statistics import median
from typing import Final

import pytest

from tests.source import (
    PRODUCT,
    WRITES,
    Function,
    classes_of,
    commands_of,
    functions_of,
    texts_here,
)

FUNCTION_LINES: Final = 40
MEDIAN_BELOW_LINES: Final = 10
MODULE_LINES: Final = 400
ROOM_MODULES: Final = 10
COLLABORATORS: Final = 6

PARTS: Final = {
    "product": PRODUCT,
    "emulator": ("ecs_emulator",),
    "demo": ("demo",),
    "verification": ("verify_aws",),
    "client": ("ecs_task_recycle_client",),
    "tests": ("tests",),
}
ENGINE: Final = "ecs_task_recycle"


def too_long(functions: list[Function]) -> list[str]:
    long = [each for each in functions if each.lines_count > FUNCTION_LINES]
    return [f"{each}: {each.lines_count} lines" for each in long]


@pytest.mark.parametrize("part", PARTS)
def test_no_function_is_longer_than_40_lines(part: str) -> None:
    functions = functions_of(texts_here(*PARTS[part]))
    assert functions
    assert too_long(functions) == []


@pytest.mark.parametrize("part", ["product", "emulator", "demo", "verification"])
def test_half_of_the_functions_are_shorter_than_10_lines(part: str) -> None:
    functions = functions_of(texts_here(*PARTS[part]))
    assert median(each.lines_count for each in functions) < MEDIAN_BELOW_LINES


def test_a_function_of_41_lines_is_found_whatever_its_docstring() -> None:
    fits = 'def f():\n    """One.\n\n    Two."""\n' + "    x = 1\n" * 39
    assert too_long(functions_of({"a.py": fits})) == []
    assert too_long(functions_of({"a.py": fits + "    x = 1\n"})) == ["a.py:1 f: 41 lines"]


@pytest.mark.parametrize("part", ["product", "emulator", "demo", "verification"])
def test_no_module_is_longer_than_400_lines(part: str) -> None:
    texts = texts_here(*PARTS[part])
    counts = {path: len(text.splitlines()) for path, text in texts.items()}
    assert {path: count for path, count in counts.items() if count > MODULE_LINES} == {}


def test_no_room_has_more_than_ten_modules() -> None:
    paths = [PurePath(path) for path in texts_here(ENGINE)]
    modules = [path for path in paths if path.name != "__init__.py"]
    counts = Counter(path.parent.as_posix() for path in modules if path.parent.name != ENGINE)
    assert {name for name, count in counts.items() if count > ROOM_MODULES} == set()


def test_no_question_writes_to_aws() -> None:
    """A write is found by the name of the gateway's or the table's method."""
    functions = functions_of(texts_here(*PRODUCT))
    acting = [each for each in commands_of(functions) if each.is_question]
    found = {f"{each.place.partition(':')[0]} {each.name}" for each in acting}
    assert found == set()


def test_the_writes_that_are_looked_for_are_there() -> None:
    functions = functions_of(texts_here(f"{ENGINE}/aws", f"{ENGINE}/record"))
    known = {name for each in functions for name in (each.name, *each.called)}
    assert known >= WRITES


def test_no_constructor_takes_more_than_six_collaborators() -> None:
    """A collaborator is one of our classes that is no value: not frozen, no enum, no error."""
    classes = classes_of(texts_here(*PRODUCT))
    counts = {name: len(each.collaborators(classes)) for name, each in classes.items()}
    assert max(counts.values()) > 0
    assert {name: count for name, count in counts.items() if count > COLLABORATORS} == {}
