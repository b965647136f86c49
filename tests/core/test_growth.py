"""What is done at the start grows with the app as it does itself, not with its square."""

import sys
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from fastapi_scopes.core.coverage import Endpoint, Kind, Reach, cover
from fastapi_scopes.core.scope_map import ScopeMap
from fastapi_scopes.core.templates import RouteTemplate


def calls_of(run: Callable[[], object]) -> int:
    """How many functions are called while *run* runs: the same wherever and whenever it does."""
    count = 0

    def note(frame: Any, event: str, arg: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        run()
    finally:
        sys.setprofile(before)
    return count


def templates(size: int) -> list[str]:
    return [f"/team{number % 40}/resource{number}/{{item_id}}" for number in range(size)]


def endpoints(size: int, method: str = "GET", kind: Kind = Kind.API_ROUTE) -> list[Endpoint]:
    texts = templates(size)
    return [
        Endpoint(method, RouteTemplate.parse(text), kind, Reach.PERIMETER, source=text)
        for text in texts
    ]


def keys(size: int, old: str = "", new: str = "", method: str = "GET") -> dict[str, str]:
    return {f"{method} {text.replace(old, new)}": "a" for text in templates(size)}


def imported(size: int, new: str = "*") -> ScopeMap:
    return ScopeMap.from_scope_mappings(keys(size, "{item_id}", new))


def mounted(size: int) -> list[Endpoint]:
    below = (RouteTemplate.below(f"/m{number}") for number in range(size))
    return [Endpoint("*", each, Kind.MOUNT, Reach.PERIMETER) for each in below]


Run = Callable[[int], Callable[[], object]]

RUNS: Sequence[tuple[str, Run]] = [
    ("a map is read", lambda size: lambda: ScopeMap(keys(size))),
    ("a map is imported", lambda size: lambda: imported(size)),
    ("a rule an endpoint", lambda size: lambda: cover(ScopeMap(keys(size)), endpoints(size))),
    ("an imported rule an endpoint", lambda size: lambda: cover(imported(size), endpoints(size))),
    ("imported rules that miss", lambda size: lambda: cover(imported(size, "me"), endpoints(size))),
    (
        "two maps of a kind",
        lambda size: lambda: cover(ScopeMap(keys(size)) | ScopeMap(keys(size)), endpoints(size)),
    ),
    (
        "two kinds of maps",
        lambda size: lambda: cover(imported(size) | ScopeMap(keys(size)), endpoints(size)),
    ),
    (
        "rules that are shadowed",
        lambda size: (
            lambda: cover(ScopeMap({**keys(size), **keys(size, "{item_id}", "*")}), endpoints(size))
        ),
    ),
    (
        "rules that misname a parameter",
        lambda size: lambda: cover(ScopeMap(keys(size, "item_id", "x")), endpoints(size)),
    ),
    (
        "rules that match nothing",
        lambda size: lambda: cover(ScopeMap(keys(size, "resource", "r")), endpoints(size)),
    ),
    (
        "any method",
        lambda size: (
            lambda: cover(
                ScopeMap({**keys(size), **keys(size, method="PURGE")}), endpoints(size, "*")
            )
        ),
    ),
    (
        "mounts",
        lambda size: (
            lambda: cover(
                ScopeMap({f"MOUNT /m{number}": "a" for number in range(size)}), mounted(size)
            )
        ),
    ),
    (
        "rules of no mount",
        lambda size: (
            lambda: cover(
                ScopeMap({f"MOUNT /n{number}": "a" for number in range(size)}), mounted(size)
            )
        ),
    ),
    ("no rule", lambda size: lambda: str(cover(ScopeMap({}), endpoints(size)))),
    (
        "docs pages without a rule",
        lambda size: lambda: str(cover(ScopeMap({}), endpoints(size, kind=Kind.DOCS))),
    ),
]


@pytest.mark.parametrize("run", [run for _, run in RUNS], ids=[name for name, _ in RUNS])
def test_twice_the_app_is_twice_the_work(run: Run) -> None:
    small, large = (calls_of(run(size)) for size in (150, 300))
    assert large < 2.2 * small
