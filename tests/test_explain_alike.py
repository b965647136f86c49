"""What `explain` says a request would get is what a request gets, by both ways in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient
from hypothesis import given, settings
from starlette.testclient import WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect

from fastapi_scopes import ScopeGuard, ScopeMap
from fastapi_scopes.guard import Explanation
from tests.apps import bearer, make_guard
from tests.test_corpus import ROWS, DependencyDoor, PerimeterDoor, Row
from tests.test_random_apps import TREES, Branch, Planter

SOCKET = "WEBSOCKET"
PROBLEM = "application/problem+json"
CALLERS: tuple[list[str] | None, ...] = (None, [], ["a"], ["a", "b"], ["c"])


@dataclass(frozen=True)
class Answer:
    status: int
    is_refusal: bool = False
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


def ask(client: TestClient, method: str, path: str, scopes: Sequence[str] | None) -> Answer:
    headers = bearer(*scopes) if scopes is not None else {}
    if method != SOCKET:
        return answer_of(client.request(method, path, headers=headers, follow_redirects=False))
    try:
        with client.websocket_connect(path, headers=headers):
            return Answer(200)
    except WebSocketDenialResponse as refused:
        return answer_of(refused)
    except WebSocketDisconnect:
        return Answer(403)


def answer_of(response: Any) -> Answer:
    names = ("WWW-Authenticate", "Cache-Control")
    sent = {each: response.headers[each] for each in names if each in response.headers}
    is_refusal = response.headers.get("content-type") == PROBLEM
    return Answer(response.status_code, is_refusal, response.content, sent)


def assert_alike(told: Explanation, got: Answer) -> None:
    assert got.is_refusal is (told.body is not None)
    assert told.allowed is not got.is_refusal
    if told.status is not None:
        assert got.status == told.status
    elif told.template is not None:
        assert got.status == 200
    if told.body is not None:
        assert got.body == (b"" if told.method == "HEAD" else told.body)
        assert got.headers == told.headers
    assert all(line.isprintable() for line in str(told).splitlines())


class ExplainingDependencyDoor(DependencyDoor):
    def guard_of(self, row: Row) -> ScopeGuard[Any]:
        self.guard = super().guard_of(row)
        return self.guard


class ExplainingPerimeterDoor(PerimeterDoor):
    def guard_of(self, row: Row) -> ScopeGuard[Any]:
        self.guard = super().guard_of(row)
        return self.guard


CORPUS_DOORS = {"dependency": ExplainingDependencyDoor, "perimeter": ExplainingPerimeterDoor}


@pytest.mark.parametrize(
    ("door", "row"),
    [
        pytest.param(door(), row, id=f"{name}: {row['id']}")
        for name, door in CORPUS_DOORS.items()
        for row in ROWS
        # What a token or a field is like is nothing that `explain` is asked about.
        if door().serves(row) and not {"authorization", "subprotocols", "verifier"} & row.keys()
    ],
)
def test_corpus_is_explained_as_it_is_answered(door: Any, row: Row) -> None:
    app = door.app_of(row)
    scopes = row["claims"]["scopes"] if row["claims"] else None
    method, path = row["request"]["method"], row["request"]["path"]
    told = door.guard.explain(app, method, path, scopes=scopes)
    got = door.answer(row)
    assert (told.reason, told.allowed) == (row["reason"], got.status == 200)
    assert list(told.missing) == row.get("missing", [])
    if not told.allowed:
        assert (told.status, told.body) == (got.status, got.body or told.body)
        assert tuple((name.lower(), value) for name, value in told.headers.items()) == got.headers


@settings(max_examples=15, deadline=None)
@given(TREES)
def test_random_app_is_explained_as_it_answers(tree: Branch) -> None:
    rules: dict[str, str] = {}
    Planter(rules).plant(tree, FastAPI(), Depends(make_guard({})), at=("", ""))
    for is_protected in (False, True):
        guard = make_guard(ScopeMap(rules))
        app = FastAPI(openapi_url=None, dependencies=[Depends(guard)])
        planter = Planter({})
        planter.plant(tree, app, Depends(guard), at=("", ""))
        if is_protected:
            guard.protect(app, strict=False)
        client = TestClient(app)
        for number, path in enumerate(planter.paths):
            for scopes in (None, ["another"], [f"scope:{number}"]):
                for asked in (path, path + "/", path + "x/y"):
                    told = guard.explain(app, "GET", asked, scopes=scopes)
                    assert_alike(told, ask(client, "GET", asked, scopes))
