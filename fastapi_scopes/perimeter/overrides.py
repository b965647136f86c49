"""The override of a guard in `dependency_overrides`, as far as a perimeter can use it."""

import inspect
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from starlette.applications import Starlette

from fastapi_scopes.core.claims import Claims
from fastapi_scopes.errors import ConfigurationProblem, type_and_place_of

__all__ = ["UNUSABLE", "claims_of_override", "override_of", "override_problem"]

UNUSABLE: Final = ConfigurationProblem(
    "the override of the guard in dependency_overrides lets nothing through the perimeter",
    "give a callable without parameters that returns Claims, such as "
    "lambda: Claims(exp=2**32, sub='alice', scopes=frozenset({'app:read'}))",
)


def override_of(app: Starlette, guard: object) -> object:
    """Return the override of *guard* in *app*, or *guard* itself."""
    overrides: Any = getattr(app, "dependency_overrides", None)
    if type(overrides) is dict and not overrides:
        # The usual case, faster.
        return guard
    return overrides.get(guard, guard) if isinstance(overrides, Mapping) else guard


async def claims_of_override(override: Any) -> Claims | None:
    """Return the claims that *override* returns, or None where a perimeter cannot use it."""
    if not callable(override) or not _takes_nothing(override):
        return None
    result = override()
    claims = await result if inspect.isawaitable(result) else result
    return claims if isinstance(claims, Claims) else None


async def override_problem(app: Starlette, guard: object) -> ConfigurationProblem | None:
    """Return why *app* cannot start with its override of *guard*, or None."""
    override = override_of(app, guard)
    if override is guard:
        return None
    try:
        claims = await claims_of_override(override)
    except Exception as error:  # noqa: BLE001 - the developer's code may raise anything
        raised = f"{UNUSABLE.text}: it raised {type_and_place_of(error)}"
        return replace(UNUSABLE, text=raised)
    return UNUSABLE if claims is None else None


def _takes_nothing(function: Any) -> bool:
    try:
        return not inspect.signature(function).parameters
    except (TypeError, ValueError):
        # Some functions that are not written in Python have no signature.
        return False
