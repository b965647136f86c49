"""`ScopesSettings`: a verifier and a guard out of the environment."""

import asyncio
import importlib
import logging
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from inspect import signature
from pathlib import Path
from typing import Any, TypeVar

import pytest
from fastapi import FastAPI, Request
from fastapi.security import OpenIdConnect
from fastapi.testclient import TestClient
from pydantic import Field, model_validator
from pydantic_settings import SettingsConfigDict

from fastapi_scopes import Claims, JWKSVerifier, JWTVerifier, ScopeGuard, TokenVerifier
from fastapi_scopes.core.findings import FindingCode
from fastapi_scopes.errors import ConfigurationError, TokenError, TokenFault
from fastapi_scopes.settings import ScopesSettings
from tests.apps import SECRET, bearer, mint
from tests.issuers.faulty import AUDIENCE, FaultyIssuer, SigningKey
from tests.verifiers import minting

ISSUER = "https://login.example.com"
OPEN = {"ANY_ISSUER": "true", "ANY_AUDIENCE": "true"}
HS256 = {**OPEN, "VERIFICATION_KEY": SECRET, "ALGORITHMS": "HS256"}
KEY = "FASTAPI_SCOPES_VERIFICATION_KEY or JWT_VERIFICATION_KEY"

CA_FILE = (
    "FASTAPI_SCOPES_CA_FILE is no file of certificates in PEM, or cannot be read;"
    " name the file of your certificate authority"
)
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


def problems_of(make: Callable[[], object] = lambda: ScopesSettings().verifier()) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        make()
    return [*map(str, caught.value.problems)]


def test_secret_of_agentos_verifies_under_its_own_name(environment: Setting) -> None:
    environment(**OPEN, JWT_VERIFICATION_KEY=SECRET, ALGORITHMS="HS256")
    claims = verified(ScopesSettings().verifier(), mint("app:read"))
    assert claims.scopes == {"app:read"}


def test_pem_verifies_rs256_where_no_algorithm_is_named(environment: Setting) -> None:
    environment(**OPEN, JWT_VERIFICATION_KEY=minting.pem(minting.rsa_key()))
    verifier = ScopesSettings().verifier(now=lambda: minting.NOW)
    assert isinstance(verifier, JWTVerifier)
    assert verified(verifier, minting.mint(algorithm="RS256")).sub == "alice"


def test_log_says_that_a_key_is_taken_instead_of_those_of_the_issuer(
    environment: Setting, caplog: pytest.LogCaptureFixture
) -> None:
    environment(**{**HS256, "ISSUER": ISSUER, "ANY_ISSUER": "false"})
    with caplog.at_level(logging.INFO, "fastapi_scopes"):
        ScopesSettings().verifier()
    assert caplog.messages == [f"tokens of {ISSUER} are verified with the key that is set alone"]


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


def test_spaces_around_the_elements_of_a_list_are_none_of_them(environment: Setting) -> None:
    environment(**OPEN, VERIFICATION_KEY=minting.SECRET, ALGORITHMS=" HS384 ,HS256")
    settings = ScopesSettings(allowed_scopes="app:*, me")
    claims = verified(settings.verifier(), mint("app:read", "me", "you", secret=minting.SECRET))
    assert claims.scopes == {"app:read", "me"}


def test_every_option_of_a_guard_is_a_setting_or_an_argument() -> None:
    options = {*signature(ScopeGuard.__init__).parameters} - {"self"}
    arguments = {*signature(ScopesSettings.guard).parameters} | {"verifier"}
    assert options <= {*ScopesSettings.model_fields} | arguments


def test_guard_says_of_itself_what_the_environment_says(environment: Setting) -> None:
    environment(
        **HS256,
        RESOURCE="https://api.example.com/mcp",
        AUTHORIZATION_SERVERS="https://login.example.com",
        CHALLENGE_SCOPES="app:read, app:write",
        REQUESTED_AS="api://app/",
        END_AT_EXP="true",
    )
    scheme = OpenIdConnect(openIdConnectUrl="https://login.example.com/x")
    guard = ScopesSettings().guard({"GET /x": "app:read"}, security_scheme=scheme)
    app = guard.protect(FastAPI(openapi_url=None), strict=False)
    app.add_api_route("/x", lambda: "ran")
    with TestClient(app) as client:
        challenge = client.get("/x").headers["www-authenticate"]
        token = mint("other")
        lacking = client.get("/x", headers={"Authorization": f"Bearer {token}"})
    assert ', scope="api://app/app:read", ' in lacking.headers["www-authenticate"]
    metadata = "https://api.example.com/.well-known/oauth-protected-resource/mcp"
    assert challenge == (
        f'Bearer realm="api", scope="app:read app:write", resource_metadata="{metadata}"'
    )
    assert guard.scheme_name == "OpenIdConnect"
    unprotected = guard.check(FastAPI(openapi_url=None))
    codes = [each.code for each in unprotected.errors]
    assert codes == [FindingCode.MATCHES_NOTHING, FindingCode.OPTION_WITHOUT_EFFECT]


