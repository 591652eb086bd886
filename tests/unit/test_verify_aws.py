"""What `make verify-aws` refuses, what it says that it costs, and what it deploys."""

from __future__ import annotations

import io
import json
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, Final

import pytest

from ecs_task_recycle.clock import SystemClock
from tests.infrastructure.template import PROJECT, read_template
from verify_aws import cost
from verify_aws.__main__ import main
from verify_aws.function import build_zip, template, with_files
from verify_aws.load import GOOD, KEPT, NEW, LoadGenerator
from verify_aws.options import read_options
from verify_aws.stacks import stack_names
from verify_aws.terminal import is_agreed_to
from verify_aws.verification import parameters

NETWORK: Final = ["--vpc", "vpc-0a", "--subnets", "subnet-0a,subnet-0b"]
WHOLE: Final = [*NETWORK, "--client-cidr", "203.0.113.7/32"]
SERVICES: Final = read_template((PROJECT / "verify_aws/template.yaml").read_text())


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        ([], "--vpc and --subnets are needed"),
        (NETWORK, "--client-cidr is needed"),
        (["--vpc", "10.0.0.0/8"], "'10.0.0.0/8' is not the ID of a VPC."),
        (["--subnets", "subnet-0a, subnet-0b"], "is not subnet IDs separated by commas."),
        ([*WHOLE, "--client-cidr", "203.0.113.7/24"], "is no IPv4 network"),
        ([*WHOLE, "--client-cidr", "me"], "'me' is no IPv4 network"),
        ([*WHOLE, "--subnets", "subnet-0a"], "A load balancer needs subnets in at least two zones"),
        ([*WHOLE, "--listener-port", "65536"], "'65536' is not a port from 1 to 65535."),
        ([*WHOLE, "--rate", "0"], "'0' is not requests per second from 1 to 200."),
        ([*WHOLE, "--rate", "1e2"], "'1e2' is not requests per second from 1 to 200."),
        ([*WHOLE, "--url", "https://example.com/"], "is not a URL such as http://"),
        ([*WHOLE, "--url", "http://user:word@localhost/"], "is not a URL such as http://"),
        ([*WHOLE, "--name", "Production"], "'Production' is not a name of 2 to 31 small letters"),
        ([*WHOLE, "--architecture", "riscv"], "invalid choice: 'riscv'"),
        ([*WHOLE, "--page", "nowhere/page.md"], "--page: there is no folder nowhere"),
        ([*WHOLE, "--colour"], "unrecognized arguments: --colour"),
    ],
)
def test_an_option_that_makes_no_sense_is_a_sentence_and_a_status(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err


def test_without_a_region_nothing_is_called(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    assert main(WHOLE) == 2
    assert "No region is configured: name one with --region." in capsys.readouterr().err
    assert main([*WHOLE, "--profile", "none"]) == 2
    assert "The config profile (none) could not be found" in capsys.readouterr().err


@pytest.mark.parametrize("answer, agreed", [("yes\n", True), ("y\n", False), ("", False)])
def test_only_yes_in_full_is_a_yes(
    answer: str,
    agreed: bool,  # noqa: FBT001
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    assert is_agreed_to("Begin?") is agreed


# ---- What it costs ----


def test_the_bill_is_what_is_created_for_an_hour() -> None:
    amounts = {price.of.split(",")[0]: amount for amount, price in cost.bill(read_options(WHOLE))}
    assert amounts["public IPv4 address"] == 10 + 2, "ten tasks, and a load balancer in two zones"
    assert amounts["load balancer"] == 1
    assert cost.dollars(read_options(WHOLE)) == pytest.approx(0.2112, abs=0.0005)


def test_what_is_not_created_is_not_on_the_bill() -> None:
    plain = read_options([*NETWORK, "--no-load-balancer", "--no-public-ip"])
    lines = "\n".join(cost.lines(plain))
    assert "IPv4" not in lines
    assert "load balancer" not in lines
    assert "Fargate task of 0.25 vCPU and 0.5 GB (arm64)" in lines
    internal = read_options([*WHOLE, "--internal"])
    assert cost.dollars(internal) == pytest.approx(cost.dollars(read_options(WHOLE)) - 2 * 0.005)
    dearer = read_options([*WHOLE, "--architecture", "x86_64"])
    assert cost.dollars(dearer) > cost.dollars(read_options(WHOLE))


# ---- What it deploys ----


def test_the_zip_has_the_function_and_nothing_of_the_configuration() -> None:
    with zipfile.ZipFile(io.BytesIO(build_zip())) as archive:
        assert {"lambda_function.py", "ecs_task_recycle/recycle.py"} <= {*archive.namelist()}
        assert json.loads(archive.read("input.json")) == {}


@pytest.mark.slow
def test_a_file_that_is_added_can_be_read_by_lambdas_user() -> None:
    code = with_files(build_zip(), {"mortal.py": b"import os\n"})
    with zipfile.ZipFile(io.BytesIO(code)) as archive:
        names = archive.namelist()
        assert len(names) == len(set(names))
        assert {each.external_attr >> 16 for each in archive.infolist()} == {0o100644}


def test_the_template_is_that_of_the_product_but_for_the_code() -> None:
    ours, theirs = read_template(template()), read_template()
    code = ours["Resources"]["Function"]["Properties"].pop("Code")
    assert [*theirs["Resources"]["Function"]["Properties"].pop("Code")] == ["S3Bucket", "S3Key"]
    assert [*code] == ["ZipFile"]
    assert ours == theirs


def test_each_parameter_of_the_services_is_given_and_known() -> None:
    assert parameters(read_options(WHOLE)).keys() == SERVICES["Parameters"].keys()


def test_names_fit_what_is_named_by_them() -> None:
    longest = "a" * 31
    options = read_options([*WHOLE, "--name", longest])
    assert options.name == longest
    (pattern,) = {read_template()["Parameters"]["FunctionName"]["AllowedPattern"]}
    assert "{1,50}" in pattern
    assert len({*stack_names(longest)}) == 2


def test_nothing_of_the_services_outlives_the_stack_and_nobody_else_reaches_them() -> None:
    resources: dict[str, Any] = SERVICES["Resources"]
    assert {each.get("DeletionPolicy", "Delete") for each in resources.values()} == {"Delete"}
    assert resources["LogGroup"]["Properties"]["RetentionInDays"] == 1
    (ingress,) = resources["LoadBalancerSecurityGroup"]["Properties"]["SecurityGroupIngress"]
    assert ingress["CidrIp"] == {"Ref": "ClientCidr"}
    _, inside, _ = resources["TaskSecurityGroup"]["Properties"]["SecurityGroupIngress"]["Fn::If"]
    assert ["SourceSecurityGroupId" in each for each in inside] == [True]
    (statement,) = resources["ExecutionRole"]["Properties"]["Policies"][0]["PolicyDocument"][
        "Statement"
    ]
    assert statement["Resource"] == {"Fn::GetAtt": ["LogGroup", "Arn"]}
    counts = {name: each["Properties"].get("DesiredCount") for name, each in resources.items()}
    assert {name for name, count in counts.items() if count == 3} == {
        "PlainService",
        "BalancedService",
    }


# ---- The load ----


class Failing(BaseHTTPRequestHandler):
    """Answers 503 to every third request, hangs up at every fifth; keeps no connection."""

    count = 0

    def do_GET(self) -> None:
        type(self).count += 1
        if self.count % 5 == 0:
            self.close_connection = True
            return
        self.send_response(503 if self.count % 3 == 0 else 200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"hi")

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.slow
@pytest.mark.local_socket
def test_the_load_is_of_the_rate_and_counts_each_outcome() -> None:
    clock = SystemClock()
    with HTTPServer(("127.0.0.1", 0), Failing) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        load = LoadGenerator(f"http://127.0.0.1:{server.server_port}", rate=100, clock=clock)
        load.start()
        clock.sleep(1.0)
        load.stop()
        server.shutdown()
    counts = load.answers.counts
    assert 60 <= counts.total() <= 110
    for client in (KEPT, NEW):
        assert counts[client, GOOD] > counts[client, "503"] > 0
    assert sum(counts[client, "RemoteDisconnected"] for client in (KEPT, NEW)) > 5
    assert len(load.answers.bad) == counts.total() - counts[KEPT, GOOD] - counts[NEW, GOOD]


@pytest.mark.local_socket
def test_a_load_balancer_that_is_not_there_is_an_outcome() -> None:
    load = LoadGenerator("http://127.0.0.1:9/", rate=40, clock=SystemClock())
    load.start()
    SystemClock().sleep(0.3)
    load.stop()
    assert {outcome for _, outcome in load.answers.counts} == {"ConnectionRefusedError"}
