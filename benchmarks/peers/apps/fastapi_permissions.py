"""fastapi-permissions: a dependency of each route, beside one of PyJWT that tells who asks."""

from typing import Annotated, Any

import jwt
from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import OAuth2PasswordBearer
from fastapi_permissions import Allow, Authenticated, configure_permissions

from benchmarks.peers.issuer import Issuer
from benchmarks.routes import make_app
from benchmarks.tokens import AUDIENCE, SCOPE, SECRET

bearer = OAuth2PasswordBearer(tokenUrl="token")
RULES = [(Allow, f"scope:{SCOPE}", "read")]


async def principals(token: Annotated[str, Depends(bearer)]) -> list[Any]:
    try:
        claims = jwt.decode(token, SECRET, algorithms=["HS256"], audience=AUDIENCE)
    except jwt.InvalidTokenError as error:
        raise HTTPException(401) from error
    return [Authenticated, *(f"scope:{scope}" for scope in claims.get("scope", "").split())]


def guarded(routes: int, issuer: Issuer) -> FastAPI:  # noqa: ARG001
    permission = configure_permissions(principals)
    return make_app(routes, dependencies=[permission("read", RULES)])
