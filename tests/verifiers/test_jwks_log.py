"""What the log says of an issuer that gives no keys: which document, and what is wrong with it."""

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

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


BY_ISSUER = "if that address is wrong, correct issuer=, or pass jwks_uri="
PEM = "-----BEGIN CERTIFICATE-----\ncanary\n-----END CERTIFICATE-----\n"

SAID: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "no-metadata": (
        {OPENID: ABSENT, OAUTH: ABSENT},
        f"{OPENID} answered 404, and {OAUTH} answered 404; {BY_ISSUER}",
    ),
    "metadata-out": (
        {OPENID: FetchError("answered 500")},
        f"{OPENID} answered 500; {BY_ISSUER}",
    ),
    "metadata-out-at-the-second-place": (
        {OPENID: ABSENT, OAUTH: FetchError("answered 500")},
        f"{OAUTH} answered 500; {BY_ISSUER}",
    ),
    "metadata-unreachable": (
        {OPENID: FetchError("could not be reached (ConnectError)")},
        f"{OPENID} could not be reached (ConnectError); {BY_ISSUER}",
    ),
    "way-out-of-its-own": (
        {OPENID: FetchError("is shown with another certificate", "pass ca_file=")},
        f"{OPENID} is shown with another certificate; pass ca_file=",
    ),
    "metadata-no-json": (
        {OPENID: b"canary"},
        f"the metadata at {OPENID} is no strict JSON object; {BY_ISSUER}",
    ),
    "metadata-in-html": (
        {OPENID: b"<html>canary", OAUTH: b"<html>canary"},
        f"{OPENID} is an HTML page, and {OAUTH} is an HTML page; {BY_ISSUER}",
    ),
    "metadata-in-html-and-none": (
        {OPENID: b"<html>canary", OAUTH: ABSENT},
        f"{OPENID} is an HTML page, and {OAUTH} answered 404; {BY_ISSUER}",
    ),
    "slash-left-out": (
        {OPENID: metadata(issuer=f"{ISSUER}/")},
        f"the metadata at {OPENID} has another 'issuer'; it must be equal, to the last slash: "
        f"write issuer='{ISSUER}/'",
    ),
    "another-issuer": (
        {OPENID: metadata(issuer="https://canary.example")},
        f"the metadata at {OPENID} has another 'issuer'; it must be equal, to the last slash: "
        "write issuer= as it stands there",
    ),
    "semicolon-that-is-no-way-out": (
        {OPENID: FetchError("answered 500; sorry")},
        f"{OPENID} answered 500; sorry; {BY_ISSUER}",
    ),
    "no-key-set": (
        {OPENID: metadata(jwks_uri="http://canary.example/jwks")},
        f"the metadata at {OPENID} names no JWK set that may be fetched; pass jwks_uri=, or "
        "allow_http= where it has no TLS",
    ),
    "key-set-out": (
        {OPENID: metadata(), JWKS_URI: FetchError("redirects to another host")},
        f"{JWKS_URI} redirects to another host; {BY_ISSUER}",
    ),
    "key-set-with-a-query": (
        {OPENID: metadata(jwks_uri=f"{JWKS_URI}?canary"), f"{JWKS_URI}?canary": b"[]"},
        f"what is at {JWKS_URI} is no strict JSON object; {BY_ISSUER}",
    ),
    "key-set-of-nothing": (
        {OPENID: metadata(), JWKS_URI: b'{"error": "canary"}'},
        f"what is at {JWKS_URI} has no list of keys, so it is no JWK set; {BY_ISSUER}",
    ),
    "key-set-of-no-list": (
        {OPENID: metadata(), JWKS_URI: b'{"keys": "canary"}'},
        f"what is at {JWKS_URI} has no list of keys, so it is no JWK set; {BY_ISSUER}",
    ),
    "key-set-in-html": (
        {OPENID: metadata(), JWKS_URI: b"<html>canary"},
        f"what is at {JWKS_URI} is an HTML page, no JWK set; {BY_ISSUER}",
    ),
    "metadata-in-place-of-a-key-set": (
        {OPENID: metadata(), JWKS_URI: metadata(jwks_uri="https://canary.example")},
        f"what is at {JWKS_URI} is the metadata of an issuer, no JWK set; write in jwks_uri= what "
        "it names there",
    ),
    "one-key": (
        {OPENID: metadata(), JWKS_URI: json.dumps(jwk(rsa_key(), kid="canary")).encode()},
        f"what is at {JWKS_URI} is one JWK, no JWK set; write the address of the set in jwks_uri=",
    ),
    "certificates": (
        {OPENID: metadata(), JWKS_URI: json.dumps({"canary": PEM}).encode()},
        f"what is at {JWKS_URI} is a dict of PEM texts (X.509), no JWK set; write the address of "
        "the issuer's JWK set in jwks_uri=",
    ),
    "other-algorithms": (
        {OPENID: metadata(), JWKS_URI: key_set_of(jwk(rsa_key(), kid="canary"))},
        f"what is at {JWKS_URI} is a JWK set without a usable key for ES256; its keys are for "
        "RS256: write algorithms=['RS256']",
    ),
    "too-many-keys": (
        {OPENID: metadata(), JWKS_URI: key_set_of(*[jwk(rsa_key())] * 65)},
        f"what is at {JWKS_URI} holds more than 64 keys; ask the issuer to withdraw those that "
        "sign no more",
    ),
    "too-long": (
        {OPENID: metadata(), JWKS_URI: b" " * (256 * 1024 + 1)},
        f"{JWKS_URI} is longer than 262144 bytes; {BY_ISSUER}",
    ),
    "age-of-a-text": (
        {OPENID: metadata(), JWKS_URI: Document(b"{}", "canary")},  # type: ignore[arg-type]
        f"{JWKS_URI} has an age that is no number of seconds; {BY_ISSUER}",
    ),
    "body-of-a-text": (
        {OPENID: Document("canary")},  # type: ignore[arg-type]
        f"{OPENID} is not fetched: fetch= returned a Document with a body of type 'str'; return "
        "its bytes, as in Document(response.content)",
    ),
    "own-error": (
        {OPENID: KeyError("canary")},
        f"{OPENID} is not fetched: KeyError; {BY_ISSUER}",
    ),
    "own-timeout": (
        {OPENID: TimeoutError("canary")},
        f"{OPENID} gave no answer in time; {BY_ISSUER}",
    ),
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
        await verifier.warm_up()
        assert await outcome_of(verifier, issuer.mint()) == "verifier_unavailable"
    text = f"no keys of {ISSUER}: {said}"
    # A warm-up says what is to be written, a request only that it is still so.
    assert [(each.levelname, each.getMessage()) for each in caplog.records] == [
        ("ERROR", text),
        ("WARNING", text),
    ]


