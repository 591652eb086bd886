"""What must have come true for the deployed road to have led anywhere: one verdict per claim."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from demo.checks import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from demo.local_cloud import Done
    from demo.mail_server import ReceivedMail

FUNCTION: Final = "ecs-task-recycle-function"
COMPLETED: Final = "Task recycle completed successfully"
SCHEDULED_INPUT: Final[Mapping[str, object]] = {
    "cluster_name": "demo",
    "service_name": "api",
    "maintain_service_state": True,
    "wait_time": 0,
    "protected_tasks": "wait",
    "stabilize_timeout": 300,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """One `aws lambda invoke`: what the CLI printed, and what it wrote into the response file."""

    done: Done
    response: str

    @property
    def printed(self) -> Mapping[str, Any]:
        """What the CLI printed, empty where that is no JSON object."""
        return _object(self.done.output)

    @property
    def answer(self) -> Mapping[str, Any]:
        """The function's answer, empty where there is none."""
        return _object(self.response)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedRun:
    """The messages that one run has logged, in their order."""

    run_id: str
    messages: Sequence[str]

    @property
    def service(self) -> str:
        """The service of its first line, as cluster/service."""
        return self.messages[0].rpartition(" ")[2] if self.messages else ""

    @property
    def is_completed(self) -> bool:
        """Whether it says that it has completed."""
        return COMPLETED in self.messages


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """The bucket with the zips, as S3 describes it."""

    blocks_public: bool
    encryption: str
    policy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployments:
    """A first deployment, one with nothing changed, one with a schedule; and what they made.

    `clusters` are the values of the conditions of the deployed role's policy.
    """

    first: Done
    again: Done
    scheduled: Done
    rule_input: str
    clusters: Sequence[str]
    built: bytes
    fetched: bytes
    bucket: Bucket


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Everything that can be seen of the road, from outside of the function.

    `lowest_in_service` is the emulator's own record, by service: the fewest in service at any
    instant. `told` is everything that anybody could read.
    """

    deployments: Deployments
    completed: Invocation
    failed: Invocation
    asynchronous: Invocation
    runs: Sequence[LoggedRun]
    deleted: Done
    deleted_again: Done
    lowest_in_service: Mapping[str, int]
    tasks_count: int
    mails: Sequence[ReceivedMail]
    secret: str
    told: str

    def runs_of(self, service: str) -> list[LoggedRun]:
        """Return the completed runs of a service."""
        return [run for run in self.runs if run.service == service and run.is_completed]


def verdicts(outcome: Outcome) -> list[Verdict]:
    """Return the verdict on every claim."""
    return [judge(outcome) for judge in CLAIMS]


def it_is_deployed(outcome: Outcome) -> Verdict:
    """Judge the first deployment."""
    done = outcome.deployments.first
    return Verdict(
        claim="one command deploys, and tells how to invoke",
        holds=done.status == 0
        and f"--function-name {FUNCTION}" in done.output
        and "is deployed in" in done.output,
        seen=_line_with(done, "is deployed in"),
    )


def again_changes_nothing(outcome: Outcome) -> Verdict:
    """Judge the second deployment, of the same sources and parameters."""
    done = outcome.deployments.again
    return Verdict(
        claim="deployed again, nothing changes",
        holds=done.status == 0
        and "nothing has changed" in done.output
        and "the bucket" not in done.output,
        seen=_line_with(done, "cloudformation_deploy.sh:"),
    )


def the_bucket_is_private(outcome: Outcome) -> Verdict:
    """Judge the bucket that the first deployment has created."""
    bucket = outcome.deployments.bucket
    tls_alone = "aws:SecureTransport" in bucket.policy and "Deny" in bucket.policy
    return Verdict(
        claim="the bucket is private, encrypted and reachable over TLS alone",
        holds=bucket.blocks_public and bool(bucket.encryption) and tls_alone,
        seen=f"public access {'' if bucket.blocks_public else 'not '}blocked, "
        f"{bucket.encryption or 'not encrypted'}, {'TLS alone' if tls_alone else 'not TLS alone'}",
    )


def the_schedule_has_its_constant_input(outcome: Outcome) -> Verdict:
    """Judge the third deployment, which brings a schedule."""
    done, rule_input = outcome.deployments.scheduled, outcome.deployments.rule_input
    return Verdict(
        claim="a changed parameter makes a rule with a constant input",
        holds=done.status == 0 and _object(rule_input) == SCHEDULED_INPUT,
        seen=" ".join(rule_input.split()) or _last_line(done),
    )


def the_role_is_limited(outcome: Outcome) -> Verdict:
    """Judge the clusters in the conditions of the deployed role's policy."""
    return Verdict(
        claim="the role reaches the one cluster that was named",
        holds=list(outcome.deployments.clusters) == ["arn:*:ecs:*:*:cluster/demo"],
        seen=", ".join(outcome.deployments.clusters),
    )


