"""The role may do what runs of every kind call, in its clusters, and nothing else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import pytest

from ecs_emulator import World
from ecs_emulator.api.autoscaling import PROBED_ACTIONS
from tests.docs.markdown import fences
from tests.docs.pages import MANUAL
from tests.infrastructure.policy import actions_in, actions_of, allows
from tests.infrastructure.template import PROJECT, PSEUDO, stack

if TYPE_CHECKING:
    from tests.docs.recorded import Record

SECRET: Final = World().put_secret("mail/login", "").arn
"""The same in every world that has it."""

ROLE: Final = "arn:aws:iam::123456789012:role/Recycler"
COMPLETE_README: Final = stack(
    ClusterNames="CLUSTER",
    MailSecretArn="MAIL_SECRET_ARN",
    AssumedRoleArn="ROLE_ARN",
    Sweeps="enabled",
)
COMPLETE: Final = stack(
    ClusterNames="other,demo", MailSecretArn=SECRET, AssumedRoleArn=ROLE, Sweeps="enabled"
)
WITHOUT_A_CLUSTER: Final = {"ecs:ListClusters", "ecs:DescribeTaskDefinition"}
"""IAM knows no cluster of these two."""
WRITTEN_BY_LAMBDA: Final = {"logs:CreateLogStream", "logs:PutLogEvents"}
WITHOUT_ANYTHING_NARROWER: Final = {
    "application-autoscaling:DescribeScalableTargets",
    "elasticloadbalancing:DescribeTargetHealth",
    "elasticloadbalancing:DescribeTargetGroupAttributes",
    "cloudwatch:DescribeAlarms",
}
"""AWS offers neither resource nor condition for these, but the region."""

# https://docs.aws.amazon.com/autoscaling/application/APIReference/API_RegisterScalableTarget.html
CONTEXT: Final = {
    "application-autoscaling:service-namespace": "ecs",
    "application-autoscaling:scalable-dimension": "ecs:service:DesiredCount",
    "aws:RequestedRegion": "us-east-1",
}


def named_in_the_code() -> set[str]:
    paths = [*(PROJECT / "ecs_task_recycle").rglob("*.py"), *PROJECT.glob("*.py")]
    return {action for path in paths for action in actions_in(path.read_text())}


def context(cluster: str) -> dict[str, str]:
    return {**CONTEXT, "ecs:cluster": f"arn:aws:ecs:us-east-1:123456789012:cluster/{cluster}"}


def test_the_role_has_exactly_the_actions_that_the_code_names_and_autoscaling_tries() -> None:
    called = named_in_the_code()
    assert len(called) >= 15
    assert actions_of(COMPLETE.statements()) == called | set(PROBED_ACTIONS) | WRITTEN_BY_LAMBDA


def test_the_role_has_exactly_the_actions_that_runs_of_every_kind_have_called(
    record: Record,
) -> None:
    called = record.actions
    assert actions_of(COMPLETE.statements()) == called | set(PROBED_ACTIONS) | WRITTEN_BY_LAMBDA


def test_every_call_of_every_kind_of_run_is_allowed_in_a_cluster_that_is_named(
    record: Record,
) -> None:
    assert len(record.requests) >= 15
    denied = [
        request
        for request in record.requests
        if not allows(COMPLETE.statements(), request.action, request.resource, context("demo"))
    ]
    assert denied == []


def test_no_call_to_ecs_is_allowed_in_another_cluster(record: Record) -> None:
    requests = [
        each
        for each in record.requests
        if each.action.startswith("ecs:") and each.action not in WITHOUT_A_CLUSTER
    ]
    assert len(requests) >= 6
    for each in requests:
        resource = each.resource.replace("/demo", "/demo2")
        assert not allows(COMPLETE.statements(), each.action, resource, context("demo2"))


def test_the_limits_of_other_services_than_ecs_are_out_of_reach(record: Record) -> None:
    (request,) = {
        each
        for each in record.requests
        if each.action == "application-autoscaling:RegisterScalableTarget"
    }
    key = "application-autoscaling:service-namespace"
    elsewhere = {**context("demo"), key: "dynamodb"}
    assert not allows(COMPLETE.statements(), request.action, request.resource, elsewhere)


def test_without_names_every_cluster_may_be_worked_on() -> None:
    action, resource = "ecs:StopTask", "arn:aws:ecs:us-east-1:123456789012:task/any/1"
    assert allows(stack().statements(), action, resource, context("any"))


def test_what_autoscaling_tries_without_naming_a_service_is_allowed_to_aws_alone() -> None:
    statements = COMPLETE.statements()
    tried = {*PROBED_ACTIONS} - WITHOUT_ANYTHING_NARROWER
    assert len(tried) == 4
    for action in tried:
        assert allows(statements, action, "*", {**CONTEXT, "aws:ViaAWSService": "true"})
        assert not allows(statements, action, "*", {**CONTEXT, "aws:ViaAWSService": "false"})


def test_only_what_has_nothing_narrower_is_allowed_everywhere_in_the_region() -> None:
    everywhere = [
        each
        for each in COMPLETE.statements()
        if each["Resource"] == "*"
        and [*each["Condition"].values()] == [{"aws:RequestedRegion": "us-east-1"}]
    ]
    assert actions_of(everywhere) == WITHOUT_ANYTHING_NARROWER | WITHOUT_A_CLUSTER


def test_one_secret_and_one_role_are_reached_and_only_where_they_are_named() -> None:
    named = {each["Sid"]: each["Resource"] for each in COMPLETE.statements()}
    assert (named["MailSecret"], named["AssumedRole"]) == (SECRET, ROLE)
    bare = {each["Sid"] for each in stack().statements()}
    assert not {"MailSecret", "AssumedRole"} & bare


@pytest.mark.parametrize(
    "enabled", ["Sweeps", "OnSecretChange", "OnParameterChange", "OnRetirement"]
)
def test_whoever_sweeps_nothing_has_no_permission_for_it(enabled: str) -> None:
    sweeps = {"Sweep", "ServicesOfClusters", "ClustersAndTaskDefinitions"}
    assert not sweeps & {each["Sid"] for each in stack().statements()}
    named = {each["Sid"] for each in stack(**{enabled: "enabled"}).statements()}
    assert named - {each["Sid"] for each in stack().statements()} == sweeps


def test_of_the_database_only_the_stacks_own_table_is_reached() -> None:
    place = "arn:aws:dynamodb:us-east-1:123456789012:table"
    second = stack(RunTableName="second").statements()
    for action in ("dynamodb:GetItem", "dynamodb:UpdateItem"):
        assert allows(stack().statements(), action, f"{place}/ecs-task-recycle-runs", {})
        assert allows(second, action, f"{place}/second", {})
        assert not allows(second, action, f"{place}/ecs-task-recycle-runs", {})


@pytest.mark.slow
@pytest.mark.parametrize("kinds", [["OnSuccess"], ["OnFailure"], ["OnSuccess", "OnFailure"]])
def test_of_destinations_only_those_that_are_named_are_reached(kinds: list[str]) -> None:
    named = {f"{kind}DestinationArn": f"arn:aws:sns:us-east-1:1:{kind}" for kind in kinds}
    (added,) = [each for each in stack(**named).statements() if each not in stack().statements()]
    assert added == {
        "Sid": "Destinations",
        "Effect": "Allow",
        "Action": [
            "sns:Publish",
            "sqs:SendMessage",
            "lambda:InvokeFunction",
            "events:PutEvents",
        ],
        "Resource": list(named.values()),
    }


def test_the_policy_of_the_pages_is_that_of_the_template() -> None:
    (policy,) = [
        json.loads(each.body)
        for each in fences(MANUAL, "json")
        if '"Statement"' in each.body and '"Resource"' in each.body
    ]
    assert policy["Statement"] == as_in_the_readme()


def as_in_the_readme() -> list[object]:
    """The statements with the words that the page has in place of values."""
    statements = json.dumps(COMPLETE_README.statements())
    words = {PSEUDO["AWS::Region"]: "REGION", PSEUDO["AWS::AccountId"]: "ACCOUNT_ID"}
    for value, word in words.items():
        statements = statements.replace(value, word)
    log_group = "arn:aws:logs:REGION:ACCOUNT_ID:log-group:/aws/lambda/ecs-task-recycle-function:*"
    found = json.loads(statements.replace("<LogGroup.Arn>", log_group))
    assert isinstance(found, list)
    return found


@pytest.mark.parametrize(
    "statement, allowed",
    [
        ({}, True),
        ({"Action": ["s:Put", "s:Gets"]}, False),
        ({"Resource": "arn:aws:s:r:1:thing/*"}, True),
        ({"Resource": "arn:aws:s:*:*:thing/a"}, True),
        ({"Resource": "arn:aws:s:r:2:thing/*"}, False),
        ({"Resource": ["arn:aws:s:r:1:thing/b", "arn:aws:s:r:1:thing/a"]}, True),
        ({"Condition": {"StringEquals": {"k": "v"}}}, True),
        ({"Condition": {"StringEquals": {"k": ["w", "v"]}}}, True),
        ({"Condition": {"StringEquals": {"k": "w"}}}, False),
        ({"Condition": {"StringEquals": {"k": "v", "l": "v"}}}, False),
        ({"Condition": {"ArnLike": {"a": "arn:*:s:*:*:x/y"}}}, True),
        ({"Condition": {"ArnLike": {"a": "arn:*:s:*:*:x/z"}}}, False),
    ],
)
def test_a_policy_is_judged_as_iam_does(statement: dict[str, object], allowed: bool) -> None:  # noqa: FBT001
    whole = {"Action": "s:Get", "Resource": "*", **statement}
    known = {"k": "v", "a": "arn:aws:s:r:1:x/y"}
    assert allows([whole], "s:Get", "arn:aws:s:r:1:thing/a", known) is allowed
