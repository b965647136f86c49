"""The segments by which a path may lead to a route, as a trie has them."""

import re
from typing import Final

from starlette.convertors import (
    CONVERTOR_TYPES,
    FloatConvertor,
    IntegerConvertor,
    StringConvertor,
    UUIDConvertor,
)
from starlette.routing import (
    PARAM_REGEX,
    Host,
    Mount,
)

from fastapi_scopes._routing.nodes import RouteNode

__all__ = ["segments_of"]

_ONE_SEGMENT: Final = frozenset(
    each.regex for each in (StringConvertor, IntegerConvertor, FloatConvertor, UUIDConvertor)
)


def segments_of(node: RouteNode) -> tuple[list[str | None], bool]:
    """Return the segments by which a path may lead to *node*, and whether more may follow.

    INVARIANT: where segments are not known for sure, any may follow; a trie that misses a candidate
    would let another route be decided on than the framework would run
    (fuzz/test_differential.py).
    """
    if not node.is_predictable or node.family is Host:
        return [], True
    template = node.path + ("/{path:path}" if node.family is Mount else "")
    actual: re.Pattern[str] = node.effective.path_regex
    # Not compiled: Python remembers 512 patterns, and an app may have more.
    if not template.startswith("/") or (actual.pattern, actual.flags) != (
        _pattern_text(template),
        re.UNICODE,
    ):
        return [], True
    return _known_segments(template)


def _pattern_text(template: str) -> str | None:
    """Return the pattern that the framework makes of *template*; None if a convertor is gone."""
    text, position = "^", 0
    for parameter in PARAM_REGEX.finditer(template):
        convertor = CONVERTOR_TYPES.get((parameter[2] or ":str")[1:])
        if convertor is None:
            return None
        text += re.escape(template[position : parameter.start()])
        text += f"(?P<{parameter[1]}>{convertor.regex})"
        position = parameter.end()
    return text + re.escape(template[position:]) + "$"


def _known_segments(template: str) -> tuple[list[str | None], bool]:
    """Return the leading segments of *template*, and whether it may go on beyond them."""
    segments: list[str | None] = []
    for text in template.split("/"):
        kinds = [(each[2] or ":str")[1:] for each in PARAM_REGEX.finditer(text)]
        if any(CONVERTOR_TYPES[kind].regex not in _ONE_SEGMENT for kind in kinds):
            return segments, True
        segments.append(None if kinds else text)
    return segments, False
