"""A sweep ends well whatever dies, at whichever call.

RECYCLE_SWEEP_EVERY=1 kills at every call; the usual tests take a sample.
"""

from __future__ import annotations

import os
import random
from functools import partial
from typing import TYPE_CHECKING, Final

import pytest

from ecs_task_recycle.report.sweep_answer import SweepStatus
from tests.emulated.attacked import attacked

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.emulated.bench import Bench
    from tests.emulated.swept import Swept

EVERY: Final = int(os.environ.get("RECYCLE_SWEEP_EVERY", "30"))
PAIRS: Final = 480 // EVERY


def kill_at(number: int, after_effect: bool, swept: Swept) -> None:  # noqa: FBT001
    """Kill whoever makes the call of this number after the sweep has begun."""
    swept.world.kill_at_call(number, after_effect=after_effect)


def kill_twice(first: int, between: int, after_effect: bool, swept: Swept) -> None:  # noqa: FBT001
    """Kill whoever makes this call, and another one so many calls later."""
    kill_at(first, after_effect, swept)
    swept.on_revival = [
        lambda: kill_at(len(swept.world.calls) + between, not after_effect, swept),
    ]


def calls(bench: Bench) -> range:
    """Return the numbers of the calls that a sweep makes to which nothing happens."""
    began: list[int] = []
    swept, wrong = attacked(bench, lambda swept: began.append(len(swept.world.calls)))
    assert wrong == []
    assert swept.answer.status is SweepStatus.COMPLETED
    return range(began[0] + 1, len(swept.world.calls))


@pytest.mark.parametrize("after_effect", [False, True], ids=["before", "after"])
def test_a_death_at_any_call_costs_nothing_but_time(
    bench: Bench,
    after_effect: bool,  # noqa: FBT001
    measured: Callable[[str], None],
) -> None:
    numbers = calls(bench)[::EVERY]
    failed = {}
    for number in numbers:
        swept, wrong = attacked(bench, partial(kill_at, number, after_effect))
        if swept.answers["s"][-1].status is not SweepStatus.COMPLETED:
            wrong.append(str(swept.answers["s"][-1]))
        if wrong:
            failed[number] = wrong
    word = "after" if after_effect else "before"
    count = len(numbers)
    measured(f"sweep killed {word} the effect of a call: {count - len(failed)} of {count}")
    assert failed == {}


def test_two_deaths_at_any_calls_cost_nothing_but_time(
    bench: Bench, seed: int, measured: Callable[[str], None]
) -> None:
    numbers, dice = calls(bench), random.Random(seed)
    failed = {}
    for _ in range(PAIRS):
        pair = (dice.choice(numbers), dice.randrange(1, len(numbers)), dice.random() < 0.5)
        swept, wrong = attacked(bench, partial(kill_twice, *pair))
        if swept.answers["s"][-1].status is not SweepStatus.COMPLETED:
            wrong.append(str(swept.answers["s"][-1]))
        if wrong:
            failed[pair] = wrong
    measured(f"sweep killed twice: {PAIRS - len(failed)} of {PAIRS}")
    assert failed == {}
