"""DynamoDB's operations.

https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/
"""

from ecs_emulator.api.registry import OPERATIONS, Answer, Operation, Request, operation
from ecs_emulator.world import World


def _read(world: World, request: Request) -> Answer:
    """Read; without ConsistentRead what was written last may not be seen yet.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.ReadConsistency.html
    """
    consistent = request.parameters.get("ConsistentRead", False)
    at = world.now if consistent else request.view_at
    return world.tables.read(request.operation, request.parameters, at)


def _write(world: World, request: Request) -> Answer:
    return world.tables.write(request.operation, request.parameters)


@operation("dynamodb", writes=True)
def create_table(world: World, request: Request) -> Answer:
    """Create a table."""
    return world.tables.create(request.parameters)


for _name in ("GetItem", "Query", "Scan", "DescribeTable"):
    OPERATIONS["dynamodb", _name] = Operation(
        service="dynamodb", name=_name, writes=False, perform=_read
    )
for _name in ("PutItem", "UpdateItem", "DeleteItem"):
    OPERATIONS["dynamodb", _name] = Operation(
        service="dynamodb", name=_name, writes=True, perform=_write
    )
