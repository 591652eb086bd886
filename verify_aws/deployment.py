"""The two stacks: the function's, by the template and the zip of users; that of the services."""

import subprocess
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError, WaiterError

from verify_aws.account import NAME, Account, VerifyError

PROJECT: Final = Path(__file__).parents[1]
MORTAL: Final = Path(__file__).with_name("mortal.py")
MORTAL_TIMEOUT_SECONDS: Final = 480
"""Of the invocation that is killed: the next one goes on when the first is certainly over."""

TAG: Final = {"Key": "ecs-task-recycle-verification", "Value": NAME}
PATIENCE: Final = {"Delay": 2, "MaxAttempts": 900}
GONE: Final = {"NoSuchBucket", "ObjectNotFoundException"}


@dataclass(frozen=True, slots=True)
class Deployment:
    """What a verification creates in an account."""

    account: Account
    stacks: tuple[str, str] = (NAME, f"{NAME}-function")

    def create(self, parameters: dict[str, str]) -> dict[str, str]:
        """Create the services, then the function; return the outputs of both stacks.

        The function's template is larger than what a request may hold, so it is uploaded, too.
        https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
        """
        services = (PROJECT / "verify_aws/template.yaml").read_text(encoding="utf-8")
        outputs = self._created(NAME, parameters, TemplateBody=services)
        s3, bucket = self.account.aws.s3, outputs["Bucket"]
        with tempfile.TemporaryDirectory() as folder:
            s3.upload_file(str(build_zip(Path(folder))), bucket, "function.zip")
        s3.upload_file(str(PROJECT / "template.yaml"), bucket, "template.yaml")
        names = dict.fromkeys(("FunctionName", "RunTableName", "ClusterNames"), NAME)
        code = {"CodeBucket": bucket, "CodeKey": "function.zip", "LogRetentionDays": "1"}
        url = f"{s3.meta.endpoint_url}/{bucket}/template.yaml"
        return self._created(self.stacks[1], names | code, TemplateURL=url) | outputs

    def _created(self, stack: str, parameters: dict[str, str], **template: str) -> dict[str, str]:
        """Create a stack; return its outputs. Raises VerifyError with its failures."""
        cloudformation = self.account.aws.cloudformation
        given = [{"ParameterKey": key, "ParameterValue": text} for key, text in parameters.items()]
        cloudformation.create_stack(
            StackName=stack,
            Parameters=given,
            Capabilities=["CAPABILITY_IAM"],
            Tags=[TAG],
            OnFailure="DO_NOTHING",
            **template,
        )
        self._wait("stack_create_complete", stack)
        (found,) = cloudformation.describe_stacks(StackName=stack)["Stacks"]
        return {each["OutputKey"]: each["OutputValue"] for each in found.get("Outputs", ())}

    def _wait(self, waiter: str, stack: str) -> None:
        cloudformation = self.account.aws.cloudformation
        try:
            cloudformation.get_waiter(waiter).wait(StackName=stack, WaiterConfig=PATIENCE)
        except WaiterError as error:
            events = cloudformation.describe_stack_events(StackName=stack)["StackEvents"]
            failed = [each for each in events if each["ResourceStatus"].endswith("_FAILED")]
            told = [f"{each['LogicalResourceId']}: {each['ResourceStatusReason']}"
                    for each in reversed(failed)]  # fmt: skip
            raise VerifyError(f"The stack {stack}: {'; '.join(told) or error}.") from error

    @contextmanager
    def killed_in_the_middle(self) -> Iterator[None]:
        """Let invocations that begin inside die by SIGKILL after their second stop."""
        self._configure(Handler="mortal.lambda_handler", Timeout=MORTAL_TIMEOUT_SECONDS)
        try:
            yield
        finally:
            self._configure(Handler="lambda_function.lambda_handler", Timeout=900)

    def _configure(self, **configuration: Any) -> None:  # noqa: ANN401 - boto3's
        aws: Any = getattr(self.account.aws, "lambda")
        aws.update_function_configuration(FunctionName=NAME, **configuration)
        aws.get_waiter("function_updated_v2").wait(FunctionName=NAME)

    def leftovers(self) -> dict[str, bool]:
        """Return the stacks of these names, and whether a verification has made them."""
        pages = self.account.aws.cloudformation.get_paginator("describe_stacks").paginate()
        stacks = [each for page in pages for each in page["Stacks"]]
        tags = {each["StackName"]: each.get("Tags", ()) for each in stacks}
        return {name: TAG in tags[name] for name in self.stacks if name in tags}

    def delete(self) -> dict[str, str]:
        """Delete everything; return why what is left is left."""
        session, delete = self.account.session, self.account.aws.cloudformation.delete_stack
        bucket = f"{NAME}-{self.account.account_id}-{self.account.region}"
        deregister = session.client("application-autoscaling").deregister_scalable_target
        limits, waiter = f"service/{NAME}/plain", "stack_delete_complete"
        works: list[tuple[str, Callable[[], object]]] = [
            (bucket, session.resource("s3").Bucket(bucket).objects.all().delete),
            *((each, partial(delete, StackName=each)) for each in self.stacks),
            *((each, partial(self._wait, waiter, each)) for each in self.stacks),
            # Last: a run that was still going on may have set them again.
            (limits, partial(deregister, ServiceNamespace="ecs", ResourceId=limits,
                             ScalableDimension="ecs:service:DesiredCount")),
        ]  # fmt: skip
        left = dict[str, str]()
        for what, work in works:
            left[what] = left.get(what) or _why_not(work)
        return {what: reason for what, reason in left.items() if reason}


def _why_not(work: Callable[[], object]) -> str:
    """Do something; return why it failed, nothing if it did not, or all was gone already."""
    try:
        work()
    except (BotoCoreError, ClientError, VerifyError) as error:
        is_gone = getattr(error, "response", {}).get("Error", {}).get("Code") in GONE
        return "" if is_gone else str(error)
    return ""


def build_zip(folder: Path) -> Path:
    """Build the zip by lambda_build.sh, with mortal.py and without the user's configuration."""
    path, empty = folder / "function.zip", folder / "input.json"
    empty.write_text("{}", encoding="utf-8")
    command = ["bash", f"{PROJECT}/lambda_build.sh", "--output", str(path), "--input", str(empty)]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    entry = zipfile.ZipInfo(MORTAL.name)
    entry.external_attr = 0o100644 << 16  # Lambda runs as another user
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(entry, MORTAL.read_bytes())
    return path
