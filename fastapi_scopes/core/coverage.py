"""Coverage: which endpoint is ruled and enforced, and which rule decides nothing."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum

from fastapi_scopes.core.requirements import Access, Requirement
from fastapi_scopes.core.scope_map import ANY_METHOD, Resolution, Rule, ScopeMap
from fastapi_scopes.core.templates import GlobMatch, Pattern, RouteTemplate
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


class Kind(Enum):
    """What answers at an endpoint."""

    API_ROUTE = "API route"
    API_WEBSOCKET = "API WebSocket route"
    ROUTE = "plain route"
    WEBSOCKET = "plain WebSocket route"
    MOUNT = "mounted ASGI app"
    FRONTEND = "frontend"
    DOCS = "docs page"
    UNKNOWN_PATHS = "unknown paths behind other code"


# Where FastAPI runs dependencies.
_DEPENDENT = frozenset({Kind.API_ROUTE, Kind.API_WEBSOCKET, Kind.FRONTEND})


class Reach(Enum):
    """Whether the guard runs there."""

    GUARDED = "the guard runs"
    OTHER_GUARD = "another guard runs"
    UNGUARDED = "no guard runs"
    UNREACHABLE = "no dependency can run"
    UNRESOLVED = "the guard runs, but the framework does not say which route"
    PERIMETER = "a perimeter decides"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method on one route template, as an application has it."""

    method: str
    """An HTTP method, ``WEBSOCKET``, or ``*`` where any is answered."""
    template: RouteTemplate
    kind: Kind
    reach: Reach
    source: str = ""
    """Where it is defined: ``module.name`` of the function or app."""
    mount: str = ""
    """Where the app that holds the route is mounted; empty for the app that was looked at."""
    scopes: tuple[str, ...] = ()
    """What the route itself asks for with ``Security(guard, scopes=[...])``."""
    never_none: tuple[str, ...] = ()
    """Parameters that take the claims and whose annotation does not allow None."""

    def __str__(self) -> str:
        return f"{self.method} {self.template}"


class Gap(Enum):
    """Why an endpoint is open, or shut by accident."""

    OPEN = (
        "{endpoint} is open: no rule, and no guard runs; put Depends(guard) on the route and add a"
        " rule, or map it to PUBLIC"
    )
    NO_RULE = "no rule for {endpoint}; add one, or map it to PUBLIC"
    NOT_ENFORCED = "nothing enforces {rule} on {endpoint}; put Depends(guard) on the route"
    OTHER_GUARD = "another guard decides on {endpoint}, {rule} does not; drop one of the two"
    UNREACHABLE = "no dependency reaches {endpoint} ({kind}); map it to PUBLIC, or take it out"
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
        return self.gap.value.format(
            endpoint=self,
            rule=repr(self.rule.key) if self.rule else "",
            kind=self.endpoint.kind.value,
        )


