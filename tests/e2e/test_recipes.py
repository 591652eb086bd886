"""The recipes of docs/recipes.md, each tried with its own files and commands, in one stack.

What a user replaces is filled in: region, account, the secret's ARN, a task's ID. What else is not
as in AWS:

- Nobody waits for the night: the input of the deployed schedule is sent as the schedule sends it.
  Nor for `wait_time`: one stack parameter more than on the page sets it to 0.
- Nobody but AWS may send events with a source `aws.…`; MiniStack refuses them, too. So the page's
  pattern is tried by TestEventPattern on the event as AWS documents it, and then the rule and the
  event both get another source. That it matches, what the input transformer makes of it and that
  the function is invoked is MiniStack's own doing. The secret's event comes from MiniStack itself.
- MiniStack gives an event that is sent the time at which it comes in. To have tasks that are
  younger than Fargate's notice, it is archived, and replayed when those tasks are there.
"""

from __future__ import annotations

import json
import shlex
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import boto3
import pytest

from demo.deployed import SPEED, Stage, set_stage
from demo.process import becomes_true
from demo.stage import SHORT_TIMES, add_service, capacity
from ecs_emulator import VirtualClock, WallClock, World
from ecs_emulator.neighbours.tables import RUNS_TABLE
from tests.docs.commands import aws_commands, saved_files
from tests.docs.markdown import fences
from tests.docs.pages import guide

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from ecs_emulator.state.model import Service, Task

    type Measure = Callable[[str], None]
    type Scenario = Callable[[Recipe], None]

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(sys.platform != "linux", reason="the Lambda emulator runs on Linux only"),
]

CLUSTER: Final = "production"
WEEK_SECONDS: Final = 7 * 24 * 3600
OUR_SOURCE: Final = "recipes.test"
SECRET: Final = "api/database"
SECRET_ON_THE_PAGE: Final = "api/database-a1b2c3"
TASK_ON_THE_PAGE: Final = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"
SCHEDULE: Final = "ecs-task-recycle-function-schedule"
INVOKE: Final = ("lambda", "invoke", "--function-name")
ENDS_WITHIN_SECONDS: Final = 120

# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-maintenance.html
NOTICE: Final[Mapping[str, Any]] = {
    "version": "0",
    "id": "3c268027-f43c-0171-7425-1d799EXAMPLE",
    "detail-type": "AWS Health Event",
    "source": "aws.health",
    "account": "123456789012",
    "time": "2023-08-16T23:18:51Z",
    "region": "us-east-1",
    "resources": ["production|elsewhere", "production|orders"],
    "detail": {
        "eventArn": "arn:aws:health:us-east-1::event/ECS/AWS_ECS_TASK_PATCHING_RETIREMENT/AWS_ECS_"
        "TASK_PATCHING_RETIREMENT_test1",
        "service": "ECS",
        "eventScopeCode": "ACCOUNT_SPECIFIC",
        "lastUpdatedTime": "Wed, 16 Aug 2023 23:18:52 GMT",
        "eventRegion": "us-east-1",
        "eventTypeCode": "AWS_ECS_TASK_PATCHING_RETIREMENT",
        "eventTypeCategory": "scheduledChange",
        "startTime": "Wed, 16 Aug 2023 23:18:51 GMT",
        "endTime": "Fri, 18 Aug 2023 23:18:51 GMT",
    },
}
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-and-eventbridge.html
ALARM: Final[Mapping[str, Any]] = {
    "version": "0",
    "id": "c4c1c1c9-6542-e61b-6ef0-8c4d36933a92",
    "detail-type": "CloudWatch Alarm State Change",
    "source": "aws.cloudwatch",
    "account": "123456789012",
    "time": "2019-10-02T17:04:40Z",
    "region": "us-east-1",
    "resources": ["arn:aws:cloudwatch:us-east-1:123456789012:alarm:reports-memory"],
    "detail": {
        "alarmName": "reports-memory",
        "configuration": {"description": "The tasks need too much memory.", "metrics": []},
        "previousState": {"timestamp": "2019-10-02T17:03:40.985+0000", "value": "OK"},
        "state": {"timestamp": "2019-10-02T17:04:40.989+0000", "value": "ALARM"},
    },
}
OK: Final[Mapping[str, Any]] = {**ALARM, "detail": {**ALARM["detail"], "state": {"value": "OK"}}}


