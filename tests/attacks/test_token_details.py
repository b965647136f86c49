"""Why a token is refused: the log says what was expected, and nothing that the token says."""

import ast
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

import fastapi_scopes
from fastapi_scopes import JWTVerifier
from fastapi_scopes.errors import TokenError, TokenFault
from fastapi_scopes.verifiers import IssuersVerifier, MemoryRevocationList
from tests.verifiers import minting
from tests.verifiers.minting import NOW, SECRET
from tests.verifiers.publishing import looped

CANARY = "canary-\x1b[2J\u2028-of-a-token"
ISSUER = "https://issuer.example/"
API = "https://api.example"


def verifier_with(**options: Any) -> Any:
    settings = {
        "keys": [SECRET],
        "algorithms": ["HS256"],
        "issuer": ISSUER,
        "audience": API,
        "now": lambda: NOW,
    }
    return JWTVerifier(**{**settings, **options})


def token(header: Mapping[str, Any] | None = None, **claims: Any) -> str:
    known = {"iss": ISSUER, "aud": API, "exp": NOW + 60, "sub": CANARY, "jti": CANARY, "x": CANARY}
    told = {name: value for name, value in {**known, **claims}.items() if value is not ...}
    return minting.mint(json.dumps(told), header={"kid": "k", **(header or {})})


def raw(header: str, payload: str = "{}") -> str:
    return minting.mint(payload, header=header)


