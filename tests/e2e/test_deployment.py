"""Deployed for real: the whole road by the user's own commands, and a death on it that heals."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from contextlib import ExitStack
from datetime import datetime
from typing import TYPE_CHECKING, Final

import pytest

from demo.deployed import SPEED, Stage, play, set_stage
from demo.lambda_runtime import FUNCTION, LambdaRuntime
from demo.stage import PROJECT, TASKS_COUNT, add_service, capacity, emulated_ecs
from tests.docs.commands import aws_commands
from tests.docs.pages import guide
from tests.infrastructure.template import read_template

if TYPE_CHECKING:
    from pathlib import Path

    from ecs_emulator import Clock

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(sys.platform != "linux", reason="the Lambda emulator runs on Linux only"),
]

# Of the run that is to die: what it asks for before it stops a task (stabilize_timeout and 20 s,
# 75 s for its end), and the start of the extra task. Both leave room for a machine that is busy: at
# SPEED a task takes some 10 s on an idle one. The other runs have Lambda's 900 s.
TIMEOUT_SECONDS: Final = 225
EVENT: Final = {
    "cluster_name": "demo",
    "service_name": "web",
    "wait_time": 0,
    "stabilize_timeout": 80,
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


def wait_until(instant: str, clock: Clock) -> None:
    clock.sleep(datetime.fromisoformat(instant).timestamp() - clock.now() + 1)


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
        stage = set_stage(running, tmp_path, world=emulated_ecs("web", speed=SPEED))
        zip_file = fetched(stage, tmp_path)
        let_aws_hang_after_the_first_stop(stage)
        environment = {**stage.function_environment, "LAMBDA_LIMIT": "real"}
        real_limit = round(TIMEOUT_SECONDS / SPEED)
        with LambdaRuntime(zip_file, environment=environment, timeout_seconds=real_limit) as doomed:
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
    wait_until(instant, stage.world.clock)
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
    tree, record = project(tmp_path), tmp_path / "calls"
    aws = f"""echo "$*" >>"{record}"
case "$*" in
    *get-caller-identity*) echo "arn:{partition}:sts::1:assumed-role/deployer/me" ;;
    *describe-stacks*) echo "does not exist"; exit 1 ;;
    *head-bucket*) echo "(404)"; exit 1 ;;
    *get-function* | *describe-table* | *head-object*) exit 1 ;;
    *" deploy "*) echo "No changes to deploy" ;;
esac"""
    done = script(tmp_path, aws, "--region", region, folder=tree)
    assert (done.returncode, done.stderr) == (0, "")
    named = set(re.findall(r'"(arn:[^"]+)"', record.read_text()))
    bucket = f"arn:{partition}:s3:::ecs-task-recycle-1-{region}"
    assert named == {bucket, f"{bucket}/*"}


BUILD: Final = """#!/usr/bin/env bash
mkdir -p "{dist}"
sed 's/^      Mail: .*/      Mail: "no"/; s/^      Key: .*/      Key: "a.zip"/' \
    "{template}" >"{dist}/template.yaml"
