"""`make demo-deploy`: deployed by CloudFormation, invoked, scheduled, deleted, on a local AWS."""

from __future__ import annotations

import json
import re
import shlex
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from demo.lambda_runtime import CLI_ENVIRONMENT, FUNCTION
from demo.mail_server import PASSWORD, USERNAME, MailServer, self_signed
from demo.ministack import FunctionLog, MiniStack, gate
from demo.process import (
    LOCALHOST,
    DemoError,
    becomes_true,
    environment_in,
    free_ports,
    run,
)
from demo.show import Promise, heading, say, tell, unfolded
from demo.stage import (
    CLUSTER,
    TASKS_COUNT,
    capacity,
    clock_of,
    copy_sources,
    emulated_ecs,
    input_json,
    main,
)
from ecs_emulator.wire.server import serve

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from subprocess import CompletedProcess

    from ecs_emulator import World

DEPLOY: Final = "./cloudformation_deploy.sh"
ZIP_FILE: Final = "dist/ecs-task-recycle.zip"
SERVICES: Final = ("web", "api", "jobs", "batch")
SPEED: Final = 5.0
BUSY_MINUTES: Final = 4
"""A run is handed over if it has to wait for more than a minute, and then until this is over."""
STOPPED_WAIT_TIME: Final = 40
"""The request to stop has to come while the run waits after its first task."""
INTRODUCTION: Final = (
    "You will see the whole installation on this machine: deployed by CloudFormation, invoked, "
    "handed over to its guardian, asked for its status and to stop, told to recycle several "
    "services by one event, started by a schedule, and deleted. Each command is the one that you "
    "type yourself. MiniStack stands for AWS, and ECS is emulated, with the services web, api, "
    f"jobs and batch. Its clock runs {SPEED:.0f} times as fast as yours. This takes about "
    "3 minutes."
)
NEXT_STEP: Final = (
    "Next: the same with your account, by ./cloudformation_deploy.sh; or make verify-aws, which "
    "tries the function on services of its own there, for a few cents. README.md has both."
)
SWEPT: Final = "2 services"
"""In the subject of a sweep's mail."""
SECRET: Final = "mail/login"  # noqa: S105 - its name
SCHEDULE: Final = (
    "ScheduleExpression=rate(2 minutes)",
    f"ScheduledClusterName={CLUSTER}",
    "ScheduledServiceName=api",
    "ScheduledWaitTime=0",
    "ScheduledStabilizeTimeout=300",
)
# https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html
EMULATED: Final = (
    "AWS_ENDPOINT_URL_ECS",
    "AWS_ENDPOINT_URL_APPLICATION_AUTO_SCALING",
    "AWS_ENDPOINT_URL_ELASTIC_LOAD_BALANCING_V2",
    "AWS_ENDPOINT_URL_STS",
    "AWS_ENDPOINT_URL_CLOUDWATCH",
)
"""What our emulator answers to the functions; MiniStack answers all else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Everything that runs, and the folder where the user's commands are typed."""

    world: World
    mail_server: MailServer
    cloud: MiniStack
    function_environment: Mapping[str, str]
    tree: Path
    log: FunctionLog
    printed: list[str] = field(default_factory=list)

    def type(self, *command: str) -> CompletedProcess[str]:
        """Run a user's command against the local AWS, showing it and what it says."""
        shown = command[2] if command[:2] == ("bash", "-c") else shlex.join(command)
        say("", f"$ {shown}")
        own = {**CLI_ENVIRONMENT, "AWS_ENDPOINT_URL": self.cloud.url}
        environment = {**environment_in(self.tree.parent), **own}
        done = run(*command, environment=environment, folder=self.tree)
        say(*(text for text in (done.stdout, done.stderr) if text))
        self.printed.extend((done.stdout, done.stderr))
        return done

    def deploy(self) -> CompletedProcess[str]:
        """Create the mail secret and deploy the function for the one cluster."""
        secret = self.create_mail_secret()
        return self.type(
            DEPLOY, f"ClusterNames={CLUSTER}", f"MailSecretArn={secret}", "Sweeps=enabled"
        )

    def create_mail_secret(self) -> str:
        """Create the secret with the login of the mail server; return its ARN."""
        secret = self.cloud.client("secretsmanager").create_secret(
            Name=SECRET, SecretString=json.dumps({"username": USERNAME, "password": PASSWORD})
        )
        return str(secret["ARN"])

    def fetch_zip(self) -> bytes:
        """Return the deployed function's code, as Lambda hands it back."""
        described = self.cloud.client("lambda").get_function(FunctionName=FUNCTION)
        path = described["Code"]["Location"].split("/", 3)[3]
        with urllib.request.urlopen(f"{self.cloud.url}/{path}") as answer:  # noqa: S310
            return bytes(answer.read())

    def invoke(self, service: str, **parameters: object) -> tuple[str, dict[str, Any]]:
        """Invoke the function for a service; see `send`."""
        return self.send({"cluster_name": CLUSTER, "service_name": service, **parameters})

    def send(self, event: Mapping[str, object]) -> tuple[str, dict[str, Any]]:
        """Invoke the function; return what the AWS CLI printed, and the answer that it showed."""
        command = ("aws", "lambda", "invoke", "--function-name", FUNCTION)
        text = json.dumps(event, separators=(",", ":"))
        done = self.type(*command, "--cli-read-timeout", "0", "--payload", text, "response.json")
        answer = json.loads((self.tree / "response.json").read_text())
        if "body" in answer:
            answer["body"] = json.loads(answer["body"])
        say(f"response.json: {unfolded(_without_nothing(answer))}")
        self.log.show(title="The log:")
        return done.stdout, answer

    @property
    def subjects(self) -> list[str]:
        """The subjects of all mails that came."""
        return [str(mail.message["Subject"]) for mail in self.mail_server.mails]

    def mails_of(
        self, service: str, count: int, *, within_seconds: float, outcome: str = "Completed"
    ) -> bool:
        """Show the log until so many mails of a service's runs came; tell whether they did."""
        # What has become of it may follow.
        text = f"{outcome}: {CLUSTER}/{service}".lower()

        def have_come() -> bool:
            self.log.show()
            return sum(text in subject.lower() for subject in self.subjects) >= count

        return becomes_true(have_come, within_seconds=within_seconds, every_seconds=1.0)


