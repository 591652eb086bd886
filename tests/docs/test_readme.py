"""The pages say what is so: tables, log lines, messages, commands, files, against the code."""

from __future__ import annotations

import ast
import logging
from datetime import UTC, datetime
from email.headerregistry import Address
from typing import TYPE_CHECKING, Final

from ecs_task_recycle.channels.mail.smtp import Envelope
from ecs_task_recycle.errors import RecycleError, SettingsError
from ecs_task_recycle.outcome import Ended, Status
from ecs_task_recycle.report.answer import Answer
from ecs_task_recycle.report.final_record import NAMESPACE, UNITS
from ecs_task_recycle.settings.function import DEFAULT_FUNCTION
from ecs_task_recycle.settings.input_json import Mail
from Notification import _all_served, send_notification
from tests.docs import guards
from tests.docs.commands import aws_commands
from tests.docs.markdown import codes, headings_of, section, table, without_fences
from tests.docs.pages import GUIDES, MANUAL, PROJECT, README, README_PATH, guide
from tests.docs.recorded import SELF_EXPLAINING
from tests.docs.tables import NOT_CALLED_BY_US
from tests.infrastructure.template import read_template

if TYPE_CHECKING:
    import pytest

    from tests.docs.recorded import Record

PRODUCT: Final = sorted((PROJECT / "ecs_task_recycle").rglob("*.py"))
REASON_CLASSES: Final = {
    each.__name__
    for each in (*RecycleError.__subclasses__(), Ended, *Ended.__subclasses__())
    if each.__name__ not in SELF_EXPLAINING
}

NOT_RECORDED: Final = {
    "Another run of {} started at the same time",
    "Run {} no longer owns the record of {}: {} has taken it over",
    "The capacity of {} was changed while the run was starting",
    "The record of run {} of {} is gone",
    "The run record of {} in table {} is not one that this version understands:",
    "The run record of {} names a task of another account, region or cluster: {}",
    "There is no DynamoDB table {} for the run record in {}",
    "another run",
    "none of its tasks shows a host port for port {}, which target group {} is for",
    "none of the named tasks is running any more",
    "task {} is not one of its tasks but of {}",
    "without a guardian, put back what it left by {}",
    "{} deployments are in progress, the last one may be paused by a hook at {}: end the pause",
    "{} ends when its pause is over, at {}; to end it at once, stop the guardian's execution {}",
    "{} has ended with its capacity raised; {}",
    "{} is dead; {}",
    "{} is dead and has left nothing raised",
    (
        "{} tasks of an earlier deployment still run beside those of {}, "
        "and ECS is yet to stop them (its cleanup is deferred)"
    ),
}
"""What the page explains and these runs do not tell: tests/emulated has worlds for it."""

LONGEST_LINES: Final = 350

HEADINGS: Final = (
    "Overview",
    "Features",
    "Architecture",
    "Prerequisites",
    "Installation",
    "Usage",
    "Parameters",
    "How it works",
    "How long may it take, what does it cost, how do I watch it, how do I stop it",
    "Scale-in protection",
    "Configuration",
    "IAM permissions",
    "CloudFormation resources",
    "Monitoring",
    "Troubleshooting",
    "Best practices",
    "Comparison with force deployment",
    "Security",
    "Cost",
    "Limitations",
    "Contributing",
)
"""Where readers of the first README look, also for what has moved to a page of its own."""


def documented_actions() -> set[str]:
    return {codes(row["Action"])[0] for row in table(MANUAL, "Action")}


def product_messages() -> set[str]:
    return {text for path in PRODUCT for text in guards.messages_of(path.read_text())}


def mail_lines(caplog: pytest.LogCaptureFixture) -> set[str]:
    caplog.set_level(logging.INFO, "Notification")
    mail = Mail(host="smtp.example.com", port=587, from_email="nobody", to=("a@example.com",))
    at = datetime(2026, 11, 22, tzinfo=UTC)
    send_notification(mail, Answer.refused(SettingsError("No."), run_id="r", at=at))
    someone = Address("", "a", "example.com")
    envelope = Envelope(sender=someone, recipients=(someone,), unusable=())
    _all_served(envelope, {"a@example.com": (550, b"5.1.1 unknown")})
    return set(caplog.messages)


def test_the_iam_table_names_the_actions_that_runs_of_every_kind_have_called(
    record: Record,
) -> None:
    actual = record.actions | set(NOT_CALLED_BY_US)
    assert guards.different(documented_actions(), actual, of="action") == []


def test_the_policy_has_exactly_the_actions_of_the_table() -> None:
    actual = documented_actions()
    assert guards.different(guards.policy_actions(MANUAL), actual, of="action") == []


def test_the_status_table_is_that_of_the_answers() -> None:
    actual = {each.value: str(each.code) for each in Status if each is not Status.FAILED}
    assert guards.documented_statuses(MANUAL) == actual


def test_the_fields_of_the_body_are_those_of_the_answers(record: Record) -> None:
    actual = {name for answer in record.answers for name in answer}
    assert guards.different(guards.documented_fields(MANUAL), actual, of="field") == []


def test_the_metrics_are_those_that_the_function_writes() -> None:
    rows = {name: row["Unit"] for row in table(MANUAL, "Metric") for name in codes(row["Metric"])}
    assert rows == UNITS


def test_the_alarms_of_the_pages_watch_metrics_that_the_function_writes() -> None:
    put = [each for each in aws_commands(MANUAL) if each[:2] == ["cloudwatch", "put-metric-alarm"]]
    options = [dict(zip(each[2::2], each[3::2], strict=True)) for each in put]
    assert options
    for each in options:
        assert each["--namespace"] == NAMESPACE
        assert each["--metric-name"] in UNITS
        assert each["--dimensions"] == f"Name=function,Value={DEFAULT_FUNCTION}"


