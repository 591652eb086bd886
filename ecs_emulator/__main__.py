"""The command line: one world with one service, served over HTTP until SIGTERM or SIGINT."""

import argparse
import ast
import json
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import fields
from typing import Any

from ecs_emulator.ground.clock import WallClock
from ecs_emulator.ground.knobs import FailingStart, Knobs
from ecs_emulator.wire.server import Server
from ecs_emulator.world import World


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve; the first line written is JSON with the endpoint. Returns the exit status."""
    options = _parser().parse_args(arguments)
    world = _world(options)
    # SIGINT as well: a shell's background process starts with it ignored.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _interrupt)
    with suppress(KeyboardInterrupt), Server(world, options.port) as server:
        ready = {"endpoint_url": server.url, "cluster": options.cluster, "service": options.service}
        sys.stdout.write(json.dumps(ready) + "\n")
        sys.stdout.flush()
        server.serve_forever(poll_interval=0.1)
    return 0


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _world(options: argparse.Namespace) -> World:
    given = {"failing_starts": tuple(options.failing_start), **dict(options.knob)}
    knobs = Knobs(**given)
    world = World(knobs=knobs, clock=WallClock(options.speed), seed=options.seed)
    world.create_service(
        cluster=options.cluster,
        name=options.service,
        desired_count=options.tasks,
        target_group=options.target_group,
        container_health=options.container_health or None,
        network_mode=options.network_mode,
    )
    if options.autoscaling:
        low, high = options.autoscaling
        world.register_scalable_target(
            cluster=options.cluster, service=options.service, min_capacity=low, max_capacity=high
        )
    return world


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ecs_emulator", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 (default): a free one")
    parser.add_argument("--speed", type=float, default=1.0, help="world seconds per second")
    parser.add_argument("--seed", type=int, default=0, help="of everything that is drawn")
    parser.add_argument("--cluster", default="demo")
    parser.add_argument("--service", default="web")
    parser.add_argument("--tasks", type=int, default=3, help="the desired count")
    parser.add_argument("--target-group", type=int, nargs="?", const=1, default=0, metavar="COUNT")
    parser.add_argument("--container-health", action="store_true")
    parser.add_argument("--network-mode", default="awsvpc")
    parser.add_argument("--autoscaling", type=_limits, metavar="MIN:MAX")
    parser.add_argument(
        "--knob",
        type=_knob,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="one of: " + ", ".join(field.name for field in fields(Knobs)),
    )
    parser.add_argument(
        "--failing-start",
        type=_failing_start,
        action="append",
        default=[],
        metavar="NAME=VALUE,...",
        help="launches that fail, say after=1,kind=exits; see FailingStart",
    )
    return parser


def _failing_start(text: str) -> FailingStart:
    names = {field.name for field in fields(FailingStart)}
    pairs = [part.partition("=") for part in text.split(",")]
    if unknown := [name for name, _, _ in pairs if name not in names]:
        raise argparse.ArgumentTypeError(f"A failing start has no {unknown[0]!r}.")
    return FailingStart(**{name: _literal(value) for name, _, value in pairs})


def _limits(text: str) -> tuple[int, int]:
    low, _, high = text.partition(":")
    return int(low), int(high)


def _knob(text: str) -> tuple[str, object]:
    name, _, value = text.partition("=")
    if name not in {field.name for field in fields(Knobs)}:
        raise argparse.ArgumentTypeError(f"There is no knob {name!r}.")
    return name, _literal(value)


def _literal(value: str) -> Any:  # noqa: ANN401 - each knob is its own type
    try:
        return ast.literal_eval(value)
    except (SyntaxError, ValueError):
        return value


if __name__ == "__main__":
    sys.exit(main())
