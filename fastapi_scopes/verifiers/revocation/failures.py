"""The failures of redis-py, by what they say of Redis."""

import ssl
from types import ModuleType
from typing import Final

__all__ = ["Failures", "told"]

# The connection is lost, or there was none to be had. redis-py has no type for either.
_LOST: Final = ("Connection closed by server", "max number of clients reached")
# Not known to redis-py by a type: a script blocks the server.
_BUSY: Final = "BUSY "
# Of the reasons why no connection came about: the pool of this process has none to give (redis-py
# has a TimeoutError of its own for the server), the socket's mode, the certificate or no TLS.
_WRONG_SETTINGS: Final = (TimeoutError, PermissionError, ssl.SSLError)
_LOST_TLS: Final = (ssl.SSLEOFError, ssl.SSLZeroReturnError)


class Failures:
    """The classes of redis-py's failures; *exceptions* is its module of them."""

    def __init__(self, exceptions: ModuleType) -> None:
        self.broken: type[Exception] = exceptions.ConnectionError
        """A connection broke, or did not come about."""
        self.exhausted: type[Exception] = exceptions.MaxConnectionsError
        """The client has no connection left."""
        self.all: tuple[type[Exception], ...] = (
            *(exceptions.RedisError, exceptions.RedisClusterException, OSError),
        )
        self._away = (
            *(exceptions.TimeoutError, exceptions.BusyLoadingError),
            *(exceptions.ClusterDownError, exceptions.TryAgainError),
        )
        self._no_cluster = exceptions.RedisClusterException

    def cause_of(self, error: BaseException) -> BaseException:
        """Return *error*, or for a timeout the failure that redis-py was about to try again.

        redis-py takes a wrong password for a lost connection, and tries that for seconds.
        """
        reason: BaseException | None = error
        while reason is not None and type(error) is TimeoutError:
            if isinstance(reason, self.all) and type(reason) is not TimeoutError:
                return reason
            reason = reason.__context__
        return error

    def is_outage(self, cause: BaseException) -> bool:
        """Tell whether *cause* says that Redis is away, and not that something is set up wrongly.

        INVARIANT: what is not known as an outage is none, so fail_open opens nothing
        (test_wrong_settings_open_nothing).
        """
        if isinstance(cause, self._away):
            return True
        if isinstance(cause, self._no_cluster):
            inner = cause.__cause__
            return inner is not None and self.is_outage(inner)
        if type(cause) is self.broken:
            return str(cause).startswith(_LOST) or _is_lost(cause.__context__)
        return str(cause).startswith(_BUSY) or _is_lost(cause)


def _is_lost(error: BaseException | None) -> bool:
    return isinstance(error, OSError) and (
        isinstance(error, _LOST_TLS) or not isinstance(error, _WRONG_SETTINGS)
    )


def told(error: BaseException) -> str:
    """Return the type of *error*, and of what caused it: its text may name a host and a user."""
    context = error.__context__
    kind = type(error).__name__
    return f"{kind} ({type(context).__name__})" if isinstance(context, ssl.SSLError) else kind
