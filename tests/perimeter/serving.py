"""Apps on a real server, and a client that sends its bytes as they are."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import uvicorn

SERVERS = ["h11", "httptools"]
PATIENCE = 60.0
HANDSHAKE = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


class ServerStartError(Exception):
    """The app refused to start."""


class NoAnswerError(Exception):
    """The server closed the connection without an answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    fields: tuple[tuple[str, str], ...]
    body: bytes = b""

    def field(self, name: str) -> str | None:
        """Return the value of the field *name*, which must not stand twice."""
        values = [value for key, value in self.fields if key == name.lower()]
        assert len(values) <= 1, f"{name} stands {len(values)} times"
        return values[0] if values else None

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def is_of_the_server(self) -> bool:
        """Whether the server itself refused the bytes, before any app saw them."""
        return self.status == 400 and self.body == b"Invalid HTTP request received."


class RawConnection:
    """One connection, on which any bytes can be sent and answers be read piece by piece."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self._stream = self._socket.makefile("rb")

    def __enter__(self) -> "RawConnection":
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
        self._socket.close()

    def send(self, data: bytes) -> None:
        # A server that refuses early may be gone before all is sent; its answer still counts.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._socket.sendall(data)

    def receive(self, *, has_body: bool = True) -> Answer:
        """Return the next answer, whole.

        Raises:
            NoAnswerError: the server closed the connection before the end of one.
        """
        head = self.receive_head()
        if not has_body or head.status in {101, 204, 304}:
            return head
        if head.field("transfer-encoding") == "chunked":
            body = b"".join(iter(self.receive_chunk, b""))
        else:
            length = head.field("content-length")
            body = self._read(-1 if length is None else int(length))
        return Answer(head.status, head.fields, body)

    def receive_head(self) -> Answer:
        status = int(self._line().split(b" ")[1])
        fields = []
        while line := self._line():
            name, _, value = line.decode("latin-1").partition(":")
            fields.append((name.lower(), value.strip()))
        return Answer(status, tuple(fields))

    def receive_chunk(self) -> bytes:
        """Return the next chunk of a chunked body; the last one is empty."""
        size = int(self._line(), 16)
        return self._read(size + len(b"\r\n"))[:size]

    def _line(self) -> bytes:
        try:
            line = self._stream.readline()
        except ConnectionResetError:
            raise NoAnswerError from None
        if not line.endswith(b"\r\n"):
            raise NoAnswerError
        return line.removesuffix(b"\r\n")

    def _read(self, size: int) -> bytes:
        try:
            data = self._stream.read(size)
        except ConnectionResetError:
            raise NoAnswerError from None
        if len(data) < size:
            raise NoAnswerError
        return data


@dataclass(frozen=True, slots=True)
class Served:
    """An app that a server answers for on a port of this machine."""

    port: int
    http: str

    def connect(self) -> RawConnection:
        return RawConnection(self.port)

    def exchange(self, data: bytes, *, has_body: bool = True) -> Answer:
        """Return the answer to *data*, sent on a connection of its own.

        Raises:
            NoAnswerError: the server closed the connection instead.
        """
        with self.connect() as connection:
            connection.send(data)
            return connection.receive(has_body=has_body)

    def request(self, method: str, target: str, *fields: str | bytes, body: bytes = b"") -> Answer:
        data = request_of(method, target, *fields, body=body)
        return self.exchange(data, has_body=method != "HEAD")

    def handshake(self, target: str, *fields: str | bytes) -> Answer:
        """Return the answer to the opening handshake of a WebSocket (RFC 6455 4.1)."""
        return self.request("GET", target, *HANDSHAKE, *fields)


def request_of(method: str, target: str, *fields: str | bytes, body: bytes = b"") -> bytes:
    """Return the bytes of a request, with none of its parts looked at.

    A Host field stands in front unless one of *fields* is one.
    """
    lines = [each.encode("latin-1") if isinstance(each, str) else each for each in fields]
    if not any(line.lower().startswith(b"host") for line in lines):
        lines.insert(0, b"Host: testserver")
    if body:
        lines.append(b"Content-Length: %d" % len(body))
    start = f"{method} {target} HTTP/1.1".encode("latin-1")
    return b"\r\n".join([start, *lines, b"", body])


@contextlib.contextmanager
def serve(
    app: Any,
    *,
    http: str,
    ws: str = "auto",
    lifespan: str = "on",
    root_path: str = "",
    port: int = 0,
) -> Iterator[Served]:
    """Serve *app* by uvicorn with the HTTP parser *http* and the WebSocket implementation *ws*.

    On any port where *port* is 0.

    Raises:
        ServerStartError: the lifespan of *app* failed.
    """
    listener = socket.create_server(("127.0.0.1", port))
    config = uvicorn.Config(
        app,
        http=http,
        ws=ws,  # type: ignore[arg-type]
        loop="asyncio",
        lifespan=lifespan,  # type: ignore[arg-type]
        root_path=root_path,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)

    def run() -> None:
        # By SystemExit a server says that the lifespan failed.
        with contextlib.suppress(SystemExit):
            server.run([listener])

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        deadline = time.monotonic() + PATIENCE
        while not server.started:
            if not thread.is_alive() or time.monotonic() > deadline:
                raise ServerStartError
            time.sleep(0.005)
        yield Served(listener.getsockname()[1], http)
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
        listener.close()
