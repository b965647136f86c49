"""What a server sends for one request, down to the bytes that should not have been sent."""

import asyncio
import gzip
import json
import socket
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Protocol, TypeAlias


class Action(Protocol):
    """What becomes of one request."""

    async def send(self, writer: asyncio.StreamWriter) -> bool:
        """Answer, and return whether the connection may carry another request."""
        ...


class Framing(Enum):
    """How the client learns where the body ends (RFC 9112 6.3)."""

    LENGTH = "Content-Length"
    CHUNKED = "chunked"
    CLOSE = "the connection closes"


class Ending(Enum):
    """What follows the last byte of the body that is sent."""

    DONE = "the next request"
    CLOSE = "the connection closes"
    STALL = "nothing, while the connection stays open"


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer; each method returns another one that differs in one thing."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    framing: Framing = Framing.LENGTH
    declared: str | None = None
    """What Content-Length says, where that is not the length of the body."""
    sent: int | None = None
    """How many bytes of the body are sent, where that is not all of them."""
    ending: Ending = Ending.DONE
    delay: float = 0
    """Seconds before the status line."""
    pause: float = 0
    """Seconds between any two bytes of the body."""

    @classmethod
    def json(cls, document: object, *, status: int = 200) -> "Answer":
        return cls(status, body=json.dumps(document).encode()).typed("application/json")

    @classmethod
    def html(cls, *, status: int = 200) -> "Answer":
        page = b"<!doctype html><title>Sign in</title><p>Back in a minute."
        return cls(status, body=page).typed("text/html; charset=utf-8")

    @property
    def document(self) -> Any:
        return json.loads(self.body)

    def with_status(self, status: int) -> "Answer":
        return replace(self, status=status)

    def with_header(self, name: str, *values: str) -> "Answer":
        """The answer with one field line a value instead of those of that name."""
        others = tuple(each for each in self.headers if each[0].lower() != name.lower())
        return replace(self, headers=(*others, *((name, value) for value in values)))

    def typed(self, media_type: str) -> "Answer":
        return self.with_header("Content-Type", media_type)

    def cached(self, *directives: str) -> "Answer":
        return self.with_header("Cache-Control", *directives)

    def with_body(self, body: bytes) -> "Answer":
        return replace(self, body=body)

    def with_document(self, document: object) -> "Answer":
        return self.with_body(json.dumps(document).encode())

    def encoded(self, encoding: str) -> "Answer":
        """The same text in another encoding than UTF-8."""
        return self.with_body(self.body.decode().encode(encoding))

    def padded(self, size: int) -> "Answer":
        """The same JSON in *size* bytes: white space is no part of the document."""
        return self.with_body(self.body.ljust(size))

    def gzipped(self) -> "Answer":
        return self.with_body(gzip.compress(self.body)).with_header("Content-Encoding", "gzip")

    def framed(self, framing: Framing) -> "Answer":
        return replace(self, framing=framing)

    def declaring(self, length: object) -> "Answer":
        """The whole body under a Content-Length of its own."""
        return replace(self, declared=str(length), ending=Ending.CLOSE)

    def cut(self, sent: int) -> "Answer":
        """*sent* bytes of the body, and the connection closes."""
        return replace(self, sent=sent, ending=Ending.CLOSE)

    def stalled(self, sent: int) -> "Answer":
        """*sent* bytes of the body, and nothing more on a connection that stays open."""
        return replace(self, sent=sent, ending=Ending.STALL)

    def late(self, seconds: float) -> "Answer":
        return replace(self, delay=seconds)

    def dripping(self, seconds: float) -> "Answer":
        """The body in single bytes, *seconds* apart."""
        return replace(self, pause=seconds)

    async def send(self, writer: asyncio.StreamWriter) -> bool:
        await asyncio.sleep(self.delay)
        writer.write(self.head())
        for index, piece in enumerate(self._pieces()):
            if index:
                await asyncio.sleep(self.pause)
            writer.write(self._frame(piece))
            await writer.drain()
        if self.ending is Ending.STALL:
            await asyncio.Event().wait()
        if self.ending is Ending.DONE and self.framing is Framing.CHUNKED:
            writer.write(b"0\r\n\r\n")
        await writer.drain()
        return self.ending is Ending.DONE and self.framing is not Framing.CLOSE

    def head(self) -> bytes:
        """The status line and the field lines, with the empty line after them."""
        match self.framing:
            case Framing.LENGTH:
                length = str(len(self.body)) if self.declared is None else self.declared
                framing = ("Content-Length", length)
            case Framing.CHUNKED:
                framing = ("Transfer-Encoding", "chunked")
            case Framing.CLOSE:
                framing = ("Connection", "close")
        fields = [f"{name}: {value}" for name, value in (*self.headers, framing)]
        return "\r\n".join([f"HTTP/1.1 {self.status} ", *fields, "", ""]).encode("latin-1")

    def _pieces(self) -> Iterator[bytes]:
        body = self.body[: self.sent]
        size = 1 if self.pause else 2**16
        return (body[start : start + size] for start in range(0, len(body), size))

    def _frame(self, piece: bytes) -> bytes:
        if self.framing is Framing.CHUNKED:
            return b"%x\r\n%b\r\n" % (len(piece), piece)
        return piece


@dataclass(frozen=True, slots=True)
class Raw:
    """These bytes instead of an HTTP answer, and the connection closes."""

    data: bytes

    async def send(self, writer: asyncio.StreamWriter) -> bool:
        writer.write(self.data)
        await writer.drain()
        return False


@dataclass(frozen=True, slots=True)
class Silence:
    """No answer ever, on a connection that stays open."""

    async def send(self, writer: asyncio.StreamWriter) -> bool:
        await asyncio.Event().wait()
        return False


@dataclass(frozen=True, slots=True)
class HangUp:
    """No answer: the connection closes, in order or by a reset."""

    reset: bool = False

    async def send(self, writer: asyncio.StreamWriter) -> bool:
        if self.reset:
            # To linger for no second is what makes a close a reset.
            lingering = struct.pack("ii", 1, 0)
            peer = writer.get_extra_info("socket")
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, lingering)
        writer.transport.abort()
        return False


Behaviour: TypeAlias = Action | Callable[[Answer], Action]
"""What a resource does: always the same, or something made of its healthy answer."""


def healthy(answer: Answer) -> Answer:
    return answer
