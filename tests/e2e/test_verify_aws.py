"""`make verify-aws` from end to end: MiniStack and the emulator stand for the account.

Real: both stacks, the zip, the processes, the kill, the guardian, the load, the page, the deletion.
Not as in AWS: the services of the stack are MiniStack's, those that are recycled the emulator's, of
the same names; there is no load balancer and no container's log; MiniStack itself answers the
clients; and the record of the killed run is taken for dead at once.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Final

import boto3
import pytest

from demo.deployed import Stage, set_stage
from demo.process import environment_in
from demo.stage import PROJECT
from tests.docs.markdown import table
from verify_aws.account import NAME
from verify_aws.deployment import TAG

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc"),
]

SERVICES: Final = ("plain", "balanced")


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """What stands for an account; the state machine's pause of 4 minutes takes 5 seconds."""
    with ExitStack() as running:
        made = set_stage(running, tmp_path, SFN_WAIT_SCALE="0.02")
        for name, has_group in (("plain", False), ("balanced", True)):
            service = {"cluster": NAME, "name": name, "target_group": has_group}
            # Tasks that have really started: runs expect of replacements what those have taken.
            made.world.create_service(**service, settled=False)  # type: ignore[arg-type]
        yield made


def network(stage: Stage) -> list[str]:
    subnets = stage.cloud.client("ec2").describe_subnets()["Subnets"][:2]
    ids = ",".join(each["SubnetId"] for each in subnets)
    return ["--vpc", subnets[0]["VpcId"], "--subnets", ids, "--client-cidr", "127.0.0.1/32"]


def verify(
    stage: Stage,
    *arguments: str,
    on_line: Callable[[subprocess.Popen[str], str], object] = lambda *_: None,
) -> tuple[int, str, str]:
    """Run the command, without anybody who could answer it; return status, output and page."""
    folder = stage.tree.parent
    with subprocess.Popen(
        [sys.executable, "-m", "verify_aws", *arguments],
        env={**environment_in(folder), **stage.function_environment, "PYTHONPATH": str(PROJECT)},
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            on_line(process, line)
        status = process.wait()
    return status, "".join(said), "".join(each.read_text() for each in folder.glob("verify-*.md"))


def as_in_aws(stage: Stage, line: str) -> None:
    """Do what AWS would have done by itself, or sooner than here."""
    if found := re.search(r"(\w+): heal \.\.\.", line):
        table = boto3.resource("dynamodb", endpoint_url=stage.cloud.url).Table(NAME)
        # Else only 30 s after its limit.
        table.update_item(
            Key={"service": f"{NAME}/{found[1]}"},
            UpdateExpression="SET owner_dead_at = run_started_at",
        )


def stacks(stage: Stage) -> set[str]:
    found = stage.cloud.client("cloudformation").describe_stacks()["Stacks"]
    return {each["StackName"] for each in found if each["StackStatus"] != "DELETE_COMPLETE"}


def test_a_verification_from_end_to_end(stage: Stage, subtests: pytest.Subtests) -> None:
    options = (*network(stage), "--yes", "--url", f"{stage.cloud.url}/_ministack/health")
    status, said, text = verify(stage, *options, on_line=lambda _, line: as_in_aws(stage, line))
    assert status == 0, said
    with subtests.test("every step is done with both services, and every promise holds"):
        assert "every promise of the function held" in text
        rows = table(text, "Service")
        steps = {(each["Service"], each["Step"]): each for each in rows if "Step" in each}
        every = ("dry run", "recycle", "kill", "heal")
        assert steps.keys() == {(service, step) for service in SERVICES for step in every}
        assert {each["Lowest in service"] for each in steps.values()} <= {"3", "4", "-"}
        healed = [steps[service, "heal"]["Outcome"] for service in SERVICES]
        assert all("completed" in each and "2 segments" in each for each in healed)
    with subtests.test("the page tells what the emulator did"):
        figures = {(each["Service"], each["From, to"]): each for each in rows if "Row" in each}
        assert figures["balanced", "StopTask to STOPPED"]["Times"] == "6"
        assert figures["plain", "StopTask to STOPPED"]["Times"] == "7", "one by the probe"
        # The demo's knobs: 1 s of drain, 0.3 s until the end of the containers.
        ended = figures["balanced", "StopTask to the end of the container"]["Measured"]
        assert float(ended.split()[0]) == pytest.approx(1.5, abs=0.2)
        questions = {each["Question"]: each["Answer"] for each in table(text, "Question")}
        assert "rights to ECS never: accepted" in questions["Setting limits (`aws:ViaAWSService`)"]
        assert questions["A service behind an ECS gateway"].startswith("not tried: ")
        lag = figures["probe", "RegisterScalableTarget to the new desired count"]["Measured"]
        assert 0.3 <= float(lag) < 2
        answers = [(each["Client"], each["Answer"]) for each in table(text, "Client")]
        assert answers == [("kept connection", "200"), ("new connection", "200")]
    with subtests.test("everything is deleted, and the account is not named"):
        assert "Everything that was created is deleted." in text
        assert stacks(stage) == set()
        buckets = stage.cloud.client("s3").list_buckets()["Buckets"]
        groups = stage.cloud.client("logs").describe_log_groups()["logGroups"]
        assert NAME not in str(buckets) + str(groups)
        assert f"service/{NAME}/plain" not in stage.world.autoscaling.targets
        assert stage.world.account.id not in text + said


def test_interrupted_it_writes_the_page_and_deletes_everything(stage: Stage) -> None:
    def interrupt(process: subprocess.Popen[str], line: str) -> None:
        if "plain: probes" in line:
            process.send_signal(signal.SIGINT)

    options = (*network(stage), "--yes", "--url", "http://127.0.0.1:9/")
    status, _, text = verify(stage, *options, on_line=interrupt)
    assert status == 1
    assert "It ended early: it was interrupted" in text
    assert "Everything that was created is deleted." in text
    assert stacks(stage) == set()


def test_only_what_a_verification_has_left_is_deleted_and_only_after_a_yes(stage: Stage) -> None:
    cloudformation = stage.cloud.client("cloudformation")
    topic = '{"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}'

    def create(stack: str, *tags: dict[str, str]) -> None:
        cloudformation.create_stack(StackName=stack, TemplateBody=topic, Tags=tags)
        cloudformation.get_waiter("stack_create_complete").wait(StackName=stack)

    protect = partial(cloudformation.update_termination_protection, StackName=NAME)

    status, said, _ = verify(stage, *network(stage))
    assert (status, "about USD" in said) == (2, True)
    assert (stacks(stage), stage.world.writes) == (set(), [])
    create(f"{NAME}-function")
    status, said, _ = verify(stage, *network(stage), "--yes")
    assert (status, "Delete it with --clean-up" in said) == (2, True)
    assert verify(stage, "--clean-up", "--yes")[0] == 2, "not ours"
    cloudformation.delete_stack(StackName=f"{NAME}-function")
    create(NAME, TAG)
    assert verify(stage, "--clean-up")[0] == 2, "nobody has agreed to it"
    protect(EnableTerminationProtection=True)
    status, said, _ = verify(stage, "--clean-up", "--yes")
    assert (status, f"{NAME} is left: " in said) == (1, True)
    protect(EnableTerminationProtection=False)
    assert verify(stage, "--clean-up", "--yes")[0] == 0
    assert stacks(stage) == set()