Expected = tuple[Callable[[], Any], Callable[[], str], TokenFault, str]
DETAILS: Mapping[str, Expected] = {
    "audience": (
        verifier_with,
        lambda: token(aud=CANARY),
        TokenFault.AUDIENCE,
        "none of the token's is 'https://api.example'",
    ),
    "audiences": (
        lambda: verifier_with(audience=["a", "b", "c", "d"]),
        lambda: token(aud=[CANARY, "x"]),
        TokenFault.AUDIENCE,
        "none of the token's is 'a', 'b', 'c', ...",
    ),
    "no-audience": (
        verifier_with,
        lambda: token(aud=...),
        TokenFault.AUDIENCE,
        "there is no 'aud', expected is 'https://api.example'",
    ),
    "odd-audience": (
        verifier_with,
        lambda: token(aud={CANARY: 1}),
        TokenFault.AUDIENCE,
        "'aud' is neither a text nor a list of texts",
    ),
    "issuer": (
        verifier_with,
        lambda: token(iss=f"{CANARY}-issuer"),
        TokenFault.ISSUER,
        "it is not 'https://issuer.example/'",
    ),
    "issuer-but-for-a-slash": (
        verifier_with,
        lambda: token(iss="https://issuer.example"),
        TokenFault.ISSUER,
        "it differs from 'https://issuer.example/' by a slash at the end",
    ),
    "no-issuer": (
        verifier_with,
        lambda: token(iss=...),
        TokenFault.ISSUER,
        "there is no 'iss', expected is 'https://issuer.example/'",
    ),
    "odd-issuer": (
        verifier_with,
        lambda: token(iss=[CANARY]),
        TokenFault.ISSUER,
        "'iss' is no text",
    ),
    "member": (
        lambda: IssuersVerifier([verifier_with(), verifier_with(issuer="https://b.example")]),
        lambda: token(iss=CANARY),
        TokenFault.ISSUER,
        "it is not 'https://b.example', 'https://issuer.example/'",
    ),
    "another-algorithm": (
        verifier_with,
        lambda: raw(json.dumps({"alg": "RS256", "kid": CANARY})),
        TokenFault.ALGORITHM,
        "'RS256' is not 'HS256'",
    ),
    "unknown-algorithm": (
        verifier_with,
        lambda: raw(json.dumps({"alg": CANARY})),
        TokenFault.ALGORITHM,
        "it is not 'HS256'",
    ),
    "no-algorithm": (
        verifier_with,
        lambda: raw(json.dumps({"kid": CANARY})),
        TokenFault.ALGORITHM,
        "the header has no 'alg'",
    ),
    "unknown-key": (
        lambda: verifier_with(keys=[{"kty": "oct", "kid": "a", "k": minting.b64(SECRET)}]),
        lambda: token({"kid": CANARY}),
        TokenFault.UNKNOWN_KEY,
        "there is no key for HS256 with its 'kid'",
    ),
    "signature": (
        lambda: verifier_with(keys=["another-secret-0123456789-0123456789"]),
        token,
        TokenFault.SIGNATURE,
        "no key for HS256 has made it",
    ),
    "crit": (
        verifier_with,
        lambda: token({"crit": [CANARY]}),
        TokenFault.HEADER,
        "it has 'crit'",
    ),
    "odd-header": (
        verifier_with,
        lambda: raw('{"alg": "HS256", "a": "canary", "a": 1}'),
        TokenFault.HEADER,
        "it is no strict JSON object",
    ),
    "odd-payload": (
        verifier_with,
        lambda: raw('{"alg": "HS256"}', '["canary"]'),
        TokenFault.PAYLOAD,
        "it is no strict JSON object",
    ),
    "parts": (
        verifier_with,
        lambda: CANARY,
        TokenFault.MALFORMED,
        "it has not the three parts of a JWT",
    ),
    "long": (
        lambda: verifier_with(max_token_chars=1_024),
        lambda: token(more="x" * 1_000),
        TokenFault.TOO_LARGE,
        "of more than 1024 characters",
    ),
    "expired": (verifier_with, lambda: token(exp=NOW - 90), TokenFault.EXPIRED, "90.0 s late"),
    "early": (
        verifier_with,
        lambda: token(nbf=NOW + 90),
        TokenFault.NOT_YET_VALID,
        "90.0 s early by 'nbf'",
    ),
    "endless": (verifier_with, lambda: token(exp=...), TokenFault.CLAIMS, "there is no 'exp'"),
    "odd-time": (
        verifier_with,
        lambda: token(exp=CANARY),
        TokenFault.CLAIMS,
        "'exp' is no number",
    ),
    "odd-subject": (
        verifier_with,
        lambda: token(sub=[CANARY]),
        TokenFault.CLAIMS,
        "'sub' is no text",
    ),
    "strict": (
        lambda: verifier_with(strict=True),
        lambda: token({"typ": "at+jwt"}, client_id=CANARY),
        TokenFault.CLAIMS,
        "strict=True asks for 'iat'",
    ),
    "party": (
        lambda: verifier_with(authorized_parties=["web"]),
        lambda: token(azp=CANARY),
        TokenFault.AUTHORIZED_PARTY,
        "the token's client is not 'web'",
    ),
    "required": (
        lambda: verifier_with(require_claims={"type": "access"}),
        lambda: token(type=CANARY),
        TokenFault.CLAIMS,
        "'type' is not what require_claims asks for",
    ),
    "scopes": (
        lambda: verifier_with(scopes_claim="scp"),
        lambda: token(scp=7),
        TokenFault.SCOPES,
        "'scp' is no list of scopes",
    ),
    "bound": (
        verifier_with,
        lambda: token(cnf={"jkt": CANARY}),
        TokenFault.CONFIRMATION,
        "'cnf', and there is no proof=",
    ),
    "unnamed": (
        lambda: verifier_with(revocations=MemoryRevocationList()),
        lambda: token(jti=...),
        TokenFault.CLAIMS,
        "there is no 'jti', by which it could be revoked",
    ),
    "kind": (
        verifier_with,
        lambda: token({"typ": CANARY}),
        TokenFault.TYPE,
        "by 'typ' of its header",
    ),
}


@pytest.mark.parametrize(("make", "mint", "fault", "detail"), DETAILS.values(), ids=DETAILS)
@looped
async def test_detail_says_what_was_expected_and_nothing_of_the_token(
    make: Callable[[], Any], mint: Callable[[], str], fault: TokenFault, detail: str
) -> None:
    with pytest.raises(TokenError) as caught:
        await make().verify(mint())
    error = caught.value
    assert (error.code, error.detail) == (fault, detail)
    assert error.reason == f"{fault}, {detail}"
    for text in (str(error), repr(error), error.reason):
        assert "canary" not in text
        assert text.isprintable()


def test_every_token_error_has_a_detail() -> None:
    package = Path(fastapi_scopes.__file__).parent
    without = [
        f"{path.name}:{node.lineno}"
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "TokenError"
        and len(node.args) < 2
        and not any(isinstance(each, ast.Starred) for each in node.args)
    ]
    assert without == []
