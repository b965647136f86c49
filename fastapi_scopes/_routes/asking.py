"""Routes that match in their own way: asked once for every connection."""

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Final

from starlette.routing import Match

__all__ = ["UnroutableError", "answer_of", "ask", "keep_apart"]

_ANSWERS: Final = "fastapi_scopes.matched"
_CALL: Final = ("type", "method", "path", "root_path")
# What routers note of their own work: it differs from one to the next, and no route goes by it.
_NOTES: Final = ("fastapi", "starlette.")
_ROUTED: Final = frozenset({"router", "route"})

Answer = tuple[Match, MutableMapping[str, Any]]


class UnroutableError(Exception):
    """The code of a route fails on a path, as it would when the framework asks it."""


@dataclass(eq=False)
class _Remembered:
    """Takes the place of a route's own `matches`: the router is told what the guard was told."""

    route: object
    matches: Callable[[MutableMapping[str, Any]], Answer]
    is_patched: bool
    """Whether that one is not the class's but was set on the route."""

    def __call__(self, asgi_scope: MutableMapping[str, Any]) -> Answer:
        known = asgi_scope.get(_ANSWERS, {}).get(self.key(asgi_scope))
        if known is None:
            return self.matches(asgi_scope)
        _, (match, found) = known
        # What outer mounts found of the path belongs to it.
        parameters = {**asgi_scope.get("path_params", {}), **found.get("path_params", {})}
        return match, {**found, "path_params": parameters} if found else {}

    def key(self, asgi_scope: MutableMapping[str, Any]) -> tuple[object, ...]:
        context = asgi_scope.get("fastapi", {}).get("effective_route_context")
        return id(self), id(context), *(asgi_scope.get(name) for name in _CALL)


def keep_apart(asgi_scope: MutableMapping[str, Any]) -> None:
    """Let no other connection have what routes say on this one, though it has a copy of this scope.

    INVARIANT: between a decision and the router a token may be waited for
    (attacks/test_seen_scopes.py).
    """
    known = asgi_scope.get(_ANSWERS)
    if known is not None:
        asgi_scope[_ANSWERS] = dict(known)


def ask(route: Any, seen: MutableMapping[str, Any], asgi_scope: MutableMapping[str, Any]) -> Match:
    """Return what *route* says of the scope that it would see, on the connection *asgi_scope*.

    INVARIANT: the router gets the same answer; a route may say another thing whenever it is
    asked (attacks/test_route_classes.py). It is asked again where the scope is not what it was
    (attacks/test_seen_scopes.py).

    Raises:
        UnroutableError: it fails.
    """
    remembered = _remembered(route)
    answers = asgi_scope.setdefault(_ANSWERS, {})
    key, noted = remembered.key(seen), _noted(seen)
    known = answers.get(key)
    if known is None or not _is_same(known[0], noted):
        known = answers[key] = noted, answer_of(remembered.matches, seen)
    answer: Answer = known[1]
    return answer[0]


def _noted(seen: MutableMapping[str, Any]) -> dict[str, Any]:
    """Return what a route may go by, out of the reach of whoever changes the scope."""
    return {
        name: _kept(value)
        for name, value in seen.items()
        if name not in _ROUTED and not name.startswith(_NOTES)
    }


def _kept(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(value)
    return dict(value) if isinstance(value, dict) else value


def _is_same(noted: dict[str, Any], other: dict[str, Any]) -> bool:
    try:
        return noted == other
    except Exception:  # noqa: BLE001 - what is in a scope may compare as it likes
        return False


def _remembered(route: Any) -> _Remembered:
    """Return what takes the place of the `matches` of *route*, from now on.

    Raises:
        UnroutableError: nothing can; another answer than the guard's would lead the router.
    """
    own = getattr(route, "__dict__", {}).get("matches")
    if isinstance(own, _Remembered):
        if own.route is route:
            return own
        # FastAPI includes a copy of a mount, with all that was set on it.
        own = own.matches if own.is_patched else None
    bound = own if own is not None else type(route).matches.__get__(route)
    remembered = _Remembered(route, bound, is_patched=own is not None)
    try:
        # Also where the class of the route takes no attributes.
        object.__setattr__(route, "matches", remembered)
    except (AttributeError, TypeError) as error:
        raise UnroutableError from error
    return remembered


def answer_of(
    matches: Callable[[MutableMapping[str, Any]], Answer], seen: MutableMapping[str, Any]
) -> Answer:
    """Return what *matches* says of the scope *seen*.

    Raises:
        UnroutableError: it fails.
    """
    try:
        match, found = matches({**seen, "headers": list(seen["headers"])})
        return Match(match), dict(found)
    except Exception as error:
        # The developer's code, on the client's text: of which type is anybody's guess.
        raise UnroutableError from error
