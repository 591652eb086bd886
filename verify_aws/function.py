"""The function: built as users build it, deployed by its own template, invoked, and killed."""

from __future__ import annotations

import io
import json
import re
import subprocess
import tempfile
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ConnectionClosedError, ReadTimeoutError

from verify_aws.account import Account, VerifyError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ecs_task_recycle.clock import Clock

PROJECT: Final = Path(__file__).parents[1]
MORTAL: Final = Path(__file__).with_name("mortal.py")
HANDLER: Final = "lambda_function.lambda_handler"
CODE: Final = re.compile(r"^ {6}Code:\n(?: {8}.*\n)+", re.MULTILINE)
PLACEHOLDER: Final = "      Code: {ZipFile: '# The real code follows when the stack is there.'}\n"
TIMEOUT_SECONDS: Final = 900
MORTAL_TIMEOUT_SECONDS: Final = 480
"""Of the invocation that is killed: the next one goes on when the first is certainly over."""

LONGEST_RUN_SECONDS: Final = 3_600
LOOK_SECONDS: Final = 3
OPEN: Final = frozenset({"running", "handed_over", "dead"})
"""States of a run that goes on, or that its guardian is to take over."""


def build_zip() -> bytes:
    """Build the function's zip by lambda_build.sh; leave the user's configuration out of it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "function.zip"
        command = ["bash", str(PROJECT / "lambda_build.sh"), "--output", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise VerifyError(f"The function's zip was not built: {done.stderr.strip()}")
        return with_files(path.read_bytes(), {"input.json": b"{}"})


def with_files(code: bytes, files: dict[str, bytes]) -> bytes:
    """Return a zip with these files in it, in place of those of the same name."""
    copy = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(code)) as old, zipfile.ZipFile(copy, "w") as new:
        kept = {each.filename: old.read(each) for each in old.infolist()}
        for name, content in (kept | files).items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = 0o100644 << 16  # Lambda runs as another user
            new.writestr(entry, content, zipfile.ZIP_DEFLATED)
    return copy.getvalue()


def template() -> str:
    """Return the product's template, with the code to follow: so no bucket is needed."""
    text = (PROJECT / "template.yaml").read_text(encoding="utf-8")
    without, count = CODE.subn(PLACEHOLDER, text)
    if count != 1:
        raise VerifyError(f"template.yaml has {count} properties Code, expected one.")
    return without


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an invocation came to: a body, or an error."""

    body: dict[str, Any]
    error: str | None = None
    message: str = ""
    is_lost: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """The deployed function, for the services of one cluster; both have the same name."""

    account: Account
    name: str
    clock: Clock
    code: bytes

    def upload(self) -> None:
        """Give the function its code."""
        self._update(self.code, Handler=HANDLER, Timeout=TIMEOUT_SECONDS)

    @contextmanager
    def killed_in_the_middle(self) -> Iterator[None]:
        """Let invocations that begin inside die by SIGKILL after their second stop."""
        self._update(
            with_files(self.code, {MORTAL.name: MORTAL.read_bytes()}),
            Handler=f"{MORTAL.stem}.lambda_handler",
            Timeout=MORTAL_TIMEOUT_SECONDS,
        )
        try:
            yield
        finally:
            self.upload()

    def _update(self, code: bytes, **configuration: Any) -> None:  # noqa: ANN401 - boto3's
        self._wait_for_update()
        self.account.lambda_.update_function_code(FunctionName=self.name, ZipFile=code)
        self._wait_for_update()
        self.account.lambda_.update_function_configuration(FunctionName=self.name, **configuration)
        self._wait_for_update()

    def _wait_for_update(self) -> None:
        """Wait until Lambda has done what it was asked for; it refuses two updates at a time.

        https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html
        """
        while True:
            found = self.account.lambda_.get_function_configuration(FunctionName=self.name)
            if found["State"] == "Failed" or found.get("LastUpdateStatus") == "Failed":
                reason = found.get("StateReason") or found.get("LastUpdateStatusReason")
                raise VerifyError(f"Lambda could not update the function: {reason}")
            if found["State"] != "Pending" and found.get("LastUpdateStatus") != "InProgress":
                return
            self.clock.sleep(1)

    def invoke(self, service: str, **event: object) -> Answer:
        """Invoke the function for a service, once, and wait for its answer."""
        return self._answer(self.account.invoker, service, event)

    def body(self, service: str, **event: object) -> dict[str, Any]:
        """Invoke the function with what it may be asked repeatedly; return its answer's body.

        Raises VerifyError for an error.
        """
        answer = self._answer(self.account.lambda_, service, event)
        if answer.is_lost or answer.error is not None:
            raise VerifyError(f"{service}: {answer.error or 'no answer'}: {answer.message}")
        return answer.body

    def _answer(self, client: Any, service: str, event: dict[str, object]) -> Answer:  # noqa: ANN401
        payload = json.dumps({"cluster_name": self.name, "service_name": service, **event})
        try:
            answer = client.invoke(FunctionName=self.name, Payload=payload)
            document = json.loads(answer["Payload"].read())
        except (ConnectionClosedError, ReadTimeoutError) as error:
            return Answer(body={}, message=str(error), is_lost=True)
        if "FunctionError" in answer:
            name, message = str(document.get("errorType")), str(document.get("errorMessage"))
            return Answer(body={}, error=name, message=message)
        return Answer(body=json.loads(document["body"]))

    def status(self, service: str) -> dict[str, Any]:
        """Return where the service's run stands."""
        run: dict[str, Any] = self.body(service, action="status")["run"]
        if run["run_id"] is None:
            raise VerifyError(f"{service}: there is no record of any run.")
        return run

    def ended(self, service: str) -> dict[str, Any]:
        """Wait until the service's run has ended; return where it stands then."""
        until = self.clock.now() + LONGEST_RUN_SECONDS
        while (run := self.status(service))["state"] in OPEN:
            if self.clock.now() > until:
                raise VerifyError(f"{service}: the run has not ended in an hour: {run}")
            self.clock.sleep(LOOK_SECONDS)
        return run
