"""Secrets Manager's operations.

https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html
"""

from ecs_emulator.api.registry import Answer, Request, operation
from ecs_emulator.ground.errors import ApiError
from ecs_emulator.world import World

CURRENT = "AWSCURRENT"


@operation("secretsmanager")
def get_secret_value(world: World, request: Request) -> Answer:
    """Read a secret by name, ARN or the ARN without its random end."""
    wanted = request.parameters["SecretId"]
    for secret in world.secrets.values():
        if wanted in {secret.name, secret.arn, secret.arn.rpartition("-")[0]}:
            break
    else:
        raise ApiError(
            "ResourceNotFoundException", "Secrets Manager can't find the specified secret."
        )
    if request.parameters.get("VersionStage", CURRENT) != CURRENT:
        raise ApiError(
            "ResourceNotFoundException",
            "Secrets Manager can't find the specified secret value for staging label: "
            + request.parameters["VersionStage"],
        )
    return {
        "ARN": secret.arn,
        "Name": secret.name,
        "VersionId": "e3ul4ted-0000-4000-8000-000000000001",
        "SecretString": secret.text,
        "VersionStages": [CURRENT],
        "CreatedDate": round(secret.created_at, 3),
    }
