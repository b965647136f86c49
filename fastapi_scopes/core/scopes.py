"""The grammar of OAuth scopes (RFC 6749 3.3)."""

import re
from collections.abc import Mapping
from typing import cast

from fastapi_scopes.errors import ConfigurationError, ConfigurationProblem, collecting

__all__ = [
    "MAX_SCOPES",
    "is_scope_token",
    "parse_scopes",
    "require_descriptions",
    "require_scope_token",
    "scopes_in",
]

MAX_SCOPES = 512
"""The most scopes that one token may carry."""

# RFC 6749 3.3: scope-token = 1*( %x21 / %x23-5B / %x5D-7E )
_SEPARATORS = re.compile(r"[\s,]+")
_SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]+")


def is_scope_token(text: object) -> bool:
    """Tell whether *text* is one scope-token of RFC 6749 3.3."""
    return isinstance(text, str) and _SCOPE_TOKEN.fullmatch(text) is not None


def scopes_in(text: str) -> list[str]:
    """Return the scopes in a *text* that sets them apart by spaces or commas; none is no scope."""
    parts = [part for part in _SEPARATORS.split(text) if part]
    return parts if all(map(is_scope_token, parts)) else []


def require_scope_token(text: object) -> str:
    """Return *text* after a check that it is one scope-token.

    Raises:
        ConfigurationError: it is anything else.
    """
    if isinstance(text, str) and is_scope_token(text):
        return text
    raise ConfigurationError.of(
        f"{text!r} is not a scope", "write visible ASCII without space, quote or backslash"
    )


def require_descriptions(descriptions: object) -> dict[str, str]:
    """Return *descriptions* after a check that they are texts for scopes.

    Raises:
        ConfigurationError: naming every key that is no scope and every value that is no text.
    """
    if not isinstance(descriptions, Mapping):
        raise ConfigurationError.of(
            f"is a {type(descriptions).__name__!r}",
            "write {'a:read': 'Read all a'}",
            setting="descriptions",
        )
    problems: list[ConfigurationProblem] = []
    found = cast("Mapping[object, object]", descriptions)
    for each, text in found.items():
        with collecting(problems, setting="descriptions"):
            require_scope_token(each)
        if not isinstance(text, str) or not text.strip():
            problems.append(
                ConfigurationProblem(
                    f"{each!r} is described by {text!r}",
                    "write a text, or leave it out",
                    setting="descriptions",
                )
            )
    ConfigurationError.raise_for(problems)
    return dict(cast("Mapping[str, str]", found))


def parse_scopes(text: str) -> list[str]:
    """Return the scopes in *text*, a list of scopes as RFC 6749 3.3 writes it.

    It is split on U+0020 alone: ``str.split()`` would split on a no-break space too.

    Raises:
        ValueError: a part of it is no scope.
    """
    parts = [part for part in text.split(" ") if part]
    if not all(map(is_scope_token, parts)):
        raise ValueError("a scope is outside the grammar of RFC 6749 3.3")
    return parts
