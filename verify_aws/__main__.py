"""Checks and asks, verifies, writes the page, deletes: whatever happens in between."""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from ecs_task_recycle.clock import as_utc
from ecs_task_recycle_client.function import Function
from verify_aws.account import NAME, VerifyError, connect
from verify_aws.deployment import Deployment
from verify_aws.options import read_options
from verify_aws.page import Findings, page
from verify_aws.verification import Verification


def main(arguments: Sequence[str]) -> int:
    """Verify or clean up; return the exit status."""
    options = read_options(arguments)
    # SIGINT, too: a shell that starts it in the background leaves that ignored.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        deployment = Deployment(connect())
        return _clean_up(options, deployment) if options.clean_up else _verify(options, deployment)
    except (VerifyError, ClientError, BotoCoreError, KeyboardInterrupt) as error:
        # Only from before the beginning, or where nothing but a deletion was asked for.
        sys.stderr.write(f"verify-aws: {str(error) or 'interrupted'}\n")
        return 2


def _clean_up(options: argparse.Namespace, deployment: Deployment) -> int:
    """Delete what a verification has left, if that is agreed to."""
    found = deployment.leftovers()
    if strangers := [each for each, is_ours in found.items() if not is_ours]:
        raise VerifyError(f"{' and '.join(strangers)}: no verification has made that stack.")
    if found:
        _require_yes(options, f"Delete {' and '.join(found)}?")
    return _told(deployment, deployment.delete())


def _verify(options: argparse.Namespace, deployment: Deployment) -> int:
    account = deployment.account
    if found := deployment.leftovers():
        raise VerifyError(
            f"There is {' and '.join(found)} already: another verification is at work, or was "
            "interrupted. Delete it with --clean-up."
        )
    services = "two services" if options.client_cidr else "one service (without --client-cidr)"
    plan = (
        f"In the account {'*' * 8}{account.account_id[-4:]}, in {account.region}, two stacks:\n"
        f"  {deployment.stacks[0]}: {services} of three Fargate tasks (verify_aws/template.yaml)\n"
        f"  {deployment.stacks[1]}: the function and its guardian (template.yaml)\n"
        "It takes about 40 minutes and costs about USD 0.20; then both are deleted.\n"
    )
    _require_yes(options, f"{plan}Begin?")
    findings = Findings(began_at=account.clock.now(), region=account.region)
    verification = Verification(
        options=options,
        account=account,
        deployment=deployment,
        function=Function(account.session, NAME, account.clock),
        findings=findings,
    )
    try:
        verification.run()
    except KeyboardInterrupt:
        findings.error = "it was interrupted"
    except Exception as error:  # noqa: BLE001 - whatever it is, the page tells it
        findings.error = f"{type(error).__name__}: {error}"
    findings.left = dict.fromkeys(deployment.stacks, "its deletion was not waited for")
    # Before the deletion, which takes minutes and may be interrupted, too.
    _write(deployment, findings)
    account.say("Deleting everything ...")
    with suppress(KeyboardInterrupt):
        findings.left = deployment.delete()
    _write(deployment, findings)
    for each in findings.problems:
        account.say(each)
    return _told(deployment, findings.left) or int(bool(findings.problems))


def _write(deployment: Deployment, findings: Findings) -> None:
    path = Path(f"verify-aws-{as_utc(findings.began_at):%Y-%m-%d}.md")
    path.write_text(deployment.account.masked(page(findings)), encoding="utf-8")
    deployment.account.say(f"The page is {path}.")


def _told(deployment: Deployment, left: dict[str, str]) -> int:
    """Say what is left after a deletion; return the exit status."""
    for what, reason in left.items():
        deployment.account.say(f"{what} is left: {reason}")
    again = 'Delete it by: make verify-aws ARGS="--clean-up"'
    deployment.account.say(again if left else "Everything is deleted.")
    return int(bool(left))


def _require_yes(options: argparse.Namespace, question: str) -> None:
    """Ask, unless --yes has answered; only "yes", in full, is a yes. Raises VerifyError."""
    sys.stdout.write(f"{question} {'Yes.' if options.yes else 'Type yes to go on:'}\n")
    sys.stdout.flush()
    if not options.yes and sys.stdin.readline().strip() != "yes":
        raise VerifyError("Without a yes nothing was done.")


if __name__ == "__main__":
    status = main(sys.argv[1:])
    # Not sys.exit: it waits for threads, and an invocation that was given up may go on for minutes.
    os._exit(status)
