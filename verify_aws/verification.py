"""The verification from the first stack to the last figure."""

import platform
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import botocore
from botocore.exceptions import BotoCoreError, ClientError

from verify_aws import questions
from verify_aws.account import Account, VerifyError, limits_of
from verify_aws.function import OPEN, PROJECT, Function, InvocationError, build_zip, template
from verify_aws.options import Options
from verify_aws.page import RECYCLE, Findings, Step
from verify_aws.probes import DESIRED, HIGHEST, WATCH_SECONDS, Probes
from verify_aws.stacks import Stacks
from verify_aws.watching import Client, Observer, Watched

SIGNAL: Final = re.compile(r"signal \d+ \(\w+\) received")
PROBED: Final = "plain"
KEPT: Final = (True, False, True, False)
"""Which clients keep their connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What is needed all the way; what is found is in `findings` at once."""

    options: Options
    account: Account
    stacks: Stacks
    function: Function
    findings: Findings
    say: Callable[[str], None]

    def run(self) -> None:
        """Deploy; probe, recycle, kill and heal, with somebody looking on."""
        outputs = self._deploy()
        load = self._load(outputs.get("Url"))
        try:
            with self.account.clock.meanwhile([(1.0, self._observer().look), *load]):
                self._with_each(self._undisturbed)
                self._ask_about_services(outputs["RoleArn"])
                self._kill_and_heal()
        finally:
            self._read_signals()
            self._ask("Slow start", self._slow_start)

    def _deploy(self) -> dict[str, str]:
        """Create both stacks; return the outputs of that of the services."""
        name, (of_function, of_services) = self.options.name, self.stacks.names
        self.say(f"Creating the stacks {of_function} and {of_services}: some minutes ...")
        code, text = build_zip(), (PROJECT / "verify_aws/template.yaml").read_text(encoding="utf-8")
        self.stacks.begin(of_services, text, parameters(self.options))
        names = dict.fromkeys(("FunctionName", "RunTableName", "ClusterNames"), name)
        unused = {"LogRetentionDays": "1", "CodeBucket": "none-is-used"}
        self.stacks.begin(of_function, template(), {**names, **unused})
        self.stacks.created(of_function)
        self.function.upload(code)
        return self.stacks.created(of_services)

    def _observer(self) -> Observer:
        watched, errors = self.findings.watched, self.findings.read_errors
        watched |= {service: Watched() for service in self.options.services}
        cluster = self.options.name
        return Observer(account=self.account, cluster=cluster, watched=watched, errors=errors)

    def _load(self, url: str | None) -> list[tuple[float, Callable[[], None]]]:
        """Return how often clients of both kinds make requests, and how."""
        url, clock = url and (self.options.url or url), self.account.clock
        clients = [Client(url=url, keeps_connection=kept, clock=clock) for kept in KEPT if url]
        self.findings.clients.extend(clients)
        return [(len(KEPT) / self.options.rate, each.request) for each in clients]

    def _with_each[T](self, step: Callable[[str], T]) -> dict[str, T]:
        """Do something with every service at the same time."""
        services = self.options.services
        pool = ThreadPoolExecutor(len(services))
        try:
            return dict(zip(services, pool.map(step, services), strict=True))
        finally:
            # Not waited for: an invocation may take another quarter of an hour.
            pool.shutdown(wait=False, cancel_futures=True)

    # -- with each service -----------------------------------------------------------------------

    def _undisturbed(self, service: str) -> None:
        if service == PROBED:
            self._probe()
        self._dry_run(service)
        self._recycle(service)

    def _probe(self) -> None:
        self.say(f"{PROBED}: probes: autoscaling limits, StopTask, reads ...")
        figures, cluster = self.findings.probes, self.options.name
        Probes(account=self.account, cluster=cluster, service=PROBED, figures=figures).run()

    def _dry_run(self, service: str) -> None:
        began_at = self._begun(service, "dry run")
        body = self.function.invoke(service, dry_run=True, wait_time=0)
        if body["status"] != "planned":
            raise VerifyError(f"{service}: the dry run is {body['status']}: {body['reason']}")
        planned = f"{len(body['tasks'])} tasks, at least {body['at_least_seconds']:.0f} s"
        self._done(service, "dry run", began_at, outcome=planned)

    def _recycle(self, service: str) -> None:
        began_at = self._begun(service, RECYCLE)
        self.function.invoke(service, wait_time=0)
        self._judge(service, RECYCLE, began_at)

    def _kill_and_heal(self) -> None:
        """Let a run of each service be killed; then, with its own handler back, be healed."""
        self.say("The function gets a handler that kills it in the middle of a run ...")
        with self.function.killed_in_the_middle():
            # It works: a function that fails at once would look like one that was killed.
            self.function.status(PROBED)
            killed_at = self._with_each(self._kill)
        self._with_each(lambda service: self._heal(service, killed_at[service]))

    def _kill(self, service: str) -> float:
        began_at = self._begun(service, "kill")
        try:
            outcome = f"it answers {self.function.invoke(service, wait_time=0)}"
        except InvocationError as error:
            outcome = str(error)
        if self.function.status(service).get("state") not in OPEN:
            raise VerifyError(f"{service}: it was to be killed, but {outcome}")
        self._done(service, "kill", began_at, outcome=outcome)
        return self.account.clock.now()

    def _heal(self, service: str, killed_at: float) -> None:
        self.say(f"{service}: the function was killed; its guardian heals it ...")
        self._judge(service, "heal", killed_at)

    # -- what only an account can tell -----------------------------------------------------------

    def _ask_about_services(self, role_arn: str) -> None:
        account, cluster = self.account, self.options.name

        def inactive() -> str:
            account.aws.ecs.delete_service(cluster=cluster, service="gone")
            return questions.inactive(account, cluster, "gone")

        self._ask("An INACTIVE service", inactive)
        self._ask("Setting limits (`aws:ViaAWSService`)",
                  lambda: questions.via_aws_service(account, cluster, role_arn))  # fmt: skip
        self._ask("A service behind an ECS gateway",
                  lambda: questions.gateway(account, self.options.gateway_service))  # fmt: skip

    def _slow_start(self) -> str:
        watched = self.findings.watched.get("balanced", Watched())
        return questions.slow_start(self.account, self.options.name, watched)

    def _ask(self, question: str, answer: Callable[[], str]) -> None:
        """Note the answer, or why there is none: that ends nothing."""
        try:
            told = answer()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
            told = f"not tried: {error}"
        self.findings.told[question] = told
        self.say(f"{question}: {told}")

    # -- what it came to -------------------------------------------------------------------------

    def _begun(self, service: str, step: str) -> float:
        self.say(f"{service}: {step} ...")
        return self.account.clock.now()

    def _judge(self, service: str, step: str, began_at: float) -> None:
        """Wait for the end of a run; note what it came to, and what does not hold."""
        run = self.function.ended(service)
        outcome = f"{run['outcome']}, {run['number']} of {run['total']}, {run['segments']} segments"
        broken = [] if run["outcome"] == "completed" else [f"it is {outcome}: {run['reason']}"]
        expected = (DESIRED, DESIRED, HIGHEST) if service == PROBED else (DESIRED,)
        if (now := self._capacity(service, expected)) != expected:
            broken.append(f"the capacity is {now}, and was {expected}")
        self._done(service, step, began_at, outcome=outcome, broken=broken)

    def _capacity(self, service: str, expected: tuple[int, ...]) -> tuple[int, ...]:
        """Return the desired count, and limits if there are any; read until it is as expected."""
        name, aws, clock = self.options.name, self.account.aws, self.account.clock
        until = clock.now() + WATCH_SECONDS
        while True:
            (found,) = aws.ecs.describe_services(cluster=name, services=[service])["services"]
            targets = aws.autoscaling.describe_scalable_targets(
                ServiceNamespace="ecs", ResourceIds=[limits_of(name, service)["ResourceId"]]
            )["ScalableTargets"]
            limits = [each[limit] for each in targets for limit in ("MinCapacity", "MaxCapacity")]
            now = (found["desiredCount"], *limits)
            if now == expected or clock.now() > until:
                return now
            clock.sleep(1)

    def _done(
        self, service: str, step: str, began_at: float, *, outcome: str, broken: Sequence[str] = ()
    ) -> None:
        ended_at = self.account.clock.now()
        lowest = self.findings.watched[service].lowest_in_service(began_at, ended_at)
        if lowest is not None and lowest < DESIRED:
            broken = [*broken, f"only {lowest} tasks in service"]
        found = Step(service=service, name=step, began_at=began_at, ended_at=ended_at,
                     lowest_in_service=lowest, outcome=outcome, broken=tuple(broken))  # fmt: skip
        self.findings.steps.append(found)
        self.say(f"{service}: {step}: {outcome}")

    def _read_signals(self) -> None:
        """Note when the containers said in their log that they were told to stop."""
        watched = self.findings.watched.values()
        tasks = {id_: task for each in watched for id_, task in each.tasks.items()}
        where = {"logGroupName": f"/ecs/{self.options.name}", "filterPattern": "signal"}
        try:
            pages = self.account.aws.logs.get_paginator("filter_log_events").paginate(**where)
            events = [event for page in pages for event in page["events"]]
        except (ClientError, BotoCoreError) as error:
            self.say(f"The containers' logs cannot be read: {error}")
            return
        for event in events:
            task = tasks.get(event["logStreamName"].rpartition("/")[2])
            if task is not None and SIGNAL.search(event["message"]):
                task.at.setdefault("signal", event["timestamp"] / 1000)


def parameters(options: Options) -> dict[str, str]:
    """Return the parameters of the stack of the services."""
    return {
        "Name": options.name,
        "VpcId": str(options.vpc),
        "SubnetIds": ",".join(options.subnets),
        "LoadBalancerSubnetIds": ",".join(options.load_balancer_subnets or options.subnets),
        "AssignPublicIp": "DISABLED" if options.no_public_ip else "ENABLED",
        "Balanced": str("balanced" in options.services).lower(),
        "Scheme": "internal" if options.internal else "internet-facing",
        "ListenerPort": options.listener_port,
        "ClientCidr": options.client_cidr or "127.0.0.1/32",
        "Image": options.image,
        "Architecture": options.architecture.upper(),
    }


def facts(options: Options, account: Account) -> dict[str, str]:
    """Return the circumstances that the page names: none that tells whose network it is."""
    told = ("image", "architecture", "no_load_balancer", "internal", "rate")
    return {
        "Region": account.region,
        "botocore, Python": f"{botocore.__version__}, {platform.python_version()}",
        **{f"`--{name.replace('_', '-')}`": str(getattr(options, name)) for name in told},
    }
