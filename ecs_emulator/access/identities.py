"""Who signs the calls: a user, and the roles that are assumed."""

from dataclasses import dataclass

from ecs_emulator.ground.account import Account
from ecs_emulator.ground.simulation import Simulation

DEFAULT_ROLE_SECONDS = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A caller. `expires_at` in epoch seconds; None: never."""

    arn: str
    user_id: str
    access_key: str | None
    expires_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleKeys:
    """Fresh keys for an assumed role."""

    identity: Identity
    access_key: str
    secret_key: str
    session_token: str
    expires_at: float


class Identities:
    """Knows the caller behind each access key. Keys nobody was given here belong to the user."""

    def __init__(self, time: Simulation, account: Account) -> None:
        self._time = time
        self._account = account
        self._assumed: dict[str, Identity] = {}

    def caller(self, access_key: str | None) -> Identity:
        """Return who signs with this key."""
        known = self._assumed.get(access_key or "")
        if known is not None:
            return known
        return Identity(
            arn=f"arn:aws:iam::{self._account.id}:user/operator",
            user_id="AIDAEMULATEDOPERATOR",
            access_key=access_key,
        )

    def assume(self, role_arn: str, session_name: str, seconds: int | None) -> RoleKeys:
        """Give out fresh keys for a role, an hour by default."""
        role = role_arn.rsplit("/", 1)[-1]
        number = len(self._assumed) + 1
        access_key = f"ASIAEMULATED{number:08d}"
        lifetime = seconds or DEFAULT_ROLE_SECONDS
        identity = Identity(
            arn=f"arn:aws:sts::{self._account.id}:assumed-role/{role}/{session_name}",
            user_id=f"AROAEMULATEDROLE:{session_name}",
            access_key=access_key,
            expires_at=self._time.now + lifetime,
        )
        self._assumed[access_key] = identity
        return RoleKeys(
            identity=identity,
            access_key=access_key,
            secret_key=f"emulated-secret-{number}",
            session_token=f"emulated-token-{number}",
            expires_at=self._time.now + lifetime,
        )

    def expired(self, caller: Identity) -> bool:
        """Tell whether the caller's keys are past their end."""
        return caller.expires_at is not None and caller.expires_at <= self._time.now
