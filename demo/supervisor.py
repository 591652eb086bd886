"""Run a command in a session of its own, and end all of it when whoever asked for it is gone.

`python supervisor.py COMMAND...` ends when the command does, with its exit status, or when its
own standard input ends. The kernel closes that pipe even for an owner that was killed, so no
process outlives a demo or a test. A process group would not do: the Lambda emulator puts the
runtime into a group of its own, but it stays in the session.

Linux only (/proc), as is the Lambda emulator.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

ENDED_BY_OWNER: Final = 128 + signal.SIGKILL
SWEEPS_COUNT: Final = 100
"""A process that forks while it is swept needs another sweep; none needs this many."""


def main(command: Sequence[str]) -> int:
    """Run the command and return its exit status; see the module's docstring."""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as child:
        threading.Thread(target=_end_with_owner, daemon=True).start()
        status = child.wait()
    end_session(os.getsid(0))
    return status if status >= 0 else 128 - status


def processes_of_session(session_id: int) -> set[int]:
    """Return the process ids alive in a session; those that only wait to be reaped are not."""
    entries = (entry for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return {int(entry.name) for entry in entries if _lives_in(entry, session_id)}


def end_session(session_id: int) -> None:
    """Kill every process of a session but the caller, until none is left."""
    for _ in range(SWEEPS_COUNT):
        others = processes_of_session(session_id) - {os.getpid()}
        if not others:
            return
        for process_id in others:
            _kill(process_id)


def _end_with_owner() -> None:
    # Unbuffered: a thread blocked inside sys.stdin's lock would stop the interpreter's exit.
    while os.read(sys.__stdin__.fileno() if sys.__stdin__ else 0, 4096):
        pass
    end_session(os.getsid(0))
    os._exit(ENDED_BY_OWNER)


def _lives_in(entry: Path, session_id: int) -> bool:
    try:
        # pid (name) state parent group session …; a name may itself hold spaces and brackets.
        state, _, _, session, *_ = (entry / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return int(session) == session_id and state not in {"Z", "X"}


def _kill(process_id: int) -> None:
    try:
        os.kill(process_id, signal.SIGKILL)
    except ProcessLookupError:
        return


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
