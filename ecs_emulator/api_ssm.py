"""The Parameter Store's operations.

https://docs.aws.amazon.com/systems-manager/latest/APIReference/
"""

import re
from typing import Any

from ecs_emulator.errors import ApiError
from ecs_emulator.parameters import Version
from ecs_emulator.registry import Answer, Request, operation
from ecs_emulator.world import World

PAGE_LIMIT = 50


@operation("ssm", writes=True)
def put_parameter(world: World, request: Request) -> Answer:
    """Create a parameter, or with Overwrite write its next version."""
    asked = request.parameters
    if asked.get("Tags") and asked.get("Overwrite"):
        raise ApiError("ValidationException", "Tags and overwrite can't be used together.")
    pattern = asked.get("AllowedPattern")
    if pattern and not re.search(pattern, asked["Value"]):
        raise ApiError(
            "ParameterPatternMismatchException",
            f"Parameter value, cannot be validated against allowedPattern: {pattern}",
        )
    version = Version(
        number=0,
        value=asked["Value"],
        kind=asked.get("Type", ""),
        written_at=world.now,
        written_by=request.caller.arn,
        description=asked.get("Description"),
    )
    overwrite = asked.get("Overwrite", False)
    written = world.parameters.put(asked["Name"], version, overwrite=overwrite)
    return {"Version": written.number, "Tier": "Standard"}


@operation("ssm")
def get_parameter(world: World, request: Request) -> Answer:
    """Read a parameter: the latest version, or the one of a number or label after a colon."""
    reference = request.parameters["Name"]
    version, selector = world.parameters.find(reference, _view(world))
    name = reference.partition(":")[0]
    parameter = {
        "Name": name,
        "Type": version.kind,
        "Value": version.value,
        "Version": version.number,
        "LastModifiedDate": round(version.written_at, 3),
        "ARN": world.arn("ssm", f"parameter/{name.lstrip('/')}"),
        "DataType": "text",
    }
    return {"Parameter": parameter | ({"Selector": selector} if selector else {})}


@operation("ssm", writes=True)
def delete_parameter(world: World, request: Request) -> Answer:
    """Delete a parameter."""
    world.parameters.delete(request.parameters["Name"])
    return {}


@operation("ssm")
def get_parameter_history(world: World, request: Request) -> Answer:
    """List the versions of a parameter, the oldest first, in pages."""
    asked = request.parameters
    versions = world.parameters.versions(asked["Name"], _view(world))
    limit = min(asked.get("MaxResults") or PAGE_LIMIT, world.knobs.page_size or PAGE_LIMIT)
    after = int(asked.get("NextToken") or 0)
    rest = [version for version in versions if version.number > after]
    shown = [_history_row(asked["Name"], version) for version in rest[:limit]]
    following = str(rest[limit - 1].number) if len(rest) > limit else None
    return {"Parameters": shown} | ({"NextToken": following} if following else {})


@operation("ssm", writes=True)
def label_parameter_version(world: World, request: Request) -> Answer:
    """Move labels to a version."""
    asked = request.parameters
    refused, number = world.parameters.label(
        asked["Name"], asked.get("ParameterVersion"), asked["Labels"]
    )
    return {"ParameterVersion": number} | ({"InvalidLabels": refused} if refused else {})


def _history_row(name: str, version: Version) -> Answer:
    row: dict[str, Any] = {
        "Name": name,
        "Type": version.kind,
        "LastModifiedDate": round(version.written_at, 3),
        "LastModifiedUser": version.written_by,
        "Value": version.value,
        "Version": version.number,
        "Tier": "Standard",
        "Policies": [],
        "DataType": "text",
    }
    optional = {"Labels": list(version.labels), "Description": version.description}
    return row | {name: value for name, value in optional.items() if value}


def _view(world: World) -> float:
    age = world.dice.seconds((0.0, world.knobs.parameter_staleness), "view", len(world.calls))
    return world.now - age
