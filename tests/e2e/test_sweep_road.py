"""Sweeps on the deployed road: a Step Functions that is not ours walks the template's machine.

The stack is deployed by the command of docs/recipes.md. Each event of AWS's then recycles whoever
uses what it names. MiniStack sends that of Secrets Manager by itself, when a secret changes. It has
none of Parameter Store and of AWS Health, and nobody but AWS may send them: so the deployed rule's
own pattern is tried on them by TestEventPattern, and the function gets them as a rule sends them.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import pytest

from demo.deployed import set_stage
from demo.lambda_runtime import FUNCTION
from demo.process import becomes_true
from demo.stage import CLUSTER, SHORT_TIMES, capacity
from ecs_emulator import WallClock, World
from tests.docs.markdown import fences
from tests.docs.pages import guide

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from demo.deployed import Stage
    from ecs_emulator.state.model import Service

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc"),
]

SECRET: Final = "api/database"
PARAMETER_ARN: Final = "arn:aws:ssm:us-east-1:000000000000:parameter/api/token"
TAGS: Final = {"recycle": "on-change"}
WAIT_SCALE: Final = "0.1"
"""Of the state machine's pauses: a lane looks again after 3 s instead of 30."""
LONGEST_SECONDS: Final = 60
BY_NAME: Final = ("one", "two", "three")


@dataclass(frozen=True, kw_only=True)
class Road:
    """The deployed function, its state machines, and the services of one cluster.

    Made on one thread, as boto3 makes clients; used on any.
    """

    stage: Stage
    secret_arn: str
    functions: Any
    events: Any
    states: Any
    services: dict[str, Service]

    @classmethod
    def of(cls, stage: Stage) -> Road:
        secrets = stage.cloud.client("secretsmanager")
        secret = secrets.create_secret(Name=SECRET, SecretString="before")
        arn = str(secret["ARN"])
        return cls(
            stage=stage,
            secret_arn=arn,
            functions=stage.cloud.client("lambda"),
            events=stage.cloud.client("events"),
            states=stage.cloud.client("stepfunctions"),
            services={
                **{name: add(stage.world, name) for name in BY_NAME},
                "reads-secret": add(
                    stage.world, "reads-secret", tags=TAGS, secrets=(f"{arn}:password::",)
                ),
                "untagged": add(stage.world, "untagged", secrets=(arn,)),
                "reads-parameter": add(
                    stage.world, "reads-parameter", tags=TAGS, secrets=("/api/token",)
                ),
                "retired": add(stage.world, "retired", tags=TAGS),
            },
        )

    def deploy(self) -> None:
        """Deploy by the recipe's own command, but with no pause after each task."""
        words = recipe_command()
        self.stage.create_mail_secret()
        done = self.stage.type(
            *words, "OnRetirement=enabled", "SweepWaitTime=0", f"ClusterNames={CLUSTER}"
        )
        assert done.returncode == 0, done.stderr

    def invoke(self, event: dict[str, Any], kind: str = "RequestResponse") -> dict[str, Any]:
        answer = self.functions.invoke(
            FunctionName=FUNCTION, InvocationType=kind, Payload=json.dumps(event)
        )
        found = json.loads(answer["Payload"].read() or "{}")
        return {**found, "body": json.loads(found.get("body", "{}"))}

    @property
    def executions(self) -> dict[str, str]:
        """The sweeps' executions and how they stand, the newest first."""
        machines = self.states.list_state_machines()["stateMachines"]
        arns = {each["name"]: each["stateMachineArn"] for each in machines}
        listed = self.states.list_executions(stateMachineArn=arns[f"{FUNCTION}-sweep"])
        return {each["name"]: each["status"] for each in listed["executions"]}

    def ends(self, sweep: str) -> str:
        """Wait for the end of a sweep's execution; return how it ended."""
        over = becomes_true(
            lambda: self.executions.get(sweep) not in {None, "RUNNING"},
            within_seconds=LONGEST_SECONDS,
            every_seconds=0.25,
        )
        assert over, self.executions
        return self.executions[sweep]

    def completes(self, *names: str) -> bool:
        """Wait for the sweep of these services to end; tell whether it recycled each of them."""
        wanted = {f"{CLUSTER}/{name}" for name in names}

        def has_come() -> bool:
            return any(self.status(each).keys() == wanted for each in self.executions)

        assert becomes_true(has_come, within_seconds=LONGEST_SECONDS, every_seconds=1.0)
        (sweep,) = (each for each in self.executions if self.status(each).keys() == wanted)
        is_over = self.ends(sweep) == "SUCCEEDED"
        return is_over and self.status(sweep) == dict.fromkeys(wanted, "completed")

    def pattern(self, rule: str) -> str:
        described = self.events.describe_rule(Name=f"{FUNCTION}-{rule}")
        return str(described["EventPattern"])

    def is_matched(self, rule: str, event: dict[str, Any]) -> bool:
        answer = self.events.test_event_pattern(
            EventPattern=self.pattern(rule), Event=json.dumps(event)
        )
        return bool(answer["Result"])

    def status(self, sweep: str) -> dict[str, Any]:
        """Return how each service of a sweep stands, by the function's own answer."""
        body = self.invoke({"sweep": sweep, "action": "status"})["body"]
        return {each["service"]: each["status"] for each in body["services"]}

    def assert_recycled(self, *names: str) -> None:
        """Assert that these have other tasks, no other service has, and capacity is as found."""
        calls = self.stage.world.calls_of("StopTask")
        stopped = sorted(str(call.parameters["task"]) for call in calls if call.wrote)
        originals = [arn for name in names for arn in first_tasks(self.services[name])]
        assert stopped == sorted(originals)
        for name in self.services:
            assert capacity(self.stage.world, name) == (1, 1, 2), name
            assert self.stage.world.lowest_in_service(CLUSTER, name) == 1, name

    def subjects(self) -> list[str]:
        return [str(mail.message["Subject"]) for mail in self.stage.mail_server.mails]


