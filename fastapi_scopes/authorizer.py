"""From what a connection asks for to a verdict: look up, verify, decide."""

import logging
import re
from collections.abc import Callable, Container, Iterable, Iterator, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from fastapi_scopes.core.claims import Claims
from fastapi_scopes.core.credentials import (
    field_without_offers,
    offers_of,
    parse_credentials,
    without_offers,
)
from fastapi_scopes.core.decisions import Decision, decide
from fastapi_scopes.core.endpoints import Kind
from fastapi_scopes.core.grants import Grants
from fastapi_scopes.core.methods import ANY_METHOD, METHODS, WEBSOCKET, http_method
from fastapi_scopes.core.problems import Problem, ProtectionSpace, problem_of
from fastapi_scopes.core.requirements import Access, RequirementLike
from fastapi_scopes.core.rules import Rule
from fastapi_scopes.core.scope_map import ScopeMap
from fastapi_scopes.core.templates import RouteTemplate
from fastapi_scopes.errors import (
    ConfigurationError,
    CredentialsError,
    TokenError,
    TokenFault,
    VerifierUnavailable,
)
from fastapi_scopes.verifiers.base import TokenVerifier

__all__ = [
    "Asked",
    "Authorizer",
    "ConnectionState",
    "OnItsWay",
    "Route",
    "Rules",
    "Running",
    "Verdict",
    "VerifiedTokens",
    "asked_of",
    "fields_of",
    "fork_state",
    "is_unruly",
    "method_of",
    "state_of",
    "verdict_of",
    "with_docs",
    "withhold_from",
]

_log = logging.getLogger("fastapi_scopes")

_STATE: Final = "fastapi_scopes"
# Routers match decoded paths with regular expressions whose `$` also matches before a
# trailing newline: what is matched there and what runs need not be what was written.
_CONTROL: Final = re.compile(r"[\x00-\x1F\x7F]")
_UNNAMED: Final = ""
_PROTOCOL_FIELD: Final = b"sec-websocket-protocol"
# More than any client sends; to look through more would be work that a caller asks for.
_MAX_FIELDS: Final = 1_000

_Field = tuple[bytes, bytes]


class Route(Protocol):
    """An endpoint, as rules see it."""

    @property
    def template(self) -> RouteTemplate: ...  # noqa: D102
    @property
    def kind(self) -> Kind: ...  # noqa: D102
    @property
    def scopes(self) -> tuple[str, ...]:
        """What the route itself asks for."""
        ...

    @property
    def bound(self) -> dict[str, Rule | None]:
        """The rules that were found for it."""
        ...


@dataclass(frozen=True, slots=True)
class Asked:
    """What a verdict rests on; another of these needs another verdict."""

    route: Route | None
    """The endpoint; None where there is none, or none that a rule could hold for."""
    method: str
    path: str
    authorization: tuple[bytes, ...] = field(repr=False)
    offers: tuple[str, ...] = field(default=(), repr=False)
    """The subprotocols of a handshake that are meant as credentials."""
    looks_at_credentials: bool = True

    def is_asked_by(self, asgi_scope: MutableMapping[str, Any]) -> bool:
        """Tell whether a connection has the method and the credentials that this rests on.

        What was withheld among subprotocols is no more to be seen.
        """
        if method_of(asgi_scope) != self.method or not self.looks_at_credentials:
            return method_of(asgi_scope) == self.method
        now = asked_of(asgi_scope, self.route)
        return now.authorization == self.authorization and now.offers in {(), self.offers}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a guard says of a connection."""

    asked: Asked
    claims: Claims | None = field(default=None, repr=False)
    problem: Problem | None = None
    """Why the connection may not pass; None where it may."""


@dataclass(slots=True)
class Running:
    """An endpoint that runs by verdicts of perimeters."""

    route: object
    """The route of the framework, where that asked for the verdicts; None for other code."""
    verdicts: dict[object, Verdict] = field(default_factory=dict[object, Verdict], repr=False)
    """By guard."""


@dataclass(slots=True)
class VerifiedTokens:
    """What was found on one connection, per verifier; none sees another's claims."""

    _found: dict[int, tuple[object, str, Claims]] = field(default_factory=dict, repr=False)

    async def verify(self, token: str, verifier: TokenVerifier[Claims]) -> Claims:
        """Return the claims of *token*, verified by *verifier* now or before on the connection.

        Raises:
            TokenError: the token is not valid here.
            VerifierUnavailable: the issuer cannot be reached.
        """
        known = self._found.get(id(verifier))
        if known is not None and known[0] is verifier and known[1] == token:
            return known[2]
        claims: object = await verifier.verify(token)
        if not isinstance(claims, Claims):
            # INVARIANT: a verifier that returns anything else lets no one in
            # (attacks/test_claims.py: test_verifier_without_claims_lets_no_one_in).
            raise TokenError(TokenFault.CLAIMS)
        self._found[id(verifier)] = (verifier, token, claims)
        return claims


