"""Processes that never stay behind: servers whose lines can be read as they come, and commands.

Each runs in a session of its own, under a supervisor: this file, run as a program. It kills the
session when its standard input ends, and the kernel closes that pipe even for an owner that was
killed. A process group would not do: the Lambda emulator puts the runtime into a group of its own.

Linux only (/proc), as is the Lambda emulator.
"""

from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

LOCALHOST: Final = "127.0.0.1"
STARTS_WITHIN_SECONDS: Final = 60.0
END_WITHIN_SECONDS: Final = 10.0


class DemoError(RuntimeError):
    """Something that the demo needs is missing or did not start; the sentence says what."""


class LocalProcess:
    """A command, ended with all its children at the end of the `with`.

    `lines` holds what it wrote to standard output so far, `errors` its standard error, both
    without line ends. `on_line` gets each line of the former at once, on a thread of its own.
    With a `port` it is a server, waited for until it answers at `url`.
    """

    def __init__(
        self,
        *command: str,
        environment: Mapping[str, str],
        folder: Path,
        port: int = 0,
        on_line: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._command = command
        self._environment = dict(environment)
        self._folder = folder
        self._port = port
        self._on_line = on_line
        self._readers: list[threading.Thread] = []
        self.url = f"http://{LOCALHOST}:{port}"
        self.lines: list[str] = []
        self.errors: list[str] = []

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            [sys.executable, "-I", __file__, *self._command],
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        for pipe, take in (
            (self.process.stdout, self._take),
            (self.process.stderr, self.errors.append),
        ):
            reader = threading.Thread(target=_each_line, args=(pipe, take), daemon=True)
            reader.start()
            self._readers.append(reader)
        if self._port and not self._starts():
            self.__exit__()
            said = " ".join([*self.lines, *self.errors][-5:])
            raise DemoError(f"{self._command[0]} did not start: {said}")
        return self

    def __exit__(self, *_: object) -> None:
        end_session(self.process.pid)  # the supervisor included, which leads it
        self.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            (pipe or io.StringIO()).close()

    def wait(self) -> int:
        """Wait for its end and for its last lines; return the exit status."""
        status = self.process.wait()
        for reader in self._readers:
            reader.join(END_WITHIN_SECONDS)
        return status

    def _starts(self) -> bool:
        def has_ended_or_answers() -> bool:
            return self.process.poll() is not None or self._answers()

        becomes_true(has_ended_or_answers, within_seconds=STARTS_WITHIN_SECONDS)
        return self._answers()

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((LOCALHOST, self._port)) == 0

    def _take(self, line: str) -> None:
        self.lines.append(line)
        self._on_line(line)


def _each_line(pipe: Iterable[str], take: Callable[[str], object]) -> None:
    for line in pipe:
        take(line.rstrip("\r\n"))


def run(
    *command: str, environment: Mapping[str, str], folder: Path
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; an interruption ends it with all its children."""
    with LocalProcess(*command, environment=environment, folder=folder) as process:
        status = process.wait()
    output, errors = ("\n".join(lines) for lines in (process.lines, process.errors))
    return subprocess.CompletedProcess(command, status, output, errors)


def environment_in(folder: Path) -> dict[str, str]:
    """Return an environment with a made-up account, no proxy, and our Python and AWS CLI first."""
    return {
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "made-up-for-this-machine",
        "AWS_SESSION_TOKEN": "made-up-for-this-machine",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", ""))),
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def becomes_true(condition: Callable[[], bool], *, within_seconds: float) -> bool:
    """Wait for a condition; return whether it came true in time."""
    give_up_at = time.monotonic() + within_seconds
    while not (is_true := condition()) and time.monotonic() < give_up_at:
        time.sleep(0.05)
    return is_true


def free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 on which nothing listens."""
    probes = [socket.create_server((LOCALHOST, 0)) for _ in range(count)]
    ports: list[int] = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def processes_of_session(session_id: int) -> set[int]:
    """Return the process ids alive in a session; those that only wait to be reaped are not."""
    ids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return {process_id for process_id in ids if _lives_in(process_id, session_id)}


def _lives_in(process_id: int, session_id: int) -> bool:
    try:
        # pid (name) state parent group session …; a name may itself hold spaces and brackets.
        stat = Path(f"/proc/{process_id}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    state, _, _, session, *_ = stat.rpartition(")")[2].split()
    return int(session) == session_id and state not in {"Z", "X"}


def end_session(session_id: int) -> None:
    """Kill every process of a session but the caller, until none is left."""
    while others := processes_of_session(session_id) - {os.getpid()}:
        for process_id in others:
            _kill(process_id)


def _kill(process_id: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(process_id, signal.SIGKILL)


def supervise(*command: str) -> int:
    """Run the command and return its exit status; end when it does, or standard input."""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as child:
        threading.Thread(target=_end_with_owner, daemon=True).start()
        status = child.wait()
    end_session(os.getsid(0))
    return status if status >= 0 else 128 - status


def _end_with_owner() -> None:
    # Unbuffered: a thread blocked inside sys.stdin's lock would stop the interpreter's exit.
    while os.read(0, 4096):
        pass
    end_session(os.getsid(0))
    _kill(os.getpid())


if __name__ == "__main__":
    sys.exit(supervise(*sys.argv[1:]))