"""
NEEDED: Final = (
    *("awk", "bash", "cat", "cut", "dirname", "env", "grep", "head", "mkdir", "printf"),
    *("readlink", "sed", "sleep", "tail", "tr", "wc"),
)


def project(folder: Path) -> Path:
    """What deploys, with a build that only writes its template: the call is at stake here."""
    tree = folder / "a project"
    tree.mkdir()
    for name in ("cloudformation_deploy.sh", "template.yaml", "input.json"):
        shutil.copy(PROJECT / name, tree)
    (tree / "lambda_build.sh").write_text(
        BUILD.format(dist=tree / "dist", template=tree / "template.yaml")
    )
    (tree / "lambda_build.sh").chmod(0o755)
    return tree


def script(
    tree: Path,
    aws: str | None,
    *arguments: str,
    folder: Path = PROJECT,
    stdin: int = subprocess.DEVNULL,
) -> subprocess.CompletedProcess[str]:
    """Run the script where the AWS CLI is a stand-in, or is missing."""
    tools = tree / "tools"
    tools.mkdir()
    for name in NEEDED:
        (tools / name).symlink_to(shutil.which(name) or name)
    (tools / "python3").symlink_to(sys.executable)
    if aws is not None:
        (tools / "aws").write_text(f"#!/usr/bin/env bash\n{aws}\n")
        (tools / "aws").chmod(0o755)
    return subprocess.run(
        [str(folder / "cloudformation_deploy.sh"), *arguments],
        env={"PATH": str(tools), "DEPLOY_LOOKS_EVERY_SECONDS": "0"},
        stdin=stdin,
        capture_output=True,
        text=True,
        check=False,
    )


CALLER: Final = '*get-caller*) echo "arn:aws:sts::123456789012:assumed-role/a/b" ;;'
WORKS: Final = "--version) echo aws-cli/2.0 ;;"
NO_PROFILE: Final = "The config profile (nope) could not be found"


@pytest.mark.parametrize(
    "aws, arguments, sentence",
    [
        (None, (), "the AWS CLI is needed, and there is none on the PATH."),
        (f'case "$*" in {WORKS} *) exit 1 ;; esac', (), "no region is configured; name one with"),
        (
            f'case "$*" in {WORKS} *) echo "{NO_PROFILE}" >&2; exit 255 ;; esac',
            ("--profile", "nope"),
            f"the AWS CLI is not configured: {NO_PROFILE}",
        ),
        (
            'echo "pyenv: version 3.13.99 is not installed" >&2; exit 127',
            (),
            "the AWS CLI does not work: pyenv: version 3.13.99 is not installed",
        ),
        (
            'printf "pyenv: aws: command not found\\n\\nNote: see the help.\\n" >&2; exit 127',
            ("--region", "us-east-1"),
            "the AWS CLI does not work: pyenv: aws: command not found",
        ),
        (
            'printf "Traceback (most recent call last):\\nImportError: no awscli\\n"; exit 1',
            ("--region", "us-east-1"),
            "the AWS CLI does not work: ImportError: no awscli",
        ),
        (
            f'case "$*" in {WORKS} *) echo "Unable to locate credentials" >&2; exit 1 ;; esac',
            ("--region", "us-east-1"),
            "cannot authenticate with AWS: Unable to locate credentials",
        ),
        (
            f'case "$*" in {CALLER} *) echo "Denied." >&2; exit 1 ;; esac',
            ("--region=us-east-1", "--delete"),
            "the stack ecs-task-recycle cannot be read: Denied.",
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
    answers = f'case "$*" in {CALLER} *describe-stacks*) echo "does not exist"; exit 1 ;; esac'
    aws = f'tr "\\n" " " <<<"$*" >>"{record}"; echo >>"{record}"\n{answers}'
    arguments = ("--profile", "a b", "--region", "eu-west-1", "--delete", "--with-bucket")
    done = script(tmp_path, aws, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    calls = record.read_text().splitlines()
    assert len(calls) >= 3
    assert all(call.startswith("--profile a b --region eu-west-1 ") for call in calls)


def test_help_names_every_option(tmp_path: Path) -> None:
    done = script(tmp_path, None, "--help")
    assert done.returncode == 0
    source = (PROJECT / "cloudformation_deploy.sh").read_text()
    known = set(re.findall(r"^ {8}(--[a-z-]+)\)", source, re.MULTILINE))
    assert len(known) > 10
    assert [each for each in known if each not in done.stdout] == []


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (("--stack-nam", "x"), "unknown option --stack-nam; --help lists them."),
        (("--region",), "--region needs a value after it."),
        (("--tags", "a"), "--tags needs KEY=VALUE after it."),
        (("--delete", "ClusterNames=demo"), "--delete takes no parameters."),
        (("--delete", "--review"), "--delete has no --review."),
        (("--with-bucket",), "--with-bucket belongs to --delete."),
        (("--bucket", "My_Bucket"), "My_Bucket cannot be the name of a bucket: 3 to 63 small "),
        (("--role-arn", "deployer"), "--role-arn needs the ARN of a role after it."),
        (("--input", "none.json"), "--input names no file: none.json."),
        (("--stack-name", "my stack"), "my stack cannot be the name of a stack: "),
        (("ClusterName=demo",), "ClusterName is not a parameter; the nearest is ClusterNames."),
        (("Colour=red",), "Colour is not a parameter; template.yaml has them."),
        (("CodeKey=a.zip",), "CodeKey is set by this script; name a bucket of yours with --buc"),
        (("Architecture=riscv",), "Architecture=riscv must be one of arm64, x86_64."),
        (("FunctionName=a.b",), "FunctionName=a.b must be 1 to 50 letters, digits, hyphens and"),
        (("LogRetentionDays=8",), "LogRetentionDays=8 must be one of 1, 3, 5, 7, "),
        (("ScheduledWaitTime=-1",), "ScheduledWaitTime=-1 must be a whole number from 0 to 86400"),
        (("ClusterNames=a, b",), "ClusterNames=a, b must be names of clusters, not ARNs"),
        (("SubnetIds=subnet-1",), "SubnetIds=subnet-1 must be empty, or ids of subnets"),
    ],
)
def test_what_cannot_be_deployed_is_a_sentence_before_anything_is_called(
    tmp_path: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    done = script(tmp_path, "exit 99", *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"cloudformation_deploy.sh: {sentence}")


def test_every_value_that_the_template_has_by_default_can_be_given(tmp_path: Path) -> None:
    declared = read_template()["Parameters"].items()
    given = [f"{name}={each['Default']}" for name, each in declared if "Default" in each]
    given.remove("CodeKey=")
    done = script(tmp_path, f'case "$*" in {WORKS} *) exit 1 ;; esac', *given)
    assert "no region is configured" in done.stderr


# ---- A stack that is there ----


def deployed(*outputs: str, state: str = "UPDATE_COMPLETE", tags: str = "", scan: str = "") -> str:
    """A stand-in that knows a stack, and writes down what it is asked to do."""
    rows = [
        *(f"status\t{state}", "id\tarn:aws:cloudformation:us-east-1:1:stack/ecs-task-recycle/1"),
        *("parameter\tRunTableName\truns", "parameter\tGuardian\tenabled", *outputs),
    ]
    described = "\n".join([*rows, *filter(None, [tags])])
    return f"""echo "$*" >>"${{0%/*}}/calls"
