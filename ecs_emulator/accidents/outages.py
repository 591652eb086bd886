"""Times in which a service of AWS is out, a permission is missing, or a table is gone."""

from functools import partial

from ecs_emulator.accidents.faults import Fault, Faults
from ecs_emulator.ground.errors import EmulatorError
from ecs_emulator.ground.simulation import Simulation
from ecs_emulator.neighbours.tables import Tables

EVERY_SERVICE = "all"
SERVICES = frozenset(
    {
        "ecs",
        "application-autoscaling",
        "elbv2",
        "stepfunctions",
        "sts",
        "dynamodb",
        "secretsmanager",
        "cloudwatch",
    }
)
_UNAVAILABLE = "The request has failed due to a temporary failure of the server."
"""https://docs.aws.amazon.com/AmazonECS/latest/APIReference/CommonErrors.html"""


class Outages:
    """Arranges what is out, and when: in seconds since the world's start, `until` excluded."""

    def __init__(self, time: Simulation, faults: Faults, tables: Tables) -> None:
        self._time = time
        self._faults = faults
        self._tables = tables
        self._outages: list[tuple[str, float, float, Fault]] = []

    def take_out(
        self,
        *services: str,
        since: float,
        until: float,
        answers: bool = True,
        connects: bool = True,
        after: float = 60.0,
    ) -> None:
        """Let services be out: "ecs", "application-autoscaling" ..., or "all".

        No call takes effect. Each is answered with ServiceUnavailable (503) or, without `answers`,
        not at all: a read timeout, `after` seconds later. If nothing `connects`, there is no way to
        the endpoint, and the caller knows it at once.
        """
        if unknown := set(services) - SERVICES - {EVERY_SERVICE}:
            raise EmulatorError(f"No service {min(unknown)!r} is emulated.")
        fault = Fault(
            operation=None,
            nth=1,
            times=None,
            every=None,
            code="ServiceUnavailable" if answers and connects else None,
            status=503,
            message=_UNAVAILABLE,
            after_effect=False,
            after_seconds=0.0 if answers or not connects else after,
            access_key=None,
            connects=connects,
        )
        self._outages += [(service, since, until, fault) for service in services]

    def fault_of(self, service: str) -> Fault | None:
        """Return how a call of this service fails now; None where it is not out."""
        if not self._outages:
            return None
        now = self._time.elapsed
        for out, since, until, fault in self._outages:
            if out in {service, EVERY_SERVICE} and since <= now < until:
                return fault
        return None

    def take_permission(
        self, *actions: str, since: float, until: float, principal: str | None = None
    ) -> None:
        """Take permissions away, for one ARN or all, and give them back."""
        take = partial(self._faults.deny, *actions, principal=principal)
        give = partial(self._faults.allow, *actions, principal=principal)
        self._time.schedule(self._time.started_at + since, take)
        self._time.schedule(self._time.started_at + until, give)

    def delete_table(self, name: str, *, since: float) -> None:
        """Have somebody delete a DynamoDB table, with all that is in it."""
        self._time.schedule(self._time.started_at + since, partial(self._tables.drop, name))
