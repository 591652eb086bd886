"""The query protocol: form fields into parameters, and answers into XML.

https://smithy.io/2.0/aws/protocols/aws-query-protocol.html
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from html import escape
from typing import Any

from botocore.model import ListShape, OperationModel, Shape, StructureShape


def from_query(fields: Mapping[str, str], model: OperationModel) -> dict[str, Any]:
    """Return the parameters of a request from its form fields."""
    shape = model.input_shape
    return _structure_from(fields, shape, "") if isinstance(shape, StructureShape) else {}


def _structure_from(
    fields: Mapping[str, str], shape: StructureShape, prefix: str
) -> dict[str, Any]:
    found = {
        name: _value_from(fields, member, prefix + member.serialization.get("name", name))
        for name, member in shape.members.items()
    }
    return {name: value for name, value in found.items() if value is not None}


def _value_from(fields: Mapping[str, str], shape: Shape, key: str) -> Any:  # noqa: ANN401  as above
    if isinstance(shape, StructureShape):
        return _structure_from(fields, shape, f"{key}.") or None
    if isinstance(shape, ListShape):
        return _list_from(fields, shape, key)
    text = fields.get(key)
    if text is None:
        return None
    if shape.type_name in {"integer", "long"}:
        return int(text)
    if shape.type_name in {"float", "double"}:
        return float(text)
    return text == "true" if shape.type_name == "boolean" else text


def _list_from(fields: Mapping[str, str], shape: ListShape, key: str) -> list[Any] | None:
    flattened = shape.serialization.get("flattened")
    stem = key if flattened else f"{key}.{shape.member.serialization.get('name', 'member')}"
    numbers = sorted(
        {
            int(rest.split(".", 1)[0])
            for name in fields
            if name.startswith(f"{stem}.") and (rest := name[len(stem) + 1 :])[:1].isdigit()
        }
    )
    return [_value_from(fields, shape.member, f"{stem}.{number}") for number in numbers] or None


def members(shape: StructureShape, value: Mapping[str, Any]) -> Iterator[str]:
    """Yield a structure's members as XML elements."""
    for name, member in value.items():
        member_shape = shape.members[name]
        tag = member_shape.serialization.get("name", name)
        if isinstance(member_shape, ListShape) and member_shape.serialization.get("flattened"):
            yield from (_element(tag, member_shape.member, item) for item in member)
        else:
            yield _element(tag, member_shape, member)


def _element(tag: str, shape: Shape, value: Any) -> str:  # noqa: ANN401  anything a shape has
    if isinstance(shape, StructureShape):
        inner = "".join(members(shape, value))
    elif isinstance(shape, ListShape):
        item_tag = shape.member.serialization.get("name", "member")
        inner = "".join(_element(item_tag, shape.member, item) for item in value)
    else:
        inner = escape(_text(shape, value), quote=False)
    return f"<{tag}>{inner}</{tag}>"


def _text(shape: Shape, value: object) -> str:
    if shape.type_name == "timestamp" and isinstance(value, int | float):
        at = datetime.fromtimestamp(value, tz=UTC)
        return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return str(value).lower() if isinstance(value, bool) else str(value)
