"""A local AWS that deploys: CloudFormation, S3, IAM, Lambda, EventBridge, Logs, Secrets Manager.

MiniStack (https://github.com/ministackorg/ministack) in an environment of its own, on 127.0.0.1.
It runs a deployed zip in a process of its own, keeps its log and fires its rules. What is not as
in AWS: it does not judge permissions, every error of a function has the type
`Runtime.HandlerError`, properties that it does not know are accepted, and a rate rule first fires
up to a minute late. It knows no ECS that schedules: `function_environment` points elsewhere.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import boto3

from demo.lambda_runtime import CLI_ENVIRONMENT, LOCALHOST, MADE_UP_ACCOUNT
from demo.package import PROJECT
from demo.ports import free_port
from demo.process import LocalProcess

if TYPE_CHECKING:
    from collections.abc import Mapping

PROGRAM: Final = PROJECT / ".venv-ministack" / "bin" / "ministack"
STARTS_WITHIN_SECONDS: Final = 60.0
POLL_SECONDS: Final = 0.1


class CloudUnavailableError(RuntimeError):
    """MiniStack is not installed or did not start; the sentence says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A command that has ended: as it was typed, its exit status, and what it wrote."""

    command: str
    status: int
    output: str
    errors: str


class LocalCloud:
    """MiniStack for as long as the `with` lasts; everything it writes lands in `folder`.

    `function_environment` is what the functions see on top of what Lambda gives them:
    `{"AWS_ENDPOINT_URL_ECS": "http://127.0.0.1:5054"}`, say.
    """

    def __init__(self, folder: Path, *, function_environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._function_environment = dict(function_environment)
        self._running = ExitStack()
        self._process: LocalProcess | None = None
        self.port = 0

    def __enter__(self) -> Self:
        if not os.access(PROGRAM, os.X_OK):
            raise CloudUnavailableError(f"There is no {PROGRAM.relative_to(PROJECT)}: run make.")
        with ExitStack() as running:
            self.port = free_port()
            self._process = process = running.enter_context(
                LocalProcess([str(PROGRAM)], environment=self._environment(), folder=self._folder)
            )
            if not self._answers(process):
                told = [*process.lines, *process.diagnostics][-5:]
                raise CloudUnavailableError("MiniStack did not start: " + " ".join(told))
            self._running = running.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    @property
    def url(self) -> str:
        """The endpoint of every service."""
        return f"http://{LOCALHOST}:{self.port}"

    @property
    def lines(self) -> list[str]:
        """What it has written itself, the log of its functions among it."""
        return [] if self._process is None else self._process.lines + self._process.diagnostics

    def client(self, service: Any) -> Any:  # noqa: ANN401 - boto3 has a type for each
        """Return a boto3 client of one of its services."""
        session = boto3.Session(
            aws_access_key_id=MADE_UP_ACCOUNT["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=MADE_UP_ACCOUNT["AWS_SECRET_ACCESS_KEY"],
            region_name=MADE_UP_ACCOUNT["AWS_REGION"],
        )
        return session.client(service, endpoint_url=self.url)

    def run(self, *command: str, folder: Path) -> Done:
        """Run a user's command, the real AWS CLI or a script, in a folder against this AWS."""
        done = subprocess.run(
            command,
            cwd=folder,
            env={**_bare(self._folder), **CLI_ENVIRONMENT, "AWS_ENDPOINT_URL": self.url},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        return Done(
            command=shlex.join(command),
            status=done.returncode,
            output=done.stdout,
            errors=done.stderr,
        )

    def fetch(self, url: str) -> bytes:
        """Return what lies behind a URL that this AWS has given out."""
        path = url.split("/", 3)[3]
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(f"{self.url}/{path}", timeout=30) as answer:
            return bytes(answer.read())

    def _environment(self) -> dict[str, str]:
        # Without BIND_HOST it listens on every interface of the machine.
        own = {"BIND_HOST": LOCALHOST, "GATEWAY_PORT": str(self.port), "PYTHONUNBUFFERED": "1"}
        return {**_bare(self._folder), **self._function_environment, **own}

    def _answers(self, process: LocalProcess) -> bool:
        give_up_at = time.monotonic() + STARTS_WITHIN_SECONDS
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        while process.is_running and time.monotonic() < give_up_at:
            try:
                direct.open(f"{self.url}/_ministack/health", timeout=5).close()
            except OSError:
                time.sleep(POLL_SECONDS)
            else:
                return True
        return False


def _bare(home: Path) -> dict[str, str]:
    """Return an environment in which our own Python and AWS CLI come first."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
    return {
        **MADE_UP_ACCOUNT,
        "PATH": path,
        "HOME": str(home),
        "TMPDIR": str(home),
        "LANG": "C.UTF-8",
        "NO_PROXY": LOCALHOST,
        "PYTHONDONTWRITEBYTECODE": "1",
    }
