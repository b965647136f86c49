"""`security_scheme="discover"`: the document says where the issuer's metadata says to sign in."""

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient
from openapi_spec_validator import validate

from fastapi_scopes import PUBLIC, Claims, ScopeGuard, ScopeMap
from fastapi_scopes.errors import ConfigurationError
from fastapi_scopes.settings import ScopesSettings
from fastapi_scopes.verifiers import (
    ANY_TENANT,
    DiscoveringVerifier,
    Document,
    IssuerEndpoints,
    IssuersVerifier,
    JWKSVerifier,
)
from fastapi_scopes.verifiers._http import FetchError
from tests.apps import make_verifier
from tests.documents import operation_of
from tests.verifiers.publishing import ISSUER, JWKS_URI, Issuer, settled

OPENID = f"{ISSUER}/.well-known/openid-configuration"
OAUTH = f"{ISSUER}/.well-known/oauth-authorization-server"
AUTHORIZE, TOKEN = f"{ISSUER}/authorize", f"{ISSUER}/token"
RULES = ScopeMap({"GET /x": "a:read", "GET /openapi.json": PUBLIC}, descriptions={"a:read": "Read"})
BEARER = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT",
    "x-scopes": {"a:read": "Read"},
}
WAY_OUT = "pass security_scheme=OAuth2AuthorizationCodeBearer(...)"


def code_flow(authorize: str = AUTHORIZE, token: str = TOKEN) -> dict[str, Any]:
    flow = {"authorizationUrl": authorize, "tokenUrl": token, "scopes": {"a:read": "Read"}}
    return {"type": "oauth2", "flows": {"authorizationCode": flow}}


def metadata(**members: Any) -> bytes:
    told = {"issuer": ISSUER, "jwks_uri": JWKS_URI}
    endpoints = {"authorization_endpoint": AUTHORIZE, "token_endpoint": TOKEN}
    return json.dumps({**told, **endpoints, **members}).encode()


def described(**members: Any) -> Issuer:
    issuer = Issuer()
    issuer.documents[OPENID] = metadata(**members)
    return issuer


async def answer() -> str:
    return "ran"


def make_app(*dependencies: Any) -> FastAPI:
    app = FastAPI(docs_url=None, redoc_url=None, dependencies=dependencies)
    app.add_api_route("/x", answer)
    return app


def make_guard(verifier: Any) -> ScopeGuard[Any]:
    return ScopeGuard(RULES, verifier=verifier, security_scheme="discover")


def scheme_in(app: FastAPI) -> Any:
    document = app.openapi()
    validate(document)
    schemes: dict[str, Any] = document["components"]["securitySchemes"]
    assert list(schemes) == ["ScopeGuard"]
    return schemes["ScopeGuard"]


def started(verifier: Any, **options: Any) -> Any:
    """The scheme in the document of a protected app that has started."""
    app = make_guard(verifier).protect(make_app(), **options)
    with TestClient(app):
        return scheme_in(app)


@pytest.mark.parametrize("jwks_uri", [None, JWKS_URI], ids=["discovered", "configured"])
def test_document_shows_the_endpoints_of_the_metadata(jwks_uri: str | None) -> None:
    issuer = described()

    assert started(issuer.verifier(jwks_uri=jwks_uri)) == code_flow()
    assert sorted(issuer.urls) == sorted([OPENID, JWKS_URI])


def test_operation_asks_for_its_scopes_in_the_flow() -> None:
    app = make_guard(described().verifier(jwks_uri=None)).protect(make_app())
    with TestClient(app) as client:
        document = client.get("/openapi.json").json()
    operation = operation_of(document, "GET /x")
    assert operation["security"] == [{"ScopeGuard": ["a:read"]}]
    assert "x-required-scopes" not in operation


def test_flow_names_scopes_as_clients_ask_for_them() -> None:
    verifier = described().verifier(jwks_uri=None)
    guard = ScopeGuard(
        RULES, verifier=verifier, security_scheme="discover", requested_as="api://app/"
    )
    app = guard.protect(make_app())
    with TestClient(app):
        flow = scheme_in(app)["flows"]["authorizationCode"]
    assert flow["scopes"] == {"api://app/a:read": "Read"}