class MyClaims(Claims):
    tenant: str


class Proof:
    """Takes the proof of those who hold the key named `good`."""

    async def check(self, token: str, confirmation: Mapping[str, object]) -> None:
        if confirmation != {"jkt": "good"}:
            raise TokenError(TokenFault.CONFIRMATION)


class Revoked:
    """A list on which one token is, whoever issued it."""

    async def is_revoked(self, issuer: str | None, jti: str) -> bool:
        return jti == "revoked"


@pytest.fixture(scope="module")
def issuer() -> Iterator[FaultyIssuer]:
    with FaultyIssuer(algorithm="RS256", now=lambda: minting.NOW) as issuer:
        # What signs nothing keeps the set fit where RS256 is no algorithm.
        other = SigningKey("other", minting.rsa_key("other"), "PS256")
        issuer.published = (issuer.signing_key, other)
        yield issuer


def of_given_key(issuer: FaultyIssuer) -> dict[str, str]:
    return {"VERIFICATION_KEY": minting.pem(issuer.signing_key.private)}


def of_published_keys(issuer: FaultyIssuer) -> dict[str, str]:
    return {"JWKS_URI": issuer.key_set.url, "ALLOW_HTTP": "true"}


FAMILY = "https://login.example.com/{tenantid}/v2.0"
TENANT, OTHER_TENANT = (f"{digit * 8}-0000-0000-0000-000000000000" for digit in "12")
LATER = minting.NOW + 5
KINDS = pytest.mark.parametrize("keys_of", [of_given_key, of_published_keys])


def outcome(verifier: TokenVerifier[C_co], token: str) -> str:
    """The scopes that it is good for, or the code of what refuses it."""
    try:
        return " ".join(sorted(verified(verifier, token).scopes))
    except TokenError as error:
        return error.code


