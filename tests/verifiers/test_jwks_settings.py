"""What a JWKSVerifier is configured with: every mistake is named, and all of them at once."""

import math
from typing import Any

import pytest

from fastapi_scopes.errors import ConfigurationError
from fastapi_scopes.verifiers import JWKSVerifier
from tests.verifiers.publishing import ISSUER, JWKS_URI, make_jwks_verifier, problems_of

OFF_LOOPBACK = "is not https, which only loopback addresses may do without"
ON_LOOPBACK = f"{OFF_LOOPBACK}; write allow_http=True for a loopback address"
NOT_HTTPS = f"{OFF_LOOPBACK}; write an https URL, or allow_http=['issuer.example'] for that host"
IN_PATH = "is no http or https URL"
HTTP_JWKS = "http://issuer.example/jwks"

BAD_SETTINGS: dict[str, tuple[dict[str, Any], str]] = {
    "nowhere-to-ask": ({"issuer": None}, "issuer is None and so is jwks_uri"),
    "issuer-without-tls": ({"issuer": "http://issuer.example"}, f"issuer {NOT_HTTPS}"),
    "issuer-on-loopback": ({"issuer": "http://127.0.0.1:1"}, f"issuer {ON_LOOPBACK}"),
    "issuer-no-url": ({"issuer": "issuer"}, f"issuer {IN_PATH}"),
    "issuer-urn": ({"issuer": "urn:issuer:1"}, f"issuer {IN_PATH}"),
    "issuer-without-host": ({"issuer": "https:///tenant"}, f"issuer {IN_PATH}"),
    "issuer-bad-port": ({"issuer": "https://issuer.example:port"}, "issuer is no URL"),
    "issuer-with-query": ({"issuer": f"{ISSUER}?tenant=1"}, "issuer has a query"),
    "issuer-with-fragment": ({"issuer": f"{ISSUER}#1"}, "issuer has credentials or a fragment"),
    "issuer-with-credentials": (
        {"issuer": "https://canary:canary@issuer.example"},
        "issuer has credentials or a fragment",
    ),
    "issuer-empty": ({"issuer": ""}, "issuer is no text"),
    "issuer-number": ({"issuer": 1}, "issuer is no text"),
    "issuer-list": ({"issuer": [ISSUER]}, "issuer is a list; give each issuer a JWKSVerifier"),
    "issuer-list-and-jwks-uri": (
        {"issuer": [ISSUER], "jwks_uri": JWKS_URI},
        "issuer is a list; give each issuer a JWKSVerifier",
    ),
    "jwks-uri-without-tls": ({"jwks_uri": HTTP_JWKS}, f"jwks_uri {NOT_HTTPS}"),
    "jwks-uri-off-loopback": (
        {"jwks_uri": HTTP_JWKS, "allow_http": True},
        f"jwks_uri {OFF_LOOPBACK}",
    ),
    "jwks-uri-empty": ({"jwks_uri": ""}, f"jwks_uri {IN_PATH}"),
    "jwks-uri-number": ({"jwks_uri": 1}, f"jwks_uri {IN_PATH}"),
    "jwks-uri-file": ({"jwks_uri": "file:///jwks.json"}, f"jwks_uri {IN_PATH}"),
    "jwks-uri-credentials": (
        {"jwks_uri": "https://canary@issuer.example"},
        "jwks_uri has credentials",
    ),
    "algorithms-empty": ({"algorithms": []}, "algorithms is no list of names, or an empty one"),
    "algorithms-text": ({"algorithms": "RS256"}, "algorithms is no list of names"),
    "algorithms-unknown": ({"algorithms": ["RS256", "none"]}, "algorithms[1] is no signature"),
    "algorithms-hs": ({"algorithms": ["HS256"]}, "algorithms has an HS*"),
    "issuer-of-metadata": (
        {"issuer": f"{ISSUER}/.well-known/openid-configuration"},
        "issuer is where its metadata is",
    ),
    "allow-http-text": ({"allow_http": "false"}, "allow_http is no bool but a 'str'"),
    "allow-http-none": ({"allow_http": None}, "allow_http is no bool but a 'NoneType'"),
    "strict-text": ({"strict": "false"}, "strict is no bool but a 'str'; write strict=True"),
    "fetch-no-function": ({"fetch": JWKS_URI}, "fetch is no function; write async def fetch"),
    "cache-ttl-negative": ({"cache_ttl": -1}, "cache_ttl is no number of seconds from 0"),
    "cache-size-text": ({"cache_size": "1"}, "cache_size is no number of tokens"),
    "audience-empty": ({"audience": ""}, "audience is no text"),
    "scopes-claim-empty": ({"scopes_claim": ""}, "scopes_claim is no name"),
    "model-dict": ({"claims_model": dict}, "claims_model is no subclass of Claims"),
    "leeway-of-an-hour": ({"leeway": 3600}, "leeway is no number of seconds from 0 to 300"),
    "allowed-scopes-text": ({"allowed_scopes": "a"}, "allowed_scopes"),
    "revocations-text": ({"revocations": "canary"}, "revocations is a 'str' without"),
    "proof-text": ({"proof": "canary"}, "proof is a 'str' without"),
    "now-number": ({"now": 1}, "now is no function"),
}


