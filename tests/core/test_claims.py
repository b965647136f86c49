import pytest
from pydantic import ValidationError

from fastapi_scopes.core.claims import Claims


def test_only_exp_is_required() -> None:
    assert Claims(exp=1).model_dump() == {
        "exp": 1,
        "sub": None,
        "iss": None,
        "aud": None,
        "nbf": None,
        "iat": None,
        "jti": None,
        "client_id": None,
        "scopes": frozenset(),
    }
    with pytest.raises(ValidationError, match="exp"):
        Claims.model_validate({"sub": "alice"})


def test_claims_keep_what_they_do_not_know() -> None:
    assert Claims.model_validate({"exp": 1, "tenant": "t1"}).model_extra == {"tenant": "t1"}


def test_claims_are_frozen() -> None:
    claims = Claims(exp=1, scopes=frozenset({"a"}))
    with pytest.raises(ValidationError, match="frozen"):
        claims.scopes = frozenset({"admin"})
    assert claims.scopes == {"a"}


@pytest.mark.parametrize(
    "claims",
    [
        pytest.param({"exp": "1"}, id="exp as text"),
        pytest.param({"exp": True}, id="exp as bool"),
        pytest.param({"exp": None}, id="exp as null"),
        pytest.param({"exp": 1, "nbf": "1"}, id="nbf as text"),
        pytest.param({"exp": 1, "iat": True}, id="iat as bool"),
        pytest.param({"exp": 1, "sub": 7}, id="sub as int"),
        pytest.param({"exp": 1, "iss": ["i"]}, id="iss as list"),
        pytest.param({"exp": 1, "aud": 7}, id="aud as int"),
        pytest.param({"exp": 1, "aud": ["a", 7]}, id="aud with an int"),
        pytest.param({"exp": 1, "jti": 7}, id="jti as int"),
        pytest.param({"exp": 1, "client_id": {}}, id="client_id as dict"),
        pytest.param({"exp": 1, "scopes": "admin"}, id="scopes as text"),
    ],
)
def test_claims_of_another_type_are_refused(claims: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Claims.model_validate(claims)


@pytest.mark.parametrize("audience", ["a", ["a", "b"]])
def test_audience_is_one_or_several(audience: object) -> None:
    assert Claims.model_validate({"exp": 1.5, "aud": audience}).aud == audience
