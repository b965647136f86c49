"""Patterns of a scope map, matched segment by segment against route templates."""

import re
from dataclasses import dataclass
from enum import Enum, auto

from fastapi_scopes.errors import ConfigurationError

__all__ = ["Pattern", "RouteTemplate", "Segment", "SegmentKind"]

# A parameter as Starlette writes it: {name} or {name:convertor}.
_PARAMETER = re.compile(r"\{([a-zA-Z_][a-zA-Z0-9_]*)(?::[a-zA-Z_][a-zA-Z0-9_]*)?\}")
_UNPRINTABLE = re.compile(r"[\x00-\x20\x7F?#]")


class SegmentKind(Enum):
    """The kind of a segment: ``**``, ``*``, ``{name}`` or literal text."""

    REST = auto()
    ANY = auto()
    NAMED = auto()
    LITERAL = auto()


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment of a pattern or of a template."""

    kind: SegmentKind
    text: str

    @property
    def is_value(self) -> bool:
        """True of a segment of a template that ``*`` matches: one path segment, not empty."""
        # An empty segment is the end of `/a/`, not a value: `/a/*` leaves it alone.
        return self.text != "" and self.kind is not SegmentKind.REST


def _template_segment(text: str) -> Segment:
    """Return a segment of a route: one whole parameter, or a literal.

    Text mixed with parameters is one literal; its convertors are left out, as in OpenAPI.
    """
    parameter = _PARAMETER.fullmatch(text)
    if parameter:
        return Segment(SegmentKind.NAMED, f"{{{parameter[1]}}}")
    return Segment(SegmentKind.LITERAL, _PARAMETER.sub(r"{\1}", text))


def _pattern_segment(text: str) -> Segment:
    if text == "*":
        return Segment(SegmentKind.ANY, text)
    if text == "**":
        return Segment(SegmentKind.REST, text)
    return _template_segment(text)


@dataclass(frozen=True, slots=True)
class RouteTemplate:
    """The path of a route as its router has it, such as ``/agents/{agent_id}``."""

    text: str
    segments: tuple[Segment, ...]
    language: str
    """The template in the router's own syntax; it differs from `text` for `below` alone."""

    @classmethod
    def parse(cls, text: str) -> "RouteTemplate":
        """Return the template that *text* spells; ``/a`` and ``/a/`` are two templates."""
        return cls(text, tuple(map(_template_segment, text.split("/")[1:])), text)

    @classmethod
    def below(cls, prefix: str) -> "RouteTemplate":
        """Return the template of everything below *prefix*; only ``**`` matches it as a whole."""
        leading = cls.parse(prefix).segments
        text, rest = f"{prefix}/**", Segment(SegmentKind.REST, "**")
        return cls(text, (*leading, rest), f"{prefix}/{{path:path}}")

    @property
    def literal_start(self) -> str:
        """The text with which all paths of the template begin."""
        return _PARAMETER.split(self.language, maxsplit=1)[0]

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Pattern:
    """The path part of a rule: literals, ``{name}``, ``*`` (one segment), a final ``**``."""

    segments: tuple[Segment, ...]

    @classmethod
    def parse(cls, text: str) -> "Pattern":
        """Return the pattern that *text* spells.

        Raises:
            ConfigurationError: *text* is no path of literals, ``{name}``, ``*`` and a last ``**``.
        """
        if not text.startswith("/") or _UNPRINTABLE.search(text):
            raise ConfigurationError.of(
                f"{text!r} is not a path", "begin with '/', without space, query or fragment"
            )
        *leading, last = text.split("/")[1:]
        if "**" in leading:
            raise ConfigurationError.of(
                f"'**' stands inside {text!r}", "it may only stand at the end"
            )
        for part in (*leading, last):
            _require_segment(part, text)
        return cls(tuple(map(_pattern_segment, (*leading, last))))

    @classmethod
    def prefix(cls, text: str) -> "Pattern":
        """Return the pattern that *text* spells, the prefix of one mount.

        Raises:
            ConfigurationError: *text* is no path of literals and parameters.
        """
        pattern = cls.parse(text)
        wildcards = {SegmentKind.ANY, SegmentKind.REST}
        if any(segment.kind in wildcards for segment in pattern.segments):
            raise ConfigurationError.of(
                f"{text!r} is not the prefix of a mount",
                "write it as the mount does, without '*' and '**'",
            )
        return pattern

    def __str__(self) -> str:
        return "".join(f"/{segment.text}" for segment in self.segments)


def _require_segment(part: str, text: str) -> None:
    if part in {"*", "**"}:
        return
    if "*" in part:
        raise ConfigurationError.of(
            f"{part!r} in {text!r} mixes '*' with text", "'*' stands for one whole segment"
        )
    if re.search(r"[{}]", _PARAMETER.sub("", part)):
        raise ConfigurationError.of(
            f"{part!r} in {text!r} is not a parameter", "write '{name}' as the route does"
        )
