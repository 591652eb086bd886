"""What somebody else may do to a service that ends a run."""

from __future__ import annotations

from dataclasses import dataclass

from ecs_task_recycle.model import Service


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """What the service has to look like for the run to go on."""

    deployment_id: str
    required_in_service: int

    def interference(self, service: Service) -> str | None:
        """Return what somebody else did that ends the run, or None."""
        if service.status != "ACTIVE":
            return f"the service is {service.status}"
        ids = [deployment.id for deployment in service.deployments]
        if ids != [self.deployment_id]:
            return f"a deployment started: {', '.join(ids) or 'none is left of the known one'}"
        if service.deployments[0].rollout_state == "FAILED":
            return "the deployment failed, so ECS starts no more tasks"
        if service.desired_count < self.required_in_service:
            return (
                f"somebody set the desired count to {service.desired_count}, "
                f"{self.required_in_service} are needed to go on"
            )
        return None
