"""DynamoDB: one item per service, written on conditions; moto's, on the emulator's own wire."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ReadTimeoutError
from moto.dynamodb.models.dynamo_type import Item
from moto.dynamodb.models.table import Table

from ecs_emulator import EmulatorError, Killed, Knobs, WallClock, World
from ecs_emulator.neighbours.tables import RUNS_TABLE
from ecs_emulator.wire.server import serve

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import UpdateItemOutputTypeDef

    from tests.emulator.conftest import Bench

KEY: dict[str, Any] = {"service": {"S": "demo/web"}}
CLI = Path(sys.executable).with_name("aws")


@pytest.fixture
def client(bench: Bench) -> DynamoDBClient:
    config = Config(retries={"mode": "standard", "total_max_attempts": 3})
    return bench.session.client("dynamodb", config=config)


def claim(client: DynamoDBClient, who: str, now: int = 100) -> UpdateItemOutputTypeDef:
    """Take the lease for 60 seconds: if nobody has it, if it is ours, or if it is over."""
    return client.update_item(
        TableName=RUNS_TABLE,
        Key=KEY,
        UpdateExpression="SET #owner = :who, ends_at = :end, picture = :picture REMOVE verdict",
        ConditionExpression="attribute_not_exists(#owner) OR (#owner = :who) OR ends_at <= :now",
        ExpressionAttributeNames={"#owner": "owner"},
        ExpressionAttributeValues={
            ":who": {"S": who},
            ":now": {"N": str(now)},
            ":end": {"N": str(now + 60)},
            ":picture": {"B": b"\x00\xff"},
        },
        ReturnValues="ALL_NEW",
        ReturnValuesOnConditionCheckFailure="ALL_OLD",
    )


def read(client: DynamoDBClient, *, consistent: bool = True) -> Any:  # noqa: ANN401  the stubs' own
    """Return the item, None where there is none."""
    answer: Any = client.get_item(TableName=RUNS_TABLE, Key=KEY, ConsistentRead=consistent)
    assert answer.keys() <= {"Item", "ResponseMetadata"}
    return answer.get("Item")


def failure(raised: pytest.ExceptionInfo[ClientError]) -> tuple[str, Any]:
    """Return the error's code and the item that came with it."""
    response: Any = raised.value.response
    return response["Error"]["Code"], response.get("Item")


def outcomes(world: World, operation: str) -> list[tuple[str | None, bool]]:
    return [(call.error_code, call.wrote) for call in world.calls_of(operation)]


def test_the_first_update_creates_the_item(bench: Bench, client: DynamoDBClient) -> None:
    assert read(client) is None
    attributes = {
        **KEY,
        "owner": {"S": "run-1"},
        "ends_at": {"N": "160"},
        "picture": {"B": b"\x00\xff"},
    }
    assert claim(client, "run-1")["Attributes"] == attributes
    assert read(client) == attributes
    assert bench.world.item(RUNS_TABLE, service="demo/web") == {
        "service": "demo/web",
        "owner": "run-1",
        "ends_at": 160,
        "picture": b"\x00\xff",
    }
    assert bench.world.item(RUNS_TABLE, service="demo/api") is None
    assert outcomes(bench.world, "UpdateItem") == [(None, True)]
    assert outcomes(bench.world, "GetItem") == [(None, False)] * 2


def test_an_update_whose_condition_fails_tells_who_was_first(
    bench: Bench, client: DynamoDBClient
) -> None:
    first = claim(client, "run-1")["Attributes"]
    with pytest.raises(client.exceptions.ConditionalCheckFailedException) as caught:
        claim(client, "run-2")
    assert failure(caught) == ("ConditionalCheckFailedException", first)
    assert caught.value.response["Error"]["Message"] == "The conditional request failed"
    assert claim(client, "run-1", now=120)["Attributes"]["ends_at"] == {"N": "180"}
    assert claim(client, "run-2", now=180)["Attributes"]["owner"] == {"S": "run-2"}
    assert outcomes(bench.world, "UpdateItem") == [
        (None, True),
        ("ConditionalCheckFailedException", False),
        (None, True),
        (None, True),
    ]


