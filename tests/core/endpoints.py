"""Short ways to say what an application has, and what its coverage says."""

from typing import Any

from fastapi_scopes.core.coverage import Coverage, Endpoint, Gap, Kind, Reach
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


def gaps_of(coverage: Coverage) -> dict[str, Gap | None]:
    return {str(each.endpoint): each.gap for each in coverage.gaps}


def dead_of(coverage: Coverage) -> dict[str, list[str]]:
    return {each.rule.key: [rule.key for rule in each.shadowed_by] for each in coverage.dead}
