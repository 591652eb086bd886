"""An Amazon ECS in memory: services whose tasks come and go as Amazon's do, by a virtual clock.

For tests (`ecs_emulator.in_process.attach`) and for any client over HTTP
(`python -m ecs_emulator`). Never part of what is shipped.
"""

from ecs_emulator.accidents import Interruption
from ecs_emulator.clock import EPOCH, Clock, VirtualClock, WallClock
from ecs_emulator.errors import ApiError, EmulatorError, Killed
from ecs_emulator.knobs import FailingStart, Knobs, ScaleInChoice, StartFailure
from ecs_emulator.records import Call
from ecs_emulator.setup import ServiceSetup
from ecs_emulator.task_state import StopCause, StopKind
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
]