def protect(guard: ScopeGuard[Any], verifier: Any) -> FastAPI:
    return guard.protect(make_app())


def document(guard: ScopeGuard[Any], verifier: Any) -> FastAPI:
    return guard.document(make_app(Depends(guard)))


@pytest.mark.parametrize("show", [protect, document])
def test_document_that_was_read_before_the_metadata_came_is_made_anew(
    show: Callable[..., FastAPI],
) -> None:
    verifier = described().verifier(jwks_uri=None)
    app = show(make_guard(verifier), verifier)
    early = app.openapi()
    assert scheme_in(app) == BEARER
    asyncio.run(verifier.warm_up())

    assert scheme_in(app) == code_flow()
    assert app.openapi() is app.openapi()
    assert early["components"]["securitySchemes"]["ScopeGuard"] == BEARER


def test_document_of_a_dependency_alone_is_that_of_the_guard() -> None:
    verifier = described().verifier(jwks_uri=None)
    app = make_app(Depends(make_guard(verifier)))
    asyncio.run(verifier.warm_up())

    flow = scheme_in(app)["flows"]["authorizationCode"]
    assert (flow["authorizationUrl"], flow["tokenUrl"]) == (AUTHORIZE, TOKEN)


def test_endpoints_that_a_token_brought_are_shown_too() -> None:
    issuer = described()
    verifier = issuer.verifier(jwks_uri=None)
    app = make_guard(verifier).protect(make_app(), warm_up=False)
    with TestClient(app) as client:
        assert scheme_in(app) == BEARER
        token = issuer.mint(scope="a:read")
        client.get("/x", headers={"Authorization": f"Bearer {token}"})
        assert scheme_in(app) == code_flow()


def test_endpoints_that_are_gone_from_the_metadata_are_shown_no_more() -> None:
    issuer = described()
    verifier = issuer.verifier(jwks_uri=None)
    app = make_guard(verifier).protect(make_app())
    asyncio.run(verifier.warm_up())
    assert scheme_in(app) == code_flow()
    issuer.documents |= {OPENID: metadata(token_endpoint=None), JWKS_URI: FetchError("is out")}
    # One attempt fails at the place that was known, the next one reads the metadata again.
    for _ in range(2):
        issuer.clock.move(300)
        asyncio.run(verifier.warm_up())
    assert scheme_in(app) == BEARER


def test_family_of_issuers_shows_the_endpoints_of_its_common_metadata() -> None:
    microsoft = "https://login.microsoftonline.com"
    template = f"{microsoft}/{{tenantid}}/v2.0"
    common = f"{microsoft}/common/oauth2/v2.0"
    issuer = Issuer()
    issuer.documents[f"{microsoft}/common/v2.0/.well-known/openid-configuration"] = metadata(
        issuer=template,
        authorization_endpoint=f"{common}/authorize",
        token_endpoint=f"{common}/token",
    )
    verifier = issuer.verifier(
        issuer=template, tenants=ANY_TENANT, audience="https://api.example", jwks_uri=None
    )

    assert started(verifier) == code_flow(f"{common}/authorize", f"{common}/token")