def test_without_all_old_the_failure_has_no_item(client: DynamoDBClient) -> None:
    claim(client, "run-1")
    with pytest.raises(ClientError) as caught:
        client.put_item(
            TableName=RUNS_TABLE, Item=KEY, ConditionExpression="attribute_not_exists(service)"
        )
    assert failure(caught) == ("ConditionalCheckFailedException", None)


def test_an_order_between_two_types_is_false_and_no_error(
    bench: Bench, client: DynamoDBClient
) -> None:
    bench.world.put_item(RUNS_TABLE, {"service": "demo/web", "owner": "x", "ends_at": "never"})
    with pytest.raises(client.exceptions.ConditionalCheckFailedException) as caught:
        claim(client, "run-1")
    assert failure(caught)[1]["ends_at"] == {"S": "never"}


def test_a_missing_table_is_the_modelled_error(bench: Bench, client: DynamoDBClient) -> None:
    bench.world.drop_table(RUNS_TABLE)
    for call in (
        lambda: client.get_item(TableName=RUNS_TABLE, Key=KEY),
        lambda: client.describe_table(TableName=RUNS_TABLE),
        lambda: claim(client, "run-1"),
    ):
        with pytest.raises(client.exceptions.ResourceNotFoundException) as caught:
            call()
        assert caught.value.response["Error"]["Message"] == "Requested resource not found"
    assert bench.world.writes == []
    with pytest.raises(EmulatorError, match="no table"):
        bench.world.items(RUNS_TABLE)


def test_a_denied_call_names_the_table(bench: Bench, client: DynamoDBClient) -> None:
    bench.world.faults.deny("dynamodb:UpdateItem")
    with pytest.raises(ClientError) as caught:
        claim(client, "run-1")
    assert failure(caught) == ("AccessDeniedException", None)
    assert (
        "is not authorized to perform: dynamodb:UpdateItem on resource: "
        "arn:aws:dynamodb:us-east-1:123456789012:table/ecs-task-recycle-runs because"
    ) in str(caught.value)
    assert client.scan(TableName=RUNS_TABLE)["Items"] == []


def test_throttling_by_script_is_retried_and_writes_once(
    bench: Bench, client: DynamoDBClient
) -> None:
    code = "ProvisionedThroughputExceededException"
    bench.world.faults.fail("UpdateItem", code=code)
    claim(client, "run-1")
    assert outcomes(bench.world, "UpdateItem") == [(code, False), (None, True)]


def test_a_lost_answer_to_a_write_that_took_effect(bench: Bench, client: DynamoDBClient) -> None:
    bench.world.faults.fail("UpdateItem", times=None, after_effect=True)
    with pytest.raises(ReadTimeoutError):
        claim(client, "run-1")
    assert bench.world.item(RUNS_TABLE, service="demo/web")
    assert outcomes(bench.world, "UpdateItem") == [("NoAnswer", True)] * 3


@pytest.mark.parametrize("after_effect", [False, True])
def test_a_kill_before_or_after_the_effect(
    bench: Bench, client: DynamoDBClient, *, after_effect: bool
) -> None:
    bench.world.kill_at_call(1, after_effect=after_effect)
    with pytest.raises(Killed):
        claim(client, "run-1")
    assert [item["owner"] for item in bench.world.items(RUNS_TABLE)] == ["run-1"] * after_effect
    assert len(bench.world.writes) == after_effect


