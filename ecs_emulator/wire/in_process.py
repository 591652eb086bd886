"""In process: real botocore clients, answered by a world instead of the network."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from types import SimpleNamespace
from typing import Any
from unittest import mock

import botocore.credentials
import botocore.endpoint
import botocore.handlers
import botocore.parsers
import botocore.waiter
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.exceptions import EndpointConnectionError, ReadTimeoutError
from botocore.useragent import UserAgentString
from botocore.utils import parse_timestamp

from ecs_emulator.ground.errors import NoAnswerError, UnreachableError
from ecs_emulator.wire.answering import handle
from ecs_emulator.wire.protocols import HttpAnswer, HttpRequest
from ecs_emulator.world import World

type Handler = Callable[..., Any]

EVENT = "before-send"


class Switchboard:
    """Connects clients to whatever world is plugged in: clients are dear, worlds are cheap."""

    def __init__(self, world: World) -> None:
        self.world = world

    def now(self) -> float:
        """Return the time of the world's clock, in epoch seconds."""
        return self.world.clock.now()

    def sleep(self, seconds: float) -> None:
        """Sleep on the world's clock."""
        self.world.clock.sleep(seconds)

    def answer(self, request: AWSPreparedRequest, **_: object) -> Any:  # noqa: ANN401  see below
        """Answer botocore's before-send event with an AWSResponse (its stubs say None).

        Raises ReadTimeoutError, EndpointConnectionError, Killed, EmulatorError.
        """
        try:
            answer = handle(self.world, _http(request))
        except UnreachableError:
            raise EndpointConnectionError(endpoint_url=request.url) from None
        except NoAnswerError:
            raise ReadTimeoutError(endpoint_url=request.url) from None
        return _response(request.url, answer)


def handler(world: World) -> Handler:
    """Return what to register on a session's or client's `events` for "before-send"."""
    return Switchboard(world).answer


@contextmanager
def attach(world: World | Switchboard) -> Iterator[Switchboard]:
    """Let the world answer every client of every session made inside.

    Meanwhile botocore's own sleeping (retries, waiters) and its look at the time for credentials
    that expire go by the world's clock. Sessions made inside go on to reach the world outside,
    only botocore's sleeping is real again there.
    """
    board = world if isinstance(world, Switchboard) else Switchboard(world)
    entry: Any = (EVENT, board.answer)
    botocore.handlers.BUILTIN_HANDLERS.append(entry)
    try:
        with virtual_sleep(board):
            yield board
    finally:
        botocore.handlers.BUILTIN_HANDLERS.remove(entry)


@contextmanager
def _remembering() -> Iterator[None]:
    """Let botocore work out once what is the same in call after call, for the tests' speed.

    Instants, for clients made inside: all come again with each answer. The user agent of a client.
    What is signed, for in process nobody checks a signature; who signs is told all the same.
    """
    parsed = lru_cache(maxsize=2**16)(parse_timestamp)
    with (
        mock.patch.object(botocore.parsers, "DEFAULT_TIMESTAMP_PARSER", parsed),
        mock.patch.object(UserAgentString, "to_string", cache(UserAgentString.to_string)),
        mock.patch.object(SigV4Auth, "canonical_request", return_value=""),
    ):
        yield


@contextmanager
def virtual_sleep(board: Switchboard) -> Iterator[None]:
    """Let botocore's own sleeping and its expiring credentials go by the world's clock."""
    time = SimpleNamespace(sleep=board.sleep)

    def seconds_remaining(credentials: Any) -> float:  # noqa: ANN401  botocore's private member
        expiry: datetime = credentials._expiry_time  # noqa: SLF001
        now = datetime.fromtimestamp(board.now(), tz=UTC)
        return (expiry - now) / timedelta(seconds=1)

    refreshable = botocore.credentials.RefreshableCredentials
    with (
        _remembering(),
        mock.patch.object(botocore.endpoint, "time", time),
        mock.patch.object(botocore.waiter, "time", time),
        mock.patch.object(refreshable, "_seconds_remaining", seconds_remaining),
    ):
        yield


class _Body:
    """The part of urllib3's response that botocore reads."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self, **_: object) -> Iterator[bytes]:
        """Yield the whole body."""
        yield self._content

    def read(self, *_: object) -> bytes:
        """Return the whole body."""
        return self._content


def _http(request: AWSPreparedRequest) -> HttpRequest:
    headers = {name.lower(): _text(value) for name, value in request.headers.items()}
    body: Any = request.body or b""
    return HttpRequest(
        method=request.method,
        path=request.url,
        headers=headers,
        body=body.encode() if isinstance(body, str) else bytes(body),
    )


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _response(url: str, answer: HttpAnswer) -> AWSResponse:
    headers: Any = dict(answer.headers)
    body: Any = _Body(answer.body)
    return AWSResponse(url, answer.status, headers, body)