REFUSED: dict[str, dict[str, Any]] = {
    "no-authorization": {"authorization_endpoint": None},
    "no-token": {"token_endpoint": None},
    "script": {"authorization_endpoint": "javascript:alert(1)//https://canary.example"},
    "data": {"authorization_endpoint": "data:text/html,canary"},
    "no-tls": {"authorization_endpoint": "http://canary.example/authorize"},
    "no-tls-for-tokens": {"token_endpoint": "http://canary.example/token"},
    "loopback": {"token_endpoint": "http://127.0.0.1/canary"},
    "relative": {"authorization_endpoint": "/canary"},
    "no-scheme": {"authorization_endpoint": "//canary.example"},
    "credentials": {"authorization_endpoint": "https://user:canary@issuer.example"},
    "fragment": {"authorization_endpoint": f"{AUTHORIZE}#canary"},
    "backslash": {"authorization_endpoint": "https://canary.example\\@issuer.example/"},
    "blank": {"authorization_endpoint": f"{AUTHORIZE} canary"},
    "line-break": {"authorization_endpoint": f"{AUTHORIZE}\ncanary"},
    "markup": {"authorization_endpoint": f"{AUTHORIZE}?'\"><script>canary</script>"},
    "not-ascii": {"authorization_endpoint": "https://\u0456ssuer.example/canary"},
    "too-long": {"authorization_endpoint": f"{AUTHORIZE}?canary={'a' * 2048}"},
    "list": {"authorization_endpoint": [AUTHORIZE]},
    "number": {"token_endpoint": 1},
}