def test_somebody_writes_between_two_calls(bench: Bench, client: DynamoDBClient) -> None:
    item = {
        "service": "demo/web",
        "owner": "somebody",
        "ends_at": 10**9,
        "share": 0.5,
        "picture": {"steps": [1, {"raw": b"\x01"}, None, True], "names": {"a", "b"}},
    }
    bench.world.after_call("GetItem", 1, lambda w: w.put_item(RUNS_TABLE, item))
    assert read(client) is None
    with pytest.raises(client.exceptions.ConditionalCheckFailedException):
        claim(client, "run-1")
    assert bench.world.items(RUNS_TABLE) == [item]
    assert isinstance(bench.world.items(RUNS_TABLE)[0]["ends_at"], int)


def test_two_worlds_share_nothing(bench: Bench, client: DynamoDBClient) -> None:
    first = bench.world
    claim(client, "run-1")
    bench.furnish()
    assert bench.world.items(RUNS_TABLE) == []
    claim(client, "run-2")
    bench.world.drop_table(RUNS_TABLE)
    assert [item["owner"] for item in first.items(RUNS_TABLE)] == ["run-1"]


def test_only_a_consistent_read_is_sure_to_see_the_last_write(
    bench: Bench, client: DynamoDBClient, calm: Knobs
) -> None:
    bench.furnish(replace(calm, staleness=5))
    bench.sleep(5)
    claim(client, "run-1")
    bench.sleep(1)

    def seen(*, consistent: bool) -> set[bool]:
        return {read(client, consistent=consistent) is not None for _ in range(20)}

    assert seen(consistent=True) == {True}
    assert seen(consistent=False) == {True, False}
    bench.sleep(5)
    assert seen(consistent=False) == {True}


def test_a_write_that_fails_halfway_changes_nothing(bench: Bench, client: DynamoDBClient) -> None:
    claim(client, "run-1")
    before = bench.world.items(RUNS_TABLE)
    for size in (409_600, 500_000):
        with pytest.raises(ClientError, match="size to update has exceeded the maximum") as caught:
            client.update_item(
                TableName=RUNS_TABLE,
                Key=KEY,
                UpdateExpression="SET ends_at = :new, big = :big",
                ExpressionAttributeValues={":new": {"N": "0"}, ":big": {"S": "x" * size}},
            )
        assert failure(caught)[0] == "ValidationException"
    assert bench.world.items(RUNS_TABLE) == before


@pytest.mark.parametrize(
    "update, condition",
    [
        ("SET", None),
        ("SET owner = :v", None),  # a reserved word
        ("SET service = :v", None),  # the key
        ("SET a = :nope", None),
        ("SET a = :v", "b = :v AND"),
        ("SET a = :v", "#b = :v"),
        ("SET a = :v", "b = :nope"),
        ("SET a = :v", "(b = :v"),
        ("SET a = :v", "status = :v"),
    ],
)
def test_expressions_that_make_no_sense_are_refused(
    bench: Bench, client: DynamoDBClient, update: str, condition: str | None
) -> None:
    given: dict[str, Any] = {"ConditionExpression": condition} if condition else {}
    with pytest.raises(ClientError) as caught:
        client.update_item(
            TableName=RUNS_TABLE,
            Key=KEY,
            UpdateExpression=update,
            ExpressionAttributeValues={":v": {"S": "x"}},
            **given,
        )
    assert failure(caught)[0] == "ValidationException"
    assert bench.world.items(RUNS_TABLE) == []


def test_a_key_against_the_schema_is_refused(client: DynamoDBClient) -> None:
    for key in ({"cluster": {"S": "demo"}}, {"service": {"N": "1"}}):
        with pytest.raises(ClientError) as caught:
            client.update_item(
                TableName=RUNS_TABLE,
                Key=key,
                UpdateExpression="SET a = :v",
                ExpressionAttributeValues={":v": {"S": "x"}},
            )
        assert failure(caught)[0] == "ValidationException"


