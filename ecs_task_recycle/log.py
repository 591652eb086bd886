"""Writes log records as JSON, one a line, with their facts as fields.

https://docs.aws.amazon.com/lambda/latest/dg/python-logging.html
"""

from __future__ import annotations

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import Final

from ecs_task_recycle.version import VERSION

FRAME: Final = "_frame_type"
"""The attribute of a record by which Lambda's runtime learns that its line is JSON, whoever has
formatted it: https://github.com/aws/aws-lambda-python-runtime-interface-client (bootstrap.py)."""
_JSON_FRAMES: Final = {
    logging.NOTSET: 0xA55A0002,
    logging.DEBUG: 0xA55A000A,
    logging.INFO: 0xA55A000E,
    logging.WARNING: 0xA55A0012,
    logging.ERROR: 0xA55A0016,
    logging.CRITICAL: 0xA55A001A,
}

_FROM_THE_RUNTIME: Final = ("aws_request_id", "tenant_id", FRAME)
_STANDARD: Final = frozenset(
    (*vars(logging.makeLogRecord({})), "message", "asctime", *_FROM_THE_RUNTIME)
)
# botocore logs errors by itself, with what AWS answered. When a signature is wrong, AWS repeats the
# request as it would have signed it, token included.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/signature-v4-troubleshooting.html
_TOKEN: Final = re.compile(r"(x-amz-security-token[\s'\":=]{1,6}(?:b')?)[\w+/=%.-]+", re.IGNORECASE)


def _json_frame(level: int) -> bytes:
    """Return how Lambda's runtime marks a line of JSON of this level."""
    tens = min(logging.CRITICAL, max(logging.NOTSET, level)) // 10 * 10
    return _JSON_FRAMES[tens].to_bytes(4, "big")


def _without_token(text: str) -> str:
    return _TOKEN.sub(r"\1***", text)


class JsonFormatter(logging.Formatter):
    """Makes one JSON object of a record: timestamp, level, message and its extra facts."""

    def __init__(self, **always: str) -> None:
        """Take the facts that every record carries, such as the run's id."""
        super().__init__()
        self._always = always

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line of JSON, its end included: Lambda's handler adds none.

        The record is marked as JSON for that handler: of a line that it takes for text, CloudWatch
        is not promised to make metrics.
        """
        vars(record)[FRAME] = _json_frame(record.levelno)
        facts = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        document = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "message": _without_token(record.getMessage()),
            **self._always,
            **facts,
        }
        if record.exc_info and record.exc_info[0] is not None:
            document["stack_trace"] = _without_token(self.formatException(record.exc_info))
        text = json.dumps(document, default=str, ensure_ascii=False)
        # Half a surrogate pair, which JSON can hold and UTF-8 cannot, stays as JSON escapes it.
        return text.encode(errors="backslashreplace").decode() + "\n"


def configure_logging(**always: str) -> None:
    """Send the product's records, as JSON, to Lambda's handler, or to stderr without one.

    Each carries these facts, and the product's version.
    """
    root = logging.getLogger()
    if not root.handlers:
        stderr = logging.StreamHandler(sys.stderr)
        stderr.terminator = ""
        root.addHandler(stderr)
    for handler in root.handlers:
        handler.setFormatter(JsonFormatter(version=VERSION, **always))
    for name in ("ecs_task_recycle", "Notification", "lambda_function"):
        logging.getLogger(name).setLevel(logging.INFO)
    # Whatever the function's log level: at DEBUG they log what they send and receive, with session
    # tokens and the mail server's password.
    for name in ("botocore", "boto3", "urllib3"):
        logging.getLogger(name).setLevel(max(root.level, logging.INFO))
