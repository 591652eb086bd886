"""Runs of every kind in emulated worlds: what they said, what they called, what they answered."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import boto3
import pytest

from AWSSession import get_aws_session
from ecs_emulator import FailingStart, Killed, Knobs, World
from ecs_emulator.in_process import Switchboard, attach, virtual_sleep
from ecs_emulator.permissions import action_of, resource_of
from ecs_task_recycle.configuration import AwsCredentials, Mail
from ecs_task_recycle.mail_secret import with_login
from tests.emulated.bench import ACCESS_KEY, Bench, OneSetOfClients, a_service, autoscaled
from tests.emulated.observers import perfect_seconds

if TYPE_CHECKING:
    from collections.abc import Callable

LOGGER: Final = "ecs_task_recycle"


@dataclass(frozen=True, slots=True)
class Request:
    """An IAM action on a resource, as a call has asked for it."""

    action: str
    resource: str


@dataclass(slots=True)
class Record:
    """Log lines, IAM actions of the calls, and bodies of answers, of all runs together.

    Of one ordinary run of three tasks also its figures: calls and delay.
    """

    lines: set[str] = field(default_factory=set)
    requests: set[Request] = field(default_factory=set)
    answers: list[dict[str, Any]] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)

    def run(self, bench: Bench, world: World, **event: Any) -> None:  # noqa: ANN401 - users' events
        """Run the event in a world and note all of it; a run that is killed answers nothing."""
        try:
            self.answers.append(bench.recycle(world, **event).answer())
        except Killed:
            world.revive()
        self.note_calls(world)

    def note_calls(self, world: World) -> None:
        """Note what has been called in a world."""
        self.requests |= {
            Request(
                action_of(call.service, call.operation),
                resource_of(world, call.service, call.operation, call.parameters) or "*",
            )
            for call in world.calls
        }

    @property
    def actions(self) -> set[str]:
        """The IAM actions of all calls."""
        return {each.action for each in self.requests}


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
        with virtual_sleep(board):
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
    # The first attempt to stop a task is the permission check.
    first_stop = ours.calls_of("StopTask")[1].number
    record.figures = {
        "calls per task": sum(each.number >= first_stop for each in ours.calls) / 3,
        "calls per second": len(ours.calls) / seconds,
        # Four tasks come into service: the extra one and three replacements.
        "seconds late": (seconds - perfect_run) / 4,
    }


def _with_everything(record: Record, bench: Bench) -> None:
    world = World(knobs=Knobs(drain=150))
    a_service(world, tasks=1, container_health=True, alarms=("web-5xx",))
    autoscaled(world, 1, 3)
    record.run(bench, world, wait_time=130, dry_run=True)
    record.run(bench, world, wait_time=130)
    record.run(bench, world, action="restore")


def _on_instances(record: Record, bench: Bench) -> None:
    world = World()
    a_service(world, network_mode="bridge")
    record.run(bench, world, wait_time=0)


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


def _mailed_with_a_secret_by_a_role(record: Record, _bench: Bench) -> None:
    world = World()
    role_arn = "arn:aws:iam::123456789012:role/Recycler"
    credentials = AwsCredentials(region_name="us-east-1", role_arn=role_arn)
    mail = Mail(host="h", port=587, from_email="f", to=("t",), secret_id="mail/login")
    secret = world.put_secret("mail/login", '{"username": "user", "password": "planted"}')
    with attach(world):
        assert with_login(replace(mail, secret_id=secret.arn), lambda: get_aws_session(credentials))
    record.note_calls(world)


def _short_of_time(record: Record, bench: Bench) -> None:
    world = World()
    a_service(world, tasks=15)
    record.run(bench, world)


KINDS: Final[tuple[Callable[[Record, Bench], None], ...]] = (
    _ordinary,
    _with_everything,
    _on_instances,
    _not_coming_up,
    _not_withdrawn,
    _answered_badly,
    _killed_and_restored,
    _short_of_time,
    _under_protection,
    _under_long_protection,
    _under_protection_that_stays,
    _mailed_with_a_secret_by_a_role,
)


@pytest.fixture(scope="session")
def record() -> Record:
    return record_every_kind()
