"""What those who deploy do to a service, and in which states deployments are found."""

from dataclasses import replace

from ecs_emulator.engine.lifecycle import LifeCycle
from ecs_emulator.engine.placement import Placer
from ecs_emulator.engine.stopping import StopOrder
from ecs_emulator.ground.errors import EmulatorError
from ecs_emulator.ground.knobs import FailingStart
from ecs_emulator.ground.simulation import Simulation
from ecs_emulator.state.ledger import Ledger
from ecs_emulator.state.model import Service
from ecs_emulator.state.service_state import Deployment
from ecs_emulator.state.task_state import StopCause, StopKind

DAY_MINUTES = 24 * 60
LONGEST_PAUSE_MINUTES = 14 * DAY_MINUTES


class Deployments:
    """Starts deployments, and brings them into all states."""

    def __init__(
        self, time: Simulation, ledger: Ledger, lifecycle: LifeCycle, placer: Placer
    ) -> None:
        self._time = time
        self._ledger = ledger
        self._lifecycle = lifecycle
        self._placer = placer

    def start_deployment(
        self,
        cluster: str,
        service: str,
        *,
        task_definition_arn: str | None = None,
        failing: FailingStart | None = None,
    ) -> Deployment:
        """Start a rolling deployment; with `failing`, its tasks do not come up.

        Without `task_definition_arn` it is the one in use, as with forceNewDeployment.
        """
        deployed = self._ledger.service(cluster, service)
        state = deployed.state
        number = deployed.dice.generator("deployment", self._time.now).randrange(10**18, 10**19)
        deployment = Deployment(
            id=f"ecs-svc/{number}",
            task_definition_arn=task_definition_arn or state.primary.task_definition_arn,
            created_at=self._time.now,
            updated_at=self._time.now,
            rollout_state="IN_PROGRESS",
            rollout_state_reason=f"ECS deployment ecs-svc/{number} in progress.",
        )
        older = tuple(replace(each, status="ACTIVE") for each in state.deployments)
        self._ledger.change_service(deployed, deployments=(deployment, *older))
        if failing is not None:
            deployed.failing_deployments[deployment.id] = failing
        deployed.scheduler_state.steady = False
        self._ledger.wake(deployed)
        return deployment

    def fail_deployment(self, cluster: str, service: str) -> None:
        """Let the primary deployment be FAILED at once: it launches nothing any more."""
        failed = self._ledger.service(cluster, service)
        primary = replace(
            failed.state.primary,
            rollout_state="FAILED",
            rollout_state_reason="ECS deployment circuit breaker: tasks failed to start.",
            updated_at=self._time.now,
        )
        self._ledger.change_service(failed, deployments=(primary, *failed.state.deployments[1:]))

    def pause_deployment(
        self,
        cluster: str,
        service: str,
        *,
        stage: str = "POST_SCALE_UP",
        minutes: int = DAY_MINUTES,
    ) -> Deployment:
        """Start a deployment that a pause hook holds at a stage, until `continue_deployment`.

        Before SCALE_UP it has no tasks; from there on all of them, and the old ones stay. At the
        end of its minutes (up to 14 days) nothing happens: AWS's rollback is not emulated.
        https://docs.aws.amazon.com/AmazonECS/latest/developerguide/pause-lifecycle-hooks.html
        """
        if not 1 <= minutes <= LONGEST_PAUSE_MINUTES:
            raise EmulatorError("A pause hook waits for 1 minute to 14 days.")
        self.start_deployment(cluster, service)
        expires_at = self._time.now + minutes * 60
        return self._change_primary(
            self._ledger.service(cluster, service), paused_at=stage, hook_expires_at=expires_at
        )

    def continue_deployment(self, cluster: str, service: str) -> None:
        """Let a paused deployment go on, as ContinueServiceDeployment does."""
        held = self._ledger.service(cluster, service)
        self._change_primary(held, paused_at=None, hook_expires_at=None)
        self._ledger.wake(held)

    def list_inactive_deployment(self, cluster: str, service: str) -> Deployment:
        """Let the service list a deployment that was completely replaced before the world began."""
        owner = self._ledger.service(cluster, service)
        old = replace(
            owner.state.primary,
            id=f"ecs-svc/{owner.dice.generator('inactive').randrange(10**18, 10**19)}",
            created_at=owner.state.primary.created_at - DAY_MINUTES * 60,
            updated_at=self._time.now,
            status="INACTIVE",
        )
        self._ledger.change_service(owner, inactive=(*owner.state.inactive, old))
        return old

    def complete_deployment_early(
        self, cluster: str, service: str, *, cleanup_after: float | None = None
    ) -> Deployment:
        """Have a deployment of a new revision just completed, all old tasks still running.

        Its own tasks are in service; the old ones stop `cleanup_after` seconds from now (None:
        never). That is earlySuccessCriteria with a DEFERRED cleanup:
        https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeploymentEarlySuccessCriteria.html
        """
        owner = self._ledger.service(cluster, service)
        family, _, revision = owner.state.primary.task_definition_arn.rpartition(":")
        old_tasks = owner.active_tasks
        self.start_deployment(cluster, service, task_definition_arn=f"{family}:{int(revision) + 1}")
        primary = replace(owner.state.primary, rollout_state="COMPLETED", rollout_state_reason="")
        self._ledger.change_service(owner, deployments=(primary,), completes_early=True)
        for task in old_tasks:
            task.is_left_over = True
        self._settle_primary(owner)
        if cleanup_after is not None:
            self._time.schedule(self._time.now + cleanup_after, lambda: self._clean_up(owner))
        return primary

    def _settle_primary(self, owner: Service) -> None:
        for _ in range(owner.desired_count):
            placement = self._placer.place(owner)
            if placement is None:
                raise EmulatorError(f"There is no room for the new tasks of {owner.name}.")
            self._lifecycle.settle(owner, owner.state.primary, placement, self._time.now)

    def _clean_up(self, owner: Service) -> None:
        order = StopOrder(
            cause=StopCause(kind=StopKind.DEPLOYMENT),
            code="ServiceSchedulerInitiated",
            reason=f"Scaling activity initiated by (deployment {owner.state.primary.id})",
        )
        for task in owner.active_tasks:
            if task.is_left_over:
                self._lifecycle.stop(task, order)

    def _change_primary(self, owner: Service, **changes: str | float | None) -> Deployment:
        primary = replace(owner.state.primary, updated_at=self._time.now, **changes)  # type: ignore[arg-type]
        self._ledger.change_service(owner, deployments=(primary, *owner.state.deployments[1:]))
        return primary
