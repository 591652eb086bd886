"""The demo's second act: a secret changes, and the two services that use it are recycled.

Secrets Manager's event invokes the function, which begins a sweep. Step Functions would then
invoke it for each turn of the sweep's one lane, and for its end: here `_walk` does, as the state
machine in template.yaml says. No two invocations overlap, so that one Lambda emulator is enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from demo.lambda_runtime import LambdaRuntime
from demo.picture import LEGEND, rows
from demo.show import SCREEN, Promise, heading, log_line, say, tell, unfolded
from demo.stage import CLUSTER, TASKS_COUNT, add_service, capacity, clock_of, emulated_ecs
from ecs_emulator.wire.server import serve

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from demo.mail_server import MailServer
    from ecs_emulator import World
    from ecs_emulator.neighbours.secrets import Secret
    from ecs_emulator.state.model import Service

SPEED: Final = 10.0
SECRET: Final = "shop/database"  # noqa: S105 - its name
USERS: Final = ("cart", "orders")
OTHER: Final = "search"
STATES: Final = "arn:aws:states:us-east-1:123456789012:stateMachine:ecs-task-recycle-function"
STACK: Final = {
    "GUARDIAN_ARN": f"{STATES}-guardian",
    "SWEEP_ARN": f"{STATES}-sweep",
    "CLUSTER_NAMES": CLUSTER,
    "SWEEP_WAIT_TIME": "1",
}
"""What the stack tells the function when it is deployed with OnSecretChange=enabled."""
INTRODUCTION: Final = (
    f"Three services: {USERS[0]} and {USERS[1]} read the secret {SECRET}, {OTHER} does not. The "
    "secret gets a new value, and a task keeps the value with which it started. EventBridge and "
    "Step Functions are not emulated: the demo hands the function the event that Secrets Manager "
    "sends, and then invokes it for each step of the sweep, as the state machine in template.yaml "
    f"does. The clock of this part runs {SPEED:.0f} times as fast as yours."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What there was when the secret changed, at `changed_at` in epoch seconds."""

    changed_at: float
    capacities: Mapping[str, tuple[int, int, int]]


def play(zip_file: Path, mail_server: MailServer) -> list[Promise]:
    """Change the secret, send the event, walk the sweep to its end, show all of it, and judge.

    `zip_file` is the function's, and mails to `mail_server`.
    """
    world = emulated_ecs(OTHER, speed=SPEED)
    arn = world.put_secret(SECRET, '{"password": "before"}').arn
    for name in USERS:
        add_service(world, name, TASKS_COUNT, secrets=(f"{arn}:password::",))
    heading("A secret changes")
    tell(INTRODUCTION)
    mails_count = len(mail_server.mails)
    with serve(world) as url:
        clock = {**clock_of(world), "LAMBDA_LIMIT": "real"}
        certificate = {"SSL_CERT_FILE": str(mail_server.certificate)}
        environment = {"AWS_ENDPOINT_URL": url, **certificate, **clock, **STACK}
        with LambdaRuntime(zip_file, environment=environment, on_line=log_line) as runtime:
            secret = world.put_secret(SECRET, '{"password": "after"}')
            capacities = {name: capacity(world, name) for name in (*USERS, OTHER)}
            found = _Found(changed_at=secret.created_at, capacities=capacities)
            event = event_of(secret)
            heading(f"The event of AWS: {event['detail-type']}")
            say(unfolded(event))
            heading("The log as it comes, of the event's invocation and of each step of the sweep")
            begun = runtime.invoke(event).get("body", {})
            ended = _walk(runtime, begun)
    _draw(world, found.changed_at)
    subjects = [str(mail.message["Subject"]) for mail in mail_server.mails[mails_count:]]
    say("", *(f"One mail for the whole sweep: {subject}" for subject in subjects))
    chosen = sorted(str(each["service"]) for each in begun.get("services", []))
    return [
        Promise(
            "the event chooses the services that use the secret",
            chosen == [f"{CLUSTER}/{name}" for name in USERS],
            ", ".join(chosen),
        ),
        *_promises_of_the_users(world, found),
        _promise_of_the_other(world, found),
        Promise("the sweep has ended, with one mail", ended and len(subjects) == 1),
    ]


