"""What is no gap and yet worth a look."""

from collections.abc import Iterator, Sequence

from fastapi_scopes.core.endpoints import Endpoint, Kind
from fastapi_scopes.core.requirements import Access
from fastapi_scopes.core.rules import Rule

__all__ = ["Decided", "notices_on"]

Decided = tuple[Endpoint, Sequence[Rule]]
"""An endpoint and the rules that hold there: none, one, or several where it answers any method."""


def notices_on(decided: Sequence[Decided]) -> Iterator[str]:
    """Yield a sentence for everything in *decided* that may be an accident."""
    for endpoint, rules in decided:
        yield from _on_unknown_paths(endpoint, rules)
        yield from _on_none(endpoint, rules)


def _on_unknown_paths(endpoint: Endpoint, rules: Sequence[Rule]) -> Iterator[str]:
    if endpoint.kind is Kind.UNKNOWN_PATHS and not rules:
        yield (
            f"paths of {str(endpoint.template)!r} that no route matches are denied, since code "
            f"in between could answer them; {str(endpoint)!r} would open them, and every route "
            "there that has no rule of its own"
        )


def _on_none(endpoint: Endpoint, rules: Sequence[Rule]) -> Iterator[str]:
    for rule in rules[:1]:
        if rule.requirement.access in {Access.PUBLIC, Access.OPTIONAL}:
            for name in endpoint.never_none:
                yield (
                    f"{name!r} of {endpoint.source} is None on {str(endpoint)!r} "
                    f"({rule.requirement}); annotate it with '| None'"
                )
