"""Coverage: which endpoint is ruled and enforced, and which rule decides nothing."""

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum

from fastapi_scopes.core.dead_rules import DeadRule, dead_rules
from fastapi_scopes.core.endpoints import Endpoint, Kind, Reach
from fastapi_scopes.core.methods import ANY_METHOD, METHODS, MOUNT, WEBSOCKET, http_method
from fastapi_scopes.core.notices import Decided, notices_on
from fastapi_scopes.core.requirements import Access, Requirement
from fastapi_scopes.core.rules import Resolution, Rule, with_scopes
from fastapi_scopes.core.scope_map import ScopeMap
from fastapi_scopes.core.steps import drained
from fastapi_scopes.errors import ConfigurationError, collecting

__all__ = [
    "Coverage",
    "CoveredEndpoint",
    "DeadRule",
    "Endpoint",
    "Gap",
    "Kind",
    "Reach",
    "ShadowedRule",
    "SharedRule",
    "cover",
]


class Gap(Enum):
    """Why an endpoint is open, or shut by accident."""

    OPEN = (
        "{endpoint} is open: no rule, and no guard runs; put Depends(guard) on the route and add a"
        " rule, or map it to PUBLIC"
    )
    NO_RULE = "no rule for {endpoint}; {way_out}"
    NOT_ENFORCED = "nothing enforces {rule} on {endpoint}; put Depends(guard) on the route"
    OTHER_GUARD = "another guard decides on {endpoint}, {rule} does not; drop one of the two"
    UNREACHABLE = (
        "no dependency reaches {endpoint} ({kind}); map {mapped} to PUBLIC, or take it out"
    )
    UNRESOLVED = (
        "the framework does not say which route {endpoint} ({kind}) is, so the guard denies it;"
        " put it into an app of its own"
    )


@dataclass(frozen=True, slots=True)
class CoveredEndpoint:
    """An endpoint, the rule that holds there, and what is wrong with it."""

    endpoint: Endpoint
    rule: Rule | None
    gap: Gap | None

    @property
    def requirement(self) -> Requirement | None:
        """What the rule asks for, or None where there is no rule."""
        return self.rule.requirement if self.rule is not None else None

    def __str__(self) -> str:
        where = f" in the app mounted at {self.endpoint.mount!r}" if self.endpoint.mount else ""
        return f"{str(self.endpoint)!r}{where}"

    @property
    def problem(self) -> str | None:
        """The gap as a sentence, or None."""
        if self.gap is None:
            return None
        way_out, mapped = "add one, or map it to PUBLIC", "it"
        if self.endpoint.kind.is_mount:
            # A pattern would decide on routes, too, that were left without a rule.
            prefix = str(self.endpoint.template).removesuffix("/**") or "/"
            mapped = repr(f"{MOUNT} {prefix}")
            way_out = f"add one for {mapped}, which decides on nothing else"
        return self.gap.value.format(
            endpoint=self,
            rule=repr(self.rule.key) if self.rule else "",
            kind=self.endpoint.kind.value,
            way_out=way_out,
            mapped=mapped,
        )


@dataclass(frozen=True, slots=True)
class ShadowedRule:
    """A rule from the right side of a merge that loses to the left on some endpoints."""

    rule: Rule
    by: Rule
    endpoint: Endpoint

    def __str__(self) -> str:
        return f"{self.rule.key!r} loses to {self.by.key!r} on {str(self.endpoint)!r}"


@dataclass(frozen=True, slots=True)
class SharedRule:
    """A rule that decides in more than one app."""

    rule: Rule
    mounts: tuple[str, ...]

    def __str__(self) -> str:
        apps = ", ".join(repr(mount or "/") for mount in self.mounts)
        return f"{self.rule.key!r} decides in the apps at {apps}"


