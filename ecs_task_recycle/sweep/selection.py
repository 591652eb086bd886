"""Which services an event asks for: named, of clusters, with tags, that read a secret."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from ecs_task_recycle.errors import PreconditionError
from ecs_task_recycle.settings.parameters import SWEPT_SERVICES
from ecs_task_recycle.settings.sweep import SweepSettings
from ecs_task_recycle.sweep.gateway import FoundService, ServiceName, SweepGateway

_NAMED_PROBLEMS: Final = 20
# Six characters that Secrets Manager adds to a name.
# https://docs.aws.amazon.com/secretsmanager/latest/userguide/whats-in-a-secret.html
_ENDING: Final = re.compile(r"-[A-Za-z0-9]{6}$")


def select(
    gateway: SweepGateway, settings: SweepSettings, cluster_names: Sequence[str]
) -> tuple[ServiceName, ...]:
    """Return the services that an event asks for, in their order, each once.

    ``cluster_names`` are the clusters that the function may touch, all where there are none. Raises
    PreconditionError, which names each service that is not there, foreign or unreadable.
    """
    problems: list[str] = []
    candidates = _candidates(gateway, settings, cluster_names, problems)
    tagged = [each for each in candidates if _has_tags(each, settings)]
    chosen = tagged if settings.uses is None else _users(gateway, settings.uses, tagged, problems)
    if len(chosen) > SWEPT_SERVICES:
        problems.append(f"{len(chosen)} services are asked for, expected at most {SWEPT_SERVICES}")
    if problems and not settings.is_notice:
        raise _refusal(problems)
    return tuple(dict.fromkeys(each.name for each in chosen))[:SWEPT_SERVICES]


def _refusal(problems: list[str]) -> PreconditionError:
    listed = "; ".join(problems[:_NAMED_PROBLEMS])
    more = len(problems) - _NAMED_PROBLEMS
    rest = f"; and {more} more" if more > 0 else ""
    return PreconditionError(
        f"The services of the event cannot all be swept: {listed}{rest}.",
        remedy="Nothing was touched. Correct the event and invoke again.",
    )


def _candidates(
    gateway: SweepGateway, settings: SweepSettings, allowed: Sequence[str], problems: list[str]
) -> list[FoundService]:
    """Return the services to choose from: the named ones, or all of one cluster or of all."""
    named = [
        ServiceName(cluster=each.cluster or settings.cluster_name or "", service=each.name)
        for each in settings.services or ()
    ]
    whole = [settings.cluster_name] if settings.cluster_name else allowed or gateway.cluster_names()
    clusters = dict.fromkeys(each.cluster for each in named) if named else whole
    found: dict[ServiceName, FoundService] = {}
    for cluster in clusters:
        if allowed and cluster not in allowed:
            problems.append(f"cluster {cluster} is none of the stack's ClusterNames")
            continue
        names = [each.service for each in dict.fromkeys(named) if each.cluster == cluster]
        there = names if named else gateway.service_names(cluster)
        if there is None:
            problems.append(f"there is no cluster {cluster}")
        wanted = [ServiceName(cluster=cluster, service=each) for each in there or ()]
        found |= {each.name: each for each in gateway.services(cluster, there or ())}
        problems += [f"there is no service {each}" for each in wanted if each not in found]
    kept = [found[each] for each in (dict.fromkeys(named) or found) if each in found]
    problems += _foreign(kept, settings.account)
    return kept


def _foreign(services: Iterable[FoundService], account: str | None) -> Iterator[str]:
    for each in services:
        if account is not None and each.account != account:
            yield f"{each.name} lies in account {each.account}, the event names {account}"


def _has_tags(service: FoundService, settings: SweepSettings) -> bool:
    return all(service.tags.get(key) in values for key, values in settings.tagged.items())


# ---- Who reads a secret ----


def _users(
    gateway: SweepGateway, wanted: str, services: list[FoundService], problems: list[str]
) -> list[FoundService]:
    """Return the services whose current task definition reads a secret or parameter."""
    arns = dict.fromkeys(each.task_definition_arn for each in services if each.task_definition_arn)
    uses: dict[str | None, bool] = {}
    for arn in arns:
        sources = gateway.secret_sources(arn)
        if sources is None:
            problems.append(f"task definition {arn} cannot be read")
        uses[arn] = any(_is_same(source, wanted) for source in sources or ())
    return [each for each in services if uses.get(each.task_definition_arn)]


def _is_same(source: str, wanted: str) -> bool:
    """Whether two references, each an ARN or a name, can be the same secret or parameter."""
    (place, name), (other_place, other_name) = _parsed(source), _parsed(wanted)
    if place is not None and other_place is not None and place != other_place:
        return False
    if name == other_name:
        return True
    # A name, or an ARN that lacks the random ending, stands for the secret of any ending.
    secrets = {part for part in (place, other_place) if part and "secretsmanager" in part}
    shorter, longer = sorted((name, other_name), key=len)
    return bool(secrets) and _ENDING.sub("", longer) == shorter


def _parsed(reference: str) -> tuple[str | None, str]:
    """Return service, region and account of a reference, None for a name; and the name.

    Behind a secret's ARN may stand a JSON key, a stage and a version.
    """
    parts = reference.split(":")
    if parts[0] != "arn":
        return None, reference.removeprefix("/")
    name = parts[6] if parts[2] == "secretsmanager" else parts[5].removeprefix("parameter/")
    return ":".join(parts[2:5]), name.removeprefix("/")