@KINDS
@pytest.mark.parametrize(
    ("variables", "arguments", "minted", "expected"),
    [
        pytest.param({}, {}, {}, "a:read b", id="all is as it should be"),
        pytest.param({}, {}, {"iss": "x"}, "issuer", id="issuer"),
        pytest.param({"ISSUER": None, "ANY_ISSUER": "1"}, {}, {"iss": "x"}, "a:read b", id="any"),
        pytest.param({}, {}, {"aud": "x"}, "audience", id="audience"),
        pytest.param({"AUDIENCE": "y, x"}, {}, {"aud": "x"}, "a:read b", id="one of two audiences"),
        pytest.param(
            {"AUDIENCE": None, "ANY_AUDIENCE": "1"}, {}, {"aud": "x"}, "a:read b", id="any audience"
        ),
        pytest.param({"ALGORITHMS": "PS256"}, {}, {}, "algorithm", id="algorithms"),
        pytest.param(
            {"SCOPES_CLAIM": "scp"}, {}, {"scp": "c", "scope": "a"}, "c", id="scopes_claim"
        ),
        pytest.param(
            {"SCOPES_CLAIM": "scp, roles"}, {}, {"scp": "c", "roles": ["d"]}, "c d", id="two claims"
        ),
        pytest.param(
            {"SCOPES_CLAIM": '["scp", "roles"]'},
            {},
            {"scp": "c", "roles": ["d"]},
            "c d",
            id="claims in a JSON list",
        ),
        pytest.param(
            {"SCOPES_CLAIM": ' {"scp": "", "roles": "role:"}'},
            {},
            {"scp": "c", "roles": ["d"]},
            "c role:d",
            id="claims with prefixes",
        ),
        pytest.param({"TOKEN_KIND": "any"}, {}, {"at_hash": "h"}, "a:read b", id="token_kind"),
        pytest.param({}, {}, {"at_hash": "h"}, "type", id="token_kind by default"),
        pytest.param(
            {"ISSUER": FAMILY, "TENANTS": f"{TENANT}, {OTHER_TENANT}"},
            {},
            {"iss": FAMILY.replace("{tenantid}", TENANT), "tid": TENANT},
            "a:read b",
            id="tenants",
        ),
        pytest.param(
            {"ISSUER": FAMILY, "TENANTS": OTHER_TENANT},
            {},
            {"iss": FAMILY.replace("{tenantid}", TENANT), "tid": TENANT},
            "issuer",
            id="another tenant",
        ),
        pytest.param(
            {"ISSUER": FAMILY, "TENANTS": "ANY_TENANT"},
            {},
            {"iss": FAMILY.replace("{tenantid}", TENANT), "tid": TENANT},
            "a:read b",
            id="any tenant",
        ),
        pytest.param({"AUTHORIZED_PARTIES": "x, y"}, {}, {"azp": "y"}, "a:read b", id="party"),
        pytest.param(
            {"AUTHORIZED_PARTIES": "x"}, {}, {"azp": "y"}, "authorized_party", id="another party"
        ),
        pytest.param(
            {"REQUIRE_CLAIMS": '{"type": "access"}'}, {}, {"type": "x"}, "claims", id="required"
        ),
        pytest.param({"CLOCK_SKEW": "0"}, {}, {"iat": LATER}, "not_yet_valid", id="no skew"),
        pytest.param({}, {}, {"iat": LATER}, "a:read b", id="clock_skew by default"),
        pytest.param({"MAX_TOKEN_CHARS": "100"}, {}, {}, "too_large", id="max_token_chars"),
        pytest.param({"ALLOWED_SCOPES": "a:*"}, {}, {}, "a:read", id="allowed_scopes"),
        pytest.param({}, {}, {"header": {"typ": "JWT"}}, "a:read b", id="not strict"),
        pytest.param({"STRICT": "true"}, {}, {"header": {"typ": "JWT"}}, "type", id="strict"),
        pytest.param({}, {}, {"exp": minting.NOW - 20}, "expired", id="now"),
        pytest.param({"LEEWAY": "30"}, {}, {"exp": minting.NOW - 20}, "a:read b", id="leeway"),
        pytest.param({"LEEWAY": "30"}, {}, {"exp": minting.NOW - 31}, "expired", id="leeway's end"),
        pytest.param({}, {"claims_model": MyClaims}, {}, "claims", id="claims_model"),
        pytest.param({}, {"revocations": Revoked()}, {"jti": "x"}, "a:read b", id="not revoked"),
        pytest.param({}, {"revocations": Revoked()}, {"jti": "revoked"}, "revoked", id="revoked"),
        pytest.param({}, {}, {"cnf": {"jkt": "good"}}, "confirmation", id="no proof"),
        pytest.param({}, {"proof": Proof()}, {"cnf": {"jkt": "good"}}, "a:read b", id="proof"),
        pytest.param({}, {"proof": Proof()}, {"cnf": {"jkt": "x"}}, "confirmation", id="no good"),
    ],
)
def test_every_setting_of_a_token_reaches_the_verifier(
    environment: Setting,
    issuer: FaultyIssuer,
    keys_of: Callable[[FaultyIssuer], dict[str, str]],
    variables: dict[str, str | None],
    arguments: dict[str, Any],
    minted: dict[str, Any],
    expected: str,
) -> None:
    asked = {"ISSUER": issuer.identifier, "AUDIENCE": AUDIENCE, **keys_of(issuer), **variables}
    environment(**{name: value for name, value in asked.items() if value is not None})
    verifier = ScopesSettings().verifier(now=lambda: minting.NOW, **arguments)
    assert outcome(verifier, issuer.mint("a:read", "b", **minted)) == expected


@KINDS
def test_cache_ttl_reaches_the_verifier(
    environment: Setting, issuer: FaultyIssuer, keys_of: Callable[[FaultyIssuer], dict[str, str]]
) -> None:
    # What is kept shows in no answer, so by the limit that the verifier has for it.
    environment(**OPEN, **keys_of(issuer), CACHE_TTL="3601")
    assert problems_of() == [
        "FASTAPI_SCOPES_CACHE_TTL is no number of seconds from 0 to 3600;"
        " write FASTAPI_SCOPES_CACHE_TTL=60"
    ]


def test_keys_are_found_by_the_metadata_of_the_issuer(
    environment: Setting, issuer: FaultyIssuer
) -> None:
    environment(ISSUER=issuer.identifier, AUDIENCE=AUDIENCE, ALLOW_HTTP="true")
    verifier = ScopesSettings().verifier(now=lambda: minting.NOW)
    assert outcome(verifier, issuer.mint("a:read")) == "a:read"


