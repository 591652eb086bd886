"""A world: an Amazon ECS in memory, with its clock, its people and its records."""

from collections.abc import Callable
from functools import partial
from typing import Self, Unpack

from ecs_emulator.access.identities import Identities
from ecs_emulator.access.throttling import Throttle
from ecs_emulator.accidents.deployments import Deployments
from ecs_emulator.accidents.faults import Faults
from ecs_emulator.accidents.load_balancers import LoadBalancers
from ecs_emulator.accidents.mishaps import Mishaps
from ecs_emulator.accidents.outages import Outages
from ecs_emulator.accidents.people import People
from ecs_emulator.accidents.planned import Planned
from ecs_emulator.building import Building
from ecs_emulator.engine.autoscaling import AutoScaling, Limits, ScalableTarget
from ecs_emulator.engine.lifecycle import LifeCycle
from ecs_emulator.engine.placement import Placer
from ecs_emulator.engine.scheduler import Scheduler
from ecs_emulator.ground.account import Account
from ecs_emulator.ground.calls import Call, lowest
from ecs_emulator.ground.clock import Clock, VirtualClock
from ecs_emulator.ground.deaths import Deaths
from ecs_emulator.ground.errors import EmulatorError
from ecs_emulator.ground.knobs import Dice, Knobs
from ecs_emulator.ground.simulation import Simulation
from ecs_emulator.ground.timeline import Timeline
from ecs_emulator.neighbours.alarms import Alarm
from ecs_emulator.neighbours.executions import Execution
from ecs_emulator.neighbours.secrets import Secret
from ecs_emulator.neighbours.tables import Tables
from ecs_emulator.state.ledger import Ledger
from ecs_emulator.state.model import Service
from ecs_emulator.state.setup import ServiceOptions, ServiceSetup

type Happening = Callable[["World"], object]


