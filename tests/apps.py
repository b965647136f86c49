"""Guards and tokens for tests of the edge."""

import time
from collections.abc import Callable, Iterable, MutableMapping
from typing import Any, TypeAlias

from jose import jwt

from fastapi_scopes import Claims, JWTVerifier, ScopeGuard
from fastapi_scopes.guard import admin_scope_of

# What a table of callers holds, as a token is minted by the test that sends it.
MakeHeaders: TypeAlias = Callable[[], dict[str, str]]
SECRET = "a-secret-of-the-tests-0123456789-0123456789"


def make_verifier(**options: Any) -> JWTVerifier[Any]:
    settings = {"keys": [SECRET], "algorithms": ["HS256"], "issuer": None, "audience": None}
    return JWTVerifier(**{**settings, **options})


def make_guard(scope_map: Any, **options: Any) -> ScopeGuard[Any]:
    return ScopeGuard(scope_map, **{"verifier": make_verifier(), **options})


def mint(*scopes: str, secret: str = SECRET, **claims: Any) -> str:
    payload = {"sub": "alice", "exp": time.time() + 600, "scope": " ".join(scopes), **claims}
    return str(jwt.encode(payload, secret, "HS256"))


def bearer(*scopes: str, **claims: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {mint(*scopes, **claims)}"}


def with_tokens(texts: Iterable[str | bytes], token: str | None = None) -> list[Any]:
    """Return *texts* with tokens in place of their `{token}` and `{other}`.

    The first is *token*, or else one for the scope x; `{start}` and `{end}` are its halves.
    """
    token = mint("x") if token is None else token
    half = len(token) // 2
    fields = {"token": token, "other": mint("other"), "start": token[:half], "end": token[half:]}
    return [each.format(**fields) if isinstance(each, str) else each for each in texts]


def bind_state(asgi_scope: MutableMapping[str, Any], claims: Claims) -> None:
    """Make the caller known to the application as frameworks do: in the connection's state."""
    asgi_scope.setdefault("state", {}).update(
        user_id=claims.sub,
        scopes=sorted(claims.scopes),
        claims=claims.model_dump(mode="json"),
        admin_scope=admin_scope_of(asgi_scope),
    )