@looped
async def test_address_that_was_configured_is_named_as_what_to_correct(
    caplog: pytest.LogCaptureFixture,
) -> None:
    issuer = Issuer()
    issuer.documents[JWKS_URI] = ABSENT
    await issuer.verifier().warm_up()

    assert caplog.messages == [
        f"no keys of {ISSUER}: {JWKS_URI} answered 404; if that address is wrong, correct jwks_uri="
    ]


GOOGLE = "https://www.googleapis.com"
ACCOUNT = "securetoken@system.gserviceaccount.com"
JWK_SETS = {
    f"{GOOGLE}/robot/v1/metadata/x509/{ACCOUNT}": f"{GOOGLE}/service_accounts/v1/jwk/{ACCOUNT}",
    f"{GOOGLE}/service_accounts/v1/metadata/x509/a@b.c": f"{GOOGLE}/service_accounts/v1/jwk/a@b.c",
    f"{GOOGLE}/oauth2/v1/certs?canary": f"{GOOGLE}/oauth2/v3/certs",
    f"{GOOGLE}/identitytoolkit/v3/relyingparty/publicKeys": (
        "https://identitytoolkit.googleapis.com/v1/sessionCookiePublicKeys"
    ),
    "https://www.gstatic.com/iap/verify/public_key": (
        "https://www.gstatic.com/iap/verify/public_key-jwk"
    ),
}


@pytest.mark.parametrize(("certificates", "jwk_set"), JWK_SETS.items())
@looped
async def test_jwk_set_of_google_is_named_where_its_certificates_were_configured(
    certificates: str, jwk_set: str, caplog: pytest.LogCaptureFixture
) -> None:
    issuer = Issuer()
    issuer.documents[certificates] = json.dumps({"k1": PEM, "k2": PEM}).encode()
    await issuer.verifier(jwks_uri=certificates).warm_up()

    assert caplog.messages == [
        f"no keys of {ISSUER}: what is at {certificates.partition('?')[0]} is a dict of PEM texts "
        f"(X.509), no JWK set; write jwks_uri={jwk_set!r}"
    ]


def ec_jwk(curve: ec.EllipticCurve, **members: Any) -> dict[str, Any]:
    return jwk(ec.generate_private_key(curve), **members)


