"""template.yaml: what a stack is made of, and that it fits the function it deploys."""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING, Any, Final

import pytest

from ecs_task_recycle.settings.event import settings_from_event
from ecs_task_recycle.settings.function import stack_from
from ecs_task_recycle.settings.parameters import (
    FINISH_WITHIN_LIMITS_MINUTES,
    LONGEST_AGE_HOURS,
    MAX_WAIT_TIME_SECONDS,
    PARAMETERS,
    STABILIZE_TIMEOUT_SECONDS,
    OnError,
    ProtectedTasks,
)
from ecs_task_recycle.settings.sweep import sweep_from
from tests.docs.commands import refusal_of
from tests.docs.markdown import codes, table
from tests.docs.pages import MANUAL
from tests.infrastructure.policy import listed
from tests.infrastructure.template import PROJECT, REQUIRED, read_template, stack

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

TEMPLATE: Final = read_template()
PARAMETER_NAMES: Final = sorted(TEMPLATE["Parameters"])
ALARMS: Final = sorted(
    name for name, one in TEMPLATE["Resources"].items() if one["Type"] == "AWS::CloudWatch::Alarm"
)
SCHEDULED: Final = {
    "ScheduleExpression": "rate(7 days)",
    "ScheduledClusterName": "production",
    "ScheduledServiceName": "web",
}
NEEDS_THE_GUARDIAN: Final = (
    "Sweeps, OnSecretChange, OnParameterChange, OnRetirement and a schedule for many services "
    "need the Guardian."
)
TOPIC: Final = "arn:aws:sns:us-east-1:123456789012:on-call"
BUS: Final = "arn:aws:events:us-east-1:123456789012:event-bus/default"
QUEUE: Final = "arn:aws:sqs:us-east-1:123456789012:failed-runs"
NOT_FOR_A_SCHEDULE: Final = {"started_before", "tasks", "dry_run", "action", "if_running"}
"""An instant or a task would be the same for ever; a plan and other actions are for somebody who
looks; a schedule need not queue behind the run that it would repeat."""


def rule_input(**given: str) -> dict[str, Any]:
    schedule = stack(**SCHEDULED, **given).resource("RunSchedule")
    assert schedule
    document = json.loads(schedule["Target"]["Input"])
    assert isinstance(document, dict)
    return document


def accepts(parameter: str, value: str) -> bool:
    """Whether CloudFormation takes a value, by the parameter's pattern; of a list, for each."""
    declared = TEMPLATE["Parameters"][parameter]
    values = value.split(",") if declared["Type"] == "CommaDelimitedList" else [value]
    return all(re.fullmatch(declared["AllowedPattern"], each) for each in values)


def undescribed(parameters: Mapping[str, Mapping[str, Any]]) -> list[str]:
    limits = {"AllowedPattern", "AllowedValues", "MinValue"}
    return [
        name
        for name, each in parameters.items()
        if "Description" not in each
        or not limits & each.keys()
        or ("Default" in each) is (name in REQUIRED)
    ]


def test_every_parameter_is_described_limited_and_has_a_default() -> None:
    assert undescribed(TEMPLATE["Parameters"]) == []


def test_a_parameter_without_limits_or_default_is_found() -> None:
    limited = {"Description": "", "MinValue": 1}
    assert undescribed({"A": {"Description": "", "Default": ""}, "B": limited}) == ["A", "B"]


def test_what_a_value_must_be_completes_the_sentence_of_an_error() -> None:
    """CloudFormation writes it behind the name of the parameter."""
    told = [each.get("ConstraintDescription") for each in TEMPLATE["Parameters"].values()]
    assert [each for each in told if each and not each.startswith("must be ")] == []
    patterns = [each for each in TEMPLATE["Parameters"].values() if "AllowedPattern" in each]
    assert [each for each in patterns if "ConstraintDescription" not in each] == []


def test_the_pages_tell_of_every_parameter_and_its_default() -> None:
    rows = table(MANUAL, "Stack parameter")
    told = {codes(row["Stack parameter"])[0]: "".join(codes(row["Default"])) for row in rows}
    declared = TEMPLATE["Parameters"].items()
    assert told == {name: str(each.get("Default", "")) for name, each in declared}


