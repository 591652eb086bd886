"""Turns botocore's exceptions, and failures inside a 200 answer, into AwsCallError.

Each error names the IAM action of its call. A call that may succeed later is repeated here, too.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from random import Random
from typing import Any, Final

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
)
from botocore.exceptions import (
    ConnectionError as BotoConnectionError,
)
from botocore.parsers import ResponseParserError

from ecs_task_recycle.clock import Clock
from ecs_task_recycle.errors import AwsCallError
from ecs_task_recycle.text import one_line

_DENIED: Final = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})
# Application Auto Scaling checks its caller's rights on the service first; this is its answer.
# https://docs.aws.amazon.com/autoscaling/application/userguide/security_iam_permission_validation.html
_LACKING: Final = re.compile(r"missing the following permissions: \[?([^\]]*)")
# When a signature is wrong, AWS repeats the request as it would have signed it, token included.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/signature-v4-troubleshooting.html
_REQUEST: Final = re.compile(
    r"\s*The Canonical String for this request should have been.*", re.DOTALL
)
CONFLICT: Final = "ConcurrentUpdateException"
"""Application Auto Scaling's answer while it still works on an earlier call."""
_TRANSIENT: Final = frozenset(
    {
        "ThrottlingException",
        "Throttling",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "ServerException",
        "InternalServiceException",
        "InternalFailure",
        "InternalError",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        CONFLICT,
        "ProvisionedThroughputExceededException",
        "RequestTimeout",
        "RequestTimeoutException",
    }
)
_SERVER_ERROR: Final = 500
_UNREADABLE: Final = (
    *(LookupError, TypeError, AttributeError, ValueError, ArithmeticError),
    ResponseParserError,
)
"""What reading an answer raises that lacks a field, or has something else in its place."""
_LONGEST_CODE: Final = 100
LONGEST_MESSAGE: Final = 2_000
"""What is kept of a text from AWS, as one line: it enters reasons, logs and mails."""

logger = logging.getLogger(__name__)


def is_transient(error: AwsCallError) -> bool:
    """Whether the same call may succeed later."""
    return error.transient


def retry_until[T](
    call: Callable[[], T],
    clock: Clock,
    *,
    until: float,
    every_seconds: float = 5.0,
    is_retryable: Callable[[AwsCallError], bool] = is_transient,
) -> T:
    """Repeat a call while its error is retryable; raise the error after which time is up.

    No call begins after ``until`` (seconds since the epoch) but the first one. The pauses differ by
    a quarter, so that runs which failed together do not come back together; their seed is the
    instant, so that a virtual clock repeats them.
    """
    while True:  # noqa: PLR1702 - a question more is plainer than a function more
        try:
            return call()
        except AwsCallError as error:
            delay_seconds = every_seconds * Random(clock.now()).uniform(0.75, 1.25)  # noqa: S311 - no secret
            if not is_retryable(error) or clock.now() + delay_seconds > until:
                raise
            text = "Retrying in %.1f s: %s"
            logger.warning(text, delay_seconds, error, extra=dict(error.facts))
        clock.sleep(delay_seconds)


@contextmanager
def translated(action: str) -> Iterator[None]:
    """Turn what botocore raises into an AwsCallError that names the IAM action.

    An answer is read in the same block: one that lacks what it must have is a failed call, too.
    The next answer may have it.
    """
    try:
        yield
    # The first two without their causes, which may quote the request with its session token.
    except ClientError as error:
        raise _from_answer(action, error) from None
    except (HTTPClientError, BotoConnectionError) as error:
        raise AwsCallError.of(
            action, type(error).__name__, _safe_message(error), transient=True
        ) from None
    except BotoCoreError as error:
        raise AwsCallError.of(action, type(error).__name__, str(error)) from error
    except _UNREADABLE as error:
        name = one_line(repr(error.args[0]), longest=_LONGEST_CODE) if error.args else "something"
        lack = f"it lacks {name}" if isinstance(error, KeyError) else "it cannot be read"
        raise AwsCallError.of(action, "IncompleteAnswer", lack, transient=True) from error


def _safe_message(error: HTTPClientError | BotoConnectionError) -> str:
    """Return an error's message, but no words of the HTTP library.

    They may quote a header, and so a session token.
    """
    if type(error) is not HTTPClientError:
        return str(error)
    return f"the request could not be sent ({type(error.kwargs.get('error')).__name__})"


def _from_answer(action: str, error: ClientError) -> AwsCallError:
    answered = error.response.get("Error", {})
    code = one_line(answered.get("Code", "Unknown"), longest=_LONGEST_CODE)
    message = _REQUEST.sub("", answered.get("Message", ""))
    if error.operation_name == "AssumeRole":
        # The session assumes its role at the first call, whatever that is.
        action = "sts:AssumeRole"
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    lacking = _LACKING.search(message)
    message = one_line(message, longest=LONGEST_MESSAGE)
    if lacking:
        found = re.findall(r"[a-z0-9-]{1,40}:[A-Za-z]{1,60}", lacking.group(1)[:LONGEST_MESSAGE])
        actions = found or [action]
        hint = (
            f"If its policy allows {', '.join(actions)} already, deploy with "
            "AutoscalingRights=wide: Application Auto Scaling tries them itself."
        )
        return AwsCallError.of(action, code, message, lacking_actions=actions, hint=hint)
    if code in _DENIED:
        return AwsCallError.of(action, code, message, lacking_actions=[action])
    transient = code in _TRANSIENT or status >= _SERVER_ERROR
    return AwsCallError.of(action, code, message, transient=transient)


def expect_refusal(call: Callable[[], object]) -> None:
    """Make a call that AWS can only reject. Raises AwsCallError if it is denied or not answered."""
    try:
        call()
    except AwsCallError as error:
        if error.denied or (error.transient and error.code != CONFLICT):
            raise


def expect_only_gone(action: str, failures: Sequence[Any]) -> None:
    """Check the failures[] of a protection call. Raises AwsCallError unless the task is gone.

    A task that is stopping counts as gone: AWS calls it not valid.
    """
    expect_only_missing(action, [each for each in failures if each["reason"] != "TASK_NOT_VALID"])


def expect_only_missing(action: str, failures: Sequence[Any]) -> None:
    """Check the failures[] of a 200 answer. Raises AwsCallError for any reason but MISSING.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/api_failures_messages.html
    """
    for failure in failures:
        if failure.get("reason") != "MISSING":
            reason = one_line(failure.get("reason", "Unknown"), longest=_LONGEST_CODE)
            message = f"{failure.get('arn')} {failure.get('detail', '')}"
            raise AwsCallError.of(action, reason, one_line(message, longest=LONGEST_MESSAGE))
