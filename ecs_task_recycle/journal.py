"""The journal: one run per service, and what a dead run left behind.

A run's entry is an SSM parameter, created before the first change and deleted after the last
put-back. Creating a parameter is atomic, so the entry is also the lock. It says what was found,
what is being written, and the instant after which its owner is certainly dead.

SSM cannot compare and set, so a dead run's entry is never overwritten. Whoever takes over from it
creates a second parameter that is named after the dead owner: only one can. That successor's entry
stands in the dead one's place, and if its owner dies too, the next is named after that one. The
last entry of the chain is the one that counts. The first is deleted first, so that a chain that is
half deleted is no chain. Reads may be stale for seconds; only what is created is certain.
https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html
"""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NoReturn

from ecs_task_recycle.clock import as_utc
from ecs_task_recycle.codec import decode, encode
from ecs_task_recycle.errors import AlreadyRunningError, PreconditionError
from ecs_task_recycle.model import Chain, Entry
from ecs_task_recycle.observation import CONSISTENCY_SECONDS

if TYPE_CHECKING:
    from ecs_task_recycle.clock import Clock
    from ecs_task_recycle.gateway import Gateway

LONGEST_CHAIN: Final = 50

logger = logging.getLogger(__name__)


class Journal:
    """The journal of one service."""

    def __init__(self, gateway: Gateway, clock: Clock) -> None:
        """Take the gateway of the service."""
        self._gateway = gateway
        self._clock = clock
        self._root = f"/ecs-task-recycle/{gateway.cluster_name}/{gateway.service_name}"

    def read(self) -> Chain:
        """Return the chain of entries, empty where there is none.

        Raises PreconditionError for a parameter that is no entry.
        """
        names: list[str] = []
        entries: list[Entry] = []
        name = self._root
        while len(names) < LONGEST_CHAIN:
            text = self._gateway.read_parameter(name)
            if text is None:
                break
            names.append(name)
            entries.append(_parsed(name, text))
            name = self._successor(entries[-1])
        return Chain(names=tuple(names), entries=tuple(entries))

    @property
    def name(self) -> str:
        """The name of the first entry's parameter."""
        return self._root

    def _successor(self, entry: Entry) -> str:
        return f"{self._root}/{entry.owner}"

    def require_dead(self, chain: Chain) -> Chain:
        """Return the chain. Raises AlreadyRunningError while its owner may be alive."""
        entry = chain.entry
        if entry is not None and as_utc(self._clock.now()) < entry.owner_dead_at:
            raise AlreadyRunningError(
                f"Run {entry.run_id} of {self._gateway.cluster_name}/{self._gateway.service_name} "
                f"started at {entry.run_started_at.isoformat(timespec='seconds')} and may be alive "
                f"until {entry.owner_dead_at.isoformat(timespec='seconds')}.",
                remedy="Nothing was touched. Wait for its end, or until then.",
                running_run_id=entry.run_id,
            )
        return chain

    def take(self, mine: Entry, seen: Chain) -> Chain:
        """Write one's own entry behind a chain whose owner is dead, and return the new chain.

        Can be repeated. Raises AlreadyRunningError where another run was quicker.
        """
        name = self._root if seen.entry is None else self._successor(seen.entry)
        created = self._gateway.create_parameter(name, json.dumps(encode(mine)))
        if not created and self._owner_of(name) != mine.owner:
            self._lost()
        now = Chain(names=(*seen.names, name), entries=(*seen.entries, mine))
        if seen.entry is not None and not self._still_leads_to(mine):
            self._gateway.delete_parameter(name)
            self._lost()
        return now

    def _owner_of(self, name: str) -> str | None:
        """Return who owns a parameter that exists, though a read may not show it yet."""
        until = self._clock.now() + CONSISTENCY_SECONDS
        while (text := self._gateway.read_parameter(name)) is None and self._clock.now() < until:
            self._clock.sleep(1)
        return None if text is None else _parsed(name, text).owner

    def _still_leads_to(self, mine: Entry) -> bool:
        """Whether the chain that was taken over still stands.

        Another run may have taken it over, put everything back and cleared it away between the
        read of the chain and the creation of one's own entry. After a while no read is older than
        that.
        """
        self._clock.sleep(CONSISTENCY_SECONDS)
        entry = self.read().entry
        return entry is not None and entry.owner == mine.owner

    def _lost(self) -> NoReturn:
        raise AlreadyRunningError(
            f"Another run of {self._gateway.cluster_name}/{self._gateway.service_name} "
            "was quicker.",
            remedy="Nothing was touched. Invoke again if it is not the one you want.",
        )

    def give_up(self, chain: Chain) -> None:
        """Delete one's own entry alone: nothing was changed, a dead run's entries stay."""
        self._gateway.delete_parameter(chain.names[-1])

    def release(self, chain: Chain) -> None:
        """Delete the chain, the first entry first: from then on the service is free."""
        for name in chain.names:
            self._gateway.delete_parameter(name)

    def declare_dead(self, chain: Chain) -> None:
        """Leave one's own entry to the next run: this one ends without having put back all."""
        if chain.entry is not None:
            dead = replace(chain.entry, owner_dead_at=as_utc(self._clock.now()))
            self._gateway.overwrite_parameter(chain.names[-1], json.dumps(encode(dead)))


def _parsed(name: str, text: str) -> Entry:
    try:
        return decode(Entry, json.loads(text))
    except (ValueError, TypeError, KeyError) as error:
        raise PreconditionError(
            f"SSM parameter {name} is not an entry of this tool's journal.",
            remedy="Nothing was touched. Delete it if no run is alive.",
        ) from error