def _without_nothing(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Leave out the fields that are null or empty, and all tasks but their number."""
    if isinstance(value, list):
        return [_without_nothing(one) for one in value]
    if not isinstance(value, dict):
        return value
    told = {key: one for key, one in value.items() if one not in (None, [], {})}
    told.pop("stackTrace", None)
    if isinstance(tasks := told.get("tasks"), list):
        told["tasks"] = f"{len(tasks)} tasks"
    return {key: _without_nothing(one) for key, one in told.items()}


def set_stage(
    running: ExitStack, folder: Path, *, world: World | None = None, **settings: str
) -> Stage:
    """Start the emulated ECS, a mail server and the local AWS; copy what is to be deployed.

    Without a world it is one with the services of SERVICES. Everything but the user's
    commands goes by its clock. The settings are MiniStack's own, by the names of its environment
    variables.
    """
    world = world or emulated_ecs(*SERVICES)
    url = running.enter_context(serve(world))
    mail_server = running.enter_context(MailServer(self_signed(folder)))
    (port,) = free_ports(1)
    states_url = running.enter_context(gate(f"http://{LOCALHOST}:{port}"))
    environment = dict.fromkeys(EMULATED, url) | {
        "AWS_ENDPOINT_URL_SFN": states_url,
        "SSL_CERT_FILE": str(mail_server.certificate),
        **clock_of(world),
    }
    cloud = running.enter_context(
        MiniStack(folder, function_environment={**environment, **settings}, port=port)
    )
    return Stage(
        world=world,
        mail_server=mail_server,
        cloud=cloud,
        function_environment={**environment, "AWS_ENDPOINT_URL": cloud.url},
        log=FunctionLog(cloud.client("logs")),
        tree=copy_sources(folder / "sources", input_json(mail_server, secret_id=SECRET)),
    )


def play(folder: Path) -> list[Promise]:
    """Go from the first deployment to the deletion; nothing is left running."""
    tell(INTRODUCTION)
    with ExitStack() as running:
        stage = set_stage(running, folder, world=emulated_ecs(*SERVICES, speed=SPEED))
        heading("Deployed; again with nothing changed")
        first, again = _deployed(stage), _deployed(stage, DEPLOY)
        is_the_same = stage.fetch_zip() == (stage.tree / ZIP_FILE).read_bytes()
        promises = [
            _promise("one command deploys", first, "is deployed in"),
            _promise("deployed again, nothing changes", again, "nothing has changed"),
            Promise("the deployed zip is the one that was built", is_the_same),
            *_promises_of_the_invocations(stage, first.stdout),
            *_promises_of_the_guardian(stage),
            *_promises_of_the_requests(stage),
            *_promises_of_the_sweep(stage),
            *_promises_of_the_schedule(stage),
            *_promises_of_the_whole(stage),
        ]
        heading("Deleted; again with nothing to delete")
        deleted, again = stage.type(DEPLOY, "--delete"), stage.type(DEPLOY, "--delete")
        return [
            *promises,
            _promise("one command deletes it", deleted, "is deleted"),
            _promise("deleted again, it says so", again, "there is no stack"),
        ]


def _deployed(stage: Stage, *command: str) -> CompletedProcess[str]:
    """Deploy, by this command or for the first time. Raises DemoError: it failed."""
    done = stage.type(*command) if command else stage.deploy()
    if done.returncode:
        raise DemoError("the deployment has failed; what it said stands above.")
    return done


def _promise(claim: str, done: CompletedProcess[str], text: str) -> Promise:
    said = [line for line in done.stdout.splitlines() if text in line]
    return Promise(claim, done.returncode == 0 and bool(said), "".join(said[:1]))


def _promises_of_the_invocations(stage: Stage, output: str) -> list[Promise]:
    heading("Invoked: synchronously; for a service that is missing; as an event")
    _, answer = stage.invoke("web", wait_time=0)
    status = answer.get("body", {}).get("status")
    failed, error = stage.invoke("nowhere", wait_time=0)
    event = stage.type("bash", "-c", _printed_command(output))
    say("", "(The log, as it comes:)")
    completes = stage.mails_of("web", 2, within_seconds=120)
    return [
        Promise("invoked, it answers completed", status == "completed", str(status)),
        Promise(
            "a failure is a FunctionError", "FunctionError" in failed, str(error["errorMessage"])
        ),
        Promise("the printed command sends an event", '"StatusCode": 202' in event.stdout),
        Promise("the event's run completes", completes),
    ]


def _printed_command(output: str) -> str:
    """Return the command that a deployment has printed, for the service at hand."""
    printed = re.search(r"^InvokeCommand\t(.+)$", output, re.MULTILINE)
    command = printed[1] if printed else "false"
    return command.replace("my-cluster", CLUSTER).replace('"my-service"', '"web","wait_time":0')


def _promises_of_the_guardian(stage: Stage) -> list[Promise]:
    """Have a run wait for a task that works, which its guardian does: no invocation runs then."""
    heading("Handed over to the guardian, because a task is busy and protects itself")
    busy = stage.world.service(CLUSTER, "jobs").tasks[0]
    stage.world.protect_task(busy, minutes=BUSY_MINUTES)
    _, answer = stage.invoke("jobs", wait_time=0)
    handed_over = answer.get("body", {}).get("status")
    _, answer = stage.invoke("jobs", action="status")
    state = answer.get("body", {}).get("run", {}).get("state")
    say("", "(The guardian looks again when the protection ends. The log, as it comes:)")
    completes = stage.mails_of("jobs", 1, within_seconds=BUSY_MINUTES * 60 + 180)
    return [
        Promise("it hands over to its guardian", handed_over == "continued", str(handed_over)),
        Promise("status says where the run stands", state == "handed_over", str(state)),
        Promise("the guardian completes the run", completes),
    ]


def _promises_of_the_requests(stage: Stage) -> list[Promise]:
    """Stop a run in its first pause."""
    heading("Asked to stop")
    own = {"cluster_name": CLUSTER, "service_name": "batch"}
    event = {**own, "wait_time": STOPPED_WAIT_TIME}
    stage.cloud.client("lambda").invoke(
        FunctionName=FUNCTION, InvocationType="Event", Payload=json.dumps(event)
    )
    say(f"(A run of batch was started as an event; it waits {STOPPED_WAIT_TIME} s for each task.)")
    originals = {task.arn for task in stage.world.service(CLUSTER, "batch").tasks}

    def stopped() -> int:
        calls = stage.world.calls_of("StopTask")
        return sum(call.wrote and call.parameters["task"] in originals for call in calls)

    becomes_true(lambda: stopped() > 0, within_seconds=60, every_seconds=0.25)
    _, answer = stage.invoke("batch", action="stop")
    status = answer.get("body", {}).get("status")
    ends = stage.mails_of("batch", 1, within_seconds=120, outcome="Partial")
    now, count = capacity(stage.world, "batch"), stopped()
    return [
        Promise("asked to stop, it says so", status == "stopping", str(status)),
        Promise(
            "it stops after the task in hand, and restores the capacity",
            ends and count == 1 and now == (TASKS_COUNT, TASKS_COUNT, 2 * TASKS_COUNT),
            f"{count} of {TASKS_COUNT} tasks replaced; desired count, minimum, maximum: {now}",
        ),
    ]


def _promises_of_the_sweep(stage: Stage) -> list[Promise]:
    heading("Two services by one event, both at the same time")
    names = ("web", "batch")
    _, answer = stage.send(
        {"cluster_name": CLUSTER, "services": names, "at_once": len(names), "wait_time": 0}
    )
    begun = answer.get("body", {})
    say("", "(The log, as it comes:)")

    def has_mailed() -> bool:
        stage.log.show()
        return any(SWEPT in subject for subject in stage.subjects)

    mailed = becomes_true(has_mailed, within_seconds=180, every_seconds=1.0)
    _, answer = stage.send({"sweep": begun.get("sweep"), "action": "status"})
    services = answer.get("body", {}).get("services", [])
    outcomes = [f"{each['service']} {each['status']}" for each in services]
    return [
        Promise("one event begins a sweep", begun.get("status") == "sweeping"),
        Promise(
            "each of its services is recycled, and one mail tells of all",
            mailed and outcomes == [f"{CLUSTER}/{name} completed" for name in names],
            ", ".join(outcomes),
        ),
    ]


def _promises_of_the_schedule(stage: Stage) -> list[Promise]:
    heading("By a schedule, which fires every two minutes")
    scheduled = _deployed(stage, DEPLOY, *SCHEDULE)
    say("", "(The log, as it comes:)")
    fires = stage.mails_of("api", 1, within_seconds=180)
    return [
        _promise("a schedule is deployed", scheduled, "is deployed in"),
        Promise("the schedule's run completes", fires),
    ]


def _promises_of_the_whole(stage: Stage) -> list[Promise]:
    """Judge what has to hold for all runs."""
    lowest = [stage.world.lowest_in_service(CLUSTER, name) for name in SERVICES]
    mails = stage.mail_server.mails
    texts = [mail.part(kind) for mail in mails for kind in ("plain", "html")]
    told = "\n".join([*stage.printed, *stage.cloud.lines, *stage.cloud.errors, *texts])
    known = (*(f"{CLUSTER}/{name}" for name in (*SERVICES, "nowhere")), SWEPT)
    return [
        Promise("never fewer in service than desired", min(lowest) >= TASKS_COUNT, f"{lowest}"),
        Promise(
            "every mail came over TLS, with the login in Secrets Manager",
            all(mail.over_tls and mail.username == USERNAME for mail in mails),
        ),
        Promise(
            "every mail is about a run of these",
            all(any(name in subject for name in known) for subject in stage.subjects),
            f"{len(mails)} mails",
        ),
        Promise(
            "the only error in the log is that of the missing service",
            bool(stage.log.errors) and all("nowhere" in error for error in stage.log.errors),
            f"{len(stage.log.errors)} lines",
        ),
        Promise("the password is in no output, log or mail", PASSWORD not in told),
    ]


if __name__ == "__main__":
    main(play, next_step=NEXT_STEP)
