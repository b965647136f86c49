"""What the real authorization server issues, so that tests may rely on it."""

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from fastapi_scopes.errors import TokenError
from fastapi_scopes.verifiers.tokens import verify_compact_jws
from tests.issuers import real
from tests.issuers.real import RealIssuer, shared_issuer, unverified

from authorization_server import AuthorizationServerError  # isort: skip - `real` says where it lies

SIGNED = {api: each for api, each in real.RESOURCES.items() if each != "opaque"}
RFC_9068_CLAIMS = {"iss", "exp", "aud", "sub", "client_id", "iat", "jti"}


@pytest.fixture(scope="module")
def issuer() -> RealIssuer:
    return shared_issuer()


@pytest.fixture
def own_issuer() -> Iterator[RealIssuer]:
    """One whose keys a test may rotate."""
    with RealIssuer() as issuer:
        yield issuer


def verified(
    token: str, key_set: dict[str, Any], algorithm: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    jws = verify_compact_jws(token, keys=[key_set], algorithms=[algorithm])
    return dict(jws.header), json.loads(jws.payload)


def kids(issuer: RealIssuer) -> set[str]:
    return {key["kid"] for key in issuer.key_set()["keys"]}


@pytest.mark.parametrize(("api", "algorithm"), SIGNED.items(), ids=SIGNED.values())
def test_signed_token_is_an_access_token_of_rfc_9068(
    issuer: RealIssuer, api: str, algorithm: str
) -> None:
    token = issuer.token("power", resource=api)
    header, claims = verified(token, issuer.key_set(), algorithm)
    assert (header["alg"], header["typ"]) == (algorithm, "at+jwt")
    assert header["kid"] in kids(issuer)
    assert claims.keys() == RFC_9068_CLAIMS | {"scope"}
    assert (claims["iss"], claims["aud"]) == (issuer.issuer, api)
    assert (claims["sub"], claims["client_id"]) == ("power", "power")
    assert claims["scope"] == "app:read app:run app:execute"
    assert claims["iat"] <= time.time() < claims["exp"]


@pytest.mark.parametrize(
    ("scopes", "granted"),
    [(["app:read"], "app:read"), (["app:read", "app:superadmin"], "app:read"), ([], None)],
    ids=["own", "more", "none"],
)
def test_client_gets_its_own_scopes_and_no_others(
    issuer: RealIssuer, scopes: list[str], granted: str | None
) -> None:
    _, claims = unverified(issuer.token("basic", scopes=scopes))
    assert claims.get("scope") == granted


def test_no_token_without_the_secret_of_the_client(issuer: RealIssuer) -> None:
    asked = {"grant_type": "client_credentials", "resource": real.RS256_API}
    url = issuer.metadata["token_endpoint"]
    refused = httpx.post(url, data=asked, auth=("basic", "not-the-secret"), trust_env=False)
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")


def test_no_token_for_an_api_that_it_does_not_know(issuer: RealIssuer) -> None:
    with pytest.raises(AuthorizationServerError, match="invalid_target"):
        issuer.token("basic", resource="https://other.example")


@pytest.mark.parametrize("path", ["openid-configuration", "oauth-authorization-server"])
def test_metadata_names_exactly_this_issuer(issuer: RealIssuer, path: str) -> None:
    document = httpx.get(f"{issuer.issuer}/.well-known/{path}", trust_env=False).json()
    assert document["issuer"] == issuer.issuer
    assert document["jwks_uri"].startswith(issuer.issuer)


def test_published_keys_are_public(issuer: RealIssuer) -> None:
    for key in issuer.key_set()["keys"]:
        assert not {"d", "p", "q", "dp", "dq", "qi", "k"} & key.keys()
        assert key["use"] == "sig"


def test_rotation_with_overlap_publishes_old_and_new_keys(own_issuer: RealIssuer) -> None:
    before, old = kids(own_issuer), own_issuer.token("basic")
    own_issuer.rotate(overlap=True)
    new = own_issuer.token("basic")
    assert before < kids(own_issuer)
    assert len(kids(own_issuer)) == 2 * len(before)
    assert unverified(new)[0]["kid"] in kids(own_issuer) - before
    for token in (old, new):
        verified(token, own_issuer.key_set(), "RS256")


def test_rotation_without_overlap_publishes_new_keys_alone(own_issuer: RealIssuer) -> None:
    before, old = kids(own_issuer), own_issuer.token("basic")
    own_issuer.rotate(overlap=True)
    own_issuer.rotate(overlap=False)
    assert kids(own_issuer).isdisjoint(before)
    assert len(kids(own_issuer)) == len(before)
    verified(own_issuer.token("basic"), own_issuer.key_set(), "RS256")
    with pytest.raises(TokenError):
        verified(old, own_issuer.key_set(), "RS256")


def test_opaque_token_and_secrets_outlive_a_rotation(own_issuer: RealIssuer) -> None:
    token = own_issuer.opaque_token("power")
    own_issuer.rotate(overlap=False)
    assert own_issuer.introspect(token)["active"] is True
    own_issuer.revoke(token)
    assert own_issuer.introspect(token) == {"active": False}


def test_opaque_token_is_told_to_the_resource_server(issuer: RealIssuer) -> None:
    told = issuer.introspect(issuer.opaque_token("power"))
    assert told["active"] is True
    assert told["scope"] == "app:read app:run app:execute"
    assert (told["iss"], told["aud"]) == (issuer.issuer, real.OPAQUE_API)
    assert (told["client_id"], told["token_type"]) == ("power", "Bearer")
    # A client has no account, and the handle is the identifier: neither is told.
    assert not {"sub", "jti"} & told.keys()


def test_opaque_token_of_a_person_is_told_with_its_subject(issuer: RealIssuer) -> None:
    token = issuer.sign_in("alice", resource=real.OPAQUE_API)["access_token"]
    told = issuer.introspect(token)
    assert (told["active"], told["sub"], told["scope"]) == (True, "alice", "app:read")


def test_client_that_is_no_resource_server_is_told_nothing(issuer: RealIssuer) -> None:
    token = issuer.opaque_token("basic")
    assert issuer.introspect(token, client_id="power") == {"active": False}


@pytest.mark.parametrize("of", ["client", "person"])
def test_revoked_opaque_token_is_not_active(issuer: RealIssuer, of: str) -> None:
    tokens = {
        "client": issuer.opaque_token,
        "person": lambda: issuer.sign_in(resource=real.OPAQUE_API)["access_token"],
    }
    token = tokens[of]()
    issuer.revoke(token)
    assert issuer.introspect(token) == {"active": False}


def test_signed_token_can_be_neither_introspected_nor_revoked(issuer: RealIssuer) -> None:
    with pytest.raises(httpx.HTTPStatusError, match="400"):
        issuer.introspect(issuer.token("basic"))


@pytest.mark.parametrize(("api", "algorithm"), SIGNED.items(), ids=SIGNED.values())
def test_dpop_token_is_bound_to_its_key(issuer: RealIssuer, api: str, algorithm: str) -> None:
    header, claims = verified(issuer.dpop_token(resource=api), issuer.key_set(), algorithm)
    assert header["typ"] == "at+jwt"
    assert claims["cnf"] == {"jkt": real.thumbprint(real.dpop_key())}


def test_opaque_dpop_token_is_told_with_its_binding(issuer: RealIssuer) -> None:
    told = issuer.introspect(issuer.dpop_token(resource=real.OPAQUE_API))
    assert told["cnf"] == {"jkt": real.thumbprint(real.dpop_key())}
    assert told["token_type"] == "DPoP"


def test_id_token_is_for_the_client_and_no_access_token(issuer: RealIssuer) -> None:
    header, claims = verified(issuer.id_token("alice"), issuer.key_set(), "RS256")
    assert header.keys() == {"alg", "kid"}
    assert (claims["sub"], claims["aud"]) == ("alice", real.PUBLIC_CLIENT)
    assert claims.keys() == {"iss", "sub", "aud", "iat", "exp", "nonce"}


def test_access_token_of_a_person_names_the_person(issuer: RealIssuer) -> None:
    token = issuer.sign_in("alice", scopes=["openid", "app:run"])["access_token"]
    header, claims = verified(token, issuer.key_set(), "RS256")
    assert header["typ"] == "at+jwt"
    assert (claims["sub"], claims["client_id"]) == ("alice", real.PUBLIC_CLIENT)
    assert claims["scope"] == "app:run"


@pytest.mark.parametrize(
    ("client_id", "origin", "may_read"),
    [
        (real.PUBLIC_CLIENT, "http://127.0.0.1:8000", True),
        (real.PUBLIC_CLIENT, "https://127.0.0.1:8000", False),
        (real.PUBLIC_CLIENT, "http://127.0.0.1.example", False),
        (real.PUBLIC_CLIENT, "null", False),
        ("basic", "http://127.0.0.1:8000", False),
    ],
    ids=["loopback", "other scheme", "other host", "no origin", "confidential client"],
)
def test_pages_where_a_public_client_is_may_read_the_answer(
    issuer: RealIssuer, client_id: str, origin: str, *, may_read: bool
) -> None:
    secret = issuer.clients.get(client_id, "")
    answer = httpx.post(
        issuer.metadata["token_endpoint"],
        data={"grant_type": "authorization_code", "client_id": client_id, "client_secret": secret},
        headers={"Origin": origin},
        trust_env=False,
    )
    assert answer.status_code == 400
    assert answer.headers.get("access-control-allow-origin") == (origin if may_read else None)
