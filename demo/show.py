"""What a person at a terminal reads: headings, the log as it comes, and the verdict."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Promise:
    """What is claimed of the function, whether it holds, and what was seen."""

    claim: str
    holds: bool
    seen: str = ""


def say(*lines: str) -> None:
    """Write lines at once."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def heading(text: str) -> None:
    """Write the title of what follows."""
    say("", text, "-" * len(text))


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
