"""A document of another form is refused without being quoted: it may be long, or anything."""

from __future__ import annotations

import pytest

from ecs_task_recycle.codec import Json, decode
from ecs_task_recycle.model import InServicePoint


def nested(depth: int) -> Json:
    document: Json = []
    for _ in range(depth):
        document = [document]
    return document


@pytest.mark.parametrize(
    "count",
    ["x" * 1_000_000, None, nested(50_000), True, 1.5, {"a": 1}],
    ids=["long", "nothing", "deep", "a bool", "half", "an object"],
)
def test_a_value_of_another_type_is_refused_in_a_short_sentence(count: Json) -> None:
    with pytest.raises(TypeError) as caught:
        decode(InServicePoint, {"seconds": 1.0, "count": count})

    assert len(str(caught.value)) < 200


def test_a_field_that_is_missing_or_unknown_is_refused() -> None:
    with pytest.raises(TypeError):
        decode(InServicePoint, {"seconds": 1.0})
    with pytest.raises((TypeError, KeyError)):
        decode(InServicePoint, {"seconds": 1.0, "count": 1, "more": 1})
