"""Tell a person at a terminal what goes on: the command, the log as it comes, answer and mail."""

from __future__ import annotations

import json
import re
import shlex
import textwrap
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, TextIO

from demo.palette import Colour, Palette

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from demo.checks import Verdict
    from demo.mail_server import ReceivedMail

WIDTH: Final = 100
INDENT: Final = "  "
SHOWN_HEADERS: Final = ("From", "To", "Subject")
LEVEL_COLOURS: Final[Mapping[str, Colour]] = {"WARNING": Colour.YELLOW, "ERROR": Colour.RED}
CLOCK_COLUMN: Final = len("01:02:03  +10 s  ")

# Every record carries these; a person needs them once or not at all.
UNTELLING_FACTS: Final = frozenset({"timestamp", "level", "message", "run_id", "stack_trace"})
_TASK_ARN: Final = re.compile(r"arn:[a-z-]+:ecs:[\w-]*:\d*:task/([\w-]+)/(\w{8})\w+")
# The payload fills a line of its own.
_OPTION: Final = re.compile(r" (?=--cli|--function|--payload|'|response)")


class Narrator:
    """Writes to a stream, each piece at once. Log lines may come from a thread of their own."""

    def __init__(self, stream: TextIO, palette: Palette) -> None:
        self._stream = stream
        self.palette = palette
        self._first_record_at: datetime | None = None

    def say(self, text: str, colour: Colour | None = None) -> None:
        """Write a paragraph, folded to the width."""
        self._write(*(self.palette.paint(line, colour) for line in fold(text)))

    def lines(self, lines: Sequence[str]) -> None:
        """Write lines as they are."""
        self._write(*lines)

    def heading(self, text: str) -> None:
        """Write the title of what follows."""
        self._write("", self.palette.paint(text, Colour.BOLD), "")

    def log_line(self, line: str) -> None:
        """Write one line of the function's log, for a person; Lambda's own lines are left out."""
        record = read_log_record(line)
        if record is None:
            return
        at = datetime.fromisoformat(record["timestamp"])
        self._first_record_at = self._first_record_at or at
        seconds = (at - self._first_record_at).total_seconds()
        clock = f"{at:%H:%M:%S} {f'+{seconds:.0f} s':>6}  "
        told = fold(told_record(record), CLOCK_COLUMN)
        colour = LEVEL_COLOURS.get(record["level"])
        first, *rest = told
        painted = [self.palette.paint(each, colour) for each in (first.lstrip(), *rest)]
        self._write(self.palette.paint(clock, Colour.DIM) + painted[0], *painted[1:])

    def answer(self, answer: Mapping[str, Any]) -> None:
        """Write the function's answer, without the stack trace that the log has, too."""
        told = {name: value for name, value in answer.items() if name != "stackTrace"}
        for line in shortened(pretty(told, WIDTH - len(INDENT))).splitlines():
            self._write(*fold(line.lstrip(), len(INDENT) + len(line) - len(line.lstrip())))

    def mail(self, mail: ReceivedMail) -> None:
        """Write a mail: the headers that tell something, and the text part."""
        headers = [f"{name}: {str(mail.message[name]).strip()}" for name in SHOWN_HEADERS]
        body = mail.part("plain").strip().splitlines()
        folded = [each for line in ("", *body) for each in fold(line, len(INDENT)) or [""]]
        self._write(*(INDENT + header for header in headers), *folded)

    def verdict(self, verdict: Verdict) -> None:
        """Write one claim, whether it holds, and what was seen."""
        colour = Colour.GREEN if verdict.holds else Colour.RED
        word = self.palette.paint("yes" if verdict.holds else "NO ", colour)
        told = fold(f"{verdict.claim}: {verdict.seen}", len("yes  ") + len(INDENT))
        self._write(f"{INDENT}{word}  {told[0].lstrip()}", *told[1:])

    def _write(self, *lines: str) -> None:
        self._stream.write("".join(f"{line.rstrip()}\n" for line in lines))
        self._stream.flush()


def read_log_record(line: str) -> Mapping[str, Any] | None:
    """Return the record of a line that the function has logged, None for any other line."""
    try:
        record = json.loads(line)
    except ValueError:
        return None
    is_ours = isinstance(record, dict) and {"timestamp", "level", "message"} <= record.keys()
    return record if is_ours else None


def told_record(record: Mapping[str, Any]) -> str:
    """Return a record's message with those of its facts that the message does not tell."""
    message = str(record["message"])
    facts = {
        name: shortened(_told(value))
        for name, value in record.items()
        if name not in UNTELLING_FACTS and not _is_told(value, message)
    }
    told = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in facts.items())
    return shortened(message) + (f"  ({told})" if told else "")


def _told(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name.replace('_', ' ')} {each}" for name, each in value.items())
    return str(value)


def _is_told(value: object, message: str) -> bool:
    return value in (None, "", [], {}) or str(value) in message


def shortened(text: str) -> str:
    """Cut the ARNs of tasks down to what tells one from the other."""
    return _TASK_ARN.sub(r"…task/\1/\2…", text)


def told_command(command: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """Return a command as lines that a shell would take, the program by its bare name."""
    program, *arguments = command
    variables = [f"{name}={shlex.quote(value)}" for name, value in environment.items()]
    whole = " ".join([*variables, program.rpartition("/")[2], shlex.join(arguments)])
    first, *rest = _OPTION.split(whole)
    lines = [f"$ {first}", *(f"    {part}" for part in rest)]
    return [f"{line} \\" for line in lines[:-1]] + lines[-1:]


def fold(text: str, indent_width: int = 0) -> list[str]:
    """Return the text in lines of the width, each after so many spaces; never cuts a word."""
    margin = " " * indent_width
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=margin,
        subsequent_indent=margin,
        break_long_words=False,
        break_on_hyphens=False,
    )


def pretty(value: object, width: int, *, margin: str = "") -> str:
    """Return a value as JSON whose short objects and lists stay on one line."""
    one_line = json.dumps(value, ensure_ascii=False)
    if len(margin) + len(shortened(one_line)) <= width or not isinstance(value, dict | list):
        return one_line
    inner = margin + INDENT
    if isinstance(value, dict):
        rows = [
            f"{inner}{json.dumps(name)}: {pretty(each, width, margin=inner)}"
            for name, each in value.items()
        ]
        return "{\n" + ",\n".join(rows) + f"\n{margin}}}"
    rows = [inner + pretty(each, width, margin=inner) for each in value]
    return "[\n" + ",\n".join(rows) + f"\n{margin}]"
