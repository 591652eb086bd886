"""Reads that may be stale: when what differs is believed."""

from __future__ import annotations

from ecs_task_recycle.watch.reads import CONSISTENCY_SECONDS, Doubt

NOW = 1000.0
LATER = NOW + CONSISTENCY_SECONDS


def test_what_differs_is_believed_once_no_read_can_be_older_than_the_write() -> None:
    doubt = Doubt(written=NOW)
    assert not doubt.is_over(LATER - 0.1)
    assert doubt.seconds_left(LATER - 2.0) == 2.0
    assert doubt.is_over(LATER)
    doubt.wrote(LATER)
    assert not doubt.is_over(LATER + 1)


def test_without_a_known_write_what_differs_is_doubted_from_the_first_read_on() -> None:
    doubt = Doubt()
    doubt.saw(NOW, differs=True)
    doubt.saw(NOW + 5, differs=True)
    assert not doubt.is_over(LATER - 0.1)
    assert doubt.is_over(LATER)


def test_a_read_of_what_was_written_begins_the_doubt_anew() -> None:
    doubt = Doubt()
    doubt.saw(NOW, differs=True)
    doubt.saw(NOW + 5, differs=False)
    assert not doubt.is_over(LATER)
    doubt.saw(NOW + 10, differs=True)
    assert not doubt.is_over(LATER)
    assert doubt.is_over(LATER + 10)
