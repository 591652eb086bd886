"""The DynamoDB table of run records: one item per service, each change one conditional write.

https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateItem.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, cast

from boto3.dynamodb.types import Binary, TypeDeserializer, TypeSerializer
from botocore.config import Config

from ecs_task_recycle.aws.errors import expect_refusal, translated
from ecs_task_recycle.errors import PreconditionError

if TYPE_CHECKING:
    import boto3
    from mypy_boto3_dynamodb import DynamoDBClient


KEY: Final = "service"

CONFIG: Final = Config(
    connect_timeout=3,
    read_timeout=5,
    retries={"mode": "standard", "total_max_attempts": 5},
)
READ: Final = "dynamodb:GetItem"
WRITE: Final = "dynamodb:UpdateItem"

type Item = Mapping[str, Any]
"""An item as plain values: text, whole numbers, bytes, None, and mappings of these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What a conditional write came to: the item as it is now, and whether this call wrote it."""

    item: Item
    is_ours: bool


class RunTable:
    """The table, as the run of one service uses it: the item of that service."""

    def __init__(self, session: boto3.Session, *, name: str, service: str) -> None:
        """Take the table's name, and the service as cluster/service; nothing is called yet."""
        self.name = name
        self.service = service
        self.region = session.region_name
        self._session = session

    @cached_property
    def _client(self) -> DynamoDBClient:
        return self._session.client("dynamodb", config=CONFIG)

    def read(self) -> Item | None:
        """Return the item, strongly consistent, or None where there is none.

        Raises PreconditionError where there is no table, AwsCallError.
        """
        with translated(READ):
            try:
                answer = self._client.get_item(
                    TableName=self.name, Key=self._key, ConsistentRead=True
                )
            except self._client.exceptions.ResourceNotFoundException:
                raise self._absent() from None
            return _plain(answer["Item"]) if "Item" in answer else None

    def write(self, values: Item, *, remove: Sequence[str] = (), conditions: Item) -> Written:
        """Set and remove attributes, only if every condition holds.

        None means that the attribute must be absent.

        The condition and the write are one call.
        """
        names, placeholders = {}, {}
        sets, removes, expressions = [], [], []
        for number, (name, value) in enumerate(values.items()):
            names[f"#s{number}"], placeholders[f":s{number}"] = name, value
            sets.append(f"#s{number} = :s{number}")
        for number, name in enumerate(remove):
            names[f"#r{number}"] = name
            removes.append(f"#r{number}")
        for number, (name, value) in enumerate(conditions.items()):
            names[f"#g{number}"] = name
            if value is None:
                expressions.append(f"attribute_not_exists(#g{number})")
            else:
                placeholders[f":g{number}"] = value
                expressions.append(f"#g{number} = :g{number}")
        expression = f"SET {', '.join(sets)}" + (f" REMOVE {', '.join(removes)}" if removes else "")
        return self._update(expression, " AND ".join(expressions), names, placeholders)

    def _update(
        self, expression: str, condition: str, names: dict[str, str], values: dict[str, Any]
    ) -> Written:
        with translated(WRITE):
            try:
                answer = self._client.update_item(
                    TableName=self.name,
                    Key=self._key,
                    UpdateExpression=expression,
                    ConditionExpression=condition,
                    ExpressionAttributeNames=names,
                    ExpressionAttributeValues=_wire(values),
                    ReturnValues="ALL_NEW",
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
            except self._client.exceptions.ConditionalCheckFailedException as refused:
                found = cast("Mapping[str, Any]", refused.response.get("Item", {}))
                return Written(item=_plain(found), is_ours=False)
            except self._client.exceptions.ResourceNotFoundException:
                raise self._absent() from None
            written = _plain(answer.get("Attributes") or {})
        # The write is made, whatever the answer lacks: a consistent read tells what it came to.
        return Written(item=written or self.read() or {}, is_ours=True)

    def probe_write(self) -> None:
        """Call UpdateItem with a condition that never holds: denied, or refused, and harmless."""

        def update() -> None:
            with translated(WRITE):
                self._client.update_item(
                    TableName=self.name,
                    Key=self._key,
                    UpdateExpression="SET #state = :state",
                    ConditionExpression="attribute_exists(#key) AND attribute_not_exists(#key)",
                    ExpressionAttributeNames={"#key": KEY, "#state": "state"},
                    ExpressionAttributeValues={":state": {"S": "probe"}},
                )

        expect_refusal(update)

    @property
    def _key(self) -> dict[str, Any]:
        return {KEY: {"S": self.service}}

    def _absent(self) -> PreconditionError:
        command = (
            f"aws dynamodb create-table --table-name {self.name} "
            f"--attribute-definitions AttributeName={KEY},AttributeType=S "
            f"--key-schema AttributeName={KEY},KeyType=HASH "
            f"--billing-mode PAY_PER_REQUEST --region {self.region}"
        )
        return PreconditionError(
            f"There is no DynamoDB table {self.name} for the run record in {self.region}.",
            remedy=f"Deploy the stack again, or run: {command}",
            table=self.name,
        )


def _wire(values: Item) -> dict[str, Any]:
    serializer = TypeSerializer()
    return {name: serializer.serialize(value) for name, value in values.items()}


def _plain(item: Mapping[str, Any]) -> Item:
    deserializer = TypeDeserializer()
    return {name: _value(deserializer.deserialize(value)) for name, value in item.items()}


def _value(value: object) -> object:
    """Return boto3's decimals as whole numbers where they are, its Binary as bytes."""
    match value:
        case Decimal() if value == value.to_integral_value():
            return int(value)
        case Binary():
            return bytes(cast("Any", value))
        case dict():
            return {name: _value(each) for name, each in value.items()}
        case _:
            return value