WAYS_OUT: Mapping[str, tuple[Sequence[Mapping[str, Any]], str]] = {
    "another-curve": ([ec_jwk(ec.SECP384R1())], "algorithms=['ES384']"),
    "several": (
        [ec_jwk(ec.SECP521R1()), ec_jwk(ec.SECP384R1()), jwk(rsa_key())],
        "algorithms=['ES384', 'ES512', 'RS256']",
    ),
    "named": ([jwk(rsa_key(), alg="PS512")], "algorithms=['PS512']"),
    "edwards": ([jwk(ed25519.Ed25519PrivateKey.generate())], "algorithms=['EdDSA']"),
    "of-them-one-for-encryption": (
        [jwk(rsa_key(), alg="RSA-OAEP", use="enc"), ec_jwk(ec.SECP384R1())],
        "algorithms=['ES384']",
    ),
    "encryption": (
        [jwk(rsa_key(), alg="RSA-OAEP", use="enc")],
        "its keys (RSA RSA-OAEP) are for another use, weak, malformed, or two have one 'kid', so "
        "ask the issuer",
    ),
    "two-of-one-name": (
        [ec_jwk(ec.SECP256R1(), kid="canary"), ec_jwk(ec.SECP256R1(), kid="canary")],
        "its keys (EC P-256) are for another use, weak, malformed, or two have one 'kid', so ask "
        "the issuer",
    ),
    "two-of-one-name-and-another": (
        [
            *(jwk(rsa_key(each), kid="canary") for each in ("one", "other")),
            ec_jwk(ec.SECP384R1(), kid="canary"),
        ],
        "algorithms=['ES384']",
    ),
    "no-words-of-the-standard": (
        [{"kty": "canary", "crv": ["canary"], "alg": "canary"}, {"kty": "EC", "crv": "secp256k1"}],
        "its keys (EC secp256k1, of an unknown kind) are for another use, weak, malformed, or two "
        "have one 'kid', so ask the issuer",
    ),
    "none": ([], "it holds no key at all, so ask the issuer"),
}


@pytest.mark.parametrize(("jwks", "way_out"), WAYS_OUT.values(), ids=WAYS_OUT)
@looped
async def test_set_without_a_usable_key_says_which_algorithms_to_write(
    jwks: Sequence[Any], way_out: str, caplog: pytest.LogCaptureFixture
) -> None:
    issuer = Issuer()
    issuer.documents[JWKS_URI] = key_set_of(*jwks)
    await issuer.verifier(algorithms=["ES256"]).warm_up()

    (said,) = caplog.messages
    assert "is a JWK set without a usable key for ES256; " in said
    assert said.endswith(way_out)
    assert "canary" not in said


TWO_OF_ONE_NAME = {
    "first-without-alg": ({}, {"alg": "RS256"}, "RSA, RSA RS256"),
    "second-without-alg": ({"alg": "RS256"}, {"alg": None}, "RSA, RSA RS256"),
    "both-without-alg": ({}, {}, "RSA"),
    "both-with-alg": ({"alg": "RS256"}, {"alg": "RS256"}, "RSA RS256"),
}


@pytest.mark.parametrize(("one", "other", "kinds"), TWO_OF_ONE_NAME.values(), ids=TWO_OF_ONE_NAME)
@looped
async def test_other_algorithms_are_no_way_out_for_two_keys_of_one_name(
    one: Any, other: Any, kinds: str, caplog: pytest.LogCaptureFixture
) -> None:
    issuer = Issuer()
    twins = jwk(rsa_key("one"), kid="canary", **one), jwk(rsa_key(), kid="canary", **other)
    issuer.documents[JWKS_URI] = key_set_of(*twins)
    await issuer.verifier(algorithms=["RS256"]).warm_up()

    (said,) = caplog.messages
    assert said.endswith(
        f"without a usable key for RS256; its keys ({kinds}) are for another use, weak, malformed, "
        "or two have one 'kid', so ask the issuer"
    )


@looped
async def test_set_of_secrets_alone_is_told_as_one(caplog: pytest.LogCaptureFixture) -> None:
    issuer = Issuer()
    issuer.documents[JWKS_URI] = key_set_of({"kty": "oct", "k": SECRET, "kid": "canary"})
    verifier = issuer.verifier()
    for _ in range(2):
        await verifier.warm_up()

    unfit = (
        f"no keys of {ISSUER}: what is at {JWKS_URI} holds a secret, and no usable key; ask "
        "the issuer to publish a new key"
    )
    assert caplog.messages == [
        f"the JWK set at {JWKS_URI} has the private half of keys[0] in it, with which everybody "
        "can sign; it verifies nothing, and the issuer must withdraw it",
        unfit,
        unfit,
    ]
    assert {each.levelname for each in caplog.records} == {"ERROR"}


def fetch_at_once(url: str) -> Document:
    return Document(b"{}")


async def fetch_a_dict(url: str) -> Any:
    return {"keys": []}


BAD_FETCHES: Mapping[str, tuple[Any, str]] = {
    "not-async": (
        fetch_at_once,
        "is not fetched: fetch= is no async function; write async def fetch(url) -> Document",
    ),
    "no-document": (fetch_a_dict, "is not fetched: fetch= returned a 'dict'; return a Document"),
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
