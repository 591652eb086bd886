"""What users read: README.md and the pages in docs/. A table or an example may stand on any."""

from __future__ import annotations

from pathlib import Path
from typing import Final

PROJECT: Final = Path(__file__).parents[2]
README_PATH: Final = PROJECT / "README.md"
README: Final = README_PATH.read_text()
GUIDES: Final = {path: path.read_text() for path in sorted((PROJECT / "docs").glob("*.md"))}
MANUAL: Final = "\n".join([README, *GUIDES.values()])
"""All of them, one after the other."""


def guide(name: str) -> str:
    """Return the text of one page in docs/."""
    return GUIDES[PROJECT / f"docs/{name}.md"]
