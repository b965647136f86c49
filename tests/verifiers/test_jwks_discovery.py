"""Where an issuer's key set is found: its metadata, or the place that was configured."""

import json
import logging
from typing import Any

import pytest

from fastapi_scopes.errors import TokenFault
from fastapi_scopes.verifiers import Document
from fastapi_scopes.verifiers._http import MAX_BODY_BYTES, FetchError
from tests.verifiers.publishing import ISSUER, JWKS_URI, Issuer, looped, outcome_of, settled

OPENID = f"{ISSUER}/.well-known/openid-configuration"
OAUTH = f"{ISSUER}/.well-known/oauth-authorization-server"
ABSENT = FetchError("answered 404", is_absent=True)


def metadata(**members: Any) -> bytes:
    return json.dumps({"issuer": ISSUER, "jwks_uri": JWKS_URI, **members}).encode()


def described(document: Any = None) -> Issuer:
    """An issuer whose OpenID metadata is *document*."""
    issuer = Issuer()
    issuer.documents[OPENID] = metadata() if document is None else document
    return issuer


def discovering(issuer: Issuer, /, **settings: Any) -> Any:
    return issuer.verifier(**{"jwks_uri": None, **settings})


PLACES: dict[str, tuple[str, str, str]] = {
    "root": (ISSUER, OPENID, OAUTH),
    "root-with-slash": (f"{ISSUER}/", OPENID, OAUTH),
    "path": (
        f"{ISSUER}/tenant",
        f"{ISSUER}/tenant/.well-known/openid-configuration",
        f"{OAUTH}/tenant",
    ),
    "path-with-slash": (
        f"{ISSUER}/tenant/",
        f"{ISSUER}/tenant/.well-known/openid-configuration",
        f"{OAUTH}/tenant",
    ),
    "deep-path": (
        f"{ISSUER}/realms/a.b",
        f"{ISSUER}/realms/a.b/.well-known/openid-configuration",
        f"{OAUTH}/realms/a.b",
    ),
    "port": (
        "https://issuer.example:8443/a",
        "https://issuer.example:8443/a/.well-known/openid-configuration",
        "https://issuer.example:8443/.well-known/oauth-authorization-server/a",
    ),
    "space-in-path": (
        f"{ISSUER}/a%20b",
        f"{ISSUER}/a%20b/.well-known/openid-configuration",
        f"{OAUTH}/a%20b",
    ),
    "slash-within-a-segment": (
        f"{ISSUER}/a%2Fb",
        f"{ISSUER}/a%2Fb/.well-known/openid-configuration",
        f"{OAUTH}/a%2Fb",
    ),
    "question-mark-within-a-segment": (
        f"{ISSUER}/a%3Fb",
        f"{ISSUER}/a%3Fb/.well-known/openid-configuration",
        f"{OAUTH}/a%3Fb",
    ),
    "percent-within-a-segment": (
        f"{ISSUER}/a%2541",
        f"{ISSUER}/a%2541/.well-known/openid-configuration",
        f"{OAUTH}/a%2541",
    ),
}


@pytest.mark.parametrize(("identifier", "openid", "oauth"), PLACES.values(), ids=PLACES)
@looped
async def test_openid_metadata_is_asked_before_that_of_rfc_8414(
    identifier: str, openid: str, oauth: str
) -> None:
    issuer = Issuer()
    issuer.documents = {openid: ABSENT, oauth: metadata(issuer=identifier)}
    verifier = discovering(issuer, issuer=identifier)

    assert await outcome_of(verifier, issuer.mint(iss=identifier)) == "accept"
    assert issuer.urls == [openid, oauth, JWKS_URI]


@pytest.mark.parametrize(
    "page",
    [b"<!doctype html>", b"\r\n\t <html>", b"\xef\xbb\xbf<?xml version='1.0'?>"],
    ids=["html", "after-blanks", "xml-with-a-mark"],
)
@looped
async def test_page_in_place_of_openid_metadata_is_none(page: bytes) -> None:
    issuer = described(page)
    issuer.documents[OAUTH] = metadata()

    assert await outcome_of(discovering(issuer), issuer.mint()) == "accept"
    assert issuer.urls == [OPENID, OAUTH, JWKS_URI]


