"""Why a question to Redis took too long: asked once more, without the retries of redis-py."""

import asyncio
import contextvars
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from redis.asyncio import Redis

__all__ = ["Probe"]

# Longer than any handshake: what a slow network hides for now is known for the next request.
_PATIENCE: Final = 10.0


class Probe:
    """Asks Redis by a connection of its own, at most once at a time and in *pause* seconds.

    redis-py tries again what it takes for a lost connection, a wrong password among it, and a
    timeout that falls into a later attempt says nothing of the first.
    """

    def __init__(
        self, client: "Redis", *, pause: float, learn: Callable[[BaseException], None]
    ) -> None:
        """Ask by *client*, and call *learn* with a failure that is no mere timeout."""
        self._learn = learn
        self._client: Any = client
        self._pause = pause
        self._asking: asyncio.Task[BaseException | None] | None = None
        self._begun = 0.0

    def begin(self, key: str) -> "asyncio.Task[BaseException | None]":
        """Return a task that asks for *key*, or one that was begun just now for another.

        It returns why there is no answer, or None where there is one, and raises nothing.
        """
        loop = asyncio.get_running_loop()
        asking = self._asking
        is_recent = asking is not None and loop.time() - self._begun < self._pause
        if asking is None or (asking.done() and not is_recent):
            # In an empty context: it serves many requests and belongs to none.
            context = contextvars.Context()
            asking = self._asking = loop.create_task(self._reason(key), context=context)
            self._begun = loop.time()
        return asking

    async def _reason(self, key: str) -> BaseException | None:
        connection: Any = None
        try:
            async with asyncio.timeout(_PATIENCE):
                connection = self._unpooled_connection()
                await connection.connect()
                if not hasattr(self._client, "nodes_manager"):
                    # One node of a cluster may know of the key no more than where it is.
                    await connection.send_command("EXISTS", key)
                    await connection.read_response()
        except Exception as error:  # noqa: BLE001 - it is what is asked for
            # Also where nobody waits any more.
            if not isinstance(error, TimeoutError):
                self._learn(error)
            return error
        finally:
            if connection is not None:
                with suppress(Exception):
                    await connection.disconnect(nowait=True)
        return None

    def _unpooled_connection(self) -> Any:
        """Return a new connection, as the client would make it, that tries nothing again."""
        nodes = getattr(self._client, "nodes_manager", None)
        if nodes is None:
            connection = self._client.connection_pool.make_connection()
        else:
            node = next(iter(nodes.startup_nodes.values()))
            connection = node.connection_class(**node.connection_kwargs)
        retries, backoff = import_module("redis.asyncio.retry"), import_module("redis.backoff")
        connection.retry = retries.Retry(backoff.NoBackoff(), 0)
        return connection
