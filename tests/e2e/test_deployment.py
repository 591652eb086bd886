"""Deployed for real: the whole road by the user's own commands, and a death on it that heals."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import pytest

from demo.deployed import Stage, play, set_stage
from demo.lambda_runtime import FUNCTION, LambdaRuntime
from demo.stage import PROJECT, TASKS_COUNT, capacity

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(sys.platform != "linux", reason="the Lambda emulator runs on Linux only"),
]

# Of the run that is to die: what it asks for before it begins (stabilize_timeout, 75 s for its end,
# the start of the extra task). stabilize_timeout leaves room for a machine that is busy: the extra
# task takes some 5 s on an idle one. The other runs have Lambda's 900 s.
TIMEOUT_SECONDS: Final = 160
EVENT: Final = {
    "cluster_name": "demo",
    "service_name": "web",
    "wait_time": 0,
    "stabilize_timeout": 60,
}
FOUND: Final = (TASKS_COUNT, TASKS_COUNT, 6)


def fetched(stage: Stage, folder: Path) -> Path:
    """The deployed function's zip, as Lambda hands it back."""
    done = stage.deploy()
    assert done.returncode == 0, done.stderr
    path = folder / "fetched.zip"
    path.write_bytes(stage.fetch_zip())
    return path


def let_aws_hang_after_the_first_stop(stage: Stage) -> None:
    """No call is answered any more: the run can neither go on nor put anything back."""
    stage.world.after_call(
        "StopTask", 1, lambda world: world.faults.fail(times=None, after_seconds=20.0)
    )


def wait_until(instant: str) -> None:
    left = datetime.fromisoformat(instant) - datetime.now(UTC)
    time.sleep(max(0.0, left.total_seconds()) + 1)


def test_the_whole_road_by_the_users_own_commands(tmp_path: Path) -> None:
    assert [promise for promise in play(tmp_path) if not promise.holds] == []


def test_the_bucket_is_private_and_the_role_is_limited_to_the_cluster(tmp_path: Path) -> None:
    with ExitStack() as running:
        stage = set_stage(running, tmp_path)
        assert stage.deploy().returncode == 0
        s3, iam = stage.cloud.client("s3"), stage.cloud.client("iam")
        (bucket,) = [each["Name"] for each in s3.list_buckets()["Buckets"]]
        blocks = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
        assert [*blocks.values()] == [True] * 4
        assert "AES256" in str(s3.get_bucket_encryption(Bucket=bucket))
        assert "aws:SecureTransport" in s3.get_bucket_policy(Bucket=bucket)["Policy"]
        function = stage.cloud.client("lambda").get_function(FunctionName=FUNCTION)
        role = function["Configuration"]["Role"].rpartition("/")[2]
        policy = iam.get_role_policy(RoleName=role, PolicyName="ecs-task-recycle")
        clusters = re.findall(r"cluster/[^'\"]+", str(policy["PolicyDocument"]))
        assert set(clusters) == {"cluster/demo"}


def test_the_deployed_zip_killed_at_its_timeout_in_the_middle_is_healed_by_the_next_run(
    tmp_path: Path,
) -> None:
    with ExitStack() as running:
        stage = set_stage(running, tmp_path)
        zip_file = fetched(stage, tmp_path)
        let_aws_hang_after_the_first_stop(stage)
        environment = stage.function_environment
        with LambdaRuntime(
            zip_file, environment=environment, timeout_seconds=TIMEOUT_SECONDS
        ) as doomed:
            answer = doomed.invoke(EVENT)
            assert answer.get("errorType") == "Sandbox.Timedout", answer
        stage.world.faults.clear()
        assert capacity(stage.world, "web") == (TASKS_COUNT + 1, TASKS_COUNT + 1, 6)
        with LambdaRuntime(zip_file, environment=environment) as runtime:
            assert_heals(stage, runtime)


def assert_heals(stage: Stage, runtime: LambdaRuntime) -> None:
    """The next run is refused while the dead one may be alive, and puts it right afterwards."""
    refused = runtime.invoke(EVENT)
    assert refused["errorType"] == "AlreadyRunningError"
    (instant,) = re.findall(r"may be alive until ([\d:T+.-]+\d)", refused["errorMessage"])
    wait_until(instant)
    body = runtime.invoke(EVENT)["body"]
    assert (body["status"], body["original_desired_count"]) == ("completed", TASKS_COUNT)
    assert capacity(stage.world, "web") == FOUND
    assert stage.world.lowest_in_service("demo", "web") >= TASKS_COUNT


