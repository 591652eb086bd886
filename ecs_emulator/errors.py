"""What a call can end in other than its answer."""


class ApiError(Exception):
    """An error that the service answers with: AWS's code, its message, the HTTP status."""

    def __init__(self, code: str, message: str, *, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


class NoAnswerError(Exception):
    """The client never gets an answer: in process a read timeout, over HTTP a closed connection."""


class EmulatorError(Exception):
    """The emulator itself is at fault, or was asked for something it does not emulate."""


class Killed(BaseException):
    """The caller's process was killed: nothing it does from now on reaches the world.

    Not an Exception: no `except Exception` of the killed process may stop it.
    """