def test_claims_are_those_of_the_claims_model(environment: Setting) -> None:
    environment(**HS256)
    verifier = ScopesSettings().verifier(claims_model=MyClaims)
    assert verified(verifier, mint(tenant="t")).tenant == "t"


def client_of(**arguments: Any) -> TestClient:
    app = FastAPI(openapi_url=None)

    @app.get("/x")
    def tenant(request: Request) -> object:
        return request.scope.get("tenant")

    return TestClient(ScopesSettings().guard({"GET /x": "a:read"}, **arguments).protect(app))


@pytest.mark.parametrize(
    ("arguments", "claims", "status"),
    [
        pytest.param({}, {}, 200, id="nothing is passed"),
        pytest.param({"claims_model": MyClaims}, {}, 401, id="claims_model"),
        pytest.param({"revocations": Revoked()}, {"jti": "revoked"}, 401, id="revocations"),
        pytest.param({"proof": Proof()}, {"cnf": {"jkt": "good"}}, 200, id="proof"),
        pytest.param({"now": lambda: time.time() + 9999}, {}, 401, id="now"),
    ],
)
def test_guard_passes_on_what_the_verifier_takes(
    environment: Setting, arguments: dict[str, Any], claims: dict[str, Any], status: int
) -> None:
    environment(**HS256)
    response = client_of(**arguments).get("/x", headers=bearer("a:read", **claims))
    assert response.status_code == status


def test_guard_binds(environment: Setting) -> None:
    environment(**HS256)

    def bind(asgi_scope: Any, claims: MyClaims) -> None:
        asgi_scope["tenant"] = claims.tenant

    client = client_of(claims_model=MyClaims, bind=bind)
    assert client.get("/x", headers=bearer("a:read", tenant="t")).json() == "t"


def test_guard_decides_by_the_map_with_the_admin_scope_and_the_realm(environment: Setting) -> None:
    environment(**HS256, ADMIN_SCOPE="app:superadmin", REALM="shop")
    client = client_of()
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
    assert problems_of() == [*expected]


def test_all_malformed_variables_are_named_at_once_and_none_is_quoted(
    environment: Setting,
) -> None:
    environment(**OPEN, LEEWAY="a-secret", STRICT="another-secret", VERIFICATION_KEY=SECRET)
    with pytest.raises(ConfigurationError) as caught:
        ScopesSettings(cache_ttl="a-third")
    number = "input should be a valid number, unable to parse string as a number"
    assert tuple(map(str, caught.value.problems)) == (
        f"FASTAPI_SCOPES_LEEWAY is malformed: {number}",
        "FASTAPI_SCOPES_STRICT is malformed: input should be a valid boolean, unable to interpret "
        "input",
        f"cache_ttl is malformed: {number}",
    )
    shown = "".join(traceback.format_exception(caught.value))
    assert "a-secret" not in shown
    assert "another-secret" not in shown
    assert SECRET not in shown


@pytest.mark.parametrize("name", ["SCOPES_CLAIM", "REQUIRE_CLAIMS"])
def test_malformed_json_is_named_and_not_quoted(environment: Setting, name: str) -> None:
    environment(**OPEN, VERIFICATION_KEY=SECRET, **{name: '{"a-secret": }'})
    with pytest.raises(ConfigurationError) as caught:
        ScopesSettings()
    assert f"FASTAPI_SCOPES_{name} is malformed: value error, Expecting value" in str(caught.value)
    assert "a-secret" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("true", True),
        ("0", False),
        ("keycloak", ("keycloak",)),
        ("keycloak, other", ("keycloak", "other")),
    ],
)
def test_hosts_without_tls_are_a_flag_or_their_names(
    environment: Setting, written: str, expected: object
) -> None:
    environment(ALLOW_HTTP=written)
    assert ScopesSettings().allow_http == expected


def test_host_that_is_named_needs_no_tls(
    environment: Setting, caplog: pytest.LogCaptureFixture
) -> None:
    environment(**OPEN, JWKS_URI="http://keycloak:8080/certs", ALLOW_HTTP="keycloak")
    assert ScopesSettings().verifier()
    assert "allow_http: 'keycloak' is asked without TLS" in caplog.text


def test_scopes_claim_may_be_a_function(environment: Setting) -> None:
    environment(**HS256)
    verifier = ScopesSettings(scopes_claim=lambda claims: claims["bits"]).verifier()
    assert verified(verifier, mint(bits=["a"])).scopes == {"a"}


