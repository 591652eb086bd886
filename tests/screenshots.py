"""Mails of real runs in an emulated world, as a browser shows them: on a phone and on a desk.

`make screenshots` writes each mail as text and HTML, and as a PNG for each width and colour scheme,
to build/screenshots; docs/mail.png is one of them. It needs Chromium (on Debian: apt-get install
chromium), and is no part of `make test`: the pictures are for people to look at.
"""

from __future__ import annotations

import itertools
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import boto3

from ecs_emulator import FailingStart, Knobs, World
from ecs_emulator.wire.in_process import attach
from ecs_task_recycle.settings.function import FunctionContext
from Notification import compose
from tests.emulated.bench import ACCESS_KEY, Bench, OneSetOfClients, a_service, autoscaled
from tests.emulated.guarded import Guarded
from tests.emulated.lanes import world_of_lanes
from tests.emulated.swept import Swept
from tests.mail_configuration import MAIL as CONFIGURED

if TYPE_CHECKING:
    from collections.abc import Callable

    from ecs_task_recycle.report.answer import Answer
    from ecs_task_recycle.report.sweep_answer import SweepAnswer

WIDTHS: Final = (400, 1000)
SCHEMES: Final = {"dark": 0, "light": 1}
"""Blink's names for the colour schemes that a user may prefer."""
HEIGHT: Final = 2600
DOCS_PICTURE: Final = ("completed", 780, 930)
"""The run whose mail the README shows, and how much of it: width and height."""

MAIL: Final = replace(CONFIGURED, timezone="Europe/Berlin")
FUNCTION: Final = FunctionContext(
    region="us-east-1",
    name="ecs-task-recycle-function",
    log_group="/aws/lambda/ecs-task-recycle-function",
    service_region="us-east-1",
)


SWEPT: Final = (
    "staging/web",
    *("production/web", "production/worker", "production/api", "production/idle"),
)
"""The services of the sweep."""


def completed(bench: Bench) -> Answer:
    """Twelve tasks, some of which do not stop in time, under a guardian."""
    world = World(knobs=Knobs(stop_time=(2.0, 60.0)))
    a_service(world, tasks=12)
    autoscaled(world, 4, 12)
    return Guarded(bench, world).recycle(wait_time=10).answer()


def without_surge(bench: Bench) -> Answer:
    """Three tasks, without a task more."""
    world = World()
    a_service(world, tasks=3)
    return bench.recycle(world, maintain_service_state=False, wait_time=0).answer()


def partial(bench: Bench) -> Answer:
    """Fifteen tasks in one invocation of fifteen minutes."""
    world = World()
    a_service(world, tasks=15)
    return bench.recycle(world).answer()


def failed(bench: Bench) -> Answer:
    """New tasks fail from the third on."""
    world = World(knobs=Knobs(failing_starts=(FailingStart(after=3),)))
    a_service(world, tasks=4)
    return bench.recycle(world).answer()


def skipped(bench: Bench) -> Answer:
    """Two of six tasks are under scale-in protection, one is not in service, one is lost."""
    world = World()
    tasks = a_service(world, tasks=6).active_tasks
    for task in tasks[:2]:
        world.protect_task(task, minutes=600)
    world.hang_task(tasks[3])
    world.hold_task(tasks[4])
    return bench.recycle(world, protected_tasks="skip").answer()


def hurt(bench: Bench) -> Answer:
    """Two tasks crash while the run is going on."""
    world = World()
    *_, one, other = a_service(world, tasks=5).active_tasks
    world.at(70, lambda w: w.crash_task(one))
    world.at(75, lambda w: w.crash_task(other))
    return bench.recycle(world).answer()


def long_list(bench: Bench) -> Answer:
    """A hundred and twenty tasks, over several invocations."""
    world = World(knobs=Knobs(stop_time=(2.0, 32.0)))
    a_service(world, tasks=120)
    return Guarded(bench, world).recycle(wait_time=0).answer()


def sweep(bench: Bench) -> SweepAnswer:
    """Five services, of which one fails, one is refused and one has nothing to do."""
    world = world_of_lanes()
    for name, count in (("web", 3), ("api", 2), ("idle", 0)):
        world.create_service(cluster="production", name=name, desired_count=count)
    fails = Knobs(failing_starts=(FailingStart(after=0),))
    world.create_service(cluster="production", name="worker", desired_count=2, knobs=fails)
    world.create_service(cluster="staging", name="web", desired_count=1)
    world.start_deployment("staging", "web")
    return Swept(bench, world).sweep(services=list(SWEPT), on_error="continue")


KINDS: Final[tuple[Callable[[Bench], Answer | SweepAnswer], ...]] = (
    completed,
    without_surge,
    partial,
    failed,
    skipped,
    hurt,
    long_list,
    sweep,
)


def mails() -> dict[str, tuple[str, str]]:
    """Return the text and the HTML of the mail of each kind of run."""
    with attach(World()) as board:
        session = boto3.Session(
            aws_access_key_id=ACCESS_KEY, aws_secret_access_key="x", region_name="us-east-1"
        )
        bench = Bench(session=OneSetOfClients(session), board=board)
        return {kind.__name__: _parts(kind(bench)) for kind in KINDS}


def _parts(answer: Answer | SweepAnswer) -> tuple[str, str]:
    message = compose(MAIL, answer, FUNCTION)
    text, page = (
        part.get_content() if (part := message.get_body((kind,))) is not None else ""
        for kind in ("plain", "html")
    )
    return f"Subject: {message['Subject']}\n\n{text}", page


def shoot(browser: str, page: Path, *, scheme: str, width: int, height: int = HEIGHT) -> Path:
    """Return a picture of a page as a browser of that size shows it."""
    picture = page.with_name(f"{page.stem}-{width}-{scheme}.png")
    with tempfile.TemporaryDirectory() as profile:
        subprocess.run(  # noqa: S603 - built here, of constants
            [
                browser,
                *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"),
                *("--no-first-run", "--disable-background-networking", "--disable-sync"),
                *("--disable-component-update", f"--user-data-dir={profile}", "--hide-scrollbars"),
                f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}",
                f"--window-size={width},{height}",
                f"--screenshot={picture}",
                page.as_uri(),
            ],
            check=True,
            capture_output=True,
            timeout=120,
        )
    return picture


def write_all(folder: Path) -> list[Path]:
    """Write the mails, and return their pages."""
    folder.mkdir(parents=True, exist_ok=True)
    pages = []
    for name, (text, html) in mails().items():
        page = folder / f"{name}.html"
        page.write_text(html, encoding="utf-8")
        page.with_suffix(".txt").write_text(text, encoding="utf-8")
        pages.append(page)
    return pages


def main() -> int:
    """Write the mails and their pictures; return an exit code."""
    if len(sys.argv) != 2:
        sys.stderr.write("Usage: python -m tests.screenshots FOLDER\n")
        return 2
    pages = write_all(Path(sys.argv[1]).resolve())
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        sys.stderr.write("There is no Chromium here: the mails are written, their pictures not.\n")
        return 1
    for page in pages:
        for width, scheme in itertools.product(WIDTHS, SCHEMES):
            sys.stdout.write(f"{shoot(browser, page, width=width, scheme=scheme)}\n")
    name, width, height = DOCS_PICTURE
    page = next(page for page in pages if page.stem == name)
    shoot(browser, page, scheme="light", width=width, height=height)
    return 0


if __name__ == "__main__":
    sys.exit(main())
