"""Calls that fail by script, missing permissions, and callers that are killed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from ecs_emulator import EmulatorError, Killed

if TYPE_CHECKING:
    from ecs_emulator import Knobs
    from tests.emulator.conftest import Bench


def codes(bench: Bench, operation: str) -> list[str | None]:
    return [call.error_code for call in bench.world.calls_of(operation)]


def test_the_second_stop_task_is_throttled_and_botocore_retries_it_in_virtual_time(
    bench: Bench,
) -> None:
    first, second, _ = bench.listed()
    bench.world.faults.fail("StopTask", nth=2, code="ThrottlingException")
    bench.stop(first)
    bench.stop(second)
    assert codes(bench, "StopTask") == [None, "ThrottlingException", None]
    assert bench.world.elapsed > 0, "the retry slept on the virtual clock"


def test_throttling_beyond_the_retries_reaches_the_caller(bench: Bench) -> None:
    bench.world.faults.fail("StopTask", times=None, code="ThrottlingException")
    with pytest.raises(ClientError, match="Rate exceeded"):
        bench.stop(bench.listed()[0])
    assert codes(bench, "StopTask") == ["ThrottlingException"] * 3
    assert bench.world.writes == []


def test_a_server_error_has_its_status(bench: Bench) -> None:
    bench.world.faults.fail("DescribeServices", times=None, code="ServerException")
    with pytest.raises(ClientError) as caught:
        bench.service()
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500


def test_every_third_call_of_any_operation_can_fail(bench: Bench) -> None:
    bench.world.faults.fail(nth=2, every=3, times=None, code="ValidationError")
    outcomes = []
    for _ in range(7):
        try:
            bench.service()
        except ClientError:
            outcomes.append(False)
        else:
            outcomes.append(True)
    assert outcomes == [True, False, True, True, False, True, True]


def test_a_lost_answer_is_a_timeout_although_the_task_is_stopped(bench: Bench) -> None:
    service = bench.world.services[0]
    bench.world.faults.fail("StopTask", times=None, after_effect=True, after_seconds=15)
    with pytest.raises(ReadTimeoutError):
        bench.stop(service.tasks[0].arn)
    assert not service.tasks[0].active
    assert bench.world.calls_of("StopTask")[0].wrote
    assert bench.world.elapsed >= 45, "three attempts waited for their answers"


def test_without_effect_a_timeout_changes_nothing(bench: Bench) -> None:
    service = bench.world.services[0]
    bench.world.faults.fail("StopTask", times=None)
    with pytest.raises(ReadTimeoutError):
        bench.stop(service.tasks[0].arn)
    assert service.tasks[0].active
    assert bench.world.writes == []


def test_a_denied_call_names_the_caller_the_action_and_the_resource(bench: Bench) -> None:
    bench.world.faults.deny("ecs:StopTask")
    arn = bench.world.services[0].tasks[0].arn
    with pytest.raises(bench.ecs.exceptions.AccessDeniedException) as caught:
        bench.stop(arn)
    assert caught.value.response["Error"]["Message"] == (
        "User: arn:aws:iam::123456789012:user/operator is not authorized to perform: "
        f"ecs:StopTask on resource: {arn} because no identity-based policy allows the "
        "ecs:StopTask action"
    )


def test_permissions_are_judged_before_existence_and_values(bench: Bench) -> None:
    errors = bench.ecs.exceptions
    with pytest.raises(errors.InvalidParameterException):
        bench.stop("0" * 32)
    with pytest.raises(errors.InvalidParameterException):
        bench.ecs.update_service(cluster="demo", service="web", desiredCount=-1)
    bench.world.faults.deny("ecs:*")
    with pytest.raises(errors.AccessDeniedException):
        bench.stop("0" * 32)
    with pytest.raises(errors.AccessDeniedException):
        bench.ecs.update_service(cluster="nope", service="web", desiredCount=-1)


def test_query_services_deny_in_their_own_words(bench: Bench) -> None:
    bench.furnish(target_group=True)
    bench.world.faults.allow_only(["ecs:*", "sts:*"])
    with pytest.raises(ClientError) as caught:
        bench.target_states(bench.world.services[0].target_groups[0].arn)
    assert caught.value.response["Error"]["Code"] == "AccessDenied"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert "elasticloadbalancing:DescribeTargetHealth" in str(caught.value)
    bench.world.faults.allow_all()
    assert bench.target_states(bench.world.services[0].target_groups[0].arn)


def test_nobody_can_be_denied_to_ask_who_he_is(bench: Bench) -> None:
    bench.world.faults.allow_only([])
    assert bench.sts.get_caller_identity()["Account"] == "123456789012"


def test_a_killed_caller_reaches_nothing_any_more(bench: Bench) -> None:
    service = bench.world.services[0]
    bench.world.kill_at_call(2)
    bench.listed()
    with pytest.raises(Killed):
        bench.stop(service.tasks[0].arn)
    with pytest.raises(Killed):
        bench.listed()
    with pytest.raises(Killed):
        bench.sleep(1)
    assert service.tasks[0].active
    assert len(bench.world.calls) == 1
    bench.world.revive()
    assert len(bench.listed()) == 3


def test_a_kill_can_follow_the_effect(bench: Bench) -> None:
    service = bench.world.services[0]
    bench.world.kill_at_call(1, after_effect=True)
    with pytest.raises(Killed):
        bench.stop(service.tasks[0].arn)
    assert not service.tasks[0].active


def test_a_kill_at_an_instant_ends_a_sleep_there(bench: Bench) -> None:
    bench.world.kill_at(100)
    with pytest.raises(Killed):
        bench.sleep(1000)
    assert bench.world.elapsed == 100
    bench.world.advance(50)
    assert bench.world.elapsed == 150


def test_a_kill_can_hit_one_caller_of_two(bench: Bench) -> None:
    bench.world.kill_at_call(1, access_key="AKIAOTHER")
    other = bench.session.client("ecs", aws_access_key_id="AKIAOTHER", aws_secret_access_key="x")
    with pytest.raises(Killed):
        other.list_clusters()
    assert bench.ecs.list_clusters()["clusterArns"]


def test_something_happens_right_after_a_call(bench: Bench) -> None:
    bench.world.after_call("StopTask", 2, lambda w: w.set_desired_count("demo", "web", 6))
    first, second, _ = bench.listed()
    bench.stop(first)
    assert bench.service()["desiredCount"] == 3
    bench.stop(second)
    assert bench.service()["desiredCount"] == 6
    assert bench.world.desired_history()[-1][2] == "third party"


def test_the_records_tell_who_stopped_what(bench: Bench) -> None:
    service = bench.world.services[0]
    bench.stop(service.tasks[0].arn)
    assert str(service.tasks[0].stop_cause) == "StopTask by AKIAIOSFODNN7EXAMPLE"
    (call,) = bench.world.writes
    assert (call.service, call.operation, call.error_code) == ("ecs", "StopTask", None)
    assert call.parameters["task"] == service.tasks[0].arn


def test_what_is_not_emulated_is_said_loudly(bench: Bench) -> None:
    with pytest.raises(EmulatorError, match="CreateCluster"):
        bench.ecs.create_cluster(clusterName="new")
    with pytest.raises(EmulatorError, match="platformVersion"):
        bench.ecs.update_service(cluster="demo", service="web", platformVersion="LATEST")


def test_an_error_can_follow_the_effect(bench: Bench) -> None:
    service = bench.world.services[0]
    seen: list[bool] = []
    bench.world.after_call("StopTask", 1, lambda _: seen.append(service.tasks[0].active))
    bench.world.faults.fail("StopTask", code="InvalidParameterException", after_effect=True)
    with pytest.raises(ClientError):
        bench.stop(service.tasks[0].arn)
    assert seen == [False]
    (call,) = bench.world.writes
    assert call.error_code == "InvalidParameterException"


def test_a_kill_at_an_instant_can_hit_one_caller_of_two(bench: Bench) -> None:
    bench.world.kill_at(10, access_key="AKIAOTHER")
    other = bench.session.client("ecs", aws_access_key_id="AKIAOTHER", aws_secret_access_key="x")
    assert other.list_clusters()["clusterArns"]
    bench.sleep(10)
    with pytest.raises(Killed):
        other.list_clusters()
    assert bench.ecs.list_clusters()["clusterArns"]


def test_rate_limits_hold_where_they_are_asked_for(bench: Bench, calm: Knobs) -> None:
    bench.furnish(replace(calm, rate_limits=True))
    for _ in range(100):
        bench.listed()
    assert codes(bench, "ListTasks") == [None] * 100
    bench.listed()
    *refused, last = codes(bench, "ListTasks")[100:]
    assert (set(refused), last) == ({"ThrottlingException"}, None), "the retry waited"
    bench.sleep(60)
    for _ in range(100):
        bench.listed()
    assert codes(bench, "ListTasks")[-100:] == [None] * 100
    bench.furnish()
    for _ in range(300):
        bench.listed()
    assert set(codes(bench, "ListTasks")) == {None}


def test_an_answer_can_be_altered_on_its_way_and_has_taken_effect(bench: Bench) -> None:
    first, *_ = bench.listed()
    bench.world.faults.alter(len(bench.world.calls) + 1, lambda answer: answer.pop("task"))

    answer = dict(bench.ecs.stop_task(cluster="demo", task=first))

    assert "task" not in answer
    assert bench.world.calls[-1].wrote
