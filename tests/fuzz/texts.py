"""Random words of a random application: paths, prefixes, hosts."""

from itertools import count
from random import Random

from tests.fuzz.parts import CONVERTORS

LITERALS = ("a", "b", "c", "A", "x.json", "7", "alias", "answer", "é", "a-b", "~", "v1.5", "..")
_METHODS = (
    *(["GET"], ["GET"], ["GET"], ["POST"], ["PUT"], ["DELETE"], ["HEAD"], ["OPTIONS"]),
    *(["GET", "POST"], ["GET", "HEAD"], ["PATCH", "DELETE"], ["QUERY"], ["TRACE"], ["FOO"]),
)
HOSTS = ("api.example.org", "{}.example.org", "example.org", "{}")


class Texts:
    """Draws them; names of parameters are never the same twice."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self._numbers = count(1)

    def number(self) -> int:
        return next(self._numbers)

    def chance(self, share: float) -> bool:
        return self.rng.random() < share

    def parameter(self, *convertors: str) -> str:
        kind = self.rng.choice(convertors or ("str", "str", "str", *CONVERTORS))
        name = f"p{self.number()}"
        return f"{{{name}}}" if kind == "str" else f"{{{name}:{kind}}}"

    def segment(self) -> str:
        drawn = self.rng.random()
        if drawn < 0.45:
            return self.rng.choice(LITERALS)
        if drawn < 0.6:
            return f"s{self.number()}"
        if drawn < 0.88:
            return self.parameter()
        if drawn < 0.9:
            return ""
        one, other = self.parameter("str", "int", "float"), self.parameter("str", "path")
        return self.rng.choice([f"{one}.json", f"v{one}", f"{one}-{other}", f"{one}a"])

    def path(self) -> str:
        if self.chance(0.04):
            return "/"
        segments = [self.segment() for _ in range(self.rng.choice([1, 1, 2, 2, 3]))]
        return "/" + "/".join(segments) + ("/" if self.chance(0.08) else "")

    def own_prefix(self) -> str:
        return self.rng.choice(["", "", "", f"/own{self.number()}", "/a"])

    def prefix(self) -> str:
        """Return the prefix of an inclusion."""
        return self.rng.choice(
            [
                *("", "", "/a", "/v1/b", f"/i{self.number()}", f"/i{self.number()}/a"),
                *(f"/o/{self.parameter()}", f"/{self.parameter()}", f"/o/{self.parameter()}/a"),
            ]
        )

    def mount(self) -> str:
        return self.rng.choice(
            [
                *(f"/m{self.number()}", f"/m{self.number()}", f"/m{self.number()}/b", "/a", "/a/b"),
                *(f"/t/{self.parameter('str')}", f"/t/{self.parameter()}", f"/{self.parameter()}"),
                *(f"/m{self.number()}/", f"/m{self.number()}/{self.parameter()}/b", ""),
            ]
        )

    def host(self) -> str:
        return self.rng.choice(HOSTS).replace("{}", self.parameter("str", "fuzz_word"))

    def methods(self) -> list[str]:
        return self.rng.choice(_METHODS)

    def overlapping(self, path: str) -> str:
        """Return a path that leads to other paths too, or only to some of those of *path*."""
        segments = path.split("/")
        position = self.rng.randrange(1, len(segments)) if len(segments) > 1 else 0
        segments[position] = self.segment()
        # The names of the others are taken anew.
        return self.renamed("/".join(segments))

    def renamed(self, path: str) -> str:
        """Return *path* with parameters of other names."""
        parts = path.split("{p")
        for position, part in enumerate(parts[1:], start=1):
            rest = part.lstrip("0123456789")
            parts[position] = f"{self.number()}{rest}"
        return "{p".join(parts)
