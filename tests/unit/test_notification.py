"""What stands in the mail: the outcome first, the same facts twice, and nobody's own headers."""

from __future__ import annotations

import html
import json
import logging
import re
import shlex
from dataclasses import replace
from datetime import datetime, timedelta
from email import message_from_bytes, policy
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecs_task_recycle.channels.mail.smtp import NotSentError
from ecs_task_recycle.channels.mail.tables import SHOWN_ROWS_COUNT
from ecs_task_recycle.errors import SettingsError
from ecs_task_recycle.model import Capacity, CapacityReport
from ecs_task_recycle.outcome import Status
from ecs_task_recycle.report.answer import Answer, AnsweredTask, SkippedTask
from ecs_task_recycle.settings.function import FunctionContext
from ecs_task_recycle.settings.input_json import Mail
from ecs_task_recycle.task import NOT_IN_TIME, STOPPED_BY_DEAD
from Notification import compose, send_notification
from tests.mail_configuration import MAIL

if TYPE_CHECKING:
    from email.message import EmailMessage

    from ecs_task_recycle.codec import Json

TASK: Final = "arn:aws:ecs:eu-west-1:123456789012:task/shop/"
ENDED_AT: Final = datetime.fromisoformat("2026-11-22T02:12:34+00:00")
STOPPED_AT: Final = datetime.fromisoformat("2026-11-22T02:02:34+00:00")
REGION: Final = "eu-west-1"

COMPLETED: Final = Answer(
    cluster="shop",
    service="web",
    status=Status.COMPLETED,
    run_id="run-1",
    tasks_recycled=2,
    tasks=(
        AnsweredTask(
            task=f"{TASK}old1",
            replacement=f"{TASK}new1",
            started_at=datetime.fromisoformat("2026-11-20T08:00:00+00:00"),
            zone="eu-west-1a",
            stopped_at=STOPPED_AT,
            seconds_to_replace=41.26,
            seconds_to_stop=75.0,
            exit_code=137,
            exit_verdict=NOT_IN_TIME,
        ),
        AnsweredTask(
            task=f"{TASK}old2",
            started_at=datetime.fromisoformat("2026-11-20T09:00:00+00:00"),
            zone="eu-west-1b",
            note="it went away by itself",
        ),
    ),
    original_desired_count=3,
    required_in_service=3,
    lowest_in_service=3,
    in_service=((0.0, 3), (60.0, 4), (154.0, 3), (195.3, 4)),
    capacity=CapacityReport(
        found=Capacity(desired_count=3, min_capacity=2, max_capacity=6),
        now=Capacity(desired_count=3, min_capacity=2, max_capacity=7),
        left_alone=("The maximum is 7 now: somebody changed it.",),
    ),
    started_before=datetime.fromisoformat("2026-11-22T02:00:00+00:00"),
    duration_seconds=754.0,
    timestamp=ENDED_AT,
)
PARTIAL: Final = replace(
    COMPLETED,
    status=Status.PARTIAL,
    reason="time ran short",
    skipped=(
        SkippedTask(
            task=f"{TASK}busy",
            reason="protected",
            until=datetime.fromisoformat("2026-11-22T05:00:00+00:00"),
        ),
    ),
    remaining=(f"{TASK}busy", f"{TASK}last"),
)
FAILED: Final = replace(
    COMPLETED,
    status=Status.FAILED,
    error="ReplacementError",
    reason="The replacement stopped: exit code 1.",
    remedy="Look at its log:\naws logs tail /ecs/web",
)
REFUSED: Final = Answer.refused(
    SettingsError("1 problem in the event.", remedy="Nothing was called."), run_id="r", at=ENDED_AT
)
STILL_RAISED: Final = CapacityReport(found=Capacity(desired_count=3), now=Capacity(desired_count=4))
FUNCTION: Final = FunctionContext(
    service_region=REGION,
    region=REGION,
    name="recycler",
    log_group="/aws/lambda/recycler",
    execution_arn="arn:aws:states:eu-west-1:123456789012:execution:guardian:run-1",
)
INVOKE: Final = (
    "aws lambda invoke --function-name recycler --region eu-west-1 --invocation-type Event "
    "--payload fileb:///dev/stdin response.json"
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


def sent_and_read(mail: Mail, answer: Answer) -> EmailMessage:
    """Return a mail as its reader's program has it: through bytes and back."""
    read = message_from_bytes(compose(mail, answer, FUNCTION).as_bytes(), policy=policy.default)
    assert read.defects == []
    return read


def subject(answer: Answer, mail: Mail = MAIL) -> str:
    # Python may fold right after the colon; every mail program drops that space.
    return str(sent_and_read(mail, answer)["Subject"]).lstrip(" ")


def part(answer: Answer, subtype: str, mail: Mail = MAIL) -> str:
    body = sent_and_read(mail, answer).get_body((subtype,))
    assert body is not None
    return str(body.get_content()).replace("\r\n", "\n")


def text(answer: Answer) -> str:
    return part(answer, "plain")


def words_of_html(answer: Answer) -> str:
    return " ".join(_Words(part(answer, "html")).words)


@pytest.mark.parametrize(
    "status, expected",
    [
        (Status.COMPLETED, "[AWS ECS] ECS Service Task Recycle Completed: shop/web"),
        (Status.PARTIAL, "[AWS ECS] PARTIAL: shop/web - ECS Service Task Recycle"),
        (Status.FAILED, "[AWS ECS] FAILED: shop/web - ECS Service Task Recycle"),
        (Status.NOTHING_TO_DO, "[AWS ECS] NOTHING TO DO: shop/web - ECS Service Task Recycle"),
        (Status.RESTORED, "[AWS ECS] RESTORED: shop/web - ECS Service Task Recycle"),
    ],
)
def test_the_subject_says_outcome_and_service(status: Status, expected: str) -> None:
    assert subject(replace(COMPLETED, status=status)) == expected


@pytest.mark.parametrize("status", Status)
def test_only_a_completed_run_is_called_what_the_configured_subject_says(status: Status) -> None:
    said = subject(replace(COMPLETED, status=status))
    assert ("Completed" in said) == (status is Status.COMPLETED)


def test_a_failures_subject_names_its_class() -> None:
    assert subject(FAILED).startswith("[AWS ECS] FAILED (ReplacementError): shop/web")


def test_a_failure_that_knows_no_service_still_has_a_subject() -> None:
    assert subject(REFUSED) == "[AWS ECS] FAILED (SettingsError) - ECS Service Task Recycle"


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
    for answer in (COMPLETED, replace(FAILED, cluster=f"shop{injection}", error=injection)):
        read = sent_and_read(mail, answer)
        assert sorted(read.keys()) == HEADERS
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


def test_a_task_that_a_dead_invocation_stopped_did_not_go_by_itself() -> None:
    stopped = (
        replace(each, stopped_at=None, note=STOPPED_BY_DEAD) for each in COMPLETED.ended_tasks
    )
    told = text(replace(COMPLETED, tasks=tuple(stopped)))
    assert "by itself" not in told
    assert "by themselves" not in told


def test_the_name_of_an_action_is_written_as_it_is() -> None:
    denied = "ecs:StopTask was answered with AccessDeniedException: no."
    assert f"Why? {denied}" in text(replace(FAILED, reason=denied))


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
            "1 task went away by itself. 1 task was killed while stopping, see the exit code."
        ),
        (
            "Is there anything to do? Check the settings that somebody else changed and the run "
            "left alone:"
        ),
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


