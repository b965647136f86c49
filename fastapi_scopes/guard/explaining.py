"""Explains what a guard would do with a request, by the code that decides on requests."""

import re
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast
from urllib.parse import unquote

from starlette.applications import Starlette

from fastapi_scopes._lines import listed, one_line
from fastapi_scopes._routing import (
    RouteMatch,
    RouteTree,
    endpoints_of,
    mounted_app_of,
    protected_endpoints_of,
)
from fastapi_scopes.authorization import AccessRequest, Rulebook, Verdict, usable_method_of
from fastapi_scopes.core.candidates import candidates_of
from fastapi_scopes.core.claims import Claims
from fastapi_scopes.core.decisions import Decision, Reason
from fastapi_scopes.core.endpoints import Endpoint, Reach
from fastapi_scopes.core.methods import WEBSOCKET
from fastapi_scopes.core.rules import Resolution
from fastapi_scopes.core.scopes import require_scope_token, scopes_in
from fastapi_scopes.errors import ConfigurationError, ConfigurationProblem, collecting
from fastapi_scopes.events import reason_of
from fastapi_scopes.guard.arguments import required_app
from fastapi_scopes.guard.dependency import DependencyEdge
from fastapi_scopes.guard.explanation import NO_GUARD, NO_ROUTE, Explanation
from fastapi_scopes.perimeter import Perimeter, perimeter_of

__all__ = ["Asked", "explanation_of"]

