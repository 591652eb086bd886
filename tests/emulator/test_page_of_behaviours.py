"""docs/emulator.md: the knobs, methods and tests that it names are there, with those defaults."""

from __future__ import annotations

import ast
import re
from dataclasses import fields
from pathlib import Path
from typing import Final

import pytest

from ecs_emulator import Knobs, ServiceSetup, World

TESTS: Final = Path(__file__).parent
PAGE: Final = (TESTS.parents[1] / "docs/emulator.md").read_text()
COLUMNS: Final = 5
DEFAULTS: Final = {each.name: str(each.default) for each in fields(Knobs)}


def rows() -> list[list[str]]:
    """The cells of every row that is neither a heading nor a rule."""
    lines = [line.strip("|").split("|") for line in PAGE.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line] for line in lines]
    return [row for row in cells if row[0] != "Behaviour" and set(row[0]) != {"-"}]


def codes(kind: str) -> list[str]:
    """What stands in code after the word `kind` or its plural, in the emulator's column."""
    word = rf"(?<!\w){kind}s?((?:,? (?:and )?`[^`]+`)+)"
    found = [group for row in rows() for group in re.findall(word, row[3])]
    return [code for group in found for code in re.findall(r"`([^`]+)`", group)]


def test_every_row_has_all_its_cells_and_ends_with_a_test() -> None:
    wrong = [row for row in rows() if len(row) != COLUMNS or not all(row) or "::" not in row[-1]]
    assert wrong == []


@pytest.mark.parametrize("named", sorted({row[-1].strip("`") for row in rows()}))
def test_a_test_that_the_page_names_exists(named: str) -> None:
    name, _, function = named.partition("::")
    tree = ast.parse((TESTS / f"{name}.py").read_text())
    assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_knob_stands_on_the_page_with_its_default() -> None:
    said = {code.partition("=")[0]: code.partition("=")[2] for code in codes("knob")}
    assert said == DEFAULTS


def test_every_option_and_method_on_the_page_exists() -> None:
    options = {each.name for each in fields(ServiceSetup)}
    assert {code for code in codes("option") if code not in options} == set()
    assert {code for code in codes("method") if not hasattr(World(), code)} == set()
    assert len(codes("method")) > 10
