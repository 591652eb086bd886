"""What a run remembers, packed and unpacked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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


def test_what_unpacks_to_too_much_is_not_read() -> None:
    assert unpacked(packed("x" * (MEMORY_LIMIT_BYTES // 2))) == "x" * (MEMORY_LIMIT_BYTES // 2)
    with pytest.raises(ValueError, match="too large"):
        unpacked(packed("x" * MEMORY_LIMIT_BYTES))
