"""The services around ECS: alarms, secrets, scheduled actions, load."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError

from ecs_emulator import FailingStart

if TYPE_CHECKING:
    from tests.emulator.conftest import Bench


def test_an_alarm_has_the_state_it_was_given(bench: Bench) -> None:
    bench.furnish(alarms=("errors", "latency"))
    cloudwatch = bench.session.client("cloudwatch")
    bench.world.set_alarm("errors", "ALARM")
    bench.world.set_alarm("all", "ALARM", composite=True)
    alarms = cloudwatch.describe_alarms(AlarmNames=["errors", "latency", "all", "nope"])
    states = {alarm["AlarmName"]: alarm["StateValue"] for alarm in alarms["MetricAlarms"]}
    assert states == {"errors": "ALARM", "latency": "OK"}
    assert alarms["CompositeAlarms"] == [], "only metric alarms unless asked for"
    composite = cloudwatch.describe_alarms(AlarmTypes=["CompositeAlarm"], StateValue="ALARM")
    assert [alarm["AlarmName"] for alarm in composite["CompositeAlarms"]] == ["all"]
    configuration = bench.service()["deploymentConfiguration"]["alarms"]
    assert configuration == {
        "alarmNames": ["errors", "latency"],
        "rollback": False,
        "enable": True,
    }


def test_a_denied_look_at_alarms_has_cloudwatchs_own_code(bench: Bench) -> None:
    bench.world.faults.deny("cloudwatch:DescribeAlarms")
    with pytest.raises(ClientError) as caught:
        bench.session.client("cloudwatch").describe_alarms()
    assert caught.value.response["Error"]["Code"] == "AccessDenied"


def test_an_execution_is_not_started_with_an_input_over_the_limit(bench: Bench) -> None:
    client = bench.session.client("stepfunctions")
    machine = "arn:aws:states:us-east-1:123456789012:stateMachine:guardian"
    longest = "[" + " " * 262_142 + "]"
    with pytest.raises(ClientError) as caught:
        client.start_execution(stateMachineArn=machine, name="over", input=longest + " ")
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    assert client.start_execution(stateMachineArn=machine, name="longest", input=longest)
    assert [each.name for each in bench.world.executions.values()] == ["longest"]


def test_a_secret_is_found_by_its_name_and_by_its_arn(bench: Bench) -> None:
    secret = bench.world.put_secret("mail", '{"username": "u"}')
    client = bench.session.client("secretsmanager")
    for reference in ("mail", secret.arn, secret.arn[:-7]):
        assert client.get_secret_value(SecretId=reference)["SecretString"] == '{"username": "u"}'
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_secret_value(SecretId="nope")


@pytest.fixture
def limited(bench: Bench) -> Bench:
    """Return the clients of a world whose service may have 2 to 6 tasks."""
    bench.world.register_scalable_target(
        cluster="demo", service="web", min_capacity=2, max_capacity=6
    )
    return bench


def test_a_scheduled_action_sets_the_limits_at_its_time(limited: Bench) -> None:
    limited.world.schedule_limits("demo", "web", 100, min_capacity=5)
    (action,) = limited.autoscaling.describe_scheduled_actions(ServiceNamespace="ecs")[
        "ScheduledActions"
    ]
    assert action["Schedule"] == "at(2026-01-05T09:01:40)"
    limited.sleep(99)
    assert limited.service()["desiredCount"] == 3
    limited.sleep(10)
    assert limited.service()["desiredCount"] == 5


def test_a_suspended_scheduled_action_is_lost(limited: Bench) -> None:
    limited.world.schedule_limits("demo", "web", 100, min_capacity=5)
    limited.autoscaling.register_scalable_target(
        ServiceNamespace="ecs",
        ResourceId="service/demo/web",
        ScalableDimension="ecs:service:DesiredCount",
        SuspendedState={"ScheduledScalingSuspended": True},
    )
    limited.sleep(200)
    assert limited.service()["desiredCount"] == 3


def test_load_moves_the_desired_count_within_the_limits(limited: Bench) -> None:
    limited.world.put_load("demo", "web", 50)
    assert limited.service()["desiredCount"] == 6
    limited.sleep(60)
    limited.world.put_load("demo", "web", 0)
    assert limited.service()["desiredCount"] == 2
    assert [who for _, _, who in limited.world.desired_history()][1:] == ["scaling policy"] * 2


def test_load_is_judged_by_the_running_count(limited: Bench) -> None:
    service = limited.world.services[0]
    limited.ecs.update_service(cluster="demo", service="web", desiredCount=5)
    limited.world.put_load("demo", "web", 4)
    assert service.desired_count == 5, "3 run: 4 wanted is no reason to scale in"
    limited.sleep(60)
    limited.world.put_load("demo", "web", 4)
    assert service.desired_count == 4


def test_no_scaling_in_during_a_deployment(limited: Bench) -> None:
    limited.world.start_deployment("demo", "web", failing=FailingStart())
    limited.world.put_load("demo", "web", 2)
    assert limited.service()["desiredCount"] == 3


def test_a_load_is_followed_minute_by_minute(limited: Bench) -> None:
    limited.world.keep_load("demo", "web", lambda seconds: 2 if seconds < 100 else 4)
    limited.sleep(61)
    assert limited.service()["desiredCount"] == 2
    limited.sleep(60)
    assert limited.service()["desiredCount"] == 4
