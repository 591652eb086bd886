"""`python -m demo`: a service recycled before your eyes, on this machine alone."""

import os
import signal


def _end(*_: object) -> None:
    """End at once: while modules are imported, nothing has been started that stays behind."""
    os._exit(128 + signal.SIGINT)


if __name__ == "__main__":
    # All that the demo imports takes a second; until then Ctrl-C would end in a traceback.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)

    from demo.stage import main
    from demo.story import NEXT_STEP, play

    main(play, next_step=NEXT_STEP)
