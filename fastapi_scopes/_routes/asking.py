"""Routes that match in their own way: asked once for every connection."""

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Final

from starlette.routing import Match

__all__ = ["UnroutableError", "answer_of", "ask"]

_ANSWERS: Final = "fastapi_scopes.matched"
_CALL: Final = ("type", "method", "path", "root_path")

Answer = tuple[Match, MutableMapping[str, Any]]


class UnroutableError(Exception):
    """The code of a route fails on a path, as it would when the framework asks it."""


@dataclass(eq=False)
class _Remembered:
    """Takes the place of a route's own `matches`: the router is told what the guard was told."""

    matches: Callable[[MutableMapping[str, Any]], Answer]

    def __call__(self, asgi_scope: MutableMapping[str, Any]) -> Answer:
        answer = asgi_scope.get(_ANSWERS, {}).get(self.key(asgi_scope))
        if answer is None:
            return self.matches(asgi_scope)
        match, found = answer
        # What outer mounts found of the path belongs to it.
        parameters = {**asgi_scope.get("path_params", {}), **found.get("path_params", {})}
        return match, {**found, "path_params": parameters} if found else {}

    def key(self, asgi_scope: MutableMapping[str, Any]) -> tuple[object, ...]:
        context = asgi_scope.get("fastapi", {}).get("effective_route_context")
        return id(self), id(context), *(asgi_scope.get(name) for name in _CALL)


def ask(route: Any, seen: MutableMapping[str, Any], asgi_scope: MutableMapping[str, Any]) -> Match:
    """Return what *route* says of the scope that it would see, on the connection *asgi_scope*.

    INVARIANT: the router gets the same answer; a route may say another thing whenever it is
    asked (attacks/test_route_classes.py).

    Raises:
        UnroutableError: it fails.
    """
    remembered = route.matches
    if not isinstance(remembered, _Remembered):
        remembered = route.matches = _Remembered(remembered)
    answers = asgi_scope.setdefault(_ANSWERS, {})
    key = remembered.key(seen)
    if key not in answers:
        answers[key] = answer_of(remembered.matches, seen)
    answer: Answer = answers[key]
    return answer[0]


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
