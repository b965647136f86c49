"""axioms-fastapi: two dependencies of each route."""

from axioms_fastapi import init_axioms, register_axioms_exception_handler, require_auth
from axioms_fastapi import require_scopes as needing
from fastapi import Depends, FastAPI

from benchmarks.peers.issuer import Issuer
from benchmarks.routes import make_app
from benchmarks.tokens import AUDIENCE, SCOPE


def guarded(routes: int, issuer: Issuer) -> FastAPI:
    app = make_app(routes, dependencies=[Depends(require_auth), Depends(needing([SCOPE]))])
    init_axioms(
        app,
        AXIOMS_AUDIENCE=AUDIENCE,
        AXIOMS_ISS_URL=issuer.url,
        AXIOMS_JWKS_URL=issuer.jwks_url,
    )
    register_axioms_exception_handler(app)
    return app
