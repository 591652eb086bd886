"""What stands in the mail: the outcome first, the same facts twice, and nobody's own headers."""

from __future__ import annotations

import html
import json
import logging
import re
import shlex
from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes, policy
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ecs_task_recycle.channels.mail.console import Place
from ecs_task_recycle.channels.mail.smtp import NotSentError
from ecs_task_recycle.channels.mail.tables import SHOWN_ROWS_COUNT
from ecs_task_recycle.settings.input_json import Mail
from ecs_task_recycle.task import NOT_IN_TIME
from Notification import compose, send_notification

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
    "parameters": {},
    "tasks_recycled": 2,
    "tasks": [
        {
            "task": f"{TASK}old1",
            "replacement": f"{TASK}new1",
            "started_at": "2026-11-20T08:00:00+00:00",
            "zone": "eu-west-1a",
            "stopped_at": "2026-11-22T02:02:34+00:00",
            "seconds_to_replace": 41.26,
            "seconds_to_stop": 75.0,
            "exit_code": 137,
            "exit_verdict": NOT_IN_TIME,
            "note": None,
        },
        {
            "task": f"{TASK}old2",
            "replacement": None,
            "started_at": "2026-11-20T09:00:00+00:00",
            "zone": "eu-west-1b",
            "stopped_at": None,
            "seconds_to_replace": None,
            "seconds_to_stop": None,
            "exit_code": None,
            "exit_verdict": None,
            "note": "it went away by itself",
        },
    ],
    "skipped": [],
    "remaining": [],
    "original_desired_count": 3,
    "required_in_service": 3,
    "lowest_in_service": 3,
    "in_service": [[0.0, 3], [60.0, 4], [154.0, 3], [195.3, 4]],
    "capacity": {
        "found": {"desired_count": 3, "min_capacity": 2, "max_capacity": 6},
        "now": {"desired_count": 3, "min_capacity": 2, "max_capacity": 7},
        "left_alone": ["The maximum is 7 now: somebody changed it."],
    },
    "started_before": "2026-11-22T02:00:00+00:00",
    "duration_seconds": 754.0,
    "timestamp": "2026-11-22T02:12:34+00:00",
}
PARTIAL: Final = COMPLETED | {
    "status": "partial",
    "reason": "time ran short",
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
PLACE: Final = Place(
    region="eu-west-1",
    function_region="eu-west-1",
    function_name="recycler",
    log_group="/aws/lambda/recycler",
    execution_arn="arn:aws:states:eu-west-1:123456789012:execution:guardian:run-1",
)
INVOKE: Final = (
    "aws lambda invoke --function-name recycler --region eu-west-1 --invocation-type Event "
    "--cli-binary-format raw-in-base64-out --payload "
)


HEADERS: Final = sorted(compose(MAIL, COMPLETED).keys())


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
    read = message_from_bytes(compose(mail, summary, PLACE).as_bytes(), policy=policy.default)
    assert read.defects == []
    return read


def subject(summary: dict[str, object], mail: Mail = MAIL) -> str:
    # Python may fold right after the colon; every mail program drops that space.
    return str(sent_and_read(mail, summary)["Subject"]).lstrip(" ")


def part(summary: dict[str, object], subtype: str, mail: Mail = MAIL) -> str:
    body = sent_and_read(mail, summary).get_body((subtype,))
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


def test_the_text_answers_first_what_is_asked_first() -> None:
    assert text(COMPLETED).splitlines()[:13] == [
        "Task recycle of shop/web completed: 2 tasks recycled.",
        "",
        "Did it work? Yes: 2 of 2 tasks recycled in 12 min 34 s.",
        (
            "Was the service affected? No: never fewer than 3 tasks in service; 3 are desired. "
            "1 task went away by itself. 1 task was killed while stopping, see the exit codes."
        ),
        "Is there anything to do? Check what was left as somebody else had set it:",
        "The maximum is 7 now: somebody changed it.",
        "",
        (
            "Service: https://eu-west-1.console.aws.amazon.com/ecs/v2/clusters/shop/services/web"
            "/health?region=eu-west-1"
        ),
        (
            "Log: https://eu-west-1.console.aws.amazon.com/cloudwatch/home?region=eu-west-1#logsV2:"
            "log-groups/log-group/$252Faws$252Flambda$252Frecycler/log-events"
            "$3FfilterPattern$3D$2522run-1$2522$26start$3D1795312740000"
        ),
        (
            "Execution: https://eu-west-1.console.aws.amazon.com/states/home?region=eu-west-1"
            "#/v2/executions/details/arn%3Aaws%3Astates%3Aeu-west-1%3A123456789012%3Aexecution%3A"
            "guardian%3Arun-1"
        ),
        "",
        "The run, from 2026-11-22 02:00:00 UTC on; each column is 12.6 s",
        ". old task in service   # being replaced   = replaced",
    ]


def test_the_text_has_the_run_as_a_picture() -> None:
    lines = text(COMPLETED).splitlines()
    start = lines.index(". old task in service   # being replaced   = replaced")
    assert lines[start + 1 : start + 6] == [
        f"      old1 |{'.' * 12}{'#' * 4}{'=' * 44}|",
        "Tasks in service, 3 required; each column shows its lowest",
        "# in service   ! missing",
        f"         4 |{' ' * 5}{'#' * 7}{' ' * 4}{'#' * 44}|",
        f"         3 |{'#' * 60}|",
    ]


def test_the_text_has_the_tasks_and_then_the_details() -> None:
    lines = text(COMPLETED).splitlines()
    assert lines[lines.index("Tasks (2)") :] == [
        "Tasks (2)",
        "- old1",
        (
            "  Replacement: new1; Age: 1 d 18 h; Zone: 1a; Replaced in: 41.3 s; "
            "Gone after: 1 min 15 s; Exit code: 137"
        ),
        f"  {NOT_IN_TIME}",
        "- old2",
        "  Zone: 1b",
        "  it went away by itself",
        "",
        "Region: eu-west-1",
        "Cluster: shop",
        "Service: web",
        "Status: completed",
        "Tasks recycled: 2",
        "Original desired count: 3",
        "Required in service: 3",
        "Lowest in service: 3",
        "Desired count: found 3, now 3 (as found)",
        "Min capacity: found 2, now 2 (as found)",
        "Max capacity: found 6, now 7 (NOT as found)",
        "Left alone: The maximum is 7 now: somebody changed it.",
        "Started before: 2026-11-22 02:00:00 UTC",
        "Duration: 12 min 34 s",
        "Finished: 2026-11-22 02:12:34 UTC",
        "Run: run-1",
    ]


def test_the_text_is_plain_ascii() -> None:
    assert all(text(summary).isascii() for summary in (COMPLETED, PARTIAL, FAILED))


def test_a_failure_says_why_and_what_to_do_before_any_picture() -> None:
    lines = text(FAILED | {"remaining": [f"{TASK}last"]}).splitlines()
    payload = (
        '{"cluster_name": "shop", "service_name": "web", '
        '"started_before": "2026-11-22T02:00:00+00:00"}'
    )
    assert lines[0] == "Task recycle of shop/web FAILED (ReplacementError): 2 tasks recycled."
    assert lines[2] == "Did it work? No: 2 of 3 tasks recycled in 12 min 34 s."
    assert lines[4:9] == [
        "Why? The replacement stopped: exit code 1.",
        "Is there anything to do? Look at its log:",
        "aws logs tail /ecs/web",
        "To recycle the tasks that are left, invoke the function again:",
        f"{INVOKE}'{payload}' response.json",
    ]


def payload_of_the_command(summary: dict[str, object]) -> dict[str, object]:
    [command] = [line for line in text(summary).splitlines() if line.startswith("aws lambda")]
    payload: dict[str, object] = json.loads(shlex.split(command)[-2])
    return payload


def test_the_command_to_go_on_repeats_how_to_recycle_and_not_which_tasks() -> None:
    how = {
        "maintain_service_state": False,
        "wait_time": 5,
        "protected_tasks": "skip",
        "alarms": ["web-5xx", "web $(latency)"],
        "stabilize_timeout": 900 - 60,
        "finish_within_minutes": 90,
        "if_running": "queue",
    }
    which = {"older_than_hours": 168.0, "dry_run": True, "action": "recycle"}
    assert payload_of_the_command(PARTIAL | {"parameters": how | which}) == {
        "cluster_name": "shop",
        "service_name": "web",
        "started_before": "2026-11-22T02:00:00+00:00",
        **how,
    }


def test_the_command_to_go_on_repeats_nothing_that_no_event_may_hold() -> None:
    nonsense = {"wait_time": -1, "alarms": [7], "protected_tasks": {"a": 1}, "--debug": "yes"}
    payload = payload_of_the_command(PARTIAL | {"parameters": nonsense})
    assert sorted(payload) == ["cluster_name", "service_name", "started_before"]


def test_a_restored_run_comes_with_the_command_to_go_on_with_it() -> None:
    restored = COMPLETED | {"status": "restored", "tasks": [], "capacity": None}
    command = payload_of_the_command(restored | {"parameters": {"action": "restore"}})
    assert command == {
        "cluster_name": "shop",
        "service_name": "web",
        "started_before": "2026-11-22T02:00:00+00:00",
    }
    assert "aws lambda" not in text(restored | {"started_before": None})


def test_the_details_say_what_was_asked() -> None:
    asked = {"wait_time": 5, "alarms": ["web-5xx", "latency"], "maintain_service_state": False}
    lines = text(COMPLETED | {"parameters": asked}).splitlines()
    told = "wait_time 5; alarms web-5xx, latency; maintain_service_state false"
    assert lines[lines.index("Service: web") + 1] == f"Parameters: {told}"


def test_a_partial_run_names_what_was_skipped_and_what_remains_counting_none_twice() -> None:
    read = text(PARTIAL)
    assert read.startswith("Task recycle of shop/web is PARTIAL: 2 tasks recycled, 2 left.\n")
    assert "Did it work? In part: 2 of 4 tasks recycled in 12 min 34 s.\n" in read
    assert "Why? Time ran short.\n" in read
    assert "Tasks left: 2: busy, last\n" in read
    assert "Skipped tasks (1)\n- busy\n  Until: 2026-11-22 05:00:00 UTC\n  protected\n" in read
    assert f"\n      last |{'.' * 60}|\n" in read


def test_a_failure_of_the_settings_has_no_numbers_it_cannot_know() -> None:
    summary: dict[str, object] = {
        "status": "failed",
        "error": "SettingsError",
        "reason": "1 problem in the event.",
        "remedy": "Nothing was called. Correct it and invoke again.",
        "run_id": "r",
    }
    mail = compose(MAIL, summary)
    body = mail.get_body(("plain",))
    assert body is not None
    assert body.get_content().splitlines() == [
        "Task recycle of an ECS service FAILED (SettingsError): no task recycled.",
        "",
        "Did it work? No.",
        "Why? 1 problem in the event.",
        "Is there anything to do? Nothing was called. Correct it and invoke again.",
        "",
        "Status: failed",
        "Error: SettingsError",
        "Run: r",
    ]


def test_a_capacity_that_is_still_raised_comes_with_the_command_that_restores_it() -> None:
    capacity = {"found": {"desired_count": 3}, "now": {"desired_count": 4}, "left_alone": []}
    payload = '{"cluster_name": "shop", "service_name": "web", "action": "restore"}'
    assert f"{INVOKE}'{payload}' response.json\n" in text(FAILED | {"capacity": capacity})


def test_a_remedy_that_already_runs_what_restores_is_enough() -> None:
    capacity = {"found": {"desired_count": 3}, "now": {"desired_count": 4}, "left_alone": []}
    remedy = "Run: aws ecs update-service --desired-count 3"
    read = text(FAILED | {"capacity": capacity, "remedy": remedy})
    assert f"Is there anything to do? {remedy}\n" in read
    assert '"action": "restore"' not in read


@pytest.mark.parametrize(
    "changes, told",
    [
        ({}, "No: never fewer than 3 tasks in service; 3 are desired."),
        (
            {"lowest_in_service": 2, "required_in_service": 2},
            (
                "As asked: 2 of 3 tasks in service at the lowest, because maintain_service_state "
                "is false."
            ),
        ),
        (
            {"lowest_in_service": 1},
            "Yes: at the lowest 1 task in service; 3 are desired. At the start there were 3.",
        ),
    ],
)
def test_whether_the_service_was_affected_is_said_first(
    changes: dict[str, object], told: str
) -> None:
    assert f"Was the service affected? {told} " in text(COMPLETED | changes)


def test_a_run_in_which_all_is_well_asks_for_nothing() -> None:
    task = {"task": f"{TASK}old1", "stopped_at": "2026-11-22T02:02:34+00:00", "exit_code": 0}
    summary = COMPLETED | {"tasks": [task], "tasks_recycled": 1, "capacity": None}
    assert "Is there anything to do? No.\n" in text(summary)


def test_names_in_a_command_are_quoted_for_the_shell() -> None:
    hostile = "x'; touch harm; echo '"
    read = text(PARTIAL | {"cluster": hostile, "started_before": "$(touch harm)"})
    [command] = [line for line in read.splitlines() if line.startswith("aws lambda invoke")]
    payload = shlex.split(command)[-2]
    assert json.loads(payload) == {
        "cluster_name": hostile,
        "service_name": "web",
        "started_before": "$(touch harm)",
    }


def test_times_are_also_told_in_the_zone_of_those_who_read_them() -> None:
    read = part(PARTIAL, "plain", replace(MAIL, timezone="Asia/Kolkata"))
    assert "Finished: 2026-11-22 02:12:34 UTC (07:42:34 Asia/Kolkata)\n" in read
    read = part(PARTIAL, "plain", replace(MAIL, timezone="America/Los_Angeles"))
    until = "Until: 2026-11-22 05:00:00 UTC (2026-11-21 21:00:00 America/Los_Angeles)\n"
    assert until in read


def test_a_zone_that_is_not_known_here_is_said_so_and_times_are_in_utc() -> None:
    read = part(COMPLETED, "plain", replace(MAIL, timezone="Mars/Olympus"))
    assert "Finished: 2026-11-22 02:12:34 UTC\n" in read
    assert "Time zone: Mars/Olympus is not known to this function\n" in read


@pytest.mark.parametrize("summary", [COMPLETED, PARTIAL, FAILED], ids=["done", "part", "failed"])
def test_both_parts_hold_the_same_facts(summary: dict[str, object]) -> None:
    in_html = re.sub(r"\s+", " ", words_of_html(summary))
    before, _, after = text(summary).partition("The run, from ")
    _, _, details = after.partition("\n\n")
    for line in [*before.splitlines(), *details.splitlines()]:
        for fact in line.lstrip("- ").split("; "):
            label, colon, value = fact.partition(": ")
            assert label in in_html
            assert value in in_html or not colon or value.startswith("https://")


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


def test_the_page_asks_for_nothing_from_elsewhere_and_leads_to_aws_alone() -> None:
    page = part(PARTIAL, "html")
    assert re.findall(r"(?i)<(?:script|img|link|iframe|svg)|\ssrc=|url\(|@import", page) == []
    hosts = {urlsplit(html.unescape(url)).netloc for url in re.findall(r'href="([^"]+)"', page)}
    assert hosts == {"eu-west-1.console.aws.amazon.com"}


def test_each_bar_of_the_page_is_as_wide_as_its_time() -> None:
    page = part(COMPLETED, "html")
    widths = re.findall(r'<td class="(old|work|new)" width="([0-9.]+)%"', page)
    seconds = [float(width) / 100 * 754 for _, width in widths]
    assert [kind for kind, _ in widths] == ["old", "work", "new"]
    assert seconds == pytest.approx([154, 41.26, 754 - 154 - 41.26], abs=0.1)


def test_a_run_of_500_tasks_is_still_a_mail_to_read() -> None:
    row = {
        "replacement": f"{TASK}new",
        "started_at": "2026-11-20T08:00:00+00:00",
        "stopped_at": "2026-11-22T02:06:00+00:00",
        "seconds_to_replace": 40.0,
        "seconds_to_stop": 70.0,
        "exit_code": 0,
    }
    tasks = [{"task": f"{TASK}old{number}"} | row for number in range(500)]
    for number in (499, 123):
        tasks[number]["note"] = "it went away by itself"
    summary = PARTIAL | {
        "tasks": tasks,
        "tasks_recycled": 500,
        "remaining": [f"{TASK}left{number}" for number in range(120)],
        "in_service": [[number * 3.77, 3 + number % 2] for number in range(200)],
    }
    read = text(summary)
    assert "Tasks (500)\n" in read
    assert f"... and {500 - SHOWN_ROWS_COUNT} more: the log names them all." in read
    assert f" and {121 - SHOWN_ROWS_COUNT} more" in words_of_html(summary)
    # Those of which there is something to say are among them, and all stand in their order.
    shown = [int(number) for number in re.findall(r"\n- old(\d+)\n", read)]
    assert shown == [*range(SHOWN_ROWS_COUNT - 2), 123, 499]
    assert "; 26 tasks a bar\n" in read
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


ROW_KEYS: Final = (
    *("task", "replacement", "reason", "until", "note", "zone", "started_at", "stopped_at"),
    *("seconds_to_replace", "seconds_to_stop", "exit_code", "exit_verdict", "still_stopping"),
)


@settings(max_examples=50)
@given(
    line=st.lists(st.lists(st.none() | st.integers() | st.floats(), max_size=3)),
    seconds=st.floats(0, 10**9) | st.integers(0, 10**9),
    ended_at=st.datetimes(timezones=st.just(UTC)),
    stopped_at=st.lists(st.none() | st.datetimes(timezones=st.just(UTC)), max_size=60),
    taken=st.none() | st.floats(),
    required=st.integers(0, 10**6),
)
@example(
    line=[[0, 0]],
    seconds=1.0,
    ended_at=datetime(2026, 1, 1, tzinfo=UTC),
    stopped_at=[datetime(2026, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC)],
    taken=None,
    required=1,
)
def test_any_run_makes_a_picture_or_none(
    line: list[list[object]],
    seconds: float,
    ended_at: datetime,
    stopped_at: list[datetime | None],
    taken: float | None,
    required: int,
) -> None:
    summary = COMPLETED | {
        "in_service": line,
        "duration_seconds": seconds,
        "timestamp": ended_at.isoformat(),
        "required_in_service": required,
        "tasks": [
            {
                "task": f"{TASK}old{number}",
                "stopped_at": None if at is None else at.isoformat(),
                "seconds_to_replace": taken,
                "seconds_to_stop": taken,
            }
            for number, at in enumerate(stopped_at)
        ],
    }
    page = part(summary, "html", replace(MAIL, timezone="Asia/Kolkata"))
    for row in re.findall(r"<tr>((?:<td[^>]* width=\"[0-9.]+%\"[^>]*>&nbsp;</td>\s*)+)</tr>", page):
        widths = [float(width) for width in re.findall(r'width="([0-9.]+)%"', row)]
        assert sum(widths) == pytest.approx(100, abs=0.5)
    drawn = re.findall(r"^ {0,9}\S+ \|(.*)\|$", text(summary), re.MULTILINE)
    assert {len(columns) for columns in drawn} <= {60}


def anything() -> SearchStrategy[Any]:
    texts = st.text(st.characters(exclude_categories=()), max_size=20)
    leaves = st.none() | st.booleans() | st.integers() | st.floats() | texts
    return st.recursive(
        leaves, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=6
    )


@settings(max_examples=50)
@given(
    st.dictionaries(st.sampled_from([*FAILED]), anything()),
    st.lists(st.dictionaries(st.sampled_from(ROW_KEYS), anything())),
)
def test_a_summary_of_any_shape_makes_a_whole_mail(
    summary: dict[str, object], rows: list[dict[str, object]]
) -> None:
    for whole in (summary, FAILED | summary, FAILED | summary | {"tasks": rows, "skipped": rows}):
        read = sent_and_read(MAIL, whole)
        assert sorted(read.keys()) == HEADERS
        assert read["Subject"].isprintable()


@given(st.text(st.characters(exclude_categories=())), st.text(st.characters(exclude_categories=())))
def test_any_configured_subject_and_address_makes_a_whole_mail_or_a_reason(
    words: str, address: str
) -> None:
    mail = replace(MAIL, email_subject=words, subject_prefix=words, to=("a@example.com", address))
    read = sent_and_read(mail, COMPLETED)
    assert sorted(read.keys()) == HEADERS
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
