"""The verification from the first stack to the last figure."""

from __future__ import annotations

import platform
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import boto3
import botocore
from botocore.exceptions import BotoCoreError, ClientError

from verify_aws import function as functions
from verify_aws.account import MASK, Account, VerifyError
from verify_aws.findings import DRY_RUN, KILL, RECYCLE, Findings, Step
from verify_aws.load import LoadGenerator
from verify_aws.observer import Observer, Watched
from verify_aws.probes import DESIRED, HIGHEST, WATCH_SECONDS, Probes
from verify_aws.stacks import Stacks, limits_of, stack_names

if TYPE_CHECKING:
    from collections.abc import Callable

    from verify_aws.clock import StoppableClock
    from verify_aws.function import Answer, Function
    from verify_aws.options import Options

SIGNAL: Final = re.compile(r"signal \d+ \(\w+\) received")
EVENT: Final = {"wait_time": 0}
PROBED: Final = "plain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """What came of an invocation that was to be killed (instants in epoch seconds)."""

    began_at: float
    at: float
    answer: Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What is needed all the way."""

    options: Options
    account: Account
    clock: StoppableClock
    stacks: Stacks
    function: Function
    findings: Findings
    say: Callable[[str], None]

    def run(self) -> None:
        """Deploy, probe, recycle and kill; what is found is in `findings` at once."""
        url = self._deploy()
        options, name = self.options, self.options.name
        observer = Observer(self.account, cluster=name, services=options.services, clock=self.clock)
        self.findings.watched = observer.watched
        load = None
        if url is not None:
            load = LoadGenerator(options.url or url, rate=options.rate, clock=self.clock)
            self.findings.answers = load.answers
        try:
            observer.start()
            if load is not None:
                load.start()
            self._with_each(self._undisturbed)
            self._kill_and_heal()
        finally:
            # What a thread is still about to do, it does not begin any more.
            self.clock.stop()
            observer.stop()
            if load is not None:
                load.stop()
            self.findings.read_errors.update(observer.errors)
            try:
                self._read_signals()
            except (ClientError, BotoCoreError) as error:
                self.say(f"The containers' logs cannot be read: {error}")

    # -- to begin with ---------------------------------------------------------------------------

    def _deploy(self) -> str | None:
        """Create both stacks; return where the load balancer answers, if there is one."""
        of_function, of_services = stack_names(self.options.name)
        self.say(f"Creating the stacks {of_function} and {of_services}: some minutes ...")
        template = (functions.PROJECT / "verify_aws/template.yaml").read_text(encoding="utf-8")
        self.stacks.begin(of_services, template, parameters(self.options))
        names = {"FunctionName": self.options.name, "RunTableName": self.options.name,
                 "ClusterNames": self.options.name, "LogRetentionDays": "1",
                 "CodeBucket": "none-is-used"}  # fmt: skip
        self.stacks.begin(of_function, functions.template(), names)
        self.stacks.created(of_function)
        self.function.upload()
        return self.stacks.created(of_services).get("Url")

    def _probe(self) -> None:
        self.say(f"{PROBED}: probes: autoscaling limits, StopTask, reads ...")
        probes = Probes(account=self.account, cluster=self.options.name, service=PROBED,
                        clock=self.clock, figures=self.findings.probes)  # fmt: skip
        probes.set_limits(DESIRED)
        probes.run()

    # -- with each service -----------------------------------------------------------------------

    def _undisturbed(self, service: str) -> None:
        if service == PROBED:
            self._probe()
        self._dry_run(service)
        self._recycle(service)

    def _dry_run(self, service: str) -> None:
        began = self._begin(service, DRY_RUN)
        body = self.function.body(service, dry_run=True, **EVENT)
        broken = _unless(body["status"] == "planned", f"it is {body['status']}")
        planned = f"{len(body['tasks'])} tasks, at least {body['at_least_seconds']:.0f} s"
        self._end(service, DRY_RUN, began, planned, broken)

    def _recycle(self, service: str) -> None:
        began = self._begin(service, RECYCLE)
        answer = self.function.invoke(service, **EVENT)
        if answer.error is not None:
            raise VerifyError(f"{service}: {answer.error}: {answer.message}")
        run = self.function.ended(service)
        broken = self._broken(service, run, began)
        outcome = f"{run['outcome']}, {run['number']} of {run['total']}, {run['segments']} segments"
        self._end(service, RECYCLE, began, outcome, broken)

    def _kill_and_heal(self) -> None:
        """Let a run of each service be killed; then, with its own code back, be healed."""
        self.say("The function gets a handler that kills it in the middle of a run ...")
        with self.function.killed_in_the_middle():
            # It works: a function that fails at once would look like one that was killed.
            self.function.status(PROBED)
            deaths = self._with_each(self._kill)
        self._with_each(lambda service: self._heal(service, deaths[service]))

    def _kill(self, service: str) -> Death:
        began = self._begin(service, KILL)
        answer = self.function.invoke(service, **EVENT)
        return Death(began_at=began, at=self.clock.now(), answer=answer)

    def _heal(self, service: str, death: Death) -> None:
        answer, state = death.answer, self.function.status(service)["state"]
        error = "no answer" if answer.is_lost else answer.error
        if error is None or state not in functions.OPEN:
            was = f"its run is {state}, and it says: {answer.message}"
            raise VerifyError(f"{service}: the function was to be killed, but {was}")
        self.say(f"{service}: the function was killed ({error}); its guardian heals it ...")
        run = self.function.ended(service)
        seconds = self.clock.now() - death.at
        outcome = (
            f"{error} after {death.at - death.began_at:.0f} s; {run['outcome']} {seconds:.0f} s "
            f"later, {run['number']} of {run['total']}, {run['segments']} segments"
        )
        broken = self._broken(service, run, death.began_at)
        self._end(service, KILL, death.began_at, outcome, broken)

    def _with_each[T](self, step: Callable[[str], T]) -> dict[str, T]:
        """Do something with every service at the same time."""
        services = self.options.services
        pool = ThreadPoolExecutor(len(services))
        try:
            return dict(zip(services, pool.map(step, services), strict=True))
        finally:
            # Not waited for: an invocation may take another quarter of an hour.
            pool.shutdown(wait=False, cancel_futures=True)

    def _begin(self, service: str, step: str) -> float:
        self.say(f"{service}: {step} ...")
        return self.clock.now()

    def _end(
        self, service: str, step: str, began: float, outcome: str, *broken: tuple[str, ...]
    ) -> None:
        self.findings.steps.append(
            Step(
                service=service,
                name=step,
                began_at=began,
                ended_at=self.clock.now(),
                lowest_in_service=self._watched(service).lowest_in_service(began, self.clock.now()),
                outcome=outcome,
                broken=tuple(one for each in broken for one in each),
            )
        )
        self.say(f"{service}: {step}: {outcome}")

    def _watched(self, service: str) -> Watched:
        return self.findings.watched[service]

    def _broken(self, service: str, run: dict[str, Any], began: float) -> tuple[str, ...]:
        """Return what does not hold at the end of a run."""
        now, expected = self._settled_capacity(service)
        lowest = self._watched(service).lowest_in_service(began, self.clock.now())
        return (
            *_unless(run["outcome"] == "completed", f"it is {run['outcome']}: {run['reason']}"),
            *_unless(now == expected, f"the capacity is {now}, and was {expected}"),
            *_unless(lowest is None or lowest >= DESIRED, f"only {lowest} tasks in service"),
        )

    def _settled_capacity(self, service: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the capacity as AWS shows it, and as it was made; reads may be out of date."""
        expected = (DESIRED, DESIRED, HIGHEST) if service == PROBED else (DESIRED,)
        until = self.clock.now() + WATCH_SECONDS
        while (now := self._capacity(service)) != expected and self.clock.now() < until:
            self.clock.sleep(1)
        return now, expected

    def _capacity(self, service: str) -> tuple[int, ...]:
        """Return the desired count, and minimum and maximum if there are any."""
        name = self.options.name
        (described,) = self.account.ecs.describe_services(cluster=name, services=[service])[
            "services"
        ]
        limits = limits_of(name, service)
        targets = self.account.autoscaling.describe_scalable_targets(
            ServiceNamespace="ecs", ResourceIds=[limits["ResourceId"]]
        )["ScalableTargets"]
        found = [(each["MinCapacity"], each["MaxCapacity"]) for each in targets]
        return described["desiredCount"], *(number for pair in found for number in pair)

    # -- in the end ------------------------------------------------------------------------------

    def _read_signals(self) -> None:
        """Note when the containers said in their log that they were told to stop."""
        tasks = {
            task.id: task
            for watched in self.findings.watched.values()
            for task in watched.tasks.values()
        }
        pages = self.account.logs.get_paginator("filter_log_events").paginate(
            logGroupName=f"/ecs/{self.options.name}", filterPattern="signal"
        )
        for event in (event for page in pages for event in page["events"]):
            task = tasks.get(event["logStreamName"].rpartition("/")[2])
            if task is not None and task.signal_at is None and SIGNAL.search(event["message"]):
                task.signal_at = event["timestamp"] / 1000


def parameters(options: Options) -> dict[str, str]:
    """Return the parameters of the stack of the services."""
    return {
        "Name": options.name,
        "VpcId": str(options.vpc_id),
        "SubnetIds": ",".join(options.subnet_ids),
        "LoadBalancerSubnetIds": ",".join(options.load_balancer_subnet_ids),
        "AssignPublicIp": "ENABLED" if options.has_public_ip else "DISABLED",
        "Balanced": "true" if options.has_load_balancer else "false",
        "Scheme": "internal" if options.is_internal else "internet-facing",
        "ListenerPort": str(options.listener_port),
        "ClientCidr": options.client_cidr or "127.0.0.1/32",
        "Image": options.image,
        "Architecture": options.architecture.upper(),
    }


def facts(options: Options, account: Account) -> dict[str, str]:
    """Return the circumstances that the page names."""
    return {
        "Account": MASK,
        "Region": account.region,
        "boto3, botocore, Python": f"{boto3.__version__}, {botocore.__version__}, "
        f"{platform.python_version()}",
        "Image, architecture": f"{options.image}, {options.architecture}",
        "Load balancer": "internal" if options.is_internal else "internet-facing"
        if options.has_load_balancer else "none",
        "Deregistration delay, health check": "30 s, every 5 s, twice",
        "Requests": f"{options.rate} a second" if options.has_load_balancer else "none",
        "This machine's clock": f"{account.ahead_seconds:+.1f} s against AWS's",
    }  # fmt: skip


def _unless(holds: bool, complaint: str) -> tuple[str, ...]:  # noqa: FBT001 - what is judged
    return () if holds else (complaint,)
