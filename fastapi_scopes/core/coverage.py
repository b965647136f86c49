"""Coverage: which endpoint is ruled and enforced, and which rule decides nothing."""

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from fastapi_scopes.core.dead_rules import dead_rules
from fastapi_scopes.core.endpoints import Endpoint, Kind, Reach
from fastapi_scopes.core.findings import Finding, FindingCode, Severity
from fastapi_scopes.core.gaps import CoveredEndpoint, findings_on, gap_of
from fastapi_scopes.core.methods import ANY_METHOD, METHODS, MOUNT, WEBSOCKET, http_method
from fastapi_scopes.core.notices import Decided, notices_on
from fastapi_scopes.core.rules import Resolution, Rule, with_scopes
from fastapi_scopes.core.scope_map import ScopeMap
from fastapi_scopes.core.steps import drained
from fastapi_scopes.errors import ConfigurationError

__all__ = ["Coverage", "CoveredEndpoint", "Endpoint", "Kind", "Reach", "cover", "covering"]

_DEAD: Final = frozenset(
    {FindingCode.UNKNOWN_METHOD, FindingCode.NEVER_WINS, FindingCode.MATCHES_NOTHING}
)


@dataclass(frozen=True, slots=True)
class Coverage:
    """What a guard's map does to an application: all of it, endpoint by endpoint."""

    endpoints: tuple[CoveredEndpoint, ...]
    findings: tuple[Finding, ...] = ()
    """Everything that was found, faults and oddities."""

    @property
    def gaps(self) -> tuple[CoveredEndpoint, ...]:
        """The endpoints with which something is wrong."""
        return tuple(each for each in self.endpoints if each.gap is not None)

    @property
    def perimeter_only(self) -> tuple[CoveredEndpoint, ...]:
        """The endpoints that only a perimeter reaches, and no dependency."""
        return tuple(each for each in self.endpoints if not each.endpoint.kind.has_dependencies)

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Every contradiction, gap, dead rule, and option of the guard without effect."""
        return self._of(Severity.ERROR)

    @property
    def problems(self) -> tuple[str, ...]:
        """The `errors`, a sentence each."""
        return tuple(map(str, self.errors))

    @property
    def notices(self) -> tuple[str, ...]:
        """What is no gap and yet worth a look, a sentence each."""
        return tuple(map(str, self._of(Severity.NOTICE)))

    @property
    def dead(self) -> tuple[Finding, ...]:
        """The rules that win for no endpoint, where that is an error."""
        return tuple(each for each in self.errors if each.code in _DEAD)

    @property
    def shadowed(self) -> tuple[Finding, ...]:
        """Rules from the right side of a merge that lose to the left on some endpoints."""
        return tuple(each for each in self.findings if each.code is FindingCode.LOSES)

    @property
    def shared(self) -> tuple[Finding, ...]:
        """Rules that decide in more than one app."""
        return tuple(each for each in self.findings if each.code is FindingCode.SHARED)

    def _of(self, severity: Severity) -> tuple[Finding, ...]:
        return tuple(each for each in self.findings if each.severity is severity)

    def with_findings(self, more: Iterable[Finding]) -> "Coverage":
        """Return the same coverage, with what else was found."""
        return replace(self, findings=(*self.findings, *more))

    def without_dead(self) -> "Coverage":
        """Return the same, dead rules being no fault: they may be for what nobody sees."""
        found = (
            replace(each, severity=Severity.NOTICE) if each.code in _DEAD else each
            for each in self.findings
        )
        return replace(self, findings=tuple(found))

    def raise_on_gap(self) -> None:
        """Return where nothing is wrong.

        Raises:
            ConfigurationError: naming all `errors`.
        """
        ConfigurationError.raise_for(each.problem for each in self.errors)

    def raise_on_contradiction(self) -> None:
        """Return where no route asks for scopes although its rule is PUBLIC, or the like.

        Raises:
            ConfigurationError: naming all such routes.
        """
        found = (each for each in self.errors if each.code is FindingCode.CONTRADICTION)
        ConfigurationError.raise_for(each.problem for each in found)

    def __str__(self) -> str:
        found = [each for severity in Severity for each in self._of(severity)]
        counted = f"{len(self.endpoints)} endpoints, {len(self.gaps)} gaps"
        return "\n".join([counted, *map(str, found)])


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
    covered = tuple(ledger.covered)
    dead = dead_rules(
        [rule for rule in rules if rule not in ledger.won],
        known,
        beaten={rule: [by for by, _ in losses] for rule, losses in ledger.lost.items()},
        undeclared=undeclared,
    )
    findings = (
        *ledger.contradictions,
        *findings_on(covered),
        *dead,
        *ledger.shadowed(),
        *ledger.shared(),
        *notices_on(ledger.decided),
    )
    return Coverage(covered, findings)


@dataclass(slots=True)
class _Ledger:
    """What was seen of every rule, endpoint after endpoint."""

    scope_map: ScopeMap
    docs_map: ScopeMap
    asked: Sequence[str]
    """The methods that the map names; all count on an endpoint that answers any method."""
    covered: list[CoveredEndpoint] = field(default_factory=list[CoveredEndpoint])
    contradictions: list[Finding] = field(default_factory=list[Finding])
    decided: list[Decided] = field(default_factory=list[Decided])
    won: dict[Rule, list[Endpoint]] = field(default_factory=dict[Rule, list[Endpoint]])
    lost: dict[Rule, list[tuple[Rule, Endpoint]]] = field(
        default_factory=dict[Rule, list[tuple[Rule, Endpoint]]]
    )

    def enter(self, endpoint: Endpoint) -> None:
        try:
            self._enter(endpoint)
        except ConfigurationError as error:
            self.contradictions.extend(Finding.contradictions(error, endpoint))

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
        self.covered.append(CoveredEndpoint(endpoint, rule, gap_of(endpoint, rules)))
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

    def shadowed(self) -> Iterator[Finding]:
        for rule, losses in self.lost.items():
            for winner, endpoint in losses if rule in self.won else ():
                if winner.generation < rule.generation:
                    yield Finding(
                        FindingCode.LOSES,
                        Severity.WARNING,
                        endpoint,
                        rule,
                        f"{rule.key!r} loses to {winner.key!r} on {str(endpoint)!r}",
                        f"write {str(endpoint)!r} where it should decide there",
                    )

    def shared(self) -> Iterator[Finding]:
        for rule, endpoints in self.won.items():
            guarded = (each.mount for each in endpoints if each.reach is Reach.GUARDED)
            mounts = tuple(dict.fromkeys(guarded))
            if len(mounts) > 1:
                apps = ", ".join(repr(mount or "/") for mount in mounts)
                yield Finding(
                    FindingCode.SHARED,
                    Severity.WARNING,
                    None,
                    rule,
                    f"{rule.key!r} decides in the apps at {apps}",
                    "protect the outer app, where keys begin with the prefixes of mounts",
                )
