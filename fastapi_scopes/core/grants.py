"""Which required scopes the scopes of a token satisfy."""

from collections.abc import Collection
from dataclasses import dataclass

from fastapi_scopes.core.scopes import require_scope_token
from fastapi_scopes.errors import ConfigurationError, ConfigurationProblem, collecting

__all__ = ["Grants", "grants_of"]


@dataclass(frozen=True, slots=True)
class Grants:
    """How far a scope reaches: it grants itself, and the admin scope every other.

    The admin scope is compared exactly; no wildcard yields it.
    """

    admin_scope: str | None = None

    def missing(self, held: Collection[str], required: Collection[str]) -> tuple[str, ...]:
        """Return those of *required* that *held* does not grant, in their order."""
        if self.admin_scope is not None and self.admin_scope in held:
            return ()
        # The usual case, faster: nothing is missing.
        if isinstance(held, frozenset) and held.issuperset(required):
            return ()
        return tuple([each for each in required if each not in held])


def grants_of(admin_scope: str | None) -> Grants:
    """Return the grants that a guard is configured with.

    Raises:
        ConfigurationError: the admin scope is no scope.
    """
    if admin_scope is not None:
        problems: list[ConfigurationProblem] = []
        with collecting(problems, setting="admin_scope"):
            require_scope_token(admin_scope)
        ConfigurationError.raise_for(problems)
    return Grants(admin_scope)
