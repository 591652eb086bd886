"""Runs of every kind in emulated worlds: what they said, what they called, what they answered."""

from __future__ import annotations

import fcntl
import logging
import os
import pickle
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import boto3
import pytest

from AWSSession import get_aws_session
from ecs_emulator import FailingStart, Killed, Knobs, World
from ecs_emulator.access.permissions import action_of, resource_of
from ecs_emulator.wire.in_process import Switchboard, attach, virtual_sleep
from ecs_task_recycle.channels.mail_secret import with_login
from ecs_task_recycle.clock import as_utc
from ecs_task_recycle.report.final_record import log_final_record, log_oldest_task
from ecs_task_recycle.settings.input_json import AwsCredentials, Mail
from tests.emulated import guarded as guarded_runs
from tests.emulated import swept as swept_services
from tests.emulated.bench import ACCESS_KEY, Bench, OneSetOfClients, a_service, autoscaled
from tests.emulated.bench import record as item_of
from tests.emulated.guarded import Guarded
from tests.emulated.lanes import world_of_lanes
from tests.emulated.observers import perfect_seconds

if TYPE_CHECKING:
    from collections.abc import Callable

    from ecs_task_recycle.report.report import Report

LOGGER: Final = "ecs_task_recycle"

MACHINE_ARN: Final = (
    "arn:aws:states:us-east-1:123456789012:stateMachine:ecs-task-recycle-function-guardian"
)
"""The state machine of a stack with its default name."""

QUICK_LIMIT_SECONDS: Final = 230.0
"""Of an invocation that is killed: with its guardian gone, nothing waits until it is over."""


@dataclass(frozen=True, slots=True)
class Request:
    """An IAM action on a resource, as a call has asked for it."""

    action: str
    resource: str


@dataclass(slots=True)
class Record:
    """What all runs together said and called: lines, reasons, calls, answers, record attributes.

    ``reasons``: whatever was said of why something was not recycled.

    Of ordinary runs also the figures: of three and of twenty tasks, replaced at once or after
    STOPPED.
    """

    lines: set[str] = field(default_factory=set)
    reasons: set[str] = field(default_factory=set)
    requests: set[Request] = field(default_factory=set)
    answers: list[dict[str, Any]] = field(default_factory=list)
    attributes: set[str] = field(default_factory=set)
    figures: dict[tuple[str, str], tuple[float, ...]] = field(default_factory=dict)
    seconds_late: float = 0.0

    def run(self, bench: Bench, world: World, **event: Any) -> None:  # noqa: ANN401 - users' events
        """Run the event in a world and note all of it; a run that is killed answers nothing."""
        try:
            self.note(bench.recycle(world, **event))
        except Killed:
            world.revive()
        self.note_calls(world)

    def refuse(self, bench: Bench, world: World, **event: Any) -> None:  # noqa: ANN401 - users'
        """Run an event with which nothing is done, and note why."""
        answer = bench.recycle(world, **event).answer().as_json()
        assert answer["status"] in {"failed", "nothing_to_do"}, answer
        self.reasons |= reasons_in(answer)

    def run_guarded(self, guarded: Guarded, **event: Any) -> None:  # noqa: ANN401 - users' events
        """Run the event and let its guardian end it; note all of it."""
        guarded.invoke("run", event)
        guarded.walk("run")
        for report in guarded.reports:
            self.note(report)
        self.note_calls(guarded.world)

    def ask(self, bench: Bench, world: World, **event: Any) -> None:  # noqa: ANN401 - users' events
        """Invoke the function beside a run that goes on in the same world: no call takes time."""
        knobs, world.knobs = world.knobs, replace(world.knobs, latency=0.0)
        report = bench.act(world, run_id="other", deadline_seconds=900, **event)
        self.note(report)
        self.attributes |= item_of(world).keys()
        world.knobs = knobs

    def note(self, report: Report) -> None:
        """Note an answer, and write the final record as the handler does."""
        answer = report.answer()
        self.answers.append(answer.as_json())
        self.reasons |= reasons_in(self.answers[-1])
        if report.is_only_a_look:
            log_oldest_task(answer, function_name="recycler")
        if report.is_worth_a_mail:
            log_final_record(answer, function_name="recycler")

    def note_calls(self, world: World) -> None:
        """Note what has been called in a world, and what its run record holds."""
        self.attributes |= item_of(world).keys()
        self.requests |= {
            Request(
                action_of(call.service, call.operation),
                resource_of(world.account, call.service, call.operation, call.parameters) or "*",
            )
            for call in world.calls
        }

    @property
    def actions(self) -> set[str]:
        """The IAM actions of all calls."""
        return {each.action for each in self.requests}


