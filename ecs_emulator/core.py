"""The parts of a world, put together: the ledger, the rules that work on it, what is around ECS."""

from typing import TYPE_CHECKING

from ecs_emulator.autoscaling import AutoScaling
from ecs_emulator.clock import Clock
from ecs_emulator.dynamodb import Tables
from ecs_emulator.faults import Faults
from ecs_emulator.identities import Identities
from ecs_emulator.knobs import Knobs
from ecs_emulator.ledger import Ledger
from ecs_emulator.lifecycle import LifeCycle
from ecs_emulator.scheduler import Scheduler
from ecs_emulator.throttling import Throttle

if TYPE_CHECKING:
    from ecs_emulator.alarms import Alarm
    from ecs_emulator.executions import Execution
    from ecs_emulator.secrets import Secret
    from ecs_emulator.timeline import Timeline


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
