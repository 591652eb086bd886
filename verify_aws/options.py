"""What is asked for on the command line, and what that costs.

CloudFormation checks names, addresses and ports. Prices: us-east-1 as of March 2026.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

HIGHEST_RATE: Final = 200
TASKS_COUNT: Final = 5
"""Of a service at most: three, the extra one, and one that is still stopping."""

TASK_DOLLARS: Final = {
    "arm64": 0.25 * 0.03238 + 0.5 * 0.00356,
    "x86_64": 0.25 * 0.04048 + 0.5 * 0.004445,
}


def _option(help_: str, default: Any = None, **how: Any) -> Any:  # noqa: ANN401 - argparse's
    return field(default=default, metadata={"help": help_, "default": default, **how})


def _flag(help_: str) -> Any:  # noqa: ANN401 - a field of a dataclass
    return _option(help_, default=False, action="store_true")


def _list(help_: str) -> Any:  # noqa: ANN401 - likewise
    return _option(help_, default=(), type=lambda text: tuple(text.split(",")), metavar="ID,ID")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The network, and how the verification is run: each an option of the command line."""

    vpc: str | None = _option("of the tasks", metavar="ID")
    subnets: tuple[str, ...] = _list("of the tasks")
    no_public_ip: bool = _flag("the subnets reach the image without one")
    client_cidr: str | None = _option("who may reach the load balancer", metavar="CIDR")
    no_load_balancer: bool = _flag("only the service without one")
    load_balancer_subnets: tuple[str, ...] = _list("default: those of the tasks")
    internal: bool = _flag("the load balancer has no public address")
    listener_port: str = _option("of the load balancer (default: %(default)s)", "80")
    url: str | None = _option("where this machine reaches the load balancer (default: its name)")
    rate: int = _option("requests per second (default: %(default)s)", 20, type=int)
    gateway_service: str | None = _option(
        "a service of yours behind an ECS gateway, to be read alone", metavar="CLUSTER/SERVICE"
    )
    architecture: str = _option("of the tasks", "arm64", choices=("arm64", "x86_64"))
    image: str = _option(
        "answers HTTP on port 80 at / (default: %(default)s)",
        "public.ecr.aws/docker/library/nginx:stable-alpine",
    )
    region: str | None = _option("default: that of the AWS configuration")
    profile: str | None = _option("of the AWS configuration")
    name: str = _option("of all that is created (default: %(default)s)", "ecs-recycle-verify")
    page: Path | None = _option("default: verify-aws-DATE.md", type=Path, metavar="FILE")  # noqa: RUF009
    yes: bool = _flag("begin without asking")
    clean_up: bool = _flag("only delete what an interrupted verification has left")

    @property
    def services(self) -> tuple[str, ...]:
        """The names of the services that are recycled."""
        return ("plain",) if self.no_load_balancer else ("plain", "balanced")


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    made = argparse.ArgumentParser(
        prog="python -m verify_aws",
        description="Recycles two ECS services of its own in your account, measures what AWS does, "
        "writes a page about it, and deletes everything. It costs some cents, takes about 40 "
        "minutes, and asks before it begins. docs/verify-aws.md describes it.",
    )
    for each in fields(Options):
        made.add_argument(f"--{each.name.replace('_', '-')}", **each.metadata)
    return made


def read_options(arguments: Sequence[str]) -> Options:
    """Return what is asked for; end with status 2 and a sentence if it makes no sense."""
    reader = parser()
    options = Options(**vars(reader.parse_args(arguments)))
    if not options.clean_up and (problem := _problem(options)):
        reader.error(problem)
    return options


def _problem(options: Options) -> str | None:
    if not (options.vpc and options.subnets):
        return "--vpc and --subnets are needed: they name the network of the tasks."
    if options.page is not None and not options.page.absolute().parent.is_dir():
        return f"--page: there is no folder {options.page.absolute().parent.name} to write it into."
    if not 1 <= options.rate <= HIGHEST_RATE:
        return f"--rate is requests per second, from 1 to {HIGHEST_RATE}."
    if not (options.no_load_balancer or options.client_cidr):
        return (
            "--client-cidr is needed: the address that this machine has on its way to the load "
            "balancer, such as 203.0.113.7/32. Nobody else can reach it. Or: --no-load-balancer."
        )
    return None


type Bill = list[tuple[float, float, str, str]]
"""How much there is at most, its price in USD, of what, and which page of AWS says so."""


def bill(options: Options) -> Bill:
    """Return the bill for one hour."""
    tasks = TASKS_COUNT * len(options.services)
    balancers = len(options.services) - 1
    zones = len(options.load_balancer_subnets or options.subnets)
    addresses = tasks * (not options.no_public_ip) + zones * balancers * (not options.internal)
    task = f"Fargate task of 0.25 vCPU and 0.5 GB ({options.architecture}), hour"
    every = [
        (tasks, TASK_DOLLARS[options.architecture], task, "fargate"),
        (balancers, 0.0305, "load balancer, hour with one unit", "elasticloadbalancing"),
        (addresses, 0.005, "public IPv4 address, hour", "vpc"),
        (1, 0.25 * 3600 * 0.0000133334, "function of 256 MB, hour", "lambda"),
        (0.02, 0.50, "GB of log", "cloudwatch"),
    ]
    return [each for each in every if each[0]]


def lines(bill: Bill) -> list[str]:
    """Return a bill as text, with the sum."""
    rows = [
        f"  {amount:6.2f} x USD {price:.4f}  {of}  (https://aws.amazon.com/{page}/pricing/)"
        for amount, price, of, page in bill
    ]
    total = f"  about USD {sum(amount * price for amount, price, *_ in bill):.2f}"
    return [*rows, f"{total} for an hour, by the list prices of us-east-1 as of March 2026."]
