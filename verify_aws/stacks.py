"""The two stacks: made, and deleted with everything that may be left of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError, WaiterError

from verify_aws.account import Account, VerifyError, limits_of

TAG: Final = "ecs-task-recycle-verification"
PATIENCE: Final = {"Delay": 2, "MaxAttempts": 900}
GONE: Final = {"ResourceNotFoundException", "ObjectNotFoundException"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stacks:
    """The stacks of one verification: the function's, and that of the services."""

    account: Account
    name: str

    @property
    def names(self) -> tuple[str, str]:
        """The names of both stacks."""
        return f"{self.name}-function", self.name

    @property
    def commands(self) -> dict[str, str]:
        """How a person deletes each thing: stacks, log groups, autoscaling limits."""
        stack, log = "cloudformation delete-stack --stack-name", "logs delete-log-group --log-group"
        limits = limits_of(self.name, "plain")["ResourceId"]
        deregister = "application-autoscaling deregister-scalable-target --service-namespace ecs"
        return {
            **{each: f"{stack} {each}" for each in self.names},
            **{each: f"{log}-name {each}" for each in self._log_groups},
            limits: f"{deregister} --scalable-dimension ecs:service:DesiredCount "
            f"--resource-id {limits}",
        }

    @property
    def _log_groups(self) -> tuple[str, str]:
        # Both may be written to after their own deletion.
        return f"/aws/lambda/{self.name}", f"/ecs/{self.name}"

    def begin(self, stack: str, template: str, parameters: Mapping[str, str]) -> None:
        """Begin to create a stack."""
        self.account.aws.cloudformation.create_stack(
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
        self._wait("stack_create_complete", stack)
        (found,) = self.account.aws.cloudformation.describe_stacks(StackName=stack)["Stacks"]
        return {each["OutputKey"]: each["OutputValue"] for each in found.get("Outputs", ())}

    def _wait(self, waiter: str, stack: str) -> None:
        cloudformation = self.account.aws.cloudformation
        try:
            cloudformation.get_waiter(waiter).wait(StackName=stack, WaiterConfig=PATIENCE)
        except WaiterError as error:
            events = cloudformation.describe_stack_events(StackName=stack)["StackEvents"]
            failures = [
                f"{each['LogicalResourceId']}: {each.get('ResourceStatusReason', 'no reason')}"
                for each in reversed(events)
                if each["ResourceStatus"].endswith("_FAILED")
            ]
            raise VerifyError(f"The stack {stack}: {'; '.join(failures) or error}.") from error

    def tags(self) -> dict[str, str]:
        """Return the verification to which each stack of the account belongs, "" for none."""
        pages = self.account.aws.cloudformation.get_paginator("describe_stacks").paginate()
        stacks = [each for page in pages for each in page["Stacks"]]
        tags = {each["StackName"]: each.get("Tags", ()) for each in stacks}
        return {
            name: next((each["Value"] for each in found if each["Key"] == TAG), "")
            for name, found in tags.items()
        }

    def leftovers(self) -> list[str]:
        """Return the stacks and log groups of these names, whoever has made them."""
        describe = self.account.aws.logs.describe_log_groups
        found = [*self.tags()]
        for name in self._log_groups:
            groups = describe(logGroupNamePrefix=name)["logGroups"]
            found += [each["logGroupName"] for each in groups]
        return [each for each in self.commands if each in found]

    def delete(self) -> dict[str, str]:
        """Delete everything; return why what is left is left."""
        aws = self.account.aws
        delete_stack, delete_group = aws.cloudformation.delete_stack, aws.logs.delete_log_group
        reasons = {each: self._why_not(delete_stack, StackName=each) for each in self.names}
        for each in self.names:
            waiter = "stack_delete_complete"
            reasons[each] = reasons[each] or self._why_not(self._wait, waiter=waiter, stack=each)
        for each in self._log_groups:
            reasons[each] = self._why_not(delete_group, logGroupName=each)
        # Last: a run that was still going on may have set them again.
        limits = limits_of(self.name, "plain")
        deregister = aws.autoscaling.deregister_scalable_target
        reasons[limits["ResourceId"]] = self._why_not(deregister, **limits)
        return {what: reason for what, reason in reasons.items() if reason}

    def _why_not(self, work: Callable[..., object], **parameters: Any) -> str:  # noqa: ANN401
        """Do something; return why it failed, nothing if it did not, or all was gone already."""
        try:
            work(**parameters)
        except ClientError as error:
            gone = error.response["Error"]["Code"] in GONE
            return "" if gone else self.account.masked(error)
        except (BotoCoreError, VerifyError) as error:
            return self.account.masked(error)
        return ""
