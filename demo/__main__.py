"""The demo: a service recycled before your eyes, on this machine alone.

Arguments after -- are passed on to the emulator, to see another world: `-- --knob drain=5`.
"""

from __future__ import annotations

import argparse
import io
import logging
import signal
import sys
from typing import TYPE_CHECKING, Final

from demo.checks import verdicts
from demo.emulated_aws import EmulatorError
from demo.lambda_runtime import RuntimeUnavailableError
from demo.narration import Narrator
from demo.package import PROJECT, BuildError
from demo.palette import palette_for
from demo.scenario import WorkerError, play
from demo.workshop import leave_the_account_out, pronounce, temporary_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

INTERRUPTED: Final = 128 + signal.SIGINT


def main(arguments: Sequence[str] | None = None) -> int:
    """Play it and judge it. Returns 0 only if everything came out as promised."""
    options = _parser().parse_args(arguments)
    leave_the_account_out()
    # The mail server's package warns of a property of its own that it uses itself.
    logging.getLogger("mail.log").setLevel(logging.ERROR)
    signal.signal(signal.SIGTERM, _interrupt)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # whatever the locale: the picture needs it
    narrator = Narrator(sys.stdout, palette_for(sys.stdout))
    try:
        with temporary_folder() as folder:
            place = folder.relative_to(PROJECT)
            narrator.say(f"All of it happens in {place}, removed at the end, and on 127.0.0.1.")
            outcome = play(folder, narrator, options.emulator_options)
            return pronounce(verdicts(outcome), narrator)
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


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
