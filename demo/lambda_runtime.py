"""A function's zip in AWS's own Lambda runtime, on this machine.

The Lambda Runtime Interface Emulator (https://github.com/aws/aws-lambda-runtime-interface-emulator)
starts Lambda's Python runtime, awslambdaric, in the unzipped folder, kills it at the function's
timeout as Lambda does, and starts a new one for the next invocation. What is not as in Lambda:

- One invocation at a time: a second one at the same moment ends the emulator.
- An error has no header from which an SDK sees a FunctionError, and a timeout is plain text.
- The function is called `function` on the wire, whatever its name.
- The runtime sees every package of the environment, not only boto3.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from demo.process import (
    LOCALHOST,
    DemoError,
    LocalProcess,
    becomes_true,
    environment_in,
    free_ports,
    run,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FUNCTION: Final = "ecs-task-recycle-function"
CLI_ENVIRONMENT: Final = {"AWS_MAX_ATTEMPTS": "1"}
"""What the AWS CLI is to be told: else it invokes again when no answer comes."""


class LambdaRuntime(LocalProcess):
    """A zip in Lambda's runtime, for as long as the `with` lasts; it is unzipped beside itself.

    `environment` is what the function sees on top of made-up credentials, a region and a name.
    `lines` are the function's log, Lambda's own START, END and REPORT among them.
    """

    def __init__(
        self,
        zip_file: Path,
        *,
        environment: Mapping[str, str],
        timeout_seconds: int = 900,
        on_line: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._folder_of_calls = zip_file.parent
        with zipfile.ZipFile(zip_file) as archive:
            archive.extractall(zip_file.with_suffix(""))
        port, runtime_port = free_ports(2)
        function = {
            "AWS_LAMBDA_FUNCTION_NAME": FUNCTION,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
            "AWS_LAMBDA_FUNCTION_TIMEOUT": str(timeout_seconds),
            "AWS_LAMBDA_LOG_FORMAT": "JSON",
        }
        super().__init__(
            # Without these addresses the emulator listens on every interface of the machine.
            *(_emulator(), "--runtime-interface-emulator-address", f"{LOCALHOST}:{port}"),
            *("--runtime-api-address", f"{LOCALHOST}:{runtime_port}"),
            *(sys.executable, "-m", "awslambdaric", "lambda_function.lambda_handler"),
            environment={**environment_in(zip_file.parent), **function, **environment},
            folder=zip_file.with_suffix(""),
            port=port,
            on_line=on_line,
        )

    def cli_command(self, event: object) -> list[str]:
        """Return the command that `invoke` runs."""
        return [
            *("aws", "lambda", "invoke", "--endpoint-url", self.url, "--function-name", "function"),
            # Without it the CLI gives up after a minute, while the function goes on.
            *("--cli-read-timeout", "0"),
            *("--payload", json.dumps(event, separators=(",", ":")), "response.json"),
        ]

    def invoke(self, event: object) -> dict[str, Any]:
        """Invoke the function by the real AWS CLI; return its answer, the body read as JSON too.

        A function that raised answers `errorType`, `errorMessage` and `stackTrace`; one that was
        killed at its timeout `errorType` "Sandbox.Timedout".
        """
        folder, before = self._folder_of_calls, self._reports_count()
        environment = {**environment_in(folder), **CLI_ENVIRONMENT}
        done = run(*self.cli_command(event), environment=environment, folder=folder)
        if done.returncode:
            return {"errorType": "AWS CLI", "errorMessage": done.stderr}
        # The answer may be here before the last lines of the log are.
        becomes_true(lambda: self._reports_count() > before, within_seconds=5)
        return _read_answer((folder / "response.json").read_text())

    def _reports_count(self) -> int:
        return sum(line.startswith("REPORT RequestId") for line in list(self.lines))


def _emulator() -> str:
    machine = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())
    binary = Path(sys.prefix, "rie/samcli/local/rapid", f"aws-lambda-rie-{machine}")
    if sys.platform != "linux" or not os.access(binary, os.X_OK):
        raise DemoError(
            f"There is no Lambda emulator at {binary}: use Linux, and start it by make."
        )
    return str(binary)


def _read_answer(text: str) -> dict[str, Any]:
    if text.startswith("Task timed out after "):
        return {"errorType": "Sandbox.Timedout", "errorMessage": text}
    answer: dict[str, Any] = json.loads(text)
    if isinstance(answer.get("body"), str):
        answer["body"] = json.loads(answer["body"])
    return answer
