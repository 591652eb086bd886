"""The function itself: its zip in Lambda's runtime, against the emulated AWS over HTTP."""

from __future__ import annotations

import base64
import json
import sys
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import pytest

from demo import stage as demo_stage
from demo.lambda_runtime import LambdaRuntime
from demo.stage import SHORT_TIMES, build_zip, emulated_ecs
from ecs_emulator import FailingStart, World
from ecs_emulator.wire.server import serve
from tests.mail_servers import MailServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(sys.platform != "linux", reason="the Lambda emulator runs on Linux only"),
]

# What the Lambda console offers as a first test event.
HELLO_WORLD: Final = {"key1": "value1", "key2": "value2", "key3": "value3"}
EVENT: Final = {"cluster_name": "demo", "service_name": "web", "wait_time": 0}
NO_REPLACEMENT: Final = FailingStart(after=1, after_seconds=0.3)

ACCESS_KEY: Final = "AKIAPLANTEDACCESSKEY"
SECRETS: Final = {
    "access key": ACCESS_KEY,
    "secret key": "planted-secret-key",
    "session token": "planted-session-token",
    "mail password": "planted-mail-password",
}
USERNAME: Final = "the-user"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """The function in Lambda's runtime, and what stands around it."""

    world: World
    runtime: LambdaRuntime
    mail_server: MailServer

    def log(self) -> list[dict[str, Any]]:
        """Every line that the function itself has written, read as JSON."""
        said = [line for line in self.runtime.lines if line and not is_lambdas(line)]
        return [json.loads(line) for line in said]


def is_lambdas(line: str) -> bool:
    return line.startswith(("START RequestId", "END RequestId", "REPORT RequestId"))


@contextmanager
def stage(
    folder: Path, *, failing_starts: tuple[FailingStart, ...] = (), password: str | None = None
) -> Iterator[Stage]:
    """Set everything up; `password` is what the mail server wants, if not what it will be given."""
    world = emulated_ecs("web", knobs=replace(SHORT_TIMES, failing_starts=failing_starts))
    wanted = password or SECRETS["mail password"]
    with MailServer(username=USERNAME, password=wanted) as mail_server, serve(world) as url:
        zip_file = build_zip(folder, input_json(mail_server))
        environment = {"AWS_ENDPOINT_URL": url, "SSL_CERT_FILE": str(mail_server.certificate)}
        with LambdaRuntime(zip_file, environment=environment) as runtime:
            yield Stage(world=world, runtime=runtime, mail_server=mail_server)


def input_json(mail_server: MailServer) -> dict[str, Any]:
    login = {"username": USERNAME, "password": SECRETS["mail password"]}
    keys = {
        "region_name": "us-east-1",
        "access_key": ACCESS_KEY,
        "secret_key": SECRETS["secret key"],
        "session_token": SECRETS["session token"],
    }
    return {**demo_stage.input_json(mail_server, **login), "awsCredentials": keys}


def assert_no_secret_is_told(staged: Stage, answer: dict[str, Any]) -> None:
    mails = [str(mail.envelope.original_content) for mail in staged.mail_server.mails]
    texts = [mail.part(kind) for mail in staged.mail_server.mails for kind in ("plain", "html")]
    lines = [*staged.runtime.lines, *staged.runtime.errors]
    told = "\n".join([json.dumps(answer), *lines, *mails, *texts])
    assert secrets_in(told) == []


def secrets_in(text: str) -> list[str]:
    return [
        name
        for name, secret in SECRETS.items()
        for form in (secret, base64.b64encode(secret.encode()).decode().rstrip("="))
        if form in text
    ]


@pytest.mark.parametrize("name", SECRETS)
def test_the_search_for_secrets_finds_each_of_them(name: str) -> None:
    encoded = base64.b64encode(SECRETS[name].encode()).decode()
    assert secrets_in(f"is {SECRETS[name]}!") == [name]
    assert secrets_in(f"is {encoded}!") == [name]


def test_a_test_event_of_the_console_is_refused_by_naming_both_missing_parameters(
    tmp_path: Path,
) -> None:
    with stage(tmp_path) as staged:
        answer = staged.runtime.invoke(HELLO_WORLD)
        assert answer["errorType"] == "SettingsError"
        assert "cluster_name is missing" in answer["errorMessage"]
        assert "service_name is missing" in answer["errorMessage"]
        # The mail about it is sent once an hour.
        keys = [call.parameters["Key"] for call in staged.world.calls]
        assert keys == [{"service": {"S": "refused-events"}}] * len(keys)
        assert_no_secret_is_told(staged, answer)


def test_a_replacement_that_does_not_come_up_is_an_error_with_its_cause_and_all_is_put_back(
    tmp_path: Path,
) -> None:
    with stage(tmp_path, failing_starts=(NO_REPLACEMENT,)) as staged:
        answer = staged.runtime.invoke(EVENT)
        assert answer["errorType"] == "ReplacementError"
        assert "failed starts: task" in answer["errorMessage"]
        assert "CannotPullContainerError" in answer["errorMessage"]
        assert demo_stage.capacity(staged.world, "web") == (3, 3, 6)
        (mail,) = staged.mail_server.mails
        assert "FAILED (ReplacementError)" in mail.message["Subject"]
        assert (mail.over_tls, mail.username) == (True, USERNAME)
        assert_no_secret_is_told(staged, answer)


def test_a_dry_run_answers_with_a_plan_and_writes_nothing(tmp_path: Path) -> None:
    with stage(tmp_path) as staged:
        answer = staged.runtime.invoke({**EVENT, "dry_run": True})
        body = answer["body"]
        assert (answer["statusCode"], body["status"]) == (200, "planned")
        assert len(body["tasks"]) == 3
        assert staged.world.writes == []
        # The run record is the function's own, not of the account that the keys belong to.
        of_ecs = [call for call in staged.world.calls if call.service != "dynamodb"]
        assert {call.access_key for call in of_ecs} == {ACCESS_KEY}
        assert staged.mail_server.mails == []
        assert_no_secret_is_told(staged, answer)


def test_every_line_of_the_log_is_one_record_with_level_message_and_run_id(tmp_path: Path) -> None:
    with stage(tmp_path) as staged:
        answer = staged.runtime.invoke(EVENT)
        records = staged.log()
    run_id = answer["body"]["run_id"]
    assert len(records) >= 9
    for record in records:
        assert {"timestamp", "level", "message", "run_id"} <= record.keys()
        assert record["level"] in {"INFO", "WARNING", "ERROR"}
        assert record["run_id"] == run_id
    assert records[0]["message"] == "Starting task recycle for demo/web"
    assert "Task recycle completed successfully" in [record["message"] for record in records]


def test_a_mail_server_that_refuses_the_login_is_told_of_without_the_password(
    tmp_path: Path,
) -> None:
    with stage(tmp_path, password="another") as staged:
        answer = staged.runtime.invoke(HELLO_WORLD)
        records = staged.log()
        assert answer["errorType"] == "SettingsError"
        assert staged.mail_server.mails == []
        warnings = [record["message"] for record in records if record["level"] == "WARNING"]
        assert any("the server refused the login" in message for message in warnings)
        assert_no_secret_is_told(staged, answer)
