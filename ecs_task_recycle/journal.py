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
from functools import partial
from typing import TYPE_CHECKING, Final

from ecs_task_recycle.clock import as_utc
from ecs_task_recycle.codec import decode, encode
from ecs_task_recycle.errors import AlreadyRunningError, PreconditionError
from ecs_task_recycle.gateway import patiently
from ecs_task_recycle.model import Chain, Entry
from ecs_task_recycle.observation import CONSISTENCY_SECONDS

if TYPE_CHECKING:
    from ecs_task_recycle.clock import Clock
    from ecs_task_recycle.gateway import Gateway

LONGEST_CHAIN: Final = 50
RELEASE_DELAYS_SECONDS: Final = (2.0, 4.0, 8.0)
"""A journal that stays behind refuses every run until its owner is certainly dead."""
NAME_RESTS_SECONDS: Final = 30.0

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
            raise self._already_running(entry)
        return chain

    def take(self, mine: Entry, seen: Chain) -> Chain:
        """Write one's own entry behind a chain whose owner is dead, and return the new chain.

        Can be repeated. Raises AlreadyRunningError where another run was quicker.
        """
        name = self._root if seen.entry is None else self._successor(seen.entry)
        owner = self._owner_after_create(name, mine)
        if owner is None or owner.owner != mine.owner:
            raise self._already_running(owner)
        if seen.entry is not None and not self._still_leads_to(mine):
            self._gateway.delete_parameter(name)
            raise self._already_running(None)
        return Chain(names=(*seen.names, name), entries=(*seen.entries, mine))

    def _owner_after_create(self, name: str, mine: Entry) -> Entry | None:
        """Create one's own entry; return the one that stands there then, None if none is seen.

        It may exist already without a read showing it yet. And for half a minute after its deletion
        the name cannot be used again.
        https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_DeleteParameter.html
        """
        until = self._clock.now() + NAME_RESTS_SECONDS + CONSISTENCY_SECONDS
        while not self._gateway.create_parameter(name, json.dumps(encode(mine))):
            text = self._gateway.read_parameter(name)
            if text is not None:
                return _parsed(name, text)
            if self._clock.now() >= until:
                return None
            self._clock.sleep(1)
        return mine

    def _still_leads_to(self, mine: Entry) -> bool:
        """Whether the chain that was taken over still stands.

        Another run may have taken it over, put everything back and cleared it away between the
        read of the chain and the creation of one's own entry. After a while no read is older than
        that.
        """
        self._clock.sleep(CONSISTENCY_SECONDS)
        entry = self.read().entry
        return entry is not None and entry.owner == mine.owner

    def _already_running(self, entry: Entry | None) -> AlreadyRunningError:
        service = f"{self._gateway.cluster_name}/{self._gateway.service_name}"
        if entry is None:
            return AlreadyRunningError(
                f"Another run of {service} was quicker.",
                remedy="Nothing was touched. Invoke again if it was not the one you want.",
            )
        return AlreadyRunningError(
            f"Run {entry.run_id} of {service} "
            f"started at {entry.run_started_at.isoformat(timespec='seconds')} and may be alive "
            f"until {entry.owner_dead_at.isoformat(timespec='seconds')}.",
            remedy="Nothing was touched. Wait for its end, or until then.",
            running_run_id=entry.run_id,
        )

    def give_up(self, chain: Chain) -> None:
        """Delete one's own entry alone: nothing was changed, a dead run's entries stay."""
        self._gateway.delete_parameter(chain.names[-1])

    def release(self, chain: Chain) -> None:
        """Delete the chain, the first entry first: from then on the service is free.

        What is deleted is not deleted again: it may be another run's by then.
        """
        for name in chain.names:
            patiently(
                partial(self._gateway.delete_parameter, name),
                self._clock,
                delays_seconds=RELEASE_DELAYS_SECONDS,
                worth_it=lambda error: error.transient,
            )

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
