"""The guardian: a state machine that goes on with a run, its rights, and what it is told by."""

from __future__ import annotations

import json
import re
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Final

import pytest

from ecs_task_recycle.errors import RecycleError
from ecs_task_recycle.report.final_record import NAMESPACE, UNITS
from tests.infrastructure.machine import definition, problems
from tests.infrastructure.policy import actions_of, allows
from tests.infrastructure.template import stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TOPIC: Final = "arn:aws:sns:us-east-1:123456789012:on-call"
MACHINE: Final = "arn:aws:states:us-east-1:123456789012:stateMachine"
EXECUTION: Final = "arn:aws:states:us-east-1:123456789012:execution"
NAME: Final = "ecs-task-recycle-function-guardian"
OF_THE_GUARDIAN: Final = {"GuardianMachine", "GuardianRole", "GuardianEnded"} | {
    "GuardianEndedMayInvoke"
}
ITS_ALARMS: Final = {f"Guardian{name}Alarm" for name in ("Failed", "Aborted", "TimedOut")}

type States = dict[str, dict[str, Any]]


def states() -> States:
    found: States = definition(stack())["States"]
    return found


def resource(name: str, **given: str) -> dict[str, Any]:
    found = stack(**given).resource(name)
    assert found
    return found


def own_errors(kind: type[RecycleError] = RecycleError) -> Iterator[str]:
    for each in kind.__subclasses__():
        yield each.__name__
        yield from own_errors(each)


def at(data: Any, path: str) -> Any:  # noqa: ANN401 - any JSON
    for name in path.split(".")[1:]:
        data = data[name]
    return data


def walk(data: Any, answers: list[dict[str, Any]]) -> tuple[list[Any], list[Any]]:  # noqa: ANN401
    """Walk through the machine: what the function is asked, and what is waited for."""
    asked, waits, name = [], [], str(definition(stack())["StartAt"])
    while (state := states()[name])["Type"] != "Succeed":
        name = state.get("Next", "")
        match state["Type"]:
            case "Wait":
                waits.append(at(data, state.get("TimestampPath") or state["SecondsPath"]))
            case "Task":
                asked.append(at(data, state["Parameters"]["Payload.$"]))
                data = {"Payload": answers[len(asked) - 1]}
            case "Choice":
                (rule,) = state["Choices"]
                is_so = at(data, rule["Variable"]) is rule["BooleanEquals"]
                name = rule["Next"] if is_so else state["Default"]
        data = at(data, state.get("OutputPath", "$"))
    return asked, waits


def test_the_machine_has_nothing_that_is_refused() -> None:
    assert problems(definition(stack())) == []


@pytest.mark.parametrize(
    "breaking, complaint",
    [
        (lambda it: it["Pause"].update(Next="Segments"), 'No state found named "Segments"'),
        (lambda it: it["More"].update(Default="Doen"), 'No state found named "Doen"'),
        (lambda it: it["More"]["Choices"][0].update(Next="x"), 'No state found named "x"'),
        (lambda it: it["Pause"].pop("Next"), 'does not have required field "Next"'),
        (lambda it: it["Done"].update(Type="Pass"), 'does not have required field "Next"'),
        (lambda it: it["More"].update(Default="Pause") or it.pop("Done"), "No terminal state"),
        (lambda it: it.update(Lost={"Type": "Succeed"}), "No transition found to state"),
        (lambda it: it["Pause"].update(SecondsPath="wait_seconds"), "should be a Reference Path"),
        (lambda it: it["Pause"].update(OutputPath="$.next["), "Pause: the path '$.next['"),
        (lambda it: it["First look"].update(TimestampPath="$..at"), "First look: the path '$..at'"),
        (lambda it: it["Segment"]["Parameters"].update({"Payload.$": "x"}), "not a JSONPath"),
        (lambda it: it["More"]["Choices"][0].update(Variable="x"), "More: the path 'x'"),
        (lambda it: it["More"]["Choices"][0].update(BooleanEquals="true"), "should be a Boolean"),
        (lambda it: it["Segment"].update(TimeoutSecond=1), 'Field "TimeoutSecond" not allowed'),
        (lambda it: it["Segment"]["Retry"][1].update(MaxAttempts="8"), "should be an Integer"),
        (lambda it: it["Segment"]["Retry"].reverse(), "Segment: States.ALL is not the last"),
        (lambda it: it["Segment"].pop("Resource"), "Segment: no Resource"),
    ],
)
def test_a_broken_machine_is_found(breaking: Callable[[States], object], complaint: str) -> None:
    document = deepcopy(definition(stack()))
    breaking(document["States"])
    assert any(complaint in each for each in problems(document))


