"""The function: built as users build it, deployed by its own template, invoked, and killed."""

import io
import json
import re
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import ConnectionClosedError, ReadTimeoutError

from verify_aws.account import Account, VerifyError

PROJECT: Final = Path(__file__).parents[1]
MORTAL: Final = Path(__file__).with_name("mortal.py")
CODE: Final = re.compile(r"^ {6}Code:\n(?: {8}.*\n)+", re.MULTILINE)
PLACEHOLDER: Final = "      Code: {ZipFile: '# The real code follows when the stack is there.'}\n"
MORTAL_TIMEOUT_SECONDS: Final = 480
"""Of the invocation that is killed: the next one goes on when the first is certainly over."""

LONGEST_RUN_SECONDS: Final = 3_600
OPEN: Final = frozenset({"running", "handed_over", "dead"})
"""States of a run that goes on, or that its guardian is to take over."""


class InvocationError(VerifyError):
    """An invocation that ended with an error, or without an answer."""


def build_zip() -> bytes:
    """Build the zip by lambda_build.sh, with mortal.py and without the user's configuration."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "function.zip"
        command = ["bash", str(PROJECT / "lambda_build.sh"), "--output", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise VerifyError(f"The function's zip was not built: {done.stderr.strip()}")
        with zipfile.ZipFile(path) as old:
            files = {each.filename: old.read(each) for each in old.infolist()}
    files |= {"input.json": b"{}", MORTAL.name: MORTAL.read_bytes()}
    copy = io.BytesIO()
    with zipfile.ZipFile(copy, "w", zipfile.ZIP_DEFLATED) as new:
        for filename, data in files.items():
            entry = zipfile.ZipInfo(filename)
            entry.external_attr = 0o100644 << 16  # Lambda runs as another user
            new.writestr(entry, data, zipfile.ZIP_DEFLATED)
    return copy.getvalue()


def template() -> str:
    """Return the product's template, with the code to follow: so no bucket is needed."""
    text = (PROJECT / "template.yaml").read_text(encoding="utf-8")
    without, count = CODE.subn(PLACEHOLDER, text)
    if count != 1:
        raise VerifyError(f"template.yaml has {count} properties Code, expected one.")
    return without


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """The deployed function, for the services of one cluster; both have the same name."""

    account: Account
    name: str

    def upload(self, code: bytes) -> None:
        """Give the function its code."""
        lambda_ = self.account.aws.lambda_
        lambda_.update_function_code(FunctionName=self.name, ZipFile=code)
        self._configure(Handler="lambda_function.lambda_handler", Timeout=900)

    @contextmanager
    def killed_in_the_middle(self) -> Iterator[None]:
        """Let invocations that begin inside die by SIGKILL after their second stop."""
        self._configure(Handler="mortal.lambda_handler", Timeout=MORTAL_TIMEOUT_SECONDS)
        try:
            yield
        finally:
            self._configure(Handler="lambda_function.lambda_handler", Timeout=900)

    def _configure(self, **configuration: Any) -> None:  # noqa: ANN401 - boto3's
        """Change the configuration; Lambda refuses that while another update goes on.

        https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html
        """
        lambda_, function = self.account.aws.lambda_, {"FunctionName": self.name}
        is_updated = lambda_.get_waiter("function_updated_v2")
        is_updated.wait(**function)
        lambda_.update_function_configuration(**configuration, **function)
        is_updated.wait(**function)

    def invoke(self, service: str, **event: object) -> dict[str, Any]:
        """Invoke the function, a run once only; return the answer's body.

        Raises InvocationError.
        """
        writes_nothing = event.keys() & {"action", "dry_run"}
        client = self.account.aws.lambda_ if writes_nothing else self.account.invoker
        payload = json.dumps({"cluster_name": self.name, "service_name": service, **event})
        try:
            answer = client.invoke(FunctionName=self.name, Payload=payload)
            document = json.loads(answer["Payload"].read())
        except (ConnectionClosedError, ReadTimeoutError) as error:
            raise InvocationError(f"{service}: no answer: {error}") from error
        if "FunctionError" in answer:
            error_type, message = document.get("errorType"), document.get("errorMessage")
            raise InvocationError(f"{service}: {error_type}: {message}")
        body: dict[str, Any] = json.loads(document["body"])
        return body

    def status(self, service: str) -> dict[str, Any]:
        """Return where the service's run stands."""
        run: dict[str, Any] = self.invoke(service, action="status")["run"]
        return run

    def ended(self, service: str) -> dict[str, Any]:
        """Wait until the service's run has ended; return where it stands then."""
        clock = self.account.clock
        until = clock.now() + LONGEST_RUN_SECONDS
        while (run := self.status(service)).get("state") in OPEN:
            if clock.now() > until:
                raise VerifyError(f"{service}: the run has not ended in an hour: {run}")
            clock.sleep(3)
        return run