@dataclass(frozen=True, slots=True)
class Withheld:
    """Credentials that were among the subprotocols of a handshake, and what was left of it."""

    offers: tuple[str, ...] = field(repr=False)
    others: tuple[str, ...]


class OnItsWay(Protocol):
    """What was decided on a connection, and whether that has yet to come to its endpoint."""

    is_over: bool
    """Whether the connection has ended."""

    @property
    def is_on_its_way(self) -> bool: ...  # noqa: D102
    def is_bound_to(self, asgi_scope: MutableMapping[str, Any], guard: object) -> bool:
        """Tell whether the claims were made known in this very scope for *guard*."""
        ...


@dataclass(slots=True)
class ConnectionState:
    """What guards found on one connection."""

    owner: int = 0
    """The `id` of the ASGI scope that it was made for; a copy of that has another."""
    verified: VerifiedTokens = field(default_factory=VerifiedTokens)
    verdicts: dict[object, Verdict] = field(default_factory=dict[object, Verdict])
    """Per guard, which is equal to itself alone: its latest verdict."""
    passages: dict[object, OnItsWay] = field(default_factory=dict[object, OnItsWay], repr=False)
    """Per perimeter."""
    running: Running | None = None
    admin_scope: str | None = None
    withheld: Withheld | None = None
    """What was withheld from the application, among its subprotocols."""

    def __deepcopy__(self, memo: dict[int, Any]) -> "ConnectionState":
        # Whoever copies a scope in depth has of it what others have in a shallow copy.
        return self

    def is_of(self, asgi_scope: MutableMapping[str, Any]) -> bool:
        """Tell whether it was found on this very connection, of which a copy may be another.

        INVARIANT: the client's address tells no two connections apart, nor does a context variable
        (attacks/test_shared_connections.py).
        """
        if self.owner == id(asgi_scope):
            return True
        # A middleware may have copied the scope on its way to what runs.
        named = asgi_scope.get("route")
        is_running = self.running is not None and named is not None and named is self.running.route
        return any(
            each.is_on_its_way or (is_running and not each.is_over)
            for each in self.passages.values()
        )


def state_of(asgi_scope: MutableMapping[str, Any]) -> ConnectionState:
    """Return what guards found on a connection so far."""
    state = asgi_scope.get(_STATE)
    if not isinstance(state, ConnectionState):
        state = asgi_scope[_STATE] = ConnectionState(id(asgi_scope))
    return state


def fork_state(asgi_scope: MutableMapping[str, Any]) -> ConnectionState:
    """Return the state for a decision that begins: what was found so far on the connection.

    INVARIANT: no other connection has it, though its scope may be a copy of this one's
    (attacks/test_shared_connections.py).
    """
    known = state_of(asgi_scope)
    is_same = known.is_of(asgi_scope)
    state = asgi_scope[_STATE] = ConnectionState(
        id(asgi_scope),
        # What was verified a while ago, for somebody else, may be over by now.
        known.verified if is_same else VerifiedTokens(),
        dict(known.verdicts),
        dict(known.passages),
        withheld=known.withheld if is_same else None,
        admin_scope=known.admin_scope,
    )
    return state


def verdict_of(asgi_scope: MutableMapping[str, Any], guard: object) -> Verdict | None:
    """Return the latest verdict of *guard* on a connection, or None where it gave none."""
    return state_of(asgi_scope).verdicts.get(guard)


def is_unruly(asgi_scope: MutableMapping[str, Any]) -> bool:
    """Tell whether no rule holds for a connection, wherever it leads."""
    path = asgi_scope["path"]
    if not path.isprintable() and _CONTROL.search(path):
        return True
    if asgi_scope["type"] != "http":
        return False
    # An HTTP method of that name is not what the rules mean by it; and an application that
    # takes `delete` for DELETE would run what the rule for DELETE is about.
    method = asgi_scope["method"]
    return method == ANY_METHOD or _is_misspelt(method, METHODS)


def _is_misspelt(method: str, known: Container[str]) -> bool:
    return method not in known and method.upper() in known


def asked_of(
    asgi_scope: MutableMapping[str, Any], route: Route | None, rule: Rule | None = None
) -> Asked:
    """Return what a connection asks for, by way of *route*, under *rule*."""
    method, path = method_of(asgi_scope), asgi_scope["path"]
    if rule is not None and rule.requirement.access is Access.PUBLIC:
        # No token is looked at.
        return Asked(route, method, path, (), looks_at_credentials=False)
    fields = _authorization_in(asgi_scope)
    offers = _offers_in(asgi_scope) if asgi_scope["type"] == "websocket" else ()
    return Asked(route, method, path, fields, offers)


