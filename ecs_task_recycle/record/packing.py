"""Documents in few bytes: what a run remembers has to fit into one DynamoDB item."""

from __future__ import annotations

import json
import lzma
from typing import Final

from ecs_task_recycle.codec import Json

MEMORY_LIMIT_BYTES: Final = 8 * 2**20
"""What a record's memory may unpack to: that of a service of 5,000 tasks takes half of it."""

# Preset 4 alone takes twice the time for 5,000 tasks. The dictionary of 4 MB holds a whole record,
# as the name of each task stands in several places that lie far from each other.
_FILTERS: Final[list[dict[str, int]]] = [
    {
        "id": lzma.FILTER_LZMA2,
        "preset": 4,
        "mf": lzma.MF_HC4,
        "nice_len": 32,
        "depth": 4,
        "lc": 4,
        "pb": 0,
    }
]
# For the dictionary of 4 MB and some room; the output is bounded by itself.
_UNPACKING_LIMIT_BYTES: Final = 16 * 2**20


def packed(document: Json) -> bytes:
    """Return a document in few bytes.

    An item may have 400 KB, and a service 5,000 tasks.
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
    """
    return lzma.compress(json.dumps(document, separators=(",", ":")).encode(), filters=_FILTERS)


def unpacked(value: object) -> Json:
    """Return the document of packed bytes. Raises ValueError for bytes that hold no document.

    Never takes more memory than the two limits, whatever the bytes claim.
    """
    if not isinstance(value, bytes):
        raise ValueError("its memory is not binary")  # noqa: TRY004 - input, not our mistake
    unpacking = lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=_UNPACKING_LIMIT_BYTES)
    try:
        content = unpacking.decompress(value, MEMORY_LIMIT_BYTES)
    except lzma.LZMAError as problem:
        raise ValueError(f"its memory cannot be unpacked: {problem}") from problem
    if not unpacking.eof:
        raise ValueError("its memory is too large, or cut off")
    if unpacking.unused_data:
        raise ValueError("its memory has bytes after its end")
    try:
        document: Json = json.loads(content)
    except RecursionError:
        raise ValueError("its memory is nested too deeply") from None
    return document
