"""The paths that match a route template: a pattern of all, and a sample."""

import re
from typing import Final

from starlette.convertors import CONVERTOR_TYPES, PathConvertor
from starlette.routing import PARAM_REGEX

__all__ = ["pattern_of", "sample_of"]

# The first that a convertor accepts is its sample; no route has these as literal text.
_SAMPLES: Final = ("~", "0", "0.5", "00000000-0000-4000-8000-000000000000")

_ANYTHING: Final = PathConvertor()


def pattern_of(template: str) -> "re.Pattern[str]":
    """Return a pattern of the paths that match *template*, also at the end of a longer path."""
    pattern, position = "", 0
    for parameter in PARAM_REGEX.finditer(template):
        # A convertor of the developer's own may match anything.
        convertor = CONVERTOR_TYPES.get((parameter[2] or ":str")[1:], _ANYTHING)
        pattern += re.escape(template[position : parameter.start()]) + f"(?:{convertor.regex})"
        position = parameter.end()
    return re.compile(f"{pattern}{re.escape(template[position:])}$")


def sample_of(template: str) -> str | None:
    """Return a path that matches *template*, or None where a convertor accepts no sample."""
    path, position = "", 0
    for parameter in PARAM_REGEX.finditer(template):
        convertor = CONVERTOR_TYPES.get((parameter[2] or ":str")[1:])
        taken = (each for each in _SAMPLES if convertor and re.fullmatch(convertor.regex, each))
        sample = next(taken, None)
        if sample is None:
            return None
        path += template[position : parameter.start()] + sample
        position = parameter.end()
    return path + template[position:]
