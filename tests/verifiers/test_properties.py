import contextlib
import json
import string

from hypothesis import given, settings
from hypothesis import strategies as st

from fastapi_scopes.errors import TokenError
from fastapi_scopes.verifiers.tokens import verify_compact_jws
from tests.verifiers.minting import CLAIMS, NOW, SECRET, b64, config_for, mint, mint_raw
from tests.verifiers.verifying import make_verifier, verdict

ALGORITHMS = ["RS256", "PS256", "ES256", "EdDSA"]
HMAC = make_verifier()
PUBLIC = make_verifier(*(config_for(each) for each in ALGORITHMS[1:]), algorithms=ALGORITHMS)
TOKENS = [mint(), *(mint(algorithm=each) for each in ALGORITHMS[1:])]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
claims_sets = st.dictionaries(
    st.sampled_from(["exp", "nbf", "iat", "iss", "aud", "sub", "jti", "scope", "scopes", "cnf"]),
    json_values | st.just(NOW + 1),
)


@settings(deadline=None)
@given(st.text(alphabet=st.characters()) | st.text(string.ascii_letters + "._-={}"))
def test_arbitrary_text_is_refused(text: str) -> None:
    assert verdict(HMAC, text) != "accept"


@settings(deadline=None)
@given(st.sampled_from(TOKENS), st.data())
def test_token_with_one_character_changed_is_refused(token: str, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(
        st.sampled_from(string.printable + "\u00e9\ud800").filter(lambda each: each != token[index])
    )
    changed = token[:index] + other + token[index + 1 :]

    assert verdict(HMAC, changed) != "accept"
    assert verdict(PUBLIC, changed) != "accept"


@settings(deadline=None)
@given(st.sampled_from(TOKENS), st.data())
def test_token_with_text_cut_or_put_in_is_refused(token: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(token)))
    end = data.draw(st.integers(start, len(token)))
    middle = data.draw(st.text(string.ascii_letters + ".=", max_size=5))
    changed = token[:start] + middle + token[end:]

    for verifier in (HMAC, PUBLIC):
        assert changed == token or verdict(verifier, changed) != "accept"


@settings(deadline=None)
@given(st.binary(), st.binary())
def test_arbitrary_bytes_that_are_signed_verify_or_are_refused(head: bytes, body: bytes) -> None:
    token = mint_raw(b64(head), b64(body))

    verdict(HMAC, token)
    with contextlib.suppress(TokenError):
        verify_compact_jws(token, keys=[SECRET], algorithms=["HS256"])


@settings(deadline=None)
@given(claims_sets)
def test_arbitrary_claims_that_are_signed_verify_or_are_refused(claims: dict[str, object]) -> None:
    verdict(HMAC, mint(json.dumps({**CLAIMS, **claims})))


@settings(deadline=None)
@given(st.binary(max_size=80))
def test_arbitrary_signature_is_refused(signature: bytes) -> None:
    for token in TOKENS[1:]:
        forged = token.rsplit(".", 1)[0] + "." + b64(signature)
        assert verdict(PUBLIC, forged) != "accept"
