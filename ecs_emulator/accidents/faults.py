"""Faults on purpose: calls that fail by script, and permissions that are missing."""

from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

NOT_DENIABLE = frozenset({"sts:GetCallerIdentity"})
"""No permission is needed for it:
https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html"""

_MESSAGES = {
    "ThrottlingException": "Rate exceeded",
    "Throttling": "Rate exceeded",
    "ServerException": "Service Unavailable. Please try again later.",
    "ConcurrentUpdateException": "You already have a pending update to an Auto Scaling resource.",
}


@dataclass(slots=True, kw_only=True)
class Fault:
    """One scripted failure; see Faults.fail."""

    operation: str | None
    nth: int
    times: int | None
    every: int | None
    code: str | None
    status: int
    message: str
    after_effect: bool
    after_seconds: float
    access_key: str | None
    connects: bool = True
    seen: int = 0
    struck: int = 0

    def strikes(self, operation: str, access_key: str | None) -> bool:
        """Count a request that comes in, and tell whether this fault hits it."""
        if self.operation not in {None, operation}:
            return False
        if self.access_key not in {None, access_key}:
            return False
        self.seen += 1
        if not self._due():
            return False
        self.struck += 1
        return True

    def _due(self) -> bool:
        if self.every is not None:
            due = self.seen >= self.nth and (self.seen - self.nth) % self.every == 0
        else:
            due = self.seen >= self.nth
        return due and (self.times is None or self.struck < self.times)


class Faults:
    """The world's script of failures. Retries of a client count as requests of their own."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._alterations: dict[int, Callable[[dict[str, Any]], object]] = {}
        self._denied: list[tuple[str, str | None]] = []
        self._allowed: frozenset[str] | None = None

    def fail(
        self,
        operation: str | None = None,
        *,
        nth: int = 1,
        times: int | None = 1,
        every: int | None = None,
        code: str | None = None,
        status: int | None = None,
        message: str | None = None,
        after_effect: bool = False,
        after_seconds: float = 0.0,
        access_key: str | None = None,
    ) -> Fault:
        """Let requests fail.

        From the `nth` request of `operation` (None: of any) on, `times` requests fail (None: all
        of them); with `every`, only each every-th from there. They get the error `code` with HTTP
        `status` (500 for ServerException and the like, else 400). Without a code the client gets
        no answer at all: a read timeout, `after_seconds` later. With `after_effect` the call
        takes effect first. Returns the fault; `.struck` counts its hits.
        """
        server_side = code is not None and code.startswith(("Server", "Internal"))
        fault = Fault(
            operation=operation,
            nth=nth,
            times=times,
            every=every,
            code=code,
            status=status or (500 if server_side else 400),
            message=message or _MESSAGES.get(code or "", "A failure by script."),
            after_effect=after_effect,
            after_seconds=after_seconds,
            access_key=access_key,
        )
        self._faults.append(fault)
        return fault

    def alter(self, number: int, change: Callable[[dict[str, Any]], object]) -> None:
        """Let `change` alter the answer to the number-th call on its way: no model holds it then.

        The call has taken effect. Calls are numbered as in `World.calls`; an error stays as it is.
        """
        self._alterations[number] = change

    def altered(self, number: int, answer: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the answer to a call as it arrives."""
        change = self._alterations.get(number)
        if change is None:
            return answer
        arriving = deepcopy(dict(answer))
        change(arriving)
        return arriving

    def deny(self, *actions: str, principal: str | None = None) -> None:
        """Take permissions away: IAM actions, "ecs:StopTask" or "ecs:*"; for one ARN or all."""
        self._denied += [(action, principal) for action in actions]

    def allow(self, *actions: str, principal: str | None = None) -> None:
        """Give back what `deny` took away in the same words."""
        self._denied = [
            each for each in self._denied if each not in {(action, principal) for action in actions}
        ]

    def allow_only(self, actions: Iterable[str]) -> None:
        """Deny every action that is not among these (patterns with * as in a policy)."""
        self._allowed = frozenset(actions)

    def allow_all(self) -> None:
        """Give all permissions back."""
        self._denied.clear()
        self._allowed = None

    def clear(self) -> None:
        """Forget all scripted failures and altered answers; permissions stay."""
        self._faults.clear()
        self._alterations.clear()

    def denies(self, action: str, principal: str) -> bool:
        """Tell whether this caller may not do this."""
        if action in NOT_DENIABLE:
            return False
        if any(_fits(action, pattern, principal, who) for pattern, who in self._denied):
            return True
        return self._allowed is not None and not any(
            fnmatchcase(action, pattern) for pattern in self._allowed
        )

    def strike(self, operation: str, access_key: str | None) -> Fault | None:
        """Count a request for every fault, and return the first that hits it."""
        hits = [fault for fault in self._faults if fault.strikes(operation, access_key)]
        return hits[0] if hits else None


def _fits(action: str, pattern: str, principal: str, who: str | None) -> bool:
    return fnmatchcase(action, pattern) and who in {None, principal}
