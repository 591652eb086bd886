"""What stands in the mail: the outcome first, the same facts twice, and nobody's own headers."""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from email import message_from_bytes, policy
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecs_task_recycle.configuration import Mail
from ecs_task_recycle.smtp import NotSentError
from Notification import SHOWN_ROWS_COUNT, compose, send_notification

if TYPE_CHECKING:
    from email.message import EmailMessage

    from hypothesis.strategies import SearchStrategy

MAIL: Final = Mail(
    host="smtp.example.com",
    port=587,
    from_email="noreply@example.com",
    to=("admin@example.com",),
    email_subject="ECS Service Task Recycle Completed",
    subject_prefix="AWS ECS",
)
TASK: Final = "arn:aws:ecs:eu-west-1:123456789012:task/shop/"
STATUSES: Final = ("completed", "partial", "failed", "nothing_to_do", "restored", "continued")
COMPLETED: Final[dict[str, object]] = {
    "cluster": "shop",
    "service": "web",
    "status": "completed",
    "reason": None,
    "run_id": "run-1",
    "tasks_recycled": 2,
    "tasks": [
        {
            "task": f"{TASK}old1",
            "replacement": f"{TASK}new1",
            "started_at": "2026-11-20T08:00:00+00:00",
            "seconds_to_replace": 41.26,
            "note": None,
        },
        {
            "task": f"{TASK}old2",
            "replacement": None,
            "started_at": "2026-11-20T09:00:00+00:00",
            "seconds_to_replace": None,
            "note": "went away by itself",
        },
    ],
    "skipped": [],
    "remaining": [],
    "original_desired_count": 3,
    "lowest_in_service": 3,
    "capacity": {
        "found": {"desired_count": 3, "min_capacity": 2, "max_capacity": 6},
        "now": {"desired_count": 3, "min_capacity": 2, "max_capacity": 7},
        "left_alone": ["The maximum is 7 now: somebody changed it."],
    },
    "started_before": "2026-11-22T02:00:00+00:00",
    "duration_seconds": 754.4,
    "timestamp": "2026-11-22T02:12:34+00:00",
}
PARTIAL: Final = COMPLETED | {
    "status": "partial",
    "reason": "Time ran short.",
    "skipped": [
        {"task": f"{TASK}busy", "reason": "protected", "until": "2026-11-22T05:00:00+00:00"}
    ],
    "remaining": [f"{TASK}busy", f"{TASK}last"],
}
FAILED: Final = COMPLETED | {
    "status": "failed",
    "error": "ReplacementError",
    "reason": "The replacement stopped: exit code 1.",
    "remedy": "Look at its log:\naws logs tail /ecs/web",
}


class _Words(HTMLParser):
    """The text of a page, one line an element, as somebody reads it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert all(not name.startswith("on") for name, _ in attrs)
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def sent_and_read(mail: Mail, summary: dict[str, object]) -> EmailMessage:
    """Return a mail as its reader's program has it: through bytes and back."""
    read = message_from_bytes(compose(mail, summary).as_bytes(), policy=policy.default)
    assert read.defects == []
    return read


def subject(summary: dict[str, object], mail: Mail = MAIL) -> str:
    # Python may fold right after the colon; every mail program drops that space.
    return str(sent_and_read(mail, summary)["Subject"]).lstrip(" ")


def part(summary: dict[str, object], subtype: str) -> str:
    body = sent_and_read(MAIL, summary).get_body((subtype,))
    assert body is not None
    return str(body.get_content()).replace("\r\n", "\n")


def text(summary: dict[str, object]) -> str:
    return part(summary, "plain")


def words_of_html(summary: dict[str, object]) -> str:
    return " ".join(_Words(part(summary, "html")).words)


@pytest.mark.parametrize(
    "status, expected",
    [
        ("completed", "[AWS ECS] ECS Service Task Recycle Completed: shop/web"),
        ("partial", "[AWS ECS] PARTIAL: shop/web - ECS Service Task Recycle"),
        ("failed", "[AWS ECS] FAILED: shop/web - ECS Service Task Recycle"),
        ("nothing_to_do", "[AWS ECS] NOTHING TO DO: shop/web - ECS Service Task Recycle"),
        ("restored", "[AWS ECS] RESTORED: shop/web - ECS Service Task Recycle"),
        ("continued", "[AWS ECS] CONTINUED: shop/web - ECS Service Task Recycle"),
        ("planned", "[AWS ECS] PLANNED: shop/web - ECS Service Task Recycle"),
        ("of tomorrow", "[AWS ECS] ENDED: shop/web - ECS Service Task Recycle"),
        (None, "[AWS ECS] ENDED: shop/web - ECS Service Task Recycle"),
    ],
)
def test_the_subject_says_outcome_and_service(status: str | None, expected: str) -> None:
    assert subject(COMPLETED | {"status": status}) == expected


