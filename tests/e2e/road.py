"""The deployed road with its guardian: real zip, real runtime client, MiniStack's Step Functions.

The stack is the user's, deployed by the user's command. Then the same zip gets a bootstrap and runs
as `provided.al2023`: so the errors of a segment reach the state machine by their class names.
"""

from __future__ import annotations

import io
import json
import os
import signal
import threading
import zipfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import boto3
from botocore.config import Config

from demo.deployed import DEPLOY, ZIP_FILE, Stage
from demo.process import becomes_true, processes_of_session
from demo.stage import CLUSTER, add_service, capacity

if TYPE_CHECKING:
    from collections.abc import Callable

    from demo.mail_server import ReceivedMail
    from ecs_emulator.state.model import Service

# As short as it can be: a run hands over only if the next task fits a new invocation, which takes
# 30 s for itself, 75 s for its end, and at the most stabilize_timeout for the task. That leaves
# room for a machine that is busy: at SPEED a task takes less than 10 s on an idle one.
TIMEOUT_SECONDS: Final = 170
PARAMETERS: Final = {"wait_time": 10, "stabilize_timeout": 60}
BOOTSTRAP: Final = '#!/bin/sh\nexec python -m awslambdaric "$_HANDLER"\n'
LONGEST_SECONDS: Final = 300
ONE_START: Final = threading.Lock()
PATIENT: Final = Config(read_timeout=LONGEST_SECONDS, retries={"total_max_attempts": 1})


def deploy(stage: Stage, *functions: str) -> None:
    """Deploy a stack of its own for each function, with the runtime and a short timeout.

    The first by the user's command, the others as copies of its stack.
    """
    first, *others = functions
    names = (f"FunctionName={first}", f"RunTableName={first}")
    done = stage.type(DEPLOY, "--stack-name", first, *names)
    assert done.returncode == 0, done.stderr
    for function in others:
        copy_stack(stage, first, function)
    for function in functions:
        take_the_runtime(stage, function)


def copy_stack(stage: Stage, first: str, function: str) -> None:
    client, s3 = (stage.cloud.client(name) for name in ("cloudformation", "s3"))
    (stack,) = client.describe_stacks(StackName=first)["Stacks"]
    (bucket,) = (each["Name"] for each in s3.list_buckets()["Buckets"])
    template = client.get_template(StackName=first)["TemplateBody"]
    s3.put_object(Bucket=bucket, Key="template", Body=template.encode())
    client.create_stack(
        StackName=function,
        TemplateURL=f"{stage.cloud.url}/{bucket}/template",
        Parameters=[
            {**each, "ParameterValue": function} if each["ParameterValue"] == first else each
            for each in stack["Parameters"]
        ],
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )
    client.get_waiter("stack_create_complete").wait(StackName=function, WaiterConfig={"Delay": 1})


def take_the_runtime(stage: Stage, function: str) -> None:
    client = stage.cloud.client("lambda")
    client.update_function_configuration(
        FunctionName=function, Runtime="provided.al2023", Timeout=TIMEOUT_SECONDS
    )
    code = (stage.tree / ZIP_FILE).read_bytes()
    client.update_function_code(FunctionName=function, ZipFile=with_bootstrap(code))


def with_bootstrap(code: bytes) -> bytes:
    archive = io.BytesIO(code)
    with zipfile.ZipFile(archive, "a") as added:
        added.writestr("bootstrap", BOOTSTRAP)
    return archive.getvalue()


