"""Documents in few bytes: what a run remembers has to fit into one DynamoDB item."""

from __future__ import annotations

import json
import re
import zlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ecs_task_recycle.codec import Json

MEMORY_LIMIT_BYTES: Final = 8 * 2**20
"""What a record's memory may unpack to: a service of 5,000 tasks takes a quarter of it."""

_ARN: Final = re.compile(r'"(arn:[^"\\]+)"')
_REFERENCE: Final = re.compile(r'"@([0-9]{1,6})"')


def packed(document: Json) -> bytes:
    """Return a document in few bytes: each ARN stands in it once, and a reference elsewhere.

    An item may have 400 KB, and a service 5,000 tasks.
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
    """
    arns: dict[str, int] = {}
    text = _ARN.sub(
        lambda found: f'"@{arns.setdefault(found[1], len(arns))}"', json.dumps(document)
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
    whole: Json = json.loads(_REFERENCE.sub(lambda found: f'"{arns[int(found[1])]}"', text))
    return whole
