"""The function's stack, deployed by the AWS CDK.

Before each deployment, in the project's folder: ./lambda_build.sh --template dist/template.yaml
"""

from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_s3_assets, cloudformation_include

DIST = Path(__file__).resolve().parents[2] / "dist"

# Stack parameters: docs/deployment.md describes them.
PARAMETERS = {"ClusterNames": ["production"]}


def add_recycler(stack: cdk.Stack) -> cloudformation_include.CfnInclude:
    """Put the function and what belongs to it into a stack; another zip is another asset."""
    code = aws_s3_assets.Asset(stack, "Code", path=str(DIST / "ecs-task-recycle.zip"))
    return cloudformation_include.CfnInclude(
        stack,
        "Recycler",
        template_file=str(DIST / "template.yaml"),
        parameters={
            **PARAMETERS,
            "CodeBucket": code.s3_bucket_name,
            "CodeKey": code.s3_object_key,
        },
    )


app = cdk.App()
add_recycler(cdk.Stack(app, "ecs-task-recycle"))
app.synth()
