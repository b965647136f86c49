"""An HTTP server on loopback that counts, holds and misbehaves as a test tells it."""

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

from tests.issuers.answers import Action, Answer, Behaviour, healthy
from tests.issuers.ports import LOOPBACK, HeldPort, bound_socket


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it was received; names of fields are lower case."""

    method: str
    target: str
    fields: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    def values_of(self, name: str) -> list[str]:
        return [value for each, value in self.fields if each == name]


class Resource:
    """One path of a server: what it does, and who asked.

    All of it may be used from any thread.
    """

    def __init__(
        self, url: str, loop: asyncio.AbstractEventLoop, answer: Callable[[Request], Answer]
    ) -> None:
        self.url = url
        self._loop = loop
        self._healthy = answer
        self._behaviours: tuple[Behaviour, ...] = (healthy,)
        self._gate: asyncio.Event | None = None
        self._changed = threading.Condition()
        self._requests: list[Request] = []
        self._unanswered = 0
        self._most = 0

    def switch(self, *behaviours: Behaviour) -> None:
        """Behave so from the next request on: one behaviour each, and the last for all the rest."""
        with self._changed:
            self._behaviours = behaviours or (healthy,)

    def heal(self) -> None:
        self.switch(healthy)

    def hold(self) -> None:
        """Keep every answer back until `release`; it is made when its request arrives."""
        self._gate = self._gate or asyncio.Event()

    def release(self) -> None:
        gate, self._gate = self._gate, None
        if gate is not None:
            self._loop.call_soon_threadsafe(gate.set)

    @property
    def requests(self) -> tuple[Request, ...]:
        with self._changed:
            return tuple(self._requests)

    @property
    def count(self) -> int:
        return len(self.requests)

    @property
    def unanswered(self) -> int:
        """How many requests wait for an answer and have not given up."""
        with self._changed:
            return self._unanswered

    @property
    def most_at_once(self) -> int:
        with self._changed:
            return self._most

    def wait_for(self, count: int, *, timeout: float = 5) -> None:
        """Return when *count* requests have arrived in all.

        Raises:
            TimeoutError: they have not within *timeout* seconds.
        """
        self._wait(lambda: len(self._requests) >= count, timeout)

    def wait_until_idle(self, *, timeout: float = 5) -> None:
        """Return when no request waits for an answer; a client that gave up waits no more.

        Raises:
            TimeoutError: one still waits after *timeout* seconds.
        """
        self._wait(lambda: not self._unanswered, timeout)

    def _wait(self, condition: Callable[[], bool], timeout: float) -> None:
        with self._changed:
            if not self._changed.wait_for(condition, timeout):
                raise TimeoutError(f"{self.url}: {len(self._requests)} requests in all")

    async def answer(self, request: Request, writer: asyncio.StreamWriter) -> bool:
        with self._counted(request):
            action = self._action_for(request)
            if (gate := self._gate) is not None:
                await gate.wait()
            return await action.send(writer)

    @contextmanager
    def _counted(self, request: Request) -> Iterator[None]:
        with self._changed:
            self._requests.append(request)
            self._unanswered += 1
            self._most = max(self._most, self._unanswered)
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._unanswered -= 1
                self._changed.notify_all()

    def _action_for(self, request: Request) -> Action:
        with self._changed:
            behaviour = self._behaviours[0]
            self._behaviours = self._behaviours[1:] or self._behaviours
        return behaviour(self._healthy(request)) if callable(behaviour) else behaviour


class Server:
    """Resources on one port, served by a thread of its own; a context manager."""

    def __init__(self) -> None:
        self._port = HeldPort()
        self.origin = f"http://{LOOPBACK}:{self._port.number}"
        self._loop = asyncio.SelectorEventLoop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._resources: dict[str, Resource] = {}
        self._listening: socket.socket | None = None
        self._conversations: set[asyncio.Task[None]] = set()
        self._errors: list[BaseException] = []

    def __enter__(self) -> Self:
        self._thread.start()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._port.close()
        # A behaviour that raises would pass for an outage.
        if self._errors:
            raise self._errors[0]

    def start(self) -> None:
        """Listen, on the port that it always had."""
        self._run(self._listen())

    def stop(self) -> None:
        """Be down: connections break off, new ones are refused."""
        self._run(self._hang_up())

    def resource(self, path: str, answer: Callable[[Request], Answer] | None = None) -> Resource:
        """The resource of that path; without *answer* a new one is 404 until it is switched."""
        if path not in self._resources:
            made = Resource(self.origin + path, self._loop, answer or _not_found)
            self._resources.setdefault(path, made)
        return self._resources[path]

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    async def _listen(self) -> None:
        if self._listening is None:
            self._listening = bound_socket(self._port.number)
            self._listening.setblocking(False)
            self._listening.listen(1024)
            # asyncio's own servers lose a connection that they accept while they close: it
            # would stay open through the outage.
            self._loop.add_reader(self._listening, self._accept, self._listening)

    async def _hang_up(self) -> None:
        if self._listening is not None:
            self._loop.remove_reader(self._listening)
            self._listening.close()
            self._listening = None
        conversations = tuple(self._conversations)
        for conversation in conversations:
            conversation.cancel()
        await asyncio.gather(*conversations, return_exceptions=True)

    def _accept(self, listening: socket.socket) -> None:
        with suppress(BlockingIOError, ConnectionError):
            connection, _ = listening.accept()
            connection.setblocking(False)
            conversation = self._loop.create_task(self._converse(connection))
            self._conversations.add(conversation)
            conversation.add_done_callback(partial(self._ended, connection))

    def _ended(self, connection: socket.socket, conversation: asyncio.Task[None]) -> None:
        connection.close()
        self._conversations.discard(conversation)
        if not conversation.cancelled() and (error := conversation.exception()) is not None:
            self._errors.append(error)

    async def _converse(self, connection: socket.socket) -> None:
        reader = _Reader(self._loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=self._loop)
        transport, _ = await self._loop.connect_accepted_socket(lambda: protocol, connection)
        # To drain is then to have sent all; what closes after it loses nothing.
        transport.set_write_buffer_limits(0)
        writer = asyncio.StreamWriter(transport, protocol, reader, self._loop)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                while await self._answer_next(reader, writer):
                    pass
                writer.close()
                await writer.wait_closed()
        finally:
            transport.abort()

    async def _answer_next(self, reader: "_Reader", writer: asyncio.StreamWriter) -> bool:
        request = await _read_request(reader)
        resource = self.resource(request.path)
        answering = self._loop.create_task(resource.answer(request, writer))
        gone = self._loop.create_task(reader.gone.wait())
        try:
            await asyncio.wait({answering, gone}, return_when=asyncio.FIRST_COMPLETED)
            return answering.done() and answering.result()
        finally:
            answering.cancel()
            gone.cancel()
            await asyncio.gather(answering, gone, return_exceptions=True)


class _Reader(asyncio.StreamReader):
    """A reader that tells that the client has gone, and takes nothing from the next request."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self.gone = asyncio.Event()

    def feed_eof(self) -> None:
        super().feed_eof()
        self.gone.set()

    def set_exception(self, exc: BaseException) -> None:
        super().set_exception(exc)  # type: ignore[arg-type]
        self.gone.set()


async def _read_request(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n"))[:-4].decode("latin-1")
    first, *lines = head.split("\r\n")
    method, target, _ = first.split(" ")
    pairs = (line.partition(":") for line in lines)
    request = Request(
        method, target, tuple((name.lower(), value.strip()) for name, _, value in pairs)
    )
    length = sum(map(int, request.values_of("content-length")))
    return Request(method, target, request.fields, await reader.readexactly(length))


def _not_found(request: Request) -> Answer:
    return Answer.json({"error": "not_found"}, status=404)
