"""The routes of one router, as the framework matches and runs them there."""

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any, Final

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import (
    APIRoute,
    APIRouter,
    APIWebSocketRoute,
    _IncludedRouter,  # pyright: ignore[reportPrivateUsage]
)
from starlette.applications import Starlette
from starlette.convertors import (
    CONVERTOR_TYPES,
    Convertor,
    FloatConvertor,
    IntegerConvertor,
    PathConvertor,
    StringConvertor,
    UUIDConvertor,
)
from starlette.routing import (
    PARAM_REGEX,
    BaseRoute,
    Host,
    Match,
    Mount,
    Route,
    Router,
    WebSocketRoute,
)
from starlette.staticfiles import StaticFiles

from fastapi_scopes._routing.framework import (
    attribute_of,
    computes,
    is_framework_function,
    runs_framework_code,
    wraps_framework_code,
)
from fastapi_scopes._routing.mounts import InnerRouter, inner_router_of, wrapped_router
from fastapi_scopes.core.endpoints import Kind
from fastapi_scopes.core.methods import ANY_METHOD, WEBSOCKET

__all__ = [
    "RouteNode",
    "UnroutableError",
    "default_node",
    "docs_of",
    "forget",
    "frontend_nodes",
    "included_routers_in",
    "is_not_found_patched",
    "own_default_of",
    "own_node",
    "route_nodes",
    "routers_with",
    "segments_of",
    "unread_in",
]

_FAMILIES: Final = (Route, WebSocketRoute, Mount, Host)
# What the framework's matching reads of a route.
_MATCHED_BY: Final = ("path", "path_regex", "param_convertors", "methods")
_ONE_SEGMENT: Final = frozenset(
    each.regex for each in (StringConvertor, IntegerConvertor, FloatConvertor, UUIDConvertor)
)
_NEVER_RAISING: Final = frozenset({StringConvertor, PathConvertor})

Answer = tuple[Match, dict[str, Any]]
"""What a route says of a connection: whether it matches, and what it adds to the ASGI scope."""


class UnroutableError(Exception):
    """The code of a route fails on a path, as it would when the framework asks it."""


