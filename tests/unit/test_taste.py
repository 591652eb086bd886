"""Functions stay short, flat and easy to call; measured on the syntax tree, not on the layout."""

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
MOST_LEVELS: Final = 3
MOST_POSITIONAL: Final = 4

PARTS: Final = {
    "product": [
        "lambda_function.py",
        "AWSSession.py",
        "Notification.py",
        "ecs_task_recycle/**/*.py",
    ],
    "emulator": ["ecs_emulator/**/*.py"],
    "demo": ["demo/**/*.py"],
}

type Definition = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """What is measured of one function.

    `lines_count` leaves decorators and the docstring out. `levels_count`: the body is the first
    level of indentation, a block in it the second. A function within is measured by itself.
    `positional_count` leaves self and cls out, and what a caller of another house insists on
    giving although nobody wants it: the parameters that begin with an underscore.
    """

    name: str
    place: str
    lines_count: int
    levels_count: int
    positional_count: int

    def __str__(self) -> str:
        return f"{self.place} {self.name}"


def functions_of(source: str, place: str = "source") -> list[Function]:
    tree = ast.parse(source)
    methods = {
        id(node)
        for found in ast.walk(tree)
        if isinstance(found, ast.ClassDef)
        for node in found.body
    }
    definitions = [
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    return [measured(node, place, is_method=id(node) in methods) for node in definitions]


def measured(node: Definition, place: str, *, is_method: bool) -> Function:
    decorators = {ast.unparse(decorator) for decorator in node.decorator_list}
    is_bound = is_method and "staticmethod" not in decorators
    named = [one for one in node.args.posonlyargs + node.args.args if one.arg[0] != "_"]
    return Function(
        name=node.name,
        place=f"{place}:{node.lineno}",
        lines_count=lines_count(node),
        levels_count=levels_count(node.body),
        positional_count=len(named) - is_bound,
    )


def lines_count(node: Definition) -> int:
    first = node.body[0]
    docstring_lines = 0
    if ast.get_docstring(node, clean=False) is not None:
        docstring_lines = (first.end_lineno or first.lineno) - first.lineno + 1
    return (node.end_lineno or node.lineno) - node.lineno + 1 - docstring_lines


def levels_count(body: list[ast.stmt]) -> int:
    return 1 + max((levels_count(block) for node in body for block in blocks_of(node)), default=0)


def blocks_of(node: ast.stmt | ast.ExceptHandler | ast.match_case) -> list[list[ast.stmt]]:
    """The blocks that stand one level deeper than the statement; an `elif` is none of its own."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return []
    blocks = [getattr(node, name, []) for name in ("body", "finalbody")]
    otherwise = getattr(node, "orelse", [])
    if isinstance(node, ast.If) and len(otherwise) == 1 and isinstance(otherwise[0], ast.If):
        blocks += blocks_of(otherwise[0])
    else:
        blocks.append(otherwise)
    blocks += [handler.body for handler in getattr(node, "handlers", [])]
    if isinstance(node, ast.Match):
        cases: list[ast.stmt] = [ast.If(ast.Constant(1), case.body, []) for case in node.cases]
        blocks.append(cases)
    return [block for block in blocks if block]


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


def too_deep(functions: list[Function]) -> list[str]:
    return [
        f"{one}: {one.levels_count} levels" for one in functions if one.levels_count > MOST_LEVELS
    ]


def too_positional(functions: list[Function]) -> list[str]:
    return [
        f"{one}: {one.positional_count} positional parameters"
        for one in functions
        if one.positional_count > MOST_POSITIONAL
    ]


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


@pytest.mark.parametrize("part", PARTS)
def test_half_of_the_functions_are_shorter_than_10_lines(part: str) -> None:
    assert median(one.lines_count for one in functions_in(part)) < MEDIAN_BELOW_LINES


@pytest.mark.parametrize("part", PARTS)
def test_no_function_goes_deeper_than_three_levels(part: str) -> None:
    assert not too_deep(functions_in(part))


@pytest.mark.parametrize("part", PARTS)
def test_parameters_past_the_fourth_are_keyword_only(part: str) -> None:
    assert not too_positional(functions_in(part))


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


def test_a_fourth_level_is_found() -> None:
    source = """
        def f():
            for a in b:
                if a:
                    while c:
                        d()
    """
    assert too_deep([only(source)]) == ["source:2 f: 4 levels"]


@pytest.mark.parametrize(
    "body,levels",
    [
        ("pass", 1),
        ("if a:\n  b()\nelif c:\n  d()\nelse:\n  e()", 2),
        ("if a:\n  b()\nelse:\n  c()\n  if d:\n    e()", 3),
        ("try:\n  a()\nexcept E:\n  if b:\n    c()\nfinally:\n  d()", 3),
        ("try:\n  a()\nfinally:\n  for b in c:\n    d()", 3),
        ("with a:\n  for b in c:\n    if d:\n      e()", 4),
        ("match a:\n  case 1:\n    b()", 3),
        ("match a:\n  case 1:\n    if b:\n      c()", 4),
        ("for a in b:\n  c()\nelse:\n  if d:\n    e()", 3),
        ("while a:\n  def g():\n    if b:\n      c()", 2),
        ("x = [a for b in c for a in b if a]", 1),
    ],
)
def test_levels_are_counted_as_the_eye_sees_them(body: str, levels: int) -> None:
    lines = "\n".join(f"  {line}" for line in body.splitlines())
    assert functions_of(f"def f():\n{lines}")[0].levels_count == levels


def test_a_fifth_positional_parameter_is_found() -> None:
    assert too_positional([only("def f(a, b, c, d, e): pass")])
    assert not too_positional([only("def f(a, b, c, d, *, e, f): pass")])


def test_a_parameter_that_only_the_caller_wants_is_not_counted() -> None:
    assert only("def f(a, b, c, d, _e): pass").positional_count == 4


def test_self_is_not_counted_as_a_parameter() -> None:
    assert only("class C:\n    def f(self, a, b, c, d): pass").positional_count == 4
    assert only("class C:\n    @staticmethod\n    def f(a, b): pass").positional_count == 2