@dataclass(frozen=True, slots=True)
class DeadRule:
    """A rule that wins for no endpoint, and those that win wherever it matches."""

    rule: Rule
    shadowed_by: tuple[Rule, ...] = ()
    meant: RouteTemplate | None = None
    """A route that the rule matches but for the names or the values of parameters."""

    def __str__(self) -> str:
        key = repr(self.rule.key)
        if self.shadowed_by:
            others = ", ".join(repr(rule.key) for rule in self.shadowed_by)
            return f"{key} wins for no endpoint, {others} wins before it; drop one of them"
        if self.meant is not None:
            return (
                f"{key} does not match all that {str(self.meant)!r} stands for; write the "
                "parameters as the route does, or '*'"
            )
        return f"{key} matches no endpoint; correct it, or take it out"


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
        return tuple(each for each in self.endpoints if each.endpoint.kind not in _DEPENDENT)

    @property
    def problems(self) -> tuple[str, ...]:
        """Every contradiction, every gap, every dead rule and unmet option, a sentence each."""
        docs = [each for each in self.gaps if each.endpoint.kind is Kind.DOCS]
        return (
            *self.contradictions,
            *(each.problem for each in self.gaps if each.problem and each not in docs),
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
        gaps = len(self.gaps)
        found = [*self.problems, *map(str, self.shadowed), *map(str, self.shared), *self.notices]
        return "\n".join([f"{len(self.endpoints)} endpoints, {gaps} gaps", *found])


def _docs_problems(docs: Sequence[CoveredEndpoint]) -> Iterator[str]:
    # The docs pages are one decision of the developer's, so they are one gap.
    opened = {each.endpoint.template for each in docs if each.endpoint.method != "HEAD"}
    named = [
        str(each)
        for each in docs
        if each.endpoint.method != "HEAD" or each.endpoint.template not in opened
    ]
    if named:
        is_closed = all(each.endpoint.reach is Reach.PERIMETER for each in docs)
        reached = "no rule for" if is_closed else "no dependency reaches"
        way_out = "pass docs=PUBLIC or docs=AUTHENTICATED" if is_closed else "map them to PUBLIC"
        yield (
            f"{reached} the docs pages {', '.join(named)}; {way_out}, or switch them off with "
            "FastAPI(openapi_url=None)"
        )


def cover(
    scope_map: ScopeMap, endpoints: Iterable[Endpoint], *, docs_map: ScopeMap | None = None
) -> Coverage:
    """Return the coverage of *endpoints* by *scope_map*, that of docs pages by *docs_map*."""
    ledger = _Ledger(scope_map, docs_map or scope_map)
    for endpoint in endpoints:
        ledger.enter(endpoint)
    return Coverage(
        endpoints=tuple(ledger.covered),
        dead=tuple(ledger.dead()),
        shadowed=tuple(ledger.shadowed()),
        shared=tuple(ledger.shared()),
        notices=tuple(ledger.notices),
        contradictions=tuple(ledger.contradictions),
    )


@dataclass(slots=True)
class _Ledger:
    """What was seen of every rule, endpoint after endpoint."""

    scope_map: ScopeMap
    docs_map: ScopeMap
    covered: list[CoveredEndpoint] = field(default_factory=list[CoveredEndpoint])
    contradictions: list[str] = field(default_factory=list[str])
    notices: list[str] = field(default_factory=list[str])
    won: dict[Rule, list[Endpoint]] = field(default_factory=dict[Rule, list[Endpoint]])
    lost: dict[Rule, list[tuple[Rule, Endpoint]]] = field(
        default_factory=dict[Rule, list[tuple[Rule, Endpoint]]]
    )

    def enter(self, endpoint: Endpoint) -> None:
        with collecting(self.contradictions):
            self._enter(endpoint)

    def _enter(self, endpoint: Endpoint) -> None:
        ruled = self._map_of(endpoint).resolve(endpoint.method, endpoint.template).rule
        if endpoint.reach is Reach.OTHER_GUARD and (endpoint.mount or ruled is None):
            # That guard's map decides there, and denies where it is silent.
            self.covered.append(CoveredEndpoint(endpoint, None, None))
            return
        methods = self._methods_of(endpoint)
        for method in methods:
            self._record(endpoint, self._map_of(endpoint).resolve(method, endpoint.template))
        first, *others = (self._rule_of(endpoint, method) for method in methods)
        rules = (first, *filter(None, others))
        rule = next(filter(None, rules), None)
        self.covered.append(CoveredEndpoint(endpoint, rule, _gap_of(endpoint, rules)))
        if endpoint.kind is Kind.UNKNOWN_PATHS and rule is None:
            self.notices.append(
                f"paths of {str(endpoint.template)!r} that no route matches are denied, since code "
                f"in between could answer them; {str(endpoint)!r} would open them, and every route "
                "there that has no rule of its own"
            )
        self._notice_none(endpoint, rule)

    def _rule_of(self, endpoint: Endpoint, method: str) -> Rule | None:
        scope_map = self._map_of(endpoint)
        return scope_map.rule_for(method, endpoint.template, scopes=endpoint.scopes)

    def _map_of(self, endpoint: Endpoint) -> ScopeMap:
        return self.docs_map if endpoint.kind is Kind.DOCS else self.scope_map

    def _methods_of(self, endpoint: Endpoint) -> Sequence[str]:
        """Return the methods whose rules decide: its own; where it answers any, also all others."""
        if endpoint.method != ANY_METHOD:
            return (endpoint.method,)
        ruled = (rule.method for rule in self.scope_map.rules)
        return tuple(dict.fromkeys((ANY_METHOD, *ruled)))

    def _record(self, endpoint: Endpoint, found: Resolution) -> None:
        for winner in found.winners:
            self.won.setdefault(winner, []).append(endpoint)
        for loser in found.losers:
            for winner in found.winners:
                self.lost.setdefault(loser, []).append((winner, endpoint))

    def _notice_none(self, endpoint: Endpoint, rule: Rule | None) -> None:
        if rule is None or rule.requirement.access not in {Access.PUBLIC, Access.OPTIONAL}:
            return
        self.notices.extend(
            f"{name!r} of {endpoint.source} is None on {str(endpoint)!r} ({rule.requirement}); "
            "annotate it with '| None'"
            for name in endpoint.never_none
        )

    def dead(self) -> Iterator[DeadRule]:
        for rule in self.scope_map.rules:
            if rule in self.won:
                continue
            winners = tuple(dict.fromkeys(winner for winner, _ in self.lost.get(rule, ())))
            if any(w.key == rule.key and w.generation > rule.generation for w in winners):
                # Written again in a map of the other kind, on purpose.
                continue
            # A preset's rule may match nothing; that it loses to an older map is an error still.
            is_overruled = bool(winners) and all(w.generation < rule.generation for w in winners)
            if is_overruled or not rule.optional:
                yield DeadRule(rule, winners, self._meant(rule) if not winners else None)

    def _meant(self, rule: Rule) -> RouteTemplate | None:
        """Return the first template that *rule* misses by a parameter's name or value."""
        for each in self.covered:
            template = each.endpoint.template
            if rule.method in {each.endpoint.method, ANY_METHOD} and _misses(rule, template):
                return template
        return None

    def shadowed(self) -> Iterator[ShadowedRule]:
        for rule, losses in self.lost.items():
            for winner, endpoint in losses:
                if rule in self.won and winner.generation < rule.generation:
                    yield ShadowedRule(rule, winner, endpoint)

    def shared(self) -> Iterator[SharedRule]:
        for rule, endpoints in self.won.items():
            guarded = (each.mount for each in endpoints if each.reach is Reach.GUARDED)
            mounts = tuple(dict.fromkeys(guarded))
            if len(mounts) > 1:
                yield SharedRule(rule, mounts)


def _misses(rule: Rule, template: RouteTemplate) -> bool:
    if isinstance(rule.path, Pattern):
        return rule.path.nearly_matches(template)
    return rule.path.match(template) is GlobMatch.SOMETIMES


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
