"""Functions stay short: what no rule of ruff measures (the rest is in pyproject.toml)."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from textwrap import dedent
from typing import Final

import pytest

PROJECT: Final = Path(__file__).parents[2]
MOST_LINES: Final = 40
MEDIAN_BELOW_LINES: Final = 10

PARTS: Final = {
    "product": [
        "lambda_function.py",
        "AWSSession.py",
        "Notification.py",
        "ecs_task_recycle/**/*.py",
    ],
    "client": ["ecs_task_recycle_client/**/*.py"],
    "emulator": ["ecs_emulator/**/*.py"],
    "demo": ["demo/**/*.py"],
    "verification": ["verify_aws/**/*.py"],
}

type Definition = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """How many lines a function has, its decorators and its docstring left out."""

    name: str
    place: str
    lines_count: int

    def __str__(self) -> str:
        return f"{self.place} {self.name}"


def functions_of(source: str, place: str = "source") -> list[Function]:
    return [
        Function(name=node.name, place=f"{place}:{node.lineno}", lines_count=lines_count(node))
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def lines_count(node: Definition) -> int:
    first = node.body[0]
    docstring_lines = 0
    if ast.get_docstring(node, clean=False) is not None:
        docstring_lines = (first.end_lineno or first.lineno) - first.lineno + 1
    return (node.end_lineno or node.lineno) - node.lineno + 1 - docstring_lines


def files_of(part: str) -> list[Path]:
    return sorted(path for pattern in PARTS[part] for path in PROJECT.glob(pattern))


def functions_in(part: str) -> list[Function]:
    return [
        function
        for path in files_of(part)
        for function in functions_of(path.read_text(), str(path.relative_to(PROJECT)))
    ]


def too_long(functions: list[Function]) -> list[str]:
    return [f"{one}: {one.lines_count} lines" for one in functions if one.lines_count > MOST_LINES]


@pytest.mark.parametrize("part", PARTS)
def test_there_is_something_to_measure(part: str) -> None:
    assert functions_in(part)


@pytest.mark.parametrize("part", PARTS)
def test_no_function_is_longer_than_40_lines(part: str) -> None:
    assert not too_long(functions_in(part))


def test_no_test_is_longer_than_40_lines_either() -> None:
    paths = sorted(PROJECT.glob("tests/**/*.py"))
    functions = [one for path in paths for one in functions_of(path.read_text(), path.name)]
    assert functions
    assert not too_long(functions)


def test_no_module_of_product_or_verification_is_longer_than_300_lines() -> None:
    packages = [PROJECT / "ecs_task_recycle", PROJECT / "verify_aws"]
    modules = [*(path for each in packages for path in each.glob("*.py")), *PROJECT.glob("l*.py")]
    long = {
        path.name: count for path in modules if (count := len(path.read_text().splitlines())) > 300
    }
    assert not long


@pytest.mark.parametrize("part", PARTS)
def test_half_of_the_functions_are_shorter_than_10_lines(part: str) -> None:
    assert median(one.lines_count for one in functions_in(part)) < MEDIAN_BELOW_LINES


def only(source: str) -> Function:
    (function,) = functions_of(dedent(source))
    return function


def test_a_function_of_41_lines_is_found() -> None:
    fits = "def f():\n" + "    x = 1\n" * 39
    assert not too_long(functions_of(fits))
    assert too_long(functions_of(fits + "    x = 1\n")) == ["source:1 f: 41 lines"]


def test_neither_a_docstring_nor_decorators_make_a_function_longer() -> None:
    source = '''
        @first
        @second
        def f():
            """One.

            Two.
            """
            return 1
    '''
    assert only(source).lines_count == 2
