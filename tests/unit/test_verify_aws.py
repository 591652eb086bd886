"""What `make verify-aws` refuses, what it says that it costs, deploys, and cannot delete."""

from __future__ import annotations

import io
import json
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace
from typing import Any, Final

import boto3
import pytest
from botocore.stub import Stubber

from tests.infrastructure.template import PROJECT, read_template
from verify_aws.__main__ import main
from verify_aws.account import Account, StoppableClock
from verify_aws.function import build_zip, template
from verify_aws.options import bill, lines, read_options
from verify_aws.stacks import Stacks
from verify_aws.verification import parameters
from verify_aws.watching import GOOD, Client

NETWORK: Final = ["--vpc", "vpc-0a", "--subnets", "subnet-0a,subnet-0b"]
WHOLE: Final = [*NETWORK, "--client-cidr", "203.0.113.7/32"]
SERVICES: Final = read_template((PROJECT / "verify_aws/template.yaml").read_text())
ACCOUNT_ID: Final = "123456789012"


@pytest.mark.parametrize(
    "arguments, named",
    [
        ([], "--vpc and --subnets"),
        (NETWORK, "--client-cidr"),
        ([*WHOLE, "--rate", "0"], "--rate"),
        ([*WHOLE, "--page", "nowhere/page.md"], "--page"),
    ],
)
def test_an_option_that_makes_no_sense_is_named(
    arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert f"error: {named}" in capsys.readouterr().err


def test_without_a_region_nothing_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    assert main(WHOLE) == 2


def test_the_bill_is_what_is_created_for_an_hour() -> None:
    amounts = {of.split(",")[0]: amount for amount, _, of, _ in bill(read_options(WHOLE))}
    assert amounts["public IPv4 address"] == 10 + 2, "ten tasks, and a load balancer in two zones"
    assert amounts["load balancer"] == 1
    plain = "\n".join(lines(bill(read_options([*NETWORK, "--no-load-balancer", "--no-public-ip"]))))
    assert "IPv4" not in plain
    assert "load balancer" not in plain
    assert "  5.00 x USD 0.0099  Fargate task of 0.25 vCPU and 0.5 GB (arm64)" in plain


def test_the_zip_has_the_function_its_killer_and_nothing_of_the_configuration() -> None:
    with zipfile.ZipFile(io.BytesIO(build_zip())) as archive:
        names = archive.namelist()
        assert {"lambda_function.py", "ecs_task_recycle/recycle.py", "mortal.py"} <= {*names}
        assert json.loads(archive.read("input.json")) == {}
        assert len(names) == len(set(names))
        assert {each.external_attr >> 16 for each in archive.infolist()} == {0o100644}


def test_the_template_is_that_of_the_product_but_for_the_code() -> None:
    ours, theirs = read_template(template()), read_template()
    code = ours["Resources"]["Function"]["Properties"].pop("Code")
    assert [*theirs["Resources"]["Function"]["Properties"].pop("Code")] == ["S3Bucket", "S3Key"]
    assert [*code] == ["ZipFile"]
    assert ours == theirs


def test_the_options_become_the_parameters_of_the_services() -> None:
    given = parameters(read_options([*NETWORK, "--no-load-balancer", "--no-public-ip"]))
    assert given.keys() == SERVICES["Parameters"].keys()
    assert (given["Balanced"], given["AssignPublicIp"]) == ("false", "DISABLED")
    given = parameters(read_options(WHOLE))
    assert (given["Balanced"], given["ClientCidr"]) == ("true", "203.0.113.7/32")


def test_nothing_of_the_services_outlives_the_stack_and_nobody_else_reaches_them() -> None:
    resources: dict[str, Any] = SERVICES["Resources"]
    assert not [each for each in resources.values() if "DeletionPolicy" in each]
    (outside,) = resources["LoadBalancerSecurityGroup"]["Properties"]["SecurityGroupIngress"]
    assert outside["CidrIp"] == {"Ref": "ClientCidr"}
    (inside,) = resources["TaskSecurityGroup"]["Properties"]["SecurityGroupIngress"]
    assert "SourceSecurityGroupId" in inside


def test_what_cannot_be_deleted_is_left_with_its_reason_and_a_command() -> None:
    names = {"cloudformation": "cloudformation", "logs": "logs",
             "autoscaling": "application-autoscaling"}  # fmt: skip
    make: Any = boto3.client
    clients = {name: make(service) for name, service in names.items()}
    stubs = {name: Stubber(client) for name, client in clients.items()}

    def refuse(client: str, operation: str, code: str) -> None:
        stubs[client].add_client_error(operation, code, f"not for {ACCOUNT_ID}")

    refuse("cloudformation", "delete_stack", "AccessDenied")
    stubs["cloudformation"].add_response("delete_stack", {})
    refuse("cloudformation", "describe_stacks", "ValidationError")
    refuse("logs", "delete_log_group", "ResourceNotFoundException")
    refuse("logs", "delete_log_group", "AccessDeniedException")
    refuse("autoscaling", "deregister_scalable_target", "ObjectNotFoundException")
    for stub in stubs.values():
        stub.activate()
    account = Account(
        account_id=ACCOUNT_ID,
        region="us-east-1",
        clock=StoppableClock(),
        aws=SimpleNamespace(**clients),
        invoker=None,
    )
    stacks = Stacks(account=account, name="verify")
    left = stacks.delete()
    assert left.keys() == {"verify-function", "/ecs/verify"} < stacks.commands.keys()
    assert all("not for *****" in each for each in left.values())
    for stub in stubs.values():
        stub.assert_no_pending_responses()


class Failing(BaseHTTPRequestHandler):
    """Answers 503 to every third request, hangs up at every fifth."""

    count = 0

    def do_GET(self) -> None:
        type(self).count += 1
        if self.count % 5 == 0:
            self.close_connection = True
            return
        self.send_response(503 if self.count % 3 == 0 else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.local_socket
@pytest.mark.parametrize("kept", [True, False])
def test_clients_note_each_answer_until_all_is_over(kept: bool) -> None:  # noqa: FBT001
    clock = StoppableClock()
    with HTTPServer(("127.0.0.1", 0), Failing) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        url = f"http://127.0.0.1:{server.server_port}"
        client = Client(url=url, keeps_connection=kept, clock=clock)
        with clock.meanwhile([(0.01, client.request)]):
            threading.Event().wait(0.4)
        server.shutdown()
    outcomes = [outcome for _, outcome in client.answers]
    assert {*outcomes} == {GOOD, "503", "ProtocolError"}
    assert 15 <= len(outcomes) <= 41