@given(st.one_of(st.none(), st.sampled_from(STATUSES), st.text(), st.integers()))
def test_only_a_completed_run_is_called_what_the_configured_subject_says(status: object) -> None:
    said = subject(COMPLETED | {"status": status})
    assert ("Completed" in said) == (status == "completed")


def test_a_failures_subject_names_its_class() -> None:
    assert subject(FAILED).startswith("[AWS ECS] FAILED (ReplacementError): shop/web")


def test_a_failure_that_knows_no_service_still_has_a_subject() -> None:
    summary: dict[str, object] = {"status": "failed", "error": "SettingsError"}
    assert subject(summary) == "[AWS ECS] FAILED (SettingsError) - ECS Service Task Recycle"


def test_without_a_configured_subject_and_prefix_there_is_a_plain_one() -> None:
    bare = replace(MAIL, email_subject=None, subject_prefix=None)
    assert subject(COMPLETED, bare) == "ECS Service Task Recycle Completed: shop/web"
    assert subject(FAILED, bare).startswith("FAILED (ReplacementError): shop/web")


def test_subjects_and_names_outside_ascii_arrive_as_they_are() -> None:
    mail = replace(
        MAIL,
        email_subject="任务回收已完成",
        subject_prefix="Größe",
        to=("Jürgen Groß <admin@example.com>",),
    )
    read = sent_and_read(mail, COMPLETED)
    assert read["Subject"] == "[Größe] 任务回收已完成: shop/web"
    [recipient] = read["To"].addresses
    assert (recipient.display_name, recipient.addr_spec) == ("Jürgen Groß", "admin@example.com")


def test_a_domain_outside_ascii_is_written_as_dns_knows_it() -> None:
    read = sent_and_read(replace(MAIL, to=("admin@exämple.com",)), COMPLETED)
    assert read["To"] == "admin@xn--exmple-cua.com"


def test_several_addresses_may_stand_in_one_entry() -> None:
    read = sent_and_read(replace(MAIL, to=("a@example.com, B <b@example.com>",)), COMPLETED)
    assert [each.addr_spec for each in read["To"].addresses] == ["a@example.com", "b@example.com"]


INJECTIONS: Final = (
    "\r\nBcc: evil@example.com",
    "\nBcc: evil@example.com\n\nhi",
    "\rX: y",
    "\0",
    "\u2028X: y",
)


@pytest.mark.parametrize("injection", INJECTIONS)
def test_no_value_writes_a_header_of_its_own(injection: str) -> None:
    mail = replace(MAIL, email_subject=f"Done{injection}", subject_prefix=f"AWS{injection}")
    for status in STATUSES:
        summary = COMPLETED | {"status": status, "cluster": f"shop{injection}", "error": injection}
        read = sent_and_read(mail, summary)
        assert sorted(read.keys()) == sorted(sent_and_read(MAIL, COMPLETED).keys())
        assert read["Subject"].isprintable()


@pytest.mark.parametrize("injection", INJECTIONS)
def test_an_address_with_a_line_break_is_no_address(injection: str) -> None:
    with pytest.raises(NotSentError, match="from_email"):
        compose(replace(MAIL, from_email=f"noreply@example.com{injection}"), COMPLETED)
    mail = replace(MAIL, to=("admin@example.com", f"other@example.com{injection}"))
    assert sent_and_read(mail, COMPLETED)["To"] == "admin@example.com"


@pytest.mark.parametrize(
    "address", ["", "admin", "@example.com", "admin@", "a b@example.com", "ädmin@example.com", "<>"]
)
def test_what_is_no_address_is_not_mailed_to(address: str) -> None:
    with pytest.raises(NotSentError, match="holds no address"):
        compose(replace(MAIL, to=(address,)), COMPLETED)


def test_a_repeated_recipient_is_mailed_once() -> None:
    mail = replace(MAIL, to=("admin@example.com", "Admin <admin@example.com>"))
    assert len(sent_and_read(mail, COMPLETED)["To"].addresses) == 1


