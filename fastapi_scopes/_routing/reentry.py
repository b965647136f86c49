"""Finds mounted apps that lead back to the app that they are mounted in.

Such are MCP servers made of an API. Nothing is open there: each endpoint runs by a verdict of its
own. `check` names them, because that verdict depends on the credentials of the inner call.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from types import FunctionType, MethodType, ModuleType
from typing import Any, Final

from starlette.applications import Starlette

from fastapi_scopes._lines import listed
from fastapi_scopes._routing.enforcement import endpoint_of
from fastapi_scopes._routing.framework import attribute_of
from fastapi_scopes._routing.index import Place, RouteIndex
from fastapi_scopes._routing.inventory import inner_app_of
from fastapi_scopes._routing.tree import RouteTree
from fastapi_scopes.core.endpoints import Kind
from fastapi_scopes.core.findings import Finding, FindingCode

__all__ = ["reentries_below", "reentries_of"]

# So many objects of a mounted app are looked at; its client is near the surface, or hidden.
_LOOKED_AT: Final = 1_000
_ATOMS: Final = (type, ModuleType, str, bytes, int, float, type(None))


@dataclass(frozen=True, slots=True)
class _Level:
    """An app with its places, but without those of the apps that are mounted in it."""

    app: Starlette
    mount: str
    outer: tuple["_Level", ...]
    places: dict[int, Place] = field(default_factory=dict[int, Place])
    """By the endpoint, which a route and its copies share."""


def reentries_below(index: RouteIndex, app: Starlette) -> Iterator[Finding]:
    """Yield a finding for each app below *index*, that of *app*, which leads back to it."""

    def split(places: Iterable[Place]) -> Iterator[tuple[Place, Starlette | None, Iterable[Place]]]:
        for place in places:
            inner = place.inner.app if place.inner is not None else None
            found = place.index.places() if place.index is not None else ()
            if isinstance(inner, Starlette):
                yield place, inner, found
            else:
                yield place, None, ()
                yield from split(found)

    yield from _findings(list(_levels(app, index.places(), split)))


def reentries_of(app: Starlette, tree_of: Callable[[Starlette], RouteTree]) -> Iterator[Finding]:
    """Yield the same for *app*, which no perimeter encloses."""

    def split(places: Iterable[Place]) -> Iterator[tuple[Place, Starlette | None, Iterable[Place]]]:
        for place in places:
            inner = inner_app_of(place)
            yield place, inner, tree_of(inner).places() if inner is not None else ()

    yield from _findings(list(_levels(app, tree_of(app).places(), split)))


def _levels(
    app: Starlette,
    places: Iterable[Place],
    split: Callable[[Iterable[Place]], Iterable[tuple[Place, Starlette | None, Iterable[Place]]]],
    mount: str = "",
    outer: tuple[_Level, ...] = (),
) -> Iterator[_Level]:
    level = _Level(app, mount, outer)
    yield level
    for place, inner, below in split(places):
        level.places[id(endpoint_of(place.node.route) or place.node.route)] = place
        if inner is not None and all(inner is not each.app for each in (*outer, level)):
            where = mount + place.route.template.text.removesuffix("/**")
            yield from _levels(inner, below, split, where, (*outer, level))


def _findings(levels: list[_Level]) -> Iterator[Finding]:
    apps = {id(level.app): level.mount or "/" for level in levels}
    for level in levels:
        yield from _on_own_routes(level)
        for place in level.places.values():
            if place.inner is None and place.route.kind not in {Kind.MOUNT, Kind.OPAQUE}:
                continue
            inner = inner_app_of(place)
            others = {each: where for each, where in apps.items() if each != id(inner)}
            called = _called_by(attribute_of(place.node.effective, "app"), others)
            if called is not None:
                yield Finding.notice(
                    FindingCode.CALLS_ANOTHER_APP,
                    f"{str(place.route.template)!r} calls the app at {called!r} within the "
                    "process; each such call is decided on the Authorization that it carries "
                    "itself",
                    "hand on that of the caller",
                )


def _on_own_routes(level: _Level) -> Iterator[Finding]:
    for outer in level.outer:
        shared = [place for key, place in level.places.items() if key in outer.places]
        both = [place for place in shared if place.route.kind.is_route]
        # A router that both include is not the whole app; its docs pages are of no other.
        theirs = (each.route.kind.is_route for each in outer.places.values())
        if both and (len(shared) > len(both) or len(both) == sum(theirs)):
            yield Finding.notice(
                FindingCode.MADE_OF_ROUTES,
                f"the app at {level.mount!r} is made of routes of the app at "
                f"{outer.mount or '/'!r} that it is mounted in: "
                f"{listed(each.route.template for each in both)}; each runs by the rule for the "
                "path that is asked for",
                "rule both alike",
            )


def _called_by(mounted: object, apps: Mapping[int, str]) -> str | None:
    """Return the path of the app in *apps* that a client within *mounted* calls, or None.

    A client has what httpx takes for a transport, with an app to call.
    """
    seen, waiting = {id(mounted)}, deque([mounted])
    for _ in range(_LOOKED_AT):
        if not waiting:
            break
        found = waiting.popleft()
        if hasattr(type(found), "handle_async_request"):
            called = id(attribute_of(found, "app"))
            if called in apps:
                return apps[called]
        for each in _parts_of(found):
            if id(each) not in seen and id(each) not in apps:
                seen.add(id(each))
                waiting.append(each)
    return None


def _parts_of(found: Any) -> Iterable[object]:
    if isinstance(found, _ATOMS):
        return ()
    if isinstance(found, dict):
        return list(found.values())
    if isinstance(found, list | tuple | set | frozenset | deque):
        return list(found)
    if isinstance(found, MethodType):
        return (found.__self__, found.__func__)
    if isinstance(found, FunctionType):
        cells: list[object] = []
        for cell in found.__closure__ or ():
            # One that is not filled yet.
            with suppress(ValueError):
                cells.append(cell.cell_contents)
        return cells
    return list(getattr(found, "__dict__", {}).values())
