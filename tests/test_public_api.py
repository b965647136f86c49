"""The root names of design.md section 4, and that their types ship."""

from importlib.resources import files
from types import ModuleType

import pytest

import fastapi_scopes

PLANNED = {
    *("ScopeGuard", "ScopeMap", "Claims", "Decision", "Coverage", "all_of", "any_of"),
    *("PUBLIC", "OPTIONAL", "AUTHENTICATED", "DENY", "ResourceScopes"),
    *("TokenVerifier", "JWTVerifier", "JWKSVerifier", "RouterFactory"),
}


def test_root_names_are_exactly_those_of_the_plan() -> None:
    assert sorted(fastapi_scopes.__all__) == sorted(PLANNED)
    public = {name for name in vars(fastapi_scopes) if not name.startswith("_")}
    submodules = {name for name in public if isinstance(vars(fastapi_scopes)[name], ModuleType)}
    assert public - submodules == PLANNED


def test_root_names_are_sorted() -> None:
    # Constants, classes, functions: the order that ruff keeps (RUF022).
    def place(name: str) -> tuple[int, str]:
        return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)

    assert list(fastapi_scopes.__all__) == sorted(fastapi_scopes.__all__, key=place)


@pytest.mark.parametrize("name", sorted(PLANNED))
def test_root_name_is_there(name: str) -> None:
    assert hasattr(fastapi_scopes, name)


def test_types_ship() -> None:
    assert files("fastapi_scopes").joinpath("py.typed").is_file()