def test_a_mail_has_what_a_mail_needs_and_asks_for_no_automatic_answer() -> None:
    read = sent_and_read(MAIL, COMPLETED)
    assert read["Date"].datetime is not None
    assert re.fullmatch(r"<.+@example\.com>", read["Message-ID"])
    assert read["Auto-Submitted"] == "auto-generated"
    assert read.get_content_type() == "multipart/alternative"
    assert [each.get_content_type() for each in read.iter_parts()] == ["text/plain", "text/html"]


def test_the_text_says_what_happened_then_the_numbers_then_the_tasks() -> None:
    assert text(COMPLETED).splitlines() == [
        "Task recycle of shop/web completed: 2 tasks recycled.",
        "",
        "Cluster: shop",
        "Service: web",
        "Status: completed",
        "Tasks recycled: 2",
        "Original desired count: 3",
        "Lowest in service: 3",
        "Desired count: found 3, now 3 (as found)",
        "Min capacity: found 2, now 2 (as found)",
        "Max capacity: found 6, now 7 (NOT as found)",
        "Left alone: The maximum is 7 now: somebody changed it.",
        "Started before: 2026-11-22T02:00:00+00:00",
        "Duration: 12 min 34 s",
        "Finished: 2026-11-22T02:12:34+00:00",
        "Run: run-1",
        "",
        "Recycled tasks (2)",
        "- old1",
        "  Replacement: new1",
        "  Took: 41.3 s",
        "  Started: 2026-11-20T08:00:00+00:00",
        "- old2",
        "  Started: 2026-11-20T09:00:00+00:00",
        "  Note: went away by itself",
    ]


def test_a_failure_says_why_and_what_to_do_before_any_number() -> None:
    lines = text(FAILED).splitlines()
    assert lines[:6] == [
        "Task recycle of shop/web FAILED (ReplacementError): 2 tasks recycled.",
        "",
        "Why: The replacement stopped: exit code 1.",
        "",
        "What to do: Look at its log:",
        "aws logs tail /ecs/web",
    ]


def test_a_partial_run_names_what_was_skipped_and_what_remains_counting_none_twice() -> None:
    read = text(PARTIAL)
    assert read.startswith("Task recycle of shop/web is PARTIAL: 2 tasks recycled, 2 left.\n")
    assert "Tasks left: 2\n" in read
    assert "- busy\n  Reason: protected\n  Until: 2026-11-22T05:00:00+00:00\n" in read
    assert "Remaining tasks (2)\n- busy\n- last\n" in read


def test_a_failure_of_the_settings_has_no_numbers_it_cannot_know() -> None:
    summary: dict[str, object] = {
        "status": "failed",
        "error": "SettingsError",
        "reason": "1 problem in the event.",
        "run_id": "r",
    }
    assert text(summary).splitlines() == [
        "Task recycle of an ECS service FAILED (SettingsError): no task recycled.",
        "",
        "Why: 1 problem in the event.",
        "",
        "Status: failed",
        "Error: SettingsError",
        "Run: r",
    ]


@pytest.mark.parametrize("summary", [COMPLETED, PARTIAL, FAILED], ids=["done", "part", "failed"])
def test_both_parts_hold_the_same_facts(summary: dict[str, object]) -> None:
    in_html = re.sub(r"\s+", " ", words_of_html(summary))
    for line in text(summary).splitlines():
        label, colon, value = line.lstrip("- ").partition(": ")
        assert label in in_html
        assert value in in_html or not colon


def test_html_is_escaped_and_the_text_is_not() -> None:
    markup = '<script>alert("1")</script> & <img src=x onerror=y>'
    summary = FAILED | {
        "cluster": markup,
        "reason": markup,
        "remedy": markup,
        "run_id": markup,
        "tasks": [{"task": markup, "note": markup}],
        "skipped": [{"task": markup, "reason": markup}],
        "error": markup,
    }
    read = _Words(part(summary, "html"))
    assert read.tags.isdisjoint({"script", "img"})
    assert markup in " ".join(read.words)
    assert markup in text(summary)


