"""Requirements of rules: PUBLIC, OPTIONAL, AUTHENTICATED, DENY, or combined scopes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import reduce
from itertools import product
from typing import Final, NoReturn, Union, cast

from fastapi_scopes.core.scopes import is_scope_token, require_scope_token, scopes_in
from fastapi_scopes.errors import ConfigurationError, ConfigurationProblem

__all__ = [
    "AUTHENTICATED",
    "DENY",
    "MAX_ALTERNATIVES",
    "OPTIONAL",
    "PUBLIC",
    "Access",
    "Alternative",
    "Requirement",
    "RequirementLike",
    "all_of",
    "any_of",
    "conjunction_of",
    "parse_requirement",
]

MAX_ALTERNATIVES: Final = 32
"""The most alternatives that a requirement may come to when it is multiplied out."""

Alternative = tuple[str, ...]
"""Scopes that together are enough, sorted."""


class Access(Enum):
    """The kind of a requirement."""

    PUBLIC = "PUBLIC"
    OPTIONAL = "OPTIONAL"
    AUTHENTICATED = "AUTHENTICATED"
    SCOPES = "SCOPES"
    DENY = "DENY"


@dataclass(frozen=True, slots=True)
class Requirement:
    """The demand of a rule on a caller; build it with `all_of`, `any_of`, ``&`` and ``|``."""

    access: Access
    alternatives: tuple[Alternative, ...] = ()
    """Where `access` is SCOPES: the sets of scopes of which one is enough, as written."""

    def __post_init__(self) -> None:
        if (self.access is Access.SCOPES) != bool(self.alternatives):
            raise ConfigurationError.of(
                "scopes go with Access.SCOPES alone", "use all_of() or any_of()"
            )

    def __and__(self, other: "RequirementLike") -> "Requirement":
        return all_of(self, other)

    def __rand__(self, other: "RequirementLike") -> "Requirement":
        return all_of(other, self)

    def __or__(self, other: "RequirementLike") -> "Requirement":
        return any_of(self, other)

    def __ror__(self, other: "RequirementLike") -> "Requirement":
        return any_of(other, self)

    def __add__(self, other: object) -> NoReturn:
        if self.access is not Access.SCOPES:
            _combinable("+", (self,))
        raise ConfigurationError.of(
            f"{str(self)!r} is added to {str(other)!r}", "write a list, or '&', for all of them"
        )

    __radd__ = __add__

    def __str__(self) -> str:
        if self.access is not Access.SCOPES:
            return self.access.name
        return " | ".join(" & ".join(alternative) for alternative in self.alternatives)


RequirementLike = Union[str, Requirement, Sequence["RequirementLike"]]  # noqa: UP007 - refers to itself
"""A scope, a list of requirements (all of them), or a `Requirement`."""

PUBLIC: Final = Requirement(Access.PUBLIC)
"""Everyone passes; no token is looked at."""

OPTIONAL: Final = Requirement(Access.OPTIONAL)
"""No token passes, a valid one passes with its claims, any other is refused."""

AUTHENTICATED: Final = Requirement(Access.AUTHENTICATED)
"""Any valid token passes; an empty list means the same."""

DENY: Final = Requirement(Access.DENY)
"""No one passes, the admin scope included."""


def all_of(*requirements: RequirementLike) -> Requirement:
    """Return the requirement that asks for every one of *requirements*.

    Raises:
        ConfigurationError: no requirement is given, or one of them must stand alone.
    """
    first, *others = _combinable("all_of", requirements)
    return reduce(_both, others, _of_alternatives(first.alternatives))


def any_of(*requirements: RequirementLike) -> Requirement:
    """Return the requirement that asks for at least one of *requirements*.

    Raises:
        ConfigurationError: no requirement is given, or one of them must stand alone.
    """
    parts = _combinable("any_of", requirements)
    return _of_alternatives(alternative for p in parts for alternative in p.alternatives)


def parse_requirement(value: object) -> Requirement:
    """Return the requirement that *value*, as a scope map holds it, spells.

    Raises:
        ConfigurationError: *value* is no requirement.
    """
    if isinstance(value, Requirement):
        return value
    if isinstance(value, str):
        return Requirement(Access.SCOPES, ((_require_plain_scope(value),),))
    if isinstance(value, list | tuple):
        return all_of(*cast("Sequence[RequirementLike]", value)) if value else AUTHENTICATED
    if value is None:
        raise ConfigurationError.of("None asks for nothing", "say PUBLIC, AUTHENTICATED or DENY")
    raise ConfigurationError.of(
        f"{value!r} is not a requirement", "write a scope, a list or any_of()"
    )


# From the weakest to the strictest: of two on one request the stricter is asked for.
_STRICTNESS = (Access.PUBLIC, Access.OPTIONAL, Access.AUTHENTICATED, Access.SCOPES, Access.DENY)


def conjunction_of(requirements: Iterable[Requirement]) -> Requirement:
    """Return the requirement that is met only where all *requirements* are met, at least one.

    It joins the rules that hold for one endpoint, so PUBLIC, OPTIONAL, AUTHENTICATED and DENY may
    be among them; `all_of`, which developers call, takes scopes alone.
    """
    ordered = sorted(requirements, key=lambda each: _STRICTNESS.index(each.access))
    strictest = ordered[-1]
    if strictest.access is not Access.SCOPES:
        return strictest
    return all_of(*(each for each in ordered if each.access is Access.SCOPES))


def _combinable(name: str, values: Sequence[object]) -> list[Requirement]:
    if not values:
        raise ConfigurationError.of(
            f"{name}() asks for nothing", "name a scope, or say AUTHENTICATED"
        )
    parts = [parse_requirement(value) for value in values]
    ConfigurationError.raise_for(
        ConfigurationProblem(
            f"{part} stands alone",
            "map the key to it, without a list, '&', any_of() or the like",
        )
        for part in parts
        if part.access is not Access.SCOPES
    )
    return parts


def _both(left: Requirement, right: Requirement) -> Requirement:
    pairs = product(left.alternatives, right.alternatives)
    return _of_alternatives((*first, *second) for first, second in pairs)


def _of_alternatives(alternatives: Iterable[Alternative]) -> Requirement:
    """Return a requirement of *alternatives*, sorted within and without repetition."""
    distinct: dict[Alternative, None] = {}
    for alternative in alternatives:
        distinct[tuple(sorted(set(alternative)))] = None
        if len(distinct) > MAX_ALTERNATIVES:
            raise ConfigurationError.of(
                f"a requirement comes to more than {MAX_ALTERNATIVES} alternatives",
                "split the rule",
            )
    return Requirement(Access.SCOPES, tuple(distinct))


def _require_plain_scope(text: str) -> str:
    if "{" in text or "}" in text:
        raise ConfigurationError.of(
            f"{text!r} binds a path parameter, which this version cannot do",
            "name the scope itself",
        )
    meant = [] if is_scope_token(text) else scopes_in(text)
    if meant:
        all_or_one = f"write {meant!r} for all of them, any_of() for one"
        remedy = all_or_one if len(meant) > 1 else f"write {meant[0]!r}"
        raise ConfigurationError.of(f"{text!r} is not a scope", remedy)
    return require_scope_token(text)
