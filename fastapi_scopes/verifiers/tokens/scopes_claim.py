"""Reads the scopes of a token out of the claims that hold them: ``scopes_claim=`` of a verifier."""

import copy
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from inspect import iscoroutinefunction
from itertools import islice
from typing import Any, Final, cast

from fastapi_scopes.core.scopes import MAX_SCOPES, is_scope_token, parse_scopes
from fastapi_scopes.errors import (
    Assignment,
    ConfigurationProblem,
    TokenError,
    TokenFault,
    type_and_place_of,
)
from fastapi_scopes.verifiers._encodings import is_json_array, is_json_object
from fastapi_scopes.verifiers.options import ScopesClaim

__all__ = ["ScopesReader", "claim_at", "scopes_claim_problems"]

_log = logging.getLogger("fastapi_scopes")

_USUAL_NAMES: Final = ("scope", "scp", "scopes", "permissions", "roles", "groups")

# A function may return more than the scopes that a token may carry, but not without end.
_MAX_VALUES: Final = 16 * 1024

_warned: set[tuple[str, str]] = set()


class ScopesReader:
    """Reads the scopes of tokens, as *scopes_claim* says; `scopes_claim_problems` found none.

    *warned* has the settings, and the claims beside them, that were warned of; by default in this
    process.
    """

    def __init__(
        self, scopes_claim: ScopesClaim, *, warned: set[tuple[str, str]] = _warned
    ) -> None:
        self._warned = warned
        self._function: Callable[[dict[str, Any]], Iterable[str]] | None = None
        self._prefixes: dict[str, str] = {}
        # Of another type than it is written as, or checkers differ about what is left.
        given = cast("object", scopes_claim)
        if isinstance(given, str):
            self._prefixes = {given: ""}
        elif isinstance(given, Sequence):
            self._prefixes = dict.fromkeys(cast("Sequence[str]", given), "")
        elif isinstance(given, Mapping):
            self._prefixes = dict(cast("Mapping[str, str]", given))
        else:
            self._function = cast("Callable[[dict[str, Any]], Iterable[str]]", given)
        self._foreign = tuple(filter(None, self._prefixes.values()))
        self._name = ", ".join(map(repr, self._prefixes)) or "a function"

    def scopes_of(self, claims: dict[str, object]) -> frozenset[str]:
        """Return the scopes in *claims*.

        Of a list, an object and what a function returns, that which is no scope (RFC 6749 3.3) is
        dropped: it can satisfy no rule.

        Raises:
            TokenError: a claim has another type, or is a text that is no list of scopes; there
                are too many scopes; the function raised an exception, or returned no scopes.
        """
        values = self._read(claims) if self._function is None else self._call(claims)
        tokens = [each for each in values if is_scope_token(each)]
        scopes = frozenset(cast("list[str]", tokens))
        if len(scopes) > MAX_SCOPES:
            raise TokenError(TokenFault.SCOPES, f"there are more than {MAX_SCOPES}")
        dropped = len(values) - len(tokens)
        if dropped:
            # Not the values: they may be anything, such as the names of people.
            _log.info("%d values of %s are no scopes, and grant nothing", dropped, self._name)
        if not scopes:
            self._warn_of_other_names(claims)
        return scopes

    def _read(self, claims: dict[str, object]) -> list[object]:
        found: list[object] = []
        for name, prefix in self._prefixes.items():
            values = _values_in(claim_at(claims, name), name)
            found.extend(values if not self._foreign else self._own_of(values, prefix))
        return found

    def _own_of(self, values: Sequence[object], prefix: str) -> Iterator[object]:
        foreign = tuple(each for each in self._foreign if each != prefix)
        longer = tuple(each for each in foreign if len(each) > len(prefix))
        for value in values:
            if not isinstance(value, str) or not is_scope_token(value):
                # Without the prefix, which would make a scope of an empty text.
                yield value
            # INVARIANT: no claim makes scopes that look like those of another
            # (attacks/test_scopes_claim.py).
            elif not value.startswith(foreign) and not (prefix + value).startswith(longer):
                yield prefix + value

    def _call(self, claims: dict[str, object]) -> list[object]:
        function = cast("Callable[[dict[str, Any]], Iterable[str]]", self._function)
        try:
            returned: object = function(copy.deepcopy(claims))
            if not isinstance(returned, str | bytes):
                values = islice(cast("Iterable[object]", returned), _MAX_VALUES)
                # A text of a type of the application's own, such as an enum, is made a plain one.
                return [str.__str__(each) if isinstance(each, str) else each for each in values]
            reason = f"returned a {type(returned).__name__!r}"
        except (KeyboardInterrupt, SystemExit):
            raise
        # INVARIANT: also a CancelledError, by which the callers of a task that verifies for them
        # would seem to be cancelled (test_what_scopes_claim_raises_refuses_the_token).
        except BaseException as bug:  # noqa: BLE001 - code of the application, given any claims
            # Its text may quote them.
            reason = f"raised {type_and_place_of(bug)}"
        _log.error("the function scopes_claim %s, the token is refused", reason)
        raise TokenError(TokenFault.SCOPES, "the function scopes_claim failed")

    def _warn_of_other_names(self, claims: Mapping[str, object]) -> None:
        for name in _USUAL_NAMES:
            if claims.get(name) and name not in self._prefixes:
                if (self._name, name) not in self._warned:
                    self._warned.add((self._name, name))
                    _log.warning(
                        "a token holds no scopes in %s, but a claim %r; set scopes_claim=%r if its "
                        "scopes are there",
                        *(self._name, name, name),
                    )
                return


