"""A function's zip in AWS's own Lambda runtime, on this machine.

The Lambda Runtime Interface Emulator (https://github.com/aws/aws-lambda-runtime-interface-emulator)
starts Lambda's Python runtime, awslambdaric, in the unzipped folder, kills it at the function's
timeout as Lambda does, and starts a new one for the next invocation. What is not as in Lambda:

- One invocation at a time: a second one at the same moment ends the emulator. `invoke` refuses it.
- Errors are answered without the header that makes an SDK see a FunctionError, and a timeout as
  plain text. `invoke` gives a timeout the shape that Lambda gives it.
- The function is called `function` on the wire, whatever its name.
- The runtime sees every package of the environment, not only boto3.
"""

from __future__ import annotations

import json
import os
import platform
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
import zipfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from demo.process import LocalProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

type Payload = dict[str, Any] | list[Any] | None

LOCALHOST: Final = "127.0.0.1"
NAME_ON_THE_WIRE: Final = "function"
STARTS_WITHIN_SECONDS: Final = 20.0
STARTS_COUNT: Final = 3
POLL_SECONDS: Final = 0.02

MADE_UP_ACCOUNT: Final = {
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "made-up-for-this-machine",
    "AWS_SESSION_TOKEN": "made-up-for-this-machine",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}

CLI_ENVIRONMENT: Final = {"AWS_MAX_ATTEMPTS": "1"}
"""What the AWS CLI is to be told: else it invokes again when no answer comes."""


class RuntimeUnavailableError(RuntimeError):
    """This machine cannot run the emulator, or it did not start; the sentence says why."""


class LambdaRuntime:
    """A zip in Lambda's runtime, for as long as the `with` lasts.

    `environment` is what the function sees on top of made-up credentials, a region and a name:
    `{"AWS_ENDPOINT_URL_ECS": "http://127.0.0.1:5054"}`, say. Nothing else is passed on to it.
    `on_line` gets each line that the function logs, Lambda's START, END and REPORT among them, as
    it comes. `folder` is where the zip is unpacked; without one, a temporary folder.
    """

    def __init__(
        self,
        zip_file: Path,
        *,
        environment: Mapping[str, str] | None = None,
        handler: str = "lambda_function.lambda_handler",
        timeout_seconds: int = 900,
        folder: Path | None = None,
        on_line: Callable[[str], None] | None = None,
    ) -> None:
        self._zip_file = zip_file
        self._handler = handler
        self._environment = _function_environment(environment or {}, timeout_seconds)
        self._folder = folder
        self._on_line = on_line
        self._resources = ExitStack()
        self._invoking = threading.Lock()
        self._process: LocalProcess | None = None
        self.port = 0

    def __enter__(self) -> Self:
        with ExitStack() as resources:
            folder = self._folder or Path(resources.enter_context(tempfile.TemporaryDirectory()))
            with zipfile.ZipFile(self._zip_file) as archive:
                archive.extractall(folder)
            self._process = self._start(resources, folder)
            self._resources = resources.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._resources.close()

    @property
    def url(self) -> str:
        """What the AWS CLI takes as --endpoint-url."""
        return f"http://{LOCALHOST}:{self.port}"

    @property
    def process(self) -> LocalProcess:
        """The emulator's process: its session, its diagnostics, and `kill()` at any instant."""
        if self._process is None:
            raise RuntimeError("Not started yet: use it in a with statement.")
        return self._process

    @property
    def log_lines(self) -> list[str]:
        """What the function has logged so far, oldest first; grows while an invocation runs."""
        return self.process.lines

    def wait_for_line(self, text: str, *, timeout_seconds: float = 30.0) -> str:
        """Return the first log line that holds the text, now or when it comes; else TimeoutError.

        An answer may be here before the last lines of its invocation are.
        """
        return self.process.wait_for_line(text, timeout_seconds=timeout_seconds)

    def invoke(self, payload: Payload = None, timeout_seconds: float = 900.0) -> dict[str, Any]:
        """Invoke the function and return its answer.

        A function that raised answers `errorType`, `errorMessage` and `stackTrace`; one that was
        killed at its timeout `errorType` "Sandbox.Timedout", one whose process ended
        "Runtime.ExitError". TimeoutError when there is no answer at all in `timeout_seconds`.
        """
        with self._one_at_a_time():
            return read_answer(_post(self._invocation_url, payload, timeout_seconds))

    def invoke_with_cli(
        self,
        payload: Payload,
        out_file: Path,
        *,
        folder: Path | None = None,
        timeout_seconds: float = 900.0,
    ) -> subprocess.CompletedProcess[str]:
        """Invoke the function by the real `aws lambda invoke`, which writes the answer to a file.

        `folder` is where the CLI runs, and its home. The result holds its exit status, standard
        output and standard error. It does not invoke a second time by itself here: that would be
        two at once.
        """
        home = {} if folder is None else {"HOME": str(folder), "TMPDIR": str(folder)}
        with self._one_at_a_time():
            return subprocess.run(
                self.cli_command(payload, out_file),
                cwd=folder,
                env={**_bare_environment(), **MADE_UP_ACCOUNT, **CLI_ENVIRONMENT, **home},
                capture_output=True,
                text=True,
                timeout=timeout_seconds,
                check=False,
            )

    def cli_command(self, payload: Payload, out_file: Path) -> list[str]:
        """Return the command line that `invoke_with_cli` runs, to be shown or run elsewhere."""
        aws = str(Path(sys.executable).with_name("aws"))
        wire = ["--endpoint-url", self.url, "--function-name", NAME_ON_THE_WIRE]
        # Without it the CLI gives up after a minute, while the function goes on.
        patience = ["--cli-read-timeout", "0"]
        body = ["--payload", json.dumps(payload, separators=(",", ":"))]
        return [aws, "lambda", "invoke", *wire, *patience, *body, str(out_file)]

    @property
    def _invocation_url(self) -> str:
        return f"{self.url}/2015-03-31/functions/{NAME_ON_THE_WIRE}/invocations"

    def _one_at_a_time(self) -> ExitStack:
        if not self._invoking.acquire(blocking=False):
            raise RuntimeError("An invocation is running: a second one would end the emulator.")
        held = ExitStack()
        held.callback(self._invoking.release)
        return held

    def _start(self, resources: ExitStack, folder: Path) -> LocalProcess:
        diagnostics: list[str] = []
        for _ in range(STARTS_COUNT):
            # Between our look and its start somebody else may take a port: hence the repetition.
            self.port, runtime_port = _free_ports()
            process = LocalProcess(
                self._command(runtime_port),
                environment=self._environment,
                folder=folder,
                on_line=self._on_line,
            )
            resources.enter_context(process)
            if _answers(process, self.port):
                return process
            diagnostics = process.diagnostics
        raise RuntimeUnavailableError(
            "The Lambda emulator did not start: " + " ".join(diagnostics[-5:])
        )

    def _command(self, runtime_port: int) -> list[str]:
        # Without these addresses the emulator listens on every interface of the machine.
        addresses = {
            "--runtime-interface-emulator-address": f"{LOCALHOST}:{self.port}",
            "--runtime-api-address": f"{LOCALHOST}:{runtime_port}",
        }
        options = [part for option in addresses.items() for part in option]
        return [str(emulator()), *options, sys.executable, "-m", "awslambdaric", self._handler]


