"""A plain router before one that matches in its own way, so that a gate can stand there."""

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
    """Tell whether *router* finds routes by code of its own, so that they cannot be seen."""
    return not (wraps_framework_code(router, "__call__") and matches_as_framework(router))


def front_of(router: Router) -> Router | None:
    """Return a router whose default is *router*, with a gate that every call passes first.

    None is for a router whose class does not allow it.
    """
    gate = vars(router).get(FRONT)
    if gate is None:
        front = Router(redirect_slashes=False, default=MethodType(type(router).__call__, router))
        gate = vars(router)[FRONT] = Gate(front, front.app)
        # Apps are called by position, whatever their parameters are named.
        front.middleware_stack = gate  # type: ignore[assignment]
        try:
            router.__class__ = _fronted_class(type(router))
        except Exception:  # noqa: BLE001 - the class may raise anything
            del vars(router)[FRONT]
            return None
    found: Router = gate.router
    return found


def _fronted_class(kind: Any) -> Any:
    """Return the subclass of the router class *kind* whose calls pass the gate of the front."""

    async def call(self: Any, asgi_scope: Scope, receive: Receive, send: Send) -> None:
        asgi_scope.setdefault("router", self)
        gate = vars(self).get(FRONT)
        if gate is None or asgi_scope["type"] not in {"http", "websocket"}:
            await kind.__call__(self, asgi_scope, receive, send)
        else:
            await gate(asgi_scope, receive, send)

    return subclass_of(kind, _classes, {"__call__": call})
