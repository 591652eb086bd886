"""A worker in a task: it protects itself while it works, by the container agent's endpoint.

`ECS_AGENT_URI=... python -m demo.worker SECONDS`. A process that runs in a container on ECS finds
that variable set; here it leads to the emulated agent of one emulated task. It does one job of so
many seconds, then idles: ECS ends a task that it stops by SIGTERM.
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-scale-in-protection-endpoint.html
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import urllib.request
from datetime import UTC, datetime
from typing import Any, Final

PROTECTED_MINUTES: Final = 1
"""Longer than the job, so that the mark does not end before it; the shortest that ECS takes."""
ANSWERS_WITHIN_SECONDS: Final = 10.0


def main(job_seconds: float) -> None:
    """Do the job under protection. Raises OSError or RefusedError if it cannot have any."""
    until = protect(enabled=True)["ExpirationDate"]
    say(f"job taken, protected until {datetime.fromisoformat(until):%H:%M:%S}")
    try:
        time.sleep(job_seconds)
    finally:
        protect(enabled=False)
    say("job done, mark cleared")
    signal.pause()


class RefusedError(RuntimeError):
    """ECS has not set or cleared the mark; its reason is the message."""


def protect(*, enabled: bool) -> dict[str, Any]:
    """Set or clear the mark of the task this runs in; return what the agent says of it."""
    wish: dict[str, Any] = {"ProtectionEnabled": enabled}
    if enabled:
        wish["ExpiresInMinutes"] = PROTECTED_MINUTES
    request = urllib.request.Request(  # noqa: S310 - the agent's own address
        f"{os.environ['ECS_AGENT_URI']}/task-protection/v1/state",
        data=json.dumps(wish).encode(),
        headers={"Content-Type": "application/json"},
        method="PUT",
    )
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(request, timeout=ANSWERS_WITHIN_SECONDS) as answer:
        said: dict[str, Any] = json.load(answer)
    # The agent passes on a failure of ECS's with HTTP status 200.
    if "protection" not in said:
        raise RefusedError(json.dumps(said))
    protection: dict[str, Any] = said["protection"]
    return protection


def say(text: str) -> None:
    """Write a log record, in the shape of the function's."""
    at = datetime.now(UTC).isoformat()
    record = {"timestamp": at, "level": "INFO", "message": f"worker: {text}"}
    sys.stdout.write(json.dumps(record) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(float(sys.argv[1]))
