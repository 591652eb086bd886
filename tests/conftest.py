"""What holds for every test: no network, no real account, and randomness that can be repeated.

Sockets: none, except to 127.0.0.1 for tests marked `e2e` or `local_socket`.
Randomness: `RECYCLE_SEED=<whole number>` draws other random worlds than the usual ones.
In CI (`CI` is set) it is the same every time; elsewhere Hypothesis looks for new examples.
"""

from __future__ import annotations

import gc
import os
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Callable

SEED_VARIABLE: Final = "RECYCLE_SEED"
USUAL_SEED: Final = 20261122
MARKERS_WITH_LOCAL_SOCKETS: Final = ("e2e", "local_socket")
LONG_FOLDERS: Final = ("emulated", "client")
QUICK_FILES: Final = ("test_recycle.py",)
"""Of the emulated runs, what `make check` has: the others take minutes."""
RECORDED_RUNS: Final = "record"
"""The fixture that makes runs of every kind first."""

# Whatever the machine's own AWS configuration says, no test ever signs with it.
MADE_UP_ACCOUNT: Final = {
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "made-up-for-tests",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}


# First, because Hypothesis reads its seed in the same hook.
@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Take the account away and settle where randomness comes from."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(MADE_UP_ACCOUNT)
    _settle_hypothesis(config)
    # Worlds are large and short-lived: looking for garbage more rarely takes a tenth off the tests.
    gc.set_threshold(200_000, 20, 20)


def pytest_report_header() -> str:
    """Name the seed, so that a failure can be run again."""
    return f"{SEED_VARIABLE}={base_seed()}"


@pytest.hookimpl(tryfirst=True)
def pytest_itemcollected(item: pytest.Item) -> None:
    """Allow 127.0.0.1, and nothing else, to the tests that say they need it."""
    if any(item.get_closest_marker(name) for name in MARKERS_WITH_LOCAL_SOCKETS):
        item.add_marker(pytest.mark.allow_hosts(["127.0.0.1"]))
    is_long = item.path.parent.name in LONG_FOLDERS and item.path.name not in QUICK_FILES
    if is_long or RECORDED_RUNS in getattr(item, "fixturenames", ()):
        item.add_marker(pytest.mark.slow)


def base_seed() -> int:
    """Return the seed from which this run's random worlds are drawn."""
    return int(os.environ.get(SEED_VARIABLE, USUAL_SEED))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests have measured: their user property `measured`, from every process."""
    reports = [each for kind in ("passed", "failed") for each in terminalreporter.getreports(kind)]
    properties = [each for report in reports for each in report.user_properties]
    lines = [text for name, text in properties if name == "measured"]
    if lines:
        terminalreporter.section("measured")
    for line in lines:
        terminalreporter.write_line(str(line))


@pytest.fixture
def measured(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Return what takes a line to be printed at the end of the run, whatever process it ran in."""
    return lambda line: record_property("measured", line)


@pytest.fixture(scope="session")
def seed() -> int:
    """Return the seed of this run: RECYCLE_SEED, or the usual one."""
    return base_seed()


def _settle_hypothesis(config: pytest.Config) -> None:
    """Make CI repeatable, show how to repeat a failure, and obey a seed that is given.

    Virtual clocks make the time that an example takes meaningless, so there is no deadline.
    """
    settings.register_profile("dev", deadline=None, print_blob=True)
    settings.register_profile(
        "ci",
        deadline=None,
        print_blob=True,
        derandomize=SEED_VARIABLE not in os.environ,
        suppress_health_check=[HealthCheck.too_slow],
    )
    settings.load_profile("ci" if os.environ.get("CI") else "dev")
    if SEED_VARIABLE in os.environ:
        config.option.hypothesis_seed = base_seed()
