"""The Security Token Service's operations.

https://docs.aws.amazon.com/STS/latest/APIReference/
"""

from ecs_emulator.api.registry import Answer, Request, operation
from ecs_emulator.world import World


@operation("sts")
def get_caller_identity(world: World, request: Request) -> Answer:
    """Tell who signs."""
    caller = request.caller
    return {"UserId": caller.user_id, "Account": world.account.id, "Arn": caller.arn}


@operation("sts", writes=True)
def assume_role(world: World, request: Request) -> Answer:
    """Give out keys for a role. They are recorded as a write: each call makes new ones."""
    asked = request.parameters
    lifetime = world.knobs.assumed_role_seconds or asked.get("DurationSeconds")
    keys = world.identities.assume(asked["RoleArn"], asked["RoleSessionName"], lifetime)
    credentials = {
        "AccessKeyId": keys.access_key,
        "SecretAccessKey": keys.secret_key,
        "SessionToken": keys.session_token,
        "Expiration": keys.expires_at,
    }
    assumed = {"AssumedRoleId": keys.identity.user_id, "Arn": keys.identity.arn}
    return {"Credentials": credentials, "AssumedRoleUser": assumed}
