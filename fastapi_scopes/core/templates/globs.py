"""Globs of path-matching middlewares, and which paths of a route template they match.

There ``*`` stands for any text, slashes and nothing included. Whether a glob matches is a
question about one path; a template is a whole language of paths. The two questions asked
here (does it match *some* path of the template? does it match *every* one?) are answered by
walking the template's automaton and the glob's side by side.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache

from fastapi_scopes.core.templates.patterns import RouteTemplate
from fastapi_scopes.errors import ConfigurationError

__all__ = ["Glob", "GlobMatch"]

_PARAMETER = re.compile(r"\{[a-zA-Z_][a-zA-Z0-9_]*(?::([a-zA-Z_][a-zA-Z0-9_]*))?\}")
_BRACED = re.compile(r"\{[^}]+\}")

# Stands for all characters that a glob does not spell out; equal to none of them.
_OTHER = "any other"


class GlobMatch(Enum):
    """How many of the paths of a template a glob matches."""

    NEVER = "never"
    SOMETIMES = "sometimes"
    ALWAYS = "always"


@dataclass(frozen=True, slots=True)
class Glob:
    """A path in which ``*`` stands for any text, slashes included."""

    text: str

    @classmethod
    def parse(cls, text: str) -> "Glob":
        """Return the glob that *text* spells; ``{x}`` is read as ``*``.

        Raises:
            ConfigurationError: *text* is no path, or holds ``?`` or ``[``.
        """
        if not text.startswith("/") or re.search(r"[\x00-\x20\x7F]", text):
            raise ConfigurationError.of(f"{text!r} is not a path", "begin with '/', without space")
        if re.search(r"[?\[]", text):
            raise ConfigurationError.of(
                f"'?' and '[' in {text!r} are wildcards of one character",
                "write '*' or a literal",
            )
        return cls(re.sub(r"\*+", "*", _BRACED.sub("*", text)))

    @property
    def is_literal(self) -> bool:
        """True where the glob stands for one path alone."""
        return "*" not in self.text

    @property
    def literal_start(self) -> str:
        """The text with which all paths begin that the glob matches."""
        return self.text.partition("*")[0]

    def match(self, template: RouteTemplate) -> GlobMatch:
        """Return whether this glob matches every, some or no path of *template*."""
        return _compare(self.text, template.language)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class _Characters:
    """A set of characters: those listed, or all but those listed."""

    listed: str
    negated: bool = False

    def representatives(self, spelled: frozenset[str]) -> Iterator[str]:
        """Yield the *spelled* characters of the set, and one that stands for the rest."""
        if self.negated:
            yield from (char for char in spelled if char not in self.listed)
            yield _OTHER
            return
        yield from (char for char in self.listed if char in spelled)
        rest = next((char for char in self.listed if char not in spelled), None)
        if rest is not None:
            yield rest


_DIGIT = _Characters("0123456789")
_HEXADECIMAL = _Characters("0123456789abcdefABCDEF")
_ANYTHING = _Characters("", negated=True)
_NOT_SLASH = _Characters("/", negated=True)


@dataclass(slots=True)
class _Automaton:
    """The language of a template: states are numbers, 0 is the start, `end` accepts."""

    steps: list[tuple[int, _Characters, int]] = field(
        default_factory=list[tuple[int, _Characters, int]]
    )
    skips: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    end: int = 0

    def then(self, characters: _Characters, *, repeats: bool = False) -> None:
        """Append one character of the set, or one and more."""
        self.steps.append((self.end, characters, self.end + 1))
        self.end += 1
        if repeats:
            self.steps.append((self.end, characters, self.end))
            # A state of its own keeps the loop apart from what is appended next.
            self.skips.append((self.end, self.end + 1))
            self.end += 1

    def skip_from(self, state: int) -> None:
        """Let all that was appended since *state* be left out."""
        self.skips.append((state, self.end + 1))
        self.skips.append((self.end, self.end + 1))
        self.end += 1

    def moves(self, spelled: frozenset[str]) -> dict[int, list[tuple[str | None, int]]]:
        """Return the moves from each state: a character, None for a skip, and the next state."""
        moves: dict[int, list[tuple[str | None, int]]] = {}
        for state, characters, following in self.steps:
            for char in characters.representatives(spelled):
                moves.setdefault(state, []).append((char, following))
        for state, following in self.skips:
            moves.setdefault(state, []).append((None, following))
        return moves


def _append_parameter(automaton: _Automaton, convertor: str) -> None:
    """Append the texts that *convertor* matches; one that Starlette does not ship matches any."""
    start = automaton.end
    match convertor:
        case "str":
            automaton.then(_NOT_SLASH, repeats=True)
        case "int":
            automaton.then(_DIGIT, repeats=True)
        case "float":
            automaton.then(_DIGIT, repeats=True)
            point = automaton.end
            automaton.then(_Characters("."))
            automaton.then(_DIGIT, repeats=True)
            automaton.skip_from(point)
        case "uuid":
            _append_uuid(automaton)
        case _:
            automaton.then(_ANYTHING, repeats=True)
            automaton.skip_from(start)


def _append_uuid(automaton: _Automaton) -> None:
    for position in range(32):
        if position in {8, 12, 16, 20}:
            hyphen = automaton.end
            automaton.then(_Characters("-"))
            automaton.skip_from(hyphen)
        automaton.then(_HEXADECIMAL)


def _automaton_of(template: str) -> _Automaton:
    automaton = _Automaton()
    position = 0
    for parameter in _PARAMETER.finditer(template):
        for char in template[position : parameter.start()]:
            automaton.then(_Characters(char))
        _append_parameter(automaton, parameter[1] or "str")
        position = parameter.end()
    for char in template[position:]:
        automaton.then(_Characters(char))
    return automaton


def _advance(glob: str, positions: frozenset[int], char: str) -> frozenset[int]:
    """Return the positions in *glob* after *char*, coming from any of *positions*."""
    after: set[int] = set()
    for position in positions:
        if position < len(glob) and glob[position] in {"*", char}:
            after.add(position if glob[position] == "*" else position + 1)
    return _closed(glob, after)


def _closed(glob: str, positions: set[int]) -> frozenset[int]:
    """Return *positions*, and the position after each star: a star may stand for no text."""
    closed = set(positions)
    for position in positions:
        if position < len(glob) and glob[position] == "*":
            closed.add(position + 1)
    return frozenset(closed)


@lru_cache(maxsize=4096)
def _compare(glob: str, template: str) -> GlobMatch:
    automaton = _automaton_of(template)
    moves = automaton.moves(frozenset(glob) - {"*"})
    pending = [(0, _closed(glob, {0}))]
    seen = set(pending)
    answers: set[bool] = set()
    while pending:
        state, positions = pending.pop()
        if state == automaton.end:
            answers.add(len(glob) in positions)
        for char, following in moves.get(state, ()):
            reached = positions if char is None else _advance(glob, positions, char)
            if (following, reached) not in seen:
                seen.add((following, reached))
                pending.append((following, reached))
    if answers == {True}:
        return GlobMatch.ALWAYS
    return GlobMatch.SOMETIMES if True in answers else GlobMatch.NEVER