@dataclass(frozen=True, kw_only=True, repr=False)
class GuardedRun:
    """One run for a service of its own, under the guardian of a deployed function.

    Made on one thread, as boto3 makes clients; used on any.
    """

    stage: Stage
    function: str
    service: Service
    lambda_client: Any
    states_client: Any
    table: Any
    found: tuple[int, int, int]
    originals: frozenset[str]

    @classmethod
    def of(cls, stage: Stage, function: str, name: str, tasks_count: int) -> GuardedRun:
        url = stage.cloud.url
        service = add_service(stage.world, name, tasks_count)
        return cls(
            stage=stage,
            function=function,
            service=service,
            lambda_client=boto3.client("lambda", endpoint_url=url, config=PATIENT),
            states_client=boto3.client("stepfunctions", endpoint_url=url),
            table=boto3.resource("dynamodb", endpoint_url=url).Table(function),
            found=capacity(stage.world, name),
            originals=frozenset(task.arn for task in service.tasks),
        )

    # -- what users do ---------------------------------------------------------------------------

    def invoke(self, **parameters: object) -> dict[str, Any]:
        """Invoke the function and wait for its answer; return that, its body read as JSON."""
        answer = self._send("RequestResponse", parameters)
        found: dict[str, Any] = json.loads(answer["Payload"].read())
        return {**found, "body": json.loads(found.get("body", "{}"))}

    def begin(self) -> None:
        """Invoke the function without waiting for it."""
        # A function that takes more than 10 s to start is given up, and its event with it.
        with ONE_START:
            self._send("Event", {})
            self.wait_until(lambda: "run_id" in self.record, "the run record", within_seconds=60)

    def _send(self, kind: str, parameters: dict[str, Any]) -> Any:  # noqa: ANN401 - boto3's type
        own = {"cluster_name": CLUSTER, "service_name": self.service.name}
        event = json.dumps({**own, **(parameters or PARAMETERS)})
        return self.lambda_client.invoke(
            FunctionName=self.function, InvocationType=kind, Payload=event
        )

    def stop_execution(self) -> None:
        self.states_client.stop_execution(executionArn=self.execution_arn)

    # -- what happens to it ----------------------------------------------------------------------

    def kill(self) -> None:
        """Kill every process of the function, as the machine that it runs on may at any instant."""
        mark = f"AWS_LAMBDA_FUNCTION_NAME={self.function}".encode()
        for process_id in processes_of_session(self.stage.cloud.process.pid):
            with suppress(FileNotFoundError, ProcessLookupError):
                if mark in Path(f"/proc/{process_id}/environ").read_bytes().split(b"\0"):
                    os.kill(process_id, signal.SIGKILL)

    def let_it_be_dead(self) -> None:
        """Let the record take the killed invocation for dead at once, not 30 s after its limit."""
        self.table.update_item(Key=self._key, UpdateExpression="SET owner_dead_at = run_started_at")

    # -- what is to be seen ----------------------------------------------------------------------

    @property
    def _key(self) -> dict[str, str]:
        return {"service": f"{CLUSTER}/{self.service.name}"}

    @property
    def record(self) -> dict[str, Any]:
        item: dict[str, Any] = self.table.get_item(Key=self._key).get("Item", {})
        return item

    @property
    def execution_arn(self) -> str:
        machines = self.states_client.list_state_machines()["stateMachines"]
        names = {each["name"]: each["stateMachineArn"] for each in machines}
        machine_arn = str(names[f"{self.function}-guardian"])
        return f"{machine_arn.replace(':stateMachine:', ':execution:')}:{self.record['run_id']}"

    @property
    def failures(self) -> list[str]:
        """The errors in the execution's history, of its segments and of itself."""
        history = self.states_client.get_paginator("get_execution_history")
        pages = history.paginate(executionArn=self.execution_arn)
        events = [event for page in pages for event in page["events"]]
        kinds = ("taskFailedEventDetails", "executionFailedEventDetails")
        return [event[kind]["error"] for event in events for kind in kinds if kind in event]

    @property
    def execution(self) -> dict[str, Any]:
        return dict(self.states_client.describe_execution(executionArn=self.execution_arn))

    @property
    def capacity(self) -> tuple[int, int, int]:
        return capacity(self.stage.world, self.service.name)

    @property
    def stops(self) -> list[str]:
        """The tasks that were stopped by a call, each as often as it was."""
        own = {task.arn for task in self.service.tasks}
        calls = self.stage.world.calls_of("StopTask")
        arns = [str(call.parameters["task"]) for call in calls if call.wrote]
        return [arn for arn in arns if arn in own]

    @property
    def mails(self) -> list[ReceivedMail]:
        mails, name = self.stage.mail_server.mails, f"{CLUSTER}/{self.service.name}"
        return [mail for mail in mails if name in str(mail.message["Subject"]).split()]

    def wait_until(
        self,
        condition: Callable[[], bool],
        awaited: str,
        *,
        within_seconds: float = LONGEST_SECONDS,
    ) -> None:
        came = becomes_true(condition, within_seconds=within_seconds, every_seconds=0.25)
        assert came, f"{self.service.name}: {awaited} did not come about: {self.record}"

    def wait_for_segment(self, number: int) -> None:
        """Wait until this invocation of the run works, and has stopped a task of its own."""

        def works() -> bool:
            record = self.record
            return (record["segments"], record["state"]) == (number, "running")

        self.wait_until(works, f"segment {number}")
        before = len(self.stops)
        self.wait_until(lambda: len(self.stops) > before, f"a stop by segment {number}")

    def ends(self) -> str:
        """Wait for the end of the execution; return its status."""
        self.wait_until(lambda: self.execution["status"] != "RUNNING", "the execution's end")
        return str(self.execution["status"])

    def broken_promises(self) -> list[str]:
        """Return what does not hold that always has to, once the run is over."""
        stops, record = self.stops, self.record
        subjects = [str(mail.message["Subject"]).lower() for mail in self.mails]
        lowest = self.stage.world.lowest_in_service(CLUSTER, self.service.name)
        checks = {
            f"capacity {self.capacity}, found {self.found}": self.capacity != self.found,
            f"stopped twice: {stops}": len(stops) != len(set(stops)),
            f"stopped others: {stops}": not self.originals.issuperset(stops),
            f"fewer in service: {lowest}": lowest < len(self.originals),
            f"record left open: {record}": record["state"] != "ended",
            f"mails: {subjects}": len(subjects) != 1 or record["status"] not in subjects[0],
        }
        return [name for name, is_broken in checks.items() if is_broken]
