"""`make demo`: a service of three tasks is recycled by the function in Lambda's own runtime."""

from __future__ import annotations

import json
import re
import shlex
import urllib.request
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any, Final

import boto3

from demo import rotation
from demo.lambda_runtime import LambdaRuntime
from demo.mail_server import PASSWORD, USERNAME, MailServer, self_signed
from demo.picture import draw
from demo.process import becomes_true
from demo.show import SCREEN, Promise, heading, log_line, log_record, say, tell, unfolded
from demo.stage import CLUSTER, TASKS_COUNT, build_zip, capacity, emulated_ecs, input_json
from ecs_emulator import StopKind
from ecs_emulator.wire.server import serve

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from demo.mail_server import ReceivedMail
    from ecs_emulator import World
    from ecs_emulator.state.model import Service, Task

SERVICE: Final = "web"
EVENT: Final = {"cluster_name": CLUSTER, "service_name": SERVICE, "wait_time": 1}
INTRODUCTION: Final = (
    "You will see an ECS service with three tasks, each of which is replaced by a new one: by the "
    "zip that would be deployed, in AWS's own Lambda runtime, invoked by the real AWS CLI. ECS, "
    "its load balancer and the mail server are emulated, on this machine. One task is busy and "
    "protects itself: it is left alone until it has finished, and so it is the last one. Watch "
    'the row "in service": it never falls below 3. Then a secret changes, and the services that '
    "use it are recycled. This takes about a minute."
)
SURPLUS: Final = (
    "(In the end there is one task more than desired, and ECS chooses which one it stops. The "
    "service keeps three new tasks.)"
)
NEXT_STEP: Final = (
    "Next: make demo-deploy deploys it to a local AWS, with its guardian and a schedule; "
    "./cloudformation_deploy.sh deploys it to your account; README.md has the rest."
)
MAIL: Final = "demo-mail.html"
ANSWERS_LINES: Final = 5
"""The mail's first lines: did it work, was the service affected, is there anything to do."""
EACH_TASK: Final = (
    rf"Recycling task {{}}/{TASKS_COUNT}: arn:\S+",
    r"Task {} recycled, waiting \d+s",
)
LOG: Final = (
    f"Starting task recycle for {CLUSTER}/{SERVICE}",
    f"Original desired count: {TASKS_COUNT}, tasks: {TASKS_COUNT}",
    *(line.format(number) for number in range(1, TASKS_COUNT + 1) for line in EACH_TASK),
    "Task recycle completed successfully",
)
"""The documented lines, as regular expressions."""


def play(folder: Path) -> list[Promise]:
    """Set everything up in `folder`, invoke the function once, show all of it, and judge."""
    world = emulated_ecs(SERVICE)
    service = world.service(CLUSTER, SERVICE)
    worker = min(service.tasks, key=lambda task: task.created_at)
    tell(INTRODUCTION)
    with ExitStack() as running:
        mail_server = running.enter_context(MailServer(self_signed(folder)))
        url = running.enter_context(serve(world))
        work = _Work(worker, url)
        zip_file = build_zip(folder, input_json(mail_server, username=USERNAME, password=PASSWORD))
        environment = {"AWS_ENDPOINT_URL": url, "SSL_CERT_FILE": str(mail_server.certificate)}
        runtime = running.enter_context(
            LambdaRuntime(zip_file, environment=environment, on_line=work.take)
        )
        heading("The command")
        say("AWS_MAX_ATTEMPTS=1 " + shlex.join(runtime.cli_command(EVENT)))
        heading("The log as it comes, and the tasks over time, as the emulator has recorded them")
        found, since = capacity(world, SERVICE), world.clock.now()
        with SCREEN.keeps(lambda: _picture(world, service, since)):
            work.begin()
            answer = runtime.invoke(EVENT)
            becomes_true(lambda: _has_settled(world, service), within_seconds=15)
        tell(SURPLUS)
        now = capacity(world, SERVICE)
        _show(answer, mail_server.mails, folder.parent / MAIL)
        seen = f"desired count, minimum, maximum: {found} before, {now} after"
        promises = [
            *_promises_of_the_tasks(world, service, worker),
            Promise("the capacity is as it was", found == now, seen),
            Promise("the run's record is closed", _run_record_is_closed(url)),
            *_promises_to_the_user(answer, runtime.lines, mail_server.mails),
        ]
        return [*promises, *rotation.play(zip_file, mail_server)]


