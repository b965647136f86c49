"""Who signs with a secret that he has read, guessed, or found at an address."""

import base64
import json
from collections.abc import Mapping
from typing import Any

import pytest

from fastapi_scopes.verifiers.keys.known_secrets import PUBLISHED
from tests.verifiers.minting import SECRET, b64, mint
from tests.verifiers.verifying import configured, make_verifier, verdict

REMEDY = "; make one with secrets.token_urlsafe(64)"
PUBLISHED_PROBLEM = "is a secret that tutorials or word lists publish, or a variant of one" + REMEDY
PLACEHOLDER_PROBLEM = "is a secret that calls itself a placeholder" + REMEDY
REPEATED_PROBLEM = "is a secret that repeats a short text, and is worth no more than that" + REMEDY
FILLED_PROBLEM = "is a secret that fills a short text up, and is worth no more than that" + REMEDY
FEW_PROBLEM = "is a secret of fewer than 8 different bytes" + REMEDY

FASTAPI = "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7"

WEAK: Mapping[str, tuple[Any, str]] = {
    "fastapi": (FASTAPI, PUBLISHED_PROBLEM),
    "fastapi-upper": (FASTAPI.upper(), PUBLISHED_PROBLEM),
    "fastapi-line-break": (FASTAPI + "\n", PUBLISHED_PROBLEM),
    "fastapi-quoted": (f"'{FASTAPI}'", PUBLISHED_PROBLEM),
    "fastapi-base64": (base64.b64encode(FASTAPI.encode()), PUBLISHED_PROBLEM),
    "fastapi-hex": (FASTAPI.encode().hex(), PUBLISHED_PROBLEM),
    "fastapi-utf-16": (FASTAPI.encode("utf-16"), PUBLISHED_PROBLEM),
    "jwt.io": ("a-string-secret-at-least-256-bits-long", PUBLISHED_PROBLEM),
    "jwt.io-spaces": ("a string secret at least 256 bits long", PUBLISHED_PROBLEM),
    "jwt.io-384": ("a-valid-string-secret-that-is-at-least-384-bits-long-yes", PLACEHOLDER_PROBLEM),
    "jwt.io-old": ("your-256-bit-secret-your-256-bit", PUBLISHED_PROBLEM),
    "jwt_tool": ("my_very_long_and_safe_secret_key", PUBLISHED_PROBLEM),
    "jwt_tool-case": ("My Very Long And Safe Secret Key", PUBLISHED_PROBLEM),
    "jwt_tool-hex": ("fe1a1915a379f3be5394b64d14794932", PUBLISHED_PROBLEM),
    "postgrest": ("reallyreallyreallyreallyverysafe", PUBLISHED_PROBLEM),
    "supabase": ("super-secret-jwt-token-with-at-least-32-characters-long", PUBLISHED_PROBLEM),
    "spring": (
        "404E635266556A586E3272357538782F413F4428472B4B6250645367566B5970",
        PUBLISHED_PROBLEM,
    ),
    "mercure": ("!ChangeThisMercureHubJWTSecretKey!", PUBLISHED_PROBLEM),
    "agentos": ("your-secret-key-change-in-production", PUBLISHED_PROBLEM),
    "agentos-key": ("your-jwt-verification-key-your-jwt-verification-key", PUBLISHED_PROBLEM),
    "secret-repeated": ("secret" * 6, FEW_PROBLEM),
    "repeated-in-part-of-a-word": ("jwt_secret_jwt_secret_jwt_secret_jw", PUBLISHED_PROBLEM),
    "change-me-repeated": ("change-me-change-me-change-me-change-me", PUBLISHED_PROBLEM),
    "Secret-Repeated": ("Secret_secret SECRET-secret.secret,secret", PUBLISHED_PROBLEM),
    "alphabet": ("abcdefghijklmnopqrstuvwxyz0123456789", PUBLISHED_PROBLEM),
    "sequence": ("0123456789abcdef" * 2, PUBLISHED_PROBLEM),
    "change-me-in-words": ("please, CHANGE_ME before you deploy it", PLACEHOLDER_PROBLEM),
    "change-me-in-camel-case": ("x7ChangeThis0123456789abcdefABCDEF", PLACEHOLDER_PROBLEM),
    "change-in-production": ("dev-only-change-in-production-0123456", PLACEHOLDER_PROBLEM),
    "your-own": ("insert your own very secure jwt secret here", PLACEHOLDER_PROBLEM),
    "at-least": ("a key of at least 32 characters, please", PLACEHOLDER_PROBLEM),
    "512-bit": ("this-is-my-512-bit-secret-for-the-tests", PLACEHOLDER_PROBLEM),
    "django": (
        "django-insecure-x9-crhobalg4ql+x#s-vyg^ern71r4#j=3kvnjb#-qlv_2x!m3",
        PLACEHOLDER_PROBLEM,
    ),
    "short-text-repeated": ("kX9#bq2Z" * 4, REPEATED_PROBLEM),
    "sixteen-bytes-repeated": (bytes(range(16, 32)) * 2, REPEATED_PROBLEM),
    "repeated-in-part": (("kX9#bq2Z!" * 8)[:40], REPEATED_PROBLEM),
    "repeated-in-base64": (base64.b64encode(b"kX9#bq2Z!m" * 4), REPEATED_PROBLEM),
    "filled-up": ("=" * 22 + "BezKoder=Spring" + "=" * 27, FILLED_PROBLEM),
    "filled-up-with-zeros": (b"kX9#bq2Z" + bytes(40), FILLED_PROBLEM),
    "filled-up-with-blanks": ("kX9#bq2Z!mP" + " " * 40, FILLED_PROBLEM),
    "do-not-use": ("INSECURE_DEV_SECRET_DO_NOT_USE_HERE_PLEASE", PLACEHOLDER_PROBLEM),
    "not-for-production": ("dev-secret-key-not-for-production", PLACEHOLDER_PROBLEM),
    "one-letter": ("a" * 32, FEW_PROBLEM),
    "zero-digits": ("0" * 64, FEW_PROBLEM),
    "zero-bytes": (bytes(32), FEW_PROBLEM),
    "seven-letters": ("abcdefggfedcbaabcddcbaefggabcabc", FEW_PROBLEM),
    "few-in-hex": (b"abcabcdabcdeabcdefabcdefgabcdefga".hex(), FEW_PROBLEM),
    "few-in-base64": (base64.b64encode(b"abcabcdabcdeabcdefabcdefgabcdefga"), FEW_PROBLEM),
}


