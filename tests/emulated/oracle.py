"""What each actor wanted, act by act: which desired count and limits must be there in the end.

A number is put back only while it holds what the run wrote (README, "What a run promises"). So it
has to be what somebody else wrote last, or what was found where nobody did; one who writes the very
number that the run has raised cannot be told from the run.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ecs_emulator.accidents.people import THIRD_PARTY
from ecs_emulator.engine.autoscaling import API_CALLER, CLAMP, POLICY, LimitsWritten
from tests.emulated.bench import CLUSTER, SERVICE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.emulated.lived import Lived

LAG_SECONDS = 15.0
"""The longest that autoscaling takes in a random world to move the count into new limits."""


@dataclass(frozen=True, kw_only=True)
class Act:
    """A number that was written, and whether the run wrote it."""

    at: float
    value: int
    is_ours: bool


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a number may be in the end: one of `values`; any where no read shows who wrote last."""

    values: frozenset[int]

    @property
    def is_exact(self) -> bool:
        """Whether it is right in one way only."""
        return len(self.values) == 1

    def allows(self, value: int | None) -> bool:
        """Whether a number may be this one in the end."""
        return not self.values or value in self.values


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """The verdicts on a world; on no limits where the service has none."""

    count: Verdict
    lowest: Verdict | None
    highest: Verdict | None

    @property
    def is_exact(self) -> bool:
        """Whether nothing else than one capacity is right."""
        verdicts = (self.count, self.lowest, self.highest)
        return all(each is None or each.is_exact for each in verdicts)

    def allows(self, capacity: tuple[int, int | None, int | None]) -> bool:
        """Whether the world may end with these: desired count, minimum, maximum."""
        verdicts = (self.count, self.lowest, self.highest)
        pairs = zip(verdicts, capacity, strict=True)
        return all(each is None or each.allows(value) for each, value in pairs)


def judge(lived: Lived, *, blind_seconds: float) -> Judgement:
    """Return what must be there; `blind_seconds`: how old what the run goes by may be."""
    ended_at = lived.ended_at if lived.restored_by_hand is None else lived.world.now
    decide = partial(_verdict, blind=blind_seconds + LAG_SECONDS, ended_at=ended_at)
    target = lived.world.autoscaling.targets.get(f"service/{CLUSTER}/{SERVICE}")
    limits = target.history if target is not None else []
    count = decide(lived.found[0], _count_acts(lived, limits))
    found_lowest, found_highest = lived.found[1:]
    if found_lowest is None or found_highest is None:
        return Judgement(count=count, lowest=None, highest=None)
    since = [each for each in limits if each.at >= lived.began_at and each.who != "create"]
    # Whether a service that is being deleted still takes limits depends on the instant.
    is_gone = lived.service.status != "ACTIVE"
    lowest = decide(found_lowest, _acts(since, "min_capacity"), is_open=is_gone)
    highest = decide(found_highest, _acts(since, "max_capacity"), is_open=is_gone)
    # The run leaves room for a count above the maximum; where it need not write, there is none.
    room = {each for each in count.values if each > max(highest.values, default=each)}
    highest = Verdict(values=highest.values | room)
    return Judgement(count=count, lowest=lowest, highest=highest)


def _verdict(
    found: int, acts: Iterable[Act], *, blind: float, ended_at: float, is_open: bool = False
) -> Verdict:
    """Follow the acts in their order: what was wanted, what the run had raised, what it saw.

    Who writes the raised number before the run's end gets what was there before it was raised; so
    it is with what was written shortly before the end, or it stays, if the run has looked before.
    """
    wanted = base = found
    raised, late, last_foreign_at, unseen = None, frozenset[int](), float("-inf"), False
    for act in acts:
        if act.is_ours:
            unseen = unseen or act.at - last_foreign_at <= blind
            if act.value == wanted:
                raised = None
            elif act.value != raised:
                raised, base = act.value, wanted
            late = frozenset()
        elif act.value == raised and act.at <= ended_at:
            wanted, late = base, frozenset({act.value})
        else:
            wanted, late, last_foreign_at, unseen = act.value, frozenset(), act.at, False
    return Verdict(values=frozenset() if unseen or is_open else late | {wanted})


def _count_acts(lived: Lived, limits: list[LimitsWritten]) -> list[Act]:
    """Return who set the desired count: a clamp is an act of whoever wrote the limits.

    The run's own are its calls, for one that set what was there already is an act, too.
    """

    def is_ours(at: float, who: str) -> bool:
        writers = [each.who for each in limits if each.at <= at]
        return who == CLAMP and bool(writers) and writers[-1] == API_CALLER

    acts = [
        Act(at=at, value=count, is_ours=is_ours(at, who))
        for at, count, who in lived.service.desired_history
        if at >= lived.began_at and who in {THIRD_PARTY, POLICY, CLAMP}
    ]
    for call in lived.world.writes:
        count = call.parameters.get("desiredCount")
        if call.operation == "UpdateService" and isinstance(count, int):
            acts.append(Act(at=call.at, value=count, is_ours=True))
    return sorted(acts, key=lambda each: each.at)


def _acts(limits: list[LimitsWritten], name: str) -> list[Act]:
    return [
        Act(at=each.at, value=getattr(each, name), is_ours=each.who == API_CALLER)
        for each in limits
    ]