def test_each_alarm_of_the_stack_has_a_row_that_says_what_to_do() -> None:
    alarms = {
        one["Properties"]["AlarmName"]["Fn::Sub"].removeprefix("${FunctionName}")
        for one in read_template()["Resources"].values()
        if one["Type"] == "AWS::CloudWatch::Alarm"
    }
    told = {row["Name ends with"].strip("`") for row in table(MANUAL, "Name ends with")}
    assert guards.different(told, alarms, of="alarm") == []


def test_the_fields_of_a_task_are_those_of_the_answers(record: Record) -> None:
    rows = table(MANUAL, "Field of a task")
    told = {name for row in rows for name in codes(row["Field of a task"])}
    actual = {
        name for answer in record.answers for task in answer.get("tasks", ()) for name in task
    }
    assert guards.different(told, actual, of="field") == []


def test_the_runs_that_the_pages_are_held_against_are_of_every_kind(record: Record) -> None:
    statuses = {answer["status"] for answer in record.answers}
    assert statuses == {each.value for each in Status}


def test_what_status_answers_is_explained(record: Record) -> None:
    told = {
        name for row in table(MANUAL, "Field of `run`") for name in codes(row["Field of `run`"])
    }
    actual = {name for answer in record.answers for name in answer.get("run", {})}
    assert guards.different(told, actual, of="field") == []


def test_every_attribute_of_the_run_record_is_explained(record: Record) -> None:
    told = {name for row in table(MANUAL, "Attribute") for name in codes(row["Attribute"])}
    assert guards.different(told, record.attributes, of="attribute") == []


def test_the_log_lines_are_those_that_runs_of_every_kind_have_said(
    record: Record, caplog: pytest.LogCaptureFixture
) -> None:
    assert guards.wrong_log_lines(MANUAL, record.lines | mail_lines(caplog)) == []


def test_the_messages_quoted_for_troubleshooting_are_those_of_the_product() -> None:
    quoted = guide("troubleshooting") + guide("scale-in-protection")
    quoted += section(README, "Troubleshooting") + section(README, "Scale-in protection")
    assert guards.unknown_sentences(quoted, product_messages()) == []


def test_every_quote_can_be_found_by_searching() -> None:
    assert guards.broken_quotes(MANUAL) == []


def test_every_reason_that_runs_have_told_is_explained(record: Record) -> None:
    assert guards.unexplained(guide("troubleshooting"), record.reasons) == []


def test_every_outcome_and_refusal_that_the_code_has_is_explained() -> None:
    reasons = {
        text for path in PRODUCT for text in guards.given_to(path.read_text(), REASON_CLASSES)
    }
    assert guards.unexplained(guide("troubleshooting"), reasons) == []


def test_the_recorded_runs_tell_what_the_page_explains(record: Record) -> None:
    """So a reason that no run tells any more is noticed, whatever becomes of the code."""
    headings = ("Why a second run is refused", "Why was my service not recycled")
    explained = {
        quote
        for each in headings
        for quote in guards.sentences(section(guide("troubleshooting"), each))
    }
    unsaid = {
        quote
        for quote in explained
        if not any(guards.quote_pattern(quote).search(each) for each in record.reasons)
    }
    assert unsaid == NOT_RECORDED


def test_each_kind_of_service_names_a_test_that_exists() -> None:
    """Or the reader is told that something is refused, and nothing holds it."""
    for row in table(MANUAL, "Service"):
        (named,) = codes(row["Test"])
        name, _, function = named.partition("::")
        path = PROJECT / f"tests/emulated/{name}.py"
        tree = ast.parse(path.read_text())
        assert function in {each.name for each in tree.body if isinstance(each, ast.FunctionDef)}


def test_the_figures_are_those_that_ordinary_runs_have(record: Record) -> None:
    wrong = guards.wrong_figures(MANUAL, record.figures, seconds_late=record.seconds_late)
    assert wrong == []


def test_every_json_block_can_be_used_as_it_stands() -> None:
    assert guards.wrong_json(MANUAL) == []


def test_every_make_target_exists() -> None:
    assert guards.wrong_make_targets(MANUAL, (PROJECT / "Makefile").read_text()) == []


def test_every_module_and_script_that_is_named_exists() -> None:
    folders = ("ecs_task_recycle", "ecs_emulator", "tests", "examples")
    places = [PROJECT.glob("*"), *((PROJECT / each).rglob("*.*") for each in folders)]
    known = {path.name for place in places for path in place}
    assert guards.missing_files(MANUAL, known) == []


def test_the_table_of_resources_is_that_of_the_template() -> None:
    said = {name for row in table(MANUAL, "Resource") for name in codes(row["Resource"])}
    actual = read_template()["Resources"]
    assert guards.different(said, actual, of="resource") == []


def test_the_commands_to_start_with_stand_on_the_first_screen() -> None:
    first_screen = "\n".join(README.splitlines()[:30])
    for command in ("make demo ", "make test ", "./cloudformation_deploy.sh", "aws lambda invoke"):
        assert command in first_screen
    for word in ("Linux", "minutes", "not yet run on a real account", "make verify-aws"):
        assert word in first_screen


def test_the_readme_is_no_longer_than_it_can_be_read() -> None:
    assert len(README.splitlines()) <= LONGEST_LINES


def test_readers_of_the_first_readme_find_its_headings_in_their_order() -> None:
    headings = [each[2] for each in headings_of(without_fences(README)) if len(each[1]) == 2]
    assert headings == list(HEADINGS)


def test_every_page_is_linked_from_the_readme() -> None:
    paths = [path.relative_to(README_PATH.parent).as_posix() for path in GUIDES]
    assert paths
    assert [each for each in paths if f"]({each}" not in README] == []