SELF_EXPLAINING: Final = {"SettingsError", "RestoreError", "AwsCallError"}
"""Errors whose sentences are not quoted: each says itself what to do."""


def reasons_in(answer: dict[str, Any]) -> set[str]:
    """Return every text of an answer that says why something was not recycled.

    One that tells where another run stands has no lists.
    """
    tasks = [text for each in answer.get("tasks", ()) for text in (each.get("note"),)]
    skipped = [each["reason"] for each in answer.get("skipped", ())]
    own = [answer.get("reason")] if answer.get("error") not in SELF_EXPLAINING else []
    has_reason = answer["status"] not in {"planned", "restored", "continued"}
    return {each for each in (*tasks, *skipped, *(own if has_reason else ())) if each}


class _Listener(logging.Handler):
    def __init__(self, lines: set[str]) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.add(record.getMessage())


def record_every_kind() -> Record:
    """Make one run of each kind."""
    record = Record()
    listener, logger = _Listener(record.lines), logging.getLogger(LOGGER)
    level = logger.level
    logger.addHandler(listener)
    logger.setLevel(logging.INFO)
    try:
        board = Switchboard(World())
        with virtual_sleep(board), pytest.MonkeyPatch.context() as patch:
            patch.setattr(guarded_runs, "MACHINE_ARN", MACHINE_ARN)
            patch.setattr(swept_services, "MACHINE_ARN", MACHINE_ARN)
            sweep_arn = MACHINE_ARN.replace("guardian", "sweep")
            patch.setattr(swept_services, "SWEEP_ARN", sweep_arn)
            bench = Bench(session=_session(board), board=board)
            for kind in KINDS:
                kind(record, bench)
    finally:
        logger.removeHandler(listener)
        logger.setLevel(level)
    return record


def _session(board: Switchboard) -> OneSetOfClients:
    session = boto3.Session(
        aws_access_key_id=ACCESS_KEY, aws_secret_access_key="x", region_name="us-east-1"
    )
    # First: the worlds of other tests in the same process may answer sessions, too.
    session.events.register_first("before-send", board.answer)
    return OneSetOfClients(session)


def _ordinary(record: Record, bench: Bench) -> None:
    ours, perfect = World(), World()
    a_service(ours)
    record.run(bench, ours)
    perfect_run = perfect_seconds(perfect, a_service(perfect), wait_seconds=30)
    seconds = record.answers[-1]["duration_seconds"]
    # Four tasks come into service: the extra one and three replacements.
    record.seconds_late = (seconds - perfect_run) / 4


def _guarded(record: Record, bench: Bench) -> None:
    for name, is_late in (("at once", False), ("after STOPPED", True)):
        for count in (3, 20):
            world = World(knobs=Knobs(replaces_after_stopped=is_late))
            a_service(world, tasks=count)
            guarded = Guarded(bench, world)
            record.run_guarded(guarded)
            last = record.answers[-1]
            taken = [each["seconds_to_replace"] for each in last["tasks"]]
            measured = [seconds for seconds in taken if seconds]
            record.figures[name, str(count)] = (
                len(world.calls) / count,
                len(world.calls) / last["duration_seconds"],
                sum(measured) / len(measured),
                guarded.reports[0].answer().as_json()["tasks_recycled"],
            )


def _with_everything(record: Record, bench: Bench) -> None:
    world = World(knobs=Knobs(drain=150))
    a_service(world, tasks=1, container_health=True, alarms=("web-5xx",))
    autoscaled(world, 1, 3)
    record.run(bench, world, wait_time=130, dry_run=True)
    record.run(bench, world, wait_time=130)
    record.run(bench, world, action="restore")


