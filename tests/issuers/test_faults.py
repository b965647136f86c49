"""The named faults: each is a fault, and all but its name is as healthy as can be."""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from tests.issuers import faults
from tests.issuers.answers import Behaviour
from tests.issuers.asking import get, make_client
from tests.issuers.faulty import FaultyIssuer


def ask(issuer: FaultyIssuer, name: str, behaviour: Behaviour) -> httpx.Response:
    resource = getattr(issuer, name)
    resource.switch(behaviour)
    return get(resource.url)


def strict_object(body: bytes) -> dict[str, Any]:
    """The object of a body as RFC 8259 wants it between strangers.

    Raises:
        ValueError: it is none; RecursionError: it is deeper than anyone writes.
    """
    document = json.loads(body.decode("utf-8"), object_pairs_hook=_members, parse_constant=int)
    if not isinstance(document, dict):
        raise ValueError("is no object")  # noqa: TRY004 - one error for a caller to catch
    return document


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("has a member twice")
    return dict(pairs)


def is_sound_key_set(body: bytes) -> bool:
    """Whether a resource server may take an ES256 key from it."""
    try:
        keys = strict_object(body)["keys"]
    except (ValueError, KeyError, RecursionError):
        return False
    if not isinstance(keys, list) or len(body) > faults.KEY_SET_LIMIT:
        return False
    jwks = [each for each in keys if isinstance(each, dict)]
    names = Counter(str(each.get("kid")) for each in jwks)
    usable = [
        each
        for each in jwks
        if (each.get("kty"), each.get("crv"), each.get("use")) == ("EC", "P-256", "sig")
        and isinstance(each.get("x"), str)
        and names[str(each["kid"])] == 1
    ]
    return bool(usable) and len(keys) <= 64


def is_sound_metadata(body: bytes, issuer: FaultyIssuer) -> bool:
    try:
        metadata = strict_object(body)
    except ValueError:
        return False
    return (metadata.get("issuer"), metadata.get("jwks_uri")) == (
        issuer.identifier,
        issuer.key_set.url,
    )


ERRORS: Mapping[str, type[Exception]] = {
    "hang-up": httpx.RemoteProtocolError,
    "reset": httpx.ReadError,
    "not-http": httpx.RemoteProtocolError,
    "half-a-head": httpx.RemoteProtocolError,
    "cut-body": httpx.RemoteProtocolError,
    "cut-chunks": httpx.RemoteProtocolError,
    "cut-after-the-document": httpx.RemoteProtocolError,
    "length-too-short": json.JSONDecodeError,
    "length-is-text": httpx.RemoteProtocolError,
    "length-is-negative": httpx.RemoteProtocolError,
    "not-gzip": httpx.DecodingError,
    "cut-gzip": json.JSONDecodeError,
}


@pytest.mark.parametrize("name", faults.BROKEN_CONNECTIONS)
def test_broken_connection_yields_no_document(name: str) -> None:
    with FaultyIssuer() as issuer, pytest.raises(ERRORS[name]):
        ask(issuer, "key_set", faults.BROKEN_CONNECTIONS[name]).json()


@pytest.mark.parametrize("name", faults.REFUSED_STATUSES)
def test_refused_status_is_not_200(name: str) -> None:
    with FaultyIssuer() as issuer:
        answer = ask(issuer, "key_set", faults.REFUSED_STATUSES[name])

        assert answer.status_code != 200
        assert answer.status_code == int(name[-3:] if name[-3:].isdigit() else 302)


@pytest.mark.parametrize("name", faults.HUGE)
def test_huge_body_holds_the_good_key_set(name: str) -> None:
    with FaultyIssuer() as issuer:
        answer = ask(issuer, "key_set", faults.HUGE[name])

        assert len(answer.content) > faults.KEY_SET_LIMIT
        assert answer.json() == {"keys": [issuer.signing_key.jwk]}


BROKEN = {**faults.BROKEN_DOCUMENTS, **faults.BROKEN_KEY_SETS}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_key_set_is_whole_on_the_wire_and_unusable(name: str) -> None:
    with FaultyIssuer() as issuer:
        answer = ask(issuer, "key_set", BROKEN[name])

        assert answer.status_code == 200
        assert not is_sound_key_set(answer.content)


@pytest.mark.parametrize("name", faults.SOUND_KEY_SETS)
def test_sound_key_set_has_the_good_key(name: str) -> None:
    with FaultyIssuer() as issuer:
        answer = ask(issuer, "key_set", faults.SOUND_KEY_SETS[name])

        assert is_sound_key_set(answer.content)
        assert issuer.signing_key.jwk in answer.json()["keys"]


