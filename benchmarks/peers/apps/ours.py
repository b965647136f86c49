"""fastapi_scopes itself, in the ways in which it is compared with peers."""

from fastapi import Depends, FastAPI

from benchmarks.gates import behind_perimeter, make_guard
from benchmarks.peers.issuer import Issuer
from benchmarks.routes import make_app
from benchmarks.tokens import AUDIENCE
from fastapi_scopes import JWTVerifier, ScopeGuard


def guard_of(routes: int, issuer: Issuer, cache_size: int = 1024) -> ScopeGuard:
    verifier = JWTVerifier(
        keys=[issuer.signer.key],
        algorithms=[issuer.signer.algorithm],
        issuer=issuer.url,
        audience=AUDIENCE,
        cache_size=cache_size,
    )
    return make_guard(routes=routes, verifier=verifier)


def perimeter(routes: int, issuer: Issuer) -> FastAPI:
    return behind_perimeter(guard_of(routes, issuer), routes)


def perimeter_without_cache(routes: int, issuer: Issuer) -> FastAPI:
    return behind_perimeter(guard_of(routes, issuer, 0), routes)


def dependency(routes: int, issuer: Issuer) -> FastAPI:
    return make_app(routes, dependencies=[Depends(guard_of(routes, issuer))])


def dependency_without_cache(routes: int, issuer: Issuer) -> FastAPI:
    return make_app(routes, dependencies=[Depends(guard_of(routes, issuer, 0))])