def method_of(asgi_scope: MutableMapping[str, Any]) -> str:
    """Return the method of a connection, in the words of rules."""
    is_socket = asgi_scope["type"] == "websocket"
    return WEBSOCKET if is_socket else http_method(asgi_scope["method"])


def _authorization_in(asgi_scope: MutableMapping[str, Any]) -> tuple[bytes, ...]:
    """Return the Authorization fields; where no one would look for one, two that are none."""
    fields = fields_of(asgi_scope)
    if len(fields) > _MAX_FIELDS:
        return (b"", b"")
    return tuple(value for name, value in fields if name == b"authorization")


def fields_of(asgi_scope: MutableMapping[str, Any]) -> list[_Field]:
    """Return the header fields of a connection, from now on a list."""
    held = asgi_scope.get("headers")
    # Any iterable is allowed, and none is what calls by hand have.
    fields: list[_Field] = held if isinstance(held, list) else list(held or ())
    if fields is not held:
        asgi_scope["headers"] = fields
    return fields


def _offers_in(asgi_scope: MutableMapping[str, Any]) -> tuple[str, ...]:
    """Return the credentials among the subprotocols, those included that were withheld."""
    subprotocols = list(asgi_scope.get("subprotocols") or ())
    fields = [value for name, value in fields_of(asgi_scope) if name == _PROTOCOL_FIELD]
    offers = offers_of(subprotocols, fields)
    # INVARIANT: what was withheld on one connection is no credential of a copy of its scope
    # (attacks/test_copied_scopes.py).
    state = state_of(asgi_scope)
    is_left = state.withheld is not None and state.withheld.others == tuple(
        without_offers(subprotocols)
    )
    if state.withheld is None or not is_left or not state.is_of(asgi_scope):
        return offers
    return (*state.withheld.offers, *offers)


def _withhold(offers: tuple[str, ...], asgi_scope: MutableMapping[str, Any]) -> None:
    """Take *offers*, once they are looked at, out of what the application sees.

    INVARIANT: no application can answer with a token or log it
    (attacks/test_subprotocol_tokens.py: test_application_never_sees_the_token).
    """
    state = state_of(asgi_scope)
    others = without_offers(asgi_scope.get("subprotocols") or ())
    withheld = Withheld(offers, tuple(others)) if offers else None
    if state.withheld == withheld:
        return
    state.withheld = withheld
    _replace(asgi_scope, "subprotocols", others)
    _replace(asgi_scope, "headers", list(_fields_without_offers(fields_of(asgi_scope))))


def withhold_from(fields: list[_Field]) -> None:
    """Take all offers out of *fields*, the headers of a handshake that were read before."""
    fields[:] = _fields_without_offers(fields)


def _fields_without_offers(fields: Iterable[_Field]) -> Iterator[_Field]:
    for name, value in fields:
        if name != _PROTOCOL_FIELD:
            yield name, value
        elif kept := field_without_offers(value):
            yield name, kept


def _replace(asgi_scope: MutableMapping[str, Any], key: str, values: list[Any]) -> None:
    held = asgi_scope.get(key)
    if isinstance(held, list):
        # The headers of a connection that were read before hold this very list.
        held[:] = values
    else:
        asgi_scope[key] = values


def with_docs(
    scope_map: ScopeMap, docs: RequirementLike | None, templates: Iterable[RouteTemplate]
) -> ScopeMap:
    """Return *scope_map* with *docs* for the docs pages at *templates* where it is silent.

    A preset does not count, but for what it denies: what the developer says comes before it.

    Raises:
        ConfigurationError: the path of a page cannot be the key of a rule.
    """
    if docs is None:
        return scope_map
    silent = [each for each in templates if _may_fill(scope_map.resolve("GET", each).winners)]
    return scope_map | ScopeMap({f"GET {each}": docs for each in silent}, optional=True)


def _may_fill(winners: Iterable[Rule]) -> bool:
    return all(rule.optional and rule.requirement.access is not Access.DENY for rule in winners)


