"""Reads the method, the target and the header fields of an ASGI scope."""

import re
from collections.abc import Container, MutableMapping
from typing import Any, Final

from fastapi_scopes.core.methods import ANY_METHOD, METHODS, WEBSOCKET, http_method

__all__ = [
    "Field",
    "fields_of",
    "has_unusable_target",
    "is_misspelt",
    "method_of",
    "usable_method_of",
]

# Routers match decoded paths with regular expressions whose `$` also matches before a
# trailing newline: what is matched there and what runs need not be what was written.
_CONTROL: Final = re.compile(r"[\x00-\x1F\x7F]")
Field = tuple[bytes, bytes]


def has_unusable_target(asgi_scope: MutableMapping[str, Any]) -> bool:
    """Tell whether no rule can hold for a connection: control characters, a misspelt method."""
    path = asgi_scope["path"]
    if not path.isprintable() and _CONTROL.search(path):
        return True
    if asgi_scope["type"] != "http":
        return False
    method = asgi_scope["method"]
    if method in METHODS:
        return False
    # `*` stands for any method in rules, so no request may have it; and an application that
    # takes `delete` for DELETE would run what the rule for DELETE is about.
    return method == ANY_METHOD or is_misspelt(method, METHODS)


def is_misspelt(method: str, known: Container[str]) -> bool:
    """Tell whether *method* is one of the *known* methods but for upper and lower case."""
    return method not in known and method.upper() in known


def usable_method_of(asgi_scope: MutableMapping[str, Any]) -> str | None:
    """Return what `method_of` returns, or None where `has_unusable_target`."""
    # The usual case, faster: a registered method is no misspelt one, and no word of rules.
    if asgi_scope["type"] == "http" and asgi_scope["path"].isprintable():
        method: str = asgi_scope["method"]
        if method in METHODS:
            return method
    return None if has_unusable_target(asgi_scope) else method_of(asgi_scope)


def method_of(asgi_scope: MutableMapping[str, Any]) -> str:
    """Return the method of a connection as rules name it, WEBSOCKET for a handshake."""
    if asgi_scope["type"] == "websocket":
        return WEBSOCKET
    return http_method(asgi_scope["method"])


def fields_of(asgi_scope: MutableMapping[str, Any]) -> list[Field]:
    """Return the header fields of a connection, which its scope has as a list from now on."""
    held = asgi_scope.get("headers")
    # ASGI allows any iterable; a scope that was made by hand may have none.
    fields: list[Field] = held if isinstance(held, list) else list(held or ())
    if fields is not held:
        asgi_scope["headers"] = fields
    return fields
