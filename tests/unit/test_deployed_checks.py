"""Every promise of the deployed road: it holds for a road as it should be, and can be broken."""

from __future__ import annotations

import json
from dataclasses import replace
from email.message import EmailMessage
from typing import TYPE_CHECKING, Any, Final

import pytest

from demo import deployed_checks as checks
from demo.deployed_checks import Bucket, Deployments, Invocation, LoggedRun, Outcome, verdicts
from demo.local_cloud import Done
from demo.mail_server import ReceivedMail

if TYPE_CHECKING:
    from collections.abc import Callable

    from demo.checks import Verdict

FINE: Final = Done(command="./c.sh", status=0, output="", errors="")
MAIL: Final = ReceivedMail(
    sender="a@example.com",
    recipients=("b@example.com",),
    message=EmailMessage(),
    source=b"",
    over_tls=True,
    username="demo",
)


def said(text: str, status: int = 0) -> Done:
    return replace(FINE, output=text, status=status)


def run(service: str, *rest: str) -> LoggedRun:
    first = f"Starting task recycle for {service}"
    return LoggedRun(run_id=service, messages=(first, *(rest or (checks.COMPLETED,))))


def invocation(printed: dict[str, Any], answer: dict[str, Any], status: int = 0) -> Invocation:
    return Invocation(done=said(json.dumps(printed), status), response=json.dumps(answer))


def completed(**body: object) -> Invocation:
    whole = {"status": "completed", "tasks_recycled": 3, **body}
    return invocation({"StatusCode": 200}, {"statusCode": 200, "body": json.dumps(whole)})


NOWHERE: Final = {"errorMessage": "There is no service nowhere in a cluster demo."}
BUCKET: Final = Bucket(
    blocks_public=True, encryption="AES256", policy='{"Deny": "aws:SecureTransport"}'
)
DEPLOYMENTS: Final = Deployments(
    first=said(f"the stack x is deployed in y\naws --function-name {checks.FUNCTION}"),
    again=said("c.sh: nothing has changed in the stack x"),
    scheduled=FINE,
    rule_input=json.dumps(dict(checks.SCHEDULED_INPUT)),
    clusters=("arn:*:ecs:*:*:cluster/demo",),
    built=b"zip",
    fetched=b"zip",
    bucket=BUCKET,
)
GOOD: Final = Outcome(
    deployments=DEPLOYMENTS,
    completed=completed(),
    failed=invocation({"StatusCode": 200, "FunctionError": "Unhandled"}, NOWHERE),
    asynchronous=invocation({"StatusCode": 202}, {}),
    runs=(run("demo/web"), run("demo/web"), run("demo/nowhere", "It ended."), run("demo/api")),
    deleted=said("the stack x is deleted; the bucket stays"),
    deleted_again=said("there is no stack x in y"),
    lowest_in_service={"demo/web": 3, "demo/api": 4},
    tasks_count=3,
    mails=(MAIL,) * 4,
    secret="planted",
    told="all of it",
)


def with_deployments(**changes: Any) -> Outcome:  # noqa: ANN401 - any field of it
    return replace(GOOD, deployments=replace(DEPLOYMENTS, **changes))


