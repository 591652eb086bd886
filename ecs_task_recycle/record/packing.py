"""Documents in few bytes: what a run remembers has to fit into one DynamoDB item."""

from __future__ import annotations

import json
import re
import zlib
from typing import Any, Final

from ecs_task_recycle.codec import Json

MEMORY_LIMIT_BYTES: Final = 8 * 2**20
"""What a record's memory may unpack to: a service of 5,000 tasks takes a quarter of it."""

_COLUMNS: Final = "@columns"
_ARN: Final = re.compile(r'"(arn:[^"\\]+)"')
_REFERENCE: Final = re.compile(r'"@([0-9]{1,6})"')


def packed(document: Json) -> bytes:
    """Return a document in few bytes: each ARN and each key stands in it once.

    An item may have 400 KB, and a service 5,000 tasks.
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
    """
    arns: dict[str, int] = {}
    text = _ARN.sub(
        lambda found: f'"@{arns.setdefault(found[1], len(arns))}"', json.dumps(_columns(document))
    )
    return zlib.compress(json.dumps([list(arns), text]).encode())


def unpacked(value: object) -> Json:
    """Return the document of packed bytes. Raises ValueError and others for what is none."""
    if not isinstance(value, bytes):
        raise TypeError("its memory is not binary")
    unpacking = zlib.decompressobj()
    content = unpacking.decompress(value, MEMORY_LIMIT_BYTES)
    if unpacking.unconsumed_tail:
        raise ValueError("its memory is too large")
    arns, text = json.loads(content)
    return _rows(json.loads(_REFERENCE.sub(lambda found: f'"{arns[int(found[1])]}"', text)))


def _columns(document: Json) -> Json:
    """Return a document with each list of like objects as one object of lists."""
    if isinstance(document, dict):
        return {key: _columns(each) for key, each in document.items()}
    if not isinstance(document, list):
        return document
    rows = [each for each in document if isinstance(each, dict) and each]
    if len(rows) < len(document) or not _are_alike(rows):
        return [_columns(each) for each in document]
    return {_COLUMNS: {key: [_columns(row[key]) for row in rows] for key in rows[0]}}


def _are_alike(rows: list[dict[str, Json]]) -> bool:
    return len(rows) > 1 and all(row.keys() == rows[0].keys() for row in rows)


def _rows(document: Json) -> Json:
    """Return what ``_columns`` was given. Raises ValueError and others for what is none."""
    if isinstance(document, list):
        return [_rows(each) for each in document]
    if not isinstance(document, dict):
        return document
    columns = document.get(_COLUMNS)
    if not isinstance(columns, dict):
        return {key: _rows(each) for key, each in document.items()}
    lists: list[Any] = [_rows(each) for each in columns.values()]
    return [dict(zip(columns, row, strict=True)) for row in zip(*lists, strict=True)]
