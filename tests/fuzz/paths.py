"""Random requests: most lead somewhere, some nearly so."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from tests.fuzz.model import Place
from tests.fuzz.parts import SOCKET, filled

_METHODS = (
    *("GET", "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT"),
    *("QUERY", "PROPFIND", "get", "FOO", "*", "WEBSOCKET", "", "G\u00c9T"),
)
_HOSTS = (
    "testserver",
    "api.example.org",
    "API.example.org:8000",
    "x.example.org",
    "[::1]",
    "",
    "a b",
)
_TEXTS = (
    *("x", "7", "a", "b", "acme", "é", "a b", "%2F", "%00", "..", ".", "~", "*", "**", "{p}", "A"),
    *("x.json", "v1.5", "1-x", "a:b", "a;b", "a\\b", "\u2028", "\U0001f600", "007", "index.html"),
)
_TAILS = ("", "/", "/a", "/a/b", "/index.html", "/answer", "//", "/é")
_EXTREMES = ("9" * 4301, "x" * 5000, "", "a/" * 500, "\n", "x\n", "7\n")
_INSERTED = ("/", "/", "\n", "\x00", "é", "%2f", "?", "#", ";", ".")
_APPENDED = ("/..", "/.", "//", "/alias", "/answer", "/a", "\n", "\x7f", "x" * 5000, "9" * 4301)
_VALUES: dict[str, tuple[str, ...]] = {
    "str": _TEXTS,
    "path": ("", "a", "a/b", "a//b", "../a", "x/alias", "answer", "a/b/", "index.html"),
    "int": ("7", "0", "007", "12345678901234567890", "٣"),
    "float": ("1.5", "1", "00.10"),
    "uuid": (
        "0" * 32,
        "12345678-1234-5678-1234-567812345678",
        "ABCDEF12-12345678-1234-567812345678",
    ),
    "fuzz_word": ("a", "acme", "é"),
    "fuzz_words": ("a", "a/b", "acme/x/b"),
    "fuzz_maybe": ("", "7"),
    "fuzz_picky": ("a", "x", "7"),
    "fuzz_keyed": ("a", "acme", "a", "b"),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, or the opening of a socket."""

    method: str
    path: str
    root_path: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    is_socket: bool = False
    has_token: bool = False

    @property
    def is_unruly(self) -> bool:
        """Whether no rule holds for it, wherever it leads."""
        is_odd = not self.is_socket and self.method in {"*", "get"}
        return is_odd or any(ord(char) < 0x20 or char == "\x7f" for char in self.path)

    def to_scope(self, token: str) -> dict[str, Any]:
        credentials = [("authorization", f"Bearer {token}")] if self.has_token else []
        headers = [*self.headers, *credentials]
        asgi_scope: dict[str, Any] = {
            "type": "websocket" if self.is_socket else "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "scheme": "ws" if self.is_socket else "http",
            "path": self.path,
            "raw_path": self.path.encode(),
            "root_path": self.root_path,
            "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in headers],
            "server": ("testserver", 80),
            "client": ("192.0.2.1", 4711),
            "extensions": {"websocket.http.response": {}},
        }
        more: dict[str, Any] = {"subprotocols": []} if self.is_socket else {"method": self.method}
        return asgi_scope | more


