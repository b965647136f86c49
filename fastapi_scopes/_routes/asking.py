"""Routes that match in their own way: asked once for every connection."""

from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Final

from starlette.routing import Match

__all__ = ["Noted", "UnroutableError", "answer_of", "apart", "ask", "keep_apart", "noted_of"]

_ANSWERS: Final = "fastapi_scopes.matched"
_CALL: Final = ("type", "method", "path", "root_path")
# What the framework notes of its own work, and we of ours: it differs from one router to the next,
# and no route goes by it.
_NOTES: Final = frozenset(
    {
        *("router", "route", "fastapi", "fastapi.telemetry", "fastapi_middleware_astack"),
        *("fastapi_inner_astack", "fastapi_function_astack", "fastapi_async_cleanup_scopes"),
        *("starlette.exception_handlers", "starlette.opentelemetry", "fastapi_scopes", _ANSWERS),
    }
)

Answer = tuple[Match, MutableMapping[str, Any]]
Noted = dict[str, Any]
"""What a route may go by, out of the reach of whoever changes the scope."""


class UnroutableError(Exception):
    """The code of a route fails on a path, as it would when the framework asks it."""


@dataclass(slots=True)
class _Answers:
    """What routes said on one connection."""

    given: dict[object, tuple[Noted, Answer]] = field(
        default_factory=dict[object, tuple[Noted, Answer]]
    )
    noted: dict[object, list[Noted]] = field(default_factory=dict[object, list[Noted]])
    """What they were shown, by what was called; where it is the same, it is the same object."""


@dataclass(eq=False)
class _Remembered:
    """Takes the place of a route's own `matches`: the router is told what the guard was told."""

    route: object
    matches: Callable[[MutableMapping[str, Any]], Answer]
    is_patched: bool
    """Whether that one is not the class's but was set on the route."""

    def __call__(self, asgi_scope: MutableMapping[str, Any]) -> Answer:
        answers = asgi_scope.get(_ANSWERS, _NO_ANSWERS)
        known = answers.given.get(self.key(asgi_scope, _context_in(asgi_scope)))
        if known is None:
            return self.matches(asgi_scope)
        _, (match, found) = known
        # What outer mounts found of the path belongs to it.
        parameters = {**asgi_scope.get("path_params", {}), **found.get("path_params", {})}
        return match, {**found, "path_params": parameters} if found else {}

    def key(self, asgi_scope: Mapping[str, Any], context: object) -> tuple[object, ...]:
        return id(self), id(context), *_call_of(asgi_scope)


_NO_ANSWERS: Final = _Answers()


def _call_of(asgi_scope: Mapping[str, Any]) -> tuple[object, ...]:
    return tuple([asgi_scope.get(name) for name in _CALL])


def _context_in(asgi_scope: Mapping[str, Any]) -> object:
    context: object = asgi_scope.get("fastapi", {}).get("effective_route_context")
    return context


def keep_apart(asgi_scope: MutableMapping[str, Any]) -> None:
    """Ask routes anew: what they say from now on is for no connection with a copy of this scope.

    INVARIANT: between a decision and the router a token may be waited for
    (attacks/test_seen_scopes.py).
    """
    asgi_scope.pop(_ANSWERS, None)


def noted_of(seen: Mapping[str, Any], asgi_scope: MutableMapping[str, Any]) -> Noted:
    """Return what routes may go by that see the scope *seen*, on the connection *asgi_scope*.

    It is the very object that it was before, where nothing of that changed.
    """
    noted = {name: _kept(value) for name, value in seen.items() if name not in _NOTES}
    answers = asgi_scope.setdefault(_ANSWERS, _Answers())
    before: list[Noted] = answers.noted.setdefault(_call_of(seen), [])
    for known in before:
        if _is_same(known, noted):
            return known
    before.append(noted)
    return noted


def _kept(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(value)
    return dict(value) if isinstance(value, dict) else value


def _is_same(noted: Noted, other: Noted) -> bool:
    try:
        return noted == other
    except Exception:  # noqa: BLE001 - what is in a scope may compare as it likes
        return False


def ask(
    route: Any,
    seen: Mapping[str, Any],
    *,
    context: object,
    noted: Noted,
    asgi_scope: MutableMapping[str, Any],
) -> Match:
    """Return what *route* says of the scope *seen*, on the connection *asgi_scope*.

    *context* is that of its inclusion, where it has one; *noted* what it may go by.

    INVARIANT: the router gets the same answer; a route may say another thing whenever it is
    asked (attacks/test_route_classes.py). It is asked again where the scope is not what it was
    (attacks/test_seen_scopes.py).

    Raises:
        UnroutableError: it fails.
    """
    remembered = _remembered(route)
    given: dict[object, tuple[Noted, Answer]] = asgi_scope[_ANSWERS].given
    key = remembered.key(seen, context or _context_in(seen))
    known = given.get(key)
    if known is None or known[0] is not noted:
        shown = apart(seen)
        if context is not None:
            # As the framework does it: the route asks its scope for the context of the inclusion.
            shown["fastapi"]["effective_route_context"] = context
        known = given[key] = noted, answer_of(remembered.matches, shown)
    return known[1][0]


def apart(seen: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of the scope *seen* for code that may write to it, as the framework's does."""
    named = dict(seen.get("fastapi", {}))
    return {**seen, "headers": list(seen["headers"]), "fastapi": named}


def _remembered(route: Any) -> _Remembered:
    """Return what takes the place of the `matches` of *route*, from now on.

    Raises:
        UnroutableError: nothing can; another answer than the guard's would lead the router.
    """
    try:
        matches = route.matches
        is_patched = "matches" in getattr(route, "__dict__", {})
        if isinstance(matches, _Remembered):
            if matches.route is route:
                return matches
            # FastAPI includes a copy of a mount, with all that was set on it.
            is_patched = matches.is_patched
            matches = matches.matches if is_patched else type(route).matches.__get__(route)
        remembered = _Remembered(route, matches, is_patched)
        # Also where the class of the route takes no attributes.
        object.__setattr__(route, "matches", remembered)
    except Exception as error:
        # The developer's class has its say, whatever that is.
        raise UnroutableError from error
    return remembered


def answer_of(
    matches: Callable[[MutableMapping[str, Any]], Answer], seen: MutableMapping[str, Any]
) -> Answer:
    """Return what *matches* says of the scope *seen*, to which it may write.

    Raises:
        UnroutableError: it fails.
    """
    try:
        match, found = matches(seen)
        return Match(match), dict(found)
    except Exception as error:
        # The developer's code, on the client's text: of which type is anybody's guess.
        raise UnroutableError from error
