"""Over HTTP: any client, the AWS CLI included, on 127.0.0.1 only."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ecs_emulator.ground.errors import EmulatorError, Killed, NoAnswerError
from ecs_emulator.report import history
from ecs_emulator.wire.agent import handle_agent, is_agents
from ecs_emulator.wire.answering import handle
from ecs_emulator.wire.protocols import HttpAnswer, HttpRequest, dump
from ecs_emulator.world import World

HOST = "127.0.0.1"
HISTORY_PATH = "/_emulator/history"


class Server(ThreadingHTTPServer):
    """Serves one world; `url` is its endpoint."""

    daemon_threads = True

    def __init__(self, world: World, port: int = 0) -> None:
        self.world = world
        super().__init__((HOST, port), _Handler)

    @property
    def url(self) -> str:
        """The endpoint URL."""
        return f"http://{HOST}:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401  as above it
        """Say nothing of clients that hang up, and loudly what else goes wrong."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def serve(world: World, port: int = 0) -> Iterator[str]:
    """Serve a world in a thread (port 0: a free one); yields the endpoint URL."""
    with Server(world, port) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server.url
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Serve the history, or an agent's endpoint."""
        self._answer()

    def do_PUT(self) -> None:
        """Serve an agent's endpoint."""
        self._answer()

    def do_POST(self) -> None:
        """Serve the AWS API."""
        self._answer()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Keep quiet: the world records its calls."""

    def _answer(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length", "0")))
        request = HttpRequest(method=self.command, path=self.path, headers=headers, body=body)
        try:
            answer = route(self.server.world, request)
        except (NoAnswerError, Killed):
            self.close_connection = True
            return
        except EmulatorError as fault:
            answer = _plain(501, {"__type": "EmulatorError", "message": str(fault)})
        self._send(answer)

    def _send(self, answer: HttpAnswer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)


def route(world: World, request: HttpRequest) -> HttpAnswer:
    """Answer a request: the history, the container agent, or the AWS API."""
    if request.path == HISTORY_PATH:
        with world.lock:
            world.catch_up()
            return _plain(200, history(world))
    if is_agents(request.path):
        return handle_agent(world, request)
    if request.method != "POST":
        return _plain(404, {"message": f"There is nothing at {request.path}."})
    return handle(world, request)


def _plain(status: int, body: object) -> HttpAnswer:
    headers = {"Content-Type": "application/json"}
    return HttpAnswer(status=status, body=dump(body), headers=headers)
