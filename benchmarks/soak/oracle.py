"""Which answers are right, from what the documentation promises; not from what the code does.

A request was sent at *start* and answered by *end*: whatever holds at any moment in between
may have decided it, so there may be several right answers, but never none.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from benchmarks.soak.credentials import Credential, Standing
from benchmarks.soak.timeline import RedisState, Timeline

_CLOCK = 0.05


class Access(Enum):
    PUBLIC = "everybody"
    RULED = "who has the scopes"
    DENIED = "nobody"


@dataclass(frozen=True, slots=True)
class Route:
    path: str
    access: Access = Access.RULED
    scopes: frozenset[str] = frozenset()


ROUTES = (
    Route("/scoped", scopes=frozenset({"soak:read"})),
    Route("/both", scopes=frozenset({"soak:read", "soak:write"})),
    Route("/me"),
    Route("/public", Access.PUBLIC),
    Route("/denied", Access.DENIED),
)


class Verdict(Enum):
    """What a verifier may say of a token."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNAVAILABLE = "unavailable"


def right_statuses(
    credential: Credential, route: Route, start: float, end: float, *, timeline: Timeline
) -> set[int]:
    if route.access is Access.PUBLIC:
        return {200}
    match credential.standing:
        case Standing.ABSENT:
            return {401}
        case Standing.MALFORMED:
            return {400}
        case _:
            verdicts = verdicts_of(credential, start, end, timeline=timeline)
    return {_status_of(verdict, credential, route) for verdict in verdicts}


def verdicts_of(
    credential: Credential, start: float, end: float, *, timeline: Timeline
) -> set[Verdict]:
    if credential.standing is Standing.WORTHLESS:
        return {Verdict.REFUSED}
    answers = [
        set(_key_answers(credential, start, end, timeline=timeline)),
        set(_time_answers(credential, start - _CLOCK, end + _CLOCK)),
    ]
    verdicts = set()
    if any(False in each for each in answers):
        verdicts.add(Verdict.REFUSED)
    # Redis is asked about tokens alone that nothing else speaks against.
    if all(True in each for each in answers):
        for state in timeline.redis.between(start, end):
            verdicts.update(_revocation_verdicts(credential, state))
    return verdicts


def _status_of(verdict: Verdict, credential: Credential, route: Route) -> int:
    match verdict:
        case Verdict.REFUSED:
            return 401
        case Verdict.UNAVAILABLE:
            return 503
        case Verdict.ACCEPTED:
            is_open = route.access is Access.RULED and route.scopes <= credential.scopes
            return 200 if is_open else 403


def _key_answers(
    credential: Credential, start: float, end: float, *, timeline: Timeline
) -> Iterator[bool]:
    for key_set in timeline.published_sets(start, end):
        if credential.names_key:
            yield credential.key in key_set
        else:
            # Without a kid there must be no other key that it could be.
            algorithm = credential.key.algorithm if credential.key else ""
            yield {each for each in key_set if each.algorithm == algorithm} == {credential.key}


def _time_answers(credential: Credential, start: float, end: float) -> Iterator[bool]:
    if start < credential.expires and credential.not_before <= end:
        yield True
    if end >= credential.expires or start < credential.not_before:
        yield False


def _revocation_verdicts(credential: Credential, state: RedisState) -> Iterator[Verdict]:
    known = Verdict.REFUSED if credential.is_revoked else Verdict.ACCEPTED
    unknown = Verdict.ACCEPTED if credential.app == "open" else Verdict.UNAVAILABLE
    if state is not RedisState.UP:
        yield unknown
    # Fail open is for whoever is not known to be revoked: it may be known all the same.
    is_away = state in {RedisState.KILLED, RedisState.HUNG}
    if not is_away or (credential.app == "open" and credential.is_revoked):
        yield known
