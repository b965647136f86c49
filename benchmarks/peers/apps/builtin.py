"""FastAPI's own tools with PyJWT, as the tutorial on OAuth2 scopes has it: an async dependency."""

from typing import Annotated, Any

import jwt
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from fastapi import FastAPI, HTTPException, Security
from fastapi.security import OAuth2PasswordBearer, SecurityScopes

from benchmarks.peers.issuer import Issuer
from benchmarks.routes import make_app
from benchmarks.tokens import AUDIENCE, SCOPE

bearer = OAuth2PasswordBearer(tokenUrl="token", scopes={SCOPE: "read"})


def guarded(routes: int, issuer: Issuer) -> FastAPI:
    algorithm, key = issuer.signer.algorithm, issuer.signer.key
    loaded: Any = key if algorithm == "HS256" else load_pem_public_key(key.encode())

    async def current_user(
        needed: SecurityScopes, token: Annotated[str, Security(bearer)]
    ) -> dict[str, Any]:
        try:
            claims = jwt.decode(token, loaded, algorithms=[algorithm], audience=AUDIENCE)
        except jwt.InvalidTokenError as error:
            raise HTTPException(401, headers={"WWW-Authenticate": "Bearer"}) from error
        scopes = claims.get("scope", "").split()
        if not all(scope in scopes for scope in needed.scopes):
            raise HTTPException(403)
        return claims

    return make_app(routes, dependencies=[Security(current_user, scopes=[SCOPE])])
