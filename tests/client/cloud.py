"""Lambda's Invoke over HTTP on 127.0.0.1: the real handler, against an emulated ECS.

https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
"""

from __future__ import annotations

import json
import random
import threading
import uuid
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import unquote

import lambda_function
from ecs_emulator import Killed
from tests.client.turns import Turns
from tests.emulated.bench import LAMBDA_SECONDS

if TYPE_CHECKING:
    import pytest

    from ecs_emulator import World
    from tests.emulated.bench import OneSetOfClients

FUNCTION: Final = "ecs-task-recycle-function"
ARN: Final = f"arn:aws:lambda:us-east-1:123456789012:function:{FUNCTION}"
USER: Final = "arn:aws:iam::123456789012:user/ada"


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """A request to invoke the function."""

    name: str
    kind: str
    event: dict[str, Any]
    request_id: str

    @property
    def runs(self) -> bool:
        """Whether it asks for a run, which the client follows meanwhile."""
        return not self.event.get("dry_run") and "action" not in self.event

    @property
    def is_sync(self) -> bool:
        return self.kind == "RequestResponse"


@dataclass(frozen=True, kw_only=True)
class HttpAnswer:
    """What goes back over the wire."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()

    @classmethod
    def error(cls, status: int, code: str, **body: str) -> HttpAnswer:
        """Return an error as Lambda gives it."""
        headers = (("x-amzn-ErrorType", code),)
        return cls(status=status, body=json.dumps(body).encode(), headers=headers)

    @classmethod
    def function_error(cls, kind: str, message: str) -> HttpAnswer:
        """Return what Lambda answers for a function that has raised."""
        document = {"errorMessage": message, "errorType": kind, "stackTrace": []}
        return cls(
            status=200,
            body=json.dumps(document).encode(),
            headers=(("X-Amz-Function-Error", "Unhandled"),),
        )


@dataclass
class Context:
    """What Lambda hands to the handler, for an invocation that begins now."""

    turns: Turns
    aws_request_id: str

    def __post_init__(self) -> None:
        self._limit = self.turns.now() + LAMBDA_SECONDS

    def get_remaining_time_in_millis(self) -> int:
        return int((self._limit - self.turns.now()) * 1000)


class Cloud:
    """One account with one function, and an ECS world behind it; `url` is Lambda's endpoint.

    `throttled_count`: so many of the next invocations are throttled. `loses_runs`: the connections
    of runs break before their answer. `answers` are given, one after the other, in the function's
    stead: what it will answer one day, and what hostile ones might.
    """

    def __init__(self, world: World, session: OneSetOfClients, patch: pytest.MonkeyPatch) -> None:
        """Take the session that the function is to have, whose calls the world answers."""
        self.world = world
        self.turns = Turns(world)
        self.is_denied = False
        self.throttled_count = 0
        self.loses_runs = False
        self.answers: list[HttpAnswer] = []
        self.invocations: list[Invocation] = []
        self._ids = random.Random(7)
        self._threads: list[threading.Thread] = []
        patch.setattr(lambda_function, "CLOCK", self.turns)
        patch.setattr(lambda_function, "get_aws_session", lambda _: session)

    def __enter__(self) -> Self:
        self._server = _Server(self)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        self._threads.append(thread)
        return self

    def __exit__(self, *_: object) -> None:
        self.let_runs_end()
        self._server.shutdown()
        self._server.server_close()

    def let_runs_end(self) -> None:
        """Let what was begun go on to its end, without anybody who follows it."""
        self.turns.desert()
        self.turns.await_run()
        for thread in self._threads[1:]:
            thread.join()

    # -- Lambda ----------------------------------------------------------------------------------

    def invocation(self, name: str, kind: str, event: dict[str, Any]) -> Invocation:
        request_id = str(uuid.UUID(int=self._ids.getrandbits(128), version=4))
        made = Invocation(name=name, kind=kind, event=event, request_id=request_id)
        self.invocations.append(made)
        return made

    def answer(self, invocation: Invocation) -> HttpAnswer | None:
        """Answer a request; None to break its connection."""
        refused = self._refusal(invocation)
        if refused is not None:
            self.turns.expect_none()
            return refused
        if not invocation.is_sync:
            self._in_background(lambda: self._run(invocation))
            return HttpAnswer(status=202)
        if not invocation.runs:
            return self._handled(invocation.event, invocation.request_id)
        if self.turns.is_at_work:
            self.turns.expect_none()
            return self._handled(invocation.event, invocation.request_id)
        return self._run(invocation)

    def _refusal(self, invocation: Invocation) -> HttpAnswer | None:
        if self.is_denied:
            said = (
                f"User: {USER} is not authorized to perform: lambda:InvokeFunction on resource: "
                f"{ARN} because no identity-based policy allows the lambda:InvokeFunction action"
            )
            return HttpAnswer.error(403, "AccessDeniedException", Message=said)
        if invocation.name not in (FUNCTION, ARN):
            said = f"Function not found: {ARN.replace(FUNCTION, invocation.name)}"
            return HttpAnswer.error(404, "ResourceNotFoundException", Type="User", Message=said)
        if self.throttled_count:
            self.throttled_count -= 1
            reason = "ConcurrentInvocationLimitExceeded"
            return HttpAnswer.error(
                429,
                "TooManyRequestsException",
                Reason=reason,
                Type="User",
                message="Rate Exceeded.",
            )
        return self.answers.pop(0) if self.answers else None

    def _run(self, invocation: Invocation) -> HttpAnswer | None:
        with self.turns.run():
            answer = self._handled(invocation.event, invocation.request_id)
        if b'\\"continued\\"' in answer.body:
            self._in_background(self._guard)
        return None if self.loses_runs else answer

    def _guard(self) -> None:
        """Do what the guardian does: invoke the run's further segments."""
        (execution,) = self.world.executions.values()
        event = json.loads(execution.input)["next"]
        with self.turns.run():
            while True:
                answer = lambda_function.lambda_handler(event, Context(self.turns, "segment"))
                if not answer["continues"]:
                    return
                self.turns.sleep(answer["wait_seconds"])

    def _in_background(self, work: Any) -> None:  # noqa: ANN401 - any function
        thread = threading.Thread(target=work)
        self._threads.append(thread)
        thread.start()

    def _handled(self, event: dict[str, Any], request_id: str) -> HttpAnswer:
        try:
            answer = lambda_function.lambda_handler(event, Context(self.turns, request_id))
        except Killed:
            self.world.revive()
            said = f"RequestId: {request_id} Error: Task timed out after 900.00 seconds"
            return HttpAnswer.function_error("Sandbox.Timedout", said)
        except Exception as error:  # noqa: BLE001 - as Lambda's runtime does
            return HttpAnswer.function_error(type(error).__name__, str(error))
        return HttpAnswer(status=200, body=json.dumps(answer).encode())


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        _, _, _, name, _ = unquote(self.path).split("/")
        event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        cloud = self.server.cloud
        invocation = cloud.invocation(name, self.headers["X-Amz-Invocation-Type"], event)
        answer = cloud.answer(invocation)
        if answer is None:
            self.close_connection = True
            return
        with suppress(ConnectionError):  # an interrupted client
            self._send(answer, invocation.request_id)

    def _send(self, answer: HttpAnswer, request_id: str) -> None:
        self.send_response(answer.status)
        for name, value in (*answer.headers, ("x-amzn-RequestId", request_id)):
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Keep quiet."""