@pytest.mark.parametrize(
    ("written", "way_out"),
    [
        ("FASTAPI_SCOPES_ALLOWED_SCOPE", "did you mean FASTAPI_SCOPES_ALLOWED_SCOPES"),
        ("Fastapi_Scopes_Isuer", "did you mean FASTAPI_SCOPES_ISSUER"),
        ("FASTAPI_SCOPES_VERIFY_KEY", f"did you mean {KEY}"),
        ("FASTAPI_SCOPES_DATABASE_URL", "remove it"),
    ],
)
@pytest.mark.parametrize("place", ["environment", "dotenv", "secrets"])
def test_misspelt_variable_does_not_start(
    environment: Setting,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    written: str,
    way_out: str,
    place: str,
) -> None:
    environment(**HS256, LEEWAY="x")
    options: dict[str, Any] = {}
    match place:
        case "environment":
            monkeypatch.setenv(written, "x")
        case "dotenv":
            options = {"_env_file": put_file(tmp_path / ".env", f"{written}=x\n")}
        case _:
            put_file(tmp_path / written, "x")
            options = {"_secrets_dir": tmp_path}
    problems = problems_of(lambda: ScopesSettings(**options))
    assert f"{written} is no setting; {way_out}" in problems
    assert [each for each in problems if each.startswith("FASTAPI_SCOPES_LEEWAY is malformed")]
    assert len(problems) == 2


