"""How a world is furnished."""

from typing import Unpack

from ecs_emulator.core import Core
from ecs_emulator.engine.autoscaling import Limits, ScalableTarget
from ecs_emulator.engine.placement import ZONES
from ecs_emulator.ground.errors import EmulatorError
from ecs_emulator.ground.knobs import Dice
from ecs_emulator.ground.timeline import Timeline
from ecs_emulator.neighbours.alarms import Alarm
from ecs_emulator.neighbours.secrets import Secret
from ecs_emulator.state.model import Cluster, Service
from ecs_emulator.state.service_state import Deployment, ServiceState
from ecs_emulator.state.setup import ServiceOptions, ServiceSetup
from ecs_emulator.state.target_groups import TargetGroup
from ecs_emulator.state.task_state import ContainerInstance

HOUR_SECONDS = 3600.0
SERVICE_AGE_SECONDS = 90 * 24 * HOUR_SECONDS


class Building(Core):
    """A world that clusters, services and scalable targets can be put into."""

    def create_cluster(self, name: str) -> Cluster:
        """Create an empty cluster."""
        cluster = Cluster(name=name, arn=self.arn("ecs", f"cluster/{name}"))
        self.clusters[name] = cluster
        return cluster

    def create_service(self, **options: Unpack[ServiceOptions]) -> Service:
        """Create a service; its cluster comes with it if it is not there yet.

        The options, their meaning and their defaults: see ServiceSetup. Without `knobs` the
        world's hold.
        """
        options.setdefault("knobs", self.knobs)
        return self.create_service_from(ServiceSetup(**options))

    def create_service_from(self, setup: ServiceSetup) -> Service:
        """Create a service from a ready-made setup."""
        cluster = self.clusters.get(setup.cluster) or self.create_cluster(setup.cluster)
        if setup.name in cluster.services:
            raise EmulatorError(f"There is a service {setup.cluster}/{setup.name} already.")
        service = Service(
            setup=setup,
            cluster=cluster,
            arn=self.arn("ecs", f"service/{setup.cluster}/{setup.name}"),
            dice=Dice(seed=self.seed, scope=f"{setup.cluster}/{setup.name}"),
        )
        cluster.services[setup.name] = service
        self._add_instances(service)
        service.target_groups = self._target_groups(service)
        for alarm in setup.alarms:
            self.set_alarm(alarm)
        self._inaugurate(service)
        if setup.settled:
            self._settle(service)
        else:
            self.wake(service)
        return service

    def register_scalable_target(
        self, *, cluster: str, service: str, min_capacity: int, max_capacity: int
    ) -> ScalableTarget:
        """Put a service's desired count under Application Auto Scaling."""
        limits = Limits(min_capacity=min_capacity, max_capacity=max_capacity)
        return self.autoscaling.register(self.service(cluster, service), limits)

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
        arn = self.arn("secretsmanager", f"secret:{name}-{ending}")
        self.secrets[name] = Secret(name=name, arn=arn, text=text, created_at=self.now)
        return self.secrets[name]

    def drop_table(self, name: str) -> None:
        """Let there be no such DynamoDB table."""
        self.tables.drop(name)

    def _add_instances(self, service: Service) -> None:
        if service.launch_type == "FARGATE":
            return
        cluster, setup = service.cluster, service.setup
        wanted = setup.desired_count + 1 if setup.instances is None else setup.instances
        while len(cluster.instances) < wanted:
            number = len(cluster.instances)
            bits = self.dice.generator("instance", cluster.name, number).getrandbits(128)
            kind = "mi" if service.launch_type == "EXTERNAL" else "i"
            cluster.instances.append(
                ContainerInstance(
                    arn=self.arn("ecs", f"container-instance/{cluster.name}/{bits:032x}"),
                    ec2_instance_id=f"{kind}-{bits % 16**17:017x}" if setup.instance_ids else None,
                    availability_zone=f"{self.region}{ZONES[number % len(ZONES)]}",
                )
            )

    def _target_groups(self, service: Service) -> tuple[TargetGroup, ...]:
        if service.launch_type == "EXTERNAL" and service.setup.target_group:
            raise EmulatorError("ECS Anywhere has no load balancers.")
        groups = []
        for index in range(int(service.setup.target_group)):
            name = f"{service.cluster.name}-{service.name}-{index + 1}"
            bits = service.dice.generator("target group", index).getrandbits(64)
            arn = self.arn("elasticloadbalancing", f"targetgroup/{name}/{bits:016x}")
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
        service.created_at = self.now - SERVICE_AGE_SECONDS
        desired_count = len(service.cluster.instances) if service.daemon else setup.desired_count
        number = service.dice.generator("deployment", 0).randrange(10**18, 10**19)
        deployment = Deployment(
            id=f"ecs-svc/{number}",
            task_definition_arn=self.arn("ecs", f"task-definition/{service.name}:1"),
            created_at=service.created_at,
            updated_at=service.created_at,
            rollout_state=setup.rollout_state,
        )
        state = ServiceState(desired_count=desired_count, deployments=(deployment,))
        service.timeline = Timeline(service.created_at, state)
        service.in_service_history.append((self.now, 0))
        service.desired_history.append((self.now, desired_count, "create"))

    def _settle(self, service: Service) -> None:
        """Give the service its tasks, started hours apart, the oldest first."""
        placer, count = self.scheduler.placer, service.desired_count
        for index in range(count):
            instance = service.cluster.instances[index].arn if service.daemon else None
            placement = placer.place(service, instance_arn=instance)
            if placement is None:
                raise EmulatorError(f"There is no room for {count} tasks of {service.name}.")
            jitter = service.dice.generator("age", index).uniform(0, HOUR_SECONDS / 2)
            started_at = self.now - (count - index) * HOUR_SECONDS - jitter
            task = self.lifecycle.settle(service, service.state.primary, placement, started_at)
            self.tell(service, f"has started 1 tasks: (task {task.id}).", at=started_at - 20)
        self.tell(service, "has reached a steady state.", at=self.now - HOUR_SECONDS / 4)
        service.scheduler_state.steady = True
