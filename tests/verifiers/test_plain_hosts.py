"""`allow_http`: which hosts are asked without TLS, by whom, and what leads to them."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from fastapi_scopes.errors import ConfigurationError
from fastapi_scopes.verifiers import Document, IntrospectionVerifier, JWKSVerifier
from fastapi_scopes.verifiers._http import metadata_urls, url_problem
from tests.issuers.faulty import FaultyIssuer
from tests.verifiers.fetching import UNAVAILABLE, make_fetching
from tests.verifiers.introspecting import SETTINGS
from tests.verifiers.minting import NOW
from tests.verifiers.publishing import Issuer, looped, make_jwks_verifier, outcome_of, problems_of

KEYCLOAK = "http://keycloak:8080/realms/shop"

ALLOWED: dict[str, tuple[str, Any]] = {
    "of-a-compose-network": (KEYCLOAK, ["keycloak"]),
    "any-port": ("http://keycloak:1/", ["keycloak"]),
    "no-port": ("http://keycloak/", ["keycloak"]),
    "in-capitals": ("http://Keycloak:8080/", ["KEYCLOAK"]),
    "second-of-two": (KEYCLOAK, ["other", "keycloak"]),
    "tuple": (KEYCLOAK, ("keycloak",)),
    "with-underscore": ("http://my_keycloak/", ["my_keycloak"]),
    "of-a-cluster": ("http://kc.auth.svc.cluster.local/", ["kc.auth.svc.cluster.local"]),
    "address": ("http://10.0.0.1:8080/", ["10.0.0.1"]),
    "address-of-ipv6": ("http://[fd00:0:0::1]:8080/", ["fd00::1"]),
    "ascii-of-another-script": ("http://m\u00fcller.example/", ["xn--mller-kva.example"]),
    "loopback-beside-a-list": ("http://127.0.0.1:8080/", ["keycloak"]),
    "tls-beside-a-list": ("https://issuer.example/", ["keycloak"]),
}
REFUSED: dict[str, tuple[str, Any]] = {
    "not-allowed": (KEYCLOAK, False),
    "loopback-alone": (KEYCLOAK, True),
    "another": (KEYCLOAK, ["other"]),
    "below": ("http://a.keycloak/", ["keycloak"]),
    "above": ("http://example/", ["kc.example"]),
    "longer": ("http://keycloak2/", ["keycloak"]),
    "before-an-at": ("http://keycloak@evil.example/", ["keycloak"]),
    "in-the-path": ("http://evil.example/keycloak", ["keycloak"]),
    "final-dot": ("http://keycloak./", ["keycloak"]),
    "ftp": ("ftp://keycloak/", ["keycloak"]),
    "letters-of-a-text": ("http://k/", "keycloak"),
}


@pytest.mark.parametrize(("url", "hosts"), ALLOWED.values(), ids=ALLOWED)
def test_named_host_and_loopback_do_without_tls(url: str, hosts: Any) -> None:
    assert problems_of(issuer=url, allow_http=hosts) == ()
    assert problems_of(jwks_uri=url, allow_http=hosts) == ()
    IntrospectionVerifier(**{**SETTINGS, "endpoint": url, "allow_http": hosts})


@pytest.mark.parametrize(("url", "hosts"), REFUSED.values(), ids=REFUSED)
def test_no_other_host_does_without_tls(url: str, hosts: Any) -> None:
    assert url_problem(url, allow_http=hosts) is not None
    assert problems_of(issuer=url, allow_http=hosts) != ()
    assert problems_of(jwks_uri=url, allow_http=hosts) != ()
    with pytest.raises(ConfigurationError):
        IntrospectionVerifier(**{**SETTINGS, "endpoint": url, "allow_http": hosts})


NO_HOSTS: dict[str, str] = {
    "url": "http://keycloak",
    "with-port": "keycloak:8080",
    "with-path": "keycloak/realms",
    "star": "*",
    "wildcard": "*.example",
    "of-a-domain": ".example",
    "empty": "",
    "blank": " ",
    "with-blank": "keycloak ",
    "two": "keycloak,other",
    "with-user": "user:canary@keycloak",
    "in-brackets": "[fd00::1]",
    "other-script": "m\u00fcller.example",
    "line-break": "keycloak\n",
}


@pytest.mark.parametrize("host", NO_HOSTS.values(), ids=NO_HOSTS)
def test_what_is_no_host_is_named_by_its_place(host: str) -> None:
    said = (
        "allow_http[1] is no host; write its name alone, without scheme, port, path or '*', "
        "as in 'keycloak'"
    )
    assert problems_of(allow_http=["keycloak", host]) == (said,)
    with pytest.raises(ConfigurationError) as caught:
        IntrospectionVerifier(**{**SETTINGS, "allow_http": ["keycloak", host]})
    assert str(caught.value) == said


NO_LISTS: dict[str, tuple[Any, str]] = {
    "text": ("keycloak", "allow_http is no bool but a 'str', and no list"),
    "bytes": (b"keycloak", "allow_http is no bool but a 'bytes', and no list"),
    "number": (1, "allow_http is no bool but a 'int', and no list"),
    "none": (None, "allow_http is no bool but a 'NoneType', and no list"),
    "dict": ({"keycloak": True}, "allow_http is no bool but a 'dict', and no list"),
    "empty": ([], "allow_http is an empty list; write allow_http=True for loopback addresses"),
    "number-in-a-list": ([1], "allow_http[0] is no host"),
}


@pytest.mark.parametrize(("value", "said"), NO_LISTS.values(), ids=NO_LISTS)
def test_what_is_no_list_of_hosts_is_said(value: Any, said: str) -> None:
    (problem,) = problems_of(allow_http=value)
    assert problem.startswith(said)


@pytest.mark.parametrize("hosts", [False, True, ["other"]], ids=str)
def test_error_says_how_that_host_is_named(hosts: Any) -> None:
    (problem,) = problems_of(issuer=KEYCLOAK, allow_http=hosts)
    assert problem.endswith("; write an https URL, or allow_http=['keycloak'] for that host")


def test_each_named_host_is_a_warning_at_every_start(caplog: pytest.LogCaptureFixture) -> None:
    def said(host: str) -> str:
        return f"allow_http: {host!r} is asked without TLS; whoever is on the way can forge tokens"

    for _ in range(2):
        make_jwks_verifier(issuer=KEYCLOAK, allow_http=["keycloak", "other", "keycloak"])
        IntrospectionVerifier(**{**SETTINGS, "allow_http": ["keycloak"]})
    make_jwks_verifier(allow_http=True)

    assert caplog.messages == [said("keycloak"), said("other"), said("keycloak")] * 2
    assert {each.levelno for each in caplog.records} == {logging.WARNING}
    assert {each.name for each in caplog.records} == {"fastapi_scopes"}


def test_verifier_that_is_not_made_warns_of_nothing(caplog: pytest.LogCaptureFixture) -> None:
    assert problems_of(issuer="", allow_http=["keycloak"]) != ()
    assert caplog.messages == []


class Named:
    """An issuer whose metadata names one key set, fetched by a function of one's own."""

    def __init__(self, identifier: str, jwks_uri: str) -> None:
        self.issuer = Issuer()
        self.identifier = identifier
        self.issuer.documents = {
            metadata_urls(identifier)[0]: Document(
                b'{"issuer":"%b","jwks_uri":"%b"}' % (identifier.encode(), jwks_uri.encode())
            ),
            jwks_uri: Document(self.issuer.key_set()),
        }

    async def outcome(self, **settings: Any) -> str:
        settings = {"issuer": self.identifier, "fetch": self.issuer.fetch, **settings}
        verifier = JWKSVerifier(**{"audience": None, "now": self.issuer.clock, **settings})
        return await outcome_of(verifier, self.issuer.mint(iss=self.identifier))


