"""The policies of examples/policies: all that deploying and operating calls, and not more."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any, Final

import cfnlint  # type: ignore[import-untyped]
import pytest

from tests.docs.commands import aws_commands
from tests.docs.pages import MANUAL
from tests.infrastructure.policy import actions_of, listed, may
from tests.infrastructure.template import PROJECT, read_template

POLICIES: Final = PROJECT / "examples/policies"
SCRIPT: Final = (PROJECT / "cloudformation_deploy.sh").read_text()
KINDS: Final = {each["Type"] for each in read_template()["Resources"].values()}
CALLS_OF_THE_SCRIPT: Final = {
    "cloudformation deploy": {
        "cloudformation:CreateChangeSet",
        "cloudformation:DescribeChangeSet",
        "cloudformation:DescribeStacks",
        "cloudformation:TagResource",
        "cloudformation:UntagResource",
        "s3:PutObject",
        "iam:PassRole",
    },
    "cloudformation describe-stacks": {"cloudformation:DescribeStacks"},
    "cloudformation describe-stack-events": {"cloudformation:DescribeStackEvents"},
    "cloudformation describe-change-set": {"cloudformation:DescribeChangeSet"},
    "cloudformation execute-change-set": {"cloudformation:ExecuteChangeSet"},
    "cloudformation list-stack-resources": {"cloudformation:ListStackResources"},
    "cloudformation delete-stack": {"cloudformation:DeleteStack", "iam:PassRole"},
    "configure get": set(),
    "dynamodb describe-table": {"dynamodb:DescribeTable"},
    "dynamodb scan": {"dynamodb:Scan"},
    "lambda get-function-configuration": {"lambda:GetFunctionConfiguration"},
    "s3 rb": {"s3:ListBucket", "s3:DeleteObject", "s3:DeleteBucket"},
    "s3api create-bucket": {"s3:CreateBucket", "s3:PutBucketOwnershipControls"},
    "s3api get-bucket-policy": {"s3:GetBucketPolicy"},
    "s3api head-bucket": {"s3:ListBucket"},
    "s3api head-object": {"s3:GetObject"},
    "s3api put-bucket-encryption": {"s3:PutEncryptionConfiguration"},
    "s3api put-bucket-policy": {"s3:PutBucketPolicy"},
    "s3api put-object": {"s3:PutObject"},
    "s3api put-public-access-block": {"s3:PutBucketPublicAccessBlock"},
    "sts get-caller-identity": set(),  # needs none
}
"""https://docs.aws.amazon.com/service-authorization/latest/reference/"""

PRINTED_BY_THE_SCRIPT: Final = {"cloudformation:DeleteChangeSet"}
"""In the commands that --review shows."""

UNUSED_BY_THE_TEMPLATE: Final = re.compile(
    r"(elasticfilesystem|firehose|kinesis|kms|s3files):"
    r"|s3:(?!GetObject$)"
    r"|iam:(CreateServiceLinkedRole|AttachRolePolicy|DetachRolePolicy)"
    r"|lambda:(GetCodeSigningConfig|GetLayerVersion|PassCapacityProvider)"
    r"|dynamodb:(.*Replica|.*Item|.*KinesisStreaming.*|ImportTable|.*ContributorInsights"
    r"|PutResourcePolicy|DeleteResourcePolicy|Scan|Query)"
    r"|logs:(.*KmsKey|PutDataProtection.*|DeleteDataProtection.*|.*LogDelivery|.*Stream.*"
    r"|Put.*Policy(?<!Retention)|DeleteIndexPolicy|DeleteResourcePolicy|PutLogEvents"
    r"|PutLogGroupDeletionProtection|PutBearerTokenAuthentication)"
)
"""Permissions of features that no resource of the template has: keys, replicas, layers, ..."""

COMMANDS_OF_AN_OPERATOR: Final = {
    "lambda invoke": "lambda:InvokeFunction",
    "dynamodb get-item": "dynamodb:GetItem",
    "dynamodb scan": "dynamodb:Scan",
    "stepfunctions list-executions": "states:ListExecutions",
    "stepfunctions stop-execution": "states:StopExecution",
    "logs filter-log-events": "logs:FilterLogEvents",
}


def statements(name: str) -> list[dict[str, Any]]:
    document = json.loads((POLICIES / f"{name}.json").read_text())
    found: list[dict[str, Any]] = document["Statement"]
    return found


@cache
def handlers() -> dict[str, set[str]]:
    """What CloudFormation calls for each type of resource, as AWS's own schemas say."""
    folder = Path(cfnlint.__file__).parent / "data/schemas/resources"
    schemas = (json.loads(path.read_text()) for path in sorted(folder.glob("*.json")))
    return {
        schema["typeName"]: {
            action
            for name, handler in schema.get("handlers", {}).items()
            if name != "list"
            for action in handler.get("permissions", ())
        }
        for schema in schemas
        if schema.get("typeName") in KINDS
    }


def test_the_script_may_do_all_that_it_calls_and_nothing_else() -> None:
    called = {" ".join(each) for each in re.findall(r"\bcli (\w+) ([a-z-]+)", SCRIPT)}
    assert called == CALLS_OF_THE_SCRIPT.keys()
    needed = set().union(*CALLS_OF_THE_SCRIPT.values()) | PRINTED_BY_THE_SCRIPT
    assert actions_of(statements("deployer")) == needed


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_cloudformation_may_do_all_that_it_needs_for_each_kind_of_resource(kind: str) -> None:
    needed = {each for each in handlers()[kind] if not UNUSED_BY_THE_TEMPLATE.match(each)}
    assert needed
    assert sorted(each for each in needed if not may(statements("cloudformation"), each)) == []


def test_an_operator_may_type_every_command_of_the_pages_that_is_not_about_deploying() -> None:
    typed = {" ".join(command[:2]) for command in aws_commands(MANUAL)}
    assert typed >= COMMANDS_OF_AN_OPERATOR.keys()
    needed = COMMANDS_OF_AN_OPERATOR.values()
    assert [each for each in needed if not may(statements("operator"), each)] == []


@pytest.mark.parametrize("name", ["deployer", "cloudformation", "operator"])
def test_a_policy_can_be_used_as_it_stands(name: str) -> None:
    text = (POLICIES / f"{name}.json").read_text()
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
    assert len("".join(text.split())) <= 6144
    sids = [each["Sid"] for each in statements(name)]
    assert len(sids) == len(set(sids))
    for each in statements(name):
        for resource in listed(each["Resource"]):
            assert resource != "*" or "Condition" in each


def test_who_operates_changes_nothing_but_by_the_function() -> None:
    reads = re.compile(r"\w[\w-]*:(Get|List|Describe|Scan|Filter|StartQuery|StopQuery)")
    others = {each for each in actions_of(statements("operator")) if not reads.match(each)}
    assert others == {"lambda:InvokeFunction", "states:StopExecution"}