def put_file(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_same_misspelling_in_two_places_is_named_once(environment: Setting, tmp_path: Path) -> None:
    environment(**HS256, ISUER="x")
    dotenv = put_file(tmp_path / ".env", "FASTAPI_SCOPES_ISUER\nFASTAPI_SCOPES_ISUER=\n")
    assert problems_of(lambda: ScopesSettings(_env_file=dotenv)) == [
        "FASTAPI_SCOPES_ISUER is no setting; did you mean FASTAPI_SCOPES_ISSUER"
    ]


def test_unknown_keyword_does_not_start(environment: Setting) -> None:
    environment(**HS256)
    assert problems_of(lambda: ScopesSettings(isuer=ISSUER, database_url="x")) == [
        "isuer= is no setting; did you mean issuer=",
        "database_url= is no setting; remove it",
    ]


def test_other_variables_of_a_dotenv_file_are_left_alone(
    environment: Setting, tmp_path: Path
) -> None:
    environment()
    dotenv = put_file(
        tmp_path / ".env",
        # Those without the prefix are another program's, however they are called.
        f"DATABASE_URL=x\nISSUER=x\naudience=x\nstrict=x\nJWT_VERIFICATION_KEY={SECRET}\n"
        "export FASTAPI_SCOPES_ANY_ISSUER=true\nfastapi_scopes_any_audience=true\n"
        "FASTAPI_SCOPES_ALGORITHMS='HS256'  # as AgentOS has it\n",
    )
    settings = ScopesSettings(_env_file=dotenv)
    assert (settings.issuer, settings.audience) == (None, None)
    assert verified(settings.verifier(), mint()).sub == "alice"


def test_keyword_comes_before_environment_dotenv_and_secrets(
    environment: Setting, tmp_path: Path
) -> None:
    environment(REALM="environment", SCOPES_CLAIM="environment", JWT_VERIFICATION_KEY="environment")
    realm, claim, admin = (
        f"FASTAPI_SCOPES_{each}" for each in ("REALM", "SCOPES_CLAIM", "ADMIN_SCOPE")
    )
    dotenv = put_file(
        tmp_path / ".env",
        f"{realm}=dotenv\n{claim}=dotenv\n{admin}=dotenv\nFASTAPI_SCOPES_VERIFICATION_KEY=dotenv\n",
    )
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    for name in (realm, claim, admin, "FASTAPI_SCOPES_ISSUER", "no_setting"):
        put_file(secrets / name, "secrets\n")
    settings = ScopesSettings(realm="keyword", _env_file=dotenv, _secrets_dir=secrets)
    assert settings.verification_key is not None
    assert [
        settings.realm,
        settings.scopes_claim,
        settings.verification_key.get_secret_value(),
        settings.admin_scope,
        settings.issuer,
    ] == ["keyword", "environment", "environment", "dotenv", "secrets"]


@pytest.mark.parametrize("extra", ["forbid", "ignore", "allow"])
def test_subclass_names_a_dotenv_file_and_misspells_nothing_in_it(
    environment: Setting, tmp_path: Path, extra: Any
) -> None:
    environment(**HS256)
    dotenv = tmp_path / ".env"

    class MySettings(ScopesSettings):
        model_config = SettingsConfigDict(env_file=dotenv, extra=extra)
        database_url: str = ""

    put_file(dotenv, "FASTAPI_SCOPES_DATABASE_URL=x\nFASTAPI_SCOPES_REALM=shop\nOTHER=x\n")
    assert (MySettings().database_url, MySettings().realm) == ("x", "shop")
    environment(ISUER="x")
    put_file(dotenv, "FASTAPI_SCOPES_DATABASE_URI=x\nFASTAPI_SCOPES_ALLOWED_SCOPE=a:*\n")
    assert problems_of(MySettings) == [
        "FASTAPI_SCOPES_ISUER is no setting; did you mean FASTAPI_SCOPES_ISSUER",
        "FASTAPI_SCOPES_DATABASE_URI is no setting; did you mean FASTAPI_SCOPES_DATABASE_URL",
        "FASTAPI_SCOPES_ALLOWED_SCOPE is no setting; did you mean FASTAPI_SCOPES_ALLOWED_SCOPES",
    ]


def test_fields_of_a_subclass_are_named_by_their_variables(
    environment: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    class MySettings(ScopesSettings):
        port: int = Field(default=0, validation_alias="PORT")
        retries: int = 0

        @model_validator(mode="after")
        def check(self) -> "MySettings":
            raise ValueError("The port is taken")

    environment(RETRIES="x")
    monkeypatch.setenv("PORT", "x")
    number = "input should be a valid integer, unable to parse string as an integer"
    expected = [f"{each} is malformed: {number}" for each in ("PORT", "FASTAPI_SCOPES_RETRIES")]
    assert problems_of(MySettings) == expected
    environment(RETRIES="1")
    monkeypatch.setenv("PORT", "1")
    assert problems_of(MySettings) == ["value error, The port is taken"]


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        pytest.param(
            {"ISSUER": " ", "AUDIENCE": " ", "REALM": "", "ADMIN_SCOPE": ""},
            [
                "FASTAPI_SCOPES_ISSUER is empty; fill it, or unset it",
                "FASTAPI_SCOPES_AUDIENCE is empty; fill it, or unset it",
                "FASTAPI_SCOPES_ADMIN_SCOPE is empty; fill it, or unset it",
                "FASTAPI_SCOPES_REALM is empty; fill it, or unset it",
            ],
            id="empty",
        ),
        pytest.param(
            {**OPEN, "JWT_VERIFICATION_KEY": "", "ALGORITHMS": "", "SCOPES_CLAIM": ""},
            [
                f"{KEY} is empty; fill it, or unset it",
                "FASTAPI_SCOPES_ALGORITHMS is empty; fill it, or unset it",
                "FASTAPI_SCOPES_SCOPES_CLAIM is empty; fill it, or unset it",
            ],
            id="empty key",
        ),
        pytest.param(
            {"ISSUER": ISSUER, "AUDIENCE": "a,,b", "ALLOWED_SCOPES": "a:*,"},
            [
                "FASTAPI_SCOPES_AUDIENCE has an empty element; remove a comma",
                "FASTAPI_SCOPES_ALLOWED_SCOPES has an empty element; remove a comma",
            ],
            id="empty element",
        ),
        pytest.param(
            {"ISSUER": "http://login.example.com", "AUDIENCE": "api"},
            [
                "FASTAPI_SCOPES_ISSUER is not https, which only loopback addresses may do without;"
                " write an https URL, or FASTAPI_SCOPES_ALLOW_HTTP=login.example.com for that host"
            ],
            id="http",
        ),
        pytest.param(
            {"ISSUER": "http://127.0.0.1:1", "AUDIENCE": "api"},
            [
                "FASTAPI_SCOPES_ISSUER is not https, which only loopback addresses may do without;"
                " write FASTAPI_SCOPES_ALLOW_HTTP=true for a loopback address"
            ],
            id="http-on-loopback",
        ),
        pytest.param(
            {"ISSUER": ISSUER, "AUDIENCE": "api", "CA_FILE": "no-such.pem"},
            [CA_FILE],
            id="no authorities",
        ),
        pytest.param(
            {"ISSUER": ISSUER, "AUDIENCE": "api", "ALLOW_HTTP": "http://keycloak:8080"},
            [
                "FASTAPI_SCOPES_ALLOW_HTTP[0] is no host; write its name alone, without scheme,"
                " port, path or '*', as in 'keycloak'"
            ],
            id="URL in place of a host",
        ),
        pytest.param(
            {"ISSUER": f"{ISSUER}?tenant=t", "AUDIENCE": "api"},
            [
                "FASTAPI_SCOPES_ISSUER has a query, so its metadata has no place;"
                " set FASTAPI_SCOPES_JWKS_URI"
            ],
            id="query",
        ),
        pytest.param(
            {**OPEN, "JWKS_URI": "keys.json"},
            [
                "FASTAPI_SCOPES_JWKS_URI is no http or https URL;"
                " write one like 'https://example.com'"
            ],
            id="no URL",
        ),
        pytest.param(
            {"JWT_VERIFICATION_KEY": SECRET},
            [
                "FASTAPI_SCOPES_ISSUER is not set; set it, or FASTAPI_SCOPES_ANY_ISSUER=true",
                "FASTAPI_SCOPES_AUDIENCE is not set; set it, or FASTAPI_SCOPES_ANY_AUDIENCE=true",
                f"{KEY} is no key that can be read: no PEM, OpenSSH, DER or X.509,"
                " and no JWK as a dict;"
                " write FASTAPI_SCOPES_ALGORITHMS=HS256 if it is a secret",
            ],
            id="secret without HS256",
        ),
        pytest.param(
            {**OPEN, "VERIFICATION_KEY": minting.pem(minting.ec_key())},
            [
                f"{KEY} is an EC key on P-256, which fits none of RS256;"
                " name one that it fits in FASTAPI_SCOPES_ALGORITHMS"
            ],
            id="key of another algorithm",
        ),
        pytest.param(
            {**HS256, "VERIFICATION_KEY": minting.pem(minting.ec_key())},
            [
                f"{KEY} is a key, a certificate or JSON, not a secret: a public one would let"
                " anybody sign under HS*; name its own in FASTAPI_SCOPES_ALGORITHMS"
            ],
            id="PEM with HS256",
        ),
        pytest.param(
            {**OPEN, "VERIFICATION_KEY": 2 * minting.pem(minting.ec_key())},
            [f"{KEY} holds more than one PEM block; keep one, or pass each as a key of its own"],
            id="two PEM blocks",
        ),
        pytest.param(
            {**OPEN, "VERIFICATION_KEY": __file__},
            [f"{KEY} names a file; set what is in it"],
            id="file",
        ),
        pytest.param(
            {**OPEN, "VERIFICATION_KEY": f"{ISSUER}/keys"},
            [f"{KEY} is a URL; use a JWKSVerifier with FASTAPI_SCOPES_JWKS_URI"],
            id="URL",
        ),
        pytest.param(
            {**HS256, "VERIFICATION_KEY": "short", "ALLOWED_SCOPES": "*", "LEEWAY": "301"},
            [
                f"{KEY} is a secret shorter than the 32 bytes that HS256 wants (RFC 7518 3.2);"
                " make one with secrets.token_urlsafe(64)",
                "FASTAPI_SCOPES_LEEWAY is no number of seconds from 0 to 300;"
                " write FASTAPI_SCOPES_LEEWAY=60",
                "FASTAPI_SCOPES_ALLOWED_SCOPES[0] is no scope and no 'prefix:*';"
                " write '*' nowhere else",
            ],
            id="limits",
        ),
        pytest.param(
            {**OPEN, "JWKS_URI": f"{ISSUER}/keys", "TOKEN_KIND": "id", "TENANTS": "x"},
            [
                "FASTAPI_SCOPES_TENANTS is set, and issuer has no {tenantid} in it; leave it out",
                "FASTAPI_SCOPES_TENANTS[0] is no GUID; write the tenant ID, not its domain;"
                " ANY_TENANT stands alone",
                "FASTAPI_SCOPES_TOKEN_KIND is 'id', and audience is None; name the client or the"
                " API: an ID token is told apart by that alone",
            ],
            id="tenants and kind",
        ),
        pytest.param(
            {"ISSUER": f"{ISSUER}, {ISSUER}/b", "AUDIENCE": "api", "JWKS_URI": f"{ISSUER}/keys"},
            [
                "FASTAPI_SCOPES_ISSUER names several issuers;"
                " name one; for several write an IssuersVerifier"
            ],
            id="several issuers",
        ),
        pytest.param(
            {"ISSUER": FAMILY, "AUDIENCE": "api"},
            [
                "FASTAPI_SCOPES_ISSUER has {tenantid} in it, and tenants is not set; write"
                " FASTAPI_SCOPES_TENANTS=00000000-0000-0000-0000-000000000000 with the GUIDs of"
                " yours, or ANY_TENANT"
            ],
            id="family without tenants",
        ),
        pytest.param(
            {**HS256, "ALGORITHMS": "HS256,RS256"},
            [
                "FASTAPI_SCOPES_ALGORITHMS mixes HS* with others;"
                " keep one kind, or make a verifier for each"
            ],
            id="two kinds of algorithms",
        ),
        pytest.param(
            {**OPEN, "JWKS_URI": f"{ISSUER}/keys", "ALGORITHMS": "HS256"},
            [
                "FASTAPI_SCOPES_ALGORITHMS has an HS*, whose key nobody may publish;"
                " use a JWTVerifier with FASTAPI_SCOPES_VERIFICATION_KEY"
            ],
            id="published secret",
        ),
    ],
)
def test_what_the_verifier_refuses_is_said_in_variables(
    environment: Setting, variables: dict[str, str], expected: list[str]
) -> None:
    environment(**variables)
    assert problems_of() == expected


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        pytest.param(
            {"ADMIN_SCOPE": "a:admin", "ALLOWED_SCOPES": "a:*", "REALM": '"'},
            [
                "FASTAPI_SCOPES_REALM: '\"' is no quotable ASCII text; write one like 'api'",
                "FASTAPI_SCOPES_ADMIN_SCOPE: 'a:admin' counts from no issuer;"
                " write it out in FASTAPI_SCOPES_ALLOWED_SCOPES where the issuer may grant it",
            ],
            id="admin scope is not allowed",
        ),
        pytest.param(
            {"ADMIN_SCOPE": "a b"},
            [
                "FASTAPI_SCOPES_ADMIN_SCOPE: 'a b' is not a scope;"
                " write visible ASCII without space, quote or backslash"
            ],
            id="admin scope is none",
        ),
        pytest.param(
            {"REQUESTED_AS": "api app/"},
            [
                "FASTAPI_SCOPES_REQUESTED_AS: 'api app/' begins no scope;"
                " write a prefix like 'api://app/', or leave it out"
            ],
            id="requested as no scope",
        ),
        pytest.param(
            {"REQUESTED_AS": " "},
            ["FASTAPI_SCOPES_REQUESTED_AS is empty; fill it, or unset it"],
            id="requested as nothing",
        ),
    ],
)
def test_what_the_guard_refuses_is_said_in_variables(
    environment: Setting, variables: dict[str, str], expected: list[str]
) -> None:
    environment(**HS256, **variables)
    assert problems_of(lambda: ScopesSettings().guard({})) == expected


