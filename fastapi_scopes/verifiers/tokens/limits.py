"""Limits on the scopes that an issuer may grant: ``allowed_scopes=`` of a verifier."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self, cast

from fastapi_scopes.core.scopes import is_scope_token
from fastapi_scopes.errors import Assignment, ConfigurationProblem

__all__ = ["ScopeLimits", "limit_problems"]

_WILDCARD = ":*"


@dataclass(frozen=True, slots=True)
class ScopeLimits:
    """The scopes that an issuer may grant, by name or by a prefix that ends with a colon.

    A prefix stands for what begins with it and goes on: `p:*` does not admit the bare `p:`.
    """

    names: frozenset[str]
    prefixes: tuple[str, ...]

    @classmethod
    def parse(cls, allowed: Sequence[str]) -> Self:
        """Return the limits that *allowed* spells; `limit_problems` has found no problem in it."""
        wildcards = [each for each in allowed if each.endswith(_WILDCARD)]
        names = frozenset(allowed).difference(wildcards)
        return cls(names, tuple(each.removesuffix("*") for each in wildcards))

    def within(self, scopes: frozenset[str]) -> frozenset[str]:
        """Return those of *scopes* that may be granted."""
        return frozenset(each for each in scopes if each in self.names or self._is_below(each))

    def _is_below(self, scope: str) -> bool:
        return any(scope.startswith(each) and scope != each for each in self.prefixes)


def limit_problems(allowed: object) -> Iterator[ConfigurationProblem]:
    """Yield the problems of *allowed*, which is None or a list of scopes and `prefix:*`."""
    if allowed is None:
        return
    if isinstance(allowed, str) or not isinstance(allowed, Sequence):
        remedy = Assignment("allowed_scopes", ["app:read", "partner:*"])
        yield ConfigurationProblem("is no list", remedy, setting="allowed_scopes")
        return
    for position, each in enumerate(cast("Sequence[object]", allowed)):
        if not _is_limit(each):
            yield ConfigurationProblem(
                # By position, never by value: where two arguments are swapped it is a secret.
                "is no scope and no 'prefix:*'",
                "write '*' nowhere else",
                setting=f"allowed_scopes[{position}]",
            )


def _is_limit(value: object) -> bool:
    if not isinstance(value, str) or not is_scope_token(value):
        return False
    return value != _WILDCARD and "*" not in value.removesuffix(_WILDCARD)
