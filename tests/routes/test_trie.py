"""The trie of segments never misses what a compiled pattern would match."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.routing import Mount, Route, Router

from fastapi_scopes._routing.reading import route_nodes
from fastapi_scopes._routing.segments import segments_of
from fastapi_scopes._routing.trie import SegmentTrie

SEGMENTS = st.sampled_from(
    ["", "a", "b", "A", "{p}", "{p:int}", "{p:path}", "{p}.json", "v{p:float}", "é", "*", "**"]
)


@st.composite
def templates(draw: st.DrawFn) -> str:
    parts = draw(st.lists(SEGMENTS, min_size=1, max_size=4))
    named = [part.replace("{p", f"{{p{number}") for number, part in enumerate(parts)]
    return "/" + "/".join(named)


PATHS = st.lists(
    st.sampled_from(["", "a", "b", "A", "7", "x.json", "v1.5", "é", "*", "..", "a b", "%2F"]),
    max_size=5,
).map(lambda parts: "/" + "/".join(parts))


async def answer(request: Any) -> None: ...


@given(st.lists(templates(), max_size=6), st.lists(st.booleans(), min_size=6, max_size=6), PATHS)
@example(["/a/{p0:path}", "/{p0}/b"], [False] * 6, "/a/b")
@example(["/a"], [True] * 6, "/a/")
def test_candidates_are_all_that_could_match_in_order(
    paths: list[str], mounted: list[bool], path: str
) -> None:
    routes: list[Any] = [
        Mount(each, routes=[]) if is_mounted else Route(each, answer)
        for each, is_mounted in zip(paths, mounted, strict=False)
    ]
    router = Router(routes=routes)
    trie: SegmentTrie[Any] = SegmentTrie()
    for node in route_nodes(router, lambda _: True, {}):
        segments, is_open = segments_of(node)
        trie.add(segments, node.route, is_open=is_open)
    matching = [route for route in routes if route.path_regex.match(path)]
    found = trie.candidates(path)
    assert [route for route in found if any(route is each for each in matching)] == matching


@pytest.mark.parametrize("path", ["", "/", "a", "//", "/a//"])
def test_nothing_is_found_where_nothing_is_known(path: str) -> None:
    assert SegmentTrie[str]().candidates(path) == []