@pytest.mark.parametrize(("secret", "problem"), WEAK.values(), ids=WEAK)
def test_secret_that_others_know_or_guess_is_refused(secret: Any, problem: str) -> None:
    raw = secret if isinstance(secret, bytes) else secret.encode()

    for key in (secret, raw, {"kty": "oct", "k": b64(raw)}):
        assert configured(key, algorithms=["HS256"]) == (f"keys[0] {problem}",)


NEAR: Mapping[str, Any] = {
    "eight-bytes": "abcdefghhgfedcbaaabbccddeeffgghh",
    "seventeen-bytes-repeated": bytes(range(16, 33)) * 2,
    "words": "exchange metal for your house and a key",
    "published-as-a-part": FASTAPI + SECRET,
    "published-among-signs": "secret" + "!#$%&()*+,-./:;<=>?@[]^_{|}~",
    "control-characters": bytes(range(7, 71)),
    "not-ascii": "\u00e4\u00f6\u00fc" + SECRET,
    "year": "launched in 2026 with 256 friends and a bit of luck",
}


@pytest.mark.parametrize("secret", NEAR.values(), ids=NEAR)
def test_secret_that_is_only_near_to_a_known_one_is_taken(secret: Any) -> None:
    assert verdict(make_verifier(secret), mint(key=secret)) == "accept"