@dataclass(slots=True, eq=False)
class RouteNode:
    """One route of a router, where that router has it."""

    route: Any
    """The route as its own router has it, the same object wherever that is included."""
    effective: Any
    """What is matched: the context or the copy that an inclusion makes, else the route."""
    inclusions: tuple[_IncludedRouter, ...] = ()
    """What the framework goes through to come to it, the outermost first."""
    context: Any = None
    """The context of the innermost inclusion, where there is one."""
    path: str = ""
    """Its template in the router that is looked at; of a mount, without what is below."""
    family: type[BaseRoute] | None = None
    """Which of the framework's kinds of routes is matched; None for any other, or for several."""
    is_predictable: bool = False
    """Whether the framework's own code matches it, by its compiled pattern."""
    frontend: Any = None
    """The frontend, where the route is a group of these."""
    is_low_priority: bool = False
    """Whether the router asks it where no other route matches."""
    is_default: bool = False
    """Whether it is no route but the router's default."""
    leads: bool = False
    """Whether it may lead to another router."""

    @property
    def identity(self) -> tuple[object, ...]:
        """The objects that it was read from, and its path there."""
        return _identity_of(self.route, self.effective, self.path)

    @property
    def key(self) -> tuple[object, ...]:
        """What tells it from the other routes of its router, whoever looks at them."""
        return id(self.route), self.path, id(self.frontend)

    @property
    def kind(self) -> Kind:
        """What answers there."""
        if self.frontend is not None:
            return Kind.FRONTEND
        if self.family is WebSocketRoute:
            is_api = isinstance(self.route, APIWebSocketRoute)
            return Kind.API_WEBSOCKET if is_api else Kind.WEBSOCKET
        if self.family is Route:
            return Kind.API_ROUTE if isinstance(self.route, APIRoute) else Kind.ROUTE
        return Kind.MOUNT if self.family is Mount else Kind.OPAQUE

    @property
    def methods(self) -> frozenset[str]:
        """The methods that are answered; ``*`` stands for any.

        What matches in its own way may answer others than it lists.
        """
        is_certain = self.is_predictable or self.family not in {Route, WebSocketRoute}
        return self.spelled_methods if is_certain else self.spelled_methods | {ANY_METHOD}

    @property
    def spelled_methods(self) -> frozenset[str]:
        """The methods that the route lists, or ``*`` where it lists none."""
        if self.frontend is not None:
            return frozenset(self.frontend.methods)
        if self.family not in {Route, WebSocketRoute}:
            # Not a subclass: that may answer other methods.
            is_static = type(attribute_of(self.effective, "app")) is StaticFiles
            return frozenset({"GET", "HEAD"} if is_static else {ANY_METHOD})
        listed = (WEBSOCKET,) if self.family is WebSocketRoute else self.listed_methods
        return frozenset(listed or {ANY_METHOD})

    @property
    def listed_methods(self) -> Collection[str]:
        """The methods to which the framework keeps it; none where it looks at none."""
        methods = attribute_of(self.effective, "methods") if self.family is Route else None
        return methods or ()

    @property
    def takes_requests(self) -> bool:
        """Whether it may match what is no socket."""
        return self.family is not WebSocketRoute or not self.is_predictable

    @property
    def takes_sockets(self) -> bool:
        """Whether it may match a socket."""
        return self.family is not Route or not self.is_predictable

    @property
    def dependant(self) -> Dependant | None:
        """The tree of its dependencies, where it has one."""
        owner = self.context if self.frontend is not None and self.context else self.effective
        dependant: Dependant | None = attribute_of(owner, "dependant")
        return dependant

    @property
    def target(self) -> object:
        """What answers: of a route its function, of a mount its app, of an inclusion its router."""
        if self.frontend is not None:
            return attribute_of(self.frontend, "app")
        names = ("endpoint", "app", "original_router")
        targets = (attribute_of(self.effective, name) for name in names)
        return next((each for each in targets if each is not None), self.effective)

    @property
    def matched(self) -> Any:
        """What has the methods by which it is matched and run."""
        return _matched(self.route, self.effective)

    @property
    def answers_partial(self) -> bool:
        """Whether code that is not the framework's answers a method that it does not list."""
        return not runs_framework_code(self.matched, "handle")

    def inner(self) -> InnerRouter | None:
        """Return the router to which it leads now, where it is one."""
        return wrapped_router(self.route) if self.is_default else inner_router_of(self.effective)

    def texts_in(self, route_path: str) -> dict[str, str] | None:
        """Return the path parameters as they are written, or None where the path is another's.

        For predictable nodes; of a mount, without what is below.
        """
        found = self.effective.path_regex.match(route_path)
        texts: dict[str, str] | None = found.groupdict() if found is not None else None
        if texts is not None and self.family is Mount:
            texts.pop("path", None)
        return texts

    def match(self, route_path: str, method: str) -> Answer:
        """Return what the framework's own matching says; for predictable nodes.

        Raises:
            UnroutableError: a convertor fails on what is in the path.
        """
        found = self.effective.path_regex.match(route_path)
        if found is None:
            return Match.NONE, {}
        parameters: dict[str, Any] = found.groupdict() if found.re.groups else {}
        if parameters:
            self._convert(parameters)
        methods = self.listed_methods
        is_partial = bool(methods) and method not in methods
        return (Match.PARTIAL if is_partial else Match.FULL), parameters

    def _convert(self, parameters: dict[str, Any]) -> None:
        convertors: dict[str, Convertor[Any]] = self.effective.param_convertors
        try:
            for name, value in parameters.items():
                convertor = convertors[name]
                if type(convertor) not in _NEVER_RAISING:
                    parameters[name] = convertor.convert(value)
        except Exception as error:
            # The developer's code, on the client's text: of which type is anybody's guess.
            raise UnroutableError from error

    def ask(self, asgi_scope: dict[str, Any]) -> Answer:
        """Return what the route itself says of *asgi_scope*, to which it may write.

        Raises:
            UnroutableError: it fails.
        """
        matches, before = self.effective.matches, asgi_scope.get("fastapi")
        if self.context is not None and self.effective is self.context:
            # As the framework does it: the route asks its scope for the context of the inclusion.
            asgi_scope["fastapi"] = {**(before or {}), "effective_route_context": self.context}
            matches = self.route.matches
        try:
            match, found = matches(asgi_scope)
            return Match(match), dict(found)
        except Exception as error:
            # The developer's code, on the client's text: of which type is anybody's guess.
            raise UnroutableError from error
        finally:
            asgi_scope["fastapi"] = before if before is not None else {}

    def ask_frontend(self, asgi_scope: dict[str, Any]) -> tuple[Match, int | None]:
        """Return what a frontend says of *asgi_scope*, and how specific its path is.

        Raises:
            UnroutableError: it fails.
        """
        try:
            if self.frontend is None:
                match, found = self.effective.matches(asgi_scope)
            else:
                match, found = self.frontend.matches_with_path(asgi_scope, self.path or "/")
            return Match(match), found.get("fastapi", {}).get("frontend_specificity")
        except Exception as error:
            raise UnroutableError from error


