"""The routes of one router, as the framework matches them there."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Final

from fastapi.dependencies.models import Dependant
from fastapi.routing import (
    APIRoute,
    APIRouter,
    APIWebSocketRoute,
    _IncludedRouter,  # pyright: ignore[reportPrivateUsage]
)
from starlette.convertors import (
    Convertor,
    FloatConvertor,
    IntegerConvertor,
    StringConvertor,
    UUIDConvertor,
)
from starlette.routing import BaseRoute, Host, Mount, Route, Router, WebSocketRoute, compile_path

from fastapi_scopes._routes.framework import attribute_of, computes, runs_framework_code
from fastapi_scopes._routes.watched import Signal, is_watched, watch
from fastapi_scopes.core.coverage import Kind
from fastapi_scopes.core.scope_map import ANY_METHOD, WEBSOCKET

__all__ = ["Entry", "entries_of", "segments_of", "watch_all"]

_FAMILIES: Final = (Route, WebSocketRoute, Mount, Host)
# What the framework's matching reads of a route.
_MATCHED_BY: Final = ("path", "path_regex", "param_convertors", "methods")
_ONE_SEGMENT: Final = frozenset(
    each.regex for each in (StringConvertor, IntegerConvertor, FloatConvertor, UUIDConvertor)
)


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One route of a router."""

    route: BaseRoute
    """The route as its own router has it, the same object wherever that is included."""
    effective: Any
    """What is matched: the context or the copy that an inclusion makes, else the route."""
    context: Any = None
    """The context of the inclusion, where there is one."""
    path: str = ""
    """Its template in the router that is looked at; of a mount, without what is below."""
    family: type[BaseRoute] | None = None
    """Which of the framework's kinds of routes is matched; None for any other, or for several."""
    is_predictable: bool = False
    """Whether the framework's own code matches it, by its compiled pattern."""

    @property
    def kind(self) -> Kind:
        """What answers there."""
        if self.family is WebSocketRoute:
            is_api = isinstance(self.route, APIWebSocketRoute)
            return Kind.API_WEBSOCKET if is_api else Kind.WEBSOCKET
        if self.family is Route:
            return Kind.API_ROUTE if isinstance(self.route, APIRoute) else Kind.ROUTE
        return Kind.MOUNT

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods that are answered; ``*`` stands for any."""
        # What matches in its own way may answer others than it lists.
        others = () if self.is_predictable else (ANY_METHOD,)
        if self.family is WebSocketRoute:
            return (WEBSOCKET, *others)
        listed: Collection[str] = self.listed_methods or (ANY_METHOD,)
        return tuple(sorted({*listed, *others}))

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
        dependant: Dependant | None = attribute_of(self.effective, "dependant")
        return dependant

    @property
    def answers_partial(self) -> bool:
        """Whether code that is not the framework's answers a method that it does not list."""
        return not runs_framework_code(_matched(self.route, self.effective), "handle")


def entries_of(router: Router) -> Iterator[Entry]:
    """Yield the routes of *router* in its order, included ones where they are included."""
    for route in router.routes:
        if not isinstance(route, _IncludedRouter):
            yield _entry(route, route, None)
        elif _matches_as_the_framework(route.original_router):
            for context in route.effective_route_contexts():
                effective = context.starlette_route or context
                yield _entry(context.original_route, effective, context)
        else:
            yield Entry(route, route, None, route.include_context.prefix)


def watch_all(router: Router, signal: Signal) -> bool:
    """Count with *signal* the changes of *router* and of all that it includes, at any depth.

    Return whether that one can be watched; included ones that cannot are unpredictable.
    """
    can_be = watch(router, signal)
    for route in router.routes:
        if isinstance(route, _IncludedRouter):
            _watch_included(route, signal)
    return can_be


def _watch_included(included: _IncludedRouter, signal: Signal) -> None:
    watch_all(included.original_router, signal)
    # INVARIANT: what FastAPI still serves is watched too, if it was taken out meanwhile
    # (attacks/test_late_sharing.py).
    for candidate in included.effective_candidates():
        if isinstance(candidate, _IncludedRouter):
            _watch_included(candidate, signal)


def _matches_as_the_framework(router: APIRouter) -> bool:
    nested = (each for each in router.routes if isinstance(each, _IncludedRouter))
    return (
        is_watched(router)
        and runs_framework_code(router, "matches", "handle")
        and all(_matches_as_the_framework(each.original_router) for each in nested)
    )


def _entry(route: BaseRoute, effective: Any, context: Any) -> Entry:
    matched = _matched(route, effective)
    families = [each for each in _FAMILIES if isinstance(matched, each)]
    # INVARIANT: what is of two kinds may match as either (attacks/test_route_kinds.py).
    family = families[0] if len(families) == 1 else None
    is_predictable = (
        family is not None
        and runs_framework_code(matched, "matches")
        and not computes(effective, *_MATCHED_BY)
    )
    path = attribute_of(effective, "path")
    path = path if isinstance(path, str) else ""
    return Entry(route, effective, context, path, family, is_predictable)


def _matched(route: object, effective: Any) -> Any:
    """Return what has the methods by which an entry is matched and run."""
    return route if isinstance(route, APIRoute) else effective


def segments_of(entry: Entry) -> tuple[list[str | None], bool]:
    """Return the segments by which a path may lead to *entry*, and whether more may follow.

    INVARIANT: what is not known for sure leaves the way open; a trie that misses a candidate
    would let the framework run what nobody decided on (fuzz/test_differential.py).
    """
    if not entry.is_predictable or entry.family is Host:
        return [], True
    template = entry.path + ("/{path:path}" if entry.family is Mount else "")
    expected, _, convertors = compile_path(template)
    actual = entry.effective.path_regex
    if not template.startswith("/") or (actual.pattern, actual.flags) != (
        expected.pattern,
        expected.flags,
    ):
        return [], True
    return _known_segments(template, convertors)


def _known_segments(
    template: str, convertors: dict[str, Convertor[Any]]
) -> tuple[list[str | None], bool]:
    """Return the leading segments of *template*, and whether it may go on beyond them."""
    segments: list[str | None] = []
    for text in template.split("/"):
        names = [name for name in convertors if f"{{{name}}}" in text or f"{{{name}:" in text]
        if any(convertors[name].regex not in _ONE_SEGMENT for name in names):
            return segments, True
        segments.append(None if names else text)
    return segments, False
