"""Each log record and each answer names the version of the product."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Final

import pytest

from ecs_task_recycle.log import configure_logging
from ecs_task_recycle.outcome import Status
from ecs_task_recycle.report.answer import Answer
from ecs_task_recycle.report.sweep_answer import SweepAnswer, SweepStatus
from ecs_task_recycle.version import VERSION

NOW: Final = datetime(2026, 1, 5, 9, tzinfo=UTC)


def test_every_log_record_names_the_version(monkeypatch: pytest.MonkeyPatch) -> None:
    handler = logging.NullHandler()
    monkeypatch.setattr(logging.getLogger(), "handlers", [handler])
    configure_logging(run_id="run-1")
    info = {"msg": "Starting", "levelno": logging.INFO, "levelname": "INFO"}
    record = json.loads(handler.format(logging.makeLogRecord(info)))
    assert (record["run_id"], record["version"]) == ("run-1", VERSION)
    assert VERSION


@pytest.mark.parametrize("status", Status)
def test_every_answer_names_the_version(status: Status) -> None:
    assert Answer(status=status, run_id="run-1", timestamp=NOW).as_json()["version"] == VERSION


@pytest.mark.parametrize("status", SweepStatus)
def test_every_answer_of_a_sweep_names_the_version(status: SweepStatus) -> None:
    assert SweepAnswer(sweep="one", status=status, timestamp=NOW).as_json()["version"] == VERSION
