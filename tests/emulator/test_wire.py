"""The wire is botocore's own: every operation, every request, every answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_type_hints

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

import ecs_emulator.wire.answering  # noqa: F401  registers the operations
from ecs_emulator import EmulatorError, ServiceSetup
from ecs_emulator.api.registry import OPERATIONS
from ecs_emulator.state.setup import ServiceOptions
from ecs_emulator.wire.protocols import (
    HttpRequest,
    check_answer,
    decode,
    service_model,
)

if TYPE_CHECKING:
    from tests.emulator.conftest import Bench


def request(body: bytes = b"{}", **headers: str) -> HttpRequest:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpRequest(method="POST", path="/", headers=named, body=body)


@pytest.mark.parametrize("service, name", sorted(OPERATIONS))
def test_each_operation_exists_in_the_services_model(service: str, name: str) -> None:
    assert name in service_model(service).operation_names


def test_a_json_request_is_understood() -> None:
    decoded = decode(
        request(
            b'{"cluster": "demo"}',
            x_amz_target="AmazonEC2ContainerServiceV20141113.ListTasks",
            content_type="application/x-amz-json-1.1",
            authorization="AWS4-HMAC-SHA256 Credential=AKIA1/1/us-east-1/ecs/aws4_request",
        )
    )
    assert (decoded.service, decoded.operation) == ("ecs", "ListTasks")
    assert decoded.parameters == {"cluster": "demo"}
    assert decoded.access_key == "AKIA1"


def test_a_query_request_is_understood() -> None:
    body = (
        b"Action=DescribeTargetHealth&Version=2015-12-01&TargetGroupArn=arn"
        b"&Targets.member.1.Id=10.0.0.1&Targets.member.1.Port=80&Targets.member.2.Id=10.0.0.2"
    )
    scope = "Credential=AKIA1/20260105/us-east-1/elasticloadbalancing/aws4_request"
    decoded = decode(request(body, authorization=scope))
    assert decoded.parameters == {
        "TargetGroupArn": "arn",
        "Targets": [{"Id": "10.0.0.1", "Port": 80}, {"Id": "10.0.0.2"}],
    }


def test_an_unknown_service_is_said_loudly() -> None:
    with pytest.raises(EmulatorError, match="Kinesis"):
        decode(request(x_amz_target="Kinesis_20131202.PutRecord"))


@pytest.mark.parametrize(
    "answer",
    [
        {"taskArns": "one"},
        {"taskArns": [], "unheardOf": 1},
        {"taskArns": [1]},
    ],
)
def test_an_answer_against_the_model_is_an_error_of_the_emulator(answer: dict[str, object]) -> None:
    decoded = decode(request(x_amz_target="AmazonEC2ContainerServiceV20141113.ListTasks"))
    with pytest.raises(EmulatorError, match="against its model"):
        check_answer(decoded, answer)


def test_an_unheard_of_enum_value_is_an_error_of_the_emulator() -> None:
    decoded = decode(request(x_amz_target="AmazonEC2ContainerServiceV20141113.StopTask"))
    with pytest.raises(EmulatorError, match="against its model"):
        check_answer(decoded, {"task": {"stopCode": "Bored"}})


def test_a_request_against_the_model_is_refused_as_the_service_does(bench: Bench) -> None:
    client = bench.session.client("ecs", config=Config(parameter_validation=False))
    with pytest.raises(ClientError, match="InvalidParameterException"):
        client.stop_task(cluster="demo")  # type: ignore[call-arg]


def test_an_unknown_target_group_is_the_modelled_error(bench: Bench) -> None:
    with pytest.raises(bench.elbv2.exceptions.TargetGroupNotFoundException):
        bench.elbv2.describe_target_health(TargetGroupArn="arn:nope")


def test_a_target_that_is_not_registered_is_unused(bench: Bench) -> None:
    service = bench.furnish(target_group=2)
    for group in service.target_groups:
        (health,) = bench.elbv2.describe_target_health(
            TargetGroupArn=group.arn, Targets=[{"Id": "10.9.9.9", "Port": 8080}]
        )["TargetHealthDescriptions"]
        assert health["TargetHealth"]["State"] == "unused"
        assert health["TargetHealth"]["Reason"] == "Target.NotRegistered"


def test_target_groups_and_task_definitions_can_be_described(bench: Bench) -> None:
    service = bench.furnish(target_group=1, container_health=True)
    (group,) = bench.elbv2.describe_target_groups()["TargetGroups"]
    assert (group["TargetGroupArn"], group["TargetType"]) == (service.target_groups[0].arn, "ip")
    definition = bench.ecs.describe_task_definition(taskDefinition="web:1")["taskDefinition"]
    assert "healthCheck" in definition["containerDefinitions"][0]
    assert definition["networkMode"] == "awsvpc"


def test_clusters_can_be_listed_and_described(bench: Bench) -> None:
    (arn,) = bench.ecs.list_clusters()["clusterArns"]
    (cluster,) = bench.ecs.describe_clusters(clusters=[arn])["clusters"]
    assert (cluster["runningTasksCount"], cluster["activeServicesCount"]) == (3, 1)


def test_the_options_of_a_service_are_the_members_of_its_setup() -> None:
    assert get_type_hints(ServiceOptions).keys() == get_type_hints(ServiceSetup).keys()


@pytest.mark.parametrize("body", [b"no JSON", b"[]"])
def test_a_body_that_is_no_json_object_is_said_loudly(body: bytes) -> None:
    target = "AmazonEC2ContainerServiceV20141113.ListTasks"
    with pytest.raises(EmulatorError, match="no JSON object"):
        decode(request(body, x_amz_target=target))


def test_an_operation_that_the_model_lacks_is_said_loudly() -> None:
    with pytest.raises(EmulatorError, match="no operation 'Dance'"):
        decode(request(x_amz_target="AmazonEC2ContainerServiceV20141113.Dance"))
