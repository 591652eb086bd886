"""The whole road: deployed by CloudFormation, invoked, scheduled, and deleted; on this machine.

`python -m demo.deployed` plays it before your eyes and judges it.
"""

from __future__ import annotations

import json
import logging
import re
import shlex
import signal
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from demo.deployed_checks import (
    FUNCTION,
    Bucket,
    Deployments,
    Invocation,
    LoggedRun,
    Outcome,
    verdicts,
)
from demo.emulated_aws import ENDPOINT_VARIABLES
from demo.local_cloud import CloudUnavailableError, Done, LocalCloud
from demo.mail_server import MailServer, self_signed
from demo.narration import Narrator, read_log_record
from demo.package import PROJECT, copy_sources
from demo.palette import Colour, palette_for
from demo.scenario import SHORT_TIMES
from demo.workshop import leave_the_account_out, pronounce, temporary_folder
from ecs_emulator import Knobs, World
from ecs_emulator.clock import WallClock
from ecs_emulator.server import serve

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CLUSTER: Final = "demo"
SERVICES: Final = ("web", "api")
TASKS_COUNT: Final = 3
LOG_GROUP: Final = f"/aws/lambda/{FUNCTION}"
DEPLOY: Final = "./cloudformation_deploy.sh"
ZIP_FILE: Final = "dist/ecs-task-recycle.zip"
READ_LOG: Final = (
    *("aws", "logs", "filter-log-events", "--log-group-name", LOG_GROUP),
    *("--query", "events[].message", "--output", "text"),
)
INTERRUPTED: Final = 128 + signal.SIGINT
USERNAME: Final = "demo"
PASSWORD: Final = "made-up-for-the-deployed-road"  # noqa: S105 - of our own server
SCHEDULE: Final = (
    "ScheduleExpression=rate(1 minute)",
    f"ScheduledClusterName={CLUSTER}",
    "ScheduledServiceName=api",
    "ScheduledWaitTime=0",
    "ScheduledStabilizeTimeout=300",
)
FIRES_WITHIN_SECONDS: Final = 180.0
RUNS_WITHIN_SECONDS: Final = 120.0
POLL_SECONDS: Final = 1.0
PUBLIC_ACCESS_BLOCKS_COUNT: Final = 4
# It is MiniStack that answers for these; the emulator has no more than reading a secret.
OF_THE_CLOUD: Final = frozenset({"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SECRETS_MANAGER"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Everything that runs, and where the user's commands are typed."""

    world: World
    mail_server: MailServer
    cloud: LocalCloud
    function_environment: Mapping[str, str]
    tree: Path
    narrator: Narrator
    typed: list[Done] = field(default_factory=list)

    def type(self, *command: str) -> Done:
        """Run a command, telling it and what it says."""
        self.narrator.lines(
            ["", self.narrator.palette.paint(f"$ {shlex.join(command)}", Colour.BOLD)]
        )
        done = self.cloud.run(*command, folder=self.tree)
        self.typed.append(done)
        said = (done.output + done.errors).replace(str(self.tree), ".")
        for line in re.split(r"[\t\n]", said) if command == READ_LOG else said.splitlines():
            tell = self.narrator.log_line if command == READ_LOG else self.narrator.say
            tell(line)
        return done

    def invoke(self, event: dict[str, Any], *options: str) -> Invocation:
        """Invoke the function by the AWS CLI."""
        payload = json.dumps(event, separators=(",", ":"))
        command = ("aws", "lambda", "invoke", "--function-name", FUNCTION, *options)
        return self.invocation(*command, "--payload", payload, "response.json")

    def invocation(self, *command: str) -> Invocation:
        """Run a command that invokes the function and writes its answer to response.json."""
        response = self.tree / "response.json"
        response.unlink(missing_ok=True)
        done = self.type(*command)
        written = response.read_text() if response.exists() else ""
        return Invocation(done=done, response=written)

    def told(self) -> str:
        """Return everything that anybody could read: what was printed, logged and mailed."""
        printed = [text for done in self.typed for text in (done.output, done.errors)]
        mails = [mail.part(kind) for mail in self.mail_server.mails for kind in ("plain", "html")]
        return "\n".join([*printed, *mails, *self.cloud.lines])

    def runs(self) -> list[LoggedRun]:
        """Return the runs in the function's log, by their first lines' times."""
        pages = self.cloud.client("logs").get_paginator("filter_log_events")
        events = [
            each for page in pages.paginate(logGroupName=LOG_GROUP) for each in page["events"]
        ]
        records = [read_log_record(event["message"]) for event in events]
        ours = sorted((each for each in records if each), key=lambda each: str(each["timestamp"]))
        by_run: dict[str, list[str]] = {}
        for record in ours:
            by_run.setdefault(str(record["run_id"]), []).append(str(record["message"]))
        return [LoggedRun(run_id=name, messages=lines) for name, lines in by_run.items()]

    def wait_for_runs(self, service: str, count: int, *, within_seconds: float) -> None:
        """Wait until so many runs of a service have completed, but not for ever."""
        name = f"{CLUSTER}/{service}"
        give_up_at = time.monotonic() + within_seconds
        while time.monotonic() < give_up_at:
            if sum(run.service == name and run.is_completed for run in self.runs()) >= count:
                return
            time.sleep(POLL_SECONDS)


def main() -> int:
    """Play it and judge it. Returns 0 only if everything came out as promised."""
    leave_the_account_out()
    logging.getLogger("mail.log").setLevel(logging.ERROR)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    narrator = Narrator(sys.stdout, palette_for(sys.stdout))
    try:
        with temporary_folder() as folder:
            place = folder.relative_to(PROJECT)
            narrator.say(f"All of it happens in {place}, removed at the end, and on 127.0.0.1.")
            return pronounce(verdicts(play(folder, narrator)), narrator)
    except CloudUnavailableError as error:
        narrator.say(f"The demo cannot go on: {error}")
        return 1
    except KeyboardInterrupt:
        narrator.say("Interrupted; everything that was started has been ended.")
        return INTERRUPTED


def play(folder: Path, narrator: Narrator) -> Outcome:
    """Set the stage in `folder` and take the whole road; nothing is left running."""
    with ExitStack() as running:
        return _walk(set_stage(running, folder, narrator))


def set_stage(running: ExitStack, folder: Path, narrator: Narrator) -> Stage:
    """Start the emulated ECS, a mail server and the local AWS; copy what is to be deployed."""
    narrator.heading("The stage")
    times: dict[str, Any] = dict(SHORT_TIMES)
    world = World(knobs=Knobs(**times), clock=WallClock())
    for name in SERVICES:
        world.create_service(
            cluster=CLUSTER, name=name, desired_count=TASKS_COUNT, target_group=True
        )
        world.register_scalable_target(
            cluster=CLUSTER, service=name, min_capacity=TASKS_COUNT, max_capacity=6
        )
    emulator_url = running.enter_context(serve(world))
    narrator.say(f"An emulated ECS with demo/web and demo/api, {TASKS_COUNT} tasks each.")
    mail_server = running.enter_context(
        MailServer(username=USERNAME, password=PASSWORD, certificate=self_signed(folder))
    )
    narrator.say(f"A mail server: {mail_server.host}:{mail_server.port} (STARTTLS and login).")
    names = [name for name in ENDPOINT_VARIABLES if name not in OF_THE_CLOUD]
    environment = {
        **dict.fromkeys(names, emulator_url),
        "SSL_CERT_FILE": str(mail_server.certificate.certificate_file),
    }
    cloud = running.enter_context(LocalCloud(folder, function_environment=environment))
    narrator.say(f"A local AWS (CloudFormation, Lambda, EventBridge, Logs and more): {cloud.url}")
    return Stage(
        world=world,
        mail_server=mail_server,
        cloud=cloud,
        function_environment={**environment, "AWS_ENDPOINT_URL": cloud.url},
        tree=copy_sources(folder / "sources", input_json(mail_server)),
        narrator=narrator,
    )


def input_json(mail_server: MailServer) -> dict[str, Any]:
    """Return an input.json whose login is a secret's."""
    return {
        "smtpCredentials": {
            "host": mail_server.host,
            "port": str(mail_server.port),
            "secret_id": "mail/login",
            "from_email": "noreply@example.com",
        },
        "emailNotification": {"to": ["admin@example.com"]},
    }


def deploy(stage: Stage) -> Done:
    """Make the mail secret and deploy the function for the one cluster."""
    secret = stage.cloud.client("secretsmanager").create_secret(
        Name="mail/login",
        SecretString=json.dumps({"username": USERNAME, "password": PASSWORD}),
    )
    return stage.type(DEPLOY, f"ClusterNames={CLUSTER}", f"MailSecretArn={secret['ARN']}")


def fetch_zip(stage: Stage) -> bytes:
    """Return the deployed function's code, as Lambda hands it back."""
    described = stage.cloud.client("lambda").get_function(FunctionName=FUNCTION)
    return stage.cloud.fetch(described["Code"]["Location"])


def _walk(stage: Stage) -> Outcome:
    deployments = _deployments(stage)
    completed, failed, asynchronous = _invocations(stage, pasted(deployments.first.output))
    stage.narrator.heading("The log")
    stage.type(*READ_LOG)
    runs = stage.runs()
    stage.narrator.heading("Deleted")
    deleted, deleted_again = stage.type(DEPLOY, "--delete"), stage.type(DEPLOY, "--delete")
    return Outcome(
        deployments=deployments,
        completed=completed,
        failed=failed,
        asynchronous=asynchronous,
        runs=runs,
        deleted=deleted,
        deleted_again=deleted_again,
        lowest_in_service={
            f"{CLUSTER}/{name}": stage.world.lowest_in_service(CLUSTER, name) for name in SERVICES
        },
        tasks_count=TASKS_COUNT,
        mails=tuple(stage.mail_server.mails),
        secret=PASSWORD,
        told=stage.told(),
    )


def _deployments(stage: Stage) -> Deployments:
    stage.narrator.heading("Deployed, once more with nothing changed, and with a schedule")
    first, again = deploy(stage), stage.type(DEPLOY)
    time.sleep(1)  # MiniStack mixes up two deployments within a second.
    scheduled = stage.type(DEPLOY, *SCHEDULE)
    return Deployments(
        first=first,
        again=again,
        scheduled=scheduled,
        rule_input=_rule_input(stage),
        clusters=_clusters(stage),
        built=(stage.tree / ZIP_FILE).read_bytes(),
        fetched=fetch_zip(stage),
        bucket=_bucket(stage),
    )


def pasted(output: str) -> str:
    """Return the command that a deployment has printed, for the service at hand."""
    printed = re.search(r"^InvokeCommand\t(.+)$", output, re.MULTILINE)
    command = printed[1] if printed else "false"
    return command.replace("my-cluster", CLUSTER).replace('"my-service"', '"web","wait_time":0')


def _invocations(stage: Stage, command: str) -> tuple[Invocation, Invocation, Invocation]:
    stage.narrator.heading("Invoked: synchronously, for a service that is not there, as an event")
    event = {"cluster_name": CLUSTER, "service_name": "web", "wait_time": 0}
    completed = stage.invoke(event, "--cli-read-timeout", "0")
    failed = stage.invoke({**event, "service_name": "nowhere"})
    asynchronous = stage.invocation("bash", "-c", command)
    stage.wait_for_runs("web", 2, within_seconds=RUNS_WITHIN_SECONDS)
    stage.narrator.say("(The schedule fires once a minute: waiting for it.)")
    stage.wait_for_runs("api", 1, within_seconds=FIRES_WITHIN_SECONDS)
    return completed, failed, asynchronous


def _bucket(stage: Stage) -> Bucket:
    s3 = stage.cloud.client("s3")
    (bucket,) = s3.list_buckets()["Buckets"]
    name = bucket["Name"]
    blocks = s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"]
    rules = s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"]
    return Bucket(
        blocks_public=len(blocks) == PUBLIC_ACCESS_BLOCKS_COUNT and all(blocks.values()),
        encryption=str(rules[0]["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"]),
        policy=str(s3.get_bucket_policy(Bucket=name)["Policy"]),
    )


def _rule_input(stage: Stage) -> str:
    answer = stage.cloud.client("events").list_targets_by_rule(Rule=f"{FUNCTION}-schedule")
    (target,) = answer["Targets"]
    return str(target["Input"])


def _clusters(stage: Stage) -> list[str]:
    described = stage.cloud.client("lambda").get_function(FunctionName=FUNCTION)
    role_name = described["Configuration"]["Role"].rpartition("/")[2]
    policy = stage.cloud.client("iam").get_role_policy(
        RoleName=role_name, PolicyName="ecs-task-recycle"
    )
    conditions = (each.get("Condition", {}) for each in policy["PolicyDocument"]["Statement"])
    return sorted({cluster for each in conditions for cluster in _clusters_in(each)})


def _clusters_in(condition: dict[str, Any]) -> list[str]:
    clusters = condition.get("ArnLike", {}).get("ecs:cluster", [])
    return [clusters] if isinstance(clusters, str) else list(clusters)


if __name__ == "__main__":
    sys.exit(main())
