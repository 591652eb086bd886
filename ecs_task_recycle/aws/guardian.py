"""The guardian: the Step Functions execution that watches over one run, and goes on with it.

It is started before anything is raised or stopped, so a run that dies at any instant is gone on
with. Its name is the run's id. The calls are made with the function's own role.
https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from botocore.config import Config

from ecs_task_recycle.aws.errors import expect_refusal, retry_until, translated
from ecs_task_recycle.clock import Clock, as_utc
from ecs_task_recycle.errors import AwsCallError
from ecs_task_recycle.outcome import Ended, Status

if TYPE_CHECKING:
    import boto3
    from mypy_boto3_stepfunctions import SFNClient


START: Final = "states:StartExecution"
DESCRIBE: Final = "states:DescribeExecution"

FIRST_LOOK_SECONDS: Final = 240.0
"""When the guardian looks after its run for the first time: small runs are over by then."""

LOOK_AGAIN_SECONDS: Final = 60
"""When to look again at a run whose invocation may still be alive: a run that was handed over waits
so long at most, with one task more."""

LONGEST_WAIT_SECONDS: Final = 300.0
"""Between two looks at protected tasks: 47 hours are some 560 segments of the 2,776 that fit into
an execution's 25,000 events, and less than 1 % of the time is computed."""

START_WITHIN_SECONDS: Final = 10.0
"""How long the start of an execution is tried again: nothing is raised before it has begun."""

CONFIG: Final = Config(
    connect_timeout=3, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 5}
)

logger = logging.getLogger(__name__)


class Guardian:
    """The guardian of one run. ``event`` is what the run was asked, for the segments to come."""

    def __init__(
        self, session: boto3.Session, *, machine_arn: str, run_id: str, event: Mapping[str, object]
    ) -> None:
        """Take the state machine's ARN; nothing is called yet."""
        self._session = session
        self._machine_arn = machine_arn
        self._run_id = run_id
        self._event = event

    @cached_property
    def _client(self) -> SFNClient:
        return self._session.client("stepfunctions", config=CONFIG)

    @property
    def execution_arn(self) -> str:
        """The ARN of the run's execution."""
        return f"{self._machine_arn.replace(':stateMachine:', ':execution:')}:{self._run_id}"

    @property
    def segment_event(self) -> dict[str, Any]:
        """What a segment is invoked with."""
        return {"segment_of": self._run_id, "event": dict(self._event)}

    def start(self, clock: Clock, *, deadline_at: float) -> None:
        """Start the execution; one that is started already is fine, as long as it goes on.

        It does not where AWS delivers an event once more after its run. Raises Ended, AwsCallError.
        """
        first_look = min(clock.now() + FIRST_LOOK_SECONDS, deadline_at)
        if not self._start(clock, self._run_id, first_look):
            self.require_running()

    def start_another(self, clock: Clock, *, first_look: float) -> None:
        """Start an execution that looks after the run at an instant, as its own has ended.

        One is enough. What it goes on with sees that, and restores. Raises AwsCallError.
        """
        self._start(clock, f"{self._run_id}-restore", first_look)

    def _start(self, clock: Clock, name: str, first_look: float) -> bool:
        """Start an execution; return False where there is one of that name."""
        execution_input = {
            "first_look_at": as_utc(first_look).isoformat(timespec="seconds"),
            "next": self.segment_event,
        }

        def start() -> None:
            with translated(START):
                self._client.start_execution(
                    stateMachineArn=self._machine_arn, name=name, input=json.dumps(execution_input)
                )

        try:
            retry_until(start, clock, until=clock.now() + START_WITHIN_SECONDS, every_seconds=2.0)
        except AwsCallError as error:
            if error.code != "ExecutionAlreadyExists":
                raise
            return False
        return True

    def require_running(self) -> None:
        """Raise Ended if somebody has stopped the execution: that asks the run to stop.

        An execution that cannot be read is no reason to stop.
        https://docs.aws.amazon.com/step-functions/latest/apireference/API_DescribeExecution.html
        """
        try:
            with translated(DESCRIBE):
                answer = self._client.describe_execution(executionArn=self.execution_arn)
        except AwsCallError as error:
            text = "Could not read the guardian's execution: %s"
            logger.warning(text, error, extra=dict(error.facts))
            return
        if answer["status"] != "RUNNING":
            raise Ended(Status.PARTIAL, f"the guardian's execution is {answer['status']}")

    def probe_start(self) -> None:
        """Call StartExecution with a name and an input that are none: denied, or refused."""

        def start() -> None:
            with translated(START):
                self._client.start_execution(
                    stateMachineArn=self._machine_arn, name="permission check?", input="{"
                )

        expect_refusal(start)

    def probe_describe(self) -> None:
        """Describe the execution, which does not exist yet: denied, or refused."""

        def describe() -> None:
            with translated(DESCRIBE):
                self._client.describe_execution(executionArn=self.execution_arn)

        expect_refusal(describe)
