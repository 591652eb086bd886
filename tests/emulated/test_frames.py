"""How deep a call lies: whoever reads a traceback at night reads every frame of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.frames import measure

if TYPE_CHECKING:
    from tests.frames import Ways

pytestmark = pytest.mark.slow

FRAMES: Final = 10
FRAMES_TO_STOP: Final = 8
CALLED: Final = 15
"""Operations of the gateway, the table and the guardian, at least; EC2's instances left out."""


@pytest.fixture(scope="module")
def ways() -> Ways:
    """The longest way to each AWS call, of runs of several kinds and their guardians."""
    return measure()


def test_every_operation_was_called(ways: Ways) -> None:
    assert len({each.partition(",")[0] for each in ways}) >= CALLED


def test_at_most_eight_frames_lie_between_the_handler_and_a_stop(ways: Ways) -> None:
    assert len(ways["StopTask"]) <= FRAMES_TO_STOP, ways["StopTask"]


def test_at_most_ten_frames_lie_between_the_handler_and_any_call(ways: Ways) -> None:
    deep = {name: way for name, way in ways.items() if len(way) > FRAMES}
    assert deep == {}
