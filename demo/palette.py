"""Colours for a terminal, and none for anything else."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Mapping


class Colour(StrEnum):
    """ANSI's codes (SGR) of the few colours in use; they read on dark and on light ground."""

    GREEN = "32"
    YELLOW = "33"
    RED = "31"
    BLUE = "34"
    BOLD = "1"
    DIM = "2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Palette:
    """Paints, or leaves text as it is."""

    is_on: bool = False

    def paint(self, text: str, colour: Colour | None) -> str:
        """Return the text in a colour; None is the terminal's own."""
        if not self.is_on or colour is None or not text.strip():
            return text
        return f"\033[{colour}m{text}\033[0m"


def palette_for(stream: TextIO, environment: Mapping[str, str] = os.environ) -> Palette:
    """Return colours for a terminal, unless NO_COLOR is set (https://no-color.org)."""
    is_wanted = not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"
    return Palette(is_on=is_wanted and stream.isatty())