@looped
async def test_openid_metadata_is_enough() -> None:
    issuer = described()

    assert await outcome_of(discovering(issuer), issuer.mint()) == "accept"
    assert issuer.urls == [OPENID, JWKS_URI]


FAULTS: dict[str, BaseException] = {
    "server-error": FetchError("answered 503"),
    "unreachable": FetchError("could not be reached (ConnectError)"),
    "error-of-its-own": RuntimeError("no network"),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
@looped
async def test_fault_is_no_reason_to_ask_elsewhere(fault: BaseException) -> None:
    issuer = described(fault)

    assert await outcome_of(discovering(issuer), issuer.mint()) == "verifier_unavailable"
    assert issuer.urls == [OPENID]


@looped
async def test_issuer_without_any_metadata_is_unavailable() -> None:
    issuer = described(ABSENT)
    issuer.documents[OAUTH] = ABSENT

    assert await outcome_of(discovering(issuer), issuer.mint()) == "verifier_unavailable"
    assert issuer.urls == [OPENID, OAUTH]


REFUSED: dict[str, bytes] = {
    "of-another-issuer": metadata(issuer="https://other.example"),
    "issuer-with-slash": metadata(issuer=f"{ISSUER}/"),
    "issuer-in-capitals": metadata(issuer=ISSUER.upper()),
    "issuer-with-default-port": metadata(issuer=f"{ISSUER}:443"),
    "issuer-null": metadata(issuer=None),
    "issuer-in-a-list": metadata(issuer=[ISSUER]),
    "issuer-missing": b'{"jwks_uri": "%b"}' % JWKS_URI.encode(),
    "jwks-uri-missing": b'{"issuer": "%b"}' % ISSUER.encode(),
    "jwks-uri-null": metadata(jwks_uri=None),
    "jwks-uri-empty": metadata(jwks_uri=""),
    "jwks-uri-in-a-list": metadata(jwks_uri=[JWKS_URI]),
    "jwks-uri-relative": metadata(jwks_uri="/jwks"),
    "jwks-uri-without-tls": metadata(jwks_uri="http://issuer.example/jwks"),
    "jwks-uri-on-loopback": metadata(jwks_uri="http://127.0.0.1/jwks"),
    "jwks-uri-file": metadata(jwks_uri="file:///etc/passwd"),
    "jwks-uri-with-credentials": metadata(jwks_uri="https://a:b@issuer.example/jwks"),
    "jwks-uri-with-fragment": metadata(jwks_uri=f"{JWKS_URI}#k1"),
    "jwks-uri-no-url": metadata(jwks_uri="https://issuer.example:port/"),
    "jwks-uri-twice": b'{"jwks_uri": "%b", ' % JWKS_URI.encode() + metadata()[1:],
    "no-json": b"{",
    "no-object": b"[" + metadata() + b"]",
    "no-utf-8": metadata().decode().encode("utf-16"),
    "empty": b"",
    "too-long": metadata().ljust(MAX_BODY_BYTES + 1),
}


@pytest.mark.parametrize("document", REFUSED.values(), ids=REFUSED)
@looped
async def test_refused_metadata_leads_nowhere(document: bytes) -> None:
    issuer = described(document)

    assert await outcome_of(discovering(issuer), issuer.mint()) == "verifier_unavailable"
    assert issuer.urls == [OPENID]


@pytest.mark.parametrize(
    "uri", ["http://127.0.0.1:1/jwks", "http://[::1]:1/jwks", "http://localhost:1/jwks", JWKS_URI]
)
@looped
async def test_loopback_may_do_without_tls_where_that_is_allowed(uri: str) -> None:
    issuer = described(metadata(jwks_uri=uri))
    verifier = discovering(issuer, allow_http=True)

    assert await outcome_of(verifier, issuer.mint()) == "accept"
    assert issuer.urls == [OPENID, uri]


@pytest.mark.parametrize(
    "host",
    ["issuer.example", "169.254.169.254", "10.0.0.1", "localhost.example", "2130706433", "[::]"],
)
@looped
async def test_no_other_host_may_do_without_tls(host: str) -> None:
    issuer = described(metadata(jwks_uri=f"http://{host}/jwks"))
    verifier = discovering(issuer, allow_http=True)

    assert await outcome_of(verifier, issuer.mint()) == "verifier_unavailable"
    assert issuer.urls == [OPENID]


@looped
async def test_key_set_may_be_on_another_host() -> None:
    issuer = described(metadata(jwks_uri="https://keys.example/set?v=3"))

    assert await outcome_of(discovering(issuer), issuer.mint()) == "accept"
    assert issuer.urls == [OPENID, "https://keys.example/set?v=3"]


@looped
async def test_place_that_proved_good_is_asked_again_without_discovery() -> None:
    issuer = described()
    verifier = discovering(issuer)
    await verifier.verify(issuer.mint())
    issuer.clock.move(300)
    await verifier.verify(issuer.mint())
    await settled()

    assert issuer.urls == [OPENID, JWKS_URI, JWKS_URI]


@pytest.mark.parametrize("fault", [ABSENT, b'{"keys": []}'], ids=["absent", "without-keys"])
@looped
async def test_key_set_that_moved_is_found_again(fault: Any) -> None:
    issuer = described()
    verifier = discovering(issuer)
    await verifier.verify(issuer.mint())
    moved = f"{ISSUER}/moved"
    issuer.documents |= {JWKS_URI: fault, OPENID: metadata(jwks_uri=moved)}
    issuer.publish("k2")

    # One attempt fails at the old place, the next one finds the new one.
    for _ in range(2):
        issuer.clock.move(300)
        await outcome_of(verifier, issuer.mint())
        await settled()

    assert issuer.urls == [OPENID, JWKS_URI, JWKS_URI, OPENID, moved]
    assert await outcome_of(verifier, issuer.mint("k2")) == "accept"
    assert await outcome_of(verifier, issuer.mint("k1")) == TokenFault.UNKNOWN_KEY


@looped
async def test_lifetime_of_metadata_is_not_that_of_keys() -> None:
    issuer = described(Document(metadata(), 86_400))
    verifier = discovering(issuer)
    await verifier.verify(issuer.mint())
    issuer.clock.move(300)
    await verifier.verify(issuer.mint())
    await settled()

    assert issuer.fetches == 2


@looped
async def test_configured_key_set_needs_no_metadata() -> None:
    issuer = Issuer()

    assert await outcome_of(issuer.verifier(), issuer.mint()) == "accept"
    assert issuer.urls == [JWKS_URI]


@pytest.mark.parametrize("identifier", ["an-issuer", "urn:issuer:1", "http://issuer.example"])
@looped
async def test_issuer_whose_keys_are_configured_may_be_any_text(identifier: str) -> None:
    issuer = Issuer()
    verifier = issuer.verifier(issuer=identifier)

    assert await outcome_of(verifier, issuer.mint(iss=identifier)) == "accept"
    assert await outcome_of(verifier, issuer.mint()) == TokenFault.ISSUER


@looped
async def test_without_issuer_tokens_of_any_are_verified() -> None:
    issuer = Issuer()
    verifier = issuer.verifier(issuer=None)

    assert verifier.issuers is None
    for claims in ({"iss": "https://a.example"}, {"iss": "b"}):
        assert await outcome_of(verifier, issuer.mint(**claims)) == "accept"


@looped
async def test_refused_metadata_is_not_quoted(caplog: pytest.LogCaptureFixture) -> None:
    issuer = described(metadata(issuer="https://canary.example", jwks_uri="https://canary"))

    with caplog.at_level(logging.DEBUG):
        await outcome_of(discovering(issuer), issuer.mint())

    assert ISSUER in caplog.text
    assert "canary" not in caplog.text
