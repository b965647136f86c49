"""Foreign text in log lines."""

from typing import Final

__all__ = ["quoted"]

_MAX_CHARS: Final = 120


def quoted(text: object) -> str:
    """Return *text* in quotes, short, on one line, with nothing in it that a terminal obeys."""
    whole = text if isinstance(text, str) else str(text)
    cut = ascii(whole[:_MAX_CHARS]) if not whole.isprintable() else repr(whole[:_MAX_CHARS])
    return cut + "..." if len(whole) > _MAX_CHARS else cut
