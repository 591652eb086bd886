"""Where the client speaks: plain lines, or a terminal with a progress bar below them.

Whatever the text is, only printable characters reach it: what AWS and containers say may hold the
sequences by which a terminal is told to do other things than to show text.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from ecs_task_recycle_client.replies import Standing


class Screen(Protocol):
    """What the client speaks to."""

    def say(self, *lines: str) -> None:
        """Write lines."""
        ...

    def bar(self, title: str) -> AbstractContextManager[None]:
        """Show a bar, if this is a place for one, for as long as the `with` lasts."""
        ...

    def show(self, standing: Standing) -> None:
        """Let the bar show where a run stands."""
        ...


def printable(text: str) -> str:
    """Return a text with everything escaped that does not print, line breaks included."""
    return "".join(each if each.isprintable() else _escaped(each) for each in text)


def screen_on(stream: TextIO) -> Screen:
    """Return the screen for a stream: with a bar if it is a terminal that can show one."""
    console = Console(file=stream, highlight=False)
    is_able = stream.isatty() and console.is_terminal and not console.is_dumb_terminal
    return Terminal(console) if is_able else Lines(stream)


class Lines:
    """Plain lines, for pipes and logs."""

    def __init__(self, stream: TextIO) -> None:
        """Take the stream."""
        self._stream = stream

    def say(self, *lines: str) -> None:
        """Write lines, at once."""
        for line in lines:
            self._stream.write(f"{printable(line)}\n")
        self._stream.flush()

    def bar(self, title: str) -> AbstractContextManager[None]:  # noqa: ARG002 - there is none
        """Show nothing."""
        return nullcontext()

    def show(self, standing: Standing) -> None:
        """Show nothing: the lines tell it."""


class Terminal:
    """Lines, and a bar below them that goes away at its end."""

    def __init__(self, console: Console) -> None:
        """Take the console."""
        self._console = console
        self._bar: Progress | None = None
        self._row = TaskID(0)

    def say(self, *lines: str) -> None:
        """Write lines, above the bar if there is one. The terminal breaks them, not rich."""
        for line in lines:
            self._console.print(Text(printable(line)), soft_wrap=True)

    def bar(self, title: str) -> AbstractContextManager[None]:
        """Show a bar: in one row, and the end of the title, where the service is."""
        width = self._console.width
        title = cut(printable(title), width // 3)
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.fields[title]}", markup=False),
            BarColumn(bar_width=min(20, max(5, width - 60))),
            TextColumn("{task.description}", markup=False),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
        )
        self._row = self._bar.add_task("", total=None, title=title)
        return _Shown(self._bar)

    def show(self, standing: Standing) -> None:
        """Let the bar show where a run stands."""
        if self._bar is not None:
            total = standing.total or None
            text = printable(bar_text(standing))
            self._bar.update(self._row, total=total, completed=standing.number, description=text)


class _Shown(AbstractContextManager[None]):
    """A bar for as long as the `with` lasts."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar

    def __enter__(self) -> None:
        self._bar.start()

    def __exit__(self, *_: object) -> None:
        self._bar.stop()


def bar_text(standing: Standing) -> str:
    """Return what stands beside the bar: short, as the lines above it name the tasks."""
    if not standing.total:
        return "beginning"
    left = f", {minutes_text(standing.minutes_left)} left" if standing.minutes_left else ""
    return f"{standing.number}/{standing.total}{left}"


def cut(text: str, longest: int) -> str:
    """Return a text, or its end with dots in front, if it is longer than so many characters."""
    return text if len(text) <= longest else f"…{text[len(text) - longest + 1 :]}"


def minutes_text(minutes: int) -> str:
    """Return a duration as words."""
    hours, rest = divmod(minutes, 60)
    return " ".join(filter(None, (f"{hours} h" if hours else "", f"{rest} min" if rest else "")))


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
