"""Each log record names the version of the product."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

from ecs_task_recycle.log import configure_logging
from ecs_task_recycle.version import VERSION

if TYPE_CHECKING:
    import pytest


def test_every_log_record_names_the_version(monkeypatch: pytest.MonkeyPatch) -> None:
    handler = logging.NullHandler()
    monkeypatch.setattr(logging.getLogger(), "handlers", [handler])
    configure_logging(run_id="run-1")
    info = {"msg": "Starting", "levelno": logging.INFO, "levelname": "INFO"}
    record = json.loads(handler.format(logging.makeLogRecord(info)))
    assert (record["run_id"], record["version"]) == ("run-1", VERSION)
    assert VERSION