def test_problem_has_its_variable_and_its_way_out_apart(environment: Setting) -> None:
    environment(**HS256, LEEWAY="301")
    with pytest.raises(ConfigurationError) as caught:
        ScopesSettings().verifier()
    (problem,) = caught.value.problems
    assert problem.setting == "FASTAPI_SCOPES_LEEWAY"
    assert problem.text == "is no number of seconds from 0 to 300"
    assert problem.remedy == "write FASTAPI_SCOPES_LEEWAY=60"


def test_what_is_passed_is_named_as_it_was_passed(environment: Setting) -> None:
    environment(**HS256)
    assert problems_of(lambda: ScopesSettings().guard({}, claims_model=str)) == [  # type: ignore[type-var]
        "claims_model is no subclass of Claims; write class MyClaims(Claims)"
    ]
    assert problems_of(lambda: ScopesSettings().guard({"x": "a"}))[0].startswith("'x'")


def test_empty_list_allows_no_scope_and_any_other_is_an_error(environment: Setting) -> None:
    environment(**{**HS256, "ANY_AUDIENCE": "false"})
    settings = ScopesSettings(audience=["api"], allowed_scopes=[])
    assert verified(settings.verifier(), mint("a", aud="api")).scopes == frozenset()
    assert problems_of(lambda: ScopesSettings(audience=[]).verifier()) == [
        "FASTAPI_SCOPES_AUDIENCE is empty; fill it, or unset it"
    ]


def test_secret_stays_out_of_the_repr(environment: Setting) -> None:
    environment(**HS256)
    settings = ScopesSettings()
    assert SECRET not in f"{settings!r} {settings} {settings.verifier()!r}"


def test_missing_extra_names_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydantic_settings", None)
    for name in [each for each in sys.modules if each.startswith("fastapi_scopes.settings")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ImportError, match=r"pip install 'fastapi-scopes\[settings\]'"):
        importlib.import_module("fastapi_scopes.settings")
