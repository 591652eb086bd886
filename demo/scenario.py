"""The demo's story: a service of three tasks, the function in Lambda's runtime, one invocation."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from demo.checks import Outcome
from demo.emulated_aws import EmulatedAws
from demo.lambda_runtime import CLI_ENVIRONMENT, LambdaRuntime, read_answer
from demo.mail_server import MailServer, self_signed
from demo.narration import read_log_record, told_command
from demo.package import PROJECT, build_zip
from demo.picture import draw
from demo.process import LocalProcess

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from demo.narration import Narrator
    from demo.record import TaskRecord

CLUSTER: Final = "demo"
SERVICE: Final = "web"
# Nothing here but its length differs from life: a task is in service after two to three seconds.
SHORT_TIMES: Final[Mapping[str, object]] = {
    "scheduler_interval": (0.2, 0.5),
    "provisioning": 0.4,
    "pending": (0.8, 1.2),
    "activating": 0.2,
    "target_health_delay": (0.7, 1.0),
    "stop_reaction": 0.2,
    "drain": 1.0,
    "stop_time": 0.3,
    "deprovision": 0.3,
    "staleness": 0.3,
    "latency": 0.02,
    "aas_lag": 0.3,
}
WORLD: Final = ("--tasks", "3", "--target-group", "--autoscaling", "3:6")
PAYLOAD: Final[dict[str, Any]] = {
    "cluster_name": CLUSTER,
    "service_name": SERVICE,
    "maintain_service_state": True,
    "wait_time": 1,
}
WORKER_JOB_SECONDS: Final = 25.0
"""So long that the other tasks are recycled before it ends."""
RESPONSE: Final = Path("response.json")
MAIL_USERNAME: Final = "demo"
MAIL_PASSWORD: Final = "made-up-for-this-machine"  # noqa: S105 - of our own server
LAST_LINES_WITHIN_SECONDS: Final = 10.0
SETTLES_WITHIN_SECONDS: Final = 15.0


class WorkerError(RuntimeError):
    """The worker did not get its protection; the sentence holds what it said last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Everything that runs while the function does; `worker` is the task that protects itself."""

    aws: EmulatedAws
    worker: TaskRecord
    mail_server: MailServer
    runtime: LambdaRuntime
    folder: Path


def play(folder: Path, narrator: Narrator, emulator_options: Sequence[str]) -> Outcome:
    """Set the stage in `folder`, invoke the function once, tell all of it; nothing is left running.

    `emulator_options` come after the demo's own and so prevail.
    """
    with ExitStack() as running:
        narrator.heading("The stage")
        stage = _set_stage(running, folder, narrator, emulator_options)
        capacity_before = stage.aws.capacity()
        narrator.say(f"Service {CLUSTER}/{SERVICE}, behind a target group: {capacity_before}.")
        started_at = stage.aws.record().until
        status, answer = _invoke(stage, narrator)
        narrator.say(
            "(The function has ended; what is left to see is the last task on its way out.)"
        )
        record = stage.aws.settled_record(within_seconds=SETTLES_WITHIN_SECONDS)
        outcome = Outcome(
            service=f"{CLUSTER}/{SERVICE}",
            worker_arn=stage.worker.arn,
            cli_status=status,
            answer=answer,
            messages=_messages(stage.runtime.log_lines),
            record=record,
            capacity_before=capacity_before,
            capacity_after=stage.aws.capacity(),
            journal=stage.aws.journal(),
            mails=tuple(stage.mail_server.mails),
        )
    _tell(outcome, started_at, narrator)
    return outcome


def input_json(mail_server: MailServer) -> dict[str, Any]:
    """Return an input.json that mails to the given server."""
    return {
        "awsCredentials": {},
        "smtpCredentials": {
            "host": mail_server.host,
            "port": str(mail_server.port),
            "username": MAIL_USERNAME,
            "password": MAIL_PASSWORD,
            "from_email": "noreply@example.com",
        },
        "emailNotification": {
            "email_subject": "ECS Service Task Recycle Completed",
            "subject_prefix": "AWS ECS",
            "to": ["admin@example.com"],
        },
    }


def _set_stage(
    running: ExitStack, folder: Path, narrator: Narrator, emulator_options: Sequence[str]
) -> Stage:
    mail_server = running.enter_context(
        MailServer(username=MAIL_USERNAME, password=MAIL_PASSWORD, certificate=self_signed(folder))
    )
    narrator.say(f"A mail server: {mail_server.host}:{mail_server.port} (STARTTLS and login).")
    zip_file, said = build_zip(folder, input_json(mail_server))
    for line in said.replace(f"{folder}/", "").splitlines():
        narrator.say(line)
    aws = running.enter_context(
        EmulatedAws(
            [*WORLD, *_knobs(), *emulator_options], cluster=CLUSTER, service=SERVICE, folder=folder
        )
    )
    narrator.say(f"An emulated AWS (ECS, autoscaling, target health, SSM): {aws.url}")
    runtime = running.enter_context(
        LambdaRuntime(
            zip_file,
            environment={
                **aws.endpoints(),
                "SSL_CERT_FILE": str(mail_server.certificate.certificate_file),
                "HOME": str(folder),
                "TMPDIR": str(folder),
            },
            folder=folder / "function",
            on_line=narrator.log_line,
        )
    )
    narrator.say(f"The zip in AWS's own Lambda runtime: {runtime.url}")
    worker = aws.record().oldest
    narrator.say(
        f"The oldest task, {worker.short_id}, is a worker: a process with the task's agent."
    )
    return Stage(aws=aws, worker=worker, mail_server=mail_server, runtime=runtime, folder=folder)


def _knobs() -> list[str]:
    return [part for name, value in SHORT_TIMES.items() for part in ("--knob", f"{name}={value}")]


def _invoke(stage: Stage, narrator: Narrator) -> tuple[int, dict[str, Any]]:
    """Return the AWS CLI's exit status and the answer, with its body read."""
    command = stage.runtime.cli_command(PAYLOAD, RESPONSE)
    narrator.heading("The command")
    narrator.lines(told_command(command, CLI_ENVIRONMENT))
    narrator.heading("The log, as it comes")
    with _worker_at_work(stage, narrator):
        done = stage.runtime.invoke_with_cli(PAYLOAD, RESPONSE, folder=stage.folder)
    # The answer may be here before the last lines are.
    with suppress(TimeoutError):
        stage.runtime.wait_for_line("REPORT RequestId", timeout_seconds=LAST_LINES_WITHIN_SECONDS)
    for line in done.stderr.splitlines():
        narrator.say(line)
    return done.returncode, _read_answer(stage.folder / RESPONSE)