def the_invocation_completes(outcome: Outcome) -> Verdict:
    """Judge the synchronous invocation by the AWS CLI."""
    invocation = outcome.completed
    body = _object(str(invocation.answer.get("body", "")))
    return Verdict(
        claim="invoked synchronously, it answers 200, completed",
        holds=invocation.done.status == 0
        and "FunctionError" not in invocation.printed
        and invocation.answer.get("statusCode") == 200  # noqa: PLR2004 - HTTP's
        and (body.get("status"), body.get("tasks_recycled")) == ("completed", outcome.tasks_count),
        seen=f"{invocation.answer.get('statusCode')} {body.get('status')}, "
        f"{body.get('tasks_recycled')} of {outcome.tasks_count} tasks",
    )


def a_failure_is_a_function_error(outcome: Outcome) -> Verdict:
    """Judge an invocation for a service that is not there."""
    error = outcome.failed.printed.get("FunctionError")
    message = str(outcome.failed.answer.get("errorMessage"))
    return Verdict(
        claim="a failure is a FunctionError with its sentence",
        holds=error == "Unhandled" and "There is no service nowhere" in message,
        seen=f"{error}: {message}",
    )


def the_event_is_taken_and_completes(outcome: Outcome) -> Verdict:
    """Judge the asynchronous invocation: answered at once, and completed in the log."""
    status = outcome.asynchronous.printed.get("StatusCode")
    runs = outcome.runs_of("demo/web")
    return Verdict(
        claim="invoked asynchronously, it completes in the log",
        holds=status == 202 and len(runs) == 2,  # noqa: PLR2004 - HTTP's; the other was synchronous
        seen=f"answered {status}, {len(runs)} runs of demo/web have completed",
    )


def the_rule_fires(outcome: Outcome) -> Verdict:
    """Judge the scheduled run by the log."""
    runs = outcome.runs_of("demo/api")
    return Verdict(
        claim="the schedule invokes it",
        holds=bool(runs),
        seen=f"{len(runs)} runs of demo/api have completed",
    )


def nobody_was_missed(outcome: Outcome) -> Verdict:
    """Judge both services by the emulator's record."""
    lowest = outcome.lowest_in_service
    return Verdict(
        claim=f"never fewer than {outcome.tasks_count} in service",
        holds=len(lowest) == 2  # noqa: PLR2004 - the two services
        and min(lowest.values()) >= outcome.tasks_count,
        seen=", ".join(f"{service} lowest {count}" for service, count in lowest.items()),
    )


def the_zip_is_the_one_that_was_built(outcome: Outcome) -> Verdict:
    """Judge the code as AWS hands it back."""
    built, fetched = outcome.deployments.built, outcome.deployments.fetched
    return Verdict(
        claim="the zip fetched back is the one that was built",
        holds=bool(built) and built == fetched,
        seen=f"{len(fetched)} bytes fetched, {len(built)} built",
    )


def the_mails_were_sent_by_the_secret(outcome: Outcome) -> Verdict:
    """Judge that every run has mailed, over TLS, with the login from Secrets Manager."""
    mails = outcome.mails
    logged_in = [mail for mail in mails if mail.over_tls and mail.username]
    return Verdict(
        claim="each run has mailed with the login of the secret",
        holds=len(mails) == len(logged_in) == len(outcome.runs) > 0,
        seen=f"{len(outcome.runs)} runs, {len(mails)} mails, {len(logged_in)} with the login",
    )


def the_secret_is_told_nowhere(outcome: Outcome) -> Verdict:
    """Judge everything that was printed, logged or mailed."""
    is_told = outcome.secret in outcome.told
    return Verdict(
        claim="the password stands in no output, log or mail",
        holds=bool(outcome.secret) and not is_told,
        seen="it does" if is_told else f"{len(outcome.told)} characters looked through",
    )


def it_is_deleted(outcome: Outcome) -> Verdict:
    """Judge the deletion, and the one after it."""
    done, again = outcome.deleted, outcome.deleted_again
    return Verdict(
        claim="one command deletes it, and says so if there is nothing to delete",
        holds=(done.status, again.status) == (0, 0)
        and "is deleted" in done.output
        and "there is no stack" in again.output,
        seen=f"{_last_line(done)}; {_last_line(again)}",
    )


def _object(text: str) -> Mapping[str, Any]:
    try:
        document = json.loads(text)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _last_line(done: Done) -> str:
    return "".join((done.output + done.errors).strip().splitlines()[-1:])


def _line_with(done: Done, text: str) -> str:
    lines = (done.output + done.errors).splitlines()
    return next((line for line in lines if text in line), _last_line(done))


CLAIMS: Final[Sequence[Callable[[Outcome], Verdict]]] = (
    it_is_deployed,
    again_changes_nothing,
    the_bucket_is_private,
    the_schedule_has_its_constant_input,
    the_role_is_limited,
    the_invocation_completes,
    a_failure_is_a_function_error,
    the_event_is_taken_and_completes,
    the_rule_fires,
    nobody_was_missed,
    the_zip_is_the_one_that_was_built,
    the_mails_were_sent_by_the_secret,
    the_secret_is_told_nowhere,
    it_is_deleted,
)