case "$*" in
    {CALLER}
    *describe-stacks*) echo "{described}" ;;
    *" scan "*) {scan or ":"} ;;
    *list-stack-resources*) echo 12 ;;
    *" deploy "*) echo "aws x --change-set-name arn:aws:cloudformation:r:1:changeSet/a/b" ;;
    *describe-stack-events*)
        case "$(<"${{0%/*}}/calls")" in
            *delete-stack*) echo "Stack does not exist" >&2; exit 1 ;;
            *execute-change-set*)
                printf '%s\\t' 3 ${{RESULT:-UPDATE_COMPLETE}} ecs-task-recycle
                printf '%s\\n' "AWS::CloudFormation::Stack"
                printf '%s\\t' 2 UPDATE_FAILED Role AWS::IAM::Role; echo "not allowed"
        esac
        printf '%s\\t' 1 CREATE_COMPLETE ecs-task-recycle
        echo "AWS::CloudFormation::Stack" ;;
esac"""


def calls_of(folder: Path) -> list[str]:
    return (folder / "tools/calls").read_text().splitlines()


OPEN: Final = 'printf "demo/web\\thanded_over\\tr-1\\n"'
DENIED: Final = 'echo "AccessDenied" >&2; exit 1'
GONE: Final = 'echo "ResourceNotFoundException" >&2; exit 1'


@pytest.mark.parametrize(
    "arguments, what",
    [
        (("--delete",), "if the stack is deleted while"),
        (("Guardian=disabled",), "with the guardian switched off while"),
        (("RunTableName=other",), "with another, empty table while"),
    ],
)
def test_an_open_run_is_not_left_alone(
    tmp_path: Path, arguments: tuple[str, ...], what: str
) -> None:
    tree, where = project(tmp_path), ("--region", "us-east-1")
    done = script(tmp_path, deployed(scan=OPEN), *where, *arguments, folder=tree)
    assert done.returncode == 1
    assert "demo/web\thanded_over\tr-1" in done.stderr
    assert what in done.stderr
    assert not [each for each in calls_of(tmp_path) if "delete-stack" in each or "deploy" in each]


@pytest.mark.parametrize(
    "scan, arguments, is_deleted",
    [
        (OPEN, ("--force",), True),
        (DENIED, (), False),
        (DENIED, ("--force",), True),
        (GONE, (), True),
        ("", (), True),
    ],
)
def test_a_stack_is_deleted_where_no_run_is_open_or_by_force(
    tmp_path: Path,
    scan: str,
    arguments: tuple[str, ...],
    is_deleted: bool,  # noqa: FBT001
) -> None:
    done = script(tmp_path, deployed(scan=scan), "--region", "r", "--delete", *arguments)
    assert (done.returncode == 0) is is_deleted, done.stderr
    assert any("delete-stack" in each for each in calls_of(tmp_path)) is is_deleted


@pytest.mark.parametrize("said, stays", [("(404) Not Found", False), ("(403) Forbidden", True)])
def test_where_there_is_no_stack_only_a_bucket_that_may_be_there_is_said_to_stay(
    tmp_path: Path,
    said: str,
    stays: bool,  # noqa: FBT001
) -> None:
    aws = f"""case "$*" in {CALLER}
    *describe-stacks*) echo "does not exist"; exit 1 ;;
    *head-bucket*) echo "An error occurred {said}" >&2; exit 254 ;; esac"""
    done = script(tmp_path, aws, "--region", "us-east-1", "--delete")
    assert (done.returncode, done.stderr) == (0, "")
    first, *more = done.stdout.splitlines()
    assert first == "cloudformation_deploy.sh: there is no stack ecs-task-recycle in us-east-1"
    assert [" stays with its zips" in each for each in more] == [True] * stays


@pytest.mark.parametrize("answer, is_deleted", [("yes", True), ("y", False), ("", False)])
def test_on_a_terminal_it_asks_before_it_deletes(
    tmp_path: Path,
    answer: str,
    is_deleted: bool,  # noqa: FBT001
) -> None:
    ours, its = os.openpty()
    os.write(ours, f"{answer}\n".encode())
    done = script(tmp_path, deployed(), "--region", "us-east-1", "--delete", stdin=its)
    os.close(ours)
    os.close(its)
    assert "of account 123456789012 goes, with its 12 resources" in done.stdout
    assert "the bucket ecs-task-recycle-123456789012-us-east-1 stays with its zips" in done.stdout
    assert any("delete-stack" in each for each in calls_of(tmp_path)) is is_deleted
    assert ("nothing was deleted." in done.stderr) is not is_deleted


@pytest.mark.parametrize(
    "state, sentence",
    [
        ("ROLLBACK_COMPLETE", "delete it with --delete, then deploy again."),
        ("UPDATE_IN_PROGRESS", "CloudFormation is at work on the stack ecs-task-recycle"),
        ("UPDATE_ROLLBACK_FAILED", "continue its rollback in the console first."),
    ],
)
def test_a_stack_that_cannot_be_updated_is_said_before_the_build(
    tmp_path: Path, state: str, sentence: str
) -> None:
    done = script(tmp_path, deployed(state=state), "--region", "r", folder=project(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert sentence in done.stderr


def test_what_the_deployed_configuration_had_and_the_new_one_has_not_is_warned_of(
    tmp_path: Path,
) -> None:
    aws = deployed("output\tMail\tyes", "output\tAssumedRole\tyes")
    done = script(tmp_path, aws, "--region", "r", folder=project(tmp_path))
    assert "warning: the deployed configuration sends mail" in done.stderr
    assert "warning: the deployed configuration assumes a role" in done.stderr
    same = deployed("output\tMail\tno", "output\tAssumedRole\tno")
    shutil.rmtree(tmp_path / "tools")
    assert (
        "warning"
        not in script(tmp_path, same, "--region", "r", folder=tmp_path / "a project").stderr
    )


@pytest.mark.parametrize(
    "outputs, is_said",
    [
        ((), True),
        (("parameter\tAlarmTopicArn\t",), True),
        (("parameter\tAlarmTopicArn\tarn:aws:sns:r:1:t",), False),
        (("parameter\tOnFailureDestinationArn\tarn:aws:sns:r:1:t",), False),
    ],
)
def test_it_says_if_nobody_will_be_told_of_a_failure(
    tmp_path: Path,
    outputs: tuple[str, ...],
    is_said: bool,  # noqa: FBT001
) -> None:
    done = script(tmp_path, deployed(*outputs), "--region", "r", folder=project(tmp_path))
    assert done.returncode == 0, done.stderr
    assert ("nobody will be told of a run that fails" in done.stdout) is is_said


def test_the_events_are_shown_as_they_come_and_those_of_before_are_not(tmp_path: Path) -> None:
    done = script(tmp_path, deployed(), "--region", "us-east-1", folder=project(tmp_path))
    assert done.returncode == 0, done.stderr
    shown = [" ".join(line.split()) for line in done.stdout.splitlines() if line.startswith("  ")]
    assert shown == ["UPDATE_FAILED Role: not allowed", "UPDATE_COMPLETE ecs-task-recycle"]
    steps = ("building the function", "uploading it to", "updating the stack", "is deployed in")
    places = [done.stdout.index(step) for step in steps if step != "uploading it to"]
    assert places == sorted(places)


def test_a_deployment_that_fails_names_the_first_cause(tmp_path: Path) -> None:
    aws = f"RESULT=UPDATE_ROLLBACK_COMPLETE\n{deployed()}"
    done = script(tmp_path, aws, "--region", "us-east-1", folder=project(tmp_path))
    assert done.returncode == 1
    (last,) = done.stderr.splitlines()
    assert last.endswith("was not deployed (UPDATE_ROLLBACK_COMPLETE): Role: not allowed")


def test_a_review_changes_nothing_and_prints_what_carries_it_out(tmp_path: Path) -> None:
    arguments = ("--region", "us-east-1", "--profile", "a", "--review")
    done = script(tmp_path, deployed(), *arguments, folder=project(tmp_path))
    assert done.returncode == 0, done.stderr
    assert not [each for each in calls_of(tmp_path) if "execute-change-set" in each]
    for command in ("execute", "delete"):
        ours = f"aws cloudformation {command}-change-set --profile a --region us-east-1"
        assert f"{ours} --change-set-name arn:aws:cloudformation:r:1:changeSet/a/b" in done.stdout


@pytest.mark.parametrize(
    "arguments, tags",
    [
        ((), "--tags team=web cost center=a b --"),
        (("--tags", "x=y", "--tags=z="), "--tags x=y z= --"),
    ],
)
def test_tags_are_kept_unless_others_are_given(
    tmp_path: Path, arguments: tuple[str, ...], tags: str
) -> None:
    kept = "tag\tteam\tweb\ntag\taws:x\ty\ntag\tcost center\ta b"
    aws = deployed(tags=kept)
    script(tmp_path, aws, "--region", "r", *arguments, folder=project(tmp_path))
    (call,) = [each for each in calls_of(tmp_path) if " deploy " in each]
    assert tags in call


def test_a_role_for_cloudformation_reaches_deployment_and_deletion(tmp_path: Path) -> None:
    role = ("--region", "r", "--role-arn", "arn:aws:iam::1:role/a")
    script(tmp_path, deployed(), *role, folder=project(tmp_path))
    (call,) = [each for each in calls_of(tmp_path) if " deploy " in each]
    assert "--role-arn arn:aws:iam::1:role/a" in call
    shutil.rmtree(tmp_path / "tools")
    script(tmp_path, deployed(), *role, "--delete")
    (call,) = [each for each in calls_of(tmp_path) if " delete-stack " in each]
    assert "--role-arn arn:aws:iam::1:role/a" in call


def test_a_second_stack_needs_names_of_its_own(tmp_path: Path) -> None:
    aws = f'case "$*" in {CALLER} *describe-stacks*) echo "does not exist"; exit 1 ;; esac'
    arguments = ("--region", "r", "--stack-name", "second")
    done = script(tmp_path, aws, *arguments, folder=project(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert "a second stack needs another FunctionName." in done.stderr


def test_it_works_through_a_link_and_with_a_cdpath(tmp_path: Path) -> None:
    tree = project(tmp_path)
    (tmp_path / "link").symlink_to(tree / "cloudformation_deploy.sh")
    environment = {**os.environ, "CDPATH": f".:{tmp_path}"}
    for command in ([str(tmp_path / "link")], ["bash", "a project/cloudformation_deploy.sh"]):
        done = subprocess.run(
            [*command, "Architecture=x"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stderr == (
            "cloudformation_deploy.sh: Architecture=x must be one of arm64, x86_64.\n"
        )


# ---- On the local AWS ----


def test_deployed_reviewed_updated_and_deleted_with_its_bucket(tmp_path: Path) -> None:
    with ExitStack() as running:
        stage = set_stage(running, tmp_path)
        deploy = "./cloudformation_deploy.sh"
        first = stage.type(deploy, "--tags", "team=web")
        assert first.returncode == 0, first.stderr
        for text in ("building the function", "uploading it to s3://", "CREATE_COMPLETE"):
            assert text in first.stdout
        (version,) = re.findall(r"^Version\t(.+)$", first.stdout, re.MULTILINE)
        assert f"version {version}; mail: yes" in first.stdout

        review = stage.type(deploy, "LogRetentionDays=30", "--review")
        assert "LogGroup" in review.stdout
        assert "nothing is changed yet" in review.stdout
        (stage.tree / "other.json").write_text("{}")
        second = stage.type(deploy, "LogRetentionDays=30", "--input", "other.json")
        assert second.returncode == 0, second.stderr
        assert "warning: the deployed configuration sends mail" in second.stderr
        assert "nobody will be told of a run that fails" in second.stdout
        stacks = stage.cloud.client("cloudformation").describe_stacks()["Stacks"]
        assert [each["Tags"] for each in stacks] == [[{"Key": "team", "Value": "web"}]]

        deleted = stage.type(deploy, "--delete", "--with-bucket")
        assert deleted.returncode == 0, deleted.stderr
        assert stage.cloud.client("s3").list_buckets()["Buckets"] == []


def test_a_pipeline_without_the_script_creates_and_updates_the_stack(tmp_path: Path) -> None:
    with ExitStack() as running:
        stage = set_stage(running, tmp_path)
        stage.cloud.client("s3").create_bucket(Bucket="zips")
        for parameter in ("ClusterNames=demo", "LogRetentionDays=30"):
            done = stage.type("env", "BUCKET=zips", "examples/pipeline.sh", parameter)
            assert done.returncode == 0, done.stderr
        code = stage.fetch_zip()
        assert code == (stage.tree / "dist/ecs-task-recycle.zip").read_bytes()
        (stack,) = stage.cloud.client("cloudformation").describe_stacks()["Stacks"]
        given = {each["ParameterKey"]: each["ParameterValue"] for each in stack["Parameters"]}
        assert (given["ClusterNames"], given["LogRetentionDays"]) == ("demo", "30")


def test_a_raised_service_is_put_back_by_the_pages_commands_when_the_stack_is_gone(
    tmp_path: Path,
) -> None:
    world = emulated_ecs()
    add_service(world, "my-service", 3, cluster="my-cluster")
    with ExitStack() as running:
        stage = set_stage(running, tmp_path, world=world)
        found = capacity(world, "my-service", cluster="my-cluster")
        section = guide("deployment").split("service is still raised\n")[1].split("\n### ")[0]
        *look_ups, limits, count = aws_commands(section)
        assert [each[:2] for each in look_ups] == [["cloudtrail", "lookup-events"]] * 2
        emulated = [f"{name}={url}" for name, url in stage.function_environment.items()]
        raised = {"--min-capacity": "4", "--max-capacity": "6", "--desired-count": "4"}
        for numbers in (raised, {}):
            for words in (limits, count):
                command = [*words]
                for option in numbers.keys() & {*words}:
                    command[command.index(option) + 1] = numbers[option]
                done = stage.type("env", *emulated, "aws", *command)
                assert done.returncode == 0, done.stderr
            now = capacity(world, "my-service", cluster="my-cluster")
            assert now == ((4, 4, 6) if numbers else found)


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (("--bucket", "not-there"), "could not be put into the bucket not-there"),
        (("ScheduleExpression=rate(1 day)",), "the stack ecs-task-recycle was not deployed"),
    ],
)
def test_what_aws_refuses_is_a_sentence_and_a_status(
    tmp_path: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    with ExitStack() as running:
        stage = set_stage(running, tmp_path)
        done = stage.type("./cloudformation_deploy.sh", *arguments)
        assert done.returncode != 0
        assert sentence in done.stderr.splitlines()[-1]
        assert FUNCTION not in done.stdout