class Asker:
    """Draws requests that make sense in an application."""

    def __init__(self, rng: Random, root_paths: Sequence[str]) -> None:
        self.rng = rng
        self.root_paths = [each for each in root_paths if each]
        self.places: list[Place] = []

    def ask(self, places: list[Place], root_path: str) -> Asked:
        self.places = places
        place = self.rng.choice(places)
        path = self._path_to(place)
        if place.is_rewritten and self.rng.random() < 0.5:
            path += "/alias"
        for _ in range(self.rng.choice([0, 0, 0, 0, 0, 1, 1, 2])):
            path = self._mutated(path)
        # A proxy strips its prefix or does not; that of the app stands in for the server's.
        if self.root_paths and self.rng.random() < 0.85:
            path = self.root_paths[0] + path
        elif self.root_paths and self.rng.random() < 0.3:
            path = self.root_paths[-1] + path
        method = self.rng.choice(place.methods if self.rng.random() < 0.8 else _METHODS)
        is_socket = method == SOCKET and self.rng.random() < 0.95
        has_token = self.rng.random() < 0.5
        return Asked(method, path, root_path, self._headers(place), is_socket, has_token)

    def any_path(self) -> str:
        return self._path_to(self.rng.choice(self.places))

    def cut(self, count: int) -> int:
        """Return a place between, before or after so many things."""
        return self.rng.randrange(count + 1)

    def _headers(self, place: Place) -> tuple[tuple[str, str], ...]:
        host = self.rng.choice(_HOSTS)
        if place.host is not None and self.rng.random() < 0.85:
            host = filled(place.host, lambda _: self.rng.choice(["a", "acme", "x.y"]))
        accept = self.rng.choice(["text/html", "*/*", "application/json"])
        hosts = [("host", host)] if host else []
        if self.rng.random() < 0.02:
            hosts.append(("host", self.rng.choice(_HOSTS)))
        return (*hosts, ("accept", accept))

    def _path_to(self, place: Place) -> str:
        head = place.template.removesuffix("/**")
        rest = self.rng.choice(_TAILS) if head != place.template else ""
        end = len(head) - len(place.literal)
        return filled(head[:end], self._value) + head[end:] + rest

    def _value(self, convertor: str) -> str:
        drawn = self.rng.random()
        if drawn < 0.02:
            return self.rng.choice(_EXTREMES)
        return self.rng.choice(_VALUES[convertor] if drawn < 0.95 else _TEXTS)

    def _mutated(self, path: str) -> str:
        drawn = self.rng.random()
        if drawn < 0.6:
            return self.rng.choice(_MUTATIONS)(self, path)
        if drawn < 0.75:
            position = self.cut(len(path))
            return path[:position] + self.rng.choice(_INSERTED) + path[position:]
        return path + self.rng.choice(_APPENDED)


def slash(asker: Asker, path: str) -> str:
    return path.removesuffix("/") if path.endswith("/") else path + "/"


def without_first(asker: Asker, path: str) -> str:
    return "/" + path.partition("/")[2].partition("/")[2]


def without_some(asker: Asker, path: str) -> str:
    segments = path.split("/")
    del segments[asker.rng.randrange(len(segments))]
    return "/".join(segments)


def twice(asker: Asker, path: str) -> str:
    segments = path.split("/")
    position = asker.rng.randrange(len(segments))
    segments.insert(position, segments[position])
    return "/".join(segments)


def crossed(asker: Asker, path: str) -> str:
    """The head of one path and the tail of another."""
    ours, theirs = path.split("/"), asker.any_path().split("/")
    return "/".join(ours[: asker.cut(len(ours))] + theirs[asker.cut(len(theirs)) :])


def below_another(asker: Asker, path: str) -> str:
    return asker.any_path() + path


def below_a_root_path(asker: Asker, path: str) -> str:
    return asker.rng.choice(["/proxy", "/a", "/m1"]) + path


def truncated(asker: Asker, path: str) -> str:
    return path[: asker.cut(len(path))]


def other_case(asker: Asker, path: str) -> str:
    return path.swapcase()


def without_slash(asker: Asker, path: str) -> str:
    return path.removeprefix("/")


def something_else(asker: Asker, path: str) -> str:
    return asker.rng.choice(["", "/", "//", "*", "/\n", "a", "/..", "http://evil/a"])


_MUTATIONS: tuple[Callable[[Asker, str], str], ...] = (
    *(slash, slash, without_first, without_first, without_some, without_some, twice),
    *(crossed, crossed, crossed, below_another, below_a_root_path),
    *(truncated, other_case, without_slash, something_else),
)
