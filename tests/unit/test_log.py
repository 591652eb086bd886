"""What Lambda's runtime makes of a line of the log: a frame of JSON, with nothing of its own."""

from __future__ import annotations

import io
import json
import logging
from typing import TYPE_CHECKING

import pytest

from ecs_task_recycle.log import JsonFormatter

if TYPE_CHECKING:
    from collections.abc import Iterator

# Lambda's runtime client exists for Linux alone.
bootstrap = pytest.importorskip("awslambdaric.bootstrap")
JSON_FRAMES = pytest.importorskip("awslambdaric.lambda_runtime_log_utils")._JSON_FRAME_TYPES

HEAD_BYTES = 16
"""Of a frame: four bytes each for its type and length, eight for the time."""


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.BytesIO]:
    """What the runtime's own handler writes to Lambda for the logger "framed"."""
    sink = bootstrap.FramedTelemetryLogSink("0")
    file = sink.file = io.BytesIO()
    handler = bootstrap.LambdaLoggerHandlerWithFrameType(sink)
    handler.addFilter(bootstrap.LambdaLoggerFilter())
    handler.setFormatter(JsonFormatter(run_id="request-1"))
    monkeypatch.setattr(bootstrap, "_GLOBAL_TENANT_ID", "tenant-1")
    logger = logging.getLogger("framed")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield file
    logger.removeHandler(handler)


@pytest.mark.parametrize("level", JSON_FRAMES)
def test_a_line_goes_to_lambda_in_the_frame_of_json_of_its_level(
    written: io.BytesIO, level: int
) -> None:
    """CloudWatch is promised to make metrics of that: of text that looks like JSON it is not."""
    logging.getLogger("framed").handle(
        logging.makeLogRecord({"levelno": level, "levelname": "LEVEL", "msg": "Said"})
    )

    frame = written.getvalue()
    assert frame[:4] == JSON_FRAMES[level]


def test_what_the_runtime_puts_into_a_record_stands_in_no_line(written: io.BytesIO) -> None:
    logging.getLogger("framed").info("Said", extra={"fact": 1})

    line = json.loads(written.getvalue()[HEAD_BYTES:])
    assert set(line) == {"timestamp", "level", "message", "run_id", "fact"}
