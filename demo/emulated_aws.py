"""The emulated AWS as a process of its own: started, asked by real clients, ended."""

from __future__ import annotations

import json
import sys
import time
import urllib.request
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Final, Self

import boto3

from demo.checks import Capacity
from demo.lambda_runtime import MADE_UP_ACCOUNT
from demo.package import PROJECT
from demo.process import LocalProcess
from demo.record import Record, read_record

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

HISTORY_PATH: Final = "/_emulator/history"
POLL_SECONDS: Final = 0.2

# https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html
ENDPOINT_VARIABLES: Final = (
    "AWS_ENDPOINT_URL_ECS",
    "AWS_ENDPOINT_URL_APPLICATION_AUTO_SCALING",
    "AWS_ENDPOINT_URL_ELASTIC_LOAD_BALANCING_V2",
    "AWS_ENDPOINT_URL_STS",
    "AWS_ENDPOINT_URL_SSM",
    "AWS_ENDPOINT_URL_CLOUDWATCH",
    "AWS_ENDPOINT_URL_SECRETS_MANAGER",
    "AWS_ENDPOINT_URL",  # whatever else is called must not leave this machine either
)


class EmulatorError(RuntimeError):
    """The emulator did not start; the sentence holds what it said last."""


class EmulatedAws:
    """`python -m ecs_emulator` with these options, for as long as the `with` lasts."""

    def __init__(self, options: Sequence[str], *, cluster: str, service: str, folder: Path) -> None:
        self._cluster = cluster
        self._service = service
        command = [sys.executable, "-m", "ecs_emulator", "--cluster", cluster, "--service", service]
        self._process = LocalProcess(
            [*command, *options],
            environment={
                "PYTHONDONTWRITEBYTECODE": "1",
                "LANG": "C.UTF-8",
                "HOME": str(folder),
                "TMPDIR": str(folder),
            },
            folder=PROJECT,
        )
        self._running = ExitStack()
        self.url = ""

    def __enter__(self) -> Self:
        with ExitStack() as running:
            running.enter_context(self._process)
            with suppress(TimeoutError):
                self.url = json.loads(self._process.wait_for_line("endpoint_url"))["endpoint_url"]
                self._running = running.pop_all()
        if not self.url:
            # Only now that it has ended is all there that it had to say.
            raise EmulatorError(" ".join(self._process.diagnostics[-1:]))
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def endpoints(self) -> dict[str, str]:
        """Return the environment in which every AWS client calls the emulator."""
        return dict.fromkeys(ENDPOINT_VARIABLES, self.url)

    def record(self) -> Record:
        """Return what has happened so far."""
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(self.url + HISTORY_PATH, timeout=10) as answer:
            return read_record(json.load(answer))

    def settled_record(self, *, within_seconds: float) -> Record:
        """Return the record once every task is in service or gone, else the last one in time."""
        give_up_at = time.monotonic() + within_seconds
        while not (record := self.record()).is_settled and time.monotonic() < give_up_at:
            time.sleep(POLL_SECONDS)
        return record

    def capacity(self) -> Capacity:
        """Return the desired count and the limits, by the AWS API."""
        session = _session()
        ecs = session.client("ecs", endpoint_url=self.url)
        services = ecs.describe_services(cluster=self._cluster, services=[self._service])
        autoscaling = session.client("application-autoscaling", endpoint_url=self.url)
        targets = autoscaling.describe_scalable_targets(
            ServiceNamespace="ecs", ResourceIds=[f"service/{self._cluster}/{self._service}"]
        )
        (target,) = targets["ScalableTargets"]
        return Capacity(
            desired_count=services["services"][0]["desiredCount"],
            min_capacity=target["MinCapacity"],
            max_capacity=target["MaxCapacity"],
        )

    def journal(self) -> str | None:
        """Return what the service's journal holds, None where there is none."""
        name = f"/ecs-task-recycle/{self._cluster}/{self._service}"
        ssm = _session().client("ssm", endpoint_url=self.url)
        try:
            return ssm.get_parameter(Name=name)["Parameter"]["Value"]
        except ssm.exceptions.ParameterNotFound:
            return None


def _session() -> boto3.Session:
    return boto3.Session(
        aws_access_key_id=MADE_UP_ACCOUNT["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=MADE_UP_ACCOUNT["AWS_SECRET_ACCESS_KEY"],
        region_name=MADE_UP_ACCOUNT["AWS_REGION"],
    )