def _on_instances(record: Record, bench: Bench) -> None:
    world = World()
    service = a_service(world, network_mode="bridge")
    world.hang_task(service.active_tasks[0])
    record.run(bench, world, wait_time=0)


def _out_of_the_ordinary(record: Record, bench: Bench) -> None:
    """A task that is not in service, a zonal shift, and a service event nobody knows."""
    world = World()
    sick, sound, *_ = a_service(world).active_tasks
    world.hold_task(sick)
    world.shift_zone("demo", "web", sound.placement.availability_zone)
    world.at(60, lambda w: w.add_service_event("demo", "web", "was unable to be understood."))
    record.run(bench, world, wait_time=0)


def _remarked(record: Record, bench: Bench) -> None:
    """A service of which all remarks are to be made that keep no run from it."""
    world = World(knobs=Knobs(capacity=3, pending=(30.0, 31.0)))
    a_service(world, settled=False, cloud_map=True, maximum_percent=100)
    autoscaled(world, 1, 5)
    world.advance(120)
    world.set_desired_count("demo", "web", 5)
    world.advance(120)
    world.faults.deny("ecs:DescribeServiceRevisions")
    world.faults.deny("elasticloadbalancing:DescribeTargetGroupAttributes")
    record.run(bench, world, dry_run=True, stabilize_timeout=20)


def _not_coming_up(record: Record, bench: Bench) -> None:
    world = World(knobs=Knobs(failing_starts=(FailingStart(after=1),)))
    a_service(world)
    record.run(bench, world)


def _not_withdrawn(record: Record, bench: Bench) -> None:
    world = World(knobs=Knobs(target_health_delay=400))
    a_service(world)
    world.after_call("UpdateService", 1, lambda w: w.faults.deny("ecs:StopTask"))
    record.run(bench, world, stabilize_timeout=60)


def _answered_badly(record: Record, bench: Bench) -> None:
    world = World()
    a_service(world)
    autoscaled(world, 1, 3)
    world.faults.fail("DescribeTasks", nth=5, times=10, code="ThrottlingException")
    world.faults.fail("RegisterScalableTarget", nth=2, code="ConcurrentUpdateException")
    closing = ("ssm:DeleteParameter", "dynamodb:UpdateItem")
    world.after_call("UpdateService", 2, lambda w: w.faults.deny(*closing))
    record.run(bench, world)


def _still_stopping(record: Record, bench: Bench) -> None:
    world = World()
    world.hang_task(a_service(world).active_tasks[0])
    world.after_call("UpdateService", 2, lambda w: w.faults.deny("ecs:DescribeTasks"))
    record.run(bench, world)


def _killed_and_restored(record: Record, bench: Bench) -> None:
    world = World()
    a_service(world)
    world.kill_at(90)
    record.run(bench, world)
    world.advance(1000)
    record.run(bench, world, action="restore")


def _under_protection(record: Record, bench: Bench) -> None:
    for choice in ("wait", "skip", "stop"):
        world = World()
        world.protect_task(a_service(world).active_tasks[0], minutes=10)
        record.run(bench, world, protected_tasks=choice)


def _under_long_protection(record: Record, bench: Bench) -> None:
    for all_of_them in (False, True):
        world = World()
        tasks = a_service(world).active_tasks
        for task in tasks if all_of_them else tasks[:1]:
            world.protect_task(task, minutes=2880)
        record.run(bench, world)
        record.run(bench, world, protected_tasks="skip")


def _under_protection_that_stays(record: Record, bench: Bench) -> None:
    world = World()
    world.protect_task(a_service(world).active_tasks[0], minutes=60)
    world.faults.fail("UpdateTaskProtection", nth=2, code="ClientException", status=400)
    record.run(bench, world, protected_tasks="stop")


def _asked_meanwhile(record: Record, bench: Bench) -> None:
    untouched = World()
    a_service(untouched)
    record.run(bench, untouched, action="status")
    for asked in ({"action": "status"}, {"action": "stop"}, {"if_running": "queue"}):
        world = World()
        a_service(world)
        world.at(100, lambda w, event=asked: record.ask(bench, w, **event))  # type: ignore[misc]
        for seconds in (101, 250, 280, 310):
            world.at(seconds, lambda w: record.ask(bench, w, action="status"))
        record.run_guarded(Guarded(bench, world))
        record.run(bench, world, action="status")


