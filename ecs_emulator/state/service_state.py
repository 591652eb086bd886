"""What can be said of a service at an instant: its state, its deployments, a line of its log."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """A deployment of a service, or its task set under another deployment controller.

    `paused_at`: the life cycle stage at which a pause hook holds it, until `hook_expires_at`.
    """

    id: str
    task_definition_arn: str
    created_at: float
    updated_at: float
    status: str = "PRIMARY"
    rollout_state: str = "COMPLETED"
    rollout_state_reason: str = ""
    failed_tasks: int = 0
    paused_at: str | None = None
    hook_expires_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceState:
    """What can change about a service.

    `deployments` has the primary one first; `inactive` has those that are replaced completely and
    still listed. `completes_early`: deployments complete while the old tasks still run.
    """

    status: str = "ACTIVE"
    desired_count: int
    deployments: tuple[Deployment, ...]
    inactive: tuple[Deployment, ...] = ()
    completes_early: bool = False

    @property
    def primary(self) -> Deployment:
        """The deployment that new tasks belong to."""
        return self.deployments[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceEvent:
    """One line of a service's event log."""

    id: str
    created_at: float
    message: str