@dataclass(frozen=True, kw_only=True, repr=False)
class Recipe:
    """One recipe of the page, tried with a service. Made on one thread, used on any."""

    stage: Stage
    text: str
    service: Service
    found: tuple[int, int, int]
    variables: dict[str, str]
    table: Any
    events: Any
    scheduler: Any
    secrets: Any

    @classmethod
    def of(cls, stage: Stage, heading: str, name: str) -> Recipe:
        account = stage.cloud.client("sts").get_caller_identity()["Account"]
        return cls(
            stage=stage,
            text=recipe_under(heading),
            service=stage.world.service(CLUSTER, name),
            found=capacity(stage.world, name, cluster=CLUSTER),
            variables={"REGION": "us-east-1", "ACCOUNT_ID": str(account)},
            table=boto3.resource("dynamodb", endpoint_url=stage.cloud.url).Table(RUNS_TABLE),
            events=stage.cloud.client("events"),
            scheduler=stage.cloud.client("scheduler"),
            secrets=stage.cloud.client("secretsmanager"),
        )

    # -- what users do ---------------------------------------------------------------------------

    def save(self, **replaced: str) -> None:
        """Save the page's files, with what a user has to put in."""
        for name, body in saved_files(self.text).items():
            text = body
            for old, new in {**self.variables, **replaced}.items():
                text = text.replace(old, new)
            (self.stage.tree / name).write_text(text)

    def run(self, operation: str, *, replaced: tuple[str, str] = ("", "")) -> str:
        """Run the page's command of an operation as it stands; return what it prints."""
        commands = aws_commands(self.text, self.variables)
        (command,) = [each for each in commands if " ".join(each[:2]) == operation]
        words = [word.replace(*replaced) for word in command]
        done = self.stage.type("aws", *words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def create_rule(self) -> None:
        for operation in ("events put-rule", "lambda add-permission", "events put-targets"):
            self.run(operation)

    # -- what AWS does ---------------------------------------------------------------------------

    def matches(self, pattern: str, event: Mapping[str, Any]) -> bool:
        text = (self.stage.tree / pattern).read_text()
        answer = self.events.test_event_pattern(EventPattern=text, Event=json.dumps(event))
        return bool(answer["Result"])

    def take_our_source_too(self, rule: str) -> None:
        """Let a rule match, beside AWS's events, those that a test may send."""
        pattern = json.loads(self.events.describe_rule(Name=rule)["EventPattern"])
        pattern["source"].append(OUR_SOURCE)
        self.events.put_rule(Name=rule, EventPattern=json.dumps(pattern))

    def send(self, event: Mapping[str, Any]) -> None:
        entry = {
            "Source": OUR_SOURCE,
            "DetailType": event["detail-type"],
            "Resources": event["resources"],
            "Detail": json.dumps(event["detail"]),
        }
        assert self.events.put_events(Entries=[entry])["FailedEntryCount"] == 0

    def crash(self, task: Task) -> None:
        """Let a task go, so that ECS starts a young one."""
        with self.stage.world.lock:
            self.stage.world.catch_up()
            self.stage.world.stop_task(task)

    # -- what is to be seen ----------------------------------------------------------------------

    @property
    def record(self) -> dict[str, Any]:
        key = {"service": f"{CLUSTER}/{self.service.name}"}
        item: dict[str, Any] = self.table.get_item(Key=key).get("Item", {})
        return item

    @property
    def stops(self) -> list[str]:
        """The tasks of the service that were stopped by a call, each as often as it was."""
        own = {task.arn for task in self.service.tasks}
        calls = self.stage.world.calls_of("StopTask")
        arns = [str(call.parameters["task"]) for call in calls if call.wrote]
        return [arn for arn in arns if arn in own]

    def is_whole(self) -> bool:
        self.stage.world.catch_up()
        return self.service.in_service_history[-1][1] == self.found[0]

    def wait_until(self, condition: Callable[[], bool], awaited: str) -> None:
        came = becomes_true(condition, within_seconds=ENDS_WITHIN_SECONDS, every_seconds=0.25)
        assert came, f"{self.service.name}: {awaited} did not come about: {self.record}"

    def wait_for_the_end(self) -> None:
        self.wait_until(lambda: self.record.get("state") == "ended", "the end of the run")

    def broken_promises(self, since: float) -> list[str]:
        """Return what does not hold that always has to, once the run is over."""
        world, name, stops = self.stage.world, self.service.name, self.stops
        now = capacity(world, name, cluster=CLUSTER)
        lowest = world.lowest_in_service(CLUSTER, name, since=since)
        checks = {
            f"not completed: {self.record}": self.record["status"] != "completed",
            f"capacity {now}, found {self.found}": now != self.found,
            f"fewer in service: {lowest}": lowest < self.found[0],
            f"stopped twice: {stops}": len(stops) != len(set(stops)),
        }
        return [text for text, is_broken in checks.items() if is_broken]


def recipe_under(heading: str) -> str:
    """Return one recipe of the page, its blocks included."""
    parts = guide("recipes").split("\n## ")
    (found,) = [part for part in parts if part.startswith(f"{heading}\n")]
    return found


# -- the recipes -----------------------------------------------------------------------------------


def the_nightly_run_renews_only_what_is_older_than_a_week(web: Recipe) -> None:
    old, _ = web.service.active_tasks
    schedule = web.scheduler.get_schedule(Name=SCHEDULE)
    assert f"'ScheduleExpression={schedule['ScheduleExpression']}'" in web.text
    target = schedule["Target"]
    function, payload = target["Arn"].rpartition(":")[2], target["Input"]
    sent = ("--invocation-type", "Event", "--payload", payload, "night.json")
    assert web.stage.type("aws", *INVOKE, function, *sent).returncode == 0
    web.wait_for_the_end()
    assert web.stops == [old.arn]


def a_second_rotation_during_the_run_renews_every_task_once_more(api: Recipe) -> None:
    originals = {task.arn for task in api.service.active_tasks}
    arn = api.secrets.create_secret(Name=SECRET, SecretString="first")["ARN"]
    api.save(**{SECRET_ON_THE_PAGE: arn.rpartition(":")[2]})
    api.create_rule()
    api.secrets.put_secret_value(SecretId=arn, SecretString="second")
    api.wait_until(lambda: bool(api.stops), "the first stop")
    rotated_at = api.stage.world.clock.now()
    api.secrets.put_secret_value(SecretId=arn, SecretString="third")
    api.wait_for_the_end()
    assert originals < set(api.stops)
    assert min(task.created_at for task in api.service.active_tasks) > rotated_at


def a_notice_renews_the_tasks_that_are_older_than_it(orders: Recipe) -> None:
    assert orders.matches("retirement-pattern.json", NOTICE)
    assert not orders.matches("retirement-pattern.json", {**NOTICE, "resources": ["production|x"]})
    assert '"Result": true' in orders.run("events test-event-pattern")
    old = [task.arn for task in orders.service.active_tasks[:2]]
    orders.create_rule()
    orders.take_our_source_too("recycle-orders-before-retirement")
    replay(orders)
    orders.wait_for_the_end()
    assert orders.stops == old


def a_task_that_is_named_is_the_only_one_to_be_replaced(search: Recipe) -> None:
    task = search.service.active_tasks[1]
    search.run("lambda invoke", replaced=(TASK_ON_THE_PAGE, task.id))
    search.wait_for_the_end()
    assert search.stops == [task.arn]


def an_alarm_renews_the_tasks_that_are_older_than_an_hour(reports: Recipe) -> None:
    old = [task.arn for task in reports.service.active_tasks[:2]]
    reports.save()
    reports.create_rule()
    assert reports.matches("alarm-pattern.json", ALARM)
    assert not reports.matches("alarm-pattern.json", OK)
    reports.take_our_source_too("recycle-reports-on-alarm")
    reports.send(OK)
    reports.send(ALARM)
    reports.wait_for_the_end()
    assert reports.stops == old


RETIREMENT: Final = "Before Fargate retires tasks"
RECIPES: Final[tuple[tuple[Scenario, str, str, int], ...]] = (
    (the_nightly_run_renews_only_what_is_older_than_a_week, "Renew every task weekly", "web", 2),
    (
        a_second_rotation_during_the_run_renews_every_task_once_more,
        "After a secret rotates",
        "api",
        2,
    ),
    (a_notice_renews_the_tasks_that_are_older_than_it, RETIREMENT, "orders", 3),
    (a_task_that_is_named_is_the_only_one_to_be_replaced, RETIREMENT, "search", 2),
    (an_alarm_renews_the_tasks_that_are_older_than_an_hour, "On a memory alarm", "reports", 3),
)


# -- the world in which they are tried -------------------------------------------------------------


def a_world() -> World:
    """A world whose services have been running for more than a week."""
    world = World(knobs=SHORT_TIMES, clock=VirtualClock(time.time() - WEEK_SECONDS))
    for _, _, name, tasks_count in RECIPES:
        add_service(world, name, tasks_count, cluster=CLUSTER)
    world.live_by(WallClock(SPEED))
    return world


def archive_the_notice(orders: Recipe) -> None:
    """Archive the notice, so that it can be delivered later with its time."""
    orders.save()
    pattern = json.dumps({"source": [OUR_SOURCE], "resources": NOTICE["resources"]})
    bus = orders.events.describe_event_bus()["Arn"]
    orders.events.create_archive(ArchiveName="notices", EventSourceArn=bus, EventPattern=pattern)
    orders.send(NOTICE)
    # Times of events are whole seconds, here as in AWS, and clocks are a second apart.
    orders.stage.world.clock.sleep(3)


def replay(orders: Recipe) -> None:
    bus = orders.events.describe_event_bus()["Arn"]
    orders.events.start_replay(
        ReplayName="notice",
        EventSourceArn=orders.events.describe_archive(ArchiveName="notices")["ArchiveArn"],
        EventStartTime=orders.stage.world.clock.now() - 3600,
        EventEndTime=orders.stage.world.clock.now(),
        Destination={"Arn": bus},
    )


def let_some_tasks_be_young(recipes: list[Recipe]) -> None:
    """Let the youngest task of the services in which age counts crash and be replaced."""
    for recipe in recipes:
        if recipe.service.name in {"web", "orders", "reports"}:
            recipe.crash(recipe.service.active_tasks[-1])


def deploy(web: Recipe) -> None:
    """Deploy the stack by the command of the first recipe, with a wait_time of 0."""
    web.stage.create_mail_secret()
    (block,) = fences(web.text, "bash")
    command = shlex.split(block.body.replace("\\\n", " "))
    done = web.stage.type(*command, "ScheduledWaitTime=0")
    assert done.returncode == 0, done.stderr


def test_every_recipe_replaces_the_right_tasks_and_keeps_every_promise(
    tmp_path: Path, measured: Measure, subtests: pytest.Subtests
) -> None:
    with ExitStack() as running:
        stage = set_stage(running, tmp_path, world=a_world())
        # Before any thread begins: boto3 makes clients on one at a time.
        recipes = [Recipe.of(stage, heading, name) for _, heading, name, _ in RECIPES]
        archive_the_notice(next(each for each in recipes if each.service.name == "orders"))
        let_some_tasks_be_young(recipes)
        deploy(recipes[0])
        for recipe in recipes:
            recipe.wait_until(recipe.is_whole, "a whole service")
        since = stage.world.clock.now()
        with ThreadPoolExecutor(len(RECIPES)) as pool:
            outcomes = [
                (recipe, pool.submit(timed, scenario, recipe, measured))
                for (scenario, *_), recipe in zip(RECIPES, recipes, strict=True)
            ]
        for recipe, outcome in outcomes:
            with subtests.test(recipe.service.name):
                outcome.result()
                assert recipe.broken_promises(since) == []


def timed(scenario: Scenario, recipe: Recipe, measured: Measure) -> None:
    began = monotonic()
    scenario(recipe)
    measured(f"recipe for {recipe.service.name}: {monotonic() - began:.0f} s")