def _stopped_with_its_guardian(record: Record, bench: Bench) -> None:
    world = World()
    a_service(world)
    world.at(100, _stop_executions)
    record.run_guarded(Guarded(bench, world))


def _stop_executions(world: World) -> None:
    for execution in world.executions.values():
        execution.end("ABORTED", world.now)


def _ends_in_time(record: Record, bench: Bench) -> None:
    world = World()
    a_service(world)
    record.run_guarded(Guarded(bench, world), finish_within_minutes=3)


def _waits_for_its_window(record: Record, bench: Bench) -> None:
    world = World()
    a_service(world)
    shut = as_utc(world.now - 3600).strftime("%H:%M-") + as_utc(world.now - 60).strftime(
        "%H:%M UTC"
    )
    record.run(bench, world, window=shut)
    soon = as_utc(world.now + 600).strftime("%H:%M-") + as_utc(world.now + 4200).strftime(
        "%H:%M UTC"
    )
    world.at(300, lambda w: record.ask(bench, w, action="status"))
    record.run_guarded(Guarded(bench, world), window=soon)


def _handed_over(record: Record, bench: Bench) -> None:
    world = World()
    a_service(world)
    guarded = Guarded(bench, world)
    guarded.invoke("run", {"wait_time": 900})
    record.note_calls(world)
    record.ask(bench, world, action="status")


def _killed_and_continued(record: Record, bench: Bench) -> None:
    world = World()
    a_service(world)
    world.after_call("StopTask", 2, lambda w: w.kill())
    world.faults.fail("GetItem", nth=2, times=12, code="ServerException")
    record.run_guarded(Guarded(bench, world))


def _killed_with_its_guardian(record: Record, bench: Bench) -> None:
    world = World()
    a_service(world)
    world.at(39, _stop_executions)
    world.kill_at(40)
    record.run_guarded(Guarded(bench, world, limit_seconds=QUICK_LIMIT_SECONDS))


def _without_its_guardian(record: Record, bench: Bench) -> None:
    world = World()
    a_service(world)
    world.after_call("UpdateService", 1, lambda w: w.faults.deny("states:DescribeExecution"))
    record.run_guarded(Guarded(bench, world))


def _not_handed_over(record: Record, bench: Bench) -> None:
    world = World()
    world.protect_task(a_service(world).active_tasks[0], minutes=60)
    # Read before the run, before each of two stops, and then while the run waits.
    world.after_call("GetTaskProtection", 4, lambda w: w.faults.deny("dynamodb:UpdateItem"))
    record.run_guarded(Guarded(bench, world))


def _mailed_with_a_secret_by_a_role(record: Record, _bench: Bench) -> None:
    world = World()
    role_arn = "arn:aws:iam::123456789012:role/Recycler"
    credentials = AwsCredentials(region_name="us-east-1", role_arn=role_arn)
    mail = Mail(host="h", port=587, from_email="f", to=("t",), secret_id="mail/login")
    secret = world.put_secret("mail/login", '{"username": "user", "password": "planted"}')
    with attach(world):
        assert with_login(replace(mail, secret_id=secret.arn), lambda: get_aws_session(credentials))
    record.note_calls(world)


def _refused(record: Record, bench: Bench) -> None:
    """What is seen before anything is touched, each in a world of its own."""
    for features in (
        {"scheduling_strategy": "DAEMON", "target_group": False},
        {"controller": "CODE_DEPLOY"},
        {"rollout_state": "FAILED"},
        {"tasks": 0},
        {"tasks": 1, "maximum_percent": 100},
        {"classic_load_balancer": "old", "target_group": False},
        {"vpc_lattice": True, "target_group": False},
        {"gateway_connector": True, "target_group": False},
        {"registers_targets": False},
        {"network_mode": "bridge", "instance_ids": False},
    ):
        world = World()
        a_service(world, **features)
        record.refuse(bench, world)
    changes: tuple[Callable[[World], object], ...] = (
        lambda w: w.start_deployment("demo", "web"),
        lambda w: w.delete_service("demo", "web"),
        lambda w: w.set_alarm("web-5xx", "ALARM"),
        lambda w: w.faults.deny("ecs:StopTask"),
        lambda w: w.take_group_out_of_use("demo", "web"),
        lambda w: w.faults.fail("DescribeTargetHealth", times=None, code="TargetGroupNotFound"),
        _above_maximum,
    )
    for change in changes:
        world = World()
        a_service(world, alarms=("web-5xx",))
        change(world)
        world.advance(2)
        record.refuse(bench, world)


