"""`ScopesSettings`: a verifier and a guard out of the environment."""

import asyncio
import importlib
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from fastapi_scopes import Claims, JWKSVerifier, JWTVerifier, TokenVerifier
from fastapi_scopes.errors import ConfigurationError, TokenError
from fastapi_scopes.settings import ScopesSettings
from fastapi_scopes.verifiers import MemoryRevocationList
from tests.apps import SECRET, bearer, mint
from tests.verifiers import minting

ISSUER = "https://login.example.com"
OPEN = {"ANY_ISSUER": "true", "ANY_AUDIENCE": "true"}
HS256 = {**OPEN, "VERIFICATION_KEY": SECRET, "ALGORITHMS": "HS256"}

Setting = Callable[..., None]
C_co = TypeVar("C_co", bound=Claims, covariant=True)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Setting:
    for name in [*os.environ]:
        if name.startswith("FASTAPI_SCOPES_") or name == "JWT_VERIFICATION_KEY":
            monkeypatch.delenv(name)

    def put(**variables: str) -> None:
        for name, value in variables.items():
            known = name if name == "JWT_VERIFICATION_KEY" else f"FASTAPI_SCOPES_{name}"
            monkeypatch.setenv(known, value)

    return put


def verified(verifier: TokenVerifier[C_co], token: str) -> C_co:
    return asyncio.run(verifier.verify(token))


def problems_of(**options: Any) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        ScopesSettings().verifier(**options)
    return caught.value.problems


def test_secret_of_agentos_verifies_under_its_own_name(environment: Setting) -> None:
    environment(**OPEN, JWT_VERIFICATION_KEY=SECRET, ALGORITHMS="HS256")
    claims = verified(ScopesSettings().verifier(), mint("app:read"))
    assert claims.scopes == {"app:read"}


def test_pem_verifies_rs256_where_no_algorithm_is_named(environment: Setting) -> None:
    environment(**OPEN, JWT_VERIFICATION_KEY=minting.pem(minting.rsa_key()))
    verifier = ScopesSettings().verifier(now=lambda: minting.NOW)
    assert isinstance(verifier, JWTVerifier)
    assert verified(verifier, minting.mint(algorithm="RS256")).sub == "alice"


def test_own_name_of_the_key_comes_before_that_of_agentos(environment: Setting) -> None:
    environment(**HS256, JWT_VERIFICATION_KEY="another-secret-0123456789-0123456789-0123456789")
    assert verified(ScopesSettings().verifier(), mint()).sub == "alice"


@pytest.mark.parametrize(
    "variables",
    [
        {"ISSUER": ISSUER, "AUDIENCE": "api"},
        {"ISSUER": ISSUER, "AUDIENCE": "api", "JWKS_URI": f"{ISSUER}/keys"},
        {**OPEN, "JWKS_URI": f"{ISSUER}/keys"},
        {"ISSUER": "http://127.0.0.1:1", "AUDIENCE": "api", "ALLOW_HTTP": "true"},
    ],
    ids=["issuer", "issuer and key set", "key set alone", "loopback"],
)
def test_without_a_key_the_issuer_is_asked(environment: Setting, variables: Any) -> None:
    environment(**variables)
    assert isinstance(ScopesSettings().verifier(), JWKSVerifier)


def test_every_setting_of_a_token_reaches_the_verifier(environment: Setting) -> None:
    environment(
        VERIFICATION_KEY=minting.SECRET,
        ALGORITHMS=" HS256 ,HS384",
        ISSUER=ISSUER,
        AUDIENCE="api, other",
        SCOPES_CLAIM="scopes",
        ALLOWED_SCOPES="app:*, me",
        LEEWAY="30",
        STRICT="true",
        CACHE_TTL="0",
    )
    header = {"typ": "at+jwt"}
    full = {
        **{"iss": ISSUER, "aud": "other", "scopes": ["app:read", "me", "you"]},
        **{"client_id": "c", "jti": "1", "iat": minting.NOW, "exp": minting.NOW - 20},
    }
    verifier = ScopesSettings().verifier(now=lambda: minting.NOW)
    token = minting.mint(full, key=minting.SECRET, header=header)
    assert verified(verifier, token).scopes == {"app:read", "me"}
    for broken in ({"iss": "x"}, {"aud": "x"}, {"exp": minting.NOW - 31}):
        with pytest.raises(TokenError):
            verified(verifier, minting.mint({**full, **broken}, key=minting.SECRET, header=header))
    with pytest.raises(TokenError):
        verified(verifier, minting.mint(full, key=SECRET))