def test_list_of_published_secrets_is_short_and_of_hashes() -> None:
    assert 100 < len(PUBLISHED) <= 200
    assert all(len(each) == 16 and int(each, 16) >= 0 for each in PUBLISHED)


URLS = {
    "https": "https://as.example.com/.well-known/jwks.json?long",
    "scheme-in-capitals": " HTTPS://as.example.com/oauth2/v1/keys",
    "another-scheme": "redis://cache.example.com/0/jwt-secret-of-the-app",
    "no-scheme": "as.example.com/.well-known/openid-configuration",
    "two-slashes": "//as.example.com/realms/agents/protocol",
    "port": "localhost:8080/realms/agents/protocol/openid-connect/certs",
    "host-and-port": "as.example.com:8443/realms/agents/keys",
    "address": "127.0.0.1:8080/realms/agents/protocol/openid",
    "ipv6": "[::1]:8080/realms/agents/protocol/openid-connect",
    "path": "/.well-known/oauth-authorization-server",
    "line-break": "as.example.com/oauth2/default/v1/keys\n",
    "query": "as.example.com/keys?client=0123456789&x=~a%20b",
}


@pytest.mark.parametrize("kind", [str, str.encode], ids=["str", "bytes"])
@pytest.mark.parametrize("algorithm", ["HS256", "RS256"])
@pytest.mark.parametrize("url", URLS.values(), ids=URLS)
def test_url_is_no_key_in_text_or_bytes(url: str, algorithm: str, kind: Any) -> None:
    assert configured(kind(url), algorithms=[algorithm]) == (
        "keys[0] is a URL; use a JWKSVerifier with jwks_uri=",
    )


@pytest.mark.parametrize("url", URLS.values(), ids=URLS)
def test_url_is_no_secret_in_another_spelling(url: str) -> None:
    spellings = (
        {"kty": "oct", "k": b64(url)},
        base64.b64encode(url.encode()),
        url.encode().hex(),
        url.encode("utf-16"),
    )
    for each in spellings:
        assert configured(each, algorithms=["HS256"]) == (
            "keys[0] is a URL; use a JWKSVerifier with jwks_uri=",
        )


def test_name_of_a_file_is_no_secret_as_bytes() -> None:
    name = b"/run/secrets/a-long-name/of-a.key"
    problem = "keys[0] is a bytes that names a file; pass Path(...) from pathlib"

    assert configured(name, algorithms=["HS256"]) == (problem,)
    assert configured(name, algorithms=["RS256"]) == (problem,)
    assert configured({"kty": "oct", "k": b64(name)}, algorithms=["HS256"]) == (problem,)


NO_URLS = {
    "host-alone": "my-tenant.eu.auth0.example.com.but-no-path",
    "base64-with-slashes": "ab/cd+ef/0123456789/ABCDEFGHIJ/KLMNOP",
    "dots": "correct.horse.battery.staple.and.again",
    "signs-in-a-path": "a.b/c'd\"e^f<g>h|i\\j`k{l}0123456789abc",
    "slashes-at-the-end": "0123456789abcdefghijklmnop//zyx//wvu",
}


@pytest.mark.parametrize("secret", NO_URLS.values(), ids=NO_URLS)
def test_secret_that_resembles_no_url_is_taken(secret: str) -> None:
    assert verdict(make_verifier(secret), mint(key=secret)) == "accept"


def test_no_refusal_quotes_the_secret() -> None:
    texts = [text for text, _ in WEAK.values()] + [*URLS.values()]
    for text in texts:
        said = json.dumps(configured(text, algorithms=["HS256"]))
        assert str(text)[:16] not in said


@pytest.mark.parametrize(
    "secret",
    [
        "base64:4/JyaVbQ2wR7tYp9zXcVbNm1kLhGfDsA6qWeRtYuIo=",
        "x" * 7 + "kX9#bq2Z!mPvR4tYw8eJ6nLsQd3u",
    ],
)
def test_secret_that_only_resembles_one_of_these_is_taken(secret: str) -> None:
    assert configured(secret, algorithms=["HS256"]) == ()
