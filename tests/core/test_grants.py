import pytest
from hypothesis import given

from fastapi_scopes.core.grants import Grants, grants_of
from fastapi_scopes.errors import ConfigurationError
from tests.core.strategies import held_scopes


@pytest.mark.parametrize(
    ("held", "required", "missing"),
    [
        pytest.param([], ["a"], ("a",), id="none held"),
        pytest.param(["a"], ["a"], (), id="itself"),
        pytest.param(["a", "b"], ["a"], (), id="more than needed"),
        pytest.param(["a"], ["a", "b", "c"], ("b", "c"), id="in the order of what is required"),
        pytest.param(["b"], ["c", "b", "a"], ("c", "a"), id="order kept, not sorted"),
        pytest.param(["A"], ["a"], ("a",), id="case counts"),
        pytest.param(["app"], ["app:read"], ("app:read",), id="no prefix"),
        pytest.param(["app:read:x"], ["app:read"], ("app:read",), id="no suffix"),
        pytest.param(["*"], ["a"], ("a",), id="star is a literal"),
        pytest.param(["app:*"], ["app:read"], ("app:read",), id="star in it is a literal"),
        pytest.param(["app:read"], ["app:*"], ("app:*",), id="required star is a literal"),
        pytest.param(["admin"], ["a"], ("a",), id="no admin scope unless configured"),
    ],
)
def test_scope_grants_exactly_itself(
    held: list[str], required: list[str], missing: tuple[str, ...]
) -> None:
    assert Grants().missing(held, required) == missing


@pytest.mark.parametrize(
    ("held", "is_admin"),
    [
        pytest.param(["app:superadmin"], True, id="exactly it"),
        pytest.param(["x", "app:superadmin"], True, id="among others"),
        pytest.param(["APP:SUPERADMIN"], False, id="another case"),
        pytest.param(["app:super"], False, id="prefix of it"),
        pytest.param(["app:superadmin:x"], False, id="longer than it"),
        pytest.param(["app:*"], False, id="wildcard over it"),
        pytest.param(["*"], False, id="wildcard over all"),
        pytest.param([""], False, id="empty"),
        pytest.param([], False, id="none"),
    ],
)
def test_admin_scope_is_compared_exactly(held: list[str], is_admin: bool) -> None:
    missing = grants_of("app:superadmin").missing(held, ["a", "b"])
    assert missing == (() if is_admin else ("a", "b"))


@pytest.mark.parametrize("admin_scope", ["", " ", "a b", 'a"', "\u0430dmin"])
def test_admin_scope_that_is_no_scope_is_a_configuration_error(admin_scope: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^admin_scope: .* is not a scope; write"):
        grants_of(admin_scope)


@given(held_scopes, held_scopes, held_scopes)
def test_more_scopes_never_miss_more(
    held: frozenset[str], more: frozenset[str], required: frozenset[str]
) -> None:
    for grants in (Grants(), Grants("a")):
        fewer_missing = set(grants.missing(held | more, required))
        assert fewer_missing <= set(grants.missing(held, required))
