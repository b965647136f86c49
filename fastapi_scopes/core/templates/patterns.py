"""Patterns of a scope map, matched segment by segment against route templates."""

import re
from dataclasses import dataclass
from enum import IntEnum

from fastapi_scopes.errors import ConfigurationError

__all__ = ["Pattern", "RouteTemplate", "Specificity"]

# A parameter as Starlette writes it: {name} or {name:convertor}.
_PARAMETER = re.compile(r"\{([a-zA-Z_][a-zA-Z0-9_]*)(?::[a-zA-Z_][a-zA-Z0-9_]*)?\}")
_UNPRINTABLE = re.compile(r"[\x00-\x20\x7F?#]")

Specificity = tuple[int, ...]
"""How specific a match is, segment by segment from the left; the greater wins."""


class _Kind(IntEnum):
    """What a segment is; the greater the more specific (END is where a pattern stops)."""

    REST = 0
    END = 1
    ANY = 2
    NAMED = 3
    LITERAL = 4


@dataclass(frozen=True, slots=True)
class _Segment:
    kind: _Kind
    text: str

    def matches(self, other: "_Segment") -> bool:
        """Tell whether this segment of a pattern matches *other*, one of a template."""
        if self.kind is _Kind.ANY:
            # An empty segment is the end of `/a/`, not a value: `/a/*` leaves it alone.
            return other.text != "" and other.kind is not _Kind.REST
        return self == other


def _template_segment(text: str) -> _Segment:
    """Return a segment of a route: one whole parameter, or a literal.

    Text mixed with parameters is one literal; its convertors are left out, as in OpenAPI.
    """
    parameter = _PARAMETER.fullmatch(text)
    if parameter:
        return _Segment(_Kind.NAMED, f"{{{parameter[1]}}}")
    return _Segment(_Kind.LITERAL, _PARAMETER.sub(r"{\1}", text))


def _pattern_segment(text: str) -> _Segment:
    if text == "*":
        return _Segment(_Kind.ANY, text)
    if text == "**":
        return _Segment(_Kind.REST, text)
    return _template_segment(text)


@dataclass(frozen=True, slots=True)
class RouteTemplate:
    """The path of a route as its router has it, such as ``/agents/{agent_id}``."""

    text: str
    segments: tuple[_Segment, ...]
    language: str
    """The template of all paths that lead there; another one than `text` below a prefix."""

    @classmethod
    def parse(cls, text: str) -> "RouteTemplate":
        """Return the template that *text* spells; ``/a`` and ``/a/`` are two templates."""
        return cls(text, tuple(map(_template_segment, text.split("/")[1:])), text)

    @classmethod
    def below(cls, prefix: str) -> "RouteTemplate":
        """Return the template of everything under *prefix*, which only ``**`` matches whole."""
        leading = cls.parse(prefix).segments
        text, rest = f"{prefix}/**", _Segment(_Kind.REST, "**")
        return cls(text, (*leading, rest), f"{prefix}/{{path:path}}")

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Pattern:
    """The path part of a rule: literals, ``{name}``, ``*`` (one segment), a final ``**``."""

    segments: tuple[_Segment, ...]

    @classmethod
    def parse(cls, text: str) -> "Pattern":
        """Return the pattern that *text* spells.

        Raises:
            ConfigurationError: *text* is no path of the four kinds of segments.
        """
        if not text.startswith("/") or _UNPRINTABLE.search(text):
            raise ConfigurationError(
                f"{text!r} is not a path; begin with '/', without space, query or fragment"
            )
        *leading, last = text.split("/")[1:]
        if "**" in leading:
            raise ConfigurationError(f"'**' stands inside {text!r}; it may only stand at the end")
        for part in (*leading, last):
            _require_segment(part, text)
        return cls(tuple(map(_pattern_segment, (*leading, last))))

    def match(self, template: RouteTemplate) -> Specificity | None:
        """Return how specifically this pattern matches *template*, or None where it does not."""
        own, others = self.segments, template.segments
        is_open = bool(own) and own[-1].kind is _Kind.REST
        if is_open:
            own = own[:-1]
            others = others[: len(own)]
        if len(own) != len(others):
            return None
        if not all(mine.matches(other) for mine, other in zip(own, others, strict=True)):
            return None
        return (*(segment.kind for segment in own), _Kind.REST if is_open else _Kind.END)

    def nearly_matches(self, template: RouteTemplate) -> bool:
        """Tell whether only parameters of *template* that this pattern misnames are in the way."""
        return len(self.segments) == len(template.segments) and all(
            mine.matches(other) or (mine.kind > _Kind.ANY and other.kind is _Kind.NAMED)
            for mine, other in zip(self.segments, template.segments, strict=True)
        )

    def __str__(self) -> str:
        return "".join(f"/{segment.text}" for segment in self.segments)


def _require_segment(part: str, text: str) -> None:
    if part in {"*", "**"}:
        return
    if "*" in part:
        raise ConfigurationError(
            f"{part!r} in {text!r} mixes '*' with text; '*' stands for one whole segment"
        )
    if re.search(r"[{}]", _PARAMETER.sub("", part)):
        raise ConfigurationError(
            f"{part!r} in {text!r} is not a parameter; write '{{name}}' as the route does"
        )
