"""What load balancers and those who run them do to a service's targets. All of it as of now."""

from ecs_emulator.ground.errors import EmulatorError
from ecs_emulator.ground.simulation import Simulation
from ecs_emulator.state.ledger import Ledger
from ecs_emulator.state.model import Service, Task
from ecs_emulator.state.target_groups import DESCRIPTIONS, OVERRIDES, ForeignTarget, TargetGroup
from ecs_emulator.state.task_state import CONTAINER_PORT


class LoadBalancers:
    """Lets target groups say everything that Elastic Load Balancing's do."""

    def __init__(self, time: Simulation, ledger: Ledger) -> None:
        self._time = time
        self._ledger = ledger

    def set_target_state(
        self, task: Task | str, state: str, reason: str | None = None, *, group: int = 0
    ) -> None:
        """Let a task's target be in a state, with a reason code if it is not the usual one."""
        if reason is not None and reason not in DESCRIPTIONS:
            raise EmulatorError(f"There is no reason code {reason!r}.")
        self._set_target(self._ledger.task(task), group, state, reason)

    def deregister_target(self, task: Task | str, *, group: int = 0) -> None:
        """Have somebody take a running task's target out of a group, without any draining."""
        self._set_target(self._ledger.task(task), group, None)

    def take_group_out_of_use(self, cluster: str, service: str, *, group: int = 0) -> None:
        """Let no listener use a group any more: its targets are `unused`, new ones too."""
        owner = self._ledger.service(cluster, service)
        owner.target_groups[group].all_targets = "unused"
        self._look_again(owner, owner.target_groups[group])

    def disable_health_checks(self, cluster: str, service: str, *, group: int = 0) -> None:
        """Let a group have no health checks: its targets are `unavailable`, new ones too."""
        owner = self._ledger.service(cluster, service)
        owner.target_groups[group].all_targets = "unavailable"
        self._look_again(owner, owner.target_groups[group])

    def disable_zone(self, cluster: str, service: str, zone: str, *, group: int = 0) -> None:
        """Let the load balancer serve a zone no more: the targets in it are `unused`."""
        owner = self._ledger.service(cluster, service)
        owner.target_groups[group].disabled_zones.add(zone)
        self._look_again(owner, owner.target_groups[group])

    def shift_zone(
        self,
        cluster: str,
        service: str,
        zone: str,
        *,
        state: str = "zonal_shift_active",
        group: int = 0,
    ) -> None:
        """Have somebody shift traffic away from a zone; its targets stay as healthy as they are.

        `state`: of the administrative override, zonal_shift_delegated_to_dns or unknown as well.
        """
        if state not in OVERRIDES:
            raise EmulatorError(f"There is no administrative override {state!r}.")
        self._ledger.service(cluster, service).target_groups[group].zone_overrides[zone] = state

    def register_foreign_target(
        self,
        cluster: str,
        service: str,
        target_id: str,
        *,
        port: int = CONTAINER_PORT,
        state: str = "healthy",
        zone: str | None = None,
        group: int = 0,
    ) -> None:
        """Have somebody register a target in the service's group that is none of its tasks."""
        foreign = ForeignTarget(
            id=target_id, port=port, state=state, since=self._time.now, availability_zone=zone
        )
        self._ledger.service(cluster, service).target_groups[group].foreign.append(foreign)

    def _look_again(self, service: Service, group: TargetGroup) -> None:
        for task in service.present:
            before = task.targets[group.index]
            if before not in {None, "draining"}:
                state = group.state_for(task.placement, str(before))
                self._set_target(task, group.index, state)

    def _set_target(
        self, task: Task, index: int, state: str | None, reason: str | None = None
    ) -> None:
        targets = (*task.targets[:index], state, *task.targets[index + 1 :])
        self._ledger.change_task(task, targets=targets, target_reason=reason)
