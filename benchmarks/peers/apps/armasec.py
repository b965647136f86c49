"""armasec: a dependency of each route."""

from armasec import Armasec
from fastapi import Depends, FastAPI

from benchmarks.peers.issuer import Issuer
from benchmarks.routes import make_app
from benchmarks.tokens import AUDIENCE, SCOPE

CLAIMS = {"permissions": [SCOPE], "azp": "client"}


def guarded(routes: int, issuer: Issuer) -> FastAPI:
    armasec = Armasec(domain=issuer.host, use_https=False, audience=AUDIENCE)
    return make_app(routes, dependencies=[Depends(armasec.lockdown(SCOPE))])
