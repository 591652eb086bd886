"""What every demo stands on: an emulated ECS, a folder that goes away, and an end to everything."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from demo import show
from demo.process import DemoError, environment_in, run
from ecs_emulator import Knobs, World
from ecs_emulator.ground.clock import WallClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from demo.mail_server import MailServer
    from ecs_emulator.state.model import Service

PROJECT: Final = Path(__file__).parents[1]
QUICK: Final = PROJECT / "demo" / "quick"
CLUSTER: Final = "demo"
TASKS_COUNT: Final = 3
# Only the times differ from AWS's: a task is in service after two to three seconds.
SHORT_TIMES: Final = Knobs(
    scheduler_interval=(0.2, 0.5),
    provisioning=0.4,
    pending=(0.8, 1.2),
    activating=0.2,
    target_health_delay=(0.7, 1.0),
    stop_reaction=0.2,
    drain=1.0,
    stop_time=0.3,
    deprovision=0.3,
    staleness=0.3,
    latency=0.02,
    aas_lag=0.3,
)
NOT_DEPLOYED: Final = (
    ".*",
    "build",
    "dist",
    "docs",
    "demo",
    "ecs_emulator",
    "tests",
    "verify_aws",
    "__pycache__",
)
OF_THE_TERMINAL: Final = ("COLUMNS", "LINES", "TERM", "NO_COLOR")
SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def emulated_ecs(*services: str, knobs: Knobs = SHORT_TIMES, speed: float = 1.0) -> World:
    """Return a world with these services, each behind a target group and with autoscaling.

    Its clock runs so many times as fast as the machine's.
    """
    world = World(knobs=knobs, clock=WallClock(speed))
    for name in services:
        add_service(world, name, TASKS_COUNT)
    return world


def clock_of(world: World) -> dict[str, str]:
    """Return the environment in which a Python process goes by the world's clock, if it is quick.

    demo/quick/sitecustomize.py says what this does to it.
    """
    clock = world.clock
    if not isinstance(clock, WallClock) or clock.speed == 1:
        return {}
    return {"PYTHONPATH": str(QUICK), "CLOCK": f"{clock.started_at} {clock.began} {clock.speed}"}


def add_service(
    world: World,
    name: str,
    tasks_count: int,
    *,
    cluster: str = CLUSTER,
    secrets: tuple[str, ...] = (),
) -> Service:
    """Create such a service in a world; return it. `secrets` are what its tasks read."""
    service = world.create_service(
        cluster=cluster,
        name=name,
        desired_count=tasks_count,
        target_group=True,
        secrets=secrets,
    )
    world.register_scalable_target(
        cluster=cluster, service=name, min_capacity=tasks_count, max_capacity=2 * tasks_count
    )
    return service


def capacity(world: World, name: str, *, cluster: str = CLUSTER) -> tuple[int, int, int]:
    """Return a service's desired count and its autoscaling minimum and maximum."""
    service = world.service(cluster, name)
    target = world.autoscaling.targets[f"service/{cluster}/{name}"]
    return service.desired_count, target.min_capacity, target.max_capacity


def input_json(mail_server: MailServer, **login: str) -> dict[str, Any]:
    """Return an input.json that mails to the server with this login."""
    server = {"host": mail_server.hostname, "port": str(mail_server.port)}
    return {
        "awsCredentials": {},
        "smtpCredentials": {**server, **login, "from_email": "noreply@example.com"},
        "emailNotification": {"subject_prefix": "AWS ECS", "to": ["admin@example.com"]},
    }


def build_zip(folder: Path, configuration: Mapping[str, Any]) -> Path:
    """Build function.zip in `folder` as a user does, with `configuration` as its input.json."""
    tree, zip_file = copy_sources(folder / "sources", configuration), folder / "function.zip"
    command = ("./lambda_build.sh", "--output", str(zip_file))
    done = run(*command, environment=environment_in(folder), folder=tree)
    if done.returncode:
        raise DemoError(done.stderr)
    return zip_file


def copy_sources(tree: Path, configuration: Mapping[str, Any]) -> Path:
    """Copy what is deployed and what deploys it; the user's own input.json is not touched."""
    shutil.copytree(PROJECT, tree, ignore=shutil.ignore_patterns(*NOT_DEPLOYED))
    (tree / "input.json").write_text(json.dumps(configuration, indent=2), encoding="utf-8")
    return tree


def main(play: Callable[[Path], Sequence[show.Promise]], *, next_step: str) -> NoReturn:
    """Play a demo in a folder of its own and exit: with 0 only if every promise was kept."""
    status = 1
    try:
        for number in SIGNALS:
            signal.signal(number, _interrupt)
        with _temporary_folder() as folder:
            status = 0 if show.verdict(play(folder)) else 1
        if status == 0:
            show.say("")
            show.tell(next_step)
    except DemoError as error:
        show.say(f"The demo cannot go on: {error}")
    except KeyboardInterrupt:
        show.say("Interrupted; everything that was started has been ended.")
        status = 128 + signal.SIGINT
    # No thread that was interrupted while it started may hold up the end.
    os._exit(status)


def _leave_the_machine_out(folder: Path) -> None:
    """Replace the environment, with its AWS account and proxies; write UTF-8 in any locale."""
    kept = {name: os.environ[name] for name in OF_THE_TERMINAL if name in os.environ}
    environment = {**environment_in(folder), **kept}
    os.environ.clear()
    os.environ.update(environment)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")


def _interrupt(*_: object) -> None:
    _ignore_signals()
    raise KeyboardInterrupt


def _ignore_signals() -> None:
    for number in SIGNALS:
        # Not SIG_IGN: Python complains when a signal comes while its handler is taken away.
        signal.signal(number, lambda *_: None)


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    """Yield a folder that is gone afterwards, whenever the one signal that interrupts comes."""
    folder = PROJECT / "build" / f"demo-{os.getpid()}"
    try:
        try:
            folder.mkdir(parents=True)
            _leave_the_machine_out(folder)
            yield folder
        finally:
            _ignore_signals()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):  # something else is in there
            folder.parent.rmdir()
