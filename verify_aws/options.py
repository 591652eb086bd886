"""What is asked for on the command line, checked as far as that goes without a call."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

IMAGE: Final = "public.ecr.aws/docker/library/nginx:stable-alpine"
HIGHEST_PORT: Final = 65_535
HIGHEST_RATE: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The network, and how the verification is run."""

    name: str
    region: str | None
    profile: str | None
    vpc_id: str | None
    subnet_ids: tuple[str, ...]
    load_balancer_subnet_ids: tuple[str, ...]
    has_public_ip: bool
    has_load_balancer: bool
    is_internal: bool
    listener_port: int
    client_cidr: str | None
    url: str | None
    rate: int
    image: str
    architecture: str
    page: Path | None
    is_agreed: bool
    cleans_up: bool

    @property
    def services(self) -> tuple[str, ...]:
        """The names of the services that are recycled."""
        return ("plain", "balanced") if self.has_load_balancer else ("plain",)


def read_options(arguments: Sequence[str]) -> Options:
    """Return what is asked for; end with status 2 and a sentence if it makes no sense."""
    parser = _parser()
    given = parser.parse_args(arguments)
    options = Options(
        name=given.name,
        region=given.region,
        profile=given.profile,
        vpc_id=given.vpc,
        subnet_ids=given.subnets,
        load_balancer_subnet_ids=given.load_balancer_subnets or given.subnets,
        has_public_ip=not given.no_public_ip,
        has_load_balancer=not given.no_load_balancer,
        is_internal=given.internal,
        listener_port=given.listener_port,
        client_cidr=given.client_cidr,
        url=given.url,
        rate=given.rate,
        image=given.image,
        architecture=given.architecture,
        page=given.page,
        is_agreed=given.yes,
        cleans_up=given.clean_up,
    )
    if not options.cleans_up and (problem := _problem(options)):
        parser.error(problem)
    return options


def _problem(options: Options) -> str | None:
    if options.vpc_id is None or not options.subnet_ids:
        return "--vpc and --subnets are needed: they name the network of the tasks."
    if options.page is not None and not options.page.absolute().parent.is_dir():
        return f"--page: there is no folder {options.page.absolute().parent.name} to write it into."
    if options.has_load_balancer and options.client_cidr is None:
        return (
            "--client-cidr is needed: the address that this machine has on its way to the load "
            "balancer, such as 203.0.113.7/32. Nobody else can reach it. Or: --no-load-balancer."
        )
    if options.has_load_balancer and len(options.load_balancer_subnet_ids) < len(("two", "zones")):
        return "A load balancer needs subnets in at least two zones: name another one."
    return None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m verify_aws",
        description="Deploys the function and two ECS services of its own into your account, "
        "recycles them, measures what AWS does, writes a page about it, and deletes everything. "
        "It costs some cents and takes about 40 minutes; it asks before it begins. "
        "docs/verify-aws.md describes it.",
    )
    _add_network(parser)
    add = parser.add_argument
    add("--architecture", choices=("arm64", "x86_64"), default="arm64", help="of the tasks")
    add("--image", default=IMAGE, help="answers HTTP on port 80 at / (default: %(default)s)")
    add("--region", help="default: that of the AWS configuration")
    add("--profile", help="of the AWS configuration")
    add("--name", type=_fits(r"[a-z][a-z0-9-]{1,30}", "a name of 2 to 31 small letters, digits "
        "and hyphens"), default="ecs-recycle-verify", help="of all that is created "
        "(default: %(default)s)")  # fmt: skip
    add("--page", type=Path, metavar="FILE", help="default: verify-aws-DATE.md, in this folder")
    add("--yes", action="store_true", help="begin without asking")
    add("--clean-up", action="store_true", help="only delete what a verification that was "
        "interrupted has left")  # fmt: skip
    return parser


def _add_network(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    subnets = _fits(r"subnet-[0-9a-f]+(,subnet-[0-9a-f]+)*", "subnet IDs separated by commas")

    def split(text: str) -> tuple[str, ...]:
        return tuple(subnets(text).split(","))

    add("--vpc", type=_fits(r"vpc-[0-9a-f]+", "the ID of a VPC"), metavar="ID")
    add("--subnets", type=split, default=(), metavar="ID,ID", help="of the tasks")
    add("--no-public-ip", action="store_true", help="the subnets reach the image without one")
    add("--no-load-balancer", action="store_true", help="only the service without one")
    add("--load-balancer-subnets", type=split, default=(), metavar="ID,ID",
        help="default: those of the tasks")  # fmt: skip
    add("--internal", action="store_true", help="the load balancer has no public address")
    add("--listener-port", type=_whole("a port", HIGHEST_PORT), default=80, metavar="PORT")
    add("--client-cidr", type=_cidr, metavar="CIDR", help="who may reach the load balancer")
    add("--url", type=_url, help="where this machine reaches the load balancer, such as a tunnel "
        "(default: its name)")  # fmt: skip
    add("--rate", type=_whole("requests per second", HIGHEST_RATE), default=20,
        help="requests per second (default: %(default)s)")  # fmt: skip


def _fits(pattern: str, expected: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise argparse.ArgumentTypeError(f"{text!r} is not {expected}.")
        return text

    return read


def _whole(expected: str, highest: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= highest:
            raise argparse.ArgumentTypeError(f"{text!r} is not {expected} from 1 to {highest}.")
        return int(text)

    return read


def _cidr(text: str) -> str:
    try:
        return str(IPv4Network(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no IPv4 network: {error}.") from None


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme != "http" or not parts.hostname or parts.username:
        raise argparse.ArgumentTypeError(f"{text!r} is not a URL such as http://localhost:8080/.")
    return text
