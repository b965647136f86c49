"""A real authorization server, and every kind of token that it can be brought to issue."""

import atexit
import base64
import functools
import hashlib
import json
import secrets
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from cryptography.hazmat.primitives.asymmetric import ec

from tests.verifiers.minting import b64, ec_key, jwk, mint

EXAMPLES = Path(__file__).parents[2] / "examples"
sys.path.insert(0, str(EXAMPLES))

from authorization_server import (  # noqa: E402 - lies in examples/
    PUBLIC_CLIENT,
    RESOURCE_SERVER,
    AuthorizationServer,
)

RS256_API = "https://api.example/rs256"
PS256_API = "https://api.example/ps256"
ES256_API = "https://api.example/es256"
EDDSA_API = "https://api.example/eddsa"
OPAQUE_API = "https://api.example/opaque"
RESOURCES: Mapping[str, str] = {
    RS256_API: "RS256",
    PS256_API: "PS256",
    ES256_API: "ES256",
    EDDSA_API: "EdDSA",
    OPAQUE_API: "opaque",
}
CLIENTS: Mapping[str, Sequence[str]] = {
    "basic": ["app:read"],
    "power": ["app:read", "app:run", "app:execute"],
    "admin": ["app:admin", "app:read", "app:run", "app:execute"],
    "superadmin": ["app:superadmin"],
}
CALLBACK = "http://127.0.0.1/callback"


class RealIssuer(AuthorizationServer):
    """The authorization server of the examples, with all that it can do in reach."""

    def __init__(self) -> None:
        super().__init__(CLIENTS, resources=RESOURCES, redirect_uris=[CALLBACK])

    def key_set(self) -> dict[str, Any]:
        document: dict[str, Any] = self._http.get(self.metadata["jwks_uri"]).json()
        return document

    def opaque_token(self, client_id: str = "basic", *, scopes: Sequence[str] | None = None) -> str:
        return self.token(client_id, scopes=scopes, resource=OPAQUE_API)

    def dpop_token(
        self,
        client_id: str = "basic",
        *,
        scopes: Sequence[str] | None = None,
        resource: str = RS256_API,
        key: ec.EllipticCurvePrivateKey | None = None,
    ) -> str:
        """Return an access token that is bound to *key*, by default `dpop_key()` (RFC 9449 5)."""
        asked = self._client_credentials(client_id, scopes=scopes, resource=resource)
        proof = dpop_proof(key or dpop_key(), "POST", self.metadata["token_endpoint"])
        return str(self._tokens(asked, client_id, proof=proof)["access_token"])

    def id_token(self, subject: str = "alice") -> str:
        return str(self.sign_in(subject)["id_token"])

    def sign_in(
        self,
        subject: str = "alice",
        *,
        scopes: Sequence[str] = ("openid", "app:read"),
        resource: str = RS256_API,
    ) -> Mapping[str, Any]:
        """Return what the token endpoint gives for *subject*, who signs in and agrees to all."""
        verifier = secrets.token_urlsafe(48)
        code = self._code_for(subject, " ".join(scopes), resource, verifier)
        asked = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": CALLBACK,
            "code_verifier": verifier,
        }
        return self._tokens(asked, PUBLIC_CLIENT)

    def introspect(self, token: str, *, client_id: str = RESOURCE_SERVER) -> Mapping[str, Any]:
        """Return what the server tells *client_id* of the opaque *token* (RFC 7662 2.2)."""
        answer = self._post("introspection_endpoint", {"token": token}, client_id=client_id)
        body: Mapping[str, Any] = answer.raise_for_status().json()
        return body

    def revoke(self, token: str) -> None:
        """Revoke the opaque *token*, in the name of the client that it was issued to."""
        client_id = self.introspect(token)["client_id"]
        answer = self._post("revocation_endpoint", {"token": token}, client_id=client_id)
        answer.raise_for_status()

    def _code_for(self, subject: str, scope: str, resource: str, verifier: str) -> str:
        """Return an authorization code, got as a browser would get it (RFC 6749 4.1, RFC 7636)."""
        asked = {
            "response_type": "code",
            "client_id": PUBLIC_CLIENT,
            "redirect_uri": CALLBACK,
            "scope": scope,
            "resource": resource,
            "code_challenge": b64(hashlib.sha256(verifier.encode()).digest()),
            "code_challenge_method": "S256",
            "nonce": "a-nonce",
            "state": "a-state",
        }
        with httpx.Client(trust_env=False) as browser:
            url = self.metadata["authorization_endpoint"]
            form = browser.get(url, params=asked, follow_redirects=True)
            answer = browser.post(form.url, data={"login": subject})
            # Nobody listens at the callback; where it leads is all that is wanted.
            while not answer.headers["location"].startswith(CALLBACK):
                answer = browser.get(answer.headers["location"])
        given = parse_qs(urlsplit(answer.headers["location"]).query)
        assert (given["state"], given["iss"]) == (["a-state"], [self.issuer])
        return given["code"][0]


@functools.cache
def shared_issuer() -> RealIssuer:
    """Return one that all tests share, from the first who asks to the end of the run.

    A test that rotates its keys asks for a `RealIssuer` of its own.
    """
    running = ExitStack()
    atexit.register(running.close)
    return running.enter_context(RealIssuer())


def dpop_key() -> ec.EllipticCurvePrivateKey:
    return ec_key("ES256", "dpop")


def dpop_proof(key: ec.EllipticCurvePrivateKey, method: str, url: str, **more: Any) -> str:
    """Return a proof that the sender of this request holds *key* (RFC 9449 4.2)."""
    claims = {"jti": str(uuid.uuid4()), "htm": method, "htu": url, "iat": int(time.time()), **more}
    header = {"typ": "dpop+jwt", "jwk": jwk(key)}
    return mint(json.dumps(claims), algorithm="ES256", key=key, header=header)


def thumbprint(key: ec.EllipticCurvePrivateKey) -> str:
    """Return the JWK thumbprint of *key*, by SHA-256 (RFC 7638 3)."""
    members = json.dumps(jwk(key), sort_keys=True, separators=(",", ":"))
    return b64(hashlib.sha256(members.encode()).digest())


def unverified(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the header and the claims of *token*, whoever signed it."""
    header, payload, _ = token.split(".")
    return _decoded(header), _decoded(payload)


def _decoded(segment: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(base64.urlsafe_b64decode(segment + "=="))
    return document
