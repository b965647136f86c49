"""The first word of a map key: an HTTP method, ``*``, ``WEBSOCKET`` or ``MOUNT``."""

import re
from difflib import get_close_matches
from typing import Final

from fastapi_scopes.errors import ConfigurationProblem

__all__ = [
    "ANY_METHOD",
    "METHODS",
    "MOUNT",
    "WEBSOCKET",
    "WORDS",
    "http_method",
    "is_method_name",
    "not_a_method",
    "usable_methods",
]

ANY_METHOD: Final = "*"
WEBSOCKET: Final = "WEBSOCKET"
MOUNT: Final = "MOUNT"
WORDS: Final = frozenset({WEBSOCKET, MOUNT, "TOOL", "PROMPT", "RESOURCE"})
"""Words with a meaning of their own in a key, even where a route declares such a method."""

# The HTTP Method Registry of IANA (RFC 9110 16.1), and QUERY.
_REGISTERED = (
    "ACL BASELINE-CONTROL BIND CHECKIN CHECKOUT CONNECT COPY DELETE GET HEAD LABEL LINK LOCK "
    "MERGE MKACTIVITY MKCALENDAR MKCOL MKREDIRECTREF MKWORKSPACE MOVE OPTIONS ORDERPATCH PATCH "
    "POST PRI PROPFIND PROPPATCH PUT QUERY REBIND REPORT SEARCH TRACE UNBIND UNCHECKOUT UNLINK "
    "UNLOCK UPDATE UPDATEREDIRECTREF VERSION-CONTROL"
)
METHODS: Final = frozenset(_REGISTERED.split())
"""The HTTP methods that are registered; a rule may name another where a route declares it."""

_SYNONYMS: Final = {
    **dict.fromkeys(("WS", "WSS", "SOCKET", "SOCKETS", "WEB_SOCKET", "WEB-SOCKET"), WEBSOCKET),
    **dict.fromkeys(("ANY", "ALL", "**"), ANY_METHOD),
    **dict.fromkeys(("STATIC", "SUBAPP"), MOUNT),
}
_ALIKE: Final = 0.65
_NAME: Final = re.compile(r"[A-Z][A-Z0-9-]*")


def is_method_name(text: str) -> bool:
    """Tell whether *text* may be an HTTP method in a key; `ANY` would be taken for ``*``."""
    return bool(_NAME.fullmatch(text)) and text not in WORDS and text != "ANY"


def not_a_method(text: str, *, is_imported: bool) -> ConfigurationProblem:
    """Return what is wrong with a key that begins with *text*."""
    meant = _meant_by(text.upper())
    last = (
        "or WEBSOCKET; an imported map has no '*' and no MOUNT"
        if is_imported
        else "WEBSOCKET, MOUNT or '*'"
    )
    remedy = f"write GET, POST, ... in upper case, {last}"
    if "," in text:
        remedy = "write a key for each"
    elif meant is not None and not (is_imported and meant in {MOUNT, ANY_METHOD}):
        remedy = f"did you mean {meant!r}"
    return ConfigurationProblem(f"{text!r} is not a method", remedy)


def _meant_by(text: str) -> str | None:
    """Return the word that a key could begin with instead of *text*, or None."""
    if text in _SYNONYMS or text in WORDS:
        return _SYNONYMS.get(text, text if text in {WEBSOCKET, MOUNT} else None)
    nearest = get_close_matches(text, [*sorted(METHODS), WEBSOCKET, MOUNT], n=1, cutoff=_ALIKE)
    return nearest[0] if nearest else None


def http_method(method: str) -> str:
    """Return the method by which the rule for an HTTP request with *method* is looked up.

    INVARIANT: an HTTP method that is spelled like one of `WORDS` is ruled by ``*`` alone
    (test_http_method_by_the_name_of_a_word_is_ruled_by_star_alone).
    """
    return f"HTTP {method}" if method in WORDS else method


def usable_methods(method: str) -> tuple[str, ...]:
    """Return the methods of rules that apply to a request with *method*, the first one first."""
    if method in {"OPTIONS", ANY_METHOD}:
        # Only a rule named OPTIONS opens OPTIONS; CORS preflights are answered outside.
        return (method,)
    if method == "HEAD":
        return ("HEAD", "GET", ANY_METHOD)
    return (method, ANY_METHOD)
