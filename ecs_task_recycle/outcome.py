"""How a run ends: by an outcome that it reached, or by an error."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum


class Status(StrEnum):
    """The outcome of a run as the answer names it."""

    COMPLETED = "completed"
    PLANNED = "planned"
    RESTORED = "restored"
    NOTHING_TO_DO = "nothing_to_do"
    STATUS = "status"
    STOPPING = "stopping"
    CONTINUED = "continued"
    QUEUED = "queued"
    PARTIAL = "partial"
    FAILED = "failed"

    @property
    def code(self) -> int:
        """The answer's statusCode: 200 for all that was asked, 202 where it goes on, 206 a part."""
        if self in (Status.CONTINUED, Status.QUEUED):
            return 202
        return 206 if self is Status.PARTIAL else 200


class Ended(Exception):  # noqa: N818 - an outcome, not an error
    """The run ends here, with an outcome that the answer reports."""

    def __init__(self, status: Status, reason: str | None = None) -> None:
        """Take the outcome, and a sentence without its full stop that says why."""
        super().__init__(reason)
        self.status = status
        self.reason = reason


class OutOfTime(Ended):
    """What comes next does not fit before the deadline; another invocation may go on with it.

    ``wait_seconds``: how long there is nothing to be done before that. ``opens_at``: when the
    window opens that is shut until then, so that nothing may stay raised.
    """

    def __init__(
        self, reason: str, *, wait_seconds: float = 0.0, opens_at: datetime | None = None
    ) -> None:
        """Take what did not fit."""
        super().__init__(Status.PARTIAL, reason)
        self.wait_seconds = wait_seconds
        self.opens_at = opens_at


class Interference(Ended):
    """Somebody else changed the service, so that no further task may be stopped."""

    def __init__(self, reason: str) -> None:
        """Take what was changed."""
        super().__init__(Status.PARTIAL, reason)


class HandedOver(Ended):
    """The guardian's next invocation goes on, after ``wait_seconds``."""

    def __init__(
        self, execution_arn: str, *, wait_seconds: float, opens_at: datetime | None = None
    ) -> None:
        """Take the ARN of the guardian's execution; and when the window opens, if it is shut."""
        when = "" if opens_at is None else f" when the window opens, at {opens_at.isoformat()}"
        reason = f"the rest goes on{when}, watched over by {execution_arn}"
        super().__init__(Status.CONTINUED, reason)
        self.wait_seconds = wait_seconds
