"""What a run remembers, packed and unpacked."""

from __future__ import annotations

import lzma
import tracemalloc
import zlib
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecs_task_recycle.record.packing import MEMORY_LIMIT_BYTES, packed, unpacked

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy


def documents() -> SearchStrategy[Any]:
    keys = st.sampled_from(["task_arn", "count", "note"])
    leaves = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
    arns = st.sampled_from([f"arn:aws:ecs:eu-west-1:1:task/shop/{name}" for name in "abc"])
    return st.recursive(
        leaves | arns,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=3),
        max_leaves=20,
    )


@given(documents())
def test_a_document_is_read_back_as_it_was_packed(document: Any) -> None:  # noqa: ANN401 - JSON
    assert unpacked(packed(document)) == document


def test_a_document_of_half_the_limit_is_read() -> None:
    document = "x" * (MEMORY_LIMIT_BYTES // 2)

    assert unpacked(packed(document)) == document


def a_bomb(megabytes: int) -> bytes:
    """Return few bytes that unpack to many."""
    packing = lzma.LZMACompressor()
    return b"".join([*(packing.compress(b" " * 2**20) for _ in range(megabytes)), packing.flush()])


BROKEN: Final[dict[str, tuple[object, str]]] = {
    "more than the limit": (packed("x" * MEMORY_LIMIT_BYTES), "too large"),
    "truncated": (packed(list(range(1000)))[:-20], "too large, or cut off"),
    "empty": (b"", "too large, or cut off"),
    "trailing bytes": (packed({"plan": 1}) + b"\0", "bytes after its end"),
    "two documents": (packed(1) + packed(2), "bytes after its end"),
    "of another kind": (zlib.compress(b"a document of the version before"), "cannot be unpacked"),
    "a dictionary of 64 MB": (lzma.compress(b"{}", preset=9), "cannot be unpacked"),
    "no JSON": (lzma.compress(b"{"), "Expecting property name"),
    "no text": (lzma.compress(b"\xff\xfe\xfd"), "codec can't decode"),
    "deeply nested": (lzma.compress(b"[" * 1_000_000, preset=1), "nested too deeply"),
    "text": ("plan", "not binary"),
    "nothing": (None, "not binary"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_holds_no_document_is_refused_in_a_sentence(name: str) -> None:
    value, sentence = BROKEN[name]

    with pytest.raises(ValueError, match=sentence):
        unpacked(value)


def test_a_bomb_is_refused_before_it_takes_memory() -> None:
    bomb = a_bomb(256)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="too large"):
            unpacked(bomb)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert len(bomb) < 100_000
    assert peak_bytes < 4 * MEMORY_LIMIT_BYTES
