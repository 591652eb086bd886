"""What is asked for on the command line, and what that costs."""

import argparse
from collections.abc import Sequence
from typing import Final


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    made = argparse.ArgumentParser(
        prog="python -m verify_aws",
        description="Recycles two ECS services of its own in your account, measures what AWS does, "
        "writes a page about it, and deletes everything. It costs some cents, takes about 40 "
        "minutes, and asks before it begins. docs/verify-aws.md describes it.",
    )
    made.add_argument("--vpc", metavar="ID", help="of the tasks and the load balancer")
    made.add_argument("--subnets", metavar="ID,ID", help="public ones of it, in two zones")
    text = "who may reach the load balancer; without it there is none"
    made.add_argument("--client-cidr", metavar="CIDR", default="", help=text)
    text = "where this machine reaches the load balancer (default: its name)"
    made.add_argument("--url", help=text)
    text = "one of yours behind an ECS gateway or in Express Mode, to be read alone"
    made.add_argument("--gateway-service", metavar="CLUSTER/SERVICE", help=text)
    made.add_argument("--yes", action="store_true", help="begin, or delete, without asking")
    text = "only delete what an interrupted verification has left"
    made.add_argument("--clean-up", action="store_true", help=text)
    return made


def read_options(arguments: Sequence[str]) -> argparse.Namespace:
    """Return what is asked for; end with status 2 and a sentence if it makes no sense."""
    reader = parser()
    options = reader.parse_args(arguments)
    if not (options.clean_up or (options.vpc and options.subnets)):
        reader.error("--vpc and --subnets are needed: they name the network of the tasks.")
    return options


BILL: Final = (
    (10, 0.25 * 0.03238 + 0.5 * 0.00356, "Fargate task of 0.25 vCPU and 0.5 GB", "fargate"),
    (1, 0.0305, "load balancer with one unit", "elasticloadbalancing"),
    (12, 0.005, "public IPv4 address", "vpc"),
    (1, 0.25 * 3600 * 0.0000133334, "function of 256 MB", "lambda"),
    (0.02, 0.50, "GB of log", "cloudwatch"),
)
"""How much there is at most for an hour, its price in USD, of what, which page of AWS says so.

Of a service at most three tasks, the extra one, and one that is still stopping; a load balancer has
an address in each of two zones. Prices: us-east-1 as of March 2026.
"""
DOLLARS: Final = sum(amount * price for amount, price, *_ in BILL)


def bill() -> str:
    """Return the calculation as text."""
    rows = [
        f"  {amount:5.2f} x USD {price:.4f}  {of}  (https://aws.amazon.com/{page}/pricing/)\n"
        for amount, price, of, page in BILL
    ]
    return f"{''.join(rows)}  about USD {DOLLARS:.2f} for an hour, by the prices of us-east-1"
