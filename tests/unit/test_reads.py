"""Reads that may be stale: when what differs is believed."""

from __future__ import annotations

from ecs_task_recycle.watch.reads import APART_SECONDS, DOUBT_SECONDS, Doubt

NOW = 1000.0
LATER = NOW + DOUBT_SECONDS


def test_what_differs_is_believed_once_no_read_can_be_older_than_the_write() -> None:
    doubt = Doubt(written=NOW)
    doubt.saw(NOW + 1, differs=True)
    doubt.saw(LATER - 0.1, differs=True)
    assert not doubt.is_over()
    assert doubt.seconds_left(LATER - 2.0) == 2.0
    doubt.saw(LATER, differs=True)
    assert doubt.is_over()
    doubt.wrote(LATER)
    doubt.saw(LATER + 1, differs=True)
    assert not doubt.is_over()


def test_long_after_a_write_two_reads_some_seconds_apart_are_believed_and_one_is_not() -> None:
    doubt = Doubt(written=NOW)
    doubt.saw(LATER, differs=True)
    doubt.saw(LATER, differs=True)
    assert not doubt.is_over()
    assert doubt.seconds_left(LATER + 1) == APART_SECONDS - 1
    doubt.saw(LATER + APART_SECONDS, differs=True)
    assert doubt.is_over()


def test_without_a_known_write_what_differs_is_doubted_from_the_first_read_on() -> None:
    doubt = Doubt()
    doubt.saw(NOW, differs=True)
    doubt.saw(LATER - 0.1, differs=True)
    assert not doubt.is_over()
    doubt.saw(LATER, differs=True)
    assert doubt.is_over()


def test_a_read_of_what_was_written_begins_the_doubt_anew() -> None:
    doubt = Doubt()
    doubt.saw(NOW, differs=True)
    doubt.saw(NOW + 5, differs=False)
    doubt.saw(NOW + 10, differs=True)
    doubt.saw(LATER, differs=True)
    assert not doubt.is_over()
    doubt.saw(LATER + 10, differs=True)
    assert doubt.is_over()
