"""An Amazon ECS in memory: services whose tasks come and go as Amazon's do, by a virtual clock.

For tests (`ecs_emulator.wire.in_process.attach`) and for any client over HTTP
(`python -m ecs_emulator`). Never part of what is shipped.
"""

from ecs_emulator.accidents.mishaps import Interruption
from ecs_emulator.ground.calls import Call
from ecs_emulator.ground.clock import EPOCH, Clock, VirtualClock, WallClock
from ecs_emulator.ground.errors import ApiError, EmulatorError, Killed
from ecs_emulator.ground.knobs import FailingStart, Knobs, ScaleInChoice, StartFailure
from ecs_emulator.state import service_events
from ecs_emulator.state.setup import ServiceSetup
from ecs_emulator.state.task_state import StopCause, StopKind
from ecs_emulator.world import World

__all__ = [
    "EPOCH",
    "ApiError",
    "Call",
    "Clock",
    "EmulatorError",
    "FailingStart",
    "Interruption",
    "Killed",
    "Knobs",
    "ScaleInChoice",
    "ServiceSetup",
    "StartFailure",
    "StopCause",
    "StopKind",
    "VirtualClock",
    "WallClock",
    "World",
    "service_events",
]
