"""The examples of deploying otherwise: what they give to the template is what it has."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
from typing import Final

import pytest

from tests.docs.commands import aws_commands
from tests.docs.pages import MANUAL, guide
from tests.infrastructure.template import PROJECT, REQUIRED, SOURCE, read_template

EXAMPLES: Final = PROJECT / "examples"
TERRAFORM: Final = (EXAMPLES / "terraform/main.tf").read_text()
CDK: Final = EXAMPLES / "cdk/app.py"
CODE: Final = {"CodeBucket", "CodeKey"}
NAME: Final = r"([A-Z][a-z]+){2,}"
"""How the parameters are written, and nothing else in the CDK's example."""

PARAMETERS: Final = {*read_template()["Parameters"]}
WITH_CDK: Final = PROJECT / ".venv-examples/bin/python"


def names_in_terraform() -> set[str]:
    """The names on the left of the maps that become the stack's parameters."""
    maps = re.findall(r"(?:default = |merge\(var\.parameters, )\{(.*?)\n *\}", TERRAFORM, re.DOTALL)
    return {name for each in maps for name in re.findall(r"(\w+) += ", each)}


def names_in_cdk() -> set[str]:
    constants = [n for n in ast.walk(ast.parse(CDK.read_text())) if isinstance(n, ast.Constant)]
    return {str(each.value) for each in constants if re.fullmatch(NAME, str(each.value))}


def test_terraform_gives_parameters_that_the_template_has() -> None:
    names = names_in_terraform()
    assert names >= CODE
    assert sorted(names - PARAMETERS) == []


def test_the_cdk_gives_parameters_that_the_template_has() -> None:
    names = names_in_cdk()
    assert names >= CODE
    assert sorted(names - PARAMETERS) == []


def test_every_way_gives_what_has_no_default() -> None:
    page = guide("deploying-otherwise")
    stack_set = " ".join(word for each in aws_commands(page) for word in each)
    pipeline = (EXAMPLES / "pipeline.sh").read_text()
    for name in REQUIRED:
        assert name in names_in_terraform() & names_in_cdk()
        assert f"ParameterKey={name}," in stack_set
        assert f"{name}=" in pipeline


def test_no_way_puts_the_template_into_a_request_that_cannot_hold_it() -> None:
    """A request holds 51,200 bytes.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
    """
    assert len(SOURCE.encode()) > 51_200, "a shorter one needs no bucket: say so in the pages"
    pipeline = (EXAMPLES / "pipeline.sh").read_text()
    script = (PROJECT / "cloudformation_deploy.sh").read_text()
    for text in (MANUAL, TERRAFORM, pipeline, script):
        assert not re.search(r"--template-body|template_body", text)
    for text in (pipeline, script):
        assert re.search(r"deploy .*--s3-bucket", re.sub(r"\\\n", " ", text))


def test_terraform_replaces_the_zip_only_after_the_stack_has_the_new_one() -> None:
    assert TERRAFORM.count("create_before_destroy = true") == TERRAFORM.count('aws_s3_object" "')
    assert "filesha256(local.zip)" in TERRAFORM


@pytest.mark.skipif(not shutil.which("terraform"), reason="there is no terraform")
def test_terraform_reads_it_as_it_would_write_it() -> None:
    command = ["terraform", "fmt", "-check", "-diff", str(EXAMPLES / "terraform")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.skipif(not WITH_CDK.exists(), reason="make examples installs the CDK")
def test_the_cdk_makes_a_stack_of_the_template_and_the_zip() -> None:
    subprocess.run(
        [str(PROJECT / "lambda_build.sh"), "--template", "dist/template.yaml"], check=True
    )
    out = PROJECT / "build/cdk.out"
    done = subprocess.run(
        [str(WITH_CDK), str(CDK)],
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "CDK_OUTDIR": str(out)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    template = json.loads((out / "ecs-task-recycle.template.json").read_text())
    assert template["Resources"].keys() == read_template()["Resources"].keys()
    assert not CODE & template["Parameters"].keys()
    code = json.dumps(template["Resources"]["Function"]["Properties"]["Code"])
    (asset,) = [path.name for path in out.glob("asset.*.zip")]
    assert asset.removeprefix("asset.") in code
    shutil.rmtree(out)
