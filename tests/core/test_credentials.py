import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastapi_scopes.core.credentials import BearerCredentials, parse_authorization
from fastapi_scopes.errors import CredentialsError

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
