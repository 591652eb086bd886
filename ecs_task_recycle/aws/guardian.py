"""The guardian: the Step Functions execution that watches over one run and continues it.

A run starts it before it raises or stops anything, so a run that dies at any instant is continued.
The execution is named after the run's id. The function's own role makes the calls.
https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final

from botocore.config import Config

from ecs_task_recycle.aws.errors import expect_refusal, retry_until, translated
from ecs_task_recycle.clock import Clock, as_utc
from ecs_task_recycle.codec import encode
from ecs_task_recycle.errors import AwsCallError
from ecs_task_recycle.model import ScaleUp
from ecs_task_recycle.outcome import Ended, Status

if TYPE_CHECKING:
    import boto3
    from mypy_boto3_stepfunctions import SFNClient


START: Final = "states:StartExecution"
DESCRIBE: Final = "states:DescribeExecution"
ALREADY_STARTED: Final = "ExecutionAlreadyExists"
NOT_STARTED: Final = "ExecutionDoesNotExist"
RUNNING: Final = "RUNNING"

FIRST_LOOK_SECONDS: Final = 240.0
"""The guardian first checks its run after this time: small runs have ended by then."""

LOOK_AGAIN_SECONDS: Final = 60
"""The pause between two checks of a run whose invocation may still be alive. A run that was handed
over waits this long at most, with its extra task."""

LONGEST_WAIT_SECONDS: Final = 300.0
"""The longest pause between two checks of protected tasks: 47 hours then take about 560 segments of
the 2,776 that fit into an execution's 25,000 events, and less than 1 % of the time is billed."""

START_WITHIN_SECONDS: Final = 10.0
"""How long to repeat a start that fails: the run raises nothing before it succeeds."""

CONFIG: Final = Config(
    connect_timeout=3, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 5}
)

logger = logging.getLogger(__name__)


class Guardian:
    """The guardian of one run of the service that ``names`` names."""

    def __init__(
        self, session: boto3.Session, *, machine_arn: str, run_id: str, names: Mapping[str, str]
    ) -> None:
        """Take the state machine's ARN; call nothing yet."""
        self._session = session
        self._machine_arn = machine_arn
        self._run_id = run_id
        self._names = names

    @cached_property
    def _client(self) -> SFNClient:
        return self._session.client("stepfunctions", config=CONFIG)

    @property
    def execution_arn(self) -> str:
        """The ARN of the run's execution."""
        return f"{self._machine_arn.replace(':stateMachine:', ':execution:')}:{self._run_id}"

    def segment_event(self, raised: object) -> dict[str, Any]:
        """Return the event that invokes a segment; ``raised`` is JSON.

        It carries what is raised: should the record be lost, the capacity comes back all the same.
        """
        names = dict(self._names)
        return {"segment_of": self._run_id, "event": names, "raised": raised}

    def start(self, clock: Clock, *, deadline_at: float, scale_up: ScaleUp | None) -> None:
        """Start the execution, unless it is running already; it carries what is to be raised.

        Raises Ended if it has ended: AWS has delivered the event again, after the run. Raises
        AwsCallError if it cannot be started.
        """
        first_look = min(clock.now() + FIRST_LOOK_SECONDS, deadline_at)
        execution_input = {
            "first_look_at": as_utc(first_look).isoformat(timespec="seconds"),
            "next": self.segment_event(encode(scale_up)),
        }
        start = partial(self._start, json.dumps(execution_input))
        try:
            retry_until(start, clock, until=clock.now() + START_WITHIN_SECONDS, every_seconds=2.0)
        except AwsCallError as error:
            if error.code != ALREADY_STARTED:
                raise
            self.require_running()

    def _start(self, execution_input: str) -> None:
        with translated(START):
            self._client.start_execution(
                stateMachineArn=self._machine_arn, name=self._run_id, input=execution_input
            )

    def require_running(self) -> None:
        """Raise Ended if somebody has stopped the execution, and so asks the run to stop.

        The run goes on if the execution cannot be read.
        """
        try:
            status = self.read_status()
        except AwsCallError as error:
            text = "Could not read the guardian's execution: %s"
            logger.warning(text, error, extra=dict(error.facts))
            return
        if status not in {RUNNING, None}:
            raise Ended(Status.PARTIAL, f"the guardian's execution is {status}")

    def read_status(self) -> str | None:
        """Return the execution's status, "RUNNING" while it watches; None where it is not started.

        Raises AwsCallError.
        https://docs.aws.amazon.com/step-functions/latest/apireference/API_DescribeExecution.html
        """
        try:
            with translated(DESCRIBE):
                return self._client.describe_execution(executionArn=self.execution_arn)["status"]
        except AwsCallError as error:
            if error.code != NOT_STARTED:
                raise
            return None

    def probe_start(self) -> None:
        """Call StartExecution with an invalid name and input. AWS denies or rejects it."""

        def start() -> None:
            with translated(START):
                self._client.start_execution(
                    stateMachineArn=self._machine_arn, name="permission check?", input="{"
                )

        expect_refusal(start)

    def probe_describe(self) -> None:
        """Describe the execution before it exists. AWS denies or rejects it."""

        def describe() -> None:
            with translated(DESCRIBE):
                self._client.describe_execution(executionArn=self.execution_arn)

        expect_refusal(describe)
