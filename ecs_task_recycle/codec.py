"""Converts frozen dataclasses to JSON and back, by their annotations.

It knows str, int, float, bool, None, datetime, StrEnum, tuples of one type, unions with None and
dataclasses of these. Any other type is a programming mistake and raises TypeError.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import Field, fields, is_dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Any, Final

type Json = str | int | float | bool | list[Json] | dict[str, Json] | None

OMIT_NONE: Final[Mapping[str, bool]] = {"omit_none": True}
"""Metadata of a dataclass field whose None is absent in the JSON form instead of null."""


def encode(value: object) -> Json:
    """Return the JSON form of a value."""
    if isinstance(value, StrEnum):
        return value.value
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, tuple | list):
        return [encode(item) for item in value]
    if isinstance(value, Mapping):
        return {str(name): encode(item) for name, item in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: encode(getattr(value, field.name))
            for field in fields(value)
            if not _is_omitted(field, value)
        }
    message = f"{type(value).__name__} has no JSON form"
    raise TypeError(message)


def _is_omitted(field: Field[Any], owner: object) -> bool:
    return "omit_none" in field.metadata and getattr(owner, field.name) is None


def decode[T](kind: type[T], document: Json) -> T:
    """Return the value of a type from its JSON form.

    Raises TypeError, KeyError or ValueError for a document of another form.
    """
    return typing.cast("T", _decode(kind, document))


def _decode(kind: object, document: Json) -> object:
    if isinstance(kind, types.UnionType):
        return None if document is None else _decode(_without_none(kind), document)
    if typing.get_origin(kind) is tuple and isinstance(document, list):
        return tuple(_decode(typing.get_args(kind)[0], each) for each in document)
    if kind is datetime and isinstance(document, str):
        return datetime.fromisoformat(document)
    if isinstance(kind, type) and is_dataclass(kind) and isinstance(document, dict):
        hints = _hints(kind)
        return kind(**{name: _decode(hints[name], value) for name, value in document.items()})
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return kind(str(document))
    return _checked(kind, document)


def _without_none(kind: types.UnionType) -> object:
    (inner,) = (each for each in typing.get_args(kind) if each is not types.NoneType)
    return inner


def _checked(kind: object, document: Json) -> Json:
    number_for_float = kind is float and type(document) is int
    if kind is types.NoneType and document is None:
        return None
    if not number_for_float and type(document) is not kind:
        message = f"{type(document).__name__} is not {kind}"
        raise TypeError(message)
    return document


@cache
def _hints(kind: type) -> dict[str, object]:
    return typing.get_type_hints(kind)
