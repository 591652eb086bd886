"""The account that is used: its clients, the clock, and what of it is not to be shown."""

import sys
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Final

import boto3

from ecs_task_recycle.aws.gateway import CONFIG
from ecs_task_recycle.clock import Clock, SystemClock, as_utc

NAME: Final = "ecs-recycle-verify"
"""Of all that is created: the cluster, the function, its table, the stack of the services."""
CLIENTS: Final = ("cloudformation", "ecs", "elbv2", "lambda", "logs", "s3", "sts")


class VerifyError(Exception):
    """Something that ends the verification: a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One account and region; `aws` has a boto3 client for each of CLIENTS."""

    account_id: str
    region: str
    clock: Clock
    session: Any
    aws: Any

    def masked(self, text: object) -> str:
        """Return a text without the account's number."""
        return str(text).replace(self.account_id, "*" * 12)

    def say(self, text: str) -> None:
        """Write a line with the time (UTC)."""
        sys.stdout.write(f"{as_utc(self.clock.now()):%H:%M:%S} {self.masked(text)}\n")
        sys.stdout.flush()


def connect() -> Account:
    """Return the account whose credentials boto3 finds; raises BotoCoreError without a region."""
    session: Any = boto3.Session()
    # Here and at once: a session does not make clients in several threads.
    aws = SimpleNamespace(**{name: session.client(name, config=CONFIG) for name in CLIENTS})
    return Account(
        account_id=aws.sts.get_caller_identity()["Account"],
        region=session.region_name,
        clock=SystemClock(),
        session=session,
        aws=aws,
    )
