"""The account that is used: its clients, the clock, and what of it is not to be shown."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Final, override

import boto3
from botocore.config import Config

from ecs_task_recycle.clock import SystemClock

CLIENTS: Final = {
    **{name: name for name in ("cloudformation", "ecs", "elbv2", "logs", "sts")},
    "lambda_": "lambda",
    "autoscaling": "application-autoscaling",
}
ORDINARY: Final = Config(retries={"mode": "standard", "max_attempts": 5})
# A run answers when it is over, and its invocation must not be repeated.
LONG: Final = Config(read_timeout=960, tcp_keepalive=True, retries={"total_max_attempts": 1})


class VerifyError(Exception):
    """Something that ends the verification: a sentence."""


class StoppedError(Exception):
    """Somebody wanted to wait for something that nobody waits for any more."""


class StoppableClock(SystemClock):
    """This machine's clock; whoever sleeps is woken when all is over."""

    def __init__(self) -> None:
        self._is_over = threading.Event()

    @override
    def sleep(self, seconds: float) -> None:
        """Return when so many seconds have passed; raises StoppedError when all is over."""
        if self._is_over.wait(max(0.0, seconds)):
            raise StoppedError

    @contextmanager
    def meanwhile(self, works: Sequence[tuple[float, Callable[[], object]]]) -> Iterator[None]:
        """Do each work every so many seconds in a thread; at the block's end, all is over."""
        threads = [threading.Thread(target=self._repeat, args=each, daemon=True) for each in works]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._is_over.set()
            for thread in threads:
                thread.join(timeout=60)

    def _repeat(self, seconds: float, work: Callable[[], object]) -> None:
        with suppress(StoppedError):
            while True:
                due = self.now() + seconds
                work()
                self.sleep(due - self.now())


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One account and region: `aws` has a client for each of CLIENTS, `invoker` is for runs."""

    account_id: str
    region: str
    clock: StoppableClock
    aws: Any
    invoker: Any

    def masked(self, text: object) -> str:
        """Return a text without the account's number."""
        return str(text).replace(self.account_id, "*" * 12)


def connect(profile: str | None, region: str | None) -> Account:
    """Return the account whose credentials boto3 finds; raises VerifyError without a region."""
    session = boto3.Session(profile_name=profile, region_name=region)
    if session.region_name is None:
        raise VerifyError("No region is configured: name one with --region.")
    make: Any = session.client
    clients = {name: make(service, config=ORDINARY) for name, service in CLIENTS.items()}
    caller = clients["sts"].get_caller_identity()
    return Account(
        account_id=caller["Account"],
        region=session.region_name,
        clock=StoppableClock(),
        aws=SimpleNamespace(**clients),
        invoker=session.client("lambda", config=LONG),
    )


def limits_of(cluster: str, service: str) -> dict[str, str]:
    """Return how Application Auto Scaling names the desired count of a service."""
    return {
        "ServiceNamespace": "ecs",
        "ScalableDimension": "ecs:service:DesiredCount",
        "ResourceId": f"service/{cluster}/{service}",
    }
