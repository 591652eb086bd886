"""The services around ECS: parameters, alarms, secrets, scheduled actions, load."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.exceptions import ClientError

from ecs_emulator import FailingStart, Knobs, WallClock, World
from ecs_emulator.server import serve

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

    from tests.emulator.conftest import Bench

NAME = "/ecs-task-recycle/demo/web"


@pytest.fixture
def ssm(bench: Bench) -> SSMClient:
    """Return a client of the Parameter Store."""
    return bench.session.client("ssm")


def create(ssm: SSMClient, value: str = "mine") -> int:
    return ssm.put_parameter(Name=NAME, Value=value, Type="String", Overwrite=False)["Version"]


def test_a_parameter_can_be_created_only_once(ssm: SSMClient) -> None:
    assert create(ssm, "mine") == 1
    with pytest.raises(ssm.exceptions.ParameterAlreadyExists):
        create(ssm, "yours")
    found = ssm.get_parameter(Name=NAME)["Parameter"]
    assert (found["Value"], found["Version"]) == ("mine", 1)


def test_each_overwrite_has_the_next_version_and_old_ones_stay_readable(ssm: SSMClient) -> None:
    create(ssm, "one")
    assert ssm.put_parameter(Name=NAME, Value="two", Overwrite=True)["Version"] == 2
    assert ssm.get_parameter(Name=NAME)["Parameter"]["Value"] == "two"
    assert ssm.get_parameter(Name=f"{NAME}:1")["Parameter"]["Value"] == "one"
    with pytest.raises(ssm.exceptions.ParameterVersionNotFound):
        ssm.get_parameter(Name=f"{NAME}:3")
    history = ssm.get_parameter_history(Name=NAME)["Parameters"]
    assert [(row["Version"], row["Value"]) for row in history] == [(1, "one"), (2, "two")]


def test_the_history_comes_in_pages(bench: Bench, calm: Knobs, ssm: SSMClient) -> None:
    bench.furnish(replace(calm, page_size=2))
    create(ssm)
    for value in ("b", "c", "d", "e"):
        ssm.put_parameter(Name=NAME, Value=value, Overwrite=True)
    pages = list(ssm.get_paginator("get_parameter_history").paginate(Name=NAME))
    assert [len(each["Parameters"]) for each in pages] == [2, 2, 1]


def test_a_deleted_parameter_is_gone_and_can_be_created_anew(ssm: SSMClient) -> None:
    create(ssm)
    ssm.delete_parameter(Name=NAME)
    with pytest.raises(ssm.exceptions.ParameterNotFound):
        ssm.get_parameter(Name=NAME)
    with pytest.raises(ssm.exceptions.ParameterNotFound):
        ssm.delete_parameter(Name=NAME)
    assert create(ssm) == 1


def test_a_deleted_parameter_may_have_to_rest_before_it_is_created_anew(
    bench: Bench, calm: Knobs, ssm: SSMClient
) -> None:
    bench.furnish(replace(calm, parameter_rest=30))
    create(ssm)
    ssm.delete_parameter(Name=NAME)
    bench.sleep(29)
    with pytest.raises(ssm.exceptions.ParameterAlreadyExists):
        create(ssm)
    bench.sleep(2)
    assert create(ssm) == 1


def test_parameters_can_be_read_stale(bench: Bench, calm: Knobs, ssm: SSMClient) -> None:
    bench.furnish(replace(calm, parameter_staleness=10))
    bench.sleep(20)
    create(ssm, "one")
    bench.sleep(20)
    ssm.put_parameter(Name=NAME, Value="two", Overwrite=True)
    bench.sleep(5)
    seen = {ssm.get_parameter(Name=NAME)["Parameter"]["Value"] for _ in range(30)}
    assert seen == {"one", "two"}


def test_a_label_moves_from_version_to_version(ssm: SSMClient) -> None:
    create(ssm, "one")
    ssm.put_parameter(Name=NAME, Value="two", Overwrite=True)
    answer = ssm.label_parameter_version(Name=NAME, ParameterVersion=1, Labels=["taken", "1st"])
    assert answer["InvalidLabels"] == ["1st"]
    assert ssm.get_parameter(Name=f"{NAME}:taken")["Parameter"]["Value"] == "one"
    ssm.label_parameter_version(Name=NAME, Labels=["taken"])
    assert ssm.get_parameter(Name=f"{NAME}:taken")["Parameter"]["Value"] == "two"
    history = ssm.get_parameter_history(Name=NAME)["Parameters"]
    assert [row.get("Labels") for row in history] == [None, ["taken"]]


@pytest.mark.parametrize(
    "name, value, kind",
    [
        ("/aws/reserved", "x", "String"),
        ("/with space", "x", "String"),
        ("/" + "/".join("a" * 16), "x", "String"),
        (NAME, "x" * 4097, "String"),
    ],
)
def test_what_cannot_be_a_parameter_is_refused(
    ssm: SSMClient, name: str, value: str, kind: str
) -> None:
    with pytest.raises(ClientError, match="ValidationException"):
        ssm.put_parameter(Name=name, Value=value, Type=kind)  # type: ignore[arg-type]


def test_a_new_parameter_needs_a_type(ssm: SSMClient) -> None:
    with pytest.raises(ClientError, match="type is required"):
        ssm.put_parameter(Name=NAME, Value="x")


def test_a_denied_parameter_names_its_arn(bench: Bench, ssm: SSMClient) -> None:
    bench.world.faults.deny("ssm:PutParameter")
    with pytest.raises(ClientError, match=r"ssm:PutParameter on resource: arn:aws:ssm:us-east-1:"):
        create(ssm)


@pytest.mark.local_socket
def test_of_many_who_create_the_same_parameter_at_once_exactly_one_succeeds() -> None:
    world = World(knobs=Knobs(latency=0), clock=WallClock())
    won: list[int] = []
    lost: list[int] = []

    def attempt(number: int) -> None:
        try:
            client.put_parameter(Name=NAME, Value=str(number), Type="String")
        except client.exceptions.ParameterAlreadyExists:
            lost.append(number)
        else:
            won.append(number)

    with serve(world) as url:
        client = boto3.client("ssm", endpoint_url=url)
        threads = [threading.Thread(target=attempt, args=(number,)) for number in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert (len(won), len(lost)) == (1, 15)


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
    assert [who for _, _, who in limited.world.desired_history()][1:] == ["autoscaling"] * 2


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


def test_a_value_against_the_allowed_pattern_is_refused(ssm: SSMClient) -> None:
    with pytest.raises(ssm.exceptions.ParameterPatternMismatchException):
        ssm.put_parameter(Name=NAME, Value="x", Type="String", AllowedPattern="^y$")
    with pytest.raises(ssm.exceptions.ParameterNotFound):
        ssm.get_parameter(Name=NAME)
    assert ssm.put_parameter(Name=NAME, Value="y", Type="String", AllowedPattern="^y$")
