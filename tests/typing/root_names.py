"""Names of the lazy root package as a type checker sees them: exact, and no name too many."""

# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from typing import assert_type

import fastapi_scopes
from fastapi_scopes import PUBLIC, Claims, ScopeGuard, ScopeMap, all_of
from fastapi_scopes.core.requirements import Requirement

assert_type(ScopeMap({"GET /": PUBLIC}), ScopeMap)
assert_type(PUBLIC, Requirement)
assert_type(all_of("a:read"), Requirement)


def claims_guard(guard: ScopeGuard[Claims]) -> None:
    assert_type(guard, fastapi_scopes.ScopeGuard[fastapi_scopes.Claims])


fastapi_scopes.ScopeGaurd  # type: ignore[attr-defined]  # noqa: B018
