"""Whatever routers are nested in what, every route is ruled by its own template."""

from dataclasses import dataclass
from itertools import count
from typing import Any

from fastapi import APIRouter, Depends, FastAPI
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st

from fastapi_scopes import ScopeMap
from tests.apps import bearer, make_guard


@dataclass(frozen=True)
class Branch:
    """A router or an app, and how it hangs in the one above."""

    kind: str
    has_prefix: bool
    is_late: bool
    leaves: tuple[str, ...]
    branches: tuple["Branch", ...]


KINDS = st.sampled_from(["include", "include under a parameter", "mounted router", "app"])
LEAVES = st.sampled_from(["literal", "{p}", "{p:int}", "{p}/tail", "{p}.json"])


def branches(inner: st.SearchStrategy[tuple[Branch, ...]]) -> st.SearchStrategy[Branch]:
    return st.builds(
        Branch,
        kind=KINDS,
        has_prefix=st.booleans(),
        is_late=st.booleans(),
        leaves=st.lists(LEAVES, max_size=3).map(tuple),
        branches=inner,
    )


TREES = st.recursive(
    branches(st.just(())),
    lambda inner: branches(st.lists(inner, max_size=3).map(tuple)),
    max_leaves=8,
)


async def answer() -> str:
    return "ran"


class Planter:
    """Makes what a tree says, and notes the template and a path of every leaf."""

    def __init__(self, rules: dict[str, str]) -> None:
        self.rules = rules
        self.paths: list[str] = []
        self.numbers = count()

    def plant(self, branch: Branch, parent: Any, guard: Any, *, at: tuple[str, str]) -> None:
        """Hang *branch* into *parent*, to which the template and the path *at* lead."""
        number = next(self.numbers)
        # A mount in a router that is included is a row of its own elsewhere.
        kind = branch.kind if isinstance(parent, FastAPI) else "include"
        prefix = f"/n{number}/{{o{number}}}" if "parameter" in kind else f"/n{number}"
        template, path = at[0] + prefix, at[1] + prefix.replace(f"{{o{number}}}", "acme")
        if kind == "app":
            app = FastAPI(dependencies=[guard])
            parent.mount(prefix, app)
            self.fill(branch, app, guard, at=("", path))
            return
        own = f"/own{number}" if branch.has_prefix else ""
        is_mounted = kind == "mounted router"
        router = APIRouter(prefix=own, dependencies=[guard] if is_mounted else [])
        if not branch.is_late:
            self.fill(branch, router, guard, at=(template + own, path + own))
        if is_mounted:
            parent.mount(prefix, router)
        else:
            parent.include_router(router, prefix=prefix)
        if branch.is_late:
            self.fill(branch, router, guard, at=(template + own, path + own))

    def fill(self, branch: Branch, router: Any, guard: Any, *, at: tuple[str, str]) -> None:
        for leaf in branch.leaves:
            local = f"/leaf{next(self.numbers)}/{leaf}"
            router.add_api_route(local, answer)
            self.rules[f"GET {at[0]}{local}"] = f"scope:{len(self.paths)}"
            self.paths.append(at[1] + local.replace("{p:int}", "7").replace("{p}", "x"))
        for inner in branch.branches:
            self.plant(inner, router, guard, at=at)


@settings(max_examples=60, deadline=None)
@given(TREES)
def test_every_route_of_a_random_app_is_ruled_by_its_own_template(tree: Branch) -> None:
    # The templates are known only when the tree is planted, so it is planted twice.
    rules: dict[str, str] = {}
    Planter(rules).plant(tree, FastAPI(), Depends(make_guard({})), at=("", ""))
    guard = make_guard(ScopeMap(rules))
    app = FastAPI(openapi_url=None, dependencies=[Depends(guard)])
    planter = Planter({})
    planter.plant(tree, app, Depends(guard), at=("", ""))
    client = TestClient(app)
    for number, path in enumerate(planter.paths):
        refused = client.get(path, headers=bearer("another"))
        assert refused.json()["required"] == [[f"scope:{number}"]]
        assert client.get(path, headers=bearer(f"scope:{number}")).json() == "ran"
    assert guard.check(app).dead == ()