def emulator() -> Path:
    """Return the emulator's binary, or raise RuntimeUnavailableError."""
    if sys.platform != "linux":
        raise RuntimeUnavailableError("AWS's Lambda emulator runs on Linux only.")
    machine = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())
    binary = Path(sys.prefix, "rie/samcli/local/rapid", f"aws-lambda-rie-{machine}")
    if not os.access(binary, os.X_OK):
        raise RuntimeUnavailableError(f"There is no Lambda emulator at {binary}: run it by make.")
    return binary


def _bare_environment() -> dict[str, str]:
    return {"PATH": os.defpath, "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}


def _function_environment(given: Mapping[str, str], timeout_seconds: int) -> dict[str, str]:
    name = "ecs-task-recycle-function"
    return {
        **_bare_environment(),
        **MADE_UP_ACCOUNT,
        "AWS_LAMBDA_FUNCTION_NAME": name,
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{name}",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
        "AWS_LAMBDA_FUNCTION_TIMEOUT": str(timeout_seconds),
        "AWS_LAMBDA_LOG_FORMAT": "JSON",
        **given,
    }


def _free_ports() -> tuple[int, int]:
    # Both are held until both are known: else the second could be the first again.
    with socket.socket() as one, socket.socket() as other:
        one.bind((LOCALHOST, 0))
        other.bind((LOCALHOST, 0))
        return one.getsockname()[1], other.getsockname()[1]


def _answers(process: LocalProcess, port: int) -> bool:
    give_up_at = time.monotonic() + STARTS_WITHIN_SECONDS
    while process.is_running and time.monotonic() < give_up_at:
        try:
            socket.create_connection((LOCALHOST, port), timeout=1).close()
        except OSError:
            time.sleep(POLL_SECONDS)
        else:
            return True
    return False


def _post(url: str, payload: Payload, timeout_seconds: float) -> bytes:
    body = json.dumps(payload).encode()
    request = urllib.request.Request(url, data=body, method="POST")  # noqa: S310 - our own URL
    # A proxy of the machine's environment has no business with 127.0.0.1.
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(request, timeout=timeout_seconds) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.read()


def read_answer(body: bytes) -> dict[str, Any]:
    """Return what the emulator answered as JSON; TypeError if it is no object."""
    text = body.decode()
    if text.startswith("Task timed out after "):
        return {"errorType": "Sandbox.Timedout", "errorMessage": text}
    answer = json.loads(text)
    if not isinstance(answer, dict):
        raise TypeError(f"The function answered {text[:200]}, which is no JSON object.")
    return answer
