"""Executions of state machines: only whether they run. Who walks their states is the test's."""

from dataclasses import dataclass

RUNNING = "RUNNING"
ABORTED = "ABORTED"


@dataclass(slots=True, kw_only=True)
class Execution:
    """One execution; instants are epoch seconds."""

    arn: str
    machine_arn: str
    name: str
    input: str
    started_at: float
    status: str = RUNNING
    stopped_at: float | None = None
    error: str | None = None

    def end(self, status: str, at: float) -> None:
        """Let it end, if it has not."""
        if self.status == RUNNING:
            self.status, self.stopped_at = status, at