def test_the_text_has_the_run_as_a_chart() -> None:
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
    assert all(text(answer).isascii() for answer in (COMPLETED, PARTIAL, FAILED))


def test_a_failure_says_why_and_what_to_do_before_any_chart() -> None:
    lines = text(replace(FAILED, remaining=(f"{TASK}last",))).splitlines()
    payload = (
        '{"cluster_name": "shop", "service_name": "web", '
        '"started_before": "2026-11-22T02:00:00+00:00"}'
    )
    assert lines[0] == "Task recycle of shop/web FAILED (ReplacementError): 2 tasks recycled."
    assert lines[2] == "Did it work? No: 2 of 3 tasks recycled in 12 min 34 s."
    assert lines[4:7] == [
        "Why? The replacement stopped: exit code 1.",
        "Is there anything to do? Look at its log:",
        "aws logs tail /ecs/web",
    ]
    assert lines[8] == f"echo '{payload}' | {INVOKE}"


def payload_of_the_command(answer: Answer) -> dict[str, object]:
    [command] = [line for line in text(answer).splitlines() if line.startswith("echo ")]
    payload: dict[str, object] = json.loads(shlex.split(command)[1])
    return payload


def test_the_command_to_go_on_repeats_how_to_recycle_and_not_which_tasks() -> None:
    how: dict[str, Json] = {
        "maintain_service_state": False,
        "wait_time": 5,
        "protected_tasks": "skip",
        "alarms": ["web-5xx", "web $(latency)"],
        "stabilize_timeout": 840,
        "finish_within_minutes": 90,
        "if_running": "queue",
    }
    which: dict[str, Json] = {"older_than_hours": 168.0, "dry_run": True, "action": "recycle"}
    assert payload_of_the_command(replace(PARTIAL, parameters=how | which)) == {
        "cluster_name": "shop",
        "service_name": "web",
        "started_before": "2026-11-22T02:00:00+00:00",
        **how,
    }


