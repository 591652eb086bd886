"""The deployed function, by Lambda's Invoke: all that it needs is lambda:InvokeFunction."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final, cast

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

from ecs_task_recycle.clock import Clock
from ecs_task_recycle_client.replies import NotInvokedError, Reply

THROTTLED: Final = "TooManyRequestsException"
THROTTLED_DELAYS_SECONDS: Final = (1.0, 2.0, 4.0, 8.0)

LONGEST_ANSWER_SECONDS: Final = 930
"""Lambda's limit of 15 minutes, and some for the way."""

ASKED_ANSWER_SECONDS: Final = 30
"""For a question whose answer takes less than a second."""

REFUSED_KEYS: Final = (
    "ExpiredTokenException",
    "InvalidSignatureException",
    "UnrecognizedClientException",
)


class ThrottledError(NotInvokedError):
    """Lambda throttles the invocation: it was not taken."""


class Function:
    """One deployed function."""

    def __init__(self, session: Any, name: str, clock: Clock) -> None:  # noqa: ANN401 - boto3's
        """Take a boto3 session. Raises NotInvokedError where it has no region."""
        self._name = name
        self._clock = clock
        self._patient = _client(session, LONGEST_ANSWER_SECONDS)
        self._quick = _client(session, ASKED_ANSWER_SECONDS)

    def ask(self, event: Mapping[str, Any]) -> Reply:
        """Ask what is answered at once. Raises NotInvokedError."""
        return self._replied(self._quick, event)

    def invoke(self, event: Mapping[str, Any]) -> Reply:
        """Invoke the function, and wait for its answer. Raises NotInvokedError."""
        return self._replied(self._patient, event)

    def send(self, event: Mapping[str, Any]) -> str:
        """Invoke the function without waiting; return the run's id. Raises NotInvokedError.

        https://docs.aws.amazon.com/lambda/latest/dg/invocation-async.html
        """
        answer = self._invoked(self._quick, event, kind="Event")
        return str(answer["ResponseMetadata"]["RequestId"])

    def _replied(self, client: Any, event: Mapping[str, Any]) -> Reply:  # noqa: ANN401 - boto3's
        answer = self._invoked(client, event, kind="RequestResponse")
        try:
            payload = answer["Payload"].read()
        except (BotoCoreError, OSError) as error:
            raise NotInvokedError(_with_stop(error), may_run=True) from error
        return Reply.of(payload, is_error="FunctionError" in answer)

    def _invoked(self, client: Any, event: Mapping[str, Any], *, kind: str) -> Any:  # noqa: ANN401
        """Invoke; again where Lambda throttles, as nothing was begun then."""
        for delay_seconds in THROTTLED_DELAYS_SECONDS:
            with suppress(ThrottledError):
                return self._invoked_once(client, event, kind=kind)
            self._clock.sleep(delay_seconds)
        return self._invoked_once(client, event, kind=kind)

    def _invoked_once(self, client: Any, event: Mapping[str, Any], *, kind: str) -> Any:  # noqa: ANN401
        payload = json.dumps(event).encode()
        try:
            return client.invoke(FunctionName=self._name, InvocationType=kind, Payload=payload)
        except ClientError as error:
            raise self._refused(error) from error
        except BotoCoreError as error:
            # The rest never came as far as a connection, such as missing credentials.
            is_lost = isinstance(error, HTTPClientError)
            raise NotInvokedError(_with_stop(error), may_run=is_lost) from error

    def _refused(self, error: ClientError) -> NotInvokedError:
        code, said = _code(error), _with_stop(error.response["Error"].get("Message") or "no reason")
        status = error.response["ResponseMetadata"].get("HTTPStatusCode", 0)
        if code == "ResourceNotFoundException":
            return NotInvokedError(
                f"There is no function {self._name} in {self._quick.meta.region_name}: {said} Name "
                "it by --function (the stack's output FunctionName), its region by --region."
            )
        if code == "AccessDeniedException":
            return NotInvokedError(
                f"lambda:InvokeFunction was denied: {said} Allow it on the function {self._name}."
            )
        if code == THROTTLED:
            return ThrottledError(
                f"Lambda throttles the invocation: {said} Nothing was begun. Try again later, or "
                "give the function or the account more concurrency."
            )
        if code in REFUSED_KEYS:
            return NotInvokedError(f"AWS does not accept the credentials: {said} Log in again.")
        sentence = f"lambda:InvokeFunction was answered with {code}: {said}"
        return NotInvokedError(sentence, may_run=status >= 500)  # noqa: PLR2004 - HTTP's


class Call:
    """An invocation whose answer is awaited on a thread of its own.

    The thread is a daemon: an interrupted command ends, and the function goes on.
    """

    def __init__(self, invoke: Callable[[], Reply]) -> None:
        """Invoke at once."""
        self._invoke = invoke
        self._reply: Reply | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        try:
            self._reply = self._invoke()
        except BaseException as error:  # noqa: BLE001 - raised where the reply is asked for
            self._error = error

    @property
    def is_answered(self) -> bool:
        """Whether the invocation is over."""
        return not self._thread.is_alive()

    def reply(self) -> Reply:
        """Return the answer, once it is there. Raises NotInvokedError."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return cast("Reply", self._reply)


def _client(session: Any, read_timeout_seconds: int) -> Any:  # noqa: ANN401 - boto3's
    # The SDK would invoke the function once more after 60 s without an answer. Kept alive, as
    # routers forget a connection over which nothing comes for some minutes.
    config = Config(
        connect_timeout=10,
        read_timeout=read_timeout_seconds,
        retries={"total_max_attempts": 1},
        tcp_keepalive=True,
    )
    try:
        return session.client("lambda", config=config)
    except (BotoCoreError, ValueError) as error:
        raise NotInvokedError(_with_stop(error)) from error


def _code(error: ClientError) -> str:
    return str(error.response["Error"].get("Code"))


def _with_stop(said: object) -> str:
    return f"{str(said).strip().rstrip('.')}."
