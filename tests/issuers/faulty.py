"""An authorization server on loopback that fails in every way a test asks for."""

import base64
import itertools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote_plus

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.issuers.answers import Answer
from tests.issuers.server import Request, Server
from tests.verifiers import minting

AUDIENCE = "https://api.example"
# RFC 6749 2.3.1: who leaves out the form encoding is cut at the wrong colon.
CLIENT_ID = "https://api.example/resource server"
CLIENT_SECRET = "p%+: \u00fc/=&"
_ISSUERS = itertools.count(1)


@dataclass(frozen=True, slots=True)
class SigningKey:
    kid: str
    private: Any
    algorithm: str

    @property
    def jwk(self) -> dict[str, Any]:
        return minting.jwk(self.private, kid=self.kid, alg=self.algorithm, use="sig")


class FaultyIssuer(Server):
    """An issuer with metadata, a key set and introspection, healthy until told otherwise.

    ```python
    with FaultyIssuer() as issuer:
        issuer.key_set.switch(lambda good: good.late(0.2).cached("max-age=5"))
        issuer.metadata.switch(*BROKEN_METADATA.values())
        issuer.stop()
    ```
    """

    def __init__(
        self,
        path: str = "",
        *,
        algorithm: str = "ES256",
        audience: str = AUDIENCE,
        now: Callable[[], float] = time.time,
    ) -> None:
        super().__init__()
        self.identifier = self.origin + path
        self.audience = audience
        self.algorithm = algorithm
        self.now = now
        self.metadata = self.resource(f"{path}/.well-known/openid-configuration", self._describe)
        # RFC 8414 3.1: here the path of the issuer comes after the well-known part.
        self.oauth_metadata = self.resource(
            f"/.well-known/oauth-authorization-server{path}", self._describe
        )
        self.key_set = self.resource(f"{path}/jwks", self._publish)
        self.introspection = self.resource(f"{path}/introspect", self._introspect)
        self.tokens: dict[str, Mapping[str, Any]] = {}
        """What introspection says of a token besides that it is active."""
        self._name = f"issuer-{next(_ISSUERS)}"
        self._numbers = itertools.count(1)
        self.signing_key = self.new_key()
        self.published: tuple[SigningKey, ...] = (self.signing_key,)

    def new_key(self, *, kid: str | None = None, private: Any = None) -> SigningKey:
        """A key that is neither published nor signed with."""
        name = f"{self._name}-key-{next(self._numbers)}"
        private = _private_key(self.algorithm, name) if private is None else private
        return SigningKey(
            name if kid is None else kid, private, _algorithm_for(private, self.algorithm)
        )

    def rotate(
        self, *, overlap: bool = True, kid: str | None = None, private: Any = None
    ) -> SigningKey:
        """Sign with a new key from now on; without *overlap* old keys are published no more."""
        self.signing_key = self.new_key(kid=kid, private=private)
        self.published = (*(self.published if overlap else ()), self.signing_key)
        return self.signing_key

    def mint(
        self,
        *scopes: str,
        kid: str | None = None,
        key: SigningKey | None = None,
        header: Mapping[str, Any] | None = None,
        without: tuple[str, ...] = (),
        **claims: Any,
    ) -> str:
        """An access token as RFC 9068 wants it, but for what is said.

        *without* names members of the header or of the claims.
        """
        key = self.signing_key if key is None else key
        fields = {"typ": "at+jwt", "kid": key.kid if kid is None else kid, **(header or {})}
        return minting.mint(
            self._claims(scopes, claims),
            algorithm=key.algorithm,
            key=key.private,
            header={name: value for name, value in fields.items() if name not in without},
            without=without,
        )

    def mint_opaque(self, *scopes: str, **members: Any) -> str:
        """A token that only introspection can read; out of `tokens` it is active no more."""
        token = f"{self._name}-opaque-{next(self._numbers)}"
        self.tokens[token] = {"token_type": "Bearer", **self._claims(scopes, members)}
        return token

    def key_set_answer(self) -> Answer:
        """The healthy key set, for wherever else it should be found."""
        return Answer.json({"keys": [key.jwk for key in self.published]})

    def _claims(self, scopes: tuple[str, ...], claims: Mapping[str, Any]) -> dict[str, Any]:
        now = int(self.now())
        return {
            "iss": self.identifier,
            "aud": self.audience,
            "sub": "alice",
            "client_id": "a-client",
            "iat": now,
            "exp": now + 600,
            "jti": f"{self._name}-token-{next(self._numbers)}",
            "scope": " ".join(scopes),
            **claims,
        }

    def _describe(self, request: Request) -> Answer:
        if request.method != "GET":
            return Answer(405, (("Allow", "GET"),))
        return Answer.json(
            {
                "issuer": self.identifier,
                "authorization_endpoint": f"{self.identifier}/authorize",
                "token_endpoint": f"{self.identifier}/token",
                "jwks_uri": self.key_set.url,
                "introspection_endpoint": self.introspection.url,
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": [self.algorithm],
            }
        )

    def _publish(self, request: Request) -> Answer:
        if request.method != "GET":
            return Answer(405, (("Allow", "GET"),))
        return self.key_set_answer()

    def _introspect(self, request: Request) -> Answer:
        if request.method != "POST":
            return Answer(405, (("Allow", "POST"),))
        if client_of(request) != (CLIENT_ID, CLIENT_SECRET):
            refused = Answer.json({"error": "invalid_client"}, status=401)
            return refused.with_header("WWW-Authenticate", 'Basic realm="issuer"')
        tokens = parse_qs(request.body.decode("ascii")).get("token", [])
        media_types = [each.partition(";")[0] for each in request.values_of("content-type")]
        if len(tokens) != 1 or media_types != ["application/x-www-form-urlencoded"]:
            return Answer.json({"error": "invalid_request"}, status=400)
        known = self.tokens.get(tokens[0])
        return Answer.json({"active": False} if known is None else {"active": True, **known})


def client_of(request: Request) -> tuple[str, str] | None:
    """The client's id and secret (RFC 6749 2.3.1), None where there are not exactly these."""
    match request.values_of("authorization"):
        case [credentials] if credentials.lower().startswith("basic "):
            pass
        case _:
            return None
    try:
        pair = base64.b64decode(credentials[6:], validate=True).decode("ascii")
        client_id, secret = pair.split(":")
        return unquote_plus(client_id, errors="strict"), unquote_plus(secret, errors="strict")
    except ValueError:
        return None


def _private_key(algorithm: str, name: str) -> Any:
    match algorithm[:2]:
        case "RS" | "PS":
            return minting.rsa_key(name)
        case "ES":
            return minting.ec_key(algorithm, name)
        case _:
            return minting.ed25519_key(name)


def _algorithm_for(private: Any, wanted: str) -> str:
    match private:
        case rsa.RSAPrivateKey():
            return wanted if wanted[:2] in ("RS", "PS") else "RS256"
        case ec.EllipticCurvePrivateKey():
            return {256: "ES256", 384: "ES384", 521: "ES512"}[private.key_size]
        case _:
            return "EdDSA"