@dataclass(frozen=True, slots=True)
class Coverage:
    """What a guard's map does to an application: all of it, endpoint by endpoint."""

    endpoints: tuple[CoveredEndpoint, ...]
    dead: tuple[DeadRule, ...] = ()
    """Rules that win for no endpoint."""
    shadowed: tuple[ShadowedRule, ...] = ()
    shared: tuple[SharedRule, ...] = ()
    notices: tuple[str, ...] = ()
    """What is no gap and yet worth a look."""
    contradictions: tuple[str, ...] = ()
    """Routes that ask for scopes where their rule is PUBLIC, and the like; they are shut."""
    unmet: tuple[str, ...] = ()
    """Options of the guard that nothing carries out in the app."""

    @property
    def gaps(self) -> tuple[CoveredEndpoint, ...]:
        """The endpoints with which something is wrong."""
        return tuple(each for each in self.endpoints if each.gap is not None)

    @property
    def perimeter_only(self) -> tuple[CoveredEndpoint, ...]:
        """The endpoints that only a perimeter reaches, and no dependency."""
        return tuple(each for each in self.endpoints if not each.endpoint.kind.has_dependencies)

    @property
    def problems(self) -> tuple[str, ...]:
        """Every contradiction, every gap, every dead rule and unmet option, a sentence each."""
        named = list(_without_heads(self.gaps))
        docs = [each for each in named if each.endpoint.kind is Kind.DOCS]
        return (
            *self.contradictions,
            *(
                each.problem
                for each in named
                if each.problem and each.endpoint.kind is not Kind.DOCS
            ),
            *_docs_problems(docs),
            *map(str, self.dead),
            *self.unmet,
        )

    def raise_on_gap(self) -> None:
        """Return where nothing is wrong.

        Raises:
            ConfigurationError: naming all `problems`.
        """
        ConfigurationError.raise_for(self.problems)

    def __str__(self) -> str:
        found = [*self.problems, *map(str, self.shadowed), *map(str, self.shared), *self.notices]
        return "\n".join([f"{len(self.endpoints)} endpoints, {len(self.gaps)} gaps", *found])


def _without_heads(gaps: Sequence[CoveredEndpoint]) -> Iterator[CoveredEndpoint]:
    """Yield *gaps* without HEAD where GET has one: what rules the one rules the other."""
    gets = {_place_of(each.endpoint) for each in gaps if each.endpoint.method == "GET"}
    for each in gaps:
        if each.endpoint.method != "HEAD" or _place_of(each.endpoint) not in gets:
            yield each


def _place_of(endpoint: Endpoint) -> tuple[str, str]:
    return endpoint.template.text, endpoint.mount


def _docs_problems(docs: Sequence[CoveredEndpoint]) -> Iterator[str]:
    # The docs pages are one decision of the developer's, so they are one gap.
    if docs:
        named = ", ".join(map(str, docs))
        is_closed = all(each.endpoint.reach is Reach.PERIMETER for each in docs)
        reached = "no rule for" if is_closed else "no dependency reaches"
        way_out = "pass docs=PUBLIC or docs=AUTHENTICATED" if is_closed else "map them to PUBLIC"
        yield (
            f"{reached} the docs pages {named}; {way_out}, or switch them off with "
            "FastAPI(openapi_url=None)"
        )


def cover(
    scope_map: ScopeMap, endpoints: Iterable[Endpoint], *, docs_map: ScopeMap | None = None
) -> Coverage:
    """Return the coverage of *endpoints* by *scope_map*, that of docs pages by *docs_map*."""
    return drained(covering(scope_map, list(endpoints), docs_map=docs_map))


def covering(
    scope_map: ScopeMap, known: Sequence[Endpoint], *, docs_map: ScopeMap | None = None
) -> Generator[None, None, Coverage]:
    """Make the coverage of the endpoints that are *known*, one after the other."""
    rules = scope_map.rules
    undeclared = scope_map.methods - METHODS - {WEBSOCKET, *(each.method for each in known)}
    named = dict.fromkeys(rule.method for rule in rules if rule.method not in undeclared)
    asked = [method for method in named if method not in {ANY_METHOD, MOUNT}]
    ledger = _Ledger(scope_map, docs_map or scope_map, asked)
    for endpoint in known:
        ledger.enter(endpoint)
        yield
    dead = dead_rules(
        [rule for rule in rules if rule not in ledger.won],
        known,
        beaten={rule: [by for by, _ in losses] for rule, losses in ledger.lost.items()},
        undeclared=undeclared,
    )
    return Coverage(
        endpoints=tuple(ledger.covered),
        dead=tuple(dead),
        shadowed=tuple(ledger.shadowed()),
        shared=tuple(ledger.shared()),
        notices=tuple(notices_on(ledger.decided)),
        contradictions=tuple(ledger.contradictions),
    )


