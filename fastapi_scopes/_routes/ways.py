"""A connection on its way through the routers of an app."""

import re
from collections.abc import MutableMapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from starlette._utils import get_route_path
from starlette.applications import Starlette
from starlette.convertors import Convertor, PathConvertor, StringConvertor
from starlette.routing import BaseRoute, Host, Match
from starlette.types import ASGIApp

from fastapi_scopes._routes.asking import Noted, UnroutableError, answer_of, apart, ask, noted_of
from fastapi_scopes._routes.entries import Entry
from fastapi_scopes._routes.inner import Inner, inner_app, inner_of, is_same
from fastapi_scopes._routes.route import LocatedRoute
from fastapi_scopes.core.coverage import Kind
from fastapi_scopes.core.scope_map import ANY_METHOD, WEBSOCKET

if TYPE_CHECKING:
    from fastapi_scopes._routes.tables import RouterTable, Snapshot

__all__ = ["NOWHERE", "Candidate", "Place", "RouteChangedError", "Step", "Way", "place_of"]

Step = tuple[int, str]
"""A route by identity, and its template in its own router."""

NOWHERE: Final[Step] = (0, "")
"""No route: the router itself answers."""

_NEVER_RAISING: Final = frozenset({StringConvertor, PathConvertor})


@dataclass(slots=True, eq=False)
class Place:
    """Where a connection is while it is routed; nothing of it changes but what it remembers."""

    asgi_scope: MutableMapping[str, Any]
    is_socket: bool
    method: str
    path: str
    root_path: str
    outer: "Place | None" = None
    """Where it was before it was led here, if that was somewhere else."""
    entry: Entry | None = None
    """What led here from there."""
    app: ASGIApp | None = None
    """What it was led into."""
    _seen: dict[str, Any] | None = field(default=None, init=False)
    _noted: Noted | None = field(default=None, init=False)

    @property
    def route_path(self) -> str:
        """What is left of the path for the router that is looked at."""
        return get_route_path({"path": self.path, "root_path": self.root_path})

    def below(self, root_path: str, entry: Entry, app: ASGIApp) -> "Place":
        """Return the place of the same connection in *app* at *root_path*, led in by *entry*."""
        call = (self.asgi_scope, self.is_socket, self.method, self.path)
        return Place(*call, root_path, self, entry, app)

    def with_slash_changed(self) -> "Place":
        """Return the place to which a router would redirect."""
        ends = self.route_path.endswith("/")
        return replace(self, path=self.path.rstrip("/") if ends else self.path + "/")

    def to_scope(self) -> dict[str, Any]:
        """Return an ASGI scope for code that may write to it; see `seen`.

        Raises:
            UnroutableError: the code of a route on the way fails.
        """
        return apart(self.seen())

    def seen(self) -> dict[str, Any]:
        """Return the ASGI scope that routes see here, for who does not write to it.

        INVARIANT: it is what the framework has there, where no other code is in between
        (attacks/test_seen_scopes.py).

        Raises:
            UnroutableError: the code of a route on the way fails.
        """
        if self._seen is None:
            outer = self.asgi_scope if self.outer is None else self.outer.seen()
            found: MutableMapping[str, Any] = {}
            if self.entry is not None and isinstance(self.entry.route, BaseRoute):
                found = answer_of(self.entry.effective.matches, outer)[1]
            self._seen = {**outer, **found, "path": self.path, "root_path": self.root_path}
            if isinstance(self.app, Starlette):
                self._seen["app"] = self.app
        return self._seen

    def noted(self) -> Noted:
        """Return what routes may go by here.

        Raises:
            UnroutableError: the code of a route on the way fails.
        """
        if self._noted is None:
            self._noted = noted_of(self.seen(), self.asgi_scope)
        return self._noted


def place_of(asgi_scope: MutableMapping[str, Any]) -> Place:
    """Return where a connection is as its scope says."""
    is_socket = asgi_scope["type"] == "websocket"
    method = WEBSOCKET if is_socket else asgi_scope["method"]
    return Place(asgi_scope, is_socket, method, asgi_scope["path"], asgi_scope.get("root_path", ""))