def route_nodes(
    router: Router, opens: Callable[[APIRouter], bool], known: dict[tuple[object, ...], RouteNode]
) -> Iterator[RouteNode]:
    """Yield the routes of *router* in its order, included ones where they are included.

    An included router that *opens* says no to is one node. A node that is *known*, and is still
    what it was, is yielded again.
    """
    # A list of its own: others may run while these are looked at.
    for route in list(router.routes):
        if isinstance(route, _IncludedRouter):
            yield from _included_nodes(route, (), opens, known)
        else:
            yield _known_node(known, route, route, None, ())


def _included_nodes(
    included: _IncludedRouter,
    outer: tuple[_IncludedRouter, ...],
    opens: Callable[[APIRouter], bool],
    known: dict[tuple[object, ...], RouteNode],
) -> Iterator[RouteNode]:
    if not opens(included.original_router) or not wraps_framework_code(
        included, "matches", "handle"
    ):
        path = included.include_context.prefix
        yield RouteNode(included, included, outer, path=path)
        return
    inclusions = (*outer, included)
    for candidate in list(included.effective_candidates()):
        if isinstance(candidate, _IncludedRouter):
            yield from _included_nodes(candidate, inclusions, opens, known)
        else:
            route = candidate.original_route
            effective = candidate.starlette_route or candidate
            yield _known_node(known, route, effective, candidate, inclusions)


def _known_node(
    known: dict[tuple[object, ...], RouteNode],
    route: BaseRoute,
    effective: Any,
    context: Any,
    inclusions: tuple[_IncludedRouter, ...],
) -> RouteNode:
    path = attribute_of(effective, "path")
    path = path if isinstance(path, str) else ""
    node = known.get(_identity_of(route, effective, path))
    if node is not None and node.route is route and node.effective is effective:
        node.inclusions = inclusions
        return node
    matched = _matched(route, effective)
    families = [each for each in _FAMILIES if isinstance(matched, each)]
    # INVARIANT: what is of two kinds may match as either (attacks/test_route_kinds.py).
    family = families[0] if len(families) == 1 else None
    is_predictable = (
        family is not None
        and runs_framework_code(effective, "matches")
        and runs_framework_code(matched, "matches")
        and not computes(effective, *_MATCHED_BY)
    )
    node = RouteNode(route, effective, inclusions, context, path, family, is_predictable)
    node.leads = _leads(node)
    return node


def _identity_of(route: object, effective: object, path: str) -> tuple[object, ...]:
    return id(route), id(effective), path


def own_node(route: BaseRoute) -> RouteNode:
    """Return what *route* is in the router that has it."""
    return _known_node({}, route, route, None, ())


def _matched(route: object, effective: Any) -> Any:
    return route if isinstance(route, APIRoute) else effective


def _leads(node: RouteNode) -> bool:
    if not node.is_predictable or isinstance(node.route, APIRoute) or node.answers_partial:
        return False
    if node.family in {Mount, Host}:
        return True
    # A route may have another router for an endpoint.
    return isinstance(attribute_of(node.effective, "endpoint"), Router | Starlette)


def frontend_nodes(router: Router) -> Iterator[RouteNode]:
    """Yield what *router* asks where no route matches: frontends, one by one."""
    if not isinstance(router, APIRouter):
        return
    owners: Iterator[Any] = router._iter_low_priority_routes()
    for owner in owners:
        group: Any = getattr(owner, "original_route", owner)
        context = owner if group is not owner else None
        frontends = attribute_of(group, "routes")
        if not hasattr(group, "add_frontend_route") or frontends is None:
            yield RouteNode(group, owner, context=context, is_low_priority=True)
            continue
        for frontend in frontends:
            path = (getattr(owner, "frontend_prefix", "") + frontend.path).rstrip("/")
            yield RouteNode(
                group, owner, context=context, path=path, frontend=frontend, is_low_priority=True
            )


def own_default_of(router: Router) -> Any:
    """Return what of the developer's answers where no route matches, or None."""
    return None if _not_found_in(router) is not None else router.default


def is_not_found_patched(router: Router) -> bool:
    """Tell whether what the framework answers where no route matches was replaced by other code."""
    found = _not_found_in(router)
    return found is not None and not is_framework_function(found)


