"""What a verification does where AWS says no, on the wire of real clients."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any, Final

import boto3
import pytest
from botocore.config import Config
from botocore.stub import Stubber

from ecs_task_recycle.clock import SystemClock
from verify_aws.account import LONG, MASK, Account, VerifyError
from verify_aws.clock import StoppableClock, StoppedError
from verify_aws.function import Function
from verify_aws.stacks import Stacks

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME: Final = "verify"
ACCOUNT_ID: Final = "123456789012"
TWICE: Final = Config(retries={"mode": "standard", "total_max_attempts": 2})
CREATED: Final = "2026-01-05T09:00:00Z"


def an_account(**clients: Any) -> Account:  # noqa: ANN401 - boto3's type
    """Return an account whose other clients must not be used."""
    names = ("cloudformation", "lambda_", "invoker", "ecs", "autoscaling", "elbv2", "logs", "ec2")
    return Account(
        account_id=ACCOUNT_ID,
        region="us-east-1",
        ahead_seconds=0.0,
        **{**dict.fromkeys(names), **clients},
    )


class Wire:
    """Three clients, each answered by what a test has added."""

    def __init__(self) -> None:
        self.clients: dict[str, Any] = {
            "cloudformation": boto3.client("cloudformation"),
            "autoscaling": boto3.client("application-autoscaling"),
            "logs": boto3.client("logs"),
        }
        self.stubs = {name: Stubber(client) for name, client in self.clients.items()}
        self.said: list[str] = []

    @property
    def stacks(self) -> Stacks:
        return Stacks(
            account=an_account(**self.clients), name=NAME, clock=SystemClock(), say=self.said.append
        )

    def status(self, stack: str, status: str) -> None:
        found = {"StackName": stack, "CreationTime": CREATED, "StackStatus": status}
        self.stubs["cloudformation"].add_response("describe_stacks", {"Stacks": [found]})

    def no_stack(self, times: int) -> None:
        for _ in range(times):
            self.stubs["cloudformation"].add_client_error(
                "describe_stacks", "ValidationError", "Stack with id verify does not exist"
            )

    def events(self, *causes: tuple[str, str, str]) -> None:
        events = [
            {"StackId": "s", "EventId": name, "StackName": NAME, "Timestamp": CREATED,
             "LogicalResourceId": name, "ResourceStatus": status, "ResourceStatusReason": reason}
            for name, status, reason in reversed(causes)
        ]  # fmt: skip
        self.stubs["cloudformation"].add_response("describe_stack_events", {"StackEvents": events})

    def refuse(self, client: str, operation: str, code: str = "AccessDeniedException") -> None:
        message = f"arn:aws:iam::{ACCOUNT_ID}:user/u is not authorized"
        self.stubs[client].add_client_error(operation, code, message)


@pytest.fixture
def wire() -> Iterator[Wire]:
    one = Wire()
    for stub in one.stubs.values():
        stub.activate()
    yield one
    for stub in one.stubs.values():
        stub.assert_no_pending_responses()


def test_a_stack_that_is_not_created_is_told_with_its_first_cause_first(wire: Wire) -> None:
    wire.status(NAME, "CREATE_FAILED")
    wire.events(
        ("Cluster", "CREATE_COMPLETE", "fine"),
        ("PlainService", "CREATE_FAILED", "Circuit Breaker was triggered"),
        ("Listener", "CREATE_FAILED", "Resource creation cancelled"),
    )
    with pytest.raises(VerifyError) as told:
        wire.stacks.created(NAME)
    assert str(told.value) == (
        "The stack verify was not created: PlainService: Circuit Breaker was triggered; "
        "Listener: Resource creation cancelled."
    )


def test_a_stack_that_disappears_is_no_stack(wire: Wire) -> None:
    wire.no_stack(1)
    wire.events()
    with pytest.raises(VerifyError, match="was not created: no cause is known"):
        wire.stacks.created(NAME)


def test_what_cannot_be_deleted_is_named_with_its_command(wire: Wire) -> None:
    cloudformation = wire.stubs["cloudformation"]
    wire.refuse("autoscaling", "deregister_scalable_target")
    # The function's stack may not be read; that of the services may not be deleted.
    wire.refuse("cloudformation", "describe_stacks", "AccessDenied")
    wire.status(NAME, "CREATE_COMPLETE")
    cloudformation.add_response("delete_stack", {})
    wire.status(NAME, "DELETE_FAILED")
    wire.events(("TaskSecurityGroup", "DELETE_FAILED", "has a dependent object"))
    wire.refuse("autoscaling", "deregister_scalable_target", "ObjectNotFoundException")
    wire.refuse("logs", "delete_log_group", "ResourceNotFoundException")
    wire.refuse("logs", "delete_log_group")
    function, services, log = wire.stacks.delete()
    assert (function.what, MASK in function.reason) == ("stack verify-function", True)
    assert services.reason == "TaskSecurityGroup: has a dependent object"
    assert services.command == (
        "aws cloudformation delete-stack --region us-east-1 --stack-name verify"
    )
    assert (log.what, ACCOUNT_ID in log.reason) == ("log group /ecs/verify", False)
    assert log.command.endswith("delete-log-group --region us-east-1 --log-group-name /ecs/verify")
    assert "The autoscaling limits stay for now" in wire.said[0]


def test_where_nothing_is_left_nothing_is_deleted(wire: Wire) -> None:
    for _ in range(2):
        wire.refuse("autoscaling", "deregister_scalable_target", "ObjectNotFoundException")
        wire.refuse("logs", "delete_log_group", "ResourceNotFoundException")
    wire.no_stack(4)
    assert wire.stacks.delete() == []
    assert wire.said == []


# ---- The function ----


@contextmanager
def answering(
    status: int | None, body: str = "", error: str | None = None
) -> Iterator[tuple[Function, list[str]]]:
    """Yield a function whose Lambda answers so, and the requests; with no status it hangs up."""
    requests: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            requests.append(self.path)
            if status is None:
                return
            self.send_response(status)
            if error is not None:
                self.send_header("X-Amz-Function-Error", error)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        url = f"http://127.0.0.1:{server.server_port}"
        once = boto3.client("lambda", endpoint_url=url, config=LONG)
        again = boto3.client("lambda", endpoint_url=url, config=TWICE)
        account = an_account(lambda_=again, invoker=once)
        try:
            yield Function(account=account, name=NAME, clock=SystemClock(), code=b""), requests
        finally:
            server.shutdown()


@pytest.mark.local_socket
def test_an_answer_that_is_lost_is_no_error_and_is_not_asked_for_again() -> None:
    with answering(None) as (function, requests):
        answer = function.invoke("plain", wait_time=0)
        assert (answer.is_lost, answer.error, len(requests)) == (True, None, 1)
        with pytest.raises(VerifyError, match="plain: no answer: Connection was closed"):
            function.status("plain")
        assert len(requests) == 1 + 2, "what writes nothing may be asked again"


@pytest.mark.local_socket
def test_an_error_of_the_function_is_a_sentence() -> None:
    body = '{"errorType": "PreconditionError", "errorMessage": "it is DRAINING"}'
    with answering(200, body, error="Unhandled") as (function, _):
        assert function.invoke("plain").error == "PreconditionError"
        with pytest.raises(VerifyError, match="plain: PreconditionError: it is DRAINING"):
            function.status("plain")


@pytest.mark.local_socket
def test_a_run_that_has_ended_is_where_it_stands() -> None:
    run = {"run_id": "a", "state": "ended"}
    with answering(200, body_of(run)) as (function, _):
        assert function.ended("plain") == run


@pytest.mark.local_socket
def test_a_run_that_has_never_begun_has_not_ended() -> None:
    none = pytest.raises(VerifyError, match="plain: there is no record of any run")
    with answering(200, body_of({"run_id": None})) as (function, _), none:
        function.ended("plain")


def body_of(run: dict[str, Any]) -> str:
    return json.dumps({"statusCode": 200, "body": json.dumps({"run": run})})


def test_nobody_waits_on_a_clock_that_is_stopped() -> None:
    clock = StoppableClock()
    clock.sleep(0.001)
    clock.stop()
    with pytest.raises(StoppedError):
        clock.sleep(3600)
