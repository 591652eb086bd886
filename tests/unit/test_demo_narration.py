"""What a person reads: short lines instead of raw JSON, and nothing telling left out."""

from __future__ import annotations

import io
import json
import shlex
from email.message import EmailMessage

import pytest

from demo.checks import Verdict
from demo.mail_server import ReceivedMail
from demo.narration import Narrator, fold, pretty, read_log_record, shortened, told_command
from demo.palette import Colour, Palette

ARN = "arn:aws:ecs:us-east-1:123456789012:task/demo/0123456789abcdef0123456789abcdef"


def record(**changes: object) -> str:
    facts = {
        "timestamp": "2026-01-31T02:00:05+00:00",
        "level": "INFO",
        "message": "Well",
        "run_id": "r",
    }
    return json.dumps(facts | changes)


def told(*lines: str, is_coloured: bool = False) -> list[str]:
    stream = io.StringIO()
    narrator = Narrator(stream, Palette(is_on=is_coloured))
    for line in lines:
        narrator.log_line(line)
    return stream.getvalue().splitlines()


def test_a_log_line_is_told_with_the_clock_and_the_seconds_since_the_first() -> None:
    later = record(timestamp="2026-01-31T02:00:17.6+00:00", message="Done")
    assert told(record(), later) == ["02:00:05   +0 s  Well", "02:00:17  +13 s  Done"]


def test_facts_that_the_message_does_not_tell_are_added() -> None:
    line = record(message="Task 1 recycled", number=1, replacement=ARN, none=None, empty=[])
    assert told(line) == ["02:00:05   +0 s  Task 1 recycled  (replacement …task/demo/01234567…)"]


def test_what_lambda_says_itself_is_left_out() -> None:
    lines = ["START RequestId: 1 Version: $LATEST", "", "[]", "17", '{"level": "INFO"}']
    assert told(*lines) == []
    assert [read_log_record(line) for line in lines] == [None] * 5


def test_warnings_and_errors_stand_out_on_a_terminal() -> None:
    (line,) = told(record(level="ERROR"), is_coloured=True)
    assert line.endswith(f"\033[{Colour.RED}mWell\033[0m")


def test_long_lines_are_folded_under_the_message() -> None:
    first, second = told(record(message="word " * 18 + "end"))
    assert len(first) <= 100
    assert second == " " * 17 + "word word end"


def test_a_word_is_never_cut() -> None:
    assert fold("x" * 120, 2) == ["  " + "x" * 120]


def test_a_tasks_arn_is_cut_to_what_tells_it_from_others_and_nothing_else_is() -> None:
    other = "arn:aws:ecs:us-east-1:123456789012:service/demo/web"
    assert shortened(f"{ARN} of {other}") == f"…task/demo/01234567… of {other}"


def test_the_command_is_shown_as_a_shell_would_take_it() -> None:
    options = ["--function-name", "function", "--payload", '{"a":"b c"}', "response.json"]
    command = ["/x/bin/aws", "lambda", "invoke", *options]
    lines = told_command(command, {"AWS_MAX_ATTEMPTS": "1"})
    assert lines[0] == "$ AWS_MAX_ATTEMPTS=1 aws lambda invoke \\"
    assert lines[-2:] == ['    \'{"a":"b c"}\' \\', "    response.json"]
    shell = "".join(line.removesuffix("\\") for line in lines)
    assert shlex.split(shell)[2:] == ["aws", *command[1:]]


def test_json_stays_on_one_line_where_it_fits() -> None:
    value = {"a": {"b": 1}, "c": ["x" * 10, "y" * 10], "d": []}
    text = pretty(value, 20)
    assert json.loads(text) == value
    assert text.splitlines() == [
        "{",
        '  "a": {"b": 1},',
        '  "c": [',
        '    "xxxxxxxxxx",',
        '    "yyyyyyyyyy"',
        "  ],",
        '  "d": []',
        "}",
    ]


def test_an_answer_is_told_without_its_stack_trace() -> None:
    stream = io.StringIO()
    Narrator(stream, Palette()).answer({"errorType": "E", "stackTrace": ["secret place"]})
    assert stream.getvalue() == '  {"errorType": "E"}\n'


def test_a_mail_is_told_by_its_headers_and_its_text() -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "a@example.com", "b@example.com", "Hello"
    message.set_content("First\n\nSecond\n")
    message.add_alternative("<b>Second</b>", subtype="html")
    mail = ReceivedMail(
        sender="", recipients=(), message=message, source=b"", over_tls=True, username=None
    )
    stream = io.StringIO()
    Narrator(stream, Palette()).mail(mail)
    assert stream.getvalue().splitlines() == [
        "  From: a@example.com",
        "  To: b@example.com",
        "  Subject: Hello",
        "",
        "  First",
        "",
        "  Second",
    ]


@pytest.mark.parametrize("holds,word", [(True, "yes"), (False, "NO ")])
def test_a_verdict_is_a_line_with_the_claim_and_what_was_seen(*, holds: bool, word: str) -> None:
    stream = io.StringIO()
    Narrator(stream, Palette()).verdict(Verdict(claim="it works", holds=holds, seen="1 of 1"))
    assert stream.getvalue() == f"  {word}  it works: 1 of 1\n"
