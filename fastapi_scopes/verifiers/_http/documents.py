"""What is fetched, and why it could not be."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from fastapi_scopes.errors import Assignment

__all__ = ["MAX_BODY_BYTES", "Document", "Fetch", "FetchError"]

MAX_BODY_BYTES: Final = 256 * 1024
"""The longest document that is read."""


class FetchError(Exception):
    """A document could not be fetched; the text says why and quotes nothing of the document."""

    def __init__(
        self, reason: str, remedy: str | Assignment = "", *, is_absent: bool = False
    ) -> None:
        super().__init__(f"{reason}; {remedy}" if remedy else reason)
        self.reason: str = reason
        self.remedy: str | Assignment = remedy
        """The way out; empty where nobody knows one."""
        self.is_absent: bool = is_absent
        """Whether the server says that there is no such document."""

    def at(self, place: str) -> "FetchError":
        """Return the same error, about the document at *place*."""
        return FetchError(f"{place} {self.reason}", self.remedy, is_absent=self.is_absent)

    def or_else(self, remedy: str) -> "FetchError":
        """Return the same error, with *remedy* where it has none."""
        return self if self.remedy else FetchError(self.reason, remedy, is_absent=self.is_absent)


@dataclass(frozen=True, slots=True)
class Document:
    """A document that was fetched from a URL."""

    body: bytes = field(repr=False)
    """What the server sent, not compressed any more."""
    max_age: float | None = None
    """The seconds for which it is fresh (RFC 9111 5.2.2.1); None where the server does not say."""


Fetch = Callable[[str], Awaitable[Document]]
"""An async function that fetches the document at a URL; any exception is a failed attempt."""