def _above_maximum(world: World) -> None:
    autoscaled(world, 1, 5)
    world.advance(20)  # until autoscaling has looked at the count for the last time
    world.set_desired_count("demo", "web", 7)


def _refused_events(record: Record, bench: Bench) -> None:
    """Events that fit no service, or not this one."""
    own = "arn:aws:ecs:us-east-1:123456789012"
    other = "arn:aws:ecs:us-east-1:210987654321"
    world = World()
    known = a_service(world).active_tasks[0]
    world.set_alarm("latency", "ALARM")
    events: tuple[dict[str, object], ...] = (
        {"service_name": "nothing"},
        {"cluster_name": f"{other}:cluster/demo"},
        {"started_before": "2020-01-01T00:00:00Z"},
        {"alarms": ["latency"]},
        {"alarms": ["absent"]},
        {"tasks": ["0" * 32]},
        {"tasks": [known.arn.replace(own, other)]},
        {"action": "stop"},
        {"action": "restore"},
    )
    for event in events:
        record.refuse(bench, world, **event)


def _interfered_with(record: Record, bench: Bench) -> None:
    """What somebody else does in the middle of a run."""
    changes: tuple[Callable[[World], object], ...] = (
        lambda w: w.start_deployment("demo", "web"),
        lambda w: w.set_desired_count("demo", "web", 2),
        lambda w: w.set_alarm("web-5xx", "ALARM"),
        lambda w: w.delete_service("demo", "web"),
    )
    for change in changes:
        world = World()
        a_service(world, alarms=("web-5xx",))
        world.at(100, change)
        record.run(bench, world)


def _refused_beside_another(record: Record, bench: Bench) -> None:
    world = World()
    a_service(world)
    world.at(100, lambda w: record.ask(bench, w))
    record.run(bench, world)


def _short_of_time(record: Record, bench: Bench) -> None:
    world = World()
    a_service(world, tasks=15)
    record.run(bench, world)


def _swept(record: Record, bench: Bench) -> None:
    """Every way to select services, and a sweep to its end."""
    world = world_of_lanes()
    a_service(world, tags={"recycle": "yes"}, secrets=("api/token",))
    swept = swept_services.Swept(bench, world)
    for event in ({"tagged": {"recycle": "yes"}}, {"cluster_name": "demo", "services": "all"}):
        swept.begin(**event, uses="api/token", dry_run=True)
    swept.sweep(services=["demo/web"])
    record.note_calls(world)


KINDS: Final[tuple[Callable[[Record, Bench], None], ...]] = (
    _ordinary,
    _guarded,
    _with_everything,
    _on_instances,
    _remarked,
    _out_of_the_ordinary,
    _not_coming_up,
    _not_withdrawn,
    _answered_badly,
    _still_stopping,
    _killed_and_restored,
    _short_of_time,
    _refused,
    _refused_events,
    _interfered_with,
    _refused_beside_another,
    _under_protection,
    _under_long_protection,
    _under_protection_that_stays,
    _asked_meanwhile,
    _stopped_with_its_guardian,
    _ends_in_time,
    _waits_for_its_window,
    _handed_over,
    _killed_and_continued,
    _killed_with_its_guardian,
    _without_its_guardian,
    _not_handed_over,
    _mailed_with_a_secret_by_a_role,
    _swept,
)


@pytest.fixture(scope="session")
def record(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """The runs, made once for all folders and processes of tests that are held against them."""
    base = tmp_path_factory.getbasetemp()
    # With several processes, each has a folder in one that they share.
    folder = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with (folder / "recorded.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = folder / "recorded.pickle"
        if not made.exists():
            made.write_bytes(pickle.dumps(record_every_kind()))
        found: Record = pickle.loads(made.read_bytes())  # noqa: S301 - written right here
    return found
