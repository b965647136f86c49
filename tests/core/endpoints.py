"""Short ways to say what an application has, and what its coverage says."""

import re
from typing import Any

from fastapi_scopes.core.coverage import Coverage, Endpoint, Kind, Reach
from fastapi_scopes.core.findings import FindingCode
from fastapi_scopes.core.templates import RouteTemplate


def endpoint(
    text: str, kind: Kind = Kind.API_ROUTE, reach: Reach = Reach.GUARDED, **more: Any
) -> Endpoint:
    method, _, path = text.partition(" ")
    if path.endswith("/**"):
        return Endpoint(method, RouteTemplate.below(path.removesuffix("/**")), kind, reach, **more)
    return Endpoint(method, RouteTemplate.parse(path), kind, reach, **more)


def guarded(*texts: str) -> list[Endpoint]:
    return [endpoint(text) for text in texts]


def gaps_of(coverage: Coverage) -> dict[str, FindingCode | None]:
    return {str(each.endpoint): each.gap for each in coverage.gaps}


def dead_of(coverage: Coverage) -> dict[str, list[str]]:
    """The rules that decide nothing, each with those that its finding says win before it."""
    dead = {each.rule.key: each for each in coverage.dead if each.rule is not None}
    return {
        key: re.findall(r"'([^']*)'", each.message.partition(" wins for no endpoint, ")[2])
        for key, each in dead.items()
    }
