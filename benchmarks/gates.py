"""Our guard in its forms, and the floor: the least that any gate in the same place could do.

The floor finds the route by the patterns that the framework compiles, takes SHA-256 of the
credential, looks it up in a dict of what is known, compares one scope, and calls on. It looks at
no clock, counts no header twice, and knows no change of routes: nobody should use it.
"""

from collections.abc import Callable
from hashlib import sha256
from typing import Any

from fastapi import Depends, FastAPI, HTTPException
from fastapi.routing import iter_route_contexts
from starlette.requests import HTTPConnection
from starlette.routing import compile_path

from benchmarks.routes import make_app, templates
from benchmarks.tokens import SCOPE, Signer, hs256
from fastapi_scopes import PUBLIC, JWTVerifier, ScopeGuard, ScopeMap

Known = dict[bytes, frozenset[str]]


def make_verifier(signer: Signer | None = None, **options: Any) -> JWTVerifier[Any]:
    signer = signer or hs256()
    return JWTVerifier(
        keys=[signer.key], algorithms=[signer.algorithm], issuer=None, audience=None, **options
    )


def make_guard(
    requirement: Any = SCOPE, *, rules: int = 1, routes: int = 1, verifier: Any = None
) -> ScopeGuard[Any]:
    """Return a guard with a rule for each of the routes, and more *rules* for none."""
    others = {f"GET /other/{number}/*": SCOPE for number in range(rules - 1)}
    ruled = {f"GET {template}": requirement for template in templates(routes)}
    scope_map = ScopeMap(others, optional=True) | ruled
    return ScopeGuard(scope_map, verifier=verifier or make_verifier())


def behind_perimeter(guard: ScopeGuard[Any], routes: int = 1, **options: Any) -> FastAPI:
    return guard.protect(make_app(routes, **options))


def with_dependency(guard: ScopeGuard[Any]) -> FastAPI:
    return make_app(dependencies=[Depends(guard)])


def with_both(guard: ScopeGuard[Any]) -> FastAPI:
    return guard.protect(with_dependency(guard))


def is_known(fields: list[tuple[bytes, bytes]], known: Known) -> bool:
    for name, value in fields:
        if name == b"authorization":
            return SCOPE in known.get(sha256(value[7:]).digest(), ())
    return False


class Floor:
    """The floor of a perimeter; *known* is None where the route is public."""

    def __init__(self, app: FastAPI, known: Known | None) -> None:
        self._app = app
        self._known = known
        self._patterns = [
            (compile_path(context.path)[0], context.methods)
            for context in iter_route_contexts(app.routes)
        ]

    async def __call__(self, asgi_scope: Any, receive: Any, send: Any) -> None:
        path, method = asgi_scope["path"], asgi_scope["method"]
        for pattern, methods in self._patterns:
            if pattern.match(path) and method in methods:
                break
        else:
            raise LookupError(path)
        if self._known is not None and not is_known(asgi_scope["headers"], self._known):
            raise PermissionError
        await self._app(asgi_scope, receive, send)


class PrimitiveFloor:
    """The floor of a miss: it verifies a signature, with a loaded key, and calls on."""

    def __init__(self, app: FastAPI, primitive: Callable[[], object]) -> None:
        self._app = app
        self._primitive = primitive

    async def __call__(self, asgi_scope: Any, receive: Any, send: Any) -> None:
        self._primitive()
        await self._app(asgi_scope, receive, send)


def floor_dependency(known: Known) -> Callable[..., Any]:
    async def check(connection: HTTPConnection) -> None:
        if not is_known(connection.scope["headers"], known):
            raise HTTPException(401)

    return check


def hit_gates(token: str) -> dict[str, tuple[Any, Any]]:
    """Return, of each place of a gate, the floor and ours, where the token is known."""
    known = {sha256(token.encode()).digest(): frozenset({SCOPE})}
    dependencies = [Depends(floor_dependency(known))]
    return {
        "perimeter, PUBLIC": (Floor(make_app(), None), behind_perimeter(make_guard(PUBLIC))),
        "perimeter, cache hit": (Floor(make_app(), known), behind_perimeter(make_guard())),
        "dependency, cache hit": (
            make_app(dependencies=dependencies),
            with_dependency(make_guard()),
        ),
        "perimeter and dependency, cache hit": (
            Floor(make_app(dependencies=dependencies), known),
            with_both(make_guard()),
        ),
    }


def served_bare() -> FastAPI:
    return make_app()


def served_guarded() -> FastAPI:
    return behind_perimeter(make_guard())
