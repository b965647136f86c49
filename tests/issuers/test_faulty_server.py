"""The faulty issuer is a sound one until told otherwise, goes down and comes back."""

import socket
from contextlib import suppress
from typing import Any
from urllib.parse import quote_plus

import httpx
import pytest

from fastapi_scopes.errors import TokenError
from tests.issuers.answers import Answer
from tests.issuers.asking import get, make_client, post, request
from tests.issuers.faulty import AUDIENCE, CLIENT_ID, CLIENT_SECRET, FaultyIssuer
from tests.verifiers.minting import NOW, rsa_key
from tests.verifiers.verifying import make_verifier, verified

REGISTERED = (quote_plus(CLIENT_ID), quote_plus(CLIENT_SECRET))


def verifier_of(issuer: FaultyIssuer) -> Any:
    """A verifier with the keys that the issuer publishes now."""
    return make_verifier(
        get(issuer.key_set.url).json(),
        algorithms=["RS256", "PS256", "ES256", "EdDSA"],
        issuer=issuer.identifier,
        audience=AUDIENCE,
        now=issuer.now,
    )


def scopes_of(issuer: FaultyIssuer, token: str) -> set[str]:
    return set(verified(verifier_of(issuer), token).scopes)


@pytest.mark.parametrize("algorithm", ["ES256", "RS256", "PS256", "EdDSA"])
def test_published_keys_verify_what_is_minted(algorithm: str) -> None:
    with FaultyIssuer(algorithm=algorithm, now=lambda: NOW) as issuer:
        assert scopes_of(issuer, issuer.mint("a:read", "b")) == {"a:read", "b"}


@pytest.mark.parametrize("path", ["", "/tenant"])
def test_metadata_leads_to_the_key_set(path: str) -> None:
    with FaultyIssuer(path) as issuer:
        places = [
            f"{issuer.identifier}/.well-known/openid-configuration",
            f"{issuer.origin}/.well-known/oauth-authorization-server{path}",
        ]
        for place in places:
            metadata = get(place).json()

            assert metadata["issuer"] == issuer.identifier == issuer.origin + path
            assert get(metadata["jwks_uri"]).json()["keys"] == [issuer.signing_key.jwk]
            assert metadata["introspection_endpoint"] == issuer.introspection.url
        assert (issuer.metadata.count, issuer.oauth_metadata.count, issuer.key_set.count) == (
            *(1, 1),
            2,
        )


def test_token_is_an_access_token_of_rfc_9068() -> None:
    with FaultyIssuer(now=lambda: NOW) as issuer:
        first, second = issuer.mint("a"), issuer.mint("a")
        claims = verified(verifier_of(issuer), first).model_dump()

        assert {"iss", "exp", "aud", "sub", "client_id", "iat", "jti"} <= claims.keys()
        assert get(issuer.key_set.url).json()["keys"][0]["kid"] == issuer.signing_key.kid
        assert claims["jti"] != verified(verifier_of(issuer), second).jti


@pytest.mark.parametrize(
    "change",
    [
        {"kid": "unknown"},
        {"iss": "https://issuer.example"},
        {"aud": "https://other.example"},
        {"exp": NOW - 1},
        {"without": ("exp",)},
        {"header": {"typ": "dpop+jwt"}},
        {"header": {"alg": "none"}},
    ],
    ids=str,
)
def test_mint_takes_what_the_test_changes(change: Any) -> None:
    with FaultyIssuer(now=lambda: NOW) as issuer:
        verifier = verifier_of(issuer)

        with pytest.raises(TokenError):
            verified(verifier, issuer.mint("a:read", **change))


def test_two_issuers_share_no_key() -> None:
    with FaultyIssuer(now=lambda: NOW) as one, FaultyIssuer(now=lambda: NOW) as other:
        forged = other.mint("a:read", kid=one.signing_key.kid, iss=one.identifier)

        with pytest.raises(TokenError):
            verified(verifier_of(one), forged)


@pytest.mark.parametrize("overlap", [True, False], ids=["overlapping", "hard"])
def test_rotation_keeps_old_keys_only_where_they_overlap(overlap: bool) -> None:
    with FaultyIssuer(now=lambda: NOW) as issuer:
        before, old = issuer.mint("a:read"), issuer.signing_key
        new = issuer.rotate(overlap=overlap)

        assert scopes_of(issuer, issuer.mint("a:read")) == {"a:read"}
        assert new.kid != old.kid
        if overlap:
            assert scopes_of(issuer, before) == {"a:read"}
        else:
            with pytest.raises(TokenError):
                scopes_of(issuer, before)


def test_kid_can_come_back_with_another_key() -> None:
    with FaultyIssuer(now=lambda: NOW) as issuer:
        old = issuer.signing_key
        issuer.rotate(overlap=False, kid=old.kid, private=rsa_key())

        assert scopes_of(issuer, issuer.mint("a:read")) == {"a:read"}
        assert issuer.signing_key.algorithm == "RS256"
        with pytest.raises(TokenError):
            scopes_of(issuer, issuer.mint("a:read", key=old))


def test_outage_refuses_connections_and_ends_on_the_same_address() -> None:
    with FaultyIssuer() as issuer:
        for _ in range(3):
            issuer.stop()
            with pytest.raises(httpx.ConnectError):
                get(issuer.key_set.url)
            issuer.start()

            assert get(issuer.key_set.url).status_code == 200
        assert issuer.key_set.count == 3


