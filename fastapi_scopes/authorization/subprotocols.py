"""Credentials among the subprotocols of a handshake, which are hidden from the application."""

from collections.abc import Iterable, Iterator, MutableMapping
from typing import Any, Final

from fastapi_scopes.authorization.connection import HiddenOffers, state_of
from fastapi_scopes.authorization.fields import Field, fields_of
from fastapi_scopes.core.credentials import (
    field_without_offers,
    offers_of,
    without_offers,
)

__all__ = ["hide_offers", "offers_in", "remove_offers_from"]

_PROTOCOL_FIELD: Final = b"sec-websocket-protocol"


def offers_in(asgi_scope: MutableMapping[str, Any]) -> tuple[str, ...]:
    """Return the credentials among the subprotocols, those included that were hidden."""
    subprotocols = list(asgi_scope.get("subprotocols") or ())
    fields = [value for name, value in fields_of(asgi_scope) if name == _PROTOCOL_FIELD]
    offers = offers_of(subprotocols, fields)
    # INVARIANT: what was hidden on one connection is no credential of a copy of its scope
    # (attacks/test_copied_scopes.py).
    state = state_of(asgi_scope)
    is_left = state.hidden_offers is not None and state.hidden_offers.other_subprotocols == tuple(
        without_offers(subprotocols)
    )
    if state.hidden_offers is None or not is_left or not state.is_of(asgi_scope):
        return offers
    return (*state.hidden_offers.offers, *offers)


def hide_offers(offers: tuple[str, ...], asgi_scope: MutableMapping[str, Any]) -> None:
    """Take *offers*, once they are read, out of the subprotocols that the application sees.

    INVARIANT: no application can answer with a token or log it
    (attacks/test_subprotocol_tokens.py: test_application_never_sees_the_token).
    """
    state = state_of(asgi_scope)
    other_subprotocols = without_offers(asgi_scope.get("subprotocols") or ())
    hidden_offers = HiddenOffers(offers, tuple(other_subprotocols)) if offers else None
    if state.hidden_offers == hidden_offers:
        return
    state.hidden_offers = hidden_offers
    _replace(asgi_scope, "subprotocols", other_subprotocols)
    _replace(asgi_scope, "headers", list(_fields_without_offers(fields_of(asgi_scope))))


def remove_offers_from(fields: list[Field]) -> None:
    """Take all offers out of *fields*, the headers of a handshake that were read before."""
    fields[:] = _fields_without_offers(fields)


def _fields_without_offers(fields: Iterable[Field]) -> Iterator[Field]:
    for name, value in fields:
        if name != _PROTOCOL_FIELD:
            yield name, value
        elif kept := field_without_offers(value):
            yield name, kept


def _replace(asgi_scope: MutableMapping[str, Any], key: str, values: list[Any]) -> None:
    held = asgi_scope.get(key)
    if isinstance(held, list):
        # Starlette may have read the headers before, and holds this very list.
        held[:] = values
    else:
        asgi_scope[key] = values
