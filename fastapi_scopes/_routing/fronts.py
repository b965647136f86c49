"""A router to stand before one that matches in its own way."""

from types import MethodType
from typing import Any
from weakref import WeakKeyDictionary, ref

from starlette.routing import Router
from starlette.types import Receive, Scope, Send

from fastapi_scopes._routing.framework import subclass_of, wraps_framework_code
from fastapi_scopes._routing.gates import FRONT, Gate, matches_as_framework

__all__ = ["front_of", "is_dispatcher"]

_classes: WeakKeyDictionary[type, ref[type]] = WeakKeyDictionary()


def is_dispatcher(router: Router) -> bool:
    """Tell whether *router* leads to routes in a way of its own, which nobody sees."""
    return not (wraps_framework_code(router, "__call__") and matches_as_framework(router))


def front_of(router: Router) -> Router | None:
    """Return a router that has *router* for its default, with a gate that all calls come to first.

    None is for a router whose class does not allow it.
    """
    gate = vars(router).get(FRONT)
    if gate is None:
        front = Router(redirect_slashes=False, default=MethodType(type(router).__call__, router))
        gate = vars(router)[FRONT] = front.middleware_stack = Gate(front, front.app)
        try:
            router.__class__ = _fronted_class(type(router))
        except Exception:  # noqa: BLE001 - the class has its say, whatever that is
            del vars(router)[FRONT]
            return None
    found: Router = gate.router
    return found


def _fronted_class(kind: Any) -> Any:
    """Return the class of routers that are called by way of their front, and are else *kind*."""

    async def call(self: Any, scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("router", self)
        gate = vars(self).get(FRONT)
        if gate is None or scope["type"] not in {"http", "websocket"}:
            await kind.__call__(self, scope, receive, send)
        else:
            await gate(scope, receive, send)

    return subclass_of(kind, _classes, {"__call__": call})
