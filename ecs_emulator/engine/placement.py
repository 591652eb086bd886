"""Where a new task goes: the zone with the fewest of the service's tasks, an instance with room."""

from collections import Counter
from itertools import count

from ecs_emulator.state.model import Service
from ecs_emulator.state.task_state import ContainerInstance, Placement

FIRST_DYNAMIC_PORT = 32768
ZONES = ("a", "b", "c")
_TROUBLE = (
    "For more information, see the Troubleshooting section of the Amazon ECS Developer Guide."
)


class Placer:
    """Finds a place for each task, and gives out addresses and ports."""

    def __init__(self, region: str) -> None:
        self._region = region
        self._addresses = count()
        self._ports = count(FIRST_DYNAMIC_PORT)

    def place(
        self, service: Service, *, zone: str | None = None, instance_arn: str | None = None
    ) -> Placement | None:
        """Return where the next task of the service runs; None: there is no room for it."""
        capacity = service.knobs.capacity
        if capacity is not None and service.cluster.held_count >= capacity:
            return None
        zones = [zone] if zone else self.zones_by_load(service)
        if service.launch_type == "FARGATE":
            return self._at(service, zones[0], None)
        for name in zones:
            instance = self._instance(service, name, instance_arn)
            if instance is not None:
                return self._at(service, name, instance)
        return None

    def zones_by_load(self, service: Service) -> list[str]:
        """Return the zones, the one with the fewest active tasks of the service first."""
        load = Counter(task.placement.availability_zone for task in service.active_tasks)
        names = [f"{self._region}{letter}" for letter in ZONES]
        return sorted(names, key=lambda name: load[name])

    def complaint(self, service: Service) -> str:
        """Return the service event's text for a task that found no room.

        https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-event-messages-list.html
        """
        if service.launch_type == "FARGATE":
            return (
                "was unable to place a task. Reason: Capacity is unavailable at this time. "
                f"Please try again later or in a different availability zone. {_TROUBLE}"
            )
        closest = ""
        if service.cluster.instances:
            name = service.cluster.instances[0].arn.rsplit("/", 1)[-1]
            lack = self._lack(service)
            closest = f" The closest matching (container-instance {name}) {lack}."
        return (
            "was unable to place a task because no container instance met all of its "
            f"requirements.{closest} {_TROUBLE}"
        )

    @staticmethod
    def _lack(service: Service) -> str:
        if service.fixed_host_port is not None:
            return "is already using a port required by your task"
        return "has insufficient memory available"

    def _instance(
        self, service: Service, zone: str, instance_arn: str | None
    ) -> ContainerInstance | None:
        held = Counter(
            task.placement.instance.arn
            for task in service.present
            if task.placement.instance and task.last_status != "STOPPED"
        )
        fitting = [
            instance
            for instance in service.cluster.instances
            if instance.availability_zone == zone and instance_arn in {None, instance.arn}
        ]
        if service.fixed_host_port is not None:
            fitting = [instance for instance in fitting if not held[instance.arn]]
        return min(fitting, key=lambda instance: held[instance.arn], default=None)

    def _at(self, service: Service, zone: str, instance: ContainerInstance | None) -> Placement:
        if service.awsvpc:
            number = next(self._addresses)
            third = ZONES.index(zone[-1]) * 64 + number // 250
            ipv4 = f"10.0.{third}.{number % 250 + 4}"
            ipv6 = f"2600:1f18:24e6:b9{third:02x}::{number + 4:x}"
            family = service.setup.ip_family
            return Placement(
                availability_zone=zone,
                instance=instance,
                private_ip=ipv4 if family != "ipv6" else None,
                ipv6_address=ipv6 if family != "ipv4" else None,
                by_ipv6=service.target_ip_address_type == "ipv6",
            )
        port = service.fixed_host_port or next(self._ports)
        return Placement(availability_zone=zone, instance=instance, host_port=port)