def _values_in(claim: object, name: str) -> Sequence[object]:
    """Return the values of *claim*, the one of that *name*; none where it is absent.

    A text is a list of scopes; of an object these are the names of the members that are neither
    false nor null.

    Raises:
        TokenError: it has another type, or is a text that is no list of scopes.
    """
    if claim is None:
        return ()
    if isinstance(claim, str):
        with suppress(ValueError):
            return parse_scopes(claim)
    if is_json_array(claim):
        return claim
    if is_json_object(claim):
        return [name for name, value in claim.items() if value is not None and value is not False]
    raise TokenError(TokenFault.SCOPES, f"{name!r} is no list of scopes")


def claim_at(claims: Mapping[str, object], name: str) -> object:
    """Return the claim *name*, or None where it is absent.

    At every level the longest member that exists is taken, and no shorter one is tried after it:
    ``resource_access.api.example.com.roles`` finds the client ``api.example.com``, and
    ``https://example.com/scopes``, which has dots too, is one name.
    """
    if name in claims:
        return claims[name]
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        member = ".".join(parts[:end])
        if member in claims:
            inner = claims[member]
            if end == len(parts):
                return inner
            return claim_at(inner, ".".join(parts[end:])) if is_json_object(inner) else None
    return None


def scopes_claim_problems(scopes_claim: object) -> Iterator[ConfigurationProblem]:
    """Yield what is wrong with *scopes_claim*."""
    if isinstance(scopes_claim, Mapping):
        prefixes = cast("Mapping[object, object]", scopes_claim)
        yield from _name_problems(prefixes, is_empty=not prefixes)
        for prefix in prefixes.values():
            if prefix != "" and not is_scope_token(prefix):
                yield ConfigurationProblem(
                    f"has the prefix {prefix!r}, with which no scope begins",
                    "write one like 'role:', or ''",
                    setting="scopes_claim",
                )
    elif isinstance(scopes_claim, Sequence) and not isinstance(scopes_claim, str | bytes):
        names = cast("Sequence[object]", scopes_claim)
        yield from _name_problems(names, is_empty=not names)
    elif iscoroutinefunction(scopes_claim) or isinstance(scopes_claim, type):
        yield ConfigurationProblem(
            "is no plain function", "write def scopes_of(claims) -> list", setting="scopes_claim"
        )
    elif not callable(scopes_claim):
        yield from _name_problems([scopes_claim], is_empty=False)


def _name_problems(names: Iterable[object], *, is_empty: bool) -> Iterator[ConfigurationProblem]:
    if is_empty or not all(isinstance(each, str) and each for each in names):
        yield ConfigurationProblem(
            "is no name of a claim, and no list or dict of names",
            Assignment("scopes_claim", "scope"),
            setting="scopes_claim",
        )
