"""What a person at the terminal reads and answers."""

from __future__ import annotations

import sys


def say(*lines: str) -> None:
    """Write lines at once."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def complain(line: str) -> None:
    """Write what went wrong."""
    sys.stderr.write(f"verify-aws: {line}\n")
    sys.stderr.flush()


def is_agreed_to(question: str) -> bool:
    """Ask; only "yes", in full, is a yes."""
    sys.stdout.write(f"{question} Type yes to go on: ")
    sys.stdout.flush()
    return sys.stdin.readline().strip() == "yes"