@contextmanager
def _worker_at_work(stage: Stage, narrator: Narrator) -> Iterator[None]:
    """Have the worker's process run, from the moment at which it is under protection."""
    process = LocalProcess(
        [sys.executable, "-m", "demo.worker", str(WORKER_JOB_SECONDS)],
        environment={
            "ECS_AGENT_URI": f"{stage.aws.url}{stage.worker.agent_path}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "LANG": "C.UTF-8",
            "HOME": str(stage.folder),
            "TMPDIR": str(stage.folder),
        },
        folder=PROJECT,
        on_line=narrator.log_line,
    )
    with process:
        with suppress(TimeoutError):
            process.wait_for_line("protected until")
        if process.lines:
            yield
    if not process.lines:
        # Only now that it has ended is all there that it had to say.
        raise WorkerError(" ".join(process.diagnostics[-1:]))


def _read_answer(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    answer = read_answer(path.read_bytes())
    if isinstance(answer.get("body"), str):
        answer["body"] = json.loads(answer["body"])
    return answer


def _messages(log_lines: Sequence[str]) -> list[str]:
    records = (read_log_record(line) for line in log_lines)
    return [str(record["message"]) for record in records if record is not None]


def _tell(outcome: Outcome, started_at: float, narrator: Narrator) -> None:
    narrator.heading("The answer (response.json, its body unfolded)")
    narrator.answer(outcome.answer)
    for mail in outcome.mails:
        narrator.heading(f"The mail, received {'over TLS' if mail.over_tls else 'in the clear'}")
        narrator.mail(mail)
    narrator.heading("The tasks over time, by the emulator's own record")
    narrator.lines(draw(outcome.record, since=started_at, palette=narrator.palette))
