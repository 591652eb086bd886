"""What a person at a terminal reads: headings, the log as it comes, a picture, and the verdict."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sys
import textwrap
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

WIDEST_COLUMNS: Final = 100
REDRAWN_EVERY_SECONDS: Final = 0.5
COLOURS: Final = {"█": 32, "◆": 36, "▒": 33, "·": 33, "░": 90, "━": 32, "▼": 31}
"""By sign of the picture, https://en.wikipedia.org/wiki/ANSI_escape_code#Colors."""

type Picture = Callable[[], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Promise:
    """What is claimed of the function, whether it holds, and what was seen."""

    claim: str
    holds: bool
    seen: str = ""


class Screen:
    """Standard output, from any thread. A picture may stay below all lines, on a terminal."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._picture: Picture | None = None
        self._drawn_count = 0

    @property
    def columns(self) -> int:
        """How wide a line may be: as the terminal, or as COLUMNS says, or 80."""
        return min(shutil.get_terminal_size().columns, WIDEST_COLUMNS)

    @property
    def is_terminal(self) -> bool:
        """Whether somebody looks at it, and a line can be drawn anew."""
        return sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"

    def write(self, *lines: str) -> None:
        """Write lines at once, above the picture that is kept."""
        with self._lock:
            picture = self._picture() if self._picture else ()
            fits = len(picture) < shutil.get_terminal_size().lines
            shown = self._painted(picture) if fits else ()
            # Up to where the last picture began, and away with all from there on.
            away = f"\x1b[{self._drawn_count}F\x1b[J" if self._drawn_count else ""
            try:
                sys.stdout.write(away + "".join(f"{line}\n" for line in (*lines, *shown)))
                sys.stdout.flush()
            except BrokenPipeError:
                # Nobody reads any more (`| head`): as when a terminal hangs up.
                sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
                os.kill(os.getpid(), signal.SIGHUP)
            self._drawn_count = len(shown)

    @contextmanager
    def keeps(self, picture: Picture) -> Iterator[None]:
        """Keep a picture up to date below all lines, on a terminal; leave its last state there.

        Elsewhere, write it once at the end.
        """
        over = threading.Event()
        redrawing = threading.Thread(target=self._redraw, args=(over,), daemon=True)
        if self.is_terminal:
            self._picture = picture
            redrawing.start()
        try:
            yield
        finally:
            over.set()
            with self._lock:
                self._picture, is_kept = None, self._picture is not None
                self.write(*self._painted(picture()))
        if is_kept:
            redrawing.join()

    def _redraw(self, over: threading.Event) -> None:
        while not over.wait(REDRAWN_EVERY_SECONDS):
            self.write()

    def _painted(self, picture: Sequence[str]) -> Sequence[str]:
        if not self.is_terminal or "NO_COLOR" in os.environ:
            return picture
        return [
            re.sub(r"([█◆▒·░━▼])\1*", lambda run: f"\x1b[{COLOURS[run[1]]}m{run[0]}\x1b[0m", line)
            for line in picture
        ]


SCREEN: Final = Screen()


def say(*lines: str) -> None:
    """Write lines at once."""
    SCREEN.write(*lines)


def tell(text: str) -> None:
    """Write a paragraph, as wide as the screen."""
    say(*textwrap.wrap(text, SCREEN.columns, break_on_hyphens=False))


def heading(text: str) -> None:
    """Write the title of what follows."""
    say("", text, "-" * min(len(text), SCREEN.columns))


def unfolded(value: Any, indent: int = 0) -> str:  # noqa: ANN401 - any JSON
    """Return JSON for reading: what fits on a line stands on one."""
    flat = json.dumps(value)
    if len(flat) + indent < SCREEN.columns - 4 or not isinstance(value, (dict, list)):
        return flat
    inner = indent + 2
    if isinstance(value, dict):
        first, last = "{}"
        parts = [f"{json.dumps(name)}: {unfolded(one, inner)}" for name, one in value.items()]
    else:
        first, last = "[]"
        parts = [unfolded(one, inner) for one in value]
    lines = ",\n".join(" " * inner + part for part in parts)
    return f"{first}\n{lines}\n{' ' * indent}{last}"


def log_record(line: str) -> Mapping[str, Any] | None:
    """Return the record of a line that the function has logged, None for any other line."""
    try:
        record = json.loads(line)
    except ValueError:
        return None
    is_ours = isinstance(record, dict) and {"timestamp", "level", "message"} <= record.keys()
    return record if is_ours else None


def log_line(line: str) -> None:
    """Write time, level and message of a JSON line of the log; leave out Lambda's own lines."""
    if record := log_record(line):
        at = datetime.fromisoformat(record["timestamp"])
        say(f"{at:%H:%M:%S} {record['level']:<7} {record['message']}")


def verdict(promises: Sequence[Promise]) -> bool:
    """Write whether each promise was kept; return whether all were."""
    heading("Did it keep its promises?")
    for each in promises:
        say(
            f"{'yes' if each.holds else 'NO '}  {each.claim}" + (f": {each.seen}" * bool(each.seen))
        )
    broken = [each.claim for each in promises if not each.holds]
    say("", f"BROKEN: {'; '.join(broken)}." if broken else f"All {len(promises)} promises kept.")
    return not broken
