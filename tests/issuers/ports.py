"""Loopback ports that stay ours while nobody listens on them."""

import socket
import sys

LOOPBACK = "127.0.0.1"


class HeldPort:
    """A free port of 127.0.0.1: servers may come and go on it, nobody else gets it meanwhile.

    Without a listener a connection is refused, as in an outage.
    """

    def __init__(self) -> None:
        self._holder = bound_socket(0)
        self.number: int = self._holder.getsockname()[1]
        # Only Linux lets a listener share a port with a socket that is bound and no more;
        # elsewhere the number alone is kept, and an outage leaves the port to whoever takes it.
        if sys.platform != "linux":
            self._holder.close()

    def close(self) -> None:
        self._holder.close()


def bound_socket(port: int) -> socket.socket:
    # asyncio switches Nagle's delay off only where the protocol is said to be TCP.
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((LOOPBACK, port))
    return bound
