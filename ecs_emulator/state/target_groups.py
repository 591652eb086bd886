"""Target groups: what they say of their targets besides the results of health checks.

https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetHealth.html
https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_AdministrativeOverride.html
"""

from dataclasses import dataclass, field

from ecs_emulator.state.task_state import Placement

NOT_IN_USE = "Target.NotInUse"
USUAL_REASONS = {
    "initial": "Elb.RegistrationInProgress",
    "unhealthy": "Target.FailedHealthChecks",
    "unhealthy.draining": "Target.FailedHealthChecks",
    "draining": "Target.DeregistrationInProgress",
    "unused": "Target.NotRegistered",
    "unavailable": "Target.HealthCheckDisabled",
}
DESCRIPTIONS = {
    "Elb.RegistrationInProgress": "Target registration is in progress",
    "Elb.InitialHealthChecking": "Initial health checks in progress",
    "Elb.InternalError": "Health checks failed due to an internal error",
    "Target.FailedHealthChecks": "Health checks failed",
    "Target.ResponseCodeMismatch": "Health checks failed with these codes: [502]",
    "Target.Timeout": "Request timed out",
    "Target.DeregistrationInProgress": "Target deregistration is in progress",
    "Target.NotRegistered": "Target is not registered to the target group",
    NOT_IN_USE: "Target group is not configured to receive traffic from the load balancer",
    "Target.InvalidState": "Target is in the stopped state",
    "Target.IpUnusable": "Target IP address is in use by a load balancer",
    "Target.HealthCheckDisabled": "Health checks are disabled for the target",
}
ZONE_DISABLED = "Target is in an Availability Zone that is not enabled for the load balancer"
OVERRIDES = {
    "unknown": "AdministrativeOverride.Unknown",
    "no_override": "AdministrativeOverride.NoOverride",
    "zonal_shift_active": "AdministrativeOverride.ZonalShiftActive",
    "zonal_shift_delegated_to_dns": "AdministrativeOverride.ZonalShiftDelegatedToDns",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignTarget:
    """A target that no task of the service is; registered at `since` (epoch seconds)."""

    id: str
    port: int
    state: str
    since: float
    availability_zone: str | None = None


@dataclass(slots=True, kw_only=True)
class TargetGroup:
    """A target group; its targets are the tasks of its service, and those of others.

    `all_targets`: the state that every target has, whatever its health checks find.
    `zone_overrides`: administrative overrides by zone.
    """

    arn: str
    name: str
    target_type: str
    ip_address_type: str
    index: int
    all_targets: str | None = None
    disabled_zones: set[str] = field(default_factory=set)
    zone_overrides: dict[str, str] = field(default_factory=dict)
    foreign: list[ForeignTarget] = field(default_factory=list)

    def state_for(self, placement: Placement, checked: str) -> str:
        """Return the state of a registered target; `checked` is what health checks say of it."""
        if placement.availability_zone in self.disabled_zones:
            return "unused"
        return self.all_targets or checked

    def reason_for(self, state: str) -> str | None:
        """Return the reason code of a registered target in this state."""
        if state == "unused" and (self.all_targets or self.disabled_zones):
            return NOT_IN_USE
        return USUAL_REASONS.get(state)