@pytest.mark.parametrize("members", REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("jwks_uri", [None, JWKS_URI], ids=["discovered", "configured"])
def test_endpoint_that_may_not_be_shown_leaves_the_bearer_scheme(
    members: dict[str, Any], jwks_uri: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    verifier = described(**members).verifier(jwks_uri=jwks_uri)

    assert started(verifier) == BEARER
    assert [(each.levelno, each.getMessage()) for each in caplog.records] == [
        (
            logging.ERROR,
            f"the OpenAPI document shows no sign-in at {ISSUER}: its metadata names no "
            f"authorization and token endpoint that may be shown; {WAY_OUT}",
        )
    ]


def test_loopback_needs_no_tls_where_the_verifier_may_do_without() -> None:
    authorize, token = "http://127.0.0.1:9/authorize", "http://localhost:9/token"
    issuer = described(authorization_endpoint=authorize, token_endpoint=token)
    verifier = issuer.verifier(jwks_uri=None, allow_http=True)

    assert started(verifier) == code_flow(authorize, token)


FAULTS: dict[str, tuple[Any, str]] = {
    "absent": (
        FetchError("answered 404", is_absent=True),
        f"{OPENID} answered 404, and {OAUTH} answered 404; {WAY_OUT}",
    ),
    "out": (FetchError("answered 500"), f"{OPENID} answered 500; {WAY_OUT}"),
    "page": (
        b"<html>canary",
        f"{OPENID} is an HTML page, and {OAUTH} answered 404; {WAY_OUT}",
    ),
    "another-issuer": (
        metadata(issuer="https://canary.example"),
        f"the metadata at {OPENID} has another 'issuer'; it must be equal, to the last slash: "
        "write issuer= as it stands there",
    ),
}


@pytest.mark.parametrize(("found", "said"), FAULTS.values(), ids=FAULTS)
def test_metadata_that_cannot_be_read_is_said_and_costs_no_keys(
    found: Any, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    issuer = Issuer()
    issuer.documents |= {OPENID: found, OAUTH: FetchError("answered 404", is_absent=True)}
    verifier = issuer.verifier()

    assert started(verifier) == BEARER
    assert caplog.messages == [f"the OpenAPI document shows no sign-in at {ISSUER}: {said}"]
    issuer.error = ConnectionError()
    assert asyncio.run(verifier.verify(issuer.mint())).iss == ISSUER


@pytest.mark.parametrize("warm_up", [True, False])
def test_metadata_that_comes_late_is_read_with_the_keys(
    warm_up: bool, caplog: pytest.LogCaptureFixture
) -> None:
    issuer = Issuer()
    issuer.documents |= {OPENID: FetchError("answered 500")}
    verifier = issuer.verifier()
    app = make_guard(verifier).protect(make_app(), warm_up=warm_up)

    async def serve() -> None:
        if warm_up:
            await verifier.warm_up()
        for _ in range(3):
            issuer.clock.move(300)
            await verifier.verify(issuer.mint(jti=str(issuer.clock.now)))
            await settled()
        assert scheme_in(app) == BEARER
        issuer.documents[OPENID] = metadata()
        issuer.clock.move(300)
        await verifier.verify(issuer.mint(jti="late"))
        await settled()

    asyncio.run(serve())
    assert scheme_in(app) == code_flow()
    # Each reason once, however often it is met.
    (said,) = caplog.messages
    assert said.endswith(f"{OPENID} answered 500; {WAY_OUT}")
    # Known endpoints are not asked for again.
    asked = issuer.urls.count(OPENID)
    issuer.clock.move(300)
    asyncio.run(verifier.warm_up())
    asyncio.run(verifier.verify(issuer.mint(jti="later")))
    assert issuer.urls.count(OPENID) <= asked + 1


def test_metadata_that_never_comes_keeps_no_key_back() -> None:
    issuer = Issuer()
    never = asyncio.Event()

    async def fetch(url: str) -> Document:
        if url == OPENID:
            await never.wait()
        return await issuer.fetch(url)

    verifier = issuer.verifier(fetch=fetch, timeout=60)
    make_guard(verifier).protect(make_app(), warm_up=False)

    async def serve() -> Claims:
        async with asyncio.timeout(20):
            return await verifier.verify(issuer.mint())

    assert asyncio.run(serve()).iss == ISSUER


def test_metadata_without_which_there_are_no_keys_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    issuer = Issuer()
    issuer.documents[OPENID] = FetchError("answered 500")

    assert started(issuer.verifier(jwks_uri=None)) == BEARER
    (said,) = caplog.messages
    assert said.startswith(f"no keys of {ISSUER}: ")


def test_guard_that_shows_another_scheme_asks_for_no_metadata() -> None:
    issuer = described()
    app = ScopeGuard(RULES, verifier=issuer.verifier()).protect(make_app())
    with TestClient(app):
        assert issuer.urls == [JWKS_URI]


NEEDS_ISSUER = "security_scheme needs a verifier with an issuer= that is a URL with metadata; pass "
NO_METADATA: dict[str, tuple[Any, str]] = {
    "secret": (make_verifier, "security_scheme is 'discover', but a 'JWTVerifier' reads no"),
    "several-issuers": (
        lambda: IssuersVerifier([described().verifier(jwks_uri=None)]),
        "security_scheme is 'discover', but a 'IssuersVerifier' reads no metadata of one issuer; "
        "pass a JWKSVerifier with issuer=, or OAuth2AuthorizationCodeBearer(...)",
    ),
    "any-issuer": (lambda: Issuer().verifier(issuer=None), NEEDS_ISSUER),
    "issuer-of-a-name": (lambda: Issuer().verifier(issuer="acme.com"), NEEDS_ISSUER),
    "issuer-with-a-query": (lambda: Issuer().verifier(issuer=f"{ISSUER}?a"), NEEDS_ISSUER),
    "class": (lambda: JWKSVerifier, "security_scheme is 'discover', but a 'type' reads no"),
}


@pytest.mark.parametrize(("make", "said"), NO_METADATA.values(), ids=NO_METADATA)
def test_verifier_that_reads_no_metadata_is_refused(make: Any, said: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        make_guard(make())
    assert str(raised.value).startswith(said)


def test_other_word_is_no_scheme() -> None:
    with pytest.raises(ConfigurationError, match="or 'discover'"):
        ScopeGuard(RULES, verifier=make_verifier(), security_scheme="discovery")  # type: ignore[arg-type]


class Own:
    async def verify(self, token: str) -> Claims:
        return Claims(exp=1)

    def discover_endpoints(self) -> Callable[[], IssuerEndpoints | None]:
        return lambda: IssuerEndpoints(AUTHORIZE, TOKEN)


def test_verifier_of_ones_own_may_tell_the_endpoints() -> None:
    assert isinstance(Own(), DiscoveringVerifier)
    assert started(Own()) == code_flow()


def test_settings_may_discover(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTAPI_SCOPES_ISSUER", ISSUER)
    monkeypatch.setenv("FASTAPI_SCOPES_ANY_AUDIENCE", "true")
    guard = ScopesSettings().guard(RULES, security_scheme="discover")
    assert scheme_in(guard.protect(make_app())) == BEARER