def test_every_parameter_has_its_place_in_the_console() -> None:
    groups = TEMPLATE["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    assert sorted(name for group in groups for name in group["Parameters"]) == PARAMETER_NAMES


def test_a_bare_stack_is_the_function_and_what_it_cannot_do_without() -> None:
    bare = stack()
    assert bare.resource_names() == {
        "Function",
        "FunctionInvocations",
        "GuardianEnded",
        "GuardianMachine",
        "GuardianRole",
        "GuardianStarterRole",
        "LogGroup",
        "Role",
        "RunTable",
    }
    assert bare.broken_rules() == []


def test_the_function_is_the_one_that_the_readme_promises() -> None:
    function = stack().resource("Function")
    assert function
    python_version = (PROJECT / ".python-version").read_text().strip()
    assert function["FunctionName"] == "ecs-task-recycle-function"
    assert function["Runtime"] == f"python{python_version}"
    assert (function["Timeout"], function["MemorySize"]) == (900, 256)
    assert function["LoggingConfig"]["LogFormat"] == "JSON"
    module, handler = function["Handler"].split(".")
    assert f"def {handler}(" in (PROJECT / f"{module}.py").read_text()


def code(**given: str) -> dict[str, Any]:
    function = stack(**given).resource("Function")
    assert function
    found: dict[str, Any] = function["Code"]
    return found


def test_the_code_is_where_the_parameters_say_and_else_where_the_build_has_said() -> None:
    (built,) = {each["Key"] for each in TEMPLATE["Mappings"]["Build"].values()}
    assert code(CodeBucket="zips") == {"S3Bucket": "zips", "S3Key": built}
    assert code(CodeBucket="zips", CodeKey="a/b.zip") == {"S3Bucket": "zips", "S3Key": "a/b.zip"}


def test_the_function_is_in_a_vpc_only_where_one_is_named() -> None:
    bare = stack().resource("Function")
    named = {"SubnetIds": "subnet-0a1b2c3d,subnet-1a1b2c3d", "SecurityGroupIds": "sg-0a1b2c3d"}
    within = stack(**named).resource("Function")
    assert bare
    assert within
    assert "VpcConfig" not in bare
    assert within["VpcConfig"] == {
        "SubnetIds": ["subnet-0a1b2c3d", "subnet-1a1b2c3d"],
        "SecurityGroupIds": ["sg-0a1b2c3d"],
    }


def test_only_lambda_itself_may_connect_the_function_to_a_vpc() -> None:
    """The role needs it, the function's code does not.

    https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html
    """
    named = {"SubnetIds": "subnet-0a1b2c3d", "SecurityGroupIds": "sg-0a1b2c3d"}
    bare = stack().statements()
    allowed, denied = [each for each in stack(**named).statements() if each not in bare]
    assert (allowed["Effect"], denied["Effect"]) == ("Allow", "Deny")
    assert allowed["Action"] == denied["Action"]
    assert all(each.startswith("ec2:") for each in allowed["Action"])
    (source,) = denied["Condition"]["ArnEquals"].values()
    assert source.endswith(":function:ecs-task-recycle-function")


def test_every_role_has_the_boundary_that_is_named() -> None:
    boundary = "arn:aws:iam::123456789012:policy/boundary"
    roles = [name for name in TEMPLATE["Resources"] if name.endswith("Role")]
    assert len(roles) >= 2
    for name in roles:
        bare, bound = (
            stack(**SCHEDULED, Sweeps="enabled").resource(name),
            stack(**SCHEDULED, Sweeps="enabled", PermissionsBoundaryArn=boundary).resource(name),
        )
        assert bare
        assert bound
        assert "PermissionsBoundary" not in bare
        assert bound["PermissionsBoundary"] == boundary


def tried_by_autoscaling(**given: str) -> dict[str, Any]:
    (found,) = [e for e in stack(**given).statements() if e["Sid"] == "TriedByAutoscaling"]
    return found


def test_what_autoscaling_tries_is_widened_by_one_parameter() -> None:
    narrow, wide = tried_by_autoscaling(), tried_by_autoscaling(AutoscalingRights="wide")
    assert narrow["Condition"].pop("Bool") == {"aws:ViaAWSService": "true"}
    assert narrow == wide


def test_alarms_are_written_through_an_aws_service_alone() -> None:
    statements = [
        each
        for each in stack().statements()
        if {"cloudwatch:PutMetricAlarm", "cloudwatch:DeleteAlarms"} & {*listed(each["Action"])}
    ]
    assert [each["Condition"]["Bool"] for each in statements] == [{"aws:ViaAWSService": "true"}]


def test_what_has_no_narrower_resource_stays_in_the_region() -> None:
    wide = [each for each in stack().statements() if each["Resource"] == "*"]
    assert len(wide) == 3
    for each in wide:
        assert each["Condition"]["StringEquals"]["aws:RequestedRegion"] == "us-east-1"


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_ends_with_a_command_to_paste_that_shows_the_run_it_is_about(
    name: str, tmp_path: Path
) -> None:
    alarm = stack(AlarmTopicArn=TOPIC, Sweeps="enabled").resource(name)
    assert alarm
    (command,) = re.findall(r"aws (?:logs tail|dynamodb scan) .*$", alarm["AlarmDescription"])
    words = shlex.split(command)[1:]
    if words[0] == "logs":  # which the CLI at hand does not have
        assert "--since" in words, "tail begins ten minutes ago, later than the alarm looks"
        assert words[words.index("--filter-pattern") + 1].startswith("{ $.")
    else:
        assert refusal_of(words, tmp_path) is None
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
    longest = {"<LogGroup>": f"/aws/lambda/{'f' * 50}", "<RunTable>": "t" * 255}
    description = alarm["AlarmDescription"]
    for short, long in longest.items():
        description = description.replace(short, long)
    assert len(description) <= 1024


def test_the_outputs_say_what_is_deployed_and_the_build_fills_them_in() -> None:
    (built,) = TEMPLATE["Mappings"]["Build"].values()
    for name in ("Version", "Mail", "AssumedRole"):
        assert stack().output(name) == built[name]


def test_a_failed_event_is_not_repeated_and_a_queued_one_does_not_run_late() -> None:
    invocations = stack().resource("FunctionInvocations")
    schedule = stack(**SCHEDULED).resource("RunSchedule")
    assert invocations
    assert schedule
    for limits in (invocations, schedule["Target"]["RetryPolicy"]):
        assert limits["MaximumRetryAttempts"] == 0
        assert limits["MaximumEventAgeInSeconds"] == 60


def test_the_table_has_one_item_per_service_which_expires() -> None:
    assert stack().resource("RunTable") == {
        "TableName": "ecs-task-recycle-runs",
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "service", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "service", "KeyType": "HASH"}],
        "TimeToLiveSpecification": {"AttributeName": "expires_at", "Enabled": True},
        "SSESpecification": {"SSEEnabled": True},
        "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": False},
    }


