"""Read by type checkers: the claims model goes from the verifier into the endpoint."""

from typing import Annotated, assert_type

from fastapi import Depends, FastAPI
from starlette.requests import HTTPConnection

from fastapi_scopes import (
    PUBLIC,
    Claims,
    Coverage,
    JWTVerifier,
    RouterFactory,
    ScopeGuard,
    ScopeMap,
    TokenVerifier,
    all_of,
    any_of,
)


class MyClaims(Claims):
    tenant: str


class OwnVerifier:
    async def verify(self, token: str) -> MyClaims:
        return MyClaims(exp=1, tenant=token)


plain = JWTVerifier(keys=["s"], algorithms=["HS256"], issuer=None, audience=None)
assert_type(plain, JWTVerifier[Claims])
typed = JWTVerifier(
    keys=["s"], algorithms=["HS256"], issuer=None, audience=None, claims_model=MyClaims
)
assert_type(typed, JWTVerifier[MyClaims])

rules = ScopeMap({"GET /a": "a", "GET /b": ["a", any_of("b", "c")], "GET /c": PUBLIC})
merged = rules | {"GET /d": all_of("a", "b") | "c"}
assert_type(merged, ScopeMap)

guard = ScopeGuard({"GET /a": ["a", "b"]}, verifier=typed)
assert_type(guard, ScopeGuard[MyClaims])
assert_type(ScopeGuard(rules, verifier=plain), ScopeGuard[Claims])
assert_type(ScopeGuard(rules, verifier=OwnVerifier()), ScopeGuard[MyClaims])
annotated: ScopeGuard[MyClaims] = ScopeGuard(rules, verifier=OwnVerifier())
verifier: TokenVerifier[Claims] = OwnVerifier()

app = FastAPI(dependencies=[Depends(guard)])
assert_type(guard.check(app), Coverage)
RouterFactory(guard).wrap(app.router)


async def current(connection: HTTPConnection) -> None:
    assert_type(await guard(connection), MyClaims | None)
    assert_type(guard.claims_of(connection), MyClaims | None)


@app.get("/a")
async def endpoint(claims: Annotated[MyClaims, Depends(guard)]) -> str:
    return claims.tenant