def test_limits_of_a_key_set_are_met_exactly() -> None:
    with FaultyIssuer() as issuer:
        sizes = {
            name: len(ask(issuer, "key_set", behaviour).content)
            for name, behaviour in {**faults.SOUND_KEY_SETS, **faults.HUGE}.items()
        }
        keys = ask(issuer, "key_set", faults.many_keys(1000))

        assert sizes["largest-body"] == 256 * 1024
        assert sizes["one-byte-too-large"] == 256 * 1024 + 1
        # Too many keys, in a body that is not too large: each limit is its own.
        assert len(keys.json()["keys"]) == 1000
        assert len(keys.content) < faults.KEY_SET_LIMIT


@pytest.mark.parametrize("algorithm", ["ES256", "RS256", "EdDSA"])
def test_twins_share_kid_and_type_and_nothing_else(algorithm: str) -> None:
    with FaultyIssuer(algorithm=algorithm) as issuer:
        twin, own = ask(issuer, "key_set", faults.twin_of_each_key).json()["keys"]
        differing = {name for name in own if own[name] != twin[name]}

        assert own == issuer.signing_key.jwk
        assert differing
        assert differing <= {"x", "y", "n"}


@pytest.mark.parametrize("name", ["metadata", "oauth_metadata"])
@pytest.mark.parametrize("fault", faults.BROKEN_METADATA)
def test_broken_metadata_is_whole_on_the_wire_and_unusable(name: str, fault: str) -> None:
    with FaultyIssuer() as issuer:
        assert is_sound_metadata(get(getattr(issuer, name).url).content, issuer)
        answer = ask(issuer, name, faults.BROKEN_METADATA[fault])

        assert answer.status_code == 200
        assert not is_sound_metadata(answer.content, issuer)


@pytest.mark.parametrize("name", faults.SLOW)
def test_slow_answer_outlasts_any_patience_of_a_test(name: str) -> None:
    with FaultyIssuer() as issuer:
        issuer.key_set.switch(faults.SLOW[name])

        with make_client() as client, pytest.raises(httpx.ReadTimeout):
            client.get(issuer.key_set.url, timeout=httpx.Timeout(5, read=0.03))


def test_dripping_key_set_lasts_for_seconds() -> None:
    with FaultyIssuer() as issuer:
        assert len(get(issuer.key_set.url).content) * 0.05 > 5


@pytest.mark.parametrize("name", faults.CACHE_CONTROLS)
def test_cache_control_is_sent_line_by_line(name: str) -> None:
    with FaultyIssuer() as issuer:
        answer = ask(issuer, "key_set", faults.cached(*faults.CACHE_CONTROLS[name]))
        lines = tuple(answer.headers.get_list("cache-control"))

        assert lines == faults.CACHE_CONTROLS[name]
        assert is_sound_key_set(answer.content)


@pytest.mark.parametrize("code", faults.REDIRECTS)
def test_redirect_leads_a_client_that_follows_to_a_good_key_set(code: int) -> None:
    with FaultyIssuer() as issuer, FaultyIssuer() as other:
        moved = issuer.resource("/moved", lambda _: issuer.key_set_answer())
        for target in (moved, other.key_set):
            answer = ask(issuer, "key_set", faults.redirect(target.url, code=code))
            followed = get(issuer.key_set.url, follow_redirects=True)

            assert (answer.status_code, answer.headers["location"]) == (code, target.url)
            assert target.count == 1
            assert is_sound_key_set(followed.content)


def test_redirect_to_itself_never_ends() -> None:
    with FaultyIssuer() as issuer:
        issuer.key_set.switch(faults.redirect(issuer.key_set.url))

        with pytest.raises(httpx.TooManyRedirects):
            get(issuer.key_set.url, follow_redirects=True)
        assert issuer.key_set.count > 10


def test_redirect_to_a_forbidden_address_is_only_named() -> None:
    with FaultyIssuer() as issuer:
        answer = ask(issuer, "key_set", faults.redirect(faults.LINK_LOCAL))

        assert answer.headers["location"].startswith("http://169.254.169.254/")


def test_changes_are_made_in_order() -> None:
    with FaultyIssuer() as issuer:
        change = faults.changed(
            faults.members(keys=[]),
            faults.keys_beside(faults.OCT_KEY),
            faults.html_typed,
            faults.without("other"),
            faults.status(203),
        )
        answer = ask(issuer, "key_set", change)

        assert answer.status_code == 203
        assert answer.json() == {"keys": [faults.OCT_KEY]}
        assert answer.headers["content-type"] == "text/html"
