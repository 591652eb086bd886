"""What every demo needs around it: a folder that goes away, no account, and a verdict."""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from demo.package import PROJECT
from demo.palette import Colour

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from demo.checks import Verdict
    from demo.narration import Narrator

WORKSHOP: Final = PROJECT / "build" / "demo"


def leave_the_account_out() -> None:
    """Have nothing of the machine's AWS configuration or proxies reach a client of ours."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(
        AWS_CONFIG_FILE=os.devnull, AWS_SHARED_CREDENTIALS_FILE=os.devnull, NO_PROXY="127.0.0.1"
    )


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yield a new folder for everything that is written; gone afterwards, as are empty parents."""
    WORKSHOP.mkdir(parents=True, exist_ok=True)
    with ExitStack() as leaving:
        leaving.callback(_remove_if_empty, WORKSHOP.parent)
        leaving.callback(_remove_if_empty, WORKSHOP)
        yield Path(leaving.enter_context(tempfile.TemporaryDirectory(dir=WORKSHOP)))


def pronounce(found: Sequence[Verdict], narrator: Narrator) -> int:
    """Tell the verdicts; return the exit status, 0 only if every claim holds."""
    narrator.heading("Did it come out as promised?")
    for verdict in found:
        narrator.verdict(verdict)
    narrator.lines([""])
    failed = [verdict.claim for verdict in found if not verdict.holds]
    if failed:
        told = f"FAILED, {len(failed)} of {len(found)} promises: {'; '.join(failed)}."
        narrator.say(told, Colour.RED)
        return 1
    narrator.say(f"All {len(found)} promises kept.", Colour.GREEN)
    return 0


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):  # another demo's, or a build's, is in there
        folder.rmdir()