BROKEN: Final[list[tuple[Callable[[Outcome], Verdict], Outcome]]] = [
    (checks.it_is_deployed, with_deployments(first=replace(DEPLOYMENTS.first, status=1))),
    (checks.it_is_deployed, with_deployments(first=said("is deployed in"))),
    (checks.it_is_deployed, with_deployments(first=FINE)),
    (checks.again_changes_nothing, with_deployments(again=said("the stack x is deployed"))),
    (checks.again_changes_nothing, with_deployments(again=said("nothing has changed", 255))),
    (checks.again_changes_nothing, with_deployments(again=said("nothing has changed; the bucket"))),
    (checks.the_bucket_is_private, with_deployments(bucket=replace(BUCKET, blocks_public=False))),
    (checks.the_bucket_is_private, with_deployments(bucket=replace(BUCKET, encryption=""))),
    (checks.the_bucket_is_private, with_deployments(bucket=replace(BUCKET, policy="{}"))),
    (checks.the_schedule_has_its_constant_input, with_deployments(scheduled=said("", 1))),
    (checks.the_schedule_has_its_constant_input, with_deployments(rule_input="{}")),
    (checks.the_schedule_has_its_constant_input, with_deployments(rule_input="none")),
    (checks.the_role_is_limited, with_deployments(clusters=("arn:*:ecs:*:*:cluster/*",))),
    (checks.the_role_is_limited, with_deployments(clusters=())),
    (checks.the_invocation_completes, replace(GOOD, completed=completed(status="partial"))),
    (checks.the_invocation_completes, replace(GOOD, completed=completed(tasks_recycled=2))),
    (
        checks.the_invocation_completes,
        replace(GOOD, completed=replace(GOOD.completed, done=said("{}", 255))),
    ),
    (
        checks.the_invocation_completes,
        replace(GOOD, completed=replace(GOOD.completed, done=GOOD.failed.done)),
    ),
    (checks.the_invocation_completes, replace(GOOD, completed=GOOD.asynchronous)),
    (checks.a_failure_is_a_function_error, replace(GOOD, failed=GOOD.completed)),
    (
        checks.a_failure_is_a_function_error,
        replace(GOOD, failed=replace(GOOD.failed, response='{"errorMessage": "It is."}')),
    ),
    (checks.the_event_is_taken_and_completes, replace(GOOD, asynchronous=GOOD.completed)),
    (checks.the_event_is_taken_and_completes, replace(GOOD, runs=GOOD.runs[1:])),
    (
        checks.the_event_is_taken_and_completes,
        replace(GOOD, runs=(run("demo/web"), run("demo/web", "It ended."))),
    ),
    (checks.the_rule_fires, replace(GOOD, runs=GOOD.runs[:3])),
    (checks.nobody_was_missed, replace(GOOD, lowest_in_service={"demo/web": 3, "demo/api": 2})),
    (checks.nobody_was_missed, replace(GOOD, lowest_in_service={"demo/web": 3})),
    (checks.the_zip_is_the_one_that_was_built, with_deployments(fetched=b"another")),
    (checks.the_zip_is_the_one_that_was_built, with_deployments(built=b"", fetched=b"")),
    (checks.the_mails_were_sent_by_the_secret, replace(GOOD, mails=(MAIL,) * 3)),
    (checks.the_mails_were_sent_by_the_secret, replace(GOOD, mails=(), runs=())),
    (
        checks.the_mails_were_sent_by_the_secret,
        replace(GOOD, mails=(*GOOD.mails[1:], replace(MAIL, username=None))),
    ),
    (
        checks.the_mails_were_sent_by_the_secret,
        replace(GOOD, mails=(*GOOD.mails[1:], replace(MAIL, over_tls=False))),
    ),
    (checks.the_secret_is_told_nowhere, replace(GOOD, told="the planted one")),
    (checks.the_secret_is_told_nowhere, replace(GOOD, secret="")),
    (checks.it_is_deleted, replace(GOOD, deleted=said("is deleted", 1))),
    (checks.it_is_deleted, replace(GOOD, deleted=FINE)),
    (checks.it_is_deleted, replace(GOOD, deleted_again=said("is deleted"))),
]


def test_every_promise_is_kept_by_a_road_as_it_should_be() -> None:
    assert [verdict for verdict in verdicts(GOOD) if not verdict.holds] == []


@pytest.mark.parametrize("judge, outcome", BROKEN, ids=lambda each: getattr(each, "__name__", ""))
def test_a_promise_that_is_broken_is_found(
    judge: Callable[[Outcome], Verdict], outcome: Outcome
) -> None:
    assert not judge(outcome).holds


def test_every_promise_can_be_broken() -> None:
    assert {judge for judge, _ in BROKEN} == set(checks.CLAIMS)