def test_it_first_looks_when_the_first_invocation_must_be_over() -> None:
    assert definition(stack())["StartAt"] == "First look"
    assert states()["First look"] == {
        "Type": "Wait",
        "TimestampPath": "$.first_look_at",
        "OutputPath": "$.next",
        "Next": "Segment",
    }


def test_a_segment_is_the_function_with_time_to_reach_its_own_limit() -> None:
    segment = dict(states()["Segment"])
    del segment["Retry"]
    assert segment == {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": {"FunctionName": "<Function.Arn>", "Payload.$": "$"},
        "OutputPath": "$.Payload",
        "TimeoutSeconds": resource("Function")["Timeout"] + 30,
        "Next": "More",
    }


def test_what_the_function_says_itself_is_final_and_a_death_is_not() -> None:
    told, died = states()["Segment"]["Retry"]
    assert sorted(told.pop("ErrorEquals")) == sorted(own_errors())
    assert told == {"MaxAttempts": 0}
    assert died == {
        "ErrorEquals": ["States.ALL"],
        "IntervalSeconds": 30,
        "MaxAttempts": 8,
        "BackoffRate": 1.0,
    }


def test_it_pauses_as_long_as_it_is_told_while_there_is_more() -> None:
    assert set(states()) == {"First look", "Segment", "More", "Pause", "Done"}
    assert states()["More"] == {
        "Type": "Choice",
        "Choices": [{"Variable": "$.continues", "BooleanEquals": True, "Next": "Pause"}],
        "Default": "Done",
    }
    assert states()["Pause"] == {
        "Type": "Wait",
        "SecondsPath": "$.wait_seconds",
        "OutputPath": "$.next",
        "Next": "Segment",
    }
    assert states()["Done"] == {"Type": "Succeed"}


def test_each_segment_is_asked_what_the_one_before_has_named() -> None:
    answers = [
        {"continues": True, "wait_seconds": 60, "next": {"segment": 2}, "more": "facts"},
        {"continues": True, "wait_seconds": 0, "next": {"segment": 3}},
        {"continues": False, "wait_seconds": 0, "next": {}},
    ]
    begin = {"first_look_at": "2026-01-01T00:15:00+00:00", "next": {"segment": 1}}
    asked, waits = walk(begin, answers)
    assert asked == [{"segment": 1}, {"segment": 2}, {"segment": 3}]
    assert waits == ["2026-01-01T00:15:00+00:00", 60, 0]


def test_the_machine_is_a_standard_one_of_its_own_role_and_logs_nothing() -> None:
    machine = resource("GuardianMachine")
    del machine["DefinitionString"]
    assert machine == {
        "StateMachineName": NAME,
        "StateMachineType": "STANDARD",
        "RoleArn": "<GuardianRole.Arn>",
    }


def test_the_machine_may_invoke_the_function_and_nothing_else() -> None:
    role = resource("GuardianRole")
    (policy,) = role["Policies"]
    assert policy["PolicyDocument"]["Statement"] == [
        {
            "Sid": "Segments",
            "Effect": "Allow",
            "Action": "lambda:InvokeFunction",
            "Resource": "<Function.Arn>",
        }
    ]


