"""Lists, and foreign text, in log lines and error texts."""

from collections.abc import Iterable
from typing import Final

__all__ = ["listed", "one_line", "quoted"]

_MAX_LISTED: Final = 3

_MAX_CHARS: Final = 200


def one_line(text: object) -> str:
    """Return *text* as one short line, with escapes for what a terminal would obey or hide."""
    whole = str(text)
    line = "".join(map(_printable, whole[:_MAX_CHARS]))
    return line if line == whole or len(line) < _MAX_CHARS else f"{line[:_MAX_CHARS]}..."


def quoted(text: object) -> str:
    """Return `one_line` of *text* in quotes."""
    line = one_line(text)
    return f'"{line}"' if "'" in line else f"'{line}'"


def listed(names: Iterable[object]) -> str:
    """Return the first three of *names* in quotes, and dots where there are more."""
    texts = [repr(str(each)) for each in names]
    return ", ".join(texts[:_MAX_LISTED]) + (", ..." if len(texts) > _MAX_LISTED else "")


def _printable(char: str) -> str:
    return char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