class _Work:
    """A task's work, under scale-in protection, as a program in its container would protect it."""

    def __init__(self, task: Task, url: str) -> None:
        self._name = f"Task {task.id[:8]}"
        # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-scale-in-protection-endpoint.html
        self._url = f"{url}{task.agent_path}/task-protection/v1/state"

    def begin(self) -> None:
        self._protect(enabled=True)
        say(f"({self._name} is busy, and protects itself while it works.)")

    def take(self, line: str) -> None:
        """Show a line of the log; end the work when all other tasks are recycled."""
        log_line(line)
        if f"Task {TASKS_COUNT - 1} recycled" in line:
            # At once: a run that finds it at work looks again after 20 seconds.
            self._end()

    def _end(self) -> None:
        with suppress(OSError):  # the run has failed meanwhile, and all is over
            self._protect(enabled=False)
            say(f"({self._name} has finished its work and ended its protection.)")

    def _protect(self, *, enabled: bool) -> None:
        wish = json.dumps({"ProtectionEnabled": enabled}).encode()
        request = urllib.request.Request(self._url, wish, method="PUT")  # noqa: S310
        urllib.request.urlopen(request, timeout=10).close()  # noqa: S310 - the agent's own address


def _has_settled(world: World, service: Service) -> bool:
    with world.lock:
        world.catch_up()
        there = [task for task in service.tasks if task.last_status not in {"STOPPED", "DELETED"}]
        return len(there) == service.desired_count and all(task.in_service for task in there)


def _picture(world: World, service: Service, since: float) -> Sequence[str]:
    with world.lock:
        world.catch_up()
        return ["", *draw(world, service, since, width=SCREEN.columns)]


def _show(answer: Mapping[str, Any], mails: Sequence[ReceivedMail], page: Path) -> None:
    heading("The answer (response.json, its body unfolded, and of its tasks the first)")
    say(unfolded(_shortened(answer)))
    for mail in mails:
        heading("The mail")
        text = mail.part("plain").strip().splitlines()
        say(*(f"{name}: {mail.message[name]}" for name in ("From", "To", "Subject")))
        say("", *text[:ANSWERS_LINES], "")
        page.write_text(mail.part("html"), encoding="utf-8")
        say(f"All of it, for a browser: build/{page.name}")


def _shortened(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    body = answer.get("body", {})
    tasks = body.get("tasks", [])
    if len(tasks) <= 1:
        return answer
    more = f"and {len(tasks) - 1} more"
    return {**answer, "body": {**body, "tasks": [tasks[0], more]}}


def _promises_of_the_tasks(world: World, service: Service, worker: Task) -> list[Promise]:
    """Judge by what the emulator has recorded, whatever the function says of itself."""
    causes = [task.stop_cause for task in service.tasks if task.launch == 0]
    recycled = [cause for cause in causes if cause and cause.kind == StopKind.STOP_TASK]
    new = [task for task in service.tasks if task.launch and task.in_service]
    lowest = world.lowest_in_service()
    states = list(worker.timeline)
    was_protected = any(state.protected(at) for at, state in states)
    was_spared = not any(state.protected(at) and state.stopping_at for at, state in states)
    cleared = world.calls_of("UpdateTaskProtection")
    return [
        Promise(
            "every task was replaced",
            len(recycled) == len(new) == TASKS_COUNT,
            f"{len(recycled)} of {TASKS_COUNT} recycled, {len(new)} new ones in service",
        ),
        Promise("never fewer in service than desired", lowest >= TASKS_COUNT, f"lowest {lowest}"),
        Promise(
            "the task under scale-in protection was left alone until it had finished",
            was_protected and was_spared and not cleared,
        ),
    ]


def _promises_to_the_user(
    answer: Mapping[str, Any], log: Sequence[str], mails: Sequence[ReceivedMail]
) -> list[Promise]:
    outcome = answer.get("statusCode"), answer.get("body", {}).get("status")
    messages = iter([str(record["message"]) for record in map(log_record, log) if record])
    missing = [line for line in LOG if not any(re.fullmatch(line, each) for each in messages)]
    return [
        Promise(
            "it answers 200, completed",
            outcome == (200, "completed"),
            str(answer.get("errorType", outcome)),
        ),
        Promise(
            "its log has the documented lines, in order",
            not missing,
            f"missing: {missing[0]}" if missing else "",
        ),
        Promise(
            "one mail came, over TLS", [mail.over_tls for mail in mails] == [True], f"{len(mails)}"
        ),
    ]


def _run_record_is_closed(url: str) -> bool:
    """Tell whether the run's record, an item of a DynamoDB table, says that it has ended."""
    answer = boto3.client("dynamodb", endpoint_url=url).get_item(
        TableName="ecs-task-recycle-runs",
        Key={"service": {"S": f"{CLUSTER}/{SERVICE}"}},
        ConsistentRead=True,
    )
    return answer.get("Item", {}).get("state", {}).get("S") == "ended"
