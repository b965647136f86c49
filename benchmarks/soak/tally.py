"""What came back, counted, and what of it was wrong."""

import time
from array import array
from collections import Counter, defaultdict
from dataclasses import dataclass, field

import httpx

from benchmarks.soak.credentials import Credential, Kind
from benchmarks.soak.oracle import Access, Route, right_statuses
from benchmarks.soak.timeline import RedisState
from benchmarks.soak.world import World

_SHOWN = 50
_VALID = {Kind.CURRENT, Kind.PREVIOUS, Kind.CACHED}


@dataclass(frozen=True, slots=True)
class Wrong:
    """A wrong answer, without what was presented."""

    seconds: float
    """Since the soak began."""
    kind: str
    where: str
    got: str
    right: str
    world: str


@dataclass(slots=True)
class Tally:
    world: World
    began: float = field(default_factory=time.time)
    statuses: Counter[tuple[Kind, int]] = field(default_factory=Counter)
    decisive: Counter[Kind] = field(default_factory=Counter)
    """Requests to which one status alone was a right answer."""
    server_errors: Counter[str] = field(default_factory=Counter)
    wrong: list[Wrong] = field(default_factory=list)
    """The first of them."""
    wrongs: int = 0
    latencies: "defaultdict[tuple[str, str], array[float]]" = field(
        default_factory=lambda: defaultdict(lambda: array("d"))
    )
    """Seconds that valid tokens took, by what was out and by application."""

    def note(
        self,
        credential: Credential,
        route: Route,
        response: httpx.Response,
        *,
        start: float,
        end: float,
    ) -> None:
        right = right_statuses(credential, route, start, end, timeline=self.world.timeline)
        status = response.status_code
        self.statuses[credential.kind, status] += 1
        self.decisive[credential.kind] += len(right) == 1
        where = f"/{credential.app}{route.path}"
        if status >= 500:
            self.server_errors[self._cause_of(credential, status, right)] += 1
        if status not in right:
            self.add_wrong(credential.kind.value, where, str(status), right=str(sorted(right)))
        elif (flaw := flaw_of(response, credential, route)) is not None:
            self.add_wrong(credential.kind.value, where, flaw, right=str(status))
        if credential.kind in _VALID and route.access is not Access.PUBLIC:
            self._time(credential.app, start, end)

    def add_wrong(self, kind: str, where: str, got: str, *, right: str) -> None:
        self.wrongs += 1
        if len(self.wrong) < _SHOWN:
            seconds = round(time.time() - self.began, 1)
            self.wrong.append(Wrong(seconds, kind, where, got, right, str(self.world)))

    def _cause_of(self, credential: Credential, status: int, right: set[int]) -> str:
        cause = "Redis away" if status in right else "no reason"
        return f"{status} of /{credential.app}: {cause}"

    def _time(self, app: str, start: float, end: float) -> None:
        up = self.world.timeline.issuers_up.between(start, end)
        redis = self.world.timeline.redis.between(start, end)
        if len(up) > 1 or len(redis) > 1 or RedisState.CHANGING in redis:
            return
        out = [] if up == {True} else ["issuers out"]
        out += [] if redis == {RedisState.UP} else [f"Redis {next(iter(redis)).value}"]
        self.latencies[", ".join(out) or "calm", app].append(end - start)


def flaw_of(response: httpx.Response, credential: Credential, route: Route) -> str | None:
    """What is wrong with an answer of a right status, or None."""
    match response.status_code:
        case 200 if route.access is Access.RULED and response.json() != {"jti": credential.jti}:
            return "200 with claims of another token"
        case 401 if not response.headers.get("www-authenticate", "").startswith("Bearer "):
            return "401 without a challenge"
        case 503 if not response.headers.get("retry-after", "0").isdecimal():
            return "503 without Retry-After"
        case 503 if int(response.headers.get("retry-after", "0")) < 1:
            return "503 with Retry-After below 1"
        case _:
            return None
