"""The verification from the first stack to the last figure."""

from argparse import Namespace
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import StringIO
from typing import Any, Final

from ecs_task_recycle.aws.gateway import Gateway
from ecs_task_recycle.model import ScalableTarget
from ecs_task_recycle.watch.reads import read_until
from ecs_task_recycle_client.follow import Follower
from ecs_task_recycle_client.function import Function
from ecs_task_recycle_client.replies import Reply
from ecs_task_recycle_client.terminal import Lines
from verify_aws import questions
from verify_aws.account import NAME, Account, VerifyError
from verify_aws.deployment import Deployment
from verify_aws.page import Findings, Step
from verify_aws.probes import DESIRED, Probes
from verify_aws.watching import Client, Observer, Watched, meanwhile

REQUEST_SECONDS: Final = 0.2
"""Between two requests of each of four clients, two of which keep their connection."""

EXPECTED: Final = {"plain": (DESIRED, questions.LIMITS), "balanced": (DESIRED, None)}
"""The desired count of each service, and its limits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What is needed all the way; what is found is in `findings` at once."""

    options: Namespace
    account: Account
    deployment: Deployment
    function: Function
    findings: Findings
    gateways: dict[str, Gateway] = field(default_factory=dict)

    def run(self) -> None:
        """Deploy; probe, recycle, kill and heal, with somebody looking on."""
        options, account, findings = self.options, self.account, self.findings
        account.say(f"Creating {' and '.join(self.deployment.stacks)}: some minutes ...")
        given = {"VpcId": options.vpc, "SubnetIds": options.subnets}
        outputs = self.deployment.create(given | {"Name": NAME, "ClientCidr": options.client_cidr})
        for service in EXPECTED if options.client_cidr else ("plain",):
            findings.watched[service] = Watched()
            self.gateways[service] = Gateway(account.session, account.clock, **_names(service))
            self._capacity(service)  # Here: a session does not make clients in several threads.
        role = outputs["LimitsRoleArn"]
        look = Observer(account, findings.watched, findings.read_errors).look
        try:
            with meanwhile([(1.0, look), *self._load(outputs.get("Url"))]):
                self._with_each(self._undisturbed)
                self._ask("Setting limits (`aws:ViaAWSService`)", questions.via_aws_service, role)
                probes = questions.authorisation_first
                self._ask("Authorisation before validation", probes, role, outputs["GuardianArn"])
                named = options.gateway_service
                self._ask("A service behind an ECS gateway", questions.gateway, named)
                self._kill_and_heal()
            self._ask("An INACTIVE service", questions.inactive)
        finally:
            seen = findings.watched
            self._ask("Stop signals in the logs", questions.stop_signals, seen.values())
            self._ask("Slow start", questions.slow_start, seen.get("balanced", Watched()))

    def _load(self, url: str | None) -> list[tuple[float, Callable[[], None]]]:
        """Return how often clients of both kinds make requests, and how."""
        url, clock = url and (self.options.url or url), self.account.clock
        kinds = (True, False, True, False) if url else ()
        self.findings.clients.extend(Client(str(url), kept, clock) for kept in kinds)
        return [(REQUEST_SECONDS, each.request) for each in self.findings.clients]

    def _with_each(self, step: Callable[[str], None]) -> None:
        """Do something with every service at the same time."""
        pool = ThreadPoolExecutor(len(self.gateways))
        try:
            [*pool.map(step, self.gateways)]
        finally:
            # Not waited for: an invocation may take another quarter of an hour.
            pool.shutdown(wait=False, cancel_futures=True)

    def _undisturbed(self, service: str) -> None:
        if service == "plain":
            self.account.say("plain: probes: autoscaling limits, StopTask, reads ...")
            gateway, figures = self.gateways[service], self.findings.probes
            Probes(account=self.account, gateway=gateway, figures=figures).run()
        with self._step(service, "dry run") as step:
            body = self._asked(service, dry_run=True).body
            step.outcome = f"{len(body['tasks'])} tasks, at least {body['at_least_seconds']:.0f} s"
        self._judge(service, "recycle", lambda: self._asked(service, wait_time=0))

    def _kill_and_heal(self) -> None:
        """Let a run of each service be killed; then, with its own handler back, be healed."""
        self.account.say("The function gets a handler that kills it in the middle of a run ...")
        with self.deployment.killed_in_the_middle():
            # It works: a function that fails at once would look like one that was killed.
            self._asked("plain", action="status")
            self._with_each(self._kill)
        self._with_each(lambda service: self._judge(service, "heal"))

    def _kill(self, service: str) -> None:
        with self._step(service, "kill") as step:
            reply = self.function.invoke({**_names(service), "wait_time": 0})
            step.outcome = f"{reply.error}: {reply.message}"
            standing = self._asked(service, action="status").standing
            if not reply.was_killed or standing.has_ended:
                raise VerifyError(f"{service}: it was to be killed, but: {reply}")

    def _asked(self, service: str, **event: object) -> Reply:
        reply = self.function.invoke(_names(service) | event)
        if reply.error is not None:
            raise VerifyError(f"{service}: {reply.error}: {reply.message}")
        return reply

    @contextmanager
    def _step(self, service: str, name: str) -> Iterator[Step]:
        """Note what was done with a service, and how many tasks were in service meanwhile."""
        clock, step = self.account.clock, Step(service, name)
        self.account.say(f"{service}: {name} ...")
        step.began_at = clock.now()
        yield step
        step.ended_at = clock.now()
        seen = self.findings.watched[service].lowest_in_service(step.began_at, step.ended_at)
        step.lowest_in_service = seen
        if seen is not None and seen < DESIRED:
            step.broken.append(f"only {seen} tasks in service")
        self.findings.steps.append(step)
        self.account.say(f"{service}: {name}: {step.outcome}")

    def _judge(self, service: str, name: str, begin: Callable[[], object] = lambda: None) -> None:
        """Wait for the end of a run; note what it came to, and what does not hold."""
        clock, quiet, expected = self.account.clock, Lines(StringIO()), EXPECTED[service]
        question = {**_names(service), "action": "status"}
        with self._step(service, name) as step:
            begin()
            run = Follower(
                function=self.function, question=question, screen=quiet, clock=clock
            ).until_ended().body["run"]  # fmt: skip
            counts = f"{run['number']} of {run['total']}, {run['segments']} segments"
            step.outcome = f"{run['outcome']}, {counts}"
            if run["outcome"] != "completed":
                step.broken.append(f"it is {step.outcome}: {run['reason']}")
            now = read_until(lambda: self._capacity(service), lambda now: now == expected, clock)
            if now != expected:
                step.broken.append(f"the capacity is {now}, and was {expected}")

    def _capacity(self, service: str) -> tuple[int | None, ScalableTarget | None]:
        gateway = self.gateways[service]
        found = gateway.service()
        return None if found is None else found.desired_count, gateway.scalable_target()

    def _ask(self, question: str, answer: Callable[..., str], *of: object) -> None:
        """Note the answer, or why there is none: that ends nothing."""
        try:
            told = answer(self.account, *of)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
            told = f"not tried: {error}"
        self.findings.told[question] = told
        self.account.say(f"{question}: {told}")


def _names(service: str) -> dict[str, Any]:
    return {"cluster_name": NAME, "service_name": service}
