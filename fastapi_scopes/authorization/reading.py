"""Reads an access request from an ASGI scope."""

from collections.abc import MutableMapping, Sequence
from typing import Any, Final

from fastapi_scopes.authorization.access import AccessRequest, Route
from fastapi_scopes.authorization.fields import Field, fields_of, method_of
from fastapi_scopes.authorization.subprotocols import offers_in
from fastapi_scopes.core.requirements import Access
from fastapi_scopes.core.rules import Rule

__all__ = ["access_request_of", "has_credentials_of", "has_method_and_credentials_of"]

# More fields than any client sends: a caller shall not make us read as many as it likes.
_MAX_FIELDS: Final = 1_000


def access_request_of(
    asgi_scope: MutableMapping[str, Any],
    route: Route | None,
    rule: Rule | None = None,
    *,
    method: str | None = None,
) -> AccessRequest:
    """Return the access request of a connection that leads to *route*, under *rule*.

    *method* is what `method_of` returns for the connection, where that is known.
    """
    method = method or method_of(asgi_scope)
    if rule is not None and rule.requirement.access is Access.PUBLIC:
        # No token is looked at.
        return AccessRequest(route, method, looks_at_credentials=False)
    held: Any = asgi_scope.get("headers")
    # Tuples, as some servers write lists, which could be changed in place.
    fields: list[Any] = [*map(tuple, held if type(held) is list else fields_of(asgi_scope))]
    authorization = _authorization_in(fields)
    offers = offers_in(asgi_scope) if asgi_scope["type"] == "websocket" else ()
    path: str = asgi_scope["path"]
    return AccessRequest(route, method, path, authorization, offers, True, fields)


def _authorization_in(fields: Sequence[Field]) -> tuple[bytes, ...]:
    """Return the Authorization fields; of too many fields, two that are no credentials."""
    if len(fields) > _MAX_FIELDS:
        return (b"", b"")
    found: list[bytes] = []
    for name, value in fields:
        if name == b"authorization":
            found.append(value)
    return tuple(found)


def has_method_and_credentials_of(
    request: AccessRequest, asgi_scope: MutableMapping[str, Any]
) -> bool:
    """Tell whether a connection has the method and the credentials that *request* has."""
    return method_of(asgi_scope) == request.method and has_credentials_of(request, asgi_scope)


def has_credentials_of(request: AccessRequest, asgi_scope: MutableMapping[str, Any]) -> bool:
    """Tell whether a connection has the credentials that *request* has, if these were looked at.

    Offers that were hidden are not among its subprotocols any more.
    """
    if not request.looks_at_credentials:
        return True
    # The usual case, faster: nobody has changed the fields.
    is_untouched = asgi_scope.get("headers") == request.fields
    if not is_untouched and _authorization_in(fields_of(asgi_scope)) != request.authorization:
        return False
    return asgi_scope["type"] != "websocket" or offers_in(asgi_scope) in {(), request.offers}