def _not_found_in(router: Router) -> object:
    """Return the function by which the framework's class says that there is no route, or None."""
    default = router.default
    owner = attribute_of(default, "__self__")
    if not isinstance(owner, Router) or attribute_of(default, "__name__") != "not_found":
        return None
    definer = next((each for each in type(owner).__mro__ if "not_found" in vars(each)), None)
    is_frameworks = definer in {Router, APIRouter} and "not_found" not in vars(owner)
    return attribute_of(default, "__func__") if is_frameworks else None


def default_node(default: Any) -> RouteNode:
    """Return *default*, which answers what no route matches, as if it were a mount."""
    return RouteNode(default, default, is_default=True, leads=True)


def included_routers_in(router: Router) -> Iterator[APIRouter]:
    """Yield the routers that *router* includes, at any depth."""
    for route in list(router.routes):
        if isinstance(route, _IncludedRouter):
            yield from _behind(route)


def routers_with(router: Router, seen: tuple[Router, ...] = ()) -> Iterator[Router]:
    """Yield *router* and those that it includes, before FastAPI makes anything of them."""
    # Not by `in`: routers are equal where their routes are.
    if any(router is each for each in seen):
        return
    yield router
    for route in list(router.routes):
        if isinstance(route, _IncludedRouter):
            yield from routers_with(route.original_router, (*seen, router))


def _behind(included: _IncludedRouter) -> Iterator[APIRouter]:
    yield included.original_router
    yield from included_routers_in(included.original_router)
    # INVARIANT: what FastAPI still serves is looked at too, if it was taken out meanwhile
    # (attacks/test_late_sharing.py).
    for candidate in included._effective_candidates:
        if isinstance(candidate, _IncludedRouter):
            yield from _behind(candidate)


def unread_in(router: Router) -> list[_IncludedRouter]:
    """Return the inclusions in *router* of which FastAPI has made nothing yet."""
    inclusions = (each for each in list(router.routes) if isinstance(each, _IncludedRouter))
    return [each for each in inclusions if each._effective_candidates_version is None]


def forget(included: _IncludedRouter) -> None:
    """Let FastAPI make anew what it makes of an inclusion, as it does for the first connection.

    INVARIANT: what is put on an included route until then counts, and runs
    (attacks/test_late_dependencies.py).
    """
    included._effective_candidates_version = None
    included._effective_low_priority_routes_version = None


def docs_of(app: object) -> frozenset[str]:
    """Return the paths of the docs pages of *app*."""
    if not isinstance(app, FastAPI) or not app.openapi_url:
        return frozenset()
    urls = (app.openapi_url, app.docs_url, app.redoc_url, app.swagger_ui_oauth2_redirect_url)
    return frozenset(url for url in urls if url)


def segments_of(node: RouteNode) -> tuple[list[str | None], bool]:
    """Return the segments by which a path may lead to *node*, and whether more may follow.

    INVARIANT: what is not known for sure leaves the way open; a trie that misses a candidate
    would let another route be decided on than the framework would run
    (fuzz/test_differential.py).
    """
    if not node.is_predictable or node.family is Host:
        return [], True
    template = node.path + ("/{path:path}" if node.family is Mount else "")
    actual: re.Pattern[str] = node.effective.path_regex
    # Not compiled: Python remembers 512 patterns, and an app may have more.
    if not template.startswith("/") or (actual.pattern, actual.flags) != (
        _pattern_text(template),
        re.UNICODE,
    ):
        return [], True
    return _known_segments(template)


def _pattern_text(template: str) -> str | None:
    """Return what the framework compiles of *template*, or None where a convertor is gone."""
    text, position = "^", 0
    for parameter in PARAM_REGEX.finditer(template):
        convertor = CONVERTOR_TYPES.get((parameter[2] or ":str")[1:])
        if convertor is None:
            return None
        text += re.escape(template[position : parameter.start()])
        text += f"(?P<{parameter[1]}>{convertor.regex})"
        position = parameter.end()
    return text + re.escape(template[position:]) + "$"


def _known_segments(template: str) -> tuple[list[str | None], bool]:
    """Return the leading segments of *template*, and whether it may go on beyond them."""
    segments: list[str | None] = []
    for text in template.split("/"):
        kinds = [(each[2] or ":str")[1:] for each in PARAM_REGEX.finditer(text)]
        if any(CONVERTOR_TYPES[kind].regex not in _ONE_SEGMENT for kind in kinds):
            return segments, True
        segments.append(None if kinds else text)
    return segments, False
