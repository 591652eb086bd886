"""The guardian: a state machine that goes on with a run, its rights, and what it is told by."""

from __future__ import annotations

import json
import re
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Final

import pytest

from ecs_emulator import World
from ecs_emulator.neighbours.executions import Execution
from ecs_task_recycle.errors import RecycleError
from ecs_task_recycle.report.final_record import NAMESPACE, UNITS
from tests.emulated.states import TaskFailedError, Walk
from tests.infrastructure.machine import definition, problems
from tests.infrastructure.policy import actions_of, allows
from tests.infrastructure.template import stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TOPIC: Final = "arn:aws:sns:us-east-1:123456789012:on-call"
NOT_INVOKED: Final = [
    "Lambda.TooManyRequestsException",
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
]
"""https://docs.aws.amazon.com/step-functions/latest/dg/bp-lambda-serviceexception.html"""
MACHINE: Final = "arn:aws:states:us-east-1:123456789012:stateMachine"
EXECUTION: Final = "arn:aws:states:us-east-1:123456789012:execution"
NAME: Final = "ecs-task-recycle-function-guardian"
OF_THE_GUARDIAN: Final = {"GuardianMachine", "GuardianRole", "GuardianEnded"} | {
    "GuardianStarterRole"
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


def walk(data: dict[str, Any], answers: list[Any]) -> tuple[list[Any], list[str], str]:
    """Walk through the machine with these answers; an error is a task that fails with that name.

    Return what the function was asked, the states on the way, and the status in the end.
    """
    world = World()
    execution = Execution(
        arn=EXECUTION, machine_arn=MACHINE, name="run", input=json.dumps(data), started_at=0.0
    )
    asked: list[Any] = []

    def invoke(payload: dict[str, Any]) -> dict[str, Any]:
        asked.append(payload)
        answer = answers[len(asked) - 1]
        if isinstance(answer, str):
            raise TaskFailedError(answer)
        return dict(answer)

    walked = Walk(world=world, execution=execution, document=definition(stack()), invoke=invoke)
    walked.run()
    return asked, walked.visited, execution.status


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
    assert states()["Who started it"]["Default"] == "First look"
    assert states()["First look"] == {
        "Type": "Wait",
        "TimestampPath": "$.first_look_at",
        "OutputPath": "$.next",
        "Next": "Segment",
    }


def test_a_segment_is_the_function_with_time_to_reach_its_own_limit() -> None:
    segment = dict(states()["Segment"])
    del segment["Retry"], segment["Catch"]
    assert segment == {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": {"FunctionName": "<Function.Arn>", "Payload.$": "$"},
        "OutputPath": "$.Payload",
        "TimeoutSeconds": resource("Function")["Timeout"] + 30,
        "Next": "More",
    }


def test_what_the_function_says_itself_is_final_and_a_death_is_not() -> None:
    throttled, told, died = states()["Segment"]["Retry"]
    assert throttled["ErrorEquals"] == NOT_INVOKED
    # A week of one attempt in five minutes, and some at the start.
    assert throttled["MaxAttempts"] * throttled["MaxDelaySeconds"] > 7 * 86_400
    assert sorted(told.pop("ErrorEquals")) == sorted(own_errors())
    assert told == {"MaxAttempts": 0}
    assert died == {
        "ErrorEquals": ["States.ALL"],
        "IntervalSeconds": 30,
        "MaxAttempts": 8,
        "BackoffRate": 1.0,
    }


BEGIN: Final = {
    "first_look_at": "2026-01-05T09:15:00+00:00",
    "next": {"segment_of": "run", "event": {}, "raised": {"found": 1}},
}
RESTORE: Final = {"restore_of": "run", "event": {}, "raised": {"found": 1}}


def test_each_segment_is_asked_what_the_one_before_has_named() -> None:
    answers = [
        {"continues": True, "wait_seconds": 60, "next": {"segment": 2}, "more": "facts"},
        {"continues": True, "wait_seconds": 0, "next": {"segment": 3}},
        {"continues": False, "wait_seconds": 0, "next": {}},
    ]
    asked, visited, status = walk(BEGIN, answers)
    assert asked == [BEGIN["next"], {"segment": 2}, {"segment": 3}]
    assert visited[:4] == ["Who started it", "First look", "Segment", "More"]
    assert visited.count("Pause") == 2
    assert status == "SUCCEEDED"


@pytest.mark.parametrize("error", ["AwsCallError", "SettingsError", "KeyError", "Lambda.Unknown"])
def test_whatever_ends_a_segment_it_is_restored_until_that_is_done(error: str) -> None:
    failures = [error] * (1 if error in set(own_errors()) else 9)
    answers = [*failures, {"is_done": False}, "Lambda.Unknown", {"is_done": True}]

    asked, visited, status = walk(BEGIN, answers)

    restores = [each for each in asked if "restore_of" in each]
    assert restores == [RESTORE | {"status": "FAILED", "attempt": number} for number in range(3)]
    waits = [each for each in visited if each in {"One minute", "Five minutes"}]
    assert waits == ["One minute", "Five minutes"]
    assert status == "FAILED"


@pytest.mark.parametrize("error", NOT_INVOKED)
def test_a_function_that_cannot_be_invoked_is_waited_for_and_no_death(error: str) -> None:
    throttled = [error] * 50
    _, visited, status = walk(BEGIN, [*throttled, {"continues": False, "next": {}}])

    assert "Restore" not in visited
    assert status == "SUCCEEDED"


def ended(of: dict[str, Any], **detail: object) -> dict[str, Any]:
    """Return the event of an execution's end, which starts another one."""
    given = {"status": "ABORTED", "input": json.dumps(of), **detail}
    return {"source": "aws.states", "detail": given}


def test_an_execution_that_was_started_by_the_end_of_another_one_only_restores() -> None:
    for event in (ended(BEGIN), ended(ended(ended(BEGIN)))):
        asked, _, status = walk(event, [{"is_done": True}])

        assert asked == [RESTORE | {"status": "ABORTED", "attempt": 0}]
        assert status == "SUCCEEDED"


UNTOLD = {
    "no input": {"status": "FAILED"},
    # As EventBridge has it where the input is too long for an event.
    "a long input": {"status": "FAILED", "input": None, "inputDetails": {"included": False}},
    "started by hand": {"status": "FAILED", "input": "{}"},
    "a list": {"status": "FAILED", "input": "[]"},
    "a number": {"status": "FAILED", "input": "3"},
    "of one without": ended(ended({"detail": {"status": "FAILED", "input": None}}))["detail"],
    "of one by hand": ended({"next": {"event": {}}})["detail"],
}


@pytest.mark.parametrize("detail", UNTOLD.values(), ids=UNTOLD)
def test_an_end_that_does_not_say_what_to_restore_starts_no_endless_chain(
    detail: dict[str, Any],
) -> None:
    asked, visited, status = walk({"source": "aws.states", "detail": detail}, [])

    assert (asked, visited[-1], status) == ([], "Not told what", "FAILED")
    error = states()["Not told what"]["Error"]
    gave_up = {"source": "aws.states", "detail": {"status": "FAILED", "error": error}}
    assert walk(gave_up, [])[1:] == (["Who started it", "Has it given up", "Done"], "SUCCEEDED")


def test_after_seven_days_it_gives_up_for_good() -> None:
    asked, visited, status = walk(ended(BEGIN), [{"is_done": False}] * 200)

    hours = visited.count("An hour")
    assert 7 * 24 <= hours + 1 <= 7 * 24 + 2
    assert len(asked) == hours + 4
    assert (visited[-1], status) == ("Given up", "FAILED")
    gave_up = ended(BEGIN, status="FAILED", error=states()["Given up"]["Error"])
    assert walk(gave_up, []) == ([], ["Who started it", "Has it given up", "Done"], "SUCCEEDED")


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


ENDED_BY_RULE: Final = pytest.mark.parametrize(
    "name, machine, statuses",
    [
        ("Guardian", "GuardianMachine", ["ABORTED", "FAILED", "TIMED_OUT"]),
        # One that failed has told of it.
        ("Sweep", "SweepMachine", ["ABORTED", "TIMED_OUT"]),
    ],
    ids=["guardian", "sweep"],
)


@ENDED_BY_RULE
def test_the_early_end_of_an_execution_starts_another_one_with_that_event(
    name: str, machine: str, statuses: list[str]
) -> None:
    rule = resource(f"{name}Ended", Sweeps="enabled")
    assert rule["EventPattern"] == {
        "source": ["aws.states"],
        "detail-type": ["Step Functions Execution Status Change"],
        "detail": {"stateMachineArn": [f"<{machine}>"], "status": statuses},
    }
    assert rule["State"] == "ENABLED"
    assert rule["Targets"] == [
        {
            "Id": name.lower(),
            "Arn": f"<{machine}>",
            "RoleArn": f"<{name}StarterRole.Arn>",
            "RetryPolicy": {"MaximumRetryAttempts": 185, "MaximumEventAgeInSeconds": 86_400},
        }
    ]


@ENDED_BY_RULE
def test_that_rule_may_start_this_machine_and_nothing_else(
    name: str, machine: str, statuses: list[str]
) -> None:
    assert "ABORTED" in statuses
    role = resource(f"{name}StarterRole", Sweeps="enabled")
    (policy,) = role["Policies"]
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert statement["Action"] == "states:StartExecution"
    assert (statement["Effect"], statement["Resource"]) == ("Allow", f"<{machine}>")
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "events.amazonaws.com"}
    assert trust["Condition"]["StringEquals"] == {"aws:SourceAccount": "123456789012"}


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
