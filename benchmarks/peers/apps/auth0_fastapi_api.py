"""auth0-fastapi-api: a dependency of each route; keys come by its own `custom_fetch`."""

from typing import Any
from urllib.parse import urlparse

from fastapi import Depends, FastAPI
from fastapi_plugin import Auth0FastAPI

from benchmarks.peers.issuer import Issuer
from benchmarks.routes import make_app
from benchmarks.tokens import AUDIENCE, SCOPE

DOMAIN = "issuer.example"
# It takes issuers of https alone.
CLAIMS = {"iss": f"https://{DOMAIN}/"}


def guarded(routes: int, issuer: Issuer) -> FastAPI:
    async def fetch(url: str) -> dict[str, Any]:
        return issuer.documents(urlparse(url).path) | CLAIMS | {"issuer": CLAIMS["iss"]}

    auth0 = Auth0FastAPI(domain=DOMAIN, audience=AUDIENCE, custom_fetch=fetch)
    return make_app(routes, dependencies=[Depends(auth0.require_auth(scopes=SCOPE))])
