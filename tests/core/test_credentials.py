import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastapi_scopes.core.credentials import (
    BearerCredentials,
    field_without_offers,
    offers_of,
    parse_authorization,
    parse_credentials,
    without_offers,
)
from fastapi_scopes.errors import CredentialsError, TokenError

# RFC 6750 2.1: b64token
TOKEN_CHARACTERS = string.ascii_letters + string.digits + "-._~+/"
tokens = st.builds(
    "{}{}".format,
    st.text(TOKEN_CHARACTERS, min_size=1, max_size=30),
    st.sampled_from(["", "=", "=="]),
)


@pytest.mark.parametrize(
    "field",
    [
        pytest.param(b"Bearer abc", id="as written"),
        pytest.param(b"bearer abc", id="lower case"),
        pytest.param(b"BEARER abc", id="upper case"),
        pytest.param(b"Bearer  abc", id="two spaces"),
        pytest.param(b" \tBearer abc \t", id="whitespace around the field"),
    ],
)
def test_one_bearer_credential_gives_its_token(field: bytes) -> None:
    assert parse_authorization([field]) == BearerCredentials("abc")


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param([], id="no field"),
        pytest.param([b"Basic abc"], id="Basic"),
        pytest.param([b"Negotiate"], id="scheme alone"),
        pytest.param([b"DPoP abc"], id="DPoP"),
        pytest.param([b'Digest username="a", realm="b"'], id="parameters"),
        pytest.param([b"Bearers abc"], id="scheme that begins with Bearer"),
        pytest.param([b"Basic a, Bearer b"], id="Bearer inside another scheme's parameters"),
    ],
)
def test_another_scheme_counts_as_no_credentials(fields: list[bytes]) -> None:
    assert parse_authorization(fields) is None


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param([b"Bearer"], id="bare Bearer"),
        pytest.param([b"Bearer "], id="Bearer and a space"),
        pytest.param([b"bearer"], id="bare bearer, lower case"),
        pytest.param([b""], id="empty field"),
        pytest.param([b" "], id="blank field"),
        pytest.param([b"Bearer abc", b"Bearer abc"], id="doubled, equal"),
        pytest.param([b"Bearer abc", b"Basic abc"], id="doubled, another scheme"),
        pytest.param([b"Basic abc", b"Basic abc"], id="doubled without Bearer"),
        pytest.param([b"Bearer abc, Bearer def"], id="two in one field"),
        pytest.param([b"Bearer abc,def"], id="comma"),
        pytest.param([b"Bearer abc def"], id="two tokens"),
        pytest.param([b"Bearer\tabc"], id="tab between"),
        pytest.param([b"Bearer \tabc"], id="space and tab between"),
        pytest.param([b"Bearer:abc"], id="colon between"),
        pytest.param([b"Bearer a=bc"], id="equals sign inside"),
        pytest.param([b"Bearer ="], id="padding alone"),
        pytest.param([b'Bearer "abc"'], id="quoted"),
        pytest.param([b"Bearer abc\r\n X: y"], id="folded"),
        pytest.param([b"Bearer abc\n"], id="trailing newline"),
        pytest.param([b"Bearer abc\x00"], id="NUL"),
        pytest.param([b"Bearer abc\xa0"], id="no-break space"),
        pytest.param([b"Bearer ab\xe9"], id="latin-1"),
        pytest.param([b"Bearer \xc3\xa9"], id="UTF-8"),
        pytest.param([b"\xff\xfe"], id="no text at all"),
    ],
)
def test_malformed_authorization_is_a_credentials_error(fields: list[bytes]) -> None:
    with pytest.raises(CredentialsError, match="not one bearer credential") as caught:
        parse_authorization(fields)
    assert caught.value.code == "malformed_credentials"
    assert "abc" not in str(caught.value)


def test_credentials_never_show_their_token() -> None:
    assert "secret" not in repr(BearerCredentials("secret"))


@given(tokens, st.sampled_from(["Bearer", "bearer", "bEARER"]), st.integers(1, 3))
def test_token_comes_out_as_it_was_written(token: str, scheme: str, spaces: int) -> None:
    field = f"{scheme}{' ' * spaces}{token}".encode()
    assert parse_authorization([field]) == BearerCredentials(token)


@given(
    st.lists(
        st.binary(max_size=12) | st.binary(max_size=8).map(lambda tail: b"Bearer " + tail),
        max_size=2,
    )
)
def test_no_bytes_give_anything_but_one_token_none_or_a_credentials_error(
    fields: list[bytes],
) -> None:
    try:
        credentials = parse_authorization(fields)
    except CredentialsError:
        return
    if credentials is not None:
        assert len(fields) == 1
        assert credentials.token
        assert set(credentials.token) <= set(TOKEN_CHARACTERS + "=")