@dataclass(slots=True)
class _Ledger:
    """What was seen of every rule, endpoint after endpoint."""

    scope_map: ScopeMap
    docs_map: ScopeMap
    asked: Sequence[str]
    """The methods whose rules decide where any is answered."""
    covered: list[CoveredEndpoint] = field(default_factory=list[CoveredEndpoint])
    contradictions: list[str] = field(default_factory=list[str])
    decided: list[Decided] = field(default_factory=list[Decided])
    won: dict[Rule, list[Endpoint]] = field(default_factory=dict[Rule, list[Endpoint]])
    lost: dict[Rule, list[tuple[Rule, Endpoint]]] = field(
        default_factory=dict[Rule, list[tuple[Rule, Endpoint]]]
    )

    def enter(self, endpoint: Endpoint) -> None:
        with collecting(self.contradictions):
            self._enter(endpoint)

    def _enter(self, endpoint: Endpoint) -> None:
        method, *others = self._methods_of(endpoint)
        first = self._resolve(method, endpoint)
        if endpoint.reach is Reach.OTHER_GUARD and (endpoint.mount or first.rule is None):
            # That guard's map decides there, and denies where it is silent.
            self.covered.append(CoveredEndpoint(endpoint, None, None))
            return
        found = {method: first, **{each: self._resolve(each, endpoint) for each in others}}
        self._record(endpoint, found.values())
        own, *more = (
            each.rule
            and with_scopes(each.rule, endpoint.scopes, where=f"{method} {endpoint.template}")
            for method, each in found.items()
        )
        rules = (own, *filter(None, more))
        holding = tuple(filter(None, rules))
        rule = holding[0] if holding else None
        self.covered.append(CoveredEndpoint(endpoint, rule, _gap_of(endpoint, rules)))
        self.decided.append((endpoint, holding))

    def _methods_of(self, endpoint: Endpoint) -> Sequence[str]:
        """Return the methods whose rules decide: its own; where it answers any, also all others."""
        if endpoint.method == ANY_METHOD:
            return (ANY_METHOD, *self.asked)
        return (endpoint.method if endpoint.kind.is_socket else http_method(endpoint.method),)

    def _resolve(self, method: str, endpoint: Endpoint) -> Resolution:
        scope_map = self.docs_map if endpoint.kind is Kind.DOCS else self.scope_map
        return scope_map.resolve(method, endpoint.template, is_mount=endpoint.kind.is_mount)

    def _record(self, endpoint: Endpoint, found: Iterable[Resolution]) -> None:
        winners = dict.fromkeys(winner for each in found for winner in each.winners)
        losses = dict.fromkeys(
            (loser, winner) for each in found for loser in each.losers for winner in each.winners
        )
        for winner in winners:
            self.won.setdefault(winner, []).append(endpoint)
        for loser, winner in losses:
            self.lost.setdefault(loser, []).append((winner, endpoint))

    def shadowed(self) -> Iterator[ShadowedRule]:
        for rule, losses in self.lost.items():
            for winner, endpoint in losses if rule in self.won else ():
                if winner.generation < rule.generation:
                    yield ShadowedRule(rule, winner, endpoint)

    def shared(self) -> Iterator[SharedRule]:
        for rule, endpoints in self.won.items():
            guarded = (each.mount for each in endpoints if each.reach is Reach.GUARDED)
            mounts = tuple(dict.fromkeys(guarded))
            if len(mounts) > 1:
                yield SharedRule(rule, mounts)


def _gap_of(endpoint: Endpoint, rules: Sequence[Rule | None]) -> Gap | None:
    """Return the gap under *rules*; where any method is answered, the first is that of ``*``."""
    is_ruled = any(rules)
    if endpoint.reach is Reach.UNRESOLVED:
        return Gap.UNRESOLVED
    if endpoint.reach in {Reach.GUARDED, Reach.PERIMETER}:
        # Of unknown paths nothing is known to be there; without a rule they are denied.
        return None if is_ruled or endpoint.kind is Kind.UNKNOWN_PATHS else Gap.NO_RULE
    if all(rule is not None and rule.requirement.access is Access.PUBLIC for rule in rules):
        return None
    if endpoint.reach is Reach.UNREACHABLE:
        return Gap.UNREACHABLE
    if endpoint.reach is Reach.OTHER_GUARD:
        return Gap.OTHER_GUARD
    return Gap.NOT_ENFORCED if is_ruled else Gap.OPEN