@pytest.mark.parametrize(
    "answer, words",
    [
        (PARTIAL, "To recycle the remaining tasks, invoke the function again:"),
        (replace(PARTIAL, remaining=(f"{TASK}busy",)), "again when their protection has ended:"),
        (replace(FAILED, remaining=(f"{TASK}last",)), "again once the cause is gone:"),
    ],
)
def test_before_the_command_to_go_on_stands_when_to_use_it(answer: Answer, words: str) -> None:
    assert words in text(answer)


def test_the_command_to_go_on_names_the_tasks_of_a_run_of_named_tasks() -> None:
    payload = payload_of_the_command(replace(PARTIAL, started_before=None))
    assert payload == {"cluster_name": "shop", "service_name": "web", "tasks": ["busy", "last"]}


def test_the_command_to_go_on_selects_by_creation_where_the_run_did() -> None:
    assert payload_of_the_command(replace(PARTIAL, if_running="queue"))["if_running"] == "queue"


def test_a_restored_run_comes_with_the_command_to_go_on_with_it() -> None:
    restored = replace(
        COMPLETED, status=Status.RESTORED, tasks=(), parameters={"action": "restore"}
    )
    assert payload_of_the_command(restored) == {
        "cluster_name": "shop",
        "service_name": "web",
        "started_before": "2026-11-22T02:00:00+00:00",
    }
    assert "aws lambda" not in text(replace(restored, started_before=None))


def test_the_details_say_what_was_asked() -> None:
    asked: dict[str, Json] = {
        "wait_time": 5,
        "alarms": ["web-5xx", "latency"],
        "maintain_service_state": False,
    }
    lines = text(replace(COMPLETED, parameters=asked)).splitlines()
    told = "wait_time 5; alarms web-5xx, latency; maintain_service_state false"
    assert lines[lines.index("Service: web") + 1] == f"Parameters: {told}"


def test_a_partial_run_names_what_was_skipped_and_what_remains_counting_none_twice() -> None:
    read = text(PARTIAL)
    assert read.startswith("Task recycle of shop/web is PARTIAL: 2 tasks recycled, 2 remaining.\n")
    assert "Did it work? In part: 2 of 4 tasks recycled in 12 min 34 s.\n" in read
    assert "Why? Time ran short.\n" in read
    assert "Tasks remaining: 2: busy, last\n" in read
    assert "Skipped tasks (1)\n- busy\n  Until: 2026-11-22 05:00:00 UTC\n  protected\n" in read
    assert f"\n      last |{'.' * 60}|\n" in read


def test_a_failure_of_the_settings_has_no_numbers_it_cannot_know() -> None:
    mail = compose(MAIL, REFUSED)
    body = mail.get_body(("plain",))
    assert body is not None
    assert body.get_content().splitlines() == [
        "Task recycle of an ECS service FAILED (SettingsError): no task recycled.",
        "",
        "Did it work? No.",
        "Why? 1 problem in the event.",
        "Is there anything to do? Nothing was called.",
        "",
        "Status: failed",
        "Error: SettingsError",
        "Finished: 2026-11-22 02:12:34 UTC",
        "Run: r",
    ]


def test_a_capacity_that_is_still_raised_comes_with_the_command_that_restores_it() -> None:
    payload = '{"cluster_name": "shop", "service_name": "web", "action": "restore"}'
    read = text(replace(FAILED, capacity=STILL_RAISED))
    assert f"echo '{payload}' | {INVOKE}\n" in read


def test_a_remedy_that_already_runs_what_restores_is_enough() -> None:
    remedy = "Run: aws ecs update-service --desired-count 3"
    read = text(replace(FAILED, capacity=STILL_RAISED, remedy=remedy))
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
def test_whether_the_service_was_affected_is_said_first(changes: dict[str, Any], told: str) -> None:
    assert f"Was the service affected? {told} " in text(replace(COMPLETED, **changes))


def test_a_run_in_which_all_is_well_asks_for_nothing() -> None:
    task = AnsweredTask(task=f"{TASK}old1", stopped_at=STOPPED_AT, exit_code=0)
    answer = replace(COMPLETED, tasks=(task,), tasks_recycled=1, capacity=None)
    assert "Is there anything to do? No.\n" in text(answer)


