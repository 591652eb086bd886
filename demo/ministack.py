"""The local AWS of `make demo-deploy`: MiniStack, and what stands before its Step Functions."""

from __future__ import annotations

import json
import os
import re
import threading
import urllib.error
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final

import boto3

from demo.lambda_runtime import FUNCTION
from demo.process import LOCALHOST, DemoError, LocalProcess, environment_in, free_ports
from demo.show import log_line, log_record, say
from demo.stage import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

MINISTACK: Final = PROJECT / ".venv-ministack" / "bin" / "ministack"
LOG_GROUP: Final = f"/aws/lambda/{FUNCTION}"
START: Final = "AWSStepFunctions.StartExecution"
NOT_IN_A_NAME: Final = re.compile(r"[\s<>{}\[\]?*\"#%\\^|~`$&,;:/]")
"""https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html"""


class MiniStack(LocalProcess):
    """CloudFormation, S3, IAM, Lambda, EventBridge, Logs and Secrets Manager on 127.0.0.1.

    https://github.com/ministackorg/ministack, in an environment of its own. What is not as in AWS:
    it does not judge permissions, every error of a function has the type `Runtime.HandlerError`,
    properties that it does not know are accepted, a rate rule first fires up to a minute late, it
    starts executions whose name AWS refuses (`StepFunctionsGate` does not), and its ECS does not
    schedule: `function_environment` points the functions elsewhere.
    """

    def __init__(
        self, folder: Path, *, function_environment: Mapping[str, str], port: int = 0
    ) -> None:
        if not os.access(MINISTACK, os.X_OK):
            raise DemoError(f"There is no {MINISTACK.relative_to(PROJECT)}: run make.")
        port = port or free_ports(1)[0]
        # Without BIND_HOST it listens on every interface of the machine.
        own = {"BIND_HOST": LOCALHOST, "GATEWAY_PORT": str(port), "PYTHONUNBUFFERED": "1"}
        # It does this by itself for functions with a runtime of AWS, and not for the others.
        own["AWS_ENDPOINT_URL"] = f"http://{LOCALHOST}:{port}"
        environment = {**environment_in(folder), **function_environment, **own}
        super().__init__(str(MINISTACK), environment=environment, folder=folder, port=port)

    def client(self, service: Any) -> Any:  # noqa: ANN401 - boto3 has a type for each
        """Return a boto3 client of one of its services."""
        return boto3.client(service, endpoint_url=self.url)


class FunctionLog:
    """The function's log, read again and again; each line is shown once, as people read it."""

    def __init__(self, client: Any) -> None:  # noqa: ANN401 - boto3's type
        self._client = client
        self._shown: set[tuple[int, str]] = set()
        self.errors: list[str] = []

    def show(self, *, title: str = "") -> None:
        """Show what is new in it, if anything is, under a title."""
        try:
            pages = self._client.get_paginator("filter_log_events").paginate(logGroupName=LOG_GROUP)
            events = [event for page in pages for event in page["events"]]
        except self._client.exceptions.ResourceNotFoundException:
            return
        # MiniStack gives no eventId.
        lines = dict.fromkeys((event["timestamp"], event["message"]) for event in events)
        new = [line for line in lines if line not in self._shown]
        if new and title:
            say(title)
        self._shown.update(new)
        for _, message in new:
            self._take(message)

    def _take(self, line: str) -> None:
        log_line(line)
        record = log_record(line) or {}
        if record.get("level") == "ERROR":
            self.errors.append(str(record["message"]))


class StepFunctionsGate(ThreadingHTTPServer):
    """Refuses the executions that AWS refuses, for their name; passes all other calls on.

    The function tests its permission to start an execution by such a call. MiniStack would start
    it, and with it the function, for nothing.
    """

    daemon_threads = True

    def __init__(self, behind_url: str) -> None:
        self.behind_url = behind_url
        super().__init__((LOCALHOST, 0), _Gatekeeper)

    @property
    def url(self) -> str:
        """The endpoint URL."""
        return f"http://{LOCALHOST}:{self.server_port}"


@contextmanager
def gate(behind_url: str) -> Iterator[str]:
    """Serve a gate in a thread; yields its endpoint URL."""
    with StepFunctionsGate(behind_url) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server.url
        finally:
            server.shutdown()
            thread.join()


class _Gatekeeper(BaseHTTPRequestHandler):
    server: StepFunctionsGate
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Refuse the call, or pass it on."""
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        name = json.loads(body).get("name") if self.headers.get("X-Amz-Target") == START else None
        if name and NOT_IN_A_NAME.search(name):
            self._send(400, json.dumps({"__type": "InvalidName", "message": name}).encode())
            return
        headers = {key: text for key, text in self.headers.items() if key.lower() != "host"}
        call = urllib.request.Request(self.server.behind_url, body, headers)  # noqa: S310
        try:
            with urllib.request.urlopen(call) as answer:  # noqa: S310 - MiniStack's own address
                self._send(answer.status, answer.read())
        except urllib.error.HTTPError as refusal:
            self._send(refusal.code, refusal.read())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Keep quiet."""

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
