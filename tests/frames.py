"""How many frames of the engine lie between the handler and each AWS call.

`python -m tests.frames` prints it as JSON. It needs nothing of the engine but its handler, so that
it can be run in the folder of another commit.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from unittest import mock

import lambda_function
from ecs_emulator import Killed, Knobs, World
from ecs_emulator.wire.in_process import Switchboard, attach

ENGINE: Final = (
    lambda_function.__file__,
    str(Path(lambda_function.__file__).with_name("ecs_task_recycle")),
)
WIRES: Final = ("/gateway.py", "/table.py", "/run_table.py", "/guardian.py")
"""The modules whose methods call AWS: what is below them is not counted."""
MACHINE_ARN: Final = "arn:aws:states:us-east-1:123456789012:stateMachine:recycler-guardian"
EVENT: Final = {"cluster_name": "demo", "service_name": "web", "wait_time": 5}
LIMIT_SECONDS: Final = 900.0

type Ways = Mapping[str, tuple[str, ...]]
"""The longest way to each operation: the functions between the handler and the wire's method.

A call that AWS has refused, as it does a permission probe, is another operation.
"""


class Meter(Switchboard):
    """Lets a world answer, and notes by which way each call came."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.ways: dict[str, tuple[str, ...]] = {}

    def answer(self, request: Any, **of_event: Any) -> Any:  # noqa: ANN401 - botocore's event
        way = engine_frames()
        response = super().answer(request, **of_event)
        name = str(of_event["event_name"]).rpartition(".")[2]
        if response.status_code != HTTPStatus.OK:
            name = f"{name}, refused"
        if way is not None and len(way) >= len(self.ways.get(name, ())):
            self.ways[name] = way
        return response


def engine_frames() -> tuple[str, ...] | None:
    """Return what of the engine is under way between handler and wire; None outside the handler."""
    codes = [frame.f_code for frame, _ in traceback.walk_stack(None)][::-1]
    engine = [each for each in codes if each.co_filename.startswith(ENGINE)]
    names = [each.co_name for each in engine]
    if "lambda_handler" not in names:
        return None
    wires = [index for index, each in enumerate(engine) if each.co_filename.endswith(WIRES)]
    return tuple(names[names.index("lambda_handler") + 1 : min(wires, default=len(names))])


@dataclass(slots=True)
class Invocations:
    """A world in which the handler is invoked, by a user and by the guardian."""

    world: World
    limit_at: float = field(default=0.0, init=False)
    aws_request_id: str = "request-1"

    def get_remaining_time_in_millis(self) -> int:
        """Return what Lambda's context would."""
        return int((self.limit_at - self.world.now) * 1000)

    def invoke(self, event: object) -> dict[str, Any]:
        """Invoke the handler."""
        self.limit_at = self.world.now + LIMIT_SECONDS
        with mock.patch.object(lambda_function, "CLOCK", self.world.clock):
            return lambda_function.lambda_handler(event, self)

    def run(self, **event: object) -> None:
        """Invoke it, and as the guardian does until the run is over."""
        try:
            self.invoke({**EVENT, **event})
        except Killed:
            self.world.revive()
            self.world.advance(LIMIT_SECONDS + 60)
        for execution in list(self.world.executions.values()):
            answer = {"continues": True, "next": json.loads(execution.input)["next"]}
            while answer["continues"]:
                answer = self.invoke(answer["next"])
                self.world.advance(answer["wait_seconds"] if answer["continues"] else 0)


def measure() -> Ways:
    """Make runs of several kinds; return the longest way to each operation."""
    ways: dict[str, tuple[str, ...]] = {}
    with _environment():
        for event, world in _worlds():
            meter = Meter(world)
            with attach(meter):
                Invocations(world).run(**event)
            for name, way in meter.ways.items():
                ways[name] = max(way, ways.get(name, ()), key=len)
    return ways


@contextmanager
def _environment() -> Iterator[None]:
    variables = {
        "GUARDIAN_ARN": MACHINE_ARN,
        "AWS_ACCESS_KEY_ID": "AKIARUN",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_REGION": "us-east-1",
    }
    with mock.patch.dict(os.environ, variables):
        yield


def _worlds() -> Iterator[tuple[dict[str, object], World]]:
    """Yield events, each with the world for it."""
    yield {}, _world(tasks=14)
    yield {"maintain_service_state": False}, _world()
    protected = _world()
    protected.protect_task(protected.services[0].active_tasks[0], minutes=60)
    yield {"protected_tasks": "stop"}, protected
    waiting = _world()
    for task in waiting.services[0].active_tasks:
        waiting.protect_task(task, minutes=60)
    yield {}, waiting
    killed = _world()
    killed.kill_at(90)
    yield {}, killed
    yield {"action": "status"}, _world()
    yield {"action": "stop"}, _world()
    yield {"action": "restore"}, _world()


def _world(*, tasks: int = 3) -> World:
    world = World(knobs=Knobs())
    world.create_service(
        cluster="demo", name="web", desired_count=tasks, target_group=True, alarms=("web-5xx",)
    )
    world.register_scalable_target(
        cluster="demo", service="web", min_capacity=1, max_capacity=tasks
    )
    return world


if __name__ == "__main__":
    json.dump(measure(), sys.stdout, indent=2)
