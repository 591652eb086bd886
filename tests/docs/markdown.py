"""The parts of a Markdown page that can be held against the code."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_FENCE: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CODE: Final = re.compile(r"`([^`]+)`")
_HEADING: Final = re.compile(r"^(#+) (.+)$", re.MULTILINE)
_LINK: Final = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fence:
    """A fenced block: the language it names, and what stands in it."""

    language: str
    body: str


def fences(text: str, language: str | None = None) -> list[Fence]:
    found = [Fence(language=each[1], body=each[2]) for each in _FENCE.finditer(text)]
    return [each for each in found if language in (None, each.language)]


def without_fences(text: str) -> str:
    return _FENCE.sub("", text)


def table(text: str, first_column: str) -> list[dict[str, str]]:
    """Return the rows of the tables whose first column is named so, by their columns' names."""
    blocks = re.findall(r"(?:^\|.*\n?)+", text, re.MULTILINE)
    tables = [[_cells(line) for line in block.strip().splitlines()] for block in blocks]
    found = [each for each in tables if each[0][0] == first_column]
    assert found, f"there is no table with a first column {first_column!r}"
    return [dict(zip(head, row, strict=True)) for head, _, *rows in found for row in rows]


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def codes(text: str) -> list[str]:
    """Return what stands between backticks; a line break inside counts as a space."""
    return [" ".join(each.split()) for each in _CODE.findall(without_fences(text))]


def section(text: str, heading: str) -> str:
    """Return a section with its subsections, without its own heading."""
    bare = _FENCE.sub(lambda each: "\n" * each[0].count("\n"), text)
    headings = [(each.start(), each.end(), len(each[1]), each[2]) for each in headings_of(bare)]
    for index, (_, end, level, name) in enumerate(headings):
        if name == heading:
            later = [start for start, _, lower, _ in headings[index + 1 :] if lower <= level]
            return bare[end : later[0] if later else len(bare)]
    raise AssertionError(f"there is no section {heading!r}")


def headings_of(text: str) -> list[re.Match[str]]:
    return list(_HEADING.finditer(text))


def anchors(text: str) -> set[str]:
    """Return the anchors of the headings, as GitHub makes them."""
    names = [each[2].lower() for each in headings_of(without_fences(text))]
    return {re.sub(r"[^\w\- ]", "", name).replace(" ", "-") for name in names}


def links(text: str) -> list[str]:
    return _LINK.findall(without_fences(text))
