"""fastapi-azure-auth: a dependency of each route."""

from fastapi import FastAPI, Security
from fastapi_azure_auth.auth import AzureAuthorizationCodeBearerBase

from benchmarks.peers.issuer import Issuer
from benchmarks.routes import make_app
from benchmarks.tokens import AUDIENCE, SCOPE

CLAIMS = {"scp": SCOPE, "ver": "2.0", "tid": "tenant"}


def guarded(routes: int, issuer: Issuer) -> FastAPI:
    azure = AzureAuthorizationCodeBearerBase(
        app_client_id=AUDIENCE,
        tenant_id="tenant",
        scopes={SCOPE: "read"},
        openid_config_url=issuer.metadata_url,
    )
    return make_app(routes, dependencies=[Security(azure, scopes=[SCOPE])])
