"""Checks and asks, verifies, writes the page, deletes: whatever happens in between."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from botocore.exceptions import BotoCoreError, ClientError

from ecs_task_recycle.clock import Clock, SystemClock, as_utc
from verify_aws import cost
from verify_aws.account import Account, VerifyError, connect, require_network
from verify_aws.clock import StoppableClock
from verify_aws.findings import Findings
from verify_aws.function import Function, build_zip
from verify_aws.options import Options, read_options
from verify_aws.page import page
from verify_aws.stacks import Left, Stacks, stack_names
from verify_aws.terminal import complain, is_agreed_to, say
from verify_aws.verification import Verification, facts

if TYPE_CHECKING:
    from collections.abc import Sequence

REFUSED: Final = 2
INTERRUPTED: Final = 128 + signal.SIGINT


def main(arguments: Sequence[str]) -> int:
    """Verify or clean up; return the exit status."""
    options = read_options(arguments)
    clock = SystemClock()
    # SIGINT, too: a shell that starts it in the background leaves that ignored.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        account = connect(options, clock)
        stacks = Stacks(account=account, name=options.name, clock=clock, say=say)
        if options.cleans_up:
            return _clean_up(options, stacks)
        return _verify(options, stacks, clock)
    except (VerifyError, ClientError, BotoCoreError) as error:
        # Only from before the beginning, or where nothing but a deletion was asked for.
        complain(str(error))
        return REFUSED
    except KeyboardInterrupt:
        complain("interrupted.")
        return INTERRUPTED


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _clean_up(options: Options, stacks: Stacks) -> int:
    """Delete what a verification of this name has left, if that is agreed to."""
    found = stacks.leftovers()
    others = [each for each in stacks.others() if each != options.name]
    if others:
        say(f"There are stacks of other verifications, too; their --name: {', '.join(others)}.")
    if not found:
        say(f"There is no stack of a verification named {options.name} in {stacks.account.region}.")
    elif not options.is_agreed and not is_agreed_to(f"Delete {' and '.join(found)}?"):
        complain("nothing was deleted.")
        return REFUSED
    return _told(stacks.delete())


def _told(left: Sequence[Left]) -> int:
    """Say what is left after a deletion; return the exit status."""
    for each in left:
        complain(f"left: {each.what}: {each.reason}")
        complain(f"      {each.command}")
    if not left:
        say("Everything is deleted.")
    return 1 if left else 0


def _verify(options: Options, stacks: Stacks, clock: Clock) -> int:
    account = stacks.account
    require_network(account, options)
    if found := stacks.leftovers():
        raise VerifyError(
            f"There is {' and '.join(found)} already: another verification is at work, or was "
            "interrupted. Delete it with --clean-up, or choose another --name."
        )
    _announce(options, account)
    if not options.is_agreed and not is_agreed_to("Begin?"):
        complain("not begun: nothing was created.")
        return REFUSED
    stoppable = StoppableClock()
    verification = Verification(
        options=options,
        account=account,
        clock=stoppable,
        stacks=stacks,
        function=Function(account=account, name=options.name, clock=stoppable, code=build_zip()),
        findings=Findings(
            began_at=clock.now(),
            region=account.region,
            ahead_seconds=account.ahead_seconds,
            facts=facts(options, account),
        ),
        say=lambda text: say(f"{as_utc(clock.now()):%H:%M:%S} {account.masked(text)}"),
    )
    return _carry_out(verification)


def _announce(options: Options, account: Account) -> None:
    of_function, of_services = stack_names(options.name)
    say(
        f"In the account {'*' * 8}{account.account_id[-4:]}, in {account.region}:",
        f"  the stack {of_function}: template.yaml, the function and its guardian",
        f"  the stack {of_services}: verify_aws/template.yaml: a cluster, "
        f"{3 * len(options.services)} Fargate tasks"
        + (", a load balancer" if options.has_load_balancer else ""),
        "It takes about 40 minutes; then both are deleted. It costs at most:",
        *cost.lines(options),
    )


def _carry_out(verification: Verification) -> int:
    """Verify; then, whatever came of it, write the page and delete everything."""
    findings, account = verification.findings, verification.account
    path = verification.options.page or Path(f"verify-aws-{as_utc(findings.began_at):%Y-%m-%d}.md")
    try:
        verification.run()
    except KeyboardInterrupt:
        findings.error = "It was interrupted."
    except Exception as error:  # noqa: BLE001 - whatever it is, the page tells it
        findings.error = account.masked(f"{type(error).__name__}: {error}")
    # Before the deletion, which takes minutes and may be interrupted, too.
    _write(path, verification)
    with suppress(KeyboardInterrupt):
        findings.left = verification.stacks.delete()
    if findings.left is None:
        findings.left = verification.stacks.given_up()
    _write(path, verification)
    status = _told(findings.left)
    say(f"The page is {path}.")
    for each in (findings.error, *findings.broken):
        if each is not None:
            complain(each)
    return 1 if findings.error or findings.broken else status


def _write(path: Path, verification: Verification) -> None:
    try:
        path.write_text(page(verification.findings, verification.account.masked), encoding="utf-8")
    except OSError as error:
        complain(f"the page could not be written: {error}")


if __name__ == "__main__":
    status = main(sys.argv[1:])
    # Not sys.exit: it waits for threads, and an invocation that was given up may go on for minutes.
    os._exit(status)
