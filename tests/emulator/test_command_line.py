"""`python -m ecs_emulator`: what its options say of the world."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ecs_emulator import FailingStart
from ecs_emulator.__main__ import _parser, _world

if TYPE_CHECKING:
    from ecs_emulator import World


def world(*options: str) -> World:
    return _world(_parser().parse_args(options))


def test_failing_starts_are_taken_in_the_order_given() -> None:
    made = world("--failing-start", "after=1", "--failing-start", "kind=exits,exit_code=3")
    assert made.knobs.failing_starts == (
        FailingStart(after=1),
        FailingStart(kind="exits", exit_code=3),
    )


def test_without_any_no_start_fails() -> None:
    assert world().knobs.failing_starts == ()


def test_a_later_knob_prevails() -> None:
    assert world("--knob", "drain=5", "--knob", "drain=(1, 2)").knobs.drain == (1, 2)


@pytest.mark.parametrize(
    "option,said",
    [
        ("--failing-start=nonsense=1", "A failing start has no 'nonsense'."),
        ("--knob=nonsense=1", "There is no knob 'nonsense'."),
    ],
)
def test_an_unknown_name_is_refused_by_naming_it(
    capsys: pytest.CaptureFixture[str], option: str, said: str
) -> None:
    with pytest.raises(SystemExit):
        world(option)
    assert said in capsys.readouterr().err