@pytest.mark.parametrize(
    ("subprotocols", "fields", "offers"),
    [
        pytest.param([], [], (), id="none"),
        pytest.param(["chat"], [b"chat"], (), id="the application's own"),
        pytest.param(["bearer.abc"], [b"bearer.abc"], ("bearer.abc",), id="one"),
        pytest.param(["bearer.abc", "chat"], [], ("bearer.abc",), id="a server without the field"),
        pytest.param(
            ["chat", "bearer.abc"], [b"chat, bearer.abc"], ("bearer.abc",), id="in a list"
        ),
        pytest.param(["a", "bearer.b"], [b"a", b"bearer.b"], ("bearer.b",), id="in two fields"),
        pytest.param(["bearer.a"], [b" ,bearer.a\t,,"], ("bearer.a",), id="empty elements"),
        pytest.param(["bearer.a"] * 2, [b"bearer.a,bearer.a"], ("bearer.a",) * 2, id="doubled"),
        pytest.param(["bearer", "abc"], [b"bearer, abc"], (), id="no full stop"),
        pytest.param(["xbearer.abc"], [b"xbearer.abc"], (), id="within a name"),
        pytest.param(["BEARER.abc"], [b"BEARER.abc"], ("BEARER.abc",), id="another spelling"),
        pytest.param([], [b"bearer.abc"], ("bearer.",), id="in the field alone"),
        pytest.param(["bearer.abc"], [b"chat"], ("bearer.",), id="in the list alone"),
        pytest.param(["bearer.abc"], [b"bearer.def"], ("bearer.",), id="one, and another"),
        pytest.param(["bearer.a"], [b"bearer.a, bearer.b"], ("bearer.",), id="more in the field"),
        pytest.param(["bearer.abc"], [b"bearer.abc\xa0"], ("bearer.",), id="no-break space behind"),
        pytest.param(["bearer.abc"], [b"\xa0bearer.abc"], ("bearer.",), id="no-break space before"),
        pytest.param(["chat"], [b"talk"], (), id="differing, but about no credentials"),
    ],
)
def test_offers_are_what_the_list_and_the_fields_agree_upon(
    subprotocols: list[str], fields: list[bytes], offers: tuple[str, ...]
) -> None:
    assert offers_of(subprotocols, fields) == offers


def test_one_offer_gives_its_token() -> None:
    assert parse_credentials([], ["bearer.a-b_c.d~e+1"]) == BearerCredentials("a-b_c.d~e+1")


def test_without_an_offer_the_field_says_it() -> None:
    assert parse_credentials([b"Bearer abc"], []) == BearerCredentials("abc")
    assert parse_credentials([b"Basic abc"], []) is None
    assert parse_credentials([], []) is None


@pytest.mark.parametrize(
    ("fields", "offers"),
    [
        pytest.param([], ["bearer."], id="no token"),
        pytest.param([], ["bearer.abc", "bearer.abc"], id="doubled, equal"),
        pytest.param([], ["bearer.abc", "bearer.def"], id="two tokens"),
        pytest.param([], ["bearer.abc", "bearer."], id="and one without a token"),
        pytest.param([b"Bearer abc"], ["bearer.abc"], id="and the same in a field"),
        pytest.param([b"Basic abc"], ["bearer.abc"], id="and another scheme in a field"),
        pytest.param([b""], ["bearer.abc"], id="and an empty field"),
        pytest.param([], ["Bearer.abc"], id="capital letter"),
        pytest.param([], ["BEARER.abc"], id="upper case"),
        pytest.param([], ["bearer.abc="], id="padding, which no subprotocol has"),
        pytest.param([], ["bearer.a/bc"], id="slash, which no subprotocol has"),
        pytest.param([], ["bearer.abc def"], id="space"),
        pytest.param([], ["bearer. abc"], id="space before the token"),
        pytest.param([], [" bearer.abc"], id="space before"),
        pytest.param([], ["bearer.abc\n"], id="newline"),
        pytest.param([], ["bearer.abc;v=1"], id="parameter"),
        pytest.param([], ["bearer.\xe9"], id="latin-1"),
        pytest.param([], ["bearer.\udce9"], id="surrogate"),
        pytest.param([], ['bearer."abc"'], id="quoted"),
    ],
)
def test_anything_but_one_offer_alone_is_a_credentials_error(
    fields: list[bytes], offers: list[str]
) -> None:
    with pytest.raises(CredentialsError) as caught:
        parse_credentials(fields, offers)
    assert "abc" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        pytest.param(b"chat", b"chat", id="one"),
        pytest.param(b"chat,talk", b"chat, talk", id="two"),
        pytest.param(b"bearer.abc", b"", id="an offer alone"),
        pytest.param(b"bearer.abc, chat", b"chat", id="an offer first"),
        pytest.param(b"chat ,\tBEARER.abc", b"chat", id="an offer last"),
        pytest.param(b"chat,bearer.abc,talk", b"chat, talk", id="an offer between"),
        pytest.param(b"\xa0bearer.abc,\xe9", b"\xe9", id="an offer to a lenient server"),
        pytest.param(b",,bearer.abc,", b"", id="empty elements"),
    ],
)
def test_field_is_left_without_offers(value: bytes, kept: bytes) -> None:
    assert field_without_offers(value) == kept


@given(st.lists(st.text(max_size=12) | st.text(max_size=6).map("bearer.".__add__)))
def test_what_is_left_has_no_offer_and_what_is_no_offer_is_left(subprotocols: list[str]) -> None:
    left = without_offers(subprotocols)
    assert offers_of(left, []) == ()
    assert len(left) + len(offers_of(subprotocols, [])) == len(subprotocols)


@pytest.mark.parametrize("scheme", [b"Bearer", b"bearer", b" BEARER"])
def test_credentials_are_measured_before_they_are_read(scheme: bytes) -> None:
    with pytest.raises(TokenError, match="too_large"):
        parse_credentials([scheme + b" " + b"!" * 17_000], ())
    assert parse_credentials([b"Negotiate " + b"a" * 60_000], ()) is None


@pytest.mark.parametrize(
    ("subprotocols", "fields"),
    [(["x"] * 65, []), (["bearer.t"], [b"bearer.t, " * 2_000]), (["x"], [b"x" * 300_000])],
    ids=["many", "many in the field", "a long one"],
)
def test_more_subprotocols_than_anybody_offers_are_no_credentials(
    subprotocols: list[str], fields: list[bytes]
) -> None:
    with pytest.raises(CredentialsError):
        parse_credentials((), offers_of(subprotocols, fields))
