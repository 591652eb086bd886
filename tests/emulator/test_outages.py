"""A service of AWS is out for a while, a permission or a table is taken away."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError

from ecs_emulator import EmulatorError
from ecs_emulator.neighbours.tables import RUNS_TABLE

if TYPE_CHECKING:
    from tests.emulator.conftest import Bench


def code_of(raised: pytest.ExceptionInfo[ClientError]) -> tuple[str, int]:
    answer = raised.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]


def test_a_service_that_is_out_answers_503_until_it_is_back(bench: Bench) -> None:
    service = bench.furnish(desired_count=2)
    bench.world.outages.take_out("ecs", since=60, until=600)
    assert len(bench.listed()) == 2
    bench.sleep(60)
    with pytest.raises(ClientError) as raised:
        bench.stop(service.tasks[0].arn)
    assert code_of(raised) == ("ServiceUnavailable", 503)
    assert bench.world.writes == []
    assert bench.sts.get_caller_identity()["Account"]
    bench.sleep(600 - bench.world.elapsed)
    assert len(bench.listed()) == 2


def test_everything_may_be_out_and_say_nothing(bench: Bench) -> None:
    bench.furnish()
    bench.world.outages.take_out("all", since=0, until=3600, answers=False, after=5)
    with pytest.raises(ReadTimeoutError):
        bench.sts.get_caller_identity()
    assert bench.world.elapsed >= 5
    assert {call.error_code for call in bench.world.calls} == {"NoAnswer"}


def test_there_may_be_no_way_to_an_endpoint(bench: Bench) -> None:
    bench.furnish()
    bench.world.outages.take_out("ecs", since=0, until=3600, connects=False)
    with pytest.raises(EndpointConnectionError):
        bench.listed()
    assert bench.world.elapsed < 60
    assert bench.sts.get_caller_identity()["Account"]


def test_only_a_service_that_is_emulated_can_be_out(bench: Bench) -> None:
    with pytest.raises(EmulatorError, match="'s3'"):
        bench.world.outages.take_out("ecs", "s3", since=0, until=1)


def test_a_permission_is_taken_away_and_given_back(bench: Bench) -> None:
    bench.furnish()
    bench.world.faults.deny("ecs:StopTask")
    bench.world.outages.take_permission("ecs:ListTasks", "ecs:StopTask", since=10, until=20)
    assert bench.listed()
    bench.sleep(10)
    with pytest.raises(ClientError) as raised:
        bench.listed()
    assert code_of(raised) == ("AccessDeniedException", 400)
    bench.sleep(10)
    assert bench.listed()


def test_a_table_is_deleted_at_an_instant(bench: Bench) -> None:
    bench.world.outages.delete_table(RUNS_TABLE, since=30)
    assert bench.world.items(RUNS_TABLE) == []
    bench.sleep(30)
    with pytest.raises(EmulatorError, match="no table"):
        bench.world.items(RUNS_TABLE)
