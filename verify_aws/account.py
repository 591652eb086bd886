"""The account that is used: its clients, and what of it is not to be shown."""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from ecs_task_recycle.clock import Clock
    from verify_aws.options import Options

MASK: Final = "************"
LEAST_ZONES: Final = 2
"""https://docs.aws.amazon.com/elasticloadbalancing/latest/application/application-load-balancers.html"""
ORDINARY: Final = Config(
    connect_timeout=10, read_timeout=60, retries={"mode": "standard", "max_attempts": 5}
)
# A run answers when it is over, and its invocation must not be repeated.
LONG: Final = Config(read_timeout=960, tcp_keepalive=True, retries={"total_max_attempts": 1})


class VerifyError(Exception):
    """Something that ends the verification: a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The clients of one account and region; `invoker` is that of Lambda for runs alone.

    `ahead_seconds`: how far this machine's clock is ahead of AWS's, which says whole seconds.
    """

    account_id: str
    region: str
    ahead_seconds: float
    cloudformation: Any
    lambda_: Any
    invoker: Any
    ecs: Any
    autoscaling: Any
    elbv2: Any
    logs: Any
    ec2: Any

    def masked(self, text: object) -> str:
        """Return a text without the account's number."""
        return str(text).replace(self.account_id, MASK)


def connect(options: Options, clock: Clock) -> Account:
    """Return the account whose credentials boto3 finds; raises VerifyError if it finds none."""
    try:
        session = boto3.Session(profile_name=options.profile, region_name=options.region)
        if session.region_name is None:
            raise VerifyError("No region is configured: name one with --region.")
        caller = session.client("sts", config=ORDINARY).get_caller_identity()
    except (BotoCoreError, ClientError) as error:
        raise VerifyError(f"AWS does not know who is calling: {error}") from error
    return Account(
        account_id=caller["Account"],
        region=session.region_name,
        ahead_seconds=_ahead_seconds(caller, clock),
        cloudformation=session.client("cloudformation", config=ORDINARY),
        lambda_=session.client("lambda", config=ORDINARY),
        invoker=session.client("lambda", config=LONG),
        ecs=session.client("ecs", config=ORDINARY),
        autoscaling=session.client("application-autoscaling", config=ORDINARY),
        elbv2=session.client("elbv2", config=ORDINARY),
        logs=session.client("logs", config=ORDINARY),
        ec2=session.client("ec2", config=ORDINARY),
    )


def _ahead_seconds(answer: Any, clock: Clock) -> float:  # noqa: ANN401 - boto3's type
    date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
    return clock.now() - parsedate_to_datetime(date).timestamp() - 0.5 if date else 0.0


def require_network(account: Account, options: Options) -> None:
    """Raise VerifyError if the subnets are not of the VPC, or too few for a load balancer."""
    wanted = {*options.subnet_ids, *options.load_balancer_subnet_ids}
    try:
        found = account.ec2.describe_subnets(SubnetIds=sorted(wanted))["Subnets"]
    except ClientError as error:
        raise VerifyError(f"The subnets cannot be read: {error}") from error
    strangers = [each["SubnetId"] for each in found if each["VpcId"] != options.vpc_id]
    if strangers:
        raise VerifyError(f"{', '.join(strangers)}: not in {options.vpc_id}.")
    zones = {
        each["AvailabilityZone"]
        for each in found
        if each["SubnetId"] in options.load_balancer_subnet_ids
    }
    if options.has_load_balancer and len(zones) < LEAST_ZONES:
        raise VerifyError("A load balancer needs subnets in at least two zones; these are in one.")