def test_the_table_can_be_described_queried_and_scanned(
    bench: Bench, client: DynamoDBClient
) -> None:
    table = client.describe_table(TableName=RUNS_TABLE)["Table"]
    assert (table["TableStatus"], table["ItemCount"]) == ("ACTIVE", 0)
    assert table["KeySchema"] == [{"AttributeName": "service", "KeyType": "HASH"}]
    assert table["CreationDateTime"].timestamp() == bench.world.started_at
    for name in ("demo/api", "demo/web"):
        bench.world.put_item(RUNS_TABLE, {"service": name})
    found = client.query(
        TableName=RUNS_TABLE,
        KeyConditionExpression="service = :service",
        ExpressionAttributeValues={":service": KEY["service"]},
        ConsistentRead=True,
    )
    assert (found["Items"], found["Count"]) == ([KEY], 1)
    assert client.scan(TableName=RUNS_TABLE)["Count"] == 2
    client.delete_item(TableName=RUNS_TABLE, Key=KEY)
    assert bench.world.items(RUNS_TABLE) == [{"service": "demo/api"}]


def test_another_table_can_be_created_once(bench: Bench, client: DynamoDBClient) -> None:
    def create() -> str:
        return client.create_table(
            TableName="notes",
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[
                {"AttributeName": "service", "KeyType": "HASH"},
                {"AttributeName": "at", "KeyType": "RANGE"},
            ],
            AttributeDefinitions=[
                {"AttributeName": "service", "AttributeType": "S"},
                {"AttributeName": "at", "AttributeType": "N"},
            ],
        )["TableDescription"]["TableArn"]

    arn = create()
    for at in (2, 1):
        client.put_item(TableName=arn, Item={**KEY, "at": {"N": str(at)}})
    assert [item["at"] for item in bench.world.items("notes")] == [1, 2]
    assert bench.world.item("notes", service="demo/web", at=2)
    with pytest.raises(client.exceptions.ResourceInUseException):
        create()


def test_moto_keeps_nothing_of_what_is_over(client: DynamoDBClient) -> None:
    for who in ("run-1", "run-1"):
        claim(client, who)
    assert vars(Item)["instances_tracked"] == []
    assert vars(Table)["instances_tracked"] == []


@pytest.mark.local_socket
def test_over_http_boto3_and_the_aws_cli_see_the_same_item() -> None:
    world = World(knobs=Knobs(staleness=0, latency=0), clock=WallClock())
    with serve(world) as url:
        client = boto3.client("dynamodb", endpoint_url=url)
        written = claim(client, "run-1")["Attributes"]
        with pytest.raises(client.exceptions.ConditionalCheckFailedException) as caught:
            claim(client, "run-2")
        command = [str(CLI), "dynamodb", "get-item", "--endpoint-url", url, "--output", "json"]
        command += ["--table-name", RUNS_TABLE, "--key", json.dumps(KEY), "--consistent-read"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
        with urllib.request.urlopen(f"{url}/_emulator/history") as answer:  # noqa: S310
            history = json.load(answer)
    assert failure(caught)[1] == written
    assert json.loads(done.stdout)["Item"] == {**written, "picture": {"B": "AP8="}}
    first, *_ = history["calls"]
    assert first["parameters"]["ExpressionAttributeValues"][":picture"] == {"B": "AP8="}


@pytest.mark.local_socket
def test_of_many_who_claim_at_once_exactly_one_succeeds() -> None:
    world = World(knobs=Knobs(latency=(0.0, 0.02)), clock=WallClock())
    outcomes: list[str] = []

    def compete(client: DynamoDBClient, who: str) -> None:
        try:
            claim(client, who)
        except client.exceptions.ConditionalCheckFailedException:
            outcomes.append("lost")
        else:
            outcomes.append(who)

    with serve(world) as url:
        client = boto3.client("dynamodb", endpoint_url=url)
        threads = [
            threading.Thread(target=compete, args=(client, f"run-{number}")) for number in range(9)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    (winner,) = set(outcomes) - {"lost"}
    assert outcomes.count("lost") == 8
    assert [item["owner"] for item in world.items(RUNS_TABLE)] == [winner]