def add(world: World, name: str, **features: Any) -> Service:  # noqa: ANN401
    service = world.create_service(
        cluster=CLUSTER, name=name, desired_count=1, target_group=True, **features
    )
    world.register_scalable_target(cluster=CLUSTER, service=name, min_capacity=1, max_capacity=2)
    return service


def first_tasks(service: Service) -> list[str]:
    """Return the tasks that a service of one task had at first."""
    return [service.tasks[0].arn]


def recipe_command() -> list[str]:
    page = guide("recipes")
    (body,) = (each.body for each in fences(page, "bash") if "OnSecretChange=enabled" in each.body)
    return shlex.split(re.sub(r"\\\n", " ", body))


def event(road: Road, source: str, kind: str, resources: list[str], **detail: Any) -> Any:  # noqa: ANN401
    return {
        "version": "0",
        "id": "3c268027-f43c-0171-7425-1d799EXAMPLE",
        "detail-type": kind,
        "source": source,
        "account": road.secret_arn.split(":")[4],
        "time": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "region": "us-east-1",
        "resources": resources,
        "detail": detail,
    }


def three_services_at_two_lanes_come_to_their_end(road: Road) -> list[str]:
    names = [f"{CLUSTER}/{name}" for name in BY_NAME]
    begun = road.invoke({"services": names, "at_once": 2, "wait_time": 0})
    assert (begun["statusCode"], begun["body"]["status"]) == (202, "sweeping")
    assert road.completes(*BY_NAME)
    return [*BY_NAME]


def a_secret_that_changes_recycles_the_tagged_service_that_reads_it(road: Road) -> list[str]:
    done = road.stage.type(
        *("aws", "secretsmanager", "put-secret-value", "--secret-id", SECRET),
        *("--secret-string", "after"),
    )
    assert done.returncode == 0, done.stderr
    assert road.completes("reads-secret")
    return ["reads-secret"]


def a_parameter_that_changes_recycles_the_tagged_service_that_reads_it(road: Road) -> list[str]:
    # https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-paramstore-cwe.html
    detail = {"name": "/api/token", "type": "SecureString", "operation": "Update"}
    changed = event(road, "aws.ssm", "Parameter Store Change", [PARAMETER_ARN], **detail)
    return by_notice(road, "parameter-change", changed, "reads-parameter")


def a_notice_of_a_retirement_recycles_the_services_that_it_names(road: Road) -> list[str]:
    # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-maintenance.html
    names = [f"{CLUSTER}|retired", f"{CLUSTER}|gone"]
    detail = {
        "service": "ECS",
        "eventRegion": "us-east-1",
        "eventTypeCode": "AWS_ECS_TASK_PATCHING_RETIREMENT",
        "eventTypeCategory": "scheduledChange",
        "affectedEntities": [{"entityValue": name} for name in names],
    }
    notice = event(road, "aws.health", "AWS Health Event", names, **detail)
    return by_notice(road, "retirement", notice, "retired")


def by_notice(road: Road, rule: str, notice: dict[str, Any], name: str) -> list[str]:
    assert road.is_matched(rule, notice)
    road.invoke(notice, "Event")
    assert road.completes(name)
    return [name]


SCENARIOS: Final = (
    three_services_at_two_lanes_come_to_their_end,
    a_secret_that_changes_recycles_the_tagged_service_that_reads_it,
    a_parameter_that_changes_recycles_the_tagged_service_that_reads_it,
    a_notice_of_a_retirement_recycles_the_services_that_it_names,
)


def test_a_sweep_and_each_event_of_aws_recycle_whom_they_name(
    tmp_path: Path, measured: Callable[[str], None], subtests: pytest.Subtests
) -> None:
    with ExitStack() as running:
        world = World(knobs=SHORT_TIMES, clock=WallClock())
        stage = set_stage(running, tmp_path, world=world, SFN_WAIT_SCALE=WAIT_SCALE)
        road = Road.of(stage)
        began = monotonic()
        road.deploy()
        measured(f"deployed in {monotonic() - began:.0f} s")
        with ThreadPoolExecutor(len(SCENARIOS)) as pool:
            outcomes = [(each, pool.submit(each, road)) for each in SCENARIOS]
        recycled: list[str] = []
        for scenario, outcome in outcomes:
            with subtests.test(scenario.__name__):
                recycled += outcome.result()
        measured(f"deployed, {len(SCENARIOS)} sweeps at once: {monotonic() - began:.0f} s")
        road.assert_recycled(*recycled)
        assert len(road.subjects()) == len(SCENARIOS), road.subjects()
