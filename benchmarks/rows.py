"""The rows that are measured in one process, and what each is compared with."""

from itertools import cycle
from typing import Any

from jose import jwk, jws, jwt

from benchmarks.figures import BARE, Comparison
from benchmarks.gates import (
    PrimitiveFloor,
    behind_perimeter,
    hit_gates,
    make_guard,
    make_verifier,
)
from benchmarks.measures import Work, ask, connection
from benchmarks.routes import PATH, make_app
from benchmarks.tokens import AUDIENCE, SIGNERS, Signer, claims, hs256

LIMITS = {
    "perimeter, PUBLIC": (0.08, 0.12),
    "perimeter, cache hit": (0.12, 0.20),
    "dependency, cache hit": (0.35, 0.40),
    "perimeter and dependency, cache hit": (0.40, 0.50),
}
MISS, GROWTH, MANY_RULES, MANY_ROUTES, MIDDLE = 1.5, 1.1, 10_000, 2_000, 100


def request_with(token: str) -> dict[str, Any]:
    fields = ((b"host", b"test"), (b"authorization", b"Bearer " + token.encode()))
    return connection(PATH, headers=fields)


def asking(app: Any, *tokens: str) -> Work:
    """Return the work of one request to *app*, with each of the tokens in turn."""
    requests = cycle([request_with(token) for token in tokens])

    async def work() -> None:
        status = await ask(app, next(requests))
        assert status == "200", status

    return work


def calling(function: Any, *arguments: Any, **options: Any) -> Work:
    async def work() -> None:
        function(*arguments, **options)

    return work


class Rows:
    """Pieces of work by name, and comparisons of them."""

    def __init__(self) -> None:
        self.works: dict[str, Work] = {}
        self.comparisons: list[Comparison] = []

    def add(self, table: str, name: str, work: Work, *minus: str, **options: Any) -> None:
        """Add *work* as a row of its own, compared with the rows *minus*, or over one row."""
        row = f"{table}: {name}"
        self.works[row] = work
        self.comparisons.append(Comparison(table, name, row, minus, **options))


def all_rows() -> Rows:
    token = hs256().mint(claims())
    rows = Rows()
    rows.works[BARE] = asking(make_app(), token)
    add_hits(rows, token)
    for algorithm, make in SIGNERS.items():
        add_misses(rows, algorithm, make())
    add_sizes(rows, token)
    return rows


def add_hits(rows: Rows, token: str) -> None:
    rows.add("hit", "another bare app", asking(make_app(), token), BARE)
    for name, (floor, ours) in hit_gates(token).items():
        target, limit = LIMITS[name]
        rows.add("hit", f"floor: {name}", asking(floor, token), BARE)
        rows.add("hit", name, asking(ours, token), BARE, target=target, limit=limit)
    bare = "bare, mounted"
    rows.works[bare] = asking(make_app(is_mounted=True), token)
    mounted = behind_perimeter(make_guard(), is_mounted=True)
    rows.add("hit", "perimeter, mounted app, cache hit", asking(mounted, token), bare)


def add_misses(rows: Rows, algorithm: str, signer: Signer) -> None:
    """Add a miss and its parts; two tokens take turns in a cache that has room for one."""
    tokens = [signer.mint(claims(jti=jti)) for jti in ("1", "2")]
    ours = behind_perimeter(make_guard(verifier=make_verifier(signer, cache_size=1)))
    key = jwk.construct(signer.key, algorithm)
    options = {"algorithms": [algorithm], "audience": AUDIENCE}
    primitive = f"{algorithm}, primitive of cryptography"
    nothing = "nothing"
    rows.works.setdefault(nothing, calling(lambda: None))
    rows.add("miss", primitive, calling(signer.primitive()), nothing)
    floor = f"{algorithm}, floor: the primitive in place"
    in_place = PrimitiveFloor(make_app(), signer.primitive())
    rows.add("miss", floor, asking(in_place, *tokens), BARE)
    verify = calling(jws.verify, tokens[0], key, [algorithm])
    rows.add("miss", f"{algorithm}, jws.verify of python-jose", verify, nothing)
    decode = calling(jwt.decode, tokens[0], key, **options)
    rows.add("miss", f"{algorithm}, jwt.decode of python-jose", decode, nothing)
    uncached = behind_perimeter(make_guard(verifier=make_verifier(signer, cache_size=0)))
    rows.add("miss", f"{algorithm}, perimeter without a cache", asking(uncached, *tokens), BARE)
    miss = asking(ours, *tokens)
    rows.add("miss", f"{algorithm}, perimeter, cache miss", miss, BARE)
    rows.comparisons.append(
        Comparison(
            "miss",
            f"{algorithm}, perimeter beyond the primitive",
            f"miss: {algorithm}, perimeter, cache miss",
            (BARE, f"miss: {primitive}"),
            limit=MISS,
        )
    )
    rows.comparisons.append(
        Comparison(
            "miss",
            f"{algorithm}, perimeter beyond the floor",
            f"miss: {algorithm}, perimeter, cache miss",
            (f"miss: {floor}",),
        )
    )


def add_sizes(rows: Rows, token: str) -> None:
    ours = "hit: perimeter, cache hit"
    for rules in (10, MANY_RULES):
        app = behind_perimeter(make_guard(rules=rules))
        name = f"{rules:,} rules"
        rows.add("size", f"{name}, over 1 rule", asking(app, token), over=ours)
    rows.comparisons.append(
        Comparison(
            "size",
            f"{MANY_RULES:,} rules, over 10",
            f"size: {MANY_RULES:,} rules, over 1 rule",
            over="size: 10 rules, over 1 rule",
            limit=GROWTH,
        )
    )
    for routes in (MIDDLE, MANY_ROUTES):
        bare = f"bare, {routes:,} routes"
        rows.works[bare] = asking(make_app(routes), token)
        app = behind_perimeter(make_guard(routes=routes), routes)
        name = f"the middle of {routes:,} routes"
        limit = 1.0 if routes == MIDDLE else None
        rows.add("size", f"{name}, over bare", asking(app, token), over=bare, limit=limit)
        compared = f"size: {name}, over bare"
        limit = GROWTH if routes == MANY_ROUTES else None
        over_one = Comparison("size", f"{name}, over 1 route", compared, over=ours, limit=limit)
        rows.comparisons.append(over_one)
