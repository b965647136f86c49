"""authx: a dependency of each route."""

from authx import AuthX, AuthXConfig
from fastapi import Depends, FastAPI

from benchmarks.peers.issuer import Issuer
from benchmarks.routes import make_app
from benchmarks.tokens import AUDIENCE, SCOPE, SECRET

CLAIMS = {"type": "access", "scopes": [SCOPE], "fresh": False}


def guarded(routes: int, issuer: Issuer) -> FastAPI:  # noqa: ARG001
    auth: AuthX = AuthX(config=AuthXConfig(JWT_SECRET_KEY=SECRET, JWT_DECODE_AUDIENCE=AUDIENCE))
    app = make_app(routes, dependencies=[Depends(auth.scopes_required(SCOPE))])
    auth.handle_errors(app)
    return app
