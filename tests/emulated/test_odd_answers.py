"""An answer of AWS that lacks what it must have: read again, not believed at once."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from ecs_emulator import World
from ecs_task_recycle.outcome import Status
from tests.emulated.bench import a_service, autoscaled, capacity, is_free

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.emulated.bench import Bench


@contextmanager
def changed_answers(
    bench: Bench, event: str, change: Callable[[dict[str, Any]], object], *, which: range
) -> Iterator[None]:
    """Let botocore hand over another answer than the one that came, those of these numbers."""
    client = "elbv2" if "load-balancing" in event else "dynamodb"
    events, seen = bench.session.client(client).meta.events, iter(range(10_000))

    def answered(parsed: dict[str, Any], **_: object) -> None:
        if next(seen) in which and "Error" not in parsed:
            change(parsed)

    events.register(event, answered)
    try:
        yield
    finally:
        events.unregister(event, answered)


@pytest.mark.parametrize("which", [range(10_000), range(1, 2), range(3, 4)], ids=str)
def test_a_write_whose_answer_lacks_the_item_is_read_back(bench: Bench, which: range) -> None:
    world = World()
    a_service(world)
    autoscaled(world, 1, 5)

    event = "after-call.dynamodb.UpdateItem"
    with changed_answers(bench, event, lambda parsed: parsed.pop("Attributes", 0), which=which):
        report = bench.recycle(world, wait_time=0)

    assert report.status is Status.COMPLETED
    assert capacity(world) == (3, 1, 5)
    assert is_free(world)


@pytest.mark.parametrize("first", [0, 1, 5, 9])
def test_a_single_answer_without_targets_ends_no_run(bench: Bench, first: int) -> None:
    world = World()
    a_service(world)

    event = "after-call.elastic-load-balancing-v2.DescribeTargetHealth"
    with changed_answers(
        bench,
        event,
        lambda parsed: parsed["TargetHealthDescriptions"].clear(),
        which=range(first, first + 1),
    ):
        report = bench.recycle(world, wait_time=0)

    assert report.status is Status.COMPLETED
    assert report.answer().remarks is None
    assert world.lowest_in_service() == 3