@pytest.mark.parametrize(
    "partition, region",
    [
        ("aws", "us-east-1"),
        ("aws-cn", "cn-north-1"),
        ("aws-us-gov", "us-gov-west-1"),
        ("aws-eusc", "eusc-de-east-1"),
        ("aws-iso-e", "eu-isoe-west-1"),
    ],
)
def test_the_buckets_policy_names_the_bucket_in_the_callers_partition(
    tmp_path: Path, partition: str, region: str
) -> None:
    tree, record = tmp_path / "a project", tmp_path / "calls"
    tree.mkdir()
    shutil.copy(PROJECT / "cloudformation_deploy.sh", tree)
    shutil.copy(PROJECT / "template.yaml", tree)
    (tree / "lambda_build.sh").write_text("#!/usr/bin/env bash\n")
    (tree / "lambda_build.sh").chmod(0o755)
    aws = f"""echo "$*" >>"{record}"
case "$*" in
    *Account*) echo 1 ;;
    *" Arn "*) echo "arn:{partition}:sts::1:assumed-role/deployer/me" ;;
    *StackStatus*) echo "does not exist"; exit 1 ;;
    *head-bucket*) echo "(404)"; exit 1 ;;
esac"""
    done = script(tmp_path, aws, "--region", region, folder=tree)
    assert (done.returncode, done.stderr) == (0, "")
    named = set(re.findall(r'"(arn:[^"]+)"', record.read_text()))
    bucket = f"arn:{partition}:s3:::ecs-task-recycle-1-{region}"
    assert named == {bucket, f"{bucket}/*"}


def script(
    tree: Path, aws: str | None, *arguments: str, folder: Path = PROJECT
) -> subprocess.CompletedProcess[str]:
    """Run the script where the AWS CLI is a stand-in, or is missing."""
    tools = tree / "tools"
    tools.mkdir()
    for name in ("bash", "cat", "dirname", "env", "grep", "mktemp", "rm", "sed"):
        (tools / name).symlink_to(shutil.which(name) or name)
    if aws is not None:
        (tools / "aws").write_text(f"#!/usr/bin/env bash\n{aws}\n")
        (tools / "aws").chmod(0o755)
    return subprocess.run(
        [str(folder / "cloudformation_deploy.sh"), *arguments],
        env={"PATH": str(tools)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "aws, arguments, sentence",
    [
        (None, (), "the AWS CLI is needed, and there is none on the PATH."),
        ("exit 1", (), "no region is configured; name one with --region."),
        ("exit 1", ("--region", "us-east-1"), "AWS does not know who is calling; see above"),
        (
            'case "$*" in *get-caller*) echo 1 ;; *) echo "Denied." >&2; exit 1 ;; esac',
            ("--region=us-east-1", "--delete"),
            "the stack ecs-task-recycle cannot be read; see above.",
        ),
    ],
)
def test_where_nobody_can_deploy_the_script_says_why(
    tmp_path: Path, aws: str | None, arguments: tuple[str, ...], sentence: str
) -> None:
    done = script(tmp_path, aws, *arguments)
    assert done.returncode != 0
    assert sentence in done.stderr.splitlines()[-1]


def test_the_profile_and_the_region_reach_every_call(tmp_path: Path) -> None:
    record = tmp_path / "calls"
    answers = (
        'case "$*" in *Account*) echo 1 ;; *StackStatus*) echo "does not exist"; exit 1 ;; esac'
    )
    aws = f'echo "$*" >>"{record}"\n{answers}'
    done = script(tmp_path, aws, "--profile", "a b", "--region", "eu-west-1", "--delete")
    assert (done.returncode, done.stderr) == (0, "")
    calls = record.read_text().splitlines()
    assert calls
    assert all(call.startswith("--profile a b --region eu-west-1 ") for call in calls)


def test_help_names_every_option(tmp_path: Path) -> None:
    done = script(tmp_path, None, "--help")
    assert done.returncode == 0
    for option in ("--stack-name", "--region", "--profile", "--bucket", "--delete", "--help"):
        assert option in done.stdout


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (("--stack-nam", "x"), "--stack-nam is not an option of mine; --help lists them."),
        (("--region",), "--region needs a value after it."),
        (("--delete", "ClusterNames=demo"), "--delete takes no parameters."),
        (("ClusterName=demo",), "ClusterName is not a parameter; they are: FunctionName RunTab"),
        (("Architecture=riscv",), "the stack ecs-task-recycle was not deployed; see above."),
        (("--bucket", "not-there"), "could not be put into the bucket not-there"),
    ],
)
def test_what_cannot_be_deployed_is_a_sentence_and_a_status(
    tmp_path: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    with ExitStack() as running:
        stage = set_stage(running, tmp_path)
        done = stage.type("./cloudformation_deploy.sh", *arguments)
        assert done.returncode != 0
        assert sentence in done.stderr.splitlines()[-1]
        assert FUNCTION not in done.stdout
