"""Checks and asks, verifies, writes the page, deletes: whatever happens in between."""

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError

from ecs_task_recycle.clock import as_utc
from verify_aws.account import VerifyError, connect
from verify_aws.function import Function
from verify_aws.options import Options, bill, lines, read_options
from verify_aws.page import Findings, page
from verify_aws.stacks import Stacks
from verify_aws.verification import Verification, facts

REFUSED: Final = 2


def main(arguments: Sequence[str]) -> int:
    """Verify or clean up; return the exit status."""
    options = read_options(arguments)
    # SIGINT, too: a shell that starts it in the background leaves that ignored.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        account = connect(options.profile, options.region)
        stacks = Stacks(account=account, name=options.name)
        return _clean_up(options, stacks) if options.clean_up else _verify(options, stacks)
    except (VerifyError, ClientError, BotoCoreError, KeyboardInterrupt) as error:
        # Only from before the beginning, or where nothing but a deletion was asked for.
        _complain(str(error) or "interrupted")
        return REFUSED


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _clean_up(options: Options, stacks: Stacks) -> int:
    """Delete what a verification of this name has left, if that is agreed to."""
    tags, found = stacks.tags(), stacks.leftovers()
    if strangers := [each for each in stacks.names if tags.get(each, options.name) != options.name]:
        raise VerifyError(f"{' and '.join(strangers)}: no verification has made that stack.")
    if others := {*tags.values()} - {options.name, ""}:
        _say(f"There are stacks of other verifications, too; --name {', '.join(sorted(others))}.")
    if found and not _is_agreed(options, f"Delete {', '.join(found)}?"):
        raise VerifyError("Nothing was deleted.")
    return _told(stacks, stacks.delete())


def _verify(options: Options, stacks: Stacks) -> int:
    account, clock = stacks.account, stacks.account.clock
    if found := stacks.leftovers():
        raise VerifyError(
            f"There is {', '.join(found)} already: another verification is at work, or was "
            "interrupted. Delete it with --clean-up, or choose another --name."
        )
    _say(
        f"In the account {'*' * 8}{account.account_id[-4:]}, in {account.region}, two stacks:",
        f"  {stacks.names[0]}: the function and its guardian (template.yaml)",
        f"  {options.name}: {3 * len(options.services)} Fargate tasks (verify_aws/template.yaml)",
        "It takes about 40 minutes; then both are deleted. It costs at most:",
        *lines(bill(options)),
    )
    if not _is_agreed(options, "Begin?"):
        raise VerifyError("Not begun: nothing was created.")
    verification = Verification(
        options=options,
        account=account,
        stacks=stacks,
        function=Function(account=account, name=options.name),
        findings=Findings(began_at=clock.now(), facts=facts(options, account)),
        say=lambda text: _say(f"{as_utc(clock.now()):%H:%M:%S} {account.masked(text)}"),
    )
    return _carry_out(verification)


def _carry_out(verification: Verification) -> int:
    """Verify; then, whatever came of it, write the page and delete everything."""
    findings, stacks = verification.findings, verification.stacks
    try:
        verification.run()
    except KeyboardInterrupt:
        findings.error = "it was interrupted"
    except Exception as error:  # noqa: BLE001 - whatever it is, the page tells it
        findings.error = f"{type(error).__name__}: {error}"
    findings.left = dict.fromkeys(stacks.commands, "its deletion was not waited for")
    # Before the deletion, which takes minutes and may be interrupted, too.
    _write(verification)
    _say("Deleting everything ...")
    with suppress(KeyboardInterrupt):
        findings.left = stacks.delete()
    _write(verification)
    for each in findings.problems:
        _complain(stacks.account.masked(each))
    return _told(stacks, findings.left) or int(bool(findings.problems))


def _write(verification: Verification) -> None:
    findings, masked = verification.findings, verification.account.masked
    path = verification.options.page or Path(f"verify-aws-{as_utc(findings.began_at):%Y-%m-%d}.md")
    try:
        path.write_text(masked(page(findings)), encoding="utf-8")
        _say(f"The page is {path}.")
    except OSError as error:
        _complain(f"the page could not be written: {error}")


def _told(stacks: Stacks, left: dict[str, str]) -> int:
    """Say what is left after a deletion; return the exit status."""
    for what, reason in left.items():
        _complain(f"{what} is left: {reason}")
        _complain(f"aws --region {stacks.account.region} {stacks.commands[what]}")
    if not left:
        _say("Everything is deleted.")
    return int(bool(left))


def _say(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def _complain(line: str) -> None:
    sys.stderr.write(f"verify-aws: {line}\n")
    sys.stderr.flush()


def _is_agreed(options: Options, question: str) -> bool:
    """Ask, unless --yes has answered; only "yes", in full, is a yes."""
    if not options.yes:
        _say(f"{question} Type yes to go on:")
    return options.yes or sys.stdin.readline().strip() == "yes"


if __name__ == "__main__":
    status = main(sys.argv[1:])
    # Not sys.exit: it waits for threads, and an invocation that was given up may go on for minutes.
    os._exit(status)