def test_names_in_a_command_are_quoted_for_the_shell() -> None:
    hostile = "x'; touch harm; echo '"
    payload = payload_of_the_command(replace(PARTIAL, cluster=hostile, service="$(touch harm)"))
    assert (payload["cluster_name"], payload["service_name"]) == (hostile, "$(touch harm)")


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


@pytest.mark.parametrize("answer", [COMPLETED, PARTIAL, FAILED], ids=["done", "part", "failed"])
def test_both_parts_hold_the_same_facts(answer: Answer) -> None:
    in_html = re.sub(r"\s+", " ", words_of_html(answer))
    before, _, after = text(answer).partition("The run, from ")
    _, _, details = after.partition("\n\n")
    for line in [*before.splitlines(), *details.splitlines()]:
        for fact in line.lstrip("- ").split("; "):
            label, colon, value = fact.partition(": ")
            assert label in in_html
            assert value in in_html or not colon or value.startswith("https://")


def test_html_is_escaped_and_the_text_is_not() -> None:
    markup = '<script>alert("1")</script> & <img src=x onerror=y>'
    answer = replace(
        FAILED,
        cluster=markup,
        reason=markup,
        remedy=markup,
        run_id=markup,
        tasks=(AnsweredTask(task=markup, note=markup),),
        skipped=(SkippedTask(task=markup, reason=markup),),
        error=markup,
    )
    read = _Words(part(answer, "html"))
    assert read.tags.isdisjoint({"script", "img"})
    assert markup in " ".join(read.words)
    assert markup in text(answer)


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
    task = replace(COMPLETED.ended_tasks[0], exit_code=0, exit_verdict=None)
    tasks = [replace(task, task=f"{TASK}old{number}") for number in range(500)]
    for number in (499, 123):
        tasks[number] = replace(tasks[number], note="it went away by itself")
    answer = replace(
        PARTIAL,
        tasks=tuple(tasks),
        tasks_recycled=500,
        remaining=tuple(f"{TASK}left{number}" for number in range(120)),
        in_service=tuple((number * 3.77, 3 + number % 2) for number in range(200)),
    )
    read = text(answer)
    assert "Tasks (500)\n" in read
    assert f"... and {500 - SHOWN_ROWS_COUNT} more: the log names them all." in read
    assert f" and {121 - SHOWN_ROWS_COUNT} more" in words_of_html(answer)
    # Tasks with a remark are among those shown, and all are in their order.
    shown = [int(number) for number in re.findall(r"\n- old(\d+)\n", read)]
    assert shown == [*range(SHOWN_ROWS_COUNT - 2), 123, 499]
    assert "; 26 tasks a bar\n" in read
    assert len(compose(MAIL, answer).as_bytes()) < 100_000


def test_a_remedy_of_several_commands_is_not_cut_and_keeps_its_lines() -> None:
    commands = [f"aws ecs update-service --service web{number} " + "x" * 80 for number in range(40)]
    read = text(replace(FAILED, remedy="\n".join(commands)))
    assert all(f"{command}\n" in read for command in commands)


def test_a_flood_of_text_is_cut() -> None:
    answer = replace(FAILED, reason="x" * 1_000_000, run_id="y" * 1_000_000)
    assert len(compose(MAIL, answer).as_bytes()) < 100_000


@pytest.mark.parametrize(
    "seconds, told",
    [
        (0.0, "0.0 s"),
        (59.94, "59.9 s"),
        (60.0, "1 min 0 s"),
        (3599.7, "1 h 0 min 0 s"),
        (90_061.0, "25 h 1 min 1 s"),
    ],
)
def test_durations_are_told_in_hours_minutes_and_seconds(seconds: float, told: str) -> None:
    assert f"Duration: {told}\n" in text(replace(COMPLETED, duration_seconds=seconds))


def test_a_run_that_took_no_time_has_no_chart() -> None:
    assert "The run, from" not in text(replace(COMPLETED, duration_seconds=0.0))


def test_a_stop_outside_of_the_run_is_drawn_at_its_edge() -> None:
    """AWS's clock and the function's may differ."""
    task = replace(COMPLETED.ended_tasks[0], stopped_at=ENDED_AT + timedelta(seconds=9))
    answer = replace(COMPLETED, tasks=(task,))
    assert f"\n      old1 |{'.' * 60}|\n" in text(answer)
    assert '<td class="old" width="100%"' in part(answer, "html")


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