def test_the_table_and_the_log_go_with_the_stack() -> None:
    for name in ("RunTable", "LogGroup"):
        resource = TEMPLATE["Resources"][name]
        assert (resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) == ("Delete", "Delete")


def test_the_function_is_told_its_table() -> None:
    function = stack().resource("Function")
    assert function
    assert function["Environment"]["Variables"]["RUN_TABLE"] == "<RunTable>"


@pytest.mark.parametrize(
    "given, destinations",
    [
        ({}, None),
        ({"OnSuccessDestinationArn": BUS}, {"OnSuccess": {"Destination": BUS}}),
        ({"OnFailureDestinationArn": BUS}, {"OnFailure": {"Destination": BUS}}),
        (
            {"OnSuccessDestinationArn": BUS, "OnFailureDestinationArn": QUEUE},
            {"OnSuccess": {"Destination": BUS}, "OnFailure": {"Destination": QUEUE}},
        ),
    ],
)
def test_outcomes_are_sent_where_the_parameters_say(
    given: dict[str, str], destinations: dict[str, object] | None
) -> None:
    invocations = stack(**given).resource("FunctionInvocations")
    assert invocations
    assert invocations.get("DestinationConfig") == destinations


def test_the_log_group_is_the_functions_and_keeps_7_days() -> None:
    group = stack().resource("LogGroup")
    assert group == {
        "LogGroupName": "/aws/lambda/ecs-task-recycle-function",
        "RetentionInDays": "7",
    }


