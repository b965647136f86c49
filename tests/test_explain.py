"""`guard.explain` says what the guard would do, as it does it, and does nothing itself."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, Security
from fastapi.testclient import TestClient
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from fastapi_scopes import DENY, OPTIONAL, PUBLIC, Claims, ScopeGuard, ScopeMap, any_of
from fastapi_scopes.errors import ConfigurationError
from tests.apps import bearer, make_guard
from tests.perimeter.calling import Opaque, running, talking

RULES = {
    "GET /public": PUBLIC,
    "GET /optional": OPTIONAL,
    "GET /me": [],
    "GET /agents/{agent_id}": "agents:read",
    "GET /agents/**": "agents:any",
    "* /agents/*": "agents:all",
    "POST /agents/*/runs": ["app:run", "app:execute"],
    "GET /reports": any_of("reports:read", "app:admin"),
    "GET /denied": DENY,
    "GET /slash/": "slash",
    "GET /inner/{key}": "inner",
    "GET /m/inner/{key}": "inner",
    "WEBSOCKET /ws": "talk",
}
PATHS = [
    *("/public", "/optional", "/me", "/agents/a1", "/agents/a%20b", "/agents/a/b", "/reports"),
    *("/denied", "/forgotten", "/nowhere", "/slash", "/slash/", "/m/inner/7", "/m/none", "/m"),
    *("/sec", "/agents/", "//", "/me?x=/denied"),
]
HELD: list[list[str] | None] = [
    *(None, [], ["agents:read"], ["app:run", "app:execute"], ["app:admin"], ["root"]),
    *(["inner", "slash"], ["sec"]),
]


def make_app(protects: bool, **options: Any) -> tuple[ScopeGuard[Any], FastAPI]:
    guard = make_guard(RULES, admin_scope="root", **options)
    guards = [] if protects else [Depends(guard)]
    app = FastAPI(openapi_url=None, dependencies=guards)
    for path in ("/public", "/optional", "/me", "/agents/{agent_id}", "/reports", "/denied"):
        app.add_api_route(path, running(path))
    for path in ("/forgotten", "/slash/"):
        app.add_api_route(path, running(path))
    router = APIRouter()
    router.add_api_route("/agents/{agent_id}/runs", running("runs"), methods=["POST"])
    app.include_router(router)
    app.add_api_route("/sec", running("sec"), dependencies=[Security(guard, scopes=["sec"])])
    inner = FastAPI(openapi_url=None, dependencies=guards)
    inner.add_api_route("/inner/{key}", running("inner"))
    app.mount("/m", inner)
    app.add_api_websocket_route("/ws", talking("ws"))
    if protects:
        guard.protect(app, strict=False, hide_unknown=options.get("hide", False))
    return guard, app


@pytest.fixture(params=[True, False], ids=["perimeter", "dependency"])
def protects(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.mark.parametrize("held", HELD, ids=lambda held: "-" if held is None else " ".join(held))
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "HEAD", "OPTIONS"])
def test_explanation_is_what_a_request_gets(
    method: str, held: list[str] | None, protects: bool
) -> None:
    guard, app = make_app(protects)
    headers = {} if held is None else bearer(*held)
    with TestClient(app, follow_redirects=False) as client:
        for path in PATHS + (["/agents/a1/runs"] if method == "POST" else []):
            told = guard.explain(app, method, path, scopes=held)
            answer = client.request(method, path, headers=headers)
            is_ours = answer.headers.get("content-type") == "application/problem+json"
            assert told.status == (answer.status_code if is_ours else None), path
            assert told.allowed is not is_ours
            if is_ours:
                assert (told.body or b"") == answer.content or method == "HEAD"
                sent = {name.lower(): value for name, value in told.headers.items()}
                assert sent.items() <= answer.headers.items()
            elif answer.status_code == 200:
                assert told.template is not None


def test_explanation_runs_nothing(caplog: pytest.LogCaptureFixture, protects: bool) -> None:
    ran: list[str] = []

    class Verifier:
        async def verify(self, token: str) -> Claims:
            ran.append("verifier")
            raise AssertionError

    guard: ScopeGuard[Any] = ScopeGuard(
        {"GET /a": "a"},
        verifier=Verifier(),
        bind=lambda *_: ran.append("bind"),
        on_decision=lambda _: ran.append("hook"),
    )
    app = FastAPI(openapi_url=None, dependencies=[] if protects else [Depends(guard)])

    @app.get("/a")
    async def endpoint() -> None:
        ran.append("endpoint")

    if protects:
        guard.protect(app)
    assert guard.explain(app, "GET", "/a", scopes=["a"]).allowed
    assert guard.explain(app, "GET", "/a").status == 401
    assert guard.explain(app, "GET", "/a", claims=Claims(exp=1, scopes=frozenset())).status == 403
    assert ran == []
    assert caplog.messages == []


def test_explanation_needs_no_event_loop_and_changes_nothing(protects: bool) -> None:
    guard, app = make_app(protects)
    before = guard.check(app)
    first = guard.explain(app, "GET", "/agents/a1", scopes=["agents:read"])
    assert guard.explain(app, "GET", "/agents/a1", scopes=["agents:read"]) == first
    assert guard.check(app) == before
    with TestClient(app) as client:
        assert client.get("/agents/a1", headers=bearer("agents:read")).status_code == 200
    assert guard.explain(app, "GET", "/agents/a1", scopes=["agents:read"]) == first


def test_explanation_reads_well(protects: bool) -> None:
    guard, app = make_app(protects)
    source = "tests.perimeter.calling.running.<locals>.endpoint"
    assert str(guard.explain(app, "GET", "/agents/a1?x=1", scopes=["b", "a"])).splitlines() == [
        "GET /agents/a1, with the scopes a b",
        f"  route    GET /agents/{{agent_id}} ({source})",
        "  rule     'GET /agents/{agent_id}' asks for agents:read",
        "  not      '* /agents/*': '*' is less specific than '{agent_id}'",
        "  not      'GET /agents/**': '**' is less specific than '{agent_id}'",
        "  answer   403 insufficient_scope: insufficient scope, missing 'agents:read'",
        "  way out  the token needs 'agents:read', or the rule asks for too much",
    ]
    assert str(guard.explain(app, "GET", "/nowhere\n\x1b[2J")).splitlines() == [
        "GET /nowhere\\n\\x1b[2J, without a token",
        "  route    no route",
        "  answer   401 missing_credentials: missing credentials",
        "  way out  send a token, or map the route to PUBLIC",
    ]
    assert str(guard.explain(app, "GET", "/public")).endswith("  answer   passes: public")
    assert str(guard.explain(app, "GET", "/forgotten", scopes=[])).splitlines() == [
        "GET /forgotten, with the scopes (none)",
        f"  route    GET /forgotten ({source})",
        "  answer   403 forbidden: no rule",
        "  way out  add a rule for 'GET /forgotten'",
    ]


def test_socket_is_explained_as_a_method(protects: bool) -> None:
    guard, app = make_app(protects)
    told = guard.explain(app, "WEBSOCKET", "/ws", scopes=["talk"])
    assert (told.allowed, told.template, told.rule) == (True, "/ws", "WEBSOCKET /ws")
    assert guard.explain(app, "WEBSOCKET", "/ws").status == 401
    assert guard.explain(app, "GET", "/ws", scopes=["talk"]).template is None


def test_rollout_is_explained() -> None:
    until = datetime.now(UTC) + timedelta(hours=1)
    guard, app = make_app(True, report_until=until, report_anonymous=["GET /me"])
    told = guard.explain(app, "GET", "/agents/a1", scopes=[])
    assert (told.allowed, told.reported, told.missing) == (True, True, ("agents:read",))
    assert "passes, and the refusal is reported: insufficient scope" in str(told)
    assert guard.explain(app, "GET", "/me").reported
    assert guard.explain(app, "GET", "/reports").status == 401


def test_route_on_which_no_guard_runs_is_said_to_be_open() -> None:
    guard = make_guard({"GET /a": "a", "GET /b": "b"})
    app = FastAPI(openapi_url=None)
    app.add_api_route("/a", running("a"), dependencies=[Depends(guard)])
    app.add_api_route("/b", running("b"))
    app.router.routes.append(Route("/plain", running("plain")))
    app.mount("/files", Opaque("files"))
    for path in ("/b", "/plain", "/files/x"):
        told = guard.explain(app, "GET", path)
        assert (told.allowed, told.problem) == (True, None)
        assert "Depends(guard)" in str(told)
        assert TestClient(app).get(path).status_code == 200
    assert guard.explain(app, "GET", "/a").status == 401


@pytest.mark.parametrize(
    ("scope_map", "winner", "others"),
    [
        (
            ScopeMap({"GET /a/{x}": "one", "* /a/{x}": "two", "GET /a/**": "three"}),
            ["GET /a/{x}"],
            {
                "* /a/{x}": "'*' is less specific than 'GET'",
                "GET /a/**": "'**' is less specific than '{x}'",
            },
        ),
        (
            ScopeMap.from_scope_mappings({"GET /a/*": ["one"], "GET /*": ["two"]}),
            ["GET /a/*"],
            {"GET /*": "it comes later in the map"},
        ),
        (
            ScopeMap({"GET /a/*": "old"}) | {"GET /a/{x}": "new"},
            ["GET /a/{x}"],
            {"GET /a/*": "'*' is less specific than '{x}'"},
        ),
        (
            ScopeMap.from_scope_mappings({"GET /a/*": ["old"]}) | {"GET /a/{x}": "new"},
            ["GET /a/{x}"],
            {"GET /a/*": "the rule that decides is of the map that was merged last"},
        ),
        (
            ScopeMap.from_scope_mappings({"GET /a/x*": ["some"], "GET /a/*": ["all"]}),
            ["GET /a/x*", "GET /a/*"],
            {},
        ),
    ],
    ids=["one-map", "imported", "merged", "over-an-imported-one", "several-at-once"],
)
def test_candidates_say_why_they_lost(
    scope_map: ScopeMap, winner: list[str], others: dict[str, str]
) -> None:
    guard = make_guard(scope_map)
    app = FastAPI(openapi_url=None)
    app.add_api_route("/a/{x}", running("a"))
    guard.protect(app, strict=False)
    told = guard.explain(app, "GET", "/a/7").candidates
    assert [each.key for each in told if each.decides] == winner
    assert {each.key: each.why for each in told if not each.decides} == others


def test_docs_pages_and_mounts_of_plain_apps_are_explained() -> None:
    guard = make_guard({"* /static/**": "files", "GET /a": "a"})
    app = FastAPI()
    app.add_api_route("/a", running("a"))
    app.router.routes.append(Mount("/static", routes=[Route("/{name}", running("file"))]))
    guard.protect(app, docs=PUBLIC)
    with TestClient(app) as client:
        for path in ("/docs", "/openapi.json", "/static/x", "/static/none/none"):
            told = guard.explain(app, "GET", path, scopes=[])
            answer = client.get(path, headers=bearer())
            is_ours = answer.headers.get("content-type") == "application/problem+json"
            assert told.status == (answer.status_code if is_ours else None), path


ARGUMENTS: dict[str, tuple[Callable[[Any, Any], Any], str]] = {
    "method": (lambda guard, app: guard.explain(app, "get it", "/a"), "method is no method; "),
    "path": (lambda guard, app: guard.explain(app, "GET", "a"), "path is no path; write one like"),
    "text": (
        lambda guard, app: guard.explain(app, "GET", "/a", scopes="a b"),
        "scopes is no list; write ['a', 'b']",
    ),
    "scope": (
        lambda guard, app: guard.explain(app, "GET", "/a", scopes=["a b"]),
        "scopes[0]",
    ),
    "both": (
        lambda guard, app: guard.explain(app, "GET", "/a", scopes=[], claims=Claims(exp=1)),
        "scopes= and claims= are both given; keep one",
    ),
    "claims": (
        lambda guard, app: guard.explain(app, "GET", "/a", claims={"sub": "a"}),
        "claims is a 'dict'; pass Claims(...)",
    ),
    "app": (lambda guard, _: guard.explain("app", "GET", "/a"), "explain() looks at an app"),
}


@pytest.mark.parametrize(("call", "said"), ARGUMENTS.values(), ids=ARGUMENTS)
def test_arguments_that_are_none_are_named(call: Callable[[Any, Any], Any], said: str) -> None:
    guard, app = make_app(True)
    with pytest.raises(ConfigurationError) as caught:
        call(guard, app)
    assert str(caught.value).startswith(said)


def test_route_that_the_framework_does_not_name_is_denied() -> None:
    guard = make_guard({"GET /m/x": "x", "GET /x": "x"})
    app, router = FastAPI(openapi_url=None), APIRouter()
    router.add_api_route("/x", running("x"), dependencies=[Depends(guard)])
    app.router.routes.append(Mount("/m", router))
    app.router.routes.append(Mount("/n", router))
    for path in ("/m/x", "/n/x"):
        told = guard.explain(app, "GET", path, scopes=["x"])
        assert TestClient(app).get(path, headers=bearer("x")).status_code == told.status == 403


def test_app_that_is_mounted_in_itself_is_explained() -> None:
    guard = make_guard({"GET /a": "a"})
    app = FastAPI(openapi_url=None, dependencies=[Depends(guard)])
    app.add_api_route("/a", running("a"))
    app.mount("/again", app)
    app.mount("", app)
    assert guard.explain(app, "GET", "/a", scopes=["a"]).allowed
    assert guard.explain(app, "GET", "/again/a", scopes=["a"]).path == "/again/a"
    assert guard.explain(app, "GET", "/none").problem is None


def test_scopes_of_claims_are_one_line() -> None:
    guard, app = make_app(True)
    held = frozenset({"a\nb\x1b[2J", "x" * 10_000})
    told = guard.explain(app, "GET", "/me", claims=Claims(exp=2**40, scopes=held))
    assert all(each.isprintable() and len(each) < 400 for each in str(told).splitlines())


def test_body_is_the_problem_document(protects: bool) -> None:
    guard, app = make_app(protects)
    told = guard.explain(app, "POST", "/agents/a1/runs", scopes=["app:run"])
    assert json.loads(told.body or b"")["required"] == [["app:execute", "app:run"]]
    assert told.headers["WWW-Authenticate"].startswith('Bearer realm="api", error="insuff')
    assert guard.explain(app, "GET", "/public").headers == {}


def test_middleware_of_the_app_is_no_part_of_it() -> None:
    guard, app = make_app(True)

    @app.middleware("http")
    async def closed(request: Any, call_next: Any) -> PlainTextResponse:
        return PlainTextResponse("closed", 418)

    assert guard.explain(app, "GET", "/public").allowed