def event_of(secret: Secret) -> dict[str, Any]:
    """Return the event that Secrets Manager sends when a secret gets a new current value.

    https://docs.aws.amazon.com/secretsmanager/latest/userguide/event-detail-secret-label-updated-secretsmanager.html
    """
    at = datetime.fromtimestamp(secret.created_at, UTC)
    return {
        "version": "0",
        "id": str(uuid4()),
        "detail-type": "Secret Label Updated",
        "source": "aws.secretsmanager",
        "account": secret.arn.split(":")[4],
        "time": f"{at:%Y-%m-%dT%H:%M:%SZ}",
        "region": secret.arn.split(":")[3],
        "resources": [secret.arn],
        "detail": {
            "name": secret.name,
            "labelUpdated": "AWSCURRENT",
            "versionId": str(uuid4()),
        },
    }


def _walk(runtime: LambdaRuntime, begun: Mapping[str, Any]) -> bool:
    """Invoke the function as the sweep's state machine does; tell whether all went well."""
    sweep = begun.get("sweep")
    turn: dict[str, Any] = {"sweep_turn": sweep, "lane": 0, "turns": 0}
    # No run of this story is handed over, so that no turn has to wait.
    while (turn := runtime.invoke(turn)).get("continues") and turn["wait_seconds"] == 0:
        pass
    end = runtime.invoke({"sweep_end": sweep, "lanes": [0], "rounds": 0, "stopped": None})
    return (end.get("continues"), end.get("has_failed")) == (False, False)


def _draw(world: World, since: float) -> None:
    heading("The tasks over time, as the emulator has recorded them")
    with world.lock:
        world.catch_up()
        for name in (*USERS, OTHER):
            service = world.service(CLUSTER, name)
            say("", name, *rows(world, service, since, width=SCREEN.columns))
    say("", *LEGEND)


def _stops(world: World, service: Service) -> Sequence[float]:
    own = {task.arn for task in service.tasks if task.launch == 0}
    calls = world.calls_of("StopTask")
    return [call.at for call in calls if call.wrote and call.parameters["task"] in own]


def _promises_of_the_users(world: World, found: _Found) -> list[Promise]:
    """Judge by what the emulator has recorded, whatever the function says of itself."""
    promises, stops = [], []
    for name in USERS:
        service = world.service(CLUSTER, name)
        stops.append(_stops(world, service))
        serving = [task for task in service.tasks if task.in_service]
        is_new = all(task.created_at > found.changed_at for task in serving)
        lowest = world.lowest_in_service(CLUSTER, name)
        now = capacity(world, name)
        promises += [
            Promise(
                f"{name}: every task was replaced by one that reads the new value",
                len(stops[-1]) == TASKS_COUNT <= len(serving) and is_new,
                f"{len(stops[-1])} of {TASKS_COUNT} recycled",
            ),
            Promise(
                f"{name}: never fewer in service than desired",
                lowest >= TASKS_COUNT,
                f"lowest {lowest}",
            ),
            Promise(f"{name}: the capacity is as it was", now == found.capacities[name]),
        ]
    in_turn = all(max(a, default=0) < min(b, default=0) for a, b in pairwise(stops))
    return [*promises, Promise("one service after the other", in_turn)]


def _promise_of_the_other(world: World, found: _Found) -> Promise:
    service = world.service(CLUSTER, OTHER)
    originals = [task for task in service.tasks if task.launch == 0 and task.in_service]
    is_untouched = len(originals) == len(service.tasks) == TASKS_COUNT
    return Promise(
        f"{OTHER}, which does not use the secret, was not touched",
        is_untouched and capacity(world, OTHER) == found.capacities[OTHER],
        f"{len(originals)} of {TASKS_COUNT} tasks as before",
    )
