"""DynamoDB's tables, kept by moto: a backend of its own for each world, and its past.

What moto knows: https://docs.getmoto.org/en/latest/docs/services/dynamodb.html
"""

import json
from collections.abc import Mapping
from copy import copy, deepcopy
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property
from typing import Any

from boto3.dynamodb.types import Binary, TypeSerializer
from botocore import xform_name
from moto.core.exceptions import JsonRESTError
from moto.dynamodb import comparisons
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.models.dynamo_type import Item as MotoItem
from moto.dynamodb.models.table import Table
from moto.dynamodb.responses import DynamoHandler

from ecs_emulator.ground.account import Account
from ecs_emulator.ground.errors import ApiError, EmulatorError
from ecs_emulator.ground.simulation import Simulation
from ecs_emulator.ground.timeline import Timeline

type Item = dict[str, Any]
"""An item as plain Python values: numbers int or float, binary values bytes."""

RUNS_TABLE = "ecs-task-recycle-runs"
RUNS_KEY = "service"


class _Handler(DynamoHandler):
    """moto's operations, on the backend given instead of a global one."""

    def __init__(self, backend: DynamoDBBackend) -> None:
        super().__init__()
        self._backend = backend

    @property
    def dynamodb_backend(self) -> DynamoDBBackend:
        """The backend."""
        return self._backend


class _Ordered(comparisons.Op):
    """An order between values of two types: never true, where moto's raises TypeError.

    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Condition.html
    """

    def expr(self, item: MotoItem | None) -> bool:
        """Tell whether the comparison holds."""
        try:
            return super().expr(item)
        except TypeError:
            return False


_COMPARATORS: dict[str, Any] = comparisons.COMPARATOR_CLASS
for _sign in ("<", "<=", ">", ">="):
    _COMPARATORS[_sign] = type(_sign, (_Ordered, _COMPARATORS[_sign]), {})


class Tables:
    """The tables of one world. RUNS_TABLE is there from the start, unless it is dropped.

    `staleness`: how many seconds ago a read may look into the past, at most.
    """

    def __init__(self, time: Simulation, account: Account, staleness: float) -> None:
        self._time = time
        self._account = account
        self._staleness = staleness
        self._pictures: dict[str, Timeline[Any]] = {}

    @cached_property
    def _handler(self) -> _Handler:
        """Made when it is first needed: most worlds never ask."""
        backend = DynamoDBBackend(self._account.region, self._account.id)
        handler = _Handler(backend)
        _ask(handler, "CreateTable", _runs_table())
        self._begin(backend.tables[RUNS_TABLE], self._time.started_at)
        return handler

    def read(self, operation: str, parameters: Mapping[str, Any], at: float) -> dict[str, Any]:
        """Perform an operation on a table as it was at an instant. Raises ApiError."""
        table, pictures = self._find(parameters["TableName"])
        table.items = pictures.at(at)
        return _ask(self._handler, operation, parameters)

    def write(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Perform an operation that writes, wholly or (raising ApiError) not at all."""
        table, pictures = self._find(parameters["TableName"])
        table.items = _to_change(table, pictures.latest, parameters)
        answer = _ask(self._handler, operation, parameters)
        pictures.forget(before=self._time.now - self._staleness)
        pictures.set(self._time.now, table.items)
        return answer

    def create(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Create a table, ACTIVE at once. Raises ApiError."""
        _ask(self._handler, "CreateTable", parameters)
        table = self._handler.dynamodb_backend.tables[parameters["TableName"]]
        self._begin(table, self._time.now)
        return table.describe()

    def drop(self, name: str) -> None:
        """Let there be no such table."""
        self._known(name)
        self._handler.dynamodb_backend.delete_table(name)
        del self._pictures[name]

    def put(self, name: str, item: Item) -> None:
        """Write an item. Raises ApiError for one that cannot be."""
        self._known(name)
        serialize = TypeSerializer().serialize
        wired = {attribute: serialize(_decimal(value)) for attribute, value in item.items()}
        self.write("PutItem", {"TableName": name, "Item": wired})

    def item(self, name: str, **key: object) -> Item | None:
        """Return the item of this key, None where there is none."""
        fitting = (item for item in self.items(name) if key.items() <= item.items())
        return next(fitting, None)

    def items(self, name: str) -> list[Item]:
        """Return what is in a table now."""
        table = self._known(name)
        table.items = self._pictures[name].latest
        return [_plain(item.to_regular_json()) for item in table.all_items()]

    def _begin(self, table: Table, at: float) -> None:
        # moto and AWS say 0; botocore's model allows only what is above.
        table.throughput.pop("NumberOfDecreasesToday", None)
        table.created_at = datetime.fromtimestamp(at, tz=UTC)
        self._pictures[table.name] = Timeline(at, table.items)

    def _find(self, reference: str) -> tuple[Table, Timeline[Any]]:
        """Return the table of this name or ARN, and its past."""
        name = reference.rpartition("/")[2]
        table = self._handler.dynamodb_backend.tables.get(name)
        if table is None:
            raise ApiError("ResourceNotFoundException", "Requested resource not found")
        return table, self._pictures[name]

    def _known(self, name: str) -> Table:
        table = self._handler.dynamodb_backend.tables.get(name)
        if table is None:
            raise EmulatorError(f"There is no table {name}.")
        return table


def _runs_table() -> dict[str, Any]:
    return {
        "TableName": RUNS_TABLE,
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{"AttributeName": RUNS_KEY, "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": RUNS_KEY, "AttributeType": "S"}],
    }


def _to_change(table: Table, items: Any, parameters: Mapping[str, Any]) -> Any:  # noqa: ANN401  moto's
    """Return the items for a write: what it names is a copy, the others are as in the past."""
    found = copy(items)
    named = (parameters.get("Key") or parameters["Item"]).get(table.hash_key_attr)
    if named is not None and (key := DynamoType(named)) in found:
        found[key] = deepcopy(found[key])
    return found


def _ask(handler: _Handler, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Let moto perform an operation. Raises ApiError."""
    handler.body = deepcopy(dict(parameters))
    try:
        answer: dict[str, Any] = getattr(handler, xform_name(operation))().result
    except JsonRESTError as error:
        raise _ours(error) from error
    except (KeyError, ValueError) as error:
        # What moto's parser of conditions says of those that make no sense.
        raise ApiError("ValidationException", f"Invalid expression: {error}") from error
    finally:
        _forget()
    answer.pop("ConsumedCapacityUnits", None)  # of an older API
    if parameters.get("ReturnConsumedCapacity", "NONE") == "NONE":
        answer.pop("ConsumedCapacity", None)
    return answer


def _forget() -> None:
    """Empty the lists in which moto keeps every table and item ever made."""
    for kind in (Table, MotoItem):
        kept: list[object] = vars(kind)["instances_tracked"]
        kept.clear()


def _ours(error: JsonRESTError) -> ApiError:
    body = json.loads(error.description)
    details = {"Item": body["Item"]} if "Item" in body else {}
    code, status = error.relative_error_type, int(error.code)
    return ApiError(code, error.message, status=status, details=details)


def _plain(value: Any) -> Any:  # noqa: ANN401  anything that an item has
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | set):
        return type(value)(map(_plain, value))
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, Binary):
        return value.value  # type: ignore[attr-defined] # the stubs leave it out
    return value


def _decimal(value: Any) -> Any:  # noqa: ANN401  likewise
    if isinstance(value, dict):
        return {name: _decimal(each) for name, each in value.items()}
    if isinstance(value, list | tuple | set):
        return type(value)(map(_decimal, value))
    return Decimal(str(value)) if isinstance(value, float) else value