def test_a_schedule_invokes_with_every_parameter_but_those_for_somebody_who_looks() -> None:
    known = {each.name for each in PARAMETERS}
    assert known > NOT_FOR_A_SCHEDULE
    given = rule_input(
        ScheduledFinishWithinMinutes="60",
        ScheduledWindow="02:00-05:00 UTC",
        ScheduledOlderThanHours="168",
        ScheduledAlarms="a",
    )
    assert set(given) == known - NOT_FOR_A_SCHEDULE


def test_what_a_schedule_does_not_say_is_what_an_event_does_not_say() -> None:
    named = {"cluster_name": "production", "service_name": "web"}
    assert settings_from_event(rule_input()) == settings_from_event(named)


def test_what_a_schedule_says_reaches_the_function() -> None:
    settings = settings_from_event(
        rule_input(
            ScheduledMaintainServiceState="false",
            ScheduledWaitTime="0",
            ScheduledProtectedTasks="skip",
            ScheduledStabilizeTimeout="300",
            ScheduledFinishWithinMinutes="120",
            ScheduledWindow="Mon-Fri,Sun 22:00-05:00 Europe/Berlin",
            ScheduledOlderThanHours="168",
            ScheduledAlarms="web 5xx,queue-age",
        )
    )
    assert (settings.cluster_name, settings.service_name) == ("production", "web")
    assert (settings.maintain_service_state, settings.wait_time_seconds) == (False, 0)
    assert settings.protected_tasks is ProtectedTasks.SKIP
    assert settings.stabilize_timeout_seconds == 300
    assert settings.finish_within_minutes == 120
    assert str(settings.window) == "Mon-Fri,Sun 22:00-05:00 Europe/Berlin"
    assert settings.older_than_hours == 168
    assert settings.alarms == ("web 5xx", "queue-age")


def test_a_schedule_may_hold_a_cluster_to_the_age_that_each_service_says() -> None:
    every = {"ScheduledServiceName": "*", "ScheduledAgeTag": "max age", "SweepAtOnce": "5"}
    deployed = stack(**{**SCHEDULED, **every})
    schedule = deployed.resource("RunSchedule")
    assert schedule
    read = sweep_from(json.loads(schedule["Target"]["Input"]), {})
    assert read is not None
    assert (read.cluster_name, read.services, read.tagged) == ("production", None, {})
    assert (read.at_once, read.on_error) == (5, OnError.CONTINUE)
    assert read.parameters == {"older_than_hours": {"tag": "max age"}}
    assert deployed.resource("SweepMachine")


def test_a_schedule_of_many_services_is_for_those_with_the_stacks_tag() -> None:
    given = {**SCHEDULED, "ScheduledServiceName": "*", "RecycleTag": "recycle=nightly"}
    schedule = stack(**given).resource("RunSchedule")
    assert schedule
    read = sweep_from(json.loads(schedule["Target"]["Input"]), {})
    assert read is not None
    assert (read.cluster_name, read.tagged) == ("production", {"recycle": ("nightly",)})
    assert stack(**SCHEDULED, RecycleTag="recycle=nightly").resource("SweepMachine") is None


def test_what_the_stack_says_of_notices_reaches_the_function() -> None:
    window = "Mon-Fri 02:00-05:00 Europe/Berlin"
    given = {"RecycleTag": "a=b", "SweepWaitTime": "7", "SweepWindow": window, "SweepAtOnce": "3"}
    function = stack(OnSecretChange="enabled", **given).resource("Function")
    assert function
    notices = stack_from(function["Environment"]["Variables"]).notices
    assert notices == {
        "wait_time": "7",
        "window": window,
        "at_once": "3",
        "tagged": {"a": "b"},
    }


def test_every_role_but_the_functions_is_assumed_for_this_account_alone() -> None:
    deployed = stack(**SCHEDULED, Sweeps="enabled")
    roles = [name for name in TEMPLATE["Resources"] if name.endswith("Role")]
    conditions = {
        name: statement.get("Condition", {}).get("StringEquals")
        for name in roles
        if (role := deployed.resource(name))
        for statement in role["AssumeRolePolicyDocument"]["Statement"]
    }

    assert conditions.pop("Role") is None, "docs/iam.md says that it has none"
    assert len(conditions) > 3
    assert set(map(str, conditions.values())) == {"{'aws:SourceAccount': '123456789012'}"}