@pytest.mark.parametrize(("settings", "problem"), BAD_SETTINGS.values(), ids=BAD_SETTINGS)
def test_bad_setting_is_named_once(settings: dict[str, Any], problem: str) -> None:
    problems = problems_of(**settings)

    assert len(problems) == 1
    assert problem in problems[0]
    assert "canary" not in problems[0]


NO_SECONDS: dict[str, Any] = {
    "zero": 0,
    "negative": -1,
    "infinite": math.inf,
    "not-a-number": math.nan,
    "none": None,
    "text": "60",
    "true": True,
}


@pytest.mark.parametrize("value", NO_SECONDS.values(), ids=NO_SECONDS)
@pytest.mark.parametrize("name", ["ttl", "cooldown", "max_age", "timeout"])
def test_seconds_are_numbers_above_zero(name: str, value: Any) -> None:
    assert problems_of(**{name: value}) == (f"{name} is no number of seconds above 0",)


def test_every_bad_setting_is_named_at_once() -> None:
    problems = problems_of(
        issuer="http://issuer.example?a",
        jwks_uri="ftp://issuer.example",
        audience=[],
        algorithms=["HS256"],
        scopes_claim="",
        claims_model=int,
        leeway=-1,
        allowed_scopes="a",
        revocations=1,
        proof=1,
        cache_ttl=-1,
        cache_size=-1,
        ttl=0,
        cooldown=0,
        max_age=0,
        timeout=0,
        fetch=1,
        now=None,
    )

    # That issuer names no place, since jwks_uri does: any text will do.
    assert len(problems) == len(set(problems)) == 17


@pytest.mark.parametrize("left_out", ["issuer", "audience"])
def test_issuer_and_audience_must_be_decided(left_out: str) -> None:
    settings: dict[str, Any] = {"issuer": ISSUER, "audience": None}
    del settings[left_out]

    with pytest.raises(TypeError, match=left_out):
        JWKSVerifier(**settings)


GOOD_SETTINGS: dict[str, dict[str, Any]] = {
    "issuer-alone": {},
    "issuer-with-path": {"issuer": f"{ISSUER}/tenant/"},
    "jwks-uri-alone": {"issuer": None, "jwks_uri": JWKS_URI},
    "jwks-uri-with-query": {"jwks_uri": f"{JWKS_URI}?tenant=1"},
    "issuer-with-query-and-jwks-uri": {"issuer": f"{ISSUER}?a", "jwks_uri": JWKS_URI},
    "loopback": {"issuer": "http://127.0.0.1:8000", "allow_http": True},
    "loopback-of-ipv6": {"issuer": "http://[::1]:8000", "allow_http": True},
    "localhost": {"issuer": "http://localhost:8000", "allow_http": True},
    "tls-where-http-is-allowed": {"allow_http": True},
    "every-algorithm-but-hs": {
        "algorithms": ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384"]
    },
    "cache-off": {"cache_ttl": 0, "cache_size": 0},
    "short-times": {"ttl": 0.1, "cooldown": 0.1, "max_age": 0.1, "timeout": 0.1},
}


@pytest.mark.parametrize("settings", GOOD_SETTINGS.values(), ids=GOOD_SETTINGS)
def test_good_settings_are_taken(settings: dict[str, Any]) -> None:
    assert problems_of(**settings) == ()


def test_settings_are_named_with_what_the_developer_may_do() -> None:
    with pytest.raises(ConfigurationError) as caught:
        make_jwks_verifier(issuer=None)

    assert str(caught.value) == (
        "issuer is None and so is jwks_uri; name one of the two, better both"
    )
