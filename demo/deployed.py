"""`make demo-deploy`: deployed by CloudFormation, invoked, scheduled, deleted, on a local AWS."""

from __future__ import annotations

import json
import os
import re
import shlex
import time
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import boto3

from demo.lambda_runtime import CLI_ENVIRONMENT, FUNCTION
from demo.mail_server import PASSWORD, USERNAME, MailServer, self_signed
from demo.process import (
    LOCALHOST,
    DemoError,
    LocalProcess,
    becomes_true,
    environment_in,
    free_ports,
    run,
)
from demo.show import Promise, heading, say
from demo.stage import CLUSTER, PROJECT, TASKS_COUNT, copy_sources, emulated_ecs, input_json, main
from ecs_emulator.wire.server import serve

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from subprocess import CompletedProcess

    from ecs_emulator import World

MINISTACK: Final = PROJECT / ".venv-ministack" / "bin" / "ministack"
DEPLOY: Final = "./cloudformation_deploy.sh"
ZIP_FILE: Final = "dist/ecs-task-recycle.zip"
LOG_GROUP: Final = f"/aws/lambda/{FUNCTION}"
SECRET: Final = "mail/login"  # noqa: S105 - its name
SCHEDULE: Final = (
    "ScheduleExpression=rate(1 minute)",
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


class MiniStack(LocalProcess):
    """CloudFormation, S3, IAM, Lambda, EventBridge, Logs and Secrets Manager on 127.0.0.1.

    https://github.com/ministackorg/ministack, in an environment of its own. What is not as in AWS:
    it does not judge permissions, every error of a function has the type `Runtime.HandlerError`,
    properties that it does not know are accepted, a rate rule first fires up to a minute late, and
    its ECS does not schedule: `function_environment` points the functions elsewhere.
    """

    def __init__(self, folder: Path, *, function_environment: Mapping[str, str]) -> None:
        if not os.access(MINISTACK, os.X_OK):
            raise DemoError(f"There is no {MINISTACK.relative_to(PROJECT)}: run make.")
        (port,) = free_ports(1)
        # Without BIND_HOST it listens on every interface of the machine.
        own = {"BIND_HOST": LOCALHOST, "GATEWAY_PORT": str(port), "PYTHONUNBUFFERED": "1"}
        # It does this by itself for functions with a runtime of AWS, and not for the others.
        own["AWS_ENDPOINT_URL"] = f"http://{LOCALHOST}:{port}"
        environment = {**environment_in(folder), **function_environment, **own}
        super().__init__(str(MINISTACK), environment=environment, folder=folder, port=port)

    def client(self, service: Any) -> Any:  # noqa: ANN401 - boto3 has a type for each
        """Return a boto3 client of one of its services."""
        return boto3.client(service, endpoint_url=self.url)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Everything that runs, and the folder where the user's commands are typed."""

    world: World
    mail_server: MailServer
    cloud: MiniStack
    function_environment: Mapping[str, str]
    tree: Path
    printed: list[str] = field(default_factory=list)

    def type(self, *command: str) -> CompletedProcess[str]:
        """Run a user's command against the local AWS, showing it and what it says."""
        say("", f"$ {shlex.join(command)}")
        own = {**CLI_ENVIRONMENT, "AWS_ENDPOINT_URL": self.cloud.url}
        environment = {**environment_in(self.tree.parent), **own}
        done = run(*command, environment=environment, folder=self.tree)
        say(*(text for text in (done.stdout, done.stderr) if text))
        self.printed.extend((done.stdout, done.stderr))
        return done

    def deploy(self) -> CompletedProcess[str]:
        """Create the mail secret and deploy the function for the one cluster."""
        return self.type(
            DEPLOY, f"ClusterNames={CLUSTER}", f"MailSecretArn={self.create_mail_secret()}"
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

    def invoke(self, service: str) -> tuple[str, dict[str, Any]]:
        """Invoke the function; return what the AWS CLI printed, and the function's answer."""
        event = json.dumps({"cluster_name": CLUSTER, "service_name": service, "wait_time": 0})
        command = ("aws", "lambda", "invoke", "--function-name", FUNCTION)
        done = self.type(*command, "--cli-read-timeout", "0", "--payload", event, "response.json")
        return done.stdout, json.loads((self.tree / "response.json").read_text())

    def mails_of(self, service: str, count: int, *, within_seconds: float) -> bool:
        """Wait for the mails of so many completed runs of a service; tell whether they came."""
        end = f"Completed: {CLUSTER}/{service}"

        def have_come() -> bool:
            subjects = [str(mail.message["Subject"]) for mail in self.mail_server.mails]
            return sum(subject.endswith(end) for subject in subjects) >= count

        return becomes_true(have_come, within_seconds=within_seconds)


def set_stage(
    running: ExitStack, folder: Path, *, world: World | None = None, **settings: str
) -> Stage:
    """Start the emulated ECS, a mail server and the local AWS; copy what is to be deployed.

    Without a world it is one with the services web and api. The settings are MiniStack's own, by
    the names of its environment variables.
    """
    world = world or emulated_ecs("web", "api")
    url = running.enter_context(serve(world))
    mail_server = running.enter_context(MailServer(self_signed(folder)))
    environment = dict.fromkeys(EMULATED, url) | {"SSL_CERT_FILE": str(mail_server.certificate)}
    cloud = running.enter_context(
        MiniStack(folder, function_environment={**environment, **settings})
    )
    say(
        f"Emulated ECS with two services: {url}",
        f"Mail server:                    127.0.0.1:{mail_server.port}",
        f"MiniStack (all else of AWS):    {cloud.url}",
    )
    return Stage(
        world=world,
        mail_server=mail_server,
        cloud=cloud,
        function_environment={**environment, "AWS_ENDPOINT_URL": cloud.url},
        tree=copy_sources(folder / "sources", input_json(mail_server, secret_id=SECRET)),
    )


def play(folder: Path) -> list[Promise]:
    """Go from the first deployment to the deletion; nothing is left running."""
    with ExitStack() as running:
        stage = set_stage(running, folder)
        heading("Deployed; again with nothing changed; with a schedule")
        first, again = stage.deploy(), stage.type(DEPLOY)
        time.sleep(1)  # MiniStack mixes up two deployments within a second.
        scheduled = stage.type(DEPLOY, *SCHEDULE)
        is_the_same = stage.fetch_zip() == (stage.tree / ZIP_FILE).read_bytes()
        heading("Invoked: synchronously; for a missing service; as an event; by the schedule")
        promises = [
            _promise("one command deploys", first, "is deployed in"),
            _promise("deployed again, nothing changes", again, "nothing has changed"),
            _promise("a schedule is deployed", scheduled, "is deployed in"),
            Promise("the deployed zip is the one that was built", is_the_same),
            *_promises_of_the_invocations(stage, first.stdout),
        ]
        heading("Deleted; again with nothing to delete")
        deleted, again = stage.type(DEPLOY, "--delete"), stage.type(DEPLOY, "--delete")
        return [
            *promises,
            _promise("one command deletes it", deleted, "is deleted"),
            _promise("deleted again, it says so", again, "there is no stack"),
        ]


def _promise(claim: str, done: CompletedProcess[str], text: str) -> Promise:
    said = [line for line in done.stdout.splitlines() if text in line]
    return Promise(claim, done.returncode == 0 and bool(said), "".join(said[:1]))


def _promises_of_the_invocations(stage: Stage, output: str) -> list[Promise]:
    _, answer = stage.invoke("web")
    status = json.loads(answer.get("body", "{}")).get("status")
    failed, error = stage.invoke("nowhere")
    message = str(error.get("errorMessage"))
    event = stage.type("bash", "-c", _printed_command(output))
    completes = stage.mails_of("web", 2, within_seconds=120)
    say("", "(The schedule fires once a minute: waiting for it.)")
    fires = stage.mails_of("api", 1, within_seconds=180)
    stage.type("aws", "logs", "filter-log-events", "--log-group-name", LOG_GROUP)
    lowest = [stage.world.lowest_in_service(CLUSTER, name) for name in ("web", "api")]
    mails = stage.mail_server.mails
    texts = [mail.part(kind) for mail in mails for kind in ("plain", "html")]
    told = "\n".join([*stage.printed, *stage.cloud.lines, *stage.cloud.errors, *texts])
    return [
        Promise("invoked, it answers completed", status == "completed", str(status)),
        Promise("a failure is a FunctionError", "FunctionError" in failed, message),
        Promise("the printed command sends an event", '"StatusCode": 202' in event.stdout),
        Promise("the event's run completes", completes),
        Promise("the schedule's run completes", fires),
        Promise("never fewer in service than desired", min(lowest) >= TASKS_COUNT, f"{lowest}"),
        Promise(
            "every mail came over TLS, with the login in Secrets Manager",
            all(mail.over_tls and mail.username == USERNAME for mail in mails),
            f"{len(mails)} mails",
        ),
        Promise("the password is in no output, log or mail", PASSWORD not in told),
    ]


def _printed_command(output: str) -> str:
    """Return the command that a deployment has printed, for the service at hand."""
    printed = re.search(r"^InvokeCommand\t(.+)$", output, re.MULTILINE)
    command = printed[1] if printed else "false"
    return command.replace("my-cluster", CLUSTER).replace('"my-service"', '"web","wait_time":0')


if __name__ == "__main__":
    main(play)