class MyClaims(Claims):
    tenant: str


def test_claims_model_and_revocations_are_passed_on(environment: Setting) -> None:
    environment(**HS256)
    revoked = MemoryRevocationList()
    asyncio.run(revoked.revoke(None, "1", exp=minting.NOW))
    verifier = ScopesSettings().verifier(claims_model=MyClaims, revocations=revoked)
    assert verified(verifier, mint(jti="2", tenant="t")).tenant == "t"
    for refused in (mint(jti="1", tenant="t"), mint(jti="2")):
        with pytest.raises(TokenError):
            verified(verifier, refused)


def test_guard_decides_by_the_map_with_the_admin_scope_and_the_realm(environment: Setting) -> None:
    environment(**HS256, ADMIN_SCOPE="app:superadmin", REALM="shop")
    app = FastAPI(openapi_url=None)
    app.get("/x")(lambda: "x")
    client = TestClient(ScopesSettings().guard({"GET /x": "a:read"}).protect(app))
    assert client.get("/x", headers=bearer("app:superadmin")).status_code == 200
    assert client.get("/x", headers=bearer("other")).status_code == 403
    assert client.get("/x").headers["www-authenticate"] == 'Bearer realm="shop"'


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        (
            {"VERIFICATION_KEY": SECRET, "ALGORITHMS": "HS256"},
            (
                "FASTAPI_SCOPES_ISSUER is not set; set it, or FASTAPI_SCOPES_ANY_ISSUER=true",
                "FASTAPI_SCOPES_AUDIENCE is not set; set it, or FASTAPI_SCOPES_ANY_AUDIENCE=true",
            ),
        ),
        (
            OPEN,
            (
                "there are no keys; set FASTAPI_SCOPES_ISSUER, FASTAPI_SCOPES_JWKS_URI or"
                " FASTAPI_SCOPES_VERIFICATION_KEY",
            ),
        ),
        (
            {**HS256, "ISSUER": ISSUER, "AUDIENCE": "api"},
            (
                "FASTAPI_SCOPES_ISSUER and FASTAPI_SCOPES_ANY_ISSUER are both set; keep one",
                "FASTAPI_SCOPES_AUDIENCE and FASTAPI_SCOPES_ANY_AUDIENCE are both set; keep one",
            ),
        ),
        (
            {**HS256, "JWKS_URI": f"{ISSUER}/keys"},
            ("FASTAPI_SCOPES_JWKS_URI and a verification key are both set; keep one",),
        ),
    ],
    ids=["no opt-out", "no keys", "set and opted out", "two kinds of keys"],
)
def test_what_does_not_go_together_is_named(
    environment: Setting, variables: Any, expected: tuple[str, ...]
) -> None:
    environment(**variables)
    assert problems_of() == expected


def test_all_malformed_variables_are_named_at_once_and_none_is_quoted(
    environment: Setting,
) -> None:
    environment(**OPEN, LEEWAY="a-secret", STRICT="another-secret", VERIFICATION_KEY=SECRET)
    with pytest.raises(ConfigurationError) as caught:
        ScopesSettings()
    assert [each.partition(":")[0] for each in caught.value.problems] == [
        "FASTAPI_SCOPES_LEEWAY",
        "FASTAPI_SCOPES_STRICT",
    ]
    shown = "".join(traceback.format_exception(caught.value))
    assert "a-secret" not in shown
    assert "another-secret" not in shown
    assert SECRET not in shown


def test_misspelt_variable_does_not_start(environment: Setting) -> None:
    environment(**HS256, ALLOWED_SCOPE="app:*")
    (problem,) = problems_of()
    assert problem.startswith("FASTAPI_SCOPES_ALLOWED_SCOPE is no setting; choose of ")
    assert "FASTAPI_SCOPES_ALLOWED_SCOPES" in problem


def test_what_the_verifier_refuses_is_refused(environment: Setting) -> None:
    environment(**OPEN, VERIFICATION_KEY="short", ALGORITHMS="HS256", ALLOWED_SCOPES="*")
    assert len(problems_of()) == 2


def test_secret_stays_out_of_the_repr(environment: Setting) -> None:
    environment(**HS256)
    settings = ScopesSettings()
    assert SECRET not in f"{settings!r} {settings} {settings.verifier()!r}"


def test_missing_extra_names_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydantic_settings", None)
    monkeypatch.delitem(sys.modules, "fastapi_scopes.settings")
    with pytest.raises(ImportError, match=r"pip install 'fastapi-scopes\[settings\]'"):
        importlib.import_module("fastapi_scopes.settings")
