"""What a call can end in other than its answer."""

from collections.abc import Mapping


class ApiError(Exception):
    """An error that the service answers with: AWS's code, its message, the HTTP status.

    `details`: further members that the error has, as they go over the wire.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        status: int = 400,
        details: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.details = details or {}


class NoAnswerError(Exception):
    """The client never gets an answer: in process a read timeout, over HTTP a closed connection."""


class UnreachableError(NoAnswerError):
    """The client never reaches the service: in process there is no connection to its endpoint."""


class EmulatorError(Exception):
    """The emulator itself is at fault, or was asked for something it does not emulate."""


class Killed(BaseException):
    """The caller's process was killed: nothing it does from now on reaches the world.

    Not an Exception: no `except Exception` of the killed process may stop it.
    """
