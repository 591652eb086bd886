"""Makes text from events and from AWS safe to print: printable, short, in one line or in lines."""

from __future__ import annotations

from typing import Final

_LONGEST_LINE: Final = 500
_LONGEST_PARAGRAPH: Final = 8_000  # A remedy's commands must not be cut.


def one_line(text: str | None, *, longest: int = _LONGEST_LINE) -> str:
    """Return a text as one printable line; control characters and line breaks become spaces."""
    return " ".join(_printable((text or "")[:longest]).split())


def lines(text: str | None) -> str:
    """Return a text as printable lines, without the empty ones."""
    parts = (text or "")[:_LONGEST_PARAGRAPH].splitlines()
    return "\n".join(filter(None, (_printable(part).strip() for part in parts)))


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else " " for char in text)