class World:
    """An Amazon ECS in memory. All instants are epoch seconds unless a name says otherwise.

    Each part has a name; what is said most is lent its part's method: `world.stop_task(...)` is
    `world.people.stop_task(...)`.
    """

    def __init__(
        self,
        knobs: Knobs | None = None,
        clock: Clock | None = None,
        seed: int = 0,
        *,
        region: str = "us-east-1",
        account: str = "123456789012",
    ) -> None:
        self.knobs = knobs or Knobs()
        self.dice = Dice(seed=seed, scope="world")
        self.account = Account(id=account, region=region)
        self.calls: list[Call] = []
        self._have_time(clock or VirtualClock())
        self._have_rules()
        self._have_neighbours()
        self._have_mishaps()
        self._have_people()
        self._have_load_balancers()
        self._have_deployments()

    # -- the parts, and what they lend ------------------------------------------------------

    def _have_time(self, clock: Clock) -> None:
        deaths = self.deaths = Deaths()
        self.kill = deaths.kill
        self.revive = deaths.revive
        time = self.time = Simulation(clock, deaths)
        self.live_by = time.live_by
        self.lock = time.lock
        self.started_at = time.started_at
        self.advance = time.advance
        self.advance_to = time.advance_to
        self.catch_up = time.catch_up
        self.run_until = time.run_until
        self.planned = Planned()
        self.faults = Faults()

    def _have_rules(self) -> None:
        ledger = self.ledger = Ledger(self.time)
        self.service = ledger.service
        placer = self._placer = Placer(self.account.region)
        self.lifecycle = LifeCycle(self.time, ledger)
        self.scheduler = Scheduler(self.time, ledger, self.lifecycle, placer)
        ledger.watcher = self.scheduler
        self.autoscaling = AutoScaling(self.time, ledger, self.account)
        building = self.building = Building(
            self.time,
            ledger,
            account=self.account,
            dice=self.dice,
            lifecycle=self.lifecycle,
            placer=placer,
        )
        self.create_cluster = building.create_cluster

    def _have_neighbours(self) -> None:
        self.identities = Identities(self.time, self.account)
        self.throttle = Throttle()
        tables = self.tables = Tables(self.time, self.account, self.knobs.staleness)
        self.items = tables.items
        self.item = tables.item
        self.put_item = tables.put
        self.drop_table = tables.drop
        self.outages = Outages(self.time, self.faults, tables)
        self.alarms: dict[str, Timeline[Alarm]] = {}
        self.secrets: dict[str, Secret] = {}
        self.executions: dict[str, Execution] = {}

    def _have_mishaps(self) -> None:
        mishaps = self.mishaps = Mishaps(self.ledger, self.lifecycle)
        self.crash_task = mishaps.crash_task
        self.interrupt_task = mishaps.interrupt_task
        self.hang_task = mishaps.hang_task
        self.hold_task = mishaps.hold_task
        self.make_unhealthy = mishaps.make_unhealthy
        self.forget_health = mishaps.forget_health
        self.add_service_event = mishaps.add_service_event

    def _have_people(self) -> None:
        people = self.people = People(
            self.time,
            self.ledger,
            lifecycle=self.lifecycle,
            scheduler=self.scheduler,
            autoscaling=self.autoscaling,
        )
        self.set_desired_count = people.set_desired_count
        self.set_limits = people.set_limits
        self.schedule_limits = people.schedule_limits
        self.put_load = people.put_load
        self.keep_load = people.keep_load
        self.stop_task = people.stop_task
        self.rebalance = people.rebalance
        self.delete_service = people.delete_service
        self.protect_task = people.protect_task
        self.unprotect_task = people.unprotect_task

    def _have_load_balancers(self) -> None:
        balancers = self.load_balancers = LoadBalancers(self.time, self.ledger)
        self.set_target_state = balancers.set_target_state
        self.deregister_target = balancers.deregister_target
        self.take_group_out_of_use = balancers.take_group_out_of_use
        self.disable_health_checks = balancers.disable_health_checks
        self.disable_zone = balancers.disable_zone
        self.shift_zone = balancers.shift_zone
        self.register_foreign_target = balancers.register_foreign_target

    def _have_deployments(self) -> None:
        deployments = self.deployments = Deployments(
            self.time, self.ledger, self.lifecycle, self._placer
        )
        self.start_deployment = deployments.start_deployment
        self.fail_deployment = deployments.fail_deployment
        self.pause_deployment = deployments.pause_deployment
        self.continue_deployment = deployments.continue_deployment
        self.list_inactive_deployment = deployments.list_inactive_deployment
        self.complete_deployment_early = deployments.complete_deployment_early

    # -- time -------------------------------------------------------------------------------

    @property
    def clock(self) -> Clock:
        """The clock that the world goes by."""
        return self.time.clock

    @property
    def now(self) -> float:
        """The world's time in epoch seconds."""
        return self.time.now

    @property
    def elapsed(self) -> float:
        """Seconds since the world's start."""
        return self.time.elapsed

    # -- furnishing -------------------------------------------------------------------------

    def create_service(self, **options: Unpack[ServiceOptions]) -> Service:
        """Create a service; its cluster comes with it if it is not there yet.

        The options, their meaning and their defaults: see ServiceSetup. Without `knobs` the
        world's hold.
        """
        options.setdefault("knobs", self.knobs)
        return self.create_service_from(ServiceSetup(**options))

    def create_service_from(self, setup: ServiceSetup) -> Service:
        """Create a service from a ready-made setup, and its alarms."""
        service = self.building.create_service(setup)
        for alarm in setup.alarms:
            self.set_alarm(alarm)
        return service

    def register_scalable_target(
        self, *, cluster: str, service: str, min_capacity: int, max_capacity: int
    ) -> ScalableTarget:
        """Put a service's desired count under Application Auto Scaling."""
        limits = Limits(min_capacity=min_capacity, max_capacity=max_capacity)
        return self.autoscaling.register(self.service(cluster, service), limits, "create")

    def set_alarm(self, name: str, state: str = "OK", *, composite: bool = False) -> Alarm:
        """Create an alarm or change its state: OK, ALARM or INSUFFICIENT_DATA."""
        alarm = Alarm(name=name, state=state, since=self.now, composite=composite)
        if name in self.alarms:
            self.alarms[name].set(self.now, alarm)
        else:
            self.alarms[name] = Timeline(self.now, alarm)
        return alarm

    def put_secret(self, name: str, text: str) -> Secret:
        """Put a secret into Secrets Manager; `text` is usually JSON."""
        ending = f"{self.dice.generator('secret', name).getrandbits(24):06x}"
        arn = self.account.arn("secretsmanager", f"secret:{name}-{ending}")
        self.secrets[name] = Secret(name=name, arn=arn, text=text, created_at=self.now)
        return self.secrets[name]

    # -- arranging --------------------------------------------------------------------------

    def at(self, seconds: float, happening: Happening) -> Self:
        """Let something happen `seconds` after the world's start."""
        self.time.schedule(self.started_at + seconds, partial(happening, self))
        return self

    def after_call(self, operation: str | None, nth: int, happening: Happening) -> Self:
        """Let something happen right after the n-th call (from now) of an operation took effect.

        `operation` None: any operation.
        """
        self.planned.after_call(operation, nth, partial(happening, self))
        return self

    def kill_at_call(
        self, number: int, *, access_key: str | None = None, after_effect: bool = False
    ) -> Self:
        """Kill the caller at the call of this number (1 is the world's first).

        The call does not reach the world; with `after_effect` it does, and only its answer is
        lost. From then on nothing of this access key's owner (None: of anybody) reaches it. In
        process `Killed` is raised to the caller, over HTTP the connection is closed.
        """
        self.deaths.kill_at_call(number, access_key=access_key, after_effect=after_effect)
        return self

    def kill_at(self, seconds: float, *, access_key: str | None = None) -> Self:
        """Kill the owner of this access key, `seconds` after the world's start.

        None: whoever calls or sleeps on the virtual clock.
        """
        self.time.schedule(self.started_at + seconds, partial(self.kill, access_key))
        return self

    # -- looking on -------------------------------------------------------------------------

    @property
    def services(self) -> list[Service]:
        """All services of all clusters."""
        return self.ledger.services

    def in_service_history(
        self, cluster: str | None = None, service: str | None = None
    ) -> list[tuple[float, int]]:
        """Return (instant, number of tasks in service) for the start and every change.

        In service: lastStatus and desiredStatus RUNNING, containers HEALTHY where they have
        checks, healthy in every target group. Names may be left out where there is one service.
        """
        return list(self._observed(cluster, service).in_service_history)

    def lowest_in_service(
        self,
        cluster: str | None = None,
        service: str | None = None,
        *,
        since: float | None = None,
        until: float | None = None,
    ) -> int:
        """Return the lowest number of tasks in service at any instant from `since` to `until`."""
        history = self._observed(cluster, service).in_service_history
        since = self.started_at if since is None else since
        return lowest(history, since, self.now if until is None else until)

    def desired_history(
        self, cluster: str | None = None, service: str | None = None
    ) -> list[tuple[float, int, str]]:
        """Return (instant, desired count, who) for the start and every change."""
        return list(self._observed(cluster, service).desired_history)

    def calls_of(self, *operations: str) -> list[Call]:
        """Return the calls of these operations, in their order."""
        return [call for call in self.calls if call.operation in operations]

    @property
    def writes(self) -> list[Call]:
        """The calls that changed something."""
        return [call for call in self.calls if call.wrote]

    def _observed(self, cluster: str | None, service: str | None) -> Service:
        fitting = [
            each
            for each in self.services
            if cluster in {None, each.cluster.name} and service in {None, each.name}
        ]
        if len(fitting) != 1:
            raise EmulatorError(f"{len(fitting)} services fit {cluster}/{service}; name one.")
        return fitting[0]

    # -- for the API ------------------------------------------------------------------------

    def note_call(self, call: Call, *, effect: bool) -> None:
        """Write down a call, and if it was performed let happen what was to happen after it."""
        self.calls.append(call)
        if effect:
            for happening in self.planned.due(call.operation):
                happening()