class Rules:
    """The rules of one map on routes, each bound when it is first asked for."""

    def __init__(self, scope_map: ScopeMap, docs: RequirementLike | None = None) -> None:
        """Bind the rules of *scope_map*, and *docs* to docs pages that it does not name."""
        self._scope_map = scope_map
        self._docs = docs
        self._named = METHODS | {WEBSOCKET} | scope_map.methods

    def rule_for(self, method: str, route: Route | None) -> Rule | None:
        """Return the rule that holds for *method* on *route*, or None: no one passes there."""
        if route is None or _is_misspelt(method, self._named):
            return None
        # No rule names any other method, so all of these are one: a route that answers any
        # method would keep as many as clients think of.
        known = method if method in self._named else _UNNAMED
        if known not in route.bound:
            route.bound[known] = self._bind(method, route)
        return route.bound[known]

    def _bind(self, method: str, route: Route) -> Rule | None:
        try:
            scope_map = self._scope_map
            if route.kind is Kind.DOCS:
                scope_map = with_docs(scope_map, self._docs, [route.template])
            return scope_map.rule_for(
                method, route.template, scopes=route.scopes, is_mount=route.kind.is_mount
            )
        except ConfigurationError as error:
            # `check` raises this at start-up; without it the route stays shut.
            _log.error("%s", error)
            return None


@dataclass(frozen=True, slots=True)
class Authorizer:
    """Gives verdicts, with one verifier and one way in which scopes grant."""

    verifier: TokenVerifier[Any]
    grants: Grants
    space: ProtectionSpace
    bind: Callable[[MutableMapping[str, Any], Any], None] | None = None
    admin_issuers: frozenset[str] | None = None
    """From which issuers the admin scope counts; None is from whomever the verifier verifies."""

    async def judge(
        self,
        asked: Asked,
        rule: Rule | None,
        asgi_scope: MutableMapping[str, Any],
        *,
        stand_in: Claims | None = None,
    ) -> Verdict:
        """Return the verdict under *rule* on who is asking.

        *stand_in* takes the place of what the verifier would say. A token that is looked at
        is in *asgi_scope* no longer, where it was a subprotocol.
        """
        try:
            decision = await self._decide(asked, rule, asgi_scope, stand_in)
        except (CredentialsError, TokenError, VerifierUnavailable) as error:
            return self._refusal(asked, error)
        if not decision.allowed:
            return Verdict(asked, problem=problem_of(decision, self.space))
        # What `decide` read stays out of the reach of whoever gets the claims.
        claims = decision.claims.model_copy() if decision.claims is not None else None
        return Verdict(asked, claims)

    def bind_to(self, verdict: Verdict, asgi_scope: MutableMapping[str, Any]) -> Problem | None:
        """Make the claims of *verdict* known to the application; return why it must not run."""
        if self.bind is None or verdict.claims is None:
            return None
        state_of(asgi_scope).admin_scope = self.grants.admin_scope
        try:
            self.bind(asgi_scope, verdict.claims)
        except (CredentialsError, TokenError, VerifierUnavailable) as error:
            return self._refusal(verdict.asked, error).problem
        except Exception as error:  # noqa: BLE001 - the developer's code, on a caller's claims
            # INVARIANT: nobody is let in whom the application was not told of, and nothing of the
            # caller's is said (attacks/test_claims.py).
            _log.error("bind failed, the caller is refused: %s", type(error).__name__)
            return self._refusal(verdict.asked, TokenError(TokenFault.CLAIMS)).problem
        return None

    async def _decide(
        self,
        asked: Asked,
        rule: Rule | None,
        asgi_scope: MutableMapping[str, Any],
        stand_in: Claims | None,
    ) -> Decision:
        if rule is not None and rule.requirement.access is Access.PUBLIC:
            # No token is looked at, so an issuer's outage cannot close a public route.
            return decide(rule, stand_in, self.grants)
        _withhold(asked.offers, asgi_scope)
        if stand_in is not None:
            return decide(rule, stand_in, self.grants)
        credentials = parse_credentials(asked.authorization, asked.offers)
        if credentials is None:
            return decide(rule, None, self.grants)
        verified = state_of(asgi_scope).verified
        claims = await verified.verify(credentials.token, self.verifier)
        return decide(rule, self._limited(claims), self.grants)

    def _limited(self, claims: Claims) -> Claims:
        """Return *claims* without the admin scope, where it is not their issuer's to give."""
        admin_scope = self.grants.admin_scope
        if admin_scope is None or self.admin_issuers is None or claims.iss in self.admin_issuers:
            return claims
        return claims.model_copy(update={"scopes": claims.scopes - {admin_scope}})

    def _refusal(
        self, asked: Asked, error: CredentialsError | TokenError | VerifierUnavailable
    ) -> Verdict:
        # The path is the client's text; the template is ours. The caller learns no code.
        where = asked.route.template if asked.route is not None else "an unknown route"
        _log.info("refused %s on %s: %s", asked.method, where, error.code)
        return Verdict(asked, problem=problem_of(error, self.space))
