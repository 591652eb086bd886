"""What the command line's options make of the world."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ecs_emulator import FailingStart
from ecs_emulator.__main__ import _parser, _world

PROJECT = Path(__file__).parents[2]


def test_options_and_knobs_shape_the_world() -> None:
    text = (
        "--cluster c --service s --tasks 4 --target-group 2 --container-health "
        "--network-mode bridge --autoscaling 2:5 --knob drain=5 --knob pending=(1,2) "
        "--knob scale_in_choice=newest --failing-start after=3,kind=exits"
    )
    options = _parser().parse_args(text.split())
    world = _world(options)
    service = world.service("c", "s")
    target = world.autoscaling.target_of(service)
    assert target is not None
    assert (target.min_capacity, target.max_capacity) == (2, 5)
    assert (service.in_service_count, len(service.target_groups)) == (4, 2)
    assert service.container_health
    assert not service.awsvpc
    assert (world.knobs.drain, world.knobs.pending) == (5, (1, 2))
    assert world.knobs.scale_in_choice == "newest"
    assert world.knobs.failing_starts == (FailingStart(kind="exits", after=3),)


@pytest.mark.parametrize("option", ["--knob=nope=1", "--failing-start=nope=1"])
def test_an_unknown_name_is_refused(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        _parser().parse_args([option])
    assert "'nope'" in capsys.readouterr().err


@pytest.mark.e2e
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_at_an_interrupt_even_if_it_was_started_to_ignore_it(number: int) -> None:
    command = ["sh", "-c", f'trap "" INT; exec "{sys.executable}" -m ecs_emulator']
    with subprocess.Popen(  # noqa: S603  our own command
        command, cwd=PROJECT, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert json.loads(process.stdout.readline())["endpoint_url"]
            process.send_signal(number)
            assert process.wait(10) == 0
        finally:
            process.kill()
