"""Starts the Step Functions execution of a sweep, which is named after the sweep's id.

https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from ecs_task_recycle.aws.errors import retry_until, translated
from ecs_task_recycle.aws.gateway import CONFIG
from ecs_task_recycle.aws.guardian import ALREADY_STARTED, START
from ecs_task_recycle.clock import Clock
from ecs_task_recycle.errors import AwsCallError

if TYPE_CHECKING:
    import boto3

PATIENCE_SECONDS: Final = 60.0


class SweepMachine:
    """The state machine of sweeps, by the function's own role."""

    def __init__(self, session: boto3.Session, *, machine_arn: str) -> None:
        """Take the state machine's ARN; call nothing yet."""
        self._session = session
        self._machine_arn = machine_arn

    def execution_arn(self, sweep: str) -> str:
        """Return the ARN of a sweep's execution."""
        return f"{self._machine_arn.replace(':stateMachine:', ':execution:')}:{sweep}"

    def start(self, sweep: str, *, lanes: int, clock: Clock) -> None:
        """Start the execution of a sweep, unless it is there already. Raises AwsCallError."""
        given = {"sweep_end": sweep, "lanes": list(range(lanes)), "rounds": 0, "stopped": None}
        client = self._session.client("stepfunctions", config=CONFIG)

        def start() -> None:
            with translated(START):
                client.start_execution(
                    stateMachineArn=self._machine_arn, name=sweep, input=json.dumps(given)
                )

        try:
            retry_until(start, clock, until=clock.now() + PATIENCE_SECONDS)
        except AwsCallError as error:
            if error.code != ALREADY_STARTED:
                raise
