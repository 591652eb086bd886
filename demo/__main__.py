"""The demo: a service recycled before your eyes, on this machine alone.

Arguments after -- are passed on to the emulator, to see another world: `-- --knob drain=5`.
"""

from __future__ import annotations

import argparse
import io
import logging
import os
import signal
import sys
import tempfile
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from demo.checks import verdicts
from demo.emulated_aws import EmulatorError
from demo.lambda_runtime import RuntimeUnavailableError
from demo.narration import Narrator
from demo.package import PROJECT, BuildError
from demo.palette import Colour, palette_for
from demo.scenario import WorkerError, play

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from demo.checks import Outcome

INTERRUPTED: Final = 128 + signal.SIGINT
WORKSHOP: Final = PROJECT / "build" / "demo"


def main(arguments: Sequence[str] | None = None) -> int:
    """Play it and judge it. Returns 0 only if everything came out as promised."""
    options = _parser().parse_args(arguments)
    _leave_the_account_out()
    # The mail server's package warns of a property of its own that it uses itself.
    logging.getLogger("mail.log").setLevel(logging.ERROR)
    signal.signal(signal.SIGTERM, _interrupt)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # whatever the locale: the picture needs it
    narrator = Narrator(sys.stdout, palette_for(sys.stdout))
    try:
        with _folder() as folder:
            place = folder.relative_to(PROJECT)
            narrator.say(f"All of it happens in {place}, removed at the end, and on 127.0.0.1.")
            return _judge(play(folder, narrator, options.emulator_options), narrator)
    except (BuildError, EmulatorError, RuntimeUnavailableError, WorkerError) as error:
        narrator.say(f"The demo cannot go on: {error}")
        return 1
    except KeyboardInterrupt:
        narrator.say("Interrupted; everything that was started has been ended.")
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument(
        "emulator_options",
        nargs="*",
        metavar="-- OPTION",
        help="options of python -m ecs_emulator, after --",
    )
    return parser


def _leave_the_account_out() -> None:
    """Have nothing of the machine's AWS configuration or proxies reach a client of ours."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(
        AWS_CONFIG_FILE=os.devnull, AWS_SHARED_CREDENTIALS_FILE=os.devnull, NO_PROXY="127.0.0.1"
    )


@contextmanager
def _folder() -> Iterator[Path]:
    """Yield a new folder for everything that is written; gone afterwards, as are empty parents."""
    WORKSHOP.mkdir(parents=True, exist_ok=True)
    with ExitStack() as leaving:
        leaving.callback(_remove_if_empty, WORKSHOP.parent)
        leaving.callback(_remove_if_empty, WORKSHOP)
        yield Path(leaving.enter_context(tempfile.TemporaryDirectory(dir=WORKSHOP)))


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):  # another demo's, or a build's, is in there
        folder.rmdir()


def _judge(outcome: Outcome, narrator: Narrator) -> int:
    narrator.heading("Did it come out as promised?")
    found = verdicts(outcome)
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


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
