"""The handler of a function that is killed in the middle of a run: after its second stop.

A run leaves time for its own end, so that neither a low timeout nor anything else in Lambda's
configuration kills it. Hence this module is in the zip, and is the handler for that one invocation.
The process dies as it would when its machine is lost: by SIGKILL, without a word.
"""

import logging
import os
import signal
import threading
from typing import Final, override

from lambda_function import lambda_handler

__all__ = ["lambda_handler"]

FATAL_LINE: Final = "Recycling task 2/"
SECONDS_TO_LIVE: Final = 1.0
"""From the log line to the end: the stop that the line announces is accepted by then."""


class _Death(logging.Handler):
    @override
    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage().startswith(FATAL_LINE):
            threading.Timer(SECONDS_TO_LIVE, os.kill, (os.getpid(), signal.SIGKILL)).start()


logging.getLogger("ecs_task_recycle").addHandler(_Death())