def test_outage_breaks_open_connections() -> None:
    with FaultyIssuer() as issuer, make_client() as client:
        client.get(issuer.key_set.url)
        issuer.stop()
        with pytest.raises(httpx.TransportError):
            client.get(issuer.key_set.url)
        issuer.start()

        assert client.get(issuer.key_set.url).status_code == 200


@pytest.mark.parametrize("begun", [b"", b"GET /jwks HTTP/1.1\r\n"], ids=["idle", "asking"])
def test_no_connection_outlives_the_start_of_an_outage(begun: bytes) -> None:
    with FaultyIssuer() as issuer:
        for _ in range(20):
            address = ("127.0.0.1", httpx.URL(issuer.origin).port or 0)
            with socket.create_connection(address, 5) as connection:
                connection.sendall(begun)
                issuer.stop()

                # It is reset where the server had not come to accept it or to read from it.
                with suppress(ConnectionResetError):
                    assert connection.recv(1) == b""
            issuer.start()


def test_issuer_can_stop_and_start_twice() -> None:
    with FaultyIssuer() as issuer:
        issuer.stop()
        issuer.stop()
        issuer.start()
        issuer.start()

        assert get(issuer.key_set.url).status_code == 200


def test_issuer_is_gone_after_its_context() -> None:
    with FaultyIssuer() as issuer:
        pass

    with pytest.raises(httpx.ConnectError):
        get(issuer.key_set.url)


@pytest.mark.parametrize(
    ("method", "name"),
    [
        ("POST", "metadata"),
        ("PUT", "oauth_metadata"),
        ("POST", "key_set"),
        ("GET", "introspection"),
    ],
)
def test_wrong_method_is_405(method: str, name: str) -> None:
    with FaultyIssuer() as issuer:
        assert request(method, getattr(issuer, name).url).status_code == 405


def test_unknown_path_is_404_until_it_is_switched() -> None:
    with FaultyIssuer() as issuer:
        moved = issuer.resource("/moved")
        assert get(moved.url).status_code == 404

        moved.switch(Answer.json({"keys": []}))
        assert get(moved.url).json() == {"keys": []}
        assert moved.count == 2


def introspect(issuer: FaultyIssuer, *, auth: Any = REGISTERED, **form: Any) -> httpx.Response:
    return post(issuer.introspection.url, data=form, auth=auth)


def test_introspection_tells_of_known_tokens() -> None:
    with FaultyIssuer(now=lambda: NOW) as issuer:
        token = issuer.mint_opaque("a:read", "b", sub="bob")
        answer = introspect(issuer, token=token, token_type_hint="access_token").json()

        assert answer["active"] is True
        assert (answer["scope"], answer["sub"], answer["exp"]) == ("a:read b", "bob", NOW + 600)
        assert (answer["iss"], answer["aud"]) == (issuer.identifier, AUDIENCE)
        assert introspect(issuer, token="unknown").json() == {"active": False}
        del issuer.tokens[token]
        assert introspect(issuer, token=token).json() == {"active": False}
        assert issuer.introspection.count == 3


def test_introspection_answers_what_the_test_says() -> None:
    with FaultyIssuer() as issuer:
        issuer.tokens["a"] = {"active": "true", "scope": 1}

        assert introspect(issuer, token="a").json() == {"active": "true", "scope": 1}


BAD_CLIENTS: dict[str, Any] = {
    "none": None,
    "another-secret": (REGISTERED[0], "secret"),
    "another-client": ("client", REGISTERED[1]),
    # RFC 6749 2.3.1: id and secret are form-encoded before they are joined.
    "not-form-encoded": (CLIENT_ID, CLIENT_SECRET),
    "empty": ("", ""),
}


@pytest.mark.parametrize("auth", BAD_CLIENTS.values(), ids=BAD_CLIENTS)
def test_introspection_knows_its_client(auth: Any) -> None:
    with FaultyIssuer() as issuer:
        refused = introspect(issuer, auth=auth, token=issuer.mint_opaque("a:read"))

        assert refused.status_code == 401
        assert refused.json() == {"error": "invalid_client"}
        assert refused.headers["www-authenticate"].startswith("Basic ")


@pytest.mark.parametrize(
    "credentials", ["Basic !!!", "Basic", "Bearer abc", "Basic OjpcOg==", "Basic /w=="]
)
def test_malformed_client_credentials_are_401(credentials: str) -> None:
    with FaultyIssuer() as issuer:
        url, fields = issuer.introspection.url, {"Authorization": credentials}

        assert post(url, data={"token": "a"}, headers=fields).status_code == 401


@pytest.mark.parametrize("form", [{}, {"token": ["a", "b"]}, {"token": ""}], ids=str)
def test_introspection_wants_exactly_one_token(form: Any) -> None:
    with FaultyIssuer() as issuer:
        assert introspect(issuer, **form).status_code == 400


def test_introspection_wants_a_form() -> None:
    with FaultyIssuer() as issuer:
        url, fields = issuer.introspection.url, {"Content-Type": "text/plain"}

        assert post(url, json={"token": "a"}, auth=REGISTERED).status_code == 400
        assert post(url, content="token=a", auth=REGISTERED, headers=fields).status_code == 400
