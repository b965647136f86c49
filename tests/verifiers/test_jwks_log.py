"""What the log says of an issuer that gives no keys: which document, and what is wrong with it."""

import json
import logging
from collections.abc import Mapping
from typing import Any

import pytest

from fastapi_scopes.verifiers import Document
from fastapi_scopes.verifiers._http import FetchError
from tests.verifiers.minting import SECRET, jwk, rsa_key
from tests.verifiers.publishing import (
    ISSUER,
    JWKS_URI,
    Issuer,
    key_set_of,
    looped,
    make_jwks_verifier,
    outcome_of,
)

OPENID = f"{ISSUER}/.well-known/openid-configuration"
OAUTH = f"{ISSUER}/.well-known/oauth-authorization-server"
ABSENT = FetchError("answered 404", is_absent=True)


def metadata(**members: Any) -> bytes:
    return json.dumps({"issuer": ISSUER, "jwks_uri": JWKS_URI, **members}).encode()


SAID: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "no-metadata": ({OPENID: ABSENT, OAUTH: ABSENT}, f"{OAUTH} answered 404"),
    "metadata-out": ({OPENID: FetchError("answered 500")}, f"{OPENID} answered 500"),
    "metadata-no-json": ({OPENID: b"<html>"}, f"the metadata at {OPENID} is no strict JSON object"),
    "another-issuer": (
        {OPENID: metadata(issuer=f"{ISSUER}/")},
        f"the metadata at {OPENID} has another 'issuer'; it must be equal, to the last slash",
    ),
    "no-key-set": (
        {OPENID: metadata(jwks_uri="http://issuer.example/jwks")},
        f"the metadata at {OPENID} names no JWK set that may be fetched",
    ),
    "key-set-out": (
        {OPENID: metadata(), JWKS_URI: FetchError("redirects to another host")},
        f"{JWKS_URI} redirects to another host",
    ),
    "key-set-with-a-query": (
        {OPENID: metadata(jwks_uri=f"{JWKS_URI}?canary"), f"{JWKS_URI}?canary": b"[]"},
        f"what is at {JWKS_URI} is no strict JSON object",
    ),
    "key-set-of-nothing": (
        {OPENID: metadata(), JWKS_URI: b'{"error": "canary"}'},
        f"what is at {JWKS_URI} has no list of keys, so it is no JWK set",
    ),
    "secret": (
        {OPENID: metadata(), JWKS_URI: key_set_of({"kty": "oct", "k": SECRET})},
        f"what is at {JWKS_URI} holds a secret",
    ),
    "other-algorithms": (
        {OPENID: metadata(), JWKS_URI: key_set_of(jwk(rsa_key(), kid="canary"))},
        f"what is at {JWKS_URI} is a JWK set without a usable key for ES256",
    ),
    "too-long": (
        {OPENID: metadata(), JWKS_URI: b" " * (256 * 1024 + 1)},
        f"{JWKS_URI} is longer than 262144 bytes",
    ),
    "age-of-a-text": (
        {OPENID: metadata(), JWKS_URI: Document(b"{}", "canary")},  # type: ignore[arg-type]
        f"{JWKS_URI} has an age that is no number of seconds",
    ),
    "own-error": ({OPENID: KeyError("canary")}, "KeyError"),
}


@pytest.mark.parametrize(("documents", "said"), SAID.values(), ids=SAID)
@looped
async def test_log_names_the_document_and_quotes_nothing_of_it(
    documents: Mapping[str, Any], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    issuer = Issuer()
    issuer.documents = dict(documents)
    verifier = make_jwks_verifier(algorithms=["ES256"], fetch=issuer.fetch, now=issuer.clock)

    with caplog.at_level(logging.DEBUG):
        assert await outcome_of(verifier, issuer.mint()) == "verifier_unavailable"
    assert caplog.messages == [f"no keys of {ISSUER}: {said}"]


def fetch_at_once(url: str) -> Document:
    return Document(b"{}")


async def fetch_a_dict(url: str) -> Any:
    return {"keys": []}


BAD_FETCHES: Mapping[str, tuple[Any, str]] = {
    "not-async": (fetch_at_once, "is not fetched: fetch= is no async function"),
    "no-document": (fetch_a_dict, "is not fetched: fetch= returned a 'dict'"),
}


@pytest.mark.parametrize(("fetch", "said"), BAD_FETCHES.values(), ids=BAD_FETCHES)
@looped
async def test_fetch_that_is_none_is_named(
    fetch: Any, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    issuer = Issuer()

    verifier = issuer.verifier(fetch=fetch)
    assert await outcome_of(verifier, issuer.mint()) == "verifier_unavailable"
    assert caplog.messages == [f"no keys of {ISSUER}: {JWKS_URI} {said}"]
