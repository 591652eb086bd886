"""Links that lead somewhere, decisions of half a page, and a changelog."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from tests.docs.guards import broken_links
from tests.docs.markdown import headings_of
from tests.docs.pages import GUIDES, PROJECT, README, README_PATH

if TYPE_CHECKING:
    from pathlib import Path

DECISIONS: Final = sorted((PROJECT / "docs/decisions").glob("*.md"))
HALF_A_PAGE_LINES: Final = 35


def pages() -> dict[Path, str]:
    others = {path: path.read_text() for path in (PROJECT / "CHANGELOG.md", *DECISIONS)}
    return {README_PATH: README, **GUIDES, **others}


def decision_problems(name: str, text: str) -> list[str]:
    number = int(name[:4])
    headings = [each[2] for each in headings_of(text)]
    return [
        *([] if headings[0].startswith(f"{number}. ") else [f"{name}: its title has no {number}"]),
        *([] if headings[1:] == ["Context", "Decision", "Price"] else [f"{name}: {headings[1:]}"]),
        *([] if text.count("\n") <= HALF_A_PAGE_LINES else [f"{name}: more than half a page"]),
    ]


def test_every_relative_link_leads_somewhere() -> None:
    assert broken_links(pages()) == []


def test_every_decision_has_its_context_and_its_price() -> None:
    assert [
        each for path in DECISIONS for each in decision_problems(path.name, path.read_text())
    ] == []


def gaps(numbers: list[int], texts: list[str]) -> list[int]:
    """Return the numbers that are missing although no decision says that it replaces them."""
    replacing = [line for text in texts for line in re.findall(r"^Replaces .*", text, re.MULTILINE)]
    replaced = {int(each) for line in replacing for each in re.findall(r"\d+", line)}
    return sorted(set(range(1, max(numbers) + 1)) - set(numbers) - replaced)


def test_the_decisions_are_numbered_and_only_replaced_ones_are_missing() -> None:
    numbers = [int(path.name[:4]) for path in DECISIONS]
    assert len(set(numbers)) == len(numbers) > 0
    assert gaps(numbers, [path.read_text() for path in DECISIONS]) == []


def test_the_changelog_names_its_versions_and_what_kind_of_change_each_is() -> None:
    headings = headings_of((PROJECT / "CHANGELOG.md").read_text())
    versions = [each[2] for each in headings if len(each[1]) == 2]
    kinds = {each[2] for each in headings if len(each[1]) == 3}
    dated = re.compile(r"\[\d+\.\d+\.\d+\] - (unreleased|\d{4}-\d{2}-\d{2})")
    assert [each for each in versions if not dated.fullmatch(each)] == []
    assert versions
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
