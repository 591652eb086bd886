"""Application Auto Scaling's limits and clamp; who signs, and roles."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import boto3
import botocore.session
import pytest
from botocore.credentials import DeferredRefreshableCredentials
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from ecs_emulator import Knobs
    from tests.emulator.conftest import Bench

TARGET: dict[str, Any] = {
    "ServiceNamespace": "ecs",
    "ResourceId": "service/demo/web",
    "ScalableDimension": "ecs:service:DesiredCount",
}


@pytest.fixture
def limited(bench: Bench) -> Bench:
    """Return the clients of a world whose service may have 3 to 6 tasks."""
    bench.world.register_scalable_target(
        cluster="demo", service="web", min_capacity=3, max_capacity=6
    )
    bench.sleep(10)
    return bench


def limits(bench: Bench) -> tuple[int, int]:
    (target,) = bench.autoscaling.describe_scalable_targets(
        ServiceNamespace="ecs", ResourceIds=["service/demo/web"]
    )["ScalableTargets"]
    return target["MinCapacity"], target["MaxCapacity"]


def test_a_raised_minimum_raises_the_desired_count_a_little_later(limited: Bench) -> None:
    limited.autoscaling.register_scalable_target(**TARGET, MinCapacity=4, MaxCapacity=6)
    assert limited.service()["desiredCount"] == 3
    limited.sleep(2)
    assert limited.service()["desiredCount"] == 4
    assert limited.world.desired_history()[-1][1:] == (4, "autoscaling")


def test_a_target_can_be_forgotten_and_the_desired_count_stays(limited: Bench) -> None:
    limited.autoscaling.register_scalable_target(**TARGET, MinCapacity=4)
    limited.autoscaling.deregister_scalable_target(**TARGET)
    limited.sleep(10)
    assert limited.service()["desiredCount"] == 4
    found = limited.autoscaling.describe_scalable_targets(ServiceNamespace="ecs")
    assert found["ScalableTargets"] == []
    with pytest.raises(ClientError, match="ObjectNotFoundException"):
        limited.autoscaling.deregister_scalable_target(**TARGET)
    with pytest.raises(ClientError, match="must be specified for a new scalable target"):
        limited.autoscaling.register_scalable_target(**TARGET, MinCapacity=4)


def test_each_member_can_be_changed_alone(limited: Bench) -> None:
    limited.autoscaling.register_scalable_target(**TARGET, MinCapacity=1)
    assert limits(limited) == (1, 6)
    limited.autoscaling.register_scalable_target(
        **TARGET, SuspendedState={"DynamicScalingInSuspended": True}
    )
    (target,) = limited.autoscaling.describe_scalable_targets(ServiceNamespace="ecs")[
        "ScalableTargets"
    ]
    assert target["SuspendedState"]["DynamicScalingInSuspended"] is True
    assert limits(limited) == (1, 6)


def test_even_an_update_without_limits_clamps(limited: Bench) -> None:
    limited.ecs.update_service(cluster="demo", service="web", desiredCount=9)
    limited.sleep(60)
    assert limited.service()["desiredCount"] == 9
    limited.autoscaling.register_scalable_target(**TARGET)
    limited.sleep(60)
    assert limited.service()["desiredCount"] == 6


def test_a_minimum_above_the_maximum_is_refused(limited: Bench) -> None:
    with pytest.raises(limited.autoscaling.exceptions.ValidationException):
        limited.autoscaling.register_scalable_target(**TARGET, MinCapacity=7)
    assert limits(limited) == (3, 6)


def test_a_new_target_needs_both_limits_and_a_service_that_is_there(bench: Bench) -> None:
    refused = bench.autoscaling.exceptions.ValidationException
    with pytest.raises(refused, match="must be specified"):
        bench.autoscaling.register_scalable_target(**TARGET, MinCapacity=1)
    with pytest.raises(refused, match="ECS service doesn't exist"):
        bench.autoscaling.register_scalable_target(
            **{**TARGET, "ResourceId": "service/demo/nope"}, MinCapacity=1, MaxCapacity=2
        )
    with pytest.raises(refused, match="Unsupported"):
        bench.autoscaling.register_scalable_target(
            **{**TARGET, "ResourceId": bench.world.services[0].arn}, MinCapacity=1, MaxCapacity=2
        )


def test_an_unknown_resource_id_is_an_empty_list(limited: Bench) -> None:
    answer = limited.autoscaling.describe_scalable_targets(
        ServiceNamespace="ecs", ResourceIds=["service/demo/nope"]
    )
    assert answer["ScalableTargets"] == []


def test_the_callers_own_rights_are_probed(limited: Bench) -> None:
    limited.world.faults.deny("cloudwatch:PutMetricAlarm", "ecs:UpdateService")
    expected = r"missing the following permissions: \[ecs:UpdateService, cloudwatch:PutMetricAlarm"
    with pytest.raises(limited.autoscaling.exceptions.ValidationException, match=expected):
        limited.autoscaling.register_scalable_target(**TARGET, MinCapacity=4)
    assert limits(limited) == (3, 6)


def test_a_pending_update_is_a_concurrent_update(limited: Bench) -> None:
    limited.world.faults.fail("RegisterScalableTarget", times=2, code="ConcurrentUpdateException")
    for _ in range(2):
        with pytest.raises(limited.autoscaling.exceptions.ConcurrentUpdateException):
            limited.autoscaling.register_scalable_target(**TARGET, MinCapacity=4)
    limited.autoscaling.register_scalable_target(**TARGET, MinCapacity=4)
    assert limits(limited) == (4, 6)


def test_the_probe_of_the_callers_rights_can_be_off(limited: Bench) -> None:
    limited.world.knobs = replace(limited.world.knobs, aas_validates_permissions=False)
    limited.world.faults.deny("cloudwatch:*", "ecs:UpdateService")
    limited.autoscaling.register_scalable_target(**TARGET, MinCapacity=2)
    assert limits(limited) == (2, 6)


@pytest.mark.parametrize("conflict, free_after", [(0, 12), (5, 12), (100, 100)])
def test_another_update_conflicts_while_one_moves_the_count(
    bench: Bench, calm: Knobs, conflict: float, free_after: float
) -> None:
    bench.furnish(replace(calm, aas_lag=12, aas_conflict=conflict))
    bench.world.register_scalable_target(
        cluster="demo", service="web", min_capacity=3, max_capacity=6
    )
    register = bench.autoscaling.register_scalable_target
    register(**TARGET, MinCapacity=4)
    bench.sleep(free_after - 1)
    with pytest.raises(bench.autoscaling.exceptions.ConcurrentUpdateException):
        register(**TARGET, MinCapacity=1)
    with pytest.raises(bench.autoscaling.exceptions.ValidationException):
        register(**TARGET, MinCapacity=7)
    assert limits(bench) == (4, 6)
    bench.sleep(2)
    register(**TARGET, MinCapacity=1)
    assert limits(bench) == (1, 6)
    assert bench.service()["desiredCount"] == 4


def test_an_update_that_moves_nothing_is_never_in_the_way(bench: Bench, calm: Knobs) -> None:
    bench.furnish(replace(calm, aas_lag=12, aas_conflict=120))
    for lowest in (3, 2, 1):
        bench.autoscaling.register_scalable_target(**TARGET, MinCapacity=lowest, MaxCapacity=6)
    assert limits(bench) == (1, 6)


def test_the_lag_of_the_clamp_can_be_drawn_from_a_range(bench: Bench, calm: Knobs) -> None:
    moved = set()
    for seed in range(8):
        bench.furnish(replace(calm, aas_lag=(11, 15)), seed)
        bench.autoscaling.register_scalable_target(**TARGET, MinCapacity=5, MaxCapacity=6)
        bench.sleep(11)
        assert bench.service()["desiredCount"] == 3
        bench.sleep(4)
        (_, (at, count, _)) = bench.world.desired_history()
        assert count == 5
        moved.add(at - bench.world.started_at)
    assert len(moved) > 1


def test_an_assumed_role_signs_with_keys_of_its_own(bench: Bench) -> None:
    keys = bench.sts.assume_role(
        RoleArn="arn:aws:iam::123456789012:role/recycler", RoleSessionName="run"
    )["Credentials"]
    assert keys["Expiration"].timestamp() == bench.world.now + 3600
    client = bench.session.client(
        "sts",
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["SessionToken"],
    )
    arn = client.get_caller_identity()["Arn"]
    assert arn == "arn:aws:sts::123456789012:assumed-role/recycler/run"
    assert bench.world.calls[-1].access_key == keys["AccessKeyId"]


def test_expired_keys_are_refused(bench: Bench, calm: Knobs) -> None:
    bench.furnish(replace(calm, assumed_role_seconds=900))
    keys = bench.sts.assume_role(
        RoleArn="arn:aws:iam::123456789012:role/recycler", RoleSessionName="run"
    )["Credentials"]
    client = bench.session.client(
        "ecs",
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["SessionToken"],
    )
    bench.sleep(899)
    assert client.list_clusters()["clusterArns"]
    bench.sleep(2)
    with pytest.raises(ClientError, match="ExpiredTokenException"):
        client.list_clusters()


def test_query_services_refuse_expired_keys_in_their_own_words(bench: Bench) -> None:
    keys = bench.sts.assume_role(
        RoleArn="arn:aws:iam::123456789012:role/recycler", RoleSessionName="run"
    )["Credentials"]
    client = bench.session.client(
        "elbv2",
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["SessionToken"],
    )
    bench.sleep(3601)
    with pytest.raises(ClientError) as caught:
        client.describe_target_groups()
    assert caught.value.response["Error"]["Code"] == "ExpiredToken"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_credentials_that_refresh_themselves_do_so_in_virtual_time(bench: Bench) -> None:
    def refresh() -> dict[str, Any]:
        keys = bench.sts.assume_role(
            RoleArn="arn:aws:iam::123456789012:role/recycler", RoleSessionName="run"
        )["Credentials"]
        return {
            "access_key": keys["AccessKeyId"],
            "secret_key": keys["SecretAccessKey"],
            "token": keys["SessionToken"],
            "expiry_time": keys["Expiration"].isoformat(),
        }

    inner = botocore.session.Session()
    inner._credentials = DeferredRefreshableCredentials(refresh, "sts-assume-role")  # type: ignore[attr-defined]
    client = boto3.Session(botocore_session=inner, region_name="us-east-1").client("ecs")
    client.meta.events.register("before-send", bench.board.answer)
    for _ in range(30):
        bench.sleep(600)
        client.list_clusters()
    assert 5 <= len(bench.world.calls_of("AssumeRole")) <= 8
    assert {call.error_code for call in bench.world.calls} == {None}
