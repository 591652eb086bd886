"""Which version of the product this is: lambda_build.sh writes it into the zip."""

from __future__ import annotations

from pathlib import Path
from typing import Final

FILE: Final = Path(__file__).with_name("version.txt")


def _read() -> str:
    try:
        return FILE.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return "not packaged"


VERSION: Final = _read()
"""As git describes the last commit that changed what is in the zip."""
