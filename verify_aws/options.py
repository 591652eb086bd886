"""What is asked for on the command line."""

import argparse
from collections.abc import Sequence


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
    made.add_argument("--client-cidr", metavar="CIDR", default="", help="who may reach the latter")
    made.add_argument("--url", help="where this machine reaches it (default: its own name)")
    text = "one of yours behind an ECS gateway or in Express Mode, to be read alone"
    made.add_argument("--gateway-service", metavar="CLUSTER/SERVICE", help=text)
    made.add_argument("--yes", action="store_true", help="begin, or delete, without asking")
    made.add_argument("--clean-up", action="store_true", help="only delete what one has left")
    return made


def read_options(arguments: Sequence[str]) -> argparse.Namespace:
    """Return what is asked for; end with status 2 and a sentence if it makes no sense."""
    reader = parser()
    options = reader.parse_args(arguments)
    if not (options.clean_up or (options.vpc and options.subnets)):
        reader.error("--vpc and --subnets are needed: they name the network of the tasks.")
    return options
