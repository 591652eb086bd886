"""What a verification costs, by the list prices of us-east-1 as of March 2026."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from verify_aws.options import Options

AS_OF: Final = "March 2026"
HOURS: Final = 1.0
"""From the first task to the last one's end: more than it usually takes."""

TASKS_COUNT: Final = 5
"""Of a service at most: three, the extra one, and one that is still stopping."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """USD for one of something."""

    of: str
    dollars: float
    source: str


VCPU: Final = {"arm64": 0.03238, "x86_64": 0.04048}
GIGABYTE: Final = {"arm64": 0.00356, "x86_64": 0.004445}
FARGATE: Final = "https://aws.amazon.com/fargate/pricing/"
LOAD_BALANCER: Final = Price(
    of="load balancer, hour with one capacity unit",
    dollars=0.0225 + 0.008,
    source="https://aws.amazon.com/elasticloadbalancing/pricing/",
)
ADDRESS: Final = Price(
    of="public IPv4 address, hour", dollars=0.005, source="https://aws.amazon.com/vpc/pricing/"
)
FUNCTION: Final = Price(
    of="function of 256 MB, hour",
    dollars=0.25 * 3600 * 0.0000133334,
    source="https://aws.amazon.com/lambda/pricing/",
)
LOG: Final = Price(
    of="GB of log", dollars=0.50, source="https://aws.amazon.com/cloudwatch/pricing/"
)
LOG_GIGABYTES: Final = 0.02


def _task(architecture: str) -> Price:
    return Price(
        of=f"Fargate task of 0.25 vCPU and 0.5 GB ({architecture}), hour",
        dollars=0.25 * VCPU[architecture] + 0.5 * GIGABYTE[architecture],
        source=FARGATE,
    )


def bill(options: Options) -> list[tuple[float, Price]]:
    """Return how much there is of what, at most."""
    tasks_hours = TASKS_COUNT * len(options.services) * HOURS
    addresses_hours = tasks_hours if options.has_public_ip else 0.0
    if options.has_load_balancer and not options.is_internal:
        addresses_hours += len(options.load_balancer_subnet_ids) * HOURS
    return [
        (tasks_hours, _task(options.architecture)),
        (HOURS if options.has_load_balancer else 0.0, LOAD_BALANCER),
        (addresses_hours, ADDRESS),
        (HOURS, FUNCTION),
        (LOG_GIGABYTES, LOG),
    ]


def dollars(options: Options) -> float:
    """Return what a verification costs at most, if it is deleted after HOURS."""
    return sum(amount * price.dollars for amount, price in bill(options))


def lines(options: Options) -> list[str]:
    """Return the bill as text."""
    return [
        *(
            f"  {amount:6.2f} x USD {price.dollars:.4f}  {price.of}  ({price.source})"
            for amount, price in bill(options)
            if amount
        ),
        (
            f"  about USD {dollars(options):.2f} for {HOURS:g} hour, by the list prices of "
            f"us-east-1 as of {AS_OF}."
        ),
        "  Prices differ by region; DynamoDB and Step Functions add less than a cent.",
    ]
