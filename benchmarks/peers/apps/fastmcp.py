"""fastmcp: its verifier and its middleware around a whole app, which all need the one scope."""

from fastapi import FastAPI
from fastmcp.server.auth.middleware import RequireAuthMiddleware
from fastmcp.server.auth.providers.jwt import JWTVerifier

from benchmarks.peers.issuer import Issuer
from benchmarks.routes import make_app
from benchmarks.tokens import AUDIENCE, SCOPE, SECRET


def guarded(routes: int, issuer: Issuer) -> FastAPI:  # noqa: ARG001
    verifier = JWTVerifier(
        public_key=SECRET, algorithm="HS256", audience=AUDIENCE, required_scopes=[SCOPE]
    )
    app = make_app(routes)
    app.add_middleware(RequireAuthMiddleware, required_scopes=[SCOPE])
    for each in reversed(verifier.get_middleware()):
        app.add_middleware(each.cls, *each.args, **each.kwargs)
    return app
