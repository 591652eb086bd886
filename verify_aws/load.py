"""Requests at a constant rate, as clients make them: over kept connections and over new ones."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from ecs_task_recycle.clock import Clock

KEPT: Final = "kept connection"
NEW: Final = "new connection"
CLIENTS: Final = (KEPT, NEW, KEPT, NEW)
GOOD: Final = "200"
TIMEOUT_SECONDS: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """What came of one request: when it was made (epoch seconds), by whom, and the outcome."""

    at: float
    client: str
    outcome: str


@dataclass(slots=True, kw_only=True)
class Answers:
    """How many answers of which outcome each kind of client got, and every bad one."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    bad: list[Received] = field(default_factory=list)

    def note(self, answer: Received) -> None:
        """Count an answer, whatever it was."""
        self.counts[answer.client, answer.outcome] += 1
        if answer.outcome != GOOD:
            self.bad.append(answer)


class LoadGenerator:
    """Makes requests until it is stopped; several threads share the rate (requests a second)."""

    def __init__(self, url: str, *, rate: int, clock: Clock) -> None:
        self.answers = Answers()
        parts = urlsplit(url)
        self._place = (parts.hostname or "", parts.port or 80)
        self._path = parts.path or "/"
        self._pause_seconds = len(CLIENTS) / rate
        self._clock = clock
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, args=(client,), daemon=True) for client in CLIENTS
        ]

    def start(self) -> None:
        """Begin to make requests."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Make no more requests."""
        self._is_over.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(timeout=2 * TIMEOUT_SECONDS)

    def _work(self, client: str) -> None:
        connection = HTTPConnection(*self._place, timeout=TIMEOUT_SECONDS)
        due = self._clock.now()
        while not self._is_over.is_set():
            at = self._clock.now()
            outcome = self._request(connection)
            if client == NEW or outcome != GOOD:
                connection.close()
            with self._lock:
                self.answers.note(Received(at=at, client=client, outcome=outcome))
            # After a slow answer it does not make up for what it has missed.
            due = max(due + self._pause_seconds, self._clock.now())
            self._is_over.wait(due - self._clock.now())

    def _request(self, connection: HTTPConnection) -> str:
        try:
            connection.request("GET", self._path)
            answer = connection.getresponse()
            answer.read()
        except (OSError, HTTPException) as error:
            return type(error).__name__
        return str(answer.status)