def test_a_schedule_may_invoke_the_function_and_nothing_else() -> None:
    deployed = stack(**SCHEDULED)
    schedule, role = deployed.resource("RunSchedule"), deployed.resource("RunScheduleRole")
    assert schedule
    assert role
    target = schedule["Target"]
    assert (target["Arn"], target["RoleArn"]) == ("<Function.Arn>", "<RunScheduleRole.Arn>")
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "scheduler.amazonaws.com"}
    assert trust["Condition"]["StringEquals"] == {"aws:SourceAccount": "123456789012"}
    (policy,) = role["Policies"]
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert statement["Action"] == "lambda:InvokeFunction"
    assert statement["Resource"] == "<Function.Arn>"


def test_a_schedule_has_a_time_zone_and_may_be_flexible() -> None:
    exact = stack(**SCHEDULED).resource("RunSchedule")
    given = {"ScheduleTimeZone": "Europe/Berlin", "ScheduleFlexibleMinutes": "30"}
    flexible = stack(**SCHEDULED, **given).resource("RunSchedule")
    assert exact
    assert flexible
    assert exact["ScheduleExpressionTimezone"] == "UTC"
    assert exact["FlexibleTimeWindow"] == {"Mode": "OFF"}
    assert flexible["ScheduleExpressionTimezone"] == "Europe/Berlin"
    assert flexible["FlexibleTimeWindow"]["Mode"] == "FLEXIBLE"
    assert int(flexible["FlexibleTimeWindow"]["MaximumWindowInMinutes"]) == 30


def test_the_limits_of_a_schedule_are_those_of_an_event() -> None:
    wait, timeout, protected = (
        TEMPLATE["Parameters"][f"Scheduled{name}"]
        for name in ("WaitTime", "StabilizeTimeout", "ProtectedTasks")
    )
    assert (wait["MinValue"], wait["MaxValue"]) == (0, MAX_WAIT_TIME_SECONDS)
    assert (timeout["MinValue"], timeout["MaxValue"]) == STABILIZE_TIMEOUT_SECONDS
    assert protected["AllowedValues"] == [each.value for each in ProtectedTasks]
    minutes = [str(each) for each in range(FINISH_WITHIN_LIMITS_MINUTES[1] + 100)]
    taken = [int(each) for each in minutes if accepts("ScheduledFinishWithinMinutes", each)]
    assert taken == list(
        range(FINISH_WITHIN_LIMITS_MINUTES[0], FINISH_WITHIN_LIMITS_MINUTES[1] + 1)
    )
    assert accepts("ScheduledFinishWithinMinutes", "")
    hours = range(0, LONGEST_AGE_HOURS + 1000, 50)
    taken = [each for each in hours if accepts("ScheduledOlderThanHours", str(each))]
    assert taken == list(range(50, LONGEST_AGE_HOURS + 1, 50))
    assert accepts("ScheduledOlderThanHours", "1")
    assert accepts("ScheduledOlderThanHours", "")


@pytest.mark.parametrize("names", ['a"b', "a\\b", "a,,b", "a,", ","])
def test_alarm_names_that_would_break_the_rules_input_are_not_accepted(names: str) -> None:
    assert not accepts("ScheduledAlarms", names)