def test_a_run_of_500_tasks_is_still_a_mail_to_read() -> None:
    row = {"replacement": f"{TASK}new", "started_at": "2026-11-20T08:00:00+00:00"}
    tasks = [{"task": f"{TASK}old{number}"} | row for number in range(500)]
    summary = PARTIAL | {
        "tasks": tasks,
        "tasks_recycled": 500,
        "remaining": [f"{TASK}left{number}" for number in range(120)],
    }
    read = text(summary)
    assert read.count("\n- old") == SHOWN_ROWS_COUNT
    assert "Recycled tasks (500)\n" in read
    assert f"… and {500 - SHOWN_ROWS_COUNT} more: the log names them all." in read
    assert f"… and {120 - SHOWN_ROWS_COUNT} more" in words_of_html(summary)
    assert len(compose(MAIL, summary).as_bytes()) < 100_000


def test_a_remedy_of_several_commands_is_not_cut_and_keeps_its_lines() -> None:
    commands = [f"aws ecs update-service --service web{number} " + "x" * 80 for number in range(40)]
    read = text(FAILED | {"remedy": "\n".join(commands)})
    assert all(f"{command}\n" in read for command in commands)


def test_a_flood_of_text_is_cut() -> None:
    summary = FAILED | {"reason": "x" * 1_000_000, "run_id": "y" * 1_000_000}
    assert len(compose(MAIL, summary).as_bytes()) < 100_000


@pytest.mark.parametrize(
    "seconds, told",
    [
        (0, "0 s"),
        (59.94, "59.9 s"),
        (60, "1 min 0 s"),
        (3599.7, "1 h 0 min 0 s"),
        (90_061, "25 h 1 min 1 s"),
        (-3, "-3"),
        ("soon", "soon"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
    ],
)
def test_durations_are_told_in_hours_minutes_and_seconds(seconds: object, told: str) -> None:
    assert f"Duration: {told}\n" in text(COMPLETED | {"duration_seconds": seconds})


def anything() -> SearchStrategy[Any]:
    texts = st.text(st.characters(exclude_categories=()), max_size=20)
    leaves = st.none() | st.booleans() | st.integers() | st.floats() | texts
    return st.recursive(
        leaves, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=6
    )


@given(
    st.dictionaries(st.sampled_from([*FAILED]), anything()),
    st.lists(st.dictionaries(st.sampled_from(["task", "reason", "until", "note"]), anything())),
)
def test_a_summary_of_any_shape_makes_a_whole_mail(
    summary: dict[str, object], rows: list[dict[str, object]]
) -> None:
    for whole in (summary, summary | {"tasks": rows, "skipped": rows}):
        read = sent_and_read(MAIL, whole)
        assert sorted(read.keys()) == sorted(compose(MAIL, COMPLETED).keys())
        assert read["Subject"].isprintable()


@given(st.text(st.characters(exclude_categories=())), st.text(st.characters(exclude_categories=())))
def test_any_configured_subject_and_address_makes_a_whole_mail_or_a_reason(
    words: str, address: str
) -> None:
    mail = replace(MAIL, email_subject=words, subject_prefix=words, to=("a@example.com", address))
    read = sent_and_read(mail, COMPLETED)
    assert sorted(read.keys()) == sorted(compose(MAIL, COMPLETED).keys())
    assert read["To"].addresses[0].addr_spec == "a@example.com"


@given(st.from_regex(r"[\w ,:;<>\"'\\()é☃=?]{0,20} <[a-z.]{1,9}@[a-zé.]{1,9}>", fullmatch=True))
def test_a_recipient_is_read_back_as_the_address_that_was_meant(entry: str) -> None:
    mail = replace(MAIL, to=("a@example.com", entry))
    for address in sent_and_read(mail, COMPLETED)["To"].addresses:
        assert re.fullmatch(r"[^@\s]+@[a-z0-9.-]+", address.addr_spec)


def test_numbers_too_long_to_write_out_are_named_so() -> None:
    assert "Lowest in service: a large int\n" in text(COMPLETED | {"lowest_in_service": 10**6000})


def test_nothing_configured_sends_nothing_and_says_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.DEBUG):
        assert send_notification(None, COMPLETED) is False
    assert caplog.records == []


@pytest.mark.parametrize(
    "mail, reason",
    [
        (replace(MAIL, from_email="nobody"), "smtpCredentials.from_email is not an address"),
        (replace(MAIL, to=("nobody",)), "emailNotification.to holds no address"),
        (replace(MAIL, to=()), "emailNotification.to holds no address"),
    ],
)
def test_a_mail_that_cannot_be_addressed_is_a_warning(
    mail: Mail, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert send_notification(mail, COMPLETED) is False
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == f"The summary was not mailed: {reason}."