_FAR: Final = 2**40
# RFC 9110 5.6.2: a token, whatever the rules of a map may name.
_METHOD: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_WAYS_OUT: Final = {
    Reason.MISSING_CREDENTIALS: "send a token, or map the route to PUBLIC",
    Reason.DENIED: "the rule is DENY; write what may pass in its place",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that nobody has sent."""

    method: str
    path: str
    claims: Claims | None
    """The claims of its caller; None is a caller without a token."""
    caller: str

    @classmethod
    def of(cls, method: object, path: object, *, scopes: object, claims: object) -> "Asked":
        """Return the request that is asked about.

        Raises:
            ConfigurationError: naming every argument that is none.
        """
        problems: list[ConfigurationProblem] = []
        if not isinstance(method, str) or not _METHOD.fullmatch(method):
            remedy = "write 'GET', or 'WEBSOCKET'"
            problems.append(ConfigurationProblem("is no method", remedy, setting="method"))
        if not isinstance(path, str) or not path.startswith("/"):
            problems.append(
                ConfigurationProblem("is no path", "write one like '/items/7'", setting="path")
            )
        caller, told = "without a token", None
        with collecting(problems):
            caller, told = _caller_of(scopes, claims)
        ConfigurationError.raise_for(problems)
        decoded = unquote(cast("str", path).partition("?")[0])
        return cls(cast("str", method), decoded, told, caller)

    def asgi_scope(self, app: Starlette) -> dict[str, Any]:
        """Return the ASGI scope of the request, as a server makes it for *app*."""
        is_socket = self.method == WEBSOCKET
        scope: dict[str, Any] = {
            "type": "websocket" if is_socket else "http",
            "path": self.path,
            "raw_path": self.path.encode(errors="surrogateescape"),
            "root_path": "",
            "query_string": b"",
            "scheme": "wss" if is_socket else "https",
            "headers": [(b"host", b"localhost")],
            "server": ("localhost", 443),
            "client": None,
            "app": app,
            "state": {},
        }
        return {**scope, **({"subprotocols": []} if is_socket else {"method": self.method})}


def _caller_of(scopes: object, claims: object) -> tuple[str, Claims | None]:
    if scopes is not None and claims is not None:
        raise ConfigurationError.of("scopes= and claims= are both given", "keep one")
    if claims is not None:
        if not isinstance(claims, Claims):
            raise ConfigurationError.of(
                f"is a {type(claims).__name__!r}", "pass Claims(...)", setting="claims"
            )
        return _holding(claims.scopes), claims
    if scopes is None:
        return "without a token", None
    if isinstance(scopes, str) or not isinstance(scopes, Sequence):
        meant = scopes_in(scopes) if isinstance(scopes, str) else ["app:read"]
        raise ConfigurationError.of("is no list", f"write {meant!r}", setting="scopes")
    problems: list[ConfigurationProblem] = []
    for position, each in enumerate(cast("Sequence[object]", scopes)):
        with collecting(problems, setting=f"scopes[{position}]"):
            require_scope_token(each)
    ConfigurationError.raise_for(problems)
    held = frozenset(cast("Sequence[str]", scopes))
    return _holding(held), Claims(exp=_FAR, scopes=held)


def _holding(scopes: frozenset[str]) -> str:
    return one_line(f"with the scopes {' '.join(sorted(scopes)) or '(none)'}")


def explanation_of(asked: Asked, app: object, edge: DependencyEdge) -> Explanation:
    """Return what the guard of *edge* would do with the request to *app*.

    Raises:
        ConfigurationError: *app* is no app.
    """
    checked = required_app(app, "explain()")
    perimeter = perimeter_of(checked)
    if perimeter is not None and perimeter.guard is edge.guard:
        return _explain_by_perimeter(asked, perimeter)
    return _explain_by_dependency(asked, checked, edge)


def _explain_by_perimeter(asked: Asked, perimeter: Perimeter) -> Explanation:
    match, verdict = perimeter.verdict_for(asked.asgi_scope(perimeter.app), asked.claims)
    endpoints = protected_endpoints_of(perimeter.tree(), perimeter.guard)
    return _explanation(asked, match, verdict, perimeter.rules, endpoints)


def _explain_by_dependency(asked: Asked, app: Starlette, edge: DependencyEdge) -> Explanation:
    match, holder, scope = _find(app, asked.asgi_scope(app), edge.tree_of)
    tree_of, is_guard = edge.tree_of, edge.is_guard
    found = [*endpoints_of(holder, edge.guard, tree_of=tree_of, is_guard=is_guard)]
    endpoint = _endpoint_at(match, asked.method, found)
    is_denied = endpoint is not None and endpoint.reach is Reach.UNRESOLVED
    is_guarded = endpoint is not None and endpoint.reach is Reach.GUARDED
    if match.route is not None and not is_guarded and not is_denied:
        reach = "no guard runs" if endpoint is None else endpoint.reach.value
        return Explanation(
            method=asked.method,
            path=asked.path,
            caller=asked.caller,
            template=str(match.route.template),
            source="" if endpoint is None else endpoint.source,
            allowed=True,
            reason=NO_GUARD,
            way_out=f"{reach}: put Depends(guard) on the route, or protect the app",
        )
    if match.route is None and usable_method_of(scope) is not None:
        # Nothing runs: the app itself answers.
        verdict = Verdict(AccessRequest(None, asked.method, looks_at_credentials=False))
    else:
        # Where the framework does not say which route runs, no rule holds.
        verdict = edge.verdict_for(None if is_denied else match.route, scope, asked.claims)
    return _explanation(asked, match, verdict, edge.rules, found)


def _find(
    app: Starlette,
    asgi_scope: dict[str, Any],
    tree_of: Callable[[Starlette], RouteTree],
    outer: tuple[Starlette, ...] = (),
) -> tuple[RouteMatch, Starlette, MutableMapping[str, Any]]:
    """Return where a connection leads, the app that has the route, and its scope there."""
    match = tree_of(app).preview(asgi_scope)
    inner = mounted_app_of(match)
    if inner is None or any(inner[0] is each for each in (*outer, app)):
        return match, app, asgi_scope
    return _find(*inner, tree_of, (*outer, app))


def _explanation(
    asked: Asked,
    match: RouteMatch,
    verdict: Verdict,
    rules: Rulebook,
    endpoints: Iterator[Endpoint] | Sequence[Endpoint],
) -> Explanation:
    route = match.route
    endpoint = _endpoint_at(match, asked.method, endpoints)
    resolution = rules.candidates_for(asked.method, route) if route is not None else Resolution()
    cause = verdict.cause
    return Explanation(
        method=asked.method,
        path=asked.path,
        caller=asked.caller,
        template=None if route is None else str(route.template),
        source="" if endpoint is None else endpoint.source,
        rule=None if verdict.rule is None or route is None else verdict.rule.key,
        requirement=None if verdict.rule is None else str(verdict.rule.requirement),
        candidates=candidates_of(resolution),
        allowed=verdict.problem is None,
        reported=verdict.reported,
        reason=NO_ROUTE if cause is None else reason_of(cause),
        missing=cause.missing if isinstance(cause, Decision) else (),
        problem=verdict.problem,
        way_out=_way_out(asked, verdict, match),
    )


def _endpoint_at(
    match: RouteMatch, method: str, endpoints: Iterator[Endpoint] | Sequence[Endpoint]
) -> Endpoint | None:
    if match.route is None:
        return None
    template = match.route.template
    there = [each for each in endpoints if each.template == template]
    named = [each for each in there if each.method == method]
    return next(iter(named or there), None)


def _way_out(asked: Asked, verdict: Verdict, match: RouteMatch) -> str:
    cause = verdict.cause
    if not isinstance(cause, Decision) or (verdict.problem is None and not verdict.reported):
        return ""
    if cause.reason is Reason.INSUFFICIENT_SCOPE:
        return f"the token needs {listed(cause.missing)}, or the rule asks for too much"
    if verdict.rule is None and match.route is not None:
        return f"add a rule for '{asked.method} {match.route.template}'"
    return _WAYS_OUT.get(cause.reason, "")
