"""Callers that die: at an instant, or at a call that was chosen beforehand."""

from dataclasses import dataclass

from ecs_emulator.ground.errors import Killed


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """The call at which a caller dies, before or after its effect. Key None: whoever calls."""

    call_number: int
    access_key: str | None
    after_effect: bool


class Deaths:
    """Knows who is dead. A caller is known by its access key; None stands for everybody."""

    def __init__(self) -> None:
        self._dead: set[str | None] = set()
        self._kills: list[Kill] = []

    def kill(self, access_key: str | None = None) -> None:
        """Kill the owner of this access key, or for None everybody, now."""
        self._dead.add(access_key)

    def kill_at_call(
        self, number: int, *, access_key: str | None = None, after_effect: bool = False
    ) -> None:
        """Have the caller die at the call of this number, or after its effect."""
        kill = Kill(call_number=number, access_key=access_key, after_effect=after_effect)
        self._kills.append(kill)

    def revive(self) -> None:
        """Let callers reach the world again: the next process after the dead one."""
        self._dead.clear()
        self._kills.clear()

    def refuse(self, access_key: str | None, *, call_number: int, done: bool) -> None:
        """Raise Killed for a caller that is dead, or dies of this call as it arrives or is done."""
        for kill in self._kills:
            at_this = call_number >= kill.call_number and kill.after_effect is done
            if at_this and kill.access_key in {None, access_key}:
                self.kill(kill.access_key)
        self.check(access_key)

    def check(self, access_key: str | None = None) -> None:
        """Raise Killed if everybody is dead, or the owner of this access key."""
        if self._dead and (None in self._dead or (access_key and access_key in self._dead)):
            raise Killed