@looped
async def test_own_fetch_may_ask_an_http_issuer_and_what_that_names() -> None:
    assert await Named(KEYCLOAK, "http://other:8080/certs").outcome() == "accept"
    assert await Named(KEYCLOAK, "http://other/certs").outcome(jwks_uri="http://other/certs") == (
        "accept"
    )


@pytest.mark.parametrize("uri", ["http://a:b@other/certs", "http://other/certs#a", "file:///certs"])
@looped
async def test_own_fetch_is_led_to_urls_alone(uri: str) -> None:
    assert await Named(KEYCLOAK, uri).outcome() == UNAVAILABLE
    assert problems_of(jwks_uri=uri, fetch=Issuer().fetch) != ()


@pytest.mark.parametrize("host", ["keycloak", "127.0.0.1"])
@looped
async def test_metadata_of_an_https_issuer_leads_to_no_listed_host(host: str) -> None:
    named = Named("https://issuer.example", f"http://{host}/certs")
    assert await named.outcome(allow_http=["keycloak"]) == UNAVAILABLE


@pytest.fixture
def issuer(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyIssuer]:
    monkeypatch.setenv("no_proxy", "*")
    with FaultyIssuer(now=lambda: NOW) as issuer:
        yield issuer


NAMED_BY_METADATA = {
    "same-host": ("{origin}/jwks", True, "accept"),
    "listed-host": ("{origin}/jwks", ["keycloak"], "accept"),
    "other-host": ("http://other.example/jwks", True, UNAVAILABLE),
    "not-listed-host": ("http://other.example/jwks", ["keycloak"], UNAVAILABLE),
}


@pytest.mark.parametrize(
    ("uri", "hosts", "expected"), NAMED_BY_METADATA.values(), ids=NAMED_BY_METADATA
)
@looped
async def test_metadata_of_an_http_issuer_leads_to_allowed_hosts(
    uri: str, hosts: Any, expected: str, issuer: FaultyIssuer
) -> None:
    document = {"issuer": issuer.identifier, "jwks_uri": uri.format(origin=issuer.origin)}
    issuer.metadata.switch(lambda good: type(good).json(document))

    verifier = make_fetching(issuer, allow_http=hosts)
    assert await outcome_of(verifier, issuer.mint()) == expected
