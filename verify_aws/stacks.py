"""The two stacks: made, and deleted with everything that may be left of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from verify_aws.account import Account, VerifyError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ecs_task_recycle.clock import Clock

TAG: Final = "ecs-task-recycle-verification"
CREATE_SECONDS: Final = 1_500
DELETE_SECONDS: Final = 1_800
LOOK_SECONDS: Final = 2
CREATED: Final = "CREATE_COMPLETE"
DELETED: Final = "DELETE_COMPLETE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What could not be deleted, why, and the command that deletes it."""

    what: str
    reason: str
    command: str


def stack_names(name: str) -> tuple[str, str]:
    """Return the names of the stacks: the function's, and that of the services."""
    return f"{name}-function", name


@dataclass(frozen=True, slots=True, kw_only=True)
class Stacks:
    """The stacks of one verification."""

    account: Account
    name: str
    clock: Clock
    say: Callable[[str], None]

    def begin(self, stack: str, template: str, parameters: Mapping[str, str]) -> None:
        """Begin to create a stack."""
        self.account.cloudformation.create_stack(
            StackName=stack,
            TemplateBody=template,
            Parameters=[
                {"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()
            ],
            Capabilities=["CAPABILITY_IAM"],
            Tags=[{"Key": TAG, "Value": self.name}],
            OnFailure="DO_NOTHING",
        )

    def created(self, stack: str) -> dict[str, str]:
        """Wait until a stack is there; return its outputs. Raises VerifyError with its failures."""
        found = self._wait(stack, CREATE_SECONDS)
        if found is None or found["StackStatus"] != CREATED:
            causes = "; ".join(self._failures(stack)) or "no cause is known"
            raise VerifyError(f"The stack {stack} was not created: {causes}.")
        return {each["OutputKey"]: each["OutputValue"] for each in found.get("Outputs", ())}

    def _wait(self, stack: str, seconds: float) -> dict[str, Any] | None:
        until = self.clock.now() + seconds
        found = self._find(stack)
        while (
            found is not None
            and found["StackStatus"].endswith("IN_PROGRESS")
            and self.clock.now() < until
        ):
            self.clock.sleep(LOOK_SECONDS)
            found = self._find(stack)
        return found

    def _find(self, stack: str) -> dict[str, Any] | None:
        try:
            stacks = self.account.cloudformation.describe_stacks(StackName=stack)["Stacks"]
        except ClientError as error:
            # https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DescribeStacks.html
            if "does not exist" in str(error):
                return None
            raise
        found: dict[str, Any] = stacks[0]
        return None if found["StackStatus"] == DELETED else found

    def _failures(self, stack: str) -> list[str]:
        """Return what failed in a stack, the first cause first."""
        events = self.account.cloudformation.describe_stack_events(StackName=stack)["StackEvents"]
        return [
            f"{each['LogicalResourceId']}: {each.get('ResourceStatusReason', 'no reason is given')}"
            for each in reversed(events)
            if each["ResourceStatus"].endswith("_FAILED")
        ]

    def leftovers(self) -> list[str]:
        """Return the stacks of this verification that are there."""
        return [stack for stack in stack_names(self.name) if self._find(stack) is not None]

    def others(self) -> list[str]:
        """Return the names of other verifications of which a stack is there."""
        pages = self.account.cloudformation.get_paginator("describe_stacks").paginate()
        tags = [tag for page in pages for stack in page["Stacks"] for tag in stack.get("Tags", ())]
        return sorted({tag["Value"] for tag in tags if tag["Key"] == TAG} - {self.name})

    def delete(self) -> list[Left]:
        """Delete everything; return what is left."""
        self._forget_limits()
        begun = {
            stack: self._tried(stack, self._begin_deletion) for stack in stack_names(self.name)
        }
        ended = {
            stack: problem or self._tried(stack, self._await_deletion)
            for stack, problem in begun.items()
        }
        left = [problem for problem in ended.values() if problem]
        # A run that was still going on may have set them again, as long as the service was there.
        self._forget_limits()
        return [*left, *self._delete_log_groups()]

    def given_up(self) -> list[Left]:
        """Return what may be left after a deletion that was interrupted."""
        return [self._left_stack(each, "not waited for") for each in stack_names(self.name)]

    def _forget_limits(self) -> None:
        """Take the autoscaling limits away; where there are none, or no service, that is fine."""
        try:
            self.account.autoscaling.deregister_scalable_target(**limits_of(self.name, "plain"))
        except self.account.autoscaling.exceptions.ObjectNotFoundException:
            return
        except (ClientError, BotoCoreError) as error:
            self.say(self.account.masked(f"The autoscaling limits stay for now: {error}"))

    def _tried(self, stack: str, work: Callable[[str], str | None]) -> Left | None:
        """Do something about a stack; return it as left if that fails."""
        try:
            reason = work(stack)
        except (ClientError, BotoCoreError) as error:
            reason = str(error)
        return self._left_stack(stack, reason) if reason else None

    def _begin_deletion(self, stack: str) -> str | None:
        if self._find(stack) is not None:
            self.say(f"Deleting the stack {stack} ...")
            self.account.cloudformation.delete_stack(StackName=stack)
        return None

    def _await_deletion(self, stack: str) -> str | None:
        """Wait until a stack is gone; return why it is not."""
        found = self._wait(stack, DELETE_SECONDS)
        if found is None:
            return None
        return "; ".join(self._failures(stack)) or f"it is {found['StackStatus']}"

    def _left_stack(self, stack: str, reason: str) -> Left:
        return Left(
            what=f"stack {stack}",
            reason=self.account.masked(reason),
            command=f"aws cloudformation delete-stack --region {self.account.region} "
            f"--stack-name {stack}",
        )

    def _delete_log_groups(self) -> list[Left]:
        """Delete the logs that the stacks have left: written to after their own deletion, say."""
        names = (f"/aws/lambda/{self.name}", f"/ecs/{self.name}")
        return [problem for name in names if (problem := self._delete_log_group(name))]

    def _delete_log_group(self, name: str) -> Left | None:
        try:
            self.account.logs.delete_log_group(logGroupName=name)
        except self.account.logs.exceptions.ResourceNotFoundException:
            return None
        except (ClientError, BotoCoreError) as error:
            return Left(
                what=f"log group {name}",
                reason=self.account.masked(error),
                command=f"aws logs delete-log-group --region {self.account.region} "
                f"--log-group-name {name}",
            )
        return None


def limits_of(cluster: str, service: str) -> dict[str, str]:
    """Return how Application Auto Scaling names the desired count of a service."""
    return {
        "ServiceNamespace": "ecs",
        "ScalableDimension": "ecs:service:DesiredCount",
        "ResourceId": f"service/{cluster}/{service}",
    }
