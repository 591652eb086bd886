"""How clusters and services come into a world."""

from ecs_emulator.engine.lifecycle import LifeCycle
from ecs_emulator.engine.placement import ZONES, Placer
from ecs_emulator.ground.account import Account
from ecs_emulator.ground.errors import EmulatorError
from ecs_emulator.ground.knobs import Dice
from ecs_emulator.ground.simulation import Simulation
from ecs_emulator.ground.timeline import Timeline
from ecs_emulator.state.ledger import Ledger
from ecs_emulator.state.model import Cluster, Service
from ecs_emulator.state.service_state import Deployment, ServiceState
from ecs_emulator.state.setup import ServiceSetup
from ecs_emulator.state.target_groups import TargetGroup
from ecs_emulator.state.task_state import ContainerInstance

HOUR_SECONDS = 3600.0
SERVICE_AGE_SECONDS = 90 * 24 * HOUR_SECONDS


class Building:
    """Puts clusters and services into a world."""

    def __init__(
        self,
        time: Simulation,
        ledger: Ledger,
        *,
        account: Account,
        dice: Dice,
        lifecycle: LifeCycle,
        placer: Placer,
    ) -> None:
        self._time = time
        self._ledger = ledger
        self._account = account
        self._dice = dice
        self._lifecycle = lifecycle
        self._placer = placer

    def create_cluster(self, name: str) -> Cluster:
        """Create an empty cluster."""
        cluster = Cluster(name=name, arn=self._account.arn("ecs", f"cluster/{name}"))
        self._ledger.clusters[name] = cluster
        return cluster

    def create_service(self, setup: ServiceSetup) -> Service:
        """Create a service; its cluster comes with it if it is not there yet."""
        cluster = self._ledger.clusters.get(setup.cluster) or self.create_cluster(setup.cluster)
        if setup.name in cluster.services:
            raise EmulatorError(f"There is a service {setup.cluster}/{setup.name} already.")
        service = Service(
            setup=setup,
            cluster=cluster,
            arn=self._account.arn("ecs", f"service/{setup.cluster}/{setup.name}"),
            dice=Dice(seed=self._dice.seed, scope=f"{setup.cluster}/{setup.name}"),
        )
        cluster.services[setup.name] = service
        self._add_instances(service)
        service.target_groups = self._target_groups(service)
        self._inaugurate(service)
        if setup.settled:
            self._settle(service)
        else:
            self._ledger.wake(service)
        return service

    def _add_instances(self, service: Service) -> None:
        if service.launch_type == "FARGATE":
            return
        cluster, setup = service.cluster, service.setup
        wanted = setup.desired_count + 1 if setup.instances is None else setup.instances
        while len(cluster.instances) < wanted:
            number = len(cluster.instances)
            bits = self._dice.generator("instance", cluster.name, number).getrandbits(128)
            kind = "mi" if service.launch_type == "EXTERNAL" else "i"
            cluster.instances.append(
                ContainerInstance(
                    arn=self._account.arn("ecs", f"container-instance/{cluster.name}/{bits:032x}"),
                    ec2_instance_id=f"{kind}-{bits % 16**17:017x}" if setup.instance_ids else None,
                    availability_zone=f"{self._account.region}{ZONES[number % len(ZONES)]}",
                )
            )

    def _target_groups(self, service: Service) -> tuple[TargetGroup, ...]:
        if service.launch_type == "EXTERNAL" and service.setup.target_group:
            raise EmulatorError("ECS Anywhere has no load balancers.")
        groups = []
        for index in range(int(service.setup.target_group)):
            name = f"{service.cluster.name}-{service.name}-{index + 1}"
            bits = service.dice.generator("target group", index).getrandbits(64)
            arn = self._account.arn("elasticloadbalancing", f"targetgroup/{name}/{bits:016x}")
            kind = "ip" if service.awsvpc else "instance"
            group = TargetGroup(
                arn=arn,
                name=name,
                target_type=kind,
                ip_address_type=service.target_ip_address_type,
                index=index,
            )
            groups.append(group)
        return tuple(groups)

    def _inaugurate(self, service: Service) -> None:
        setup = service.setup
        service.created_at = self._time.now - SERVICE_AGE_SECONDS
        desired_count = len(service.cluster.instances) if service.daemon else setup.desired_count
        number = service.dice.generator("deployment", 0).randrange(10**18, 10**19)
        deployment = Deployment(
            id=f"ecs-svc/{number}",
            task_definition_arn=self._account.arn("ecs", f"task-definition/{service.name}:1"),
            created_at=service.created_at,
            updated_at=service.created_at,
            rollout_state=setup.rollout_state,
        )
        state = ServiceState(desired_count=desired_count, deployments=(deployment,))
        service.timeline = Timeline(service.created_at, state)
        service.in_service_history.append((self._time.now, 0))
        service.desired_history.append((self._time.now, desired_count, "create"))

    def _settle(self, service: Service) -> None:
        """Give the service its tasks, started hours apart, the oldest first."""
        count = service.desired_count
        for index in range(count):
            instance = service.cluster.instances[index].arn if service.daemon else None
            placement = self._placer.place(service, instance_arn=instance)
            if placement is None:
                raise EmulatorError(f"There is no room for {count} tasks of {service.name}.")
            jitter = service.dice.generator("age", index).uniform(0, HOUR_SECONDS / 2)
            started_at = self._time.now - (count - index) * HOUR_SECONDS - jitter
            task = self._lifecycle.settle(service, service.state.primary, placement, started_at)
            self._ledger.tell(
                service, f"has started 1 tasks: (task {task.id}).", at=started_at - 20
            )
        self._ledger.tell(
            service, "has reached a steady state.", at=self._time.now - HOUR_SECONDS / 4
        )
        service.scheduler_state.steady = True