def test_its_role_is_assumed_by_this_machine_alone() -> None:
    (statement,) = resource("GuardianRole")["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "states.amazonaws.com"}
    assert statement["Condition"] == {
        "StringEquals": {"aws:SourceAccount": "123456789012"},
        "ArnLike": {"aws:SourceArn": f"{MACHINE}:{NAME}"},
    }


def test_the_function_may_start_this_machine_and_look_at_its_executions() -> None:
    statements = stack().statements()
    for action, ours, not_ours in (
        ("states:StartExecution", f"{MACHINE}:{NAME}", f"{MACHINE}:{NAME}-2"),
        ("states:DescribeExecution", f"{EXECUTION}:{NAME}:1", f"{EXECUTION}:{NAME}-2:1"),
    ):
        assert allows(statements, action, ours, {})
        assert not allows(statements, action, not_ours, {})


def test_the_function_is_told_the_machine_by_the_name_that_it_has() -> None:
    for name in ("ecs-task-recycle-function", "second"):
        machine = resource("GuardianMachine", FunctionName=name)["StateMachineName"]
        variables = resource("Function", FunctionName=name)["Environment"]["Variables"]
        assert variables["GUARDIAN_ARN"] == f"{MACHINE}:{machine}"
        assert allows(
            stack(FunctionName=name).statements(),
            "states:StartExecution",
            f"{MACHINE}:{machine}",
            {},
        )


def test_switched_off_nothing_of_it_is_left() -> None:
    off = stack(Guardian="disabled", AlarmTopicArn=TOPIC)
    on = stack(AlarmTopicArn=TOPIC)
    assert on.resource_names() - off.resource_names() == OF_THE_GUARDIAN | ITS_ALARMS
    assert actions_of(on.statements()) - actions_of(off.statements()) == {
        "states:StartExecution",
        "states:DescribeExecution",
    }
    function = off.resource("Function")
    assert function
    assert function["Environment"]["Variables"]["GUARDIAN_ARN"] == ""


def test_an_execution_that_ends_early_is_reported_to_the_function_as_it_is() -> None:
    rule = resource("GuardianEnded")
    assert rule["EventPattern"] == {
        "source": ["aws.states"],
        "detail-type": ["Step Functions Execution Status Change"],
        "detail": {
            "stateMachineArn": ["<GuardianMachine>"],
            "status": ["ABORTED", "FAILED", "TIMED_OUT"],
        },
    }
    assert rule["State"] == "ENABLED"
    assert rule["Targets"] == [
        {
            "Id": "function",
            "Arn": "<Function.Arn>",
            "RetryPolicy": {"MaximumRetryAttempts": 10, "MaximumEventAgeInSeconds": 3600},
        }
    ]


def test_that_rule_may_invoke_the_function() -> None:
    assert resource("GuardianEndedMayInvoke") == {
        "FunctionName": "<Function>",
        "Action": "lambda:InvokeFunction",
        "Principal": "events.amazonaws.com",
        "SourceArn": "<GuardianEnded.Arn>",
    }


@pytest.mark.parametrize("name", ["Failed", "Aborted", "TimedOut"])
def test_an_alarm_tells_the_topic_of_executions_that_do_not_succeed(name: str) -> None:
    alarm = resource(f"Guardian{name}Alarm", AlarmTopicArn=TOPIC)
    assert (alarm["Namespace"], alarm["MetricName"]) == ("AWS/States", f"Executions{name}")
    assert alarm["Dimensions"] == [{"Name": "StateMachineArn", "Value": "<GuardianMachine>"}]
    assert alarm["AlarmActions"] == [TOPIC]


@pytest.mark.parametrize(
    "name, metric", [("PartialRuns", "Partial"), ("MissingInService", "MissingInService")]
)
def test_alarms_watch_the_metrics_that_the_function_writes(name: str, metric: str) -> None:
    alarm = resource(f"{name}Alarm", AlarmTopicArn=TOPIC)

    assert (alarm["Namespace"], alarm["MetricName"]) == (NAMESPACE, metric)
    assert metric in UNITS
    # Of all services: the alarm does not know them.
    function = "ecs-task-recycle-function"
    assert alarm["Dimensions"] == [{"Name": "function", "Value": function}]
    assert alarm["AlarmActions"] == [TOPIC]


def test_the_dashboard_shows_metrics_and_reports_that_the_function_writes() -> None:
    assert "RunsDashboard" not in stack().resource_names()
    body = json.loads(resource("RunsDashboard", Dashboard="enabled")["DashboardBody"])
    text = json.dumps(body)

    shown = set(re.findall(r'MetricName=\\+"(\w+)', text))
    assert shown == {"MissingInService", "TasksRecycled", "TasksLeft", "SecondsToReplace"}
    assert shown <= UNITS.keys()
    assert f"{{{NAMESPACE},cluster,service}}" in text
    (query,) = re.findall(r"SOURCE .*limit 50", text)
    fields = re.split(r",\s*", re.findall(r"fields (.*?) \|", query)[0])
    known = UNITS.keys() | {"@timestamp", "cluster", "service", "status", "reason", "run_id"}
    assert set(fields) <= known