@pytest.mark.parametrize(
    "given, complaints",
    [
        (SCHEDULED, []),
        ({**SCHEDULED, "ClusterNames": "staging,production"}, []),
        (
            {**SCHEDULED, "ClusterNames": "staging"},
            ["ScheduledClusterName must be one of ClusterNames."],
        ),
        (
            {"ScheduleExpression": "rate(7 days)"},
            [
                "ScheduleExpression needs ScheduledClusterName.",
                "ScheduleExpression needs ScheduledServiceName.",
            ],
        ),
        ({"ScheduledClusterName": "production"}, []),
        ({**SCHEDULED, "ScheduledServiceName": "*"}, []),
        (
            {**SCHEDULED, "ScheduledServiceName": "*", "Guardian": "disabled"},
            [NEEDS_THE_GUARDIAN],
        ),
        (
            {**SCHEDULED, "ScheduledOlderThanHours": "24", "ScheduledAgeTag": "max-age"},
            ["ScheduledOlderThanHours and ScheduledAgeTag cannot be combined."],
        ),
        ({"SubnetIds": "subnet-0a1b2c3d"}, ["SubnetIds needs SecurityGroupIds."]),
        ({"SecurityGroupIds": "sg-0a1b2c3d"}, ["SecurityGroupIds needs SubnetIds."]),
    ],
)
def test_parameters_that_could_not_work_together_are_refused(
    given: dict[str, str], complaints: list[str]
) -> None:
    assert stack(**given).broken_rules() == complaints


@pytest.mark.parametrize(
    "name, metric", [("Alarm", "Errors"), ("DroppedEventsAlarm", "AsyncEventsDropped")]
)
def test_an_alarm_tells_the_topic_of_errors_and_of_events_that_are_dropped(
    name: str, metric: str
) -> None:
    topic = "arn:aws:sns:us-east-1:123456789012:on-call"
    alarm = stack(AlarmTopicArn=topic).resource(name)
    assert alarm
    assert (alarm["Namespace"], alarm["MetricName"]) == ("AWS/Lambda", metric)
    assert alarm["Dimensions"] == [{"Name": "FunctionName", "Value": "<Function>"}]
    assert alarm["AlarmActions"] == [topic]


def test_the_alarm_on_dropped_events_does_not_say_that_nothing_was_recycled_after_an_error() -> (
    None
):
    """Without retries, an event whose invocation ended with an error counts as dropped, too.

    https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
    """
    topic = "arn:aws:sns:us-east-1:123456789012:on-call"
    deployed = stack(AlarmTopicArn=topic)
    alarm, invocations = (
        deployed.resource("DroppedEventsAlarm"),
        deployed.resource("FunctionInvocations"),
    )
    assert alarm
    assert invocations

    assert invocations["MaximumRetryAttempts"] == 0
    assert "ended with an error" in alarm["AlarmDescription"]


def test_the_alarm_on_errors_looks_back_to_the_start_of_the_longest_invocation() -> None:
    """The metric is written at the end of an invocation, under the minute of its start.

    https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
    """
    topic = "arn:aws:sns:us-east-1:123456789012:on-call"
    deployed = stack(AlarmTopicArn=topic)
    alarm, function = deployed.resource("Alarm"), deployed.resource("Function")
    assert alarm
    assert function

    until_it_is_written_seconds = 180
    looks_back_seconds = alarm["Period"] * alarm["EvaluationPeriods"]
    assert looks_back_seconds >= function["Timeout"] + until_it_is_written_seconds
    assert alarm["DatapointsToAlarm"] == 1


@pytest.mark.parametrize(
    "parameter, value",
    [
        ("ClusterNames", "*"),
        ("ClusterNames", "production,staging_2"),
        ("ScheduleExpression", ""),
        ("ScheduleExpression", "rate(1 minute)"),
        ("ScheduleExpression", "cron(0 3 ? * SUN#2 *)"),
        ("ScheduleExpression", "cron(0/15 3-5 L,1 * ? 2026)"),
        ("MailSecretArn", "arn:aws:secretsmanager:us-east-1:123456789012:secret:mail/login-a1b2c3"),
        ("AssumedRoleArn", "arn:aws-us-gov:iam::123456789012:role/path/Recycler"),
        ("AlarmTopicArn", "arn:aws-cn:sns:cn-north-1:123456789012:on-call"),
        ("FunctionName", "second_recycler"),
        ("RunTableName", "second.runs"),
        ("ChatTopicArn", "arn:aws:sns:eu-west-1:123456789012:recycler-chat"),
        ("EventBusName", "default"),
        ("CodeBucket", "my.zips"),
        ("CodeKey", ""),
        ("CodeKey", "ecs-task-recycle/v1.0.0-2-gabc1234-0123456789abcdef.zip"),
        ("PermissionsBoundaryArn", "arn:aws:iam::123456789012:policy/path/Boundary"),
        ("PermissionsBoundaryArn", "arn:aws:iam::aws:policy/PowerUserAccess"),
        ("SubnetIds", ""),
        ("SubnetIds", "subnet-0a1b2c3d,subnet-0123456789abcdef0"),
        ("SecurityGroupIds", "sg-0123456789abcdef0"),
        ("OnSuccessDestinationArn", ""),
        ("OnSuccessDestinationArn", "arn:aws:sns:us-east-1:123456789012:on-call"),
        ("OnSuccessDestinationArn", "arn:aws-cn:events:cn-north-1:123456789012:event-bus/a/b.c"),
        ("OnFailureDestinationArn", "arn:aws:sqs:us-east-1:123456789012:failed_runs"),
        ("OnFailureDestinationArn", "arn:aws:lambda:us-east-1:123456789012:function:a"),
        ("OnFailureDestinationArn", "arn:aws:lambda:us-east-1:123456789012:function:a:$LATEST"),
        ("OnFailureDestinationArn", "arn:aws:lambda:us-east-1:123456789012:function:a:prod"),
    ],
)
def test_a_value_that_can_be_is_taken(parameter: str, value: str) -> None:
    assert accepts(parameter, value)


