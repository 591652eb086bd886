"""The parts of a world, put together: the ledger, the rules that work on it, what is around ECS."""

from typing import TYPE_CHECKING

from ecs_emulator.access.identities import Identities
from ecs_emulator.access.throttling import Throttle
from ecs_emulator.accidents.faults import Faults
from ecs_emulator.engine.autoscaling import AutoScaling
from ecs_emulator.engine.lifecycle import LifeCycle
from ecs_emulator.engine.scheduler import Scheduler
from ecs_emulator.ground.clock import Clock
from ecs_emulator.ground.knobs import Knobs
from ecs_emulator.neighbours.tables import Tables
from ecs_emulator.state.ledger import Ledger

if TYPE_CHECKING:
    from ecs_emulator.ground.timeline import Timeline
    from ecs_emulator.neighbours.alarms import Alarm
    from ecs_emulator.neighbours.executions import Execution
    from ecs_emulator.neighbours.secrets import Secret


class Core(Ledger):
    """A ledger with its rules. Building, other people and the API work on this."""

    def __init__(
        self,
        knobs: Knobs | None = None,
        clock: Clock | None = None,
        seed: int = 0,
        *,
        region: str = "us-east-1",
        account: str = "123456789012",
    ) -> None:
        super().__init__(knobs, clock, seed, region=region, account=account)
        self.faults = Faults()
        self.throttle = Throttle()
        self.identities = Identities(self)
        self.lifecycle = LifeCycle(self)
        self.scheduler = Scheduler(self, self.lifecycle)
        self.watcher = self.scheduler
        self.autoscaling = AutoScaling(self)
        self.tables = Tables(self)
        self.alarms: dict[str, Timeline[Alarm]] = {}
        self.secrets: dict[str, Secret] = {}
        self.executions: dict[str, Execution] = {}
