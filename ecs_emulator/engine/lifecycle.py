"""How a task comes: from PROVISIONING to RUNNING, and into service.

The states and their order:
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-lifecycle-explanation.html
"""

from ecs_emulator.engine.stopping import StopOrder, Stopping
from ecs_emulator.ground.knobs import FailingStart, StartFailure
from ecs_emulator.ground.timeline import Timeline
from ecs_emulator.state.model import Service, Task
from ecs_emulator.state.service_state import Deployment
from ecs_emulator.state.task_state import Placement, StopCause, StopKind, TaskState


class LifeCycle(Stopping):
    """Takes tasks from one state to the next, each at its drawn instant."""

    def launch(self, service: Service, deployment: Deployment, placement: Placement) -> Task:
        """Start a task: it begins to go through its states at once."""
        failing = self.failing_of(service, deployment)
        service.launch_count += 1
        state = TaskState(
            last_status="PROVISIONING" if service.awsvpc else "PENDING",
            targets=(None,) * len(service.target_groups),
        )
        timeline = Timeline(self._time.now, state)
        task = self._admit(service, deployment, placement, timeline)
        task.launch = service.launch_count
        task.failing = failing
        if service.awsvpc:
            self._later(task, "provisioning", service.knobs.provisioning, self._pending)
        else:
            self._pending(task)
        return task

    @staticmethod
    def failing_of(service: Service, deployment: Deployment) -> FailingStart | None:
        """Return how the service's next launch fails, None if it does not."""
        launch = service.launch_count + 1
        hits = (failing for failing in service.knobs.failing_starts if failing.hits(launch))
        return service.failing_deployments.get(deployment.id) or next(hits, None)

    def settle(
        self, service: Service, deployment: Deployment, placement: Placement, started_at: float
    ) -> Task:
        """Add a task that has been in service since long before the world's start."""
        registered = "healthy" if service.setup.registers_targets else None
        state = TaskState(
            last_status="RUNNING",
            health="HEALTHY" if service.container_health else "UNKNOWN",
            targets=(registered,) * len(service.target_groups),
            pull_started_at=started_at - 12,
            pull_stopped_at=started_at - 4,
            started_at=started_at,
        )
        return self._admit(service, deployment, placement, Timeline(started_at - 20, state))

    def _admit(
        self,
        service: Service,
        deployment: Deployment,
        placement: Placement,
        timeline: Timeline[TaskState],
    ) -> Task:
        number = len(service.tasks) + 1
        task_id = f"{service.dice.generator('task id', number).getrandbits(128):032x}"
        task = Task(
            service=service,
            arn=f"{service.cluster.arn.replace(':cluster/', ':task/')}/{task_id}",
            number=number,
            deployment=deployment,
            placement=placement,
            timeline=timeline,
        )
        self._ledger.admit(task)
        return task

    # -- coming -----------------------------------------------------------------------------

    def _pending(self, task: Task) -> None:
        self._change(task, last_status="PENDING", pull_started_at=self._time.now)
        failing = task.failing
        if failing is not None and failing.kind == StartFailure.NEVER_RUNNING:
            self._later(task, "failing", failing.after_seconds, self._fail_to_start, failing)
        else:
            self._later(task, "pending", task.service.knobs.pending, self._activating)

    def _activating(self, task: Task) -> None:
        if not task.service.target_groups:
            self._change(task, pull_stopped_at=self._time.now)
            self._running(task)
            return
        self._change(task, last_status="ACTIVATING", pull_stopped_at=self._time.now)
        self._register(task)
        knobs = task.service.knobs
        self._later(task, "activating", knobs.activating, self._running)
        if self._fails_checks(task):
            return
        for group in task.service.target_groups:
            self._later(
                task,
                f"target_health/{group.index}",
                knobs.target_health_delay,
                self._target_healthy,
                group.index,
            )

    def _register(self, task: Task) -> None:
        service = task.service
        if not service.setup.registers_targets:
            return
        states = [group.state_for(task.placement, "initial") for group in service.target_groups]
        self._change(task, targets=tuple(states))
        self._tell_targets(task, "registered")

    def _fails_checks(self, task: Task) -> bool:
        failing = task.failing
        if failing is None or failing.kind != StartFailure.UNHEALTHY:
            return False
        self._later(task, "failing", failing.after_seconds, self.find_unhealthy)
        return True

    def _target_healthy(self, task: Task, index: int) -> None:
        targets = list(task.targets)
        if targets[index] == "initial":
            targets[index] = "healthy"
            self._change(task, targets=tuple(targets))

    def _running(self, task: Task) -> None:
        self._change(task, last_status="RUNNING", started_at=self._time.now)
        service, failing = task.service, task.failing
        if failing is not None and failing.kind == StartFailure.EXITS:
            self._later(task, "failing", failing.after_seconds, self._exit, failing)
        if not service.target_groups and self._fails_checks(task):
            return
        if service.container_health:
            delay = service.knobs.container_health_delay
            delay = service.knobs.container_health_default if delay is None else delay
            self._later(task, "container_health", delay, self._healthy)

    def _healthy(self, task: Task) -> None:
        if task.health == "UNKNOWN":
            self._change(task, health="HEALTHY")

    def _exit(self, task: Task, failing: FailingStart) -> None:
        cause = StopCause(kind=StopKind.FAILED_START)
        self.crash(task, exit_code=failing.exit_code, cause=cause)

    def _fail_to_start(self, task: Task, failing: FailingStart) -> None:
        order = StopOrder(
            cause=StopCause(kind=StopKind.FAILED_START),
            code=failing.stop_code,
            reason=failing.stopped_reason,
            exited=True,
            exit_code=None,
        )
        self.stop(task, order)