@pytest.mark.parametrize(
    "parameter, value",
    [
        ("ClusterNames", ""),
        ("ClusterNames", "production, staging"),
        ("ClusterNames", "prod*"),
        ("ClusterNames", "arn:aws:ecs:us-east-1:123456789012:cluster/production"),
        ("ScheduleExpression", "0 3 * * *"),
        ("ScheduleExpression", 'rate(1 minute)"'),
        ("ScheduledClusterName", 'a","dry_run":"b'),
        ("ScheduledServiceName", "a b"),
        ("ScheduledServiceName", "web*"),
        ("ScheduledAgeTag", 'a"},"dry_run":{"b'),
        ("ScheduledAgeTag", "a\\"),
        ("RecycleTag", 'a=b","c'),
        ("SweepWindow", "02:00-05:00"),
        ("ScheduledWindow", "02:00-05:00"),
        ("ScheduledWindow", '02:00-05:00 UTC","dry_run":"b'),
        ("MailSecretArn", "mail/login"),
        ("MailSecretArn", "arn:aws:secretsmanager:us-east-1:123456789012:secret:*"),
        ("AssumedRoleArn", "arn:aws:iam::123456789012:role/*"),
        ("AlarmTopicArn", "on-call"),
        ("FunctionName", "a/b"),
        ("RunTableName", "ab"),
        ("RunTableName", "a/b"),
        ("ChatTopicArn", "recycler-chat"),
        ("EventBusName", "arn:aws:events:us-east-1:123456789012:event-bus/default"),
        ("CodeBucket", ""),
        ("CodeBucket", "s3://zips"),
        ("CodeBucket", "zips-{account}"),
        ("CodeKey", "a b.zip"),
        ("PermissionsBoundaryArn", "Boundary"),
        ("SubnetIds", "subnet-0a1b2c3d, subnet-1a1b2c3d"),
        ("SecurityGroupIds", "default"),
        ("OnSuccessDestinationArn", "on-call"),
        ("OnSuccessDestinationArn", "arn:aws:sns:us-east-1:123456789012:*"),
        ("OnSuccessDestinationArn", "arn:aws:sns:us-east-1:123456789012:on-call.fifo"),
        ("OnFailureDestinationArn", "arn:aws:sqs:us-east-1:123456789012:failed.fifo"),
        ("OnFailureDestinationArn", "arn:aws:lambda:us-east-1:123456789012:layer:a"),
        ("OnFailureDestinationArn", "arn:aws:s3:::bucket"),
    ],
)
def test_a_value_that_cannot_be_is_refused(parameter: str, value: str) -> None:
    assert not accepts(parameter, value)


def test_the_command_of_the_outputs_is_one_that_the_function_understands() -> None:
    command = stack().output("InvokeCommand")
    (event,) = re.findall(r"echo '([^']+)'", command)
    assert settings_from_event(json.loads(event)).service_name == "my-service"
    assert "--invocation-type Event" in command