@dataclass(slots=True, eq=False)
class Candidate:
    """A route that could match, and what it means in the guarded app."""

    entry: Entry
    route: LocatedRoute
    """The endpoint; where the entry leads to another router, all that is below it."""
    leads: bool
    """Whether it may lead to another router."""
    child: "RouterTable | None" = None
    """That of the router to which it led the last time."""
    _behind: LocatedRoute | None = None

    @property
    def step(self) -> Step:
        """The entry as a step on a way."""
        return id(self.entry.route), self.entry.path

    def inner(self) -> Inner | None:
        """Return the router to which the entry leads now, where it is one."""
        route = self.entry.route
        return inner_of(self.entry.effective) if isinstance(route, BaseRoute) else inner_app(route)

    def behind(self) -> LocatedRoute:
        """Return what stands for all paths behind other code between here and the router."""
        if self._behind is None:
            methods = frozenset({ANY_METHOD})
            self._behind = LocatedRoute(self.route.template, Kind.UNKNOWN_PATHS, methods)
        return self._behind

    def match(self, route_path: str, place: Place) -> Match:
        """Return what the framework's own matching says.

        Raises:
            UnroutableError: it fails.
            RouteChangedError: the route has another template than when it was read.
        """
        entry = self.entry
        if not entry.is_predictable:
            return _asked(entry, place)
        if entry.family is Host:
            return answer_of(entry.effective.matches, place.seen())[0]
        if entry.effective.path != entry.path:
            raise RouteChangedError
        found = entry.effective.path_regex.match(route_path)
        if found is None:
            return Match.NONE
        if found.re.groups:
            _convert(entry, found)
        methods = entry.listed_methods
        return Match.FULL if not methods or place.method in methods else Match.PARTIAL


class RouteChangedError(Exception):
    """A route changed in itself, of which its router knows nothing."""


def _convert(entry: Entry, found: re.Match[str]) -> None:
    """Convert what was found, as the framework does while it matches."""
    convertors: dict[str, Convertor[Any]] = entry.effective.param_convertors
    try:
        for name, convertor in convertors.items():
            if type(convertor) not in _NEVER_RAISING:
                convertor.convert(found[name])
    except Exception as error:
        # The developer's code, on the client's text: of which type is anybody's guess.
        raise UnroutableError from error


def _asked(entry: Entry, place: Place) -> Match:
    is_context = entry.context is not None and entry.effective is entry.context
    return ask(
        entry.route if is_context else entry.effective,
        place.seen(),
        context=entry.context if is_context else None,
        noted=place.noted(),
        asgi_scope=place.asgi_scope,
    )


@dataclass(slots=True, eq=False)
class Way:
    """How a connection gets to its endpoint, router by router."""

    call: tuple[bool, str]
    """Whether it is a socket, and the method; not the ASGI scope, in which this is kept."""
    route: LocatedRoute | None = None
    """The endpoint, or None where a router answers that there is none."""
    entry: Entry | None = None
    """The route of the framework that answers, where it is one of a router's."""
    is_refused: bool = False
    """Whether the framework itself would fail on the path."""
    redirected: LocatedRoute | None = None
    """Where a router points that has no such route."""
    steps: list[Step] = field(default_factory=list[Step])
    """One for every router that is visited."""
    visits: "list[tuple[RouterTable, Snapshot]]" = field(
        default_factory=list["tuple[RouterTable, Snapshot]"]
    )
    """The routers, each with its routes as they were read."""
    entered: list[tuple["Candidate", Inner | None]] = field(
        default_factory=list[tuple["Candidate", "Inner | None"]]
    )
    """What could lead to inner routers, and these."""

    def end(self, step: Step, route: LocatedRoute, entry: Entry | None = None) -> None:
        """Note that the way ends with *step*, at *route*."""
        self.steps.append(step)
        self.route, self.entry = route, entry

    def end_nowhere(self, redirected: LocatedRoute | None = None) -> None:
        """Note that a router answers that there is no route, or redirects to one."""
        self.steps.append(NOWHERE)
        self.route, self.redirected = self._behind_other_code(), redirected

    def _behind_other_code(self) -> LocatedRoute | None:
        """Return what stands for all unknown paths behind the first code that is not known.

        INVARIANT: that no route matches does not mean that nothing answers
        (attacks/test_rewriting.py).
        """
        behind = (
            each.behind() for each, inner in self.entered if inner is None or not inner.is_plain
        )
        return next(behind, None)

    def fail(self) -> None:
        """Note that nothing is found: the framework itself would fail on the path."""
        self.route, self.is_refused = None, True

    def is_current(self) -> bool:
        """Tell whether the connection would take the same way now."""
        return all(table.is_current(snapshot) for table, snapshot in self.visits) and all(
            is_same(inner, candidate.inner()) for candidate, inner in self.entered
        )

    def goes_on_like(self, other: "Way", visited: int) -> bool:
        """Tell whether *other*, from the router that is *visited* so manieth on, is the rest."""
        return self.call == other.call and self.steps[visited:] == other.steps
