import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastapi_scopes.core.scopes import (
    is_scope_token,
    parse_scopes,
    require_scope_token,
)
from fastapi_scopes.errors import ConfigurationError

# RFC 6749 3.3: scope-token = 1*( %x21 / %x23-5B / %x5D-7E ), written out once more.
ALLOWED = {chr(code) for code in (0x21, *range(0x23, 0x5C), *range(0x5D, 0x7F))}

NO_TOKENS = [
    pytest.param("", id="empty"),
    pytest.param("a b", id="space"),
    pytest.param('a"b', id="quote"),
    pytest.param("a\\b", id="backslash"),
    pytest.param("a\tb", id="tab"),
    pytest.param("a\n", id="trailing newline"),
    pytest.param("a\x00", id="NUL"),
    pytest.param("a\x7f", id="DEL"),
    pytest.param("a\u00a0b", id="no-break space"),
    pytest.param("\u0430dmin", id="Cyrillic a"),
    pytest.param("\uff41dmin", id="fullwidth a"),
    pytest.param(None, id="None"),
    pytest.param(b"a", id="bytes"),
    pytest.param(7, id="int"),
    pytest.param(["a"], id="list"),
]


@pytest.mark.parametrize("code", range(0x100))
def test_scope_token_holds_exactly_the_characters_of_rfc_6749(code: int) -> None:
    assert is_scope_token(chr(code)) is (chr(code) in ALLOWED)


@pytest.mark.parametrize(
    "text", ["a", "app:read", "agents:*", "*", "!#[]~", "https://x.test/read?a=b&c", "'"]
)
def test_scope_token_is_taken_as_it_is(text: str) -> None:
    assert is_scope_token(text)
    assert require_scope_token(text) == text


@pytest.mark.parametrize("value", NO_TOKENS)
def test_what_is_no_scope_token_is_a_configuration_error(value: object) -> None:
    assert not is_scope_token(value)
    with pytest.raises(ConfigurationError, match="is not a scope; write"):
        require_scope_token(value)


@pytest.mark.parametrize(
    ("text", "scopes"),
    [
        pytest.param("", [], id="empty text is no scopes"),
        pytest.param("a", ["a"], id="one"),
        pytest.param("a b", ["a", "b"], id="split on a space"),
        pytest.param(" a  b ", ["a", "b"], id="empty parts dropped"),
        pytest.param("* agents:* Admin", ["*", "agents:*", "Admin"], id="taken literally"),
    ],
)
def test_text_is_a_list_of_scopes(text: str, scopes: list[str]) -> None:
    assert parse_scopes(text) == scopes


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("a\tb", id="tab does not separate"),
        pytest.param("a\nb", id="newline does not separate"),
        pytest.param("a\r\n", id="CR LF at the end"),
        pytest.param("a\u00a0b", id="no-break space does not separate"),
        pytest.param("a\u2003b", id="em space does not separate"),
        pytest.param("a\x1fb", id="unit separator does not separate"),
        pytest.param("a \u0430dmin", id="Cyrillic a"),
        pytest.param('"a"', id="quotes"),
    ],
)
def test_text_with_what_is_no_scope_is_refused_whole(text: str) -> None:
    with pytest.raises(ValueError, match="scope"):
        parse_scopes(text)


@given(st.text(max_size=12))
def test_scope_never_holds_what_the_grammar_forbids(text: str) -> None:
    try:
        scopes = parse_scopes(text)
    except ValueError:
        assert not set(text) <= ALLOWED | {" "}
    else:
        assert all(scope and set(scope) <= ALLOWED for scope in scopes)
        assert " ".join(text.split()) == " ".join(part for part in text.split(" ") if part)
