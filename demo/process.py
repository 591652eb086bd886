"""A local server process whose lines can be read as they come, and which never stays behind."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import IO, TYPE_CHECKING, Final, Self

from demo import supervisor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

END_WITHIN_SECONDS: Final = 10.0


class LocalProcess:
    """A command under `demo.supervisor`: started on entry, ended with all its children on exit.

    `lines` holds what it wrote to standard output so far, `diagnostics` its standard error, both
    without line ends. `on_line` gets each line of the former at once, on a thread of its own.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        folder: Path,
        on_line: Callable[[str], None] | None = None,
    ) -> None:
        self._command = [sys.executable, supervisor.__file__, *command]
        self._environment = dict(environment)
        self._folder = folder
        self._on_line = on_line
        self._process: subprocess.Popen[str] | None = None
        self._readers: list[threading.Thread] = []
        self._changed = threading.Condition()
        self._is_over = False
        self.lines: list[str] = []
        self.diagnostics: list[str] = []

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command,
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        self._read(self._process.stdout, self._take_line, at_the_end=self._close_lines)
        self._read(self._process.stderr, self._take_diagnostic)
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        for reader in self._readers:
            reader.join(END_WITHIN_SECONDS)
        if any(reader.is_alive() for reader in self._readers):
            raise RuntimeError(f"Something of session {self.session_id} has outlived its end.")
        for pipe in (self._started.stdout, self._started.stderr):
            if pipe is not None:
                pipe.close()

    @property
    def session_id(self) -> int:
        """The session in which the command and all its children live."""
        return self._started.pid

    @property
    def is_running(self) -> bool:
        """Whether the command has not ended yet."""
        return self._started.poll() is None

    def kill(self) -> None:
        """End the command and all its children at once, without a chance to tidy up."""
        stdin = self._started.stdin
        if stdin is not None and not stdin.closed:
            stdin.close()
        try:
            self._started.wait(END_WITHIN_SECONDS)
        finally:
            # Should the supervisor itself have been killed, its session is still known.
            supervisor.end_session(self.session_id)
            self._started.wait(END_WITHIN_SECONDS)

    def wait_for_line(self, text: str, *, timeout_seconds: float = 30.0) -> str:
        """Return the first line that holds the text, now or when it comes; else TimeoutError.

        A process that has ended writes no more lines, so its end is not waited out.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self._is_over or self._find(text) is not None, timeout_seconds
            )
            line = self._find(text)
        if line is None:
            when = "before the end" if self._is_over else f"within {timeout_seconds} s"
            raise TimeoutError(f"No line with {text!r} came {when}.")
        return line

    @property
    def _started(self) -> subprocess.Popen[str]:
        if self._process is None:
            raise RuntimeError("Not started yet: use it in a with statement.")
        return self._process

    def _find(self, text: str) -> str | None:
        return next((line for line in self.lines if text in line), None)

    def _read(
        self,
        pipe: IO[str] | None,
        take: Callable[[str], None],
        at_the_end: Callable[[], None] = lambda: None,
    ) -> None:
        reader = threading.Thread(target=_each_line, args=(pipe, take, at_the_end), daemon=True)
        reader.start()
        self._readers.append(reader)

    def _take_line(self, line: str) -> None:
        with self._changed:
            self.lines.append(line)
            self._changed.notify_all()
        if self._on_line is not None:
            self._on_line(line)

    def _close_lines(self) -> None:
        with self._changed:
            self._is_over = True
            self._changed.notify_all()

    def _take_diagnostic(self, line: str) -> None:
        self.diagnostics.append(line)


def _each_line(pipe: IO[str], take: Callable[[str], None], at_the_end: Callable[[], None]) -> None:
    for line in pipe:
        take(line.rstrip("\r\n"))
    at_the_end()
