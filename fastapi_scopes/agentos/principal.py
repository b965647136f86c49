"""`bind_principal`: tells AgentOS who the caller is, by the verified claims."""

from collections.abc import MutableMapping
from typing import Any, Final

from fastapi_scopes.core.claims import Claims
from fastapi_scopes.errors import TokenError, TokenFault
from fastapi_scopes.guard import admin_scope_of

__all__ = ["bind_principal"]

# AgentOS gives these subjects to internal callers; a token must not pass for one of them.
_RESERVED: Final = ("__scheduler__", "__oauth__:", "sa:")


def bind_principal(asgi_scope: MutableMapping[str, Any], claims: Claims) -> None:
    """Make the caller known to AgentOS: ``ScopeGuard(..., bind=bind_principal)``.

    Runs are attributed to the token's subject, whatever the form says. The inner checks of
    AgentOS see an authenticated caller; the scope map alone has decided, and the checks of
    AgentOS for each resource stay off.

    Raises:
        TokenError: the token has no subject, one that AgentOS reserves, or claims that cannot
            be written as JSON.
    """
    subject = claims.sub
    if not subject or subject.startswith(_RESERVED):
        raise TokenError(TokenFault.CLAIMS, "'sub' is missing, or reserved by AgentOS")
    session = claims.model_extra and claims.model_extra.get("session_id")
    # Starlette's `request.state` is this dict. `authorization_enabled` stays unset.
    state = asgi_scope.setdefault("state", {})
    state["authenticated"] = True
    state["user_id"] = subject
    state["session_id"] = session if isinstance(session, str) else None
    state["scopes"] = sorted(claims.scopes)
    state["claims"] = _json_of(claims)
    # Set also where it is None: another guard may have left its admin scope here.
    state["admin_scope"] = admin_scope_of(asgi_scope)


def _json_of(claims: Claims) -> dict[str, Any]:
    try:
        return claims.model_dump(mode="json")
    except (ValueError, RecursionError):
        # Claims that are nested deeper than pydantic writes.
        raise TokenError(TokenFault.CLAIMS, "they cannot be written as JSON") from None
