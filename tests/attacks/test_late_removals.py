"""Attacks by routes that go away while the app serves, and by what was hidden behind them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter
from starlette.routing import Mount, Route, Router

from fastapi_scopes import PUBLIC
from tests.perimeter.calling import OPEN, Guarded, Opaque, expected, ruled_by, running
from tests.perimeter.places import PLACES, Place, make_app, public_route

Change = Callable[[Router], Any]


def secret(path: str = "/secret") -> Route:
    return Route(path, running("secret"))


def again(router: Router) -> None:
    """Let FastAPI read an included router again."""
    if isinstance(router, APIRouter):
        router.add_api_route("/again", running("again"))


REMOVALS: dict[str, Change] = {
    "del": lambda router: router.routes.__delitem__(0),
    "del of a slice": lambda router: router.routes.__delitem__(slice(0, 1)),
    "an empty slice": lambda router: router.routes.__setitem__(slice(0, 1), []),
    "pop": lambda router: router.routes.pop(0),
    "remove": lambda router: router.routes.remove(router.routes[0]),
    "another in its place": lambda router: router.routes.__setitem__(
        0, Route("/other", running("other"))
    ),
    "its twin in its place": lambda router: router.routes.__setitem__(0, secret()),
}


@pytest.mark.parametrize("removal", REMOVALS.values(), ids=REMOVALS)
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_route_that_was_hidden_is_decided_by_its_own_rule(
    place: Callable[[], Place], removal: Change
) -> None:
    late, bare = place(), place()
    rules = {f"GET {late.prefix}/{{name}}": PUBLIC, f"GET {late.prefix}/secret": "secret"}
    for at in (late, bare):
        at.router.routes.append(secret())
    guarded, path = Guarded(late.app, rules), f"{late.prefix}/secret"
    assert guarded.outcome("GET", path, host=late.host) == OPEN
    assert expected(bare.app, rules, "GET", path, host=bare.host) == OPEN
    for step in (removal, again):
        step(late.router)
        step(bare.router)
        outcome = guarded.outcome("GET", path, host=late.host)
        assert outcome == expected(bare.app, rules, "GET", path, host=late.host)
    assert outcome == ruled_by("secret")


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_public_route_in_place_of_a_guarded_one_is_open(place: Callable[[], Place]) -> None:
    late, bare = place(), place()
    rules = {f"GET {late.prefix}/{{name}}": PUBLIC, f"GET {late.prefix}/secret": "secret"}
    for at in (late, bare):
        at.router.routes.insert(0, secret())
    guarded, path = Guarded(late.app, rules), f"{late.prefix}/secret"
    assert guarded.outcome("GET", path, host=late.host) == ruled_by("secret")
    assert expected(bare.app, rules, "GET", path, host=bare.host) == ruled_by("secret")
    for step in (lambda router: router.routes.pop(0), again):
        step(late.router)
        step(bare.router)
        outcome = guarded.outcome("GET", path, host=late.host)
        assert outcome == expected(bare.app, rules, "GET", path, host=late.host)
    assert outcome == OPEN


CLEARINGS: dict[str, Change] = {
    "clear": lambda router: router.routes.clear(),
    "del of all": lambda router: router.routes.__delitem__(slice(None)),
    "pop": lambda router: router.routes.pop(),
    "remove": lambda router: router.routes.remove(router.routes[-1]),
    "*= 0": lambda router: router.routes.__imul__(0),
    "another list": lambda router: setattr(router, "routes", []),
}


@pytest.mark.parametrize("clearing", CLEARINGS.values(), ids=CLEARINGS)
@pytest.mark.parametrize("is_mounted", [True, False], ids=["mounted", "of the app"])
@pytest.mark.parametrize(
    ("default", "rule"),
    [(Opaque("secret"), "/**"), (Router([secret()]), "/secret"), (Router([secret()]), "/**")],
    ids=["opaque", "router", "router, by the rule of all"],
)
def test_default_that_is_left_is_decided_by_its_own_rule(
    default: Any, rule: str, is_mounted: bool, clearing: Change
) -> None:
    app, prefix = make_app(), "/m" if is_mounted else ""
    router = Router([public_route()], default=default) if is_mounted else app.router
    if is_mounted:
        app.mount("/m", router)
    else:
        router.routes.append(public_route())
        router.default = default
    guarded = Guarded(app, {f"GET {prefix}/{{name}}": PUBLIC, f"GET {prefix}{rule}": "secret"})
    assert guarded.outcome("GET", f"{prefix}/x") == OPEN
    clearing(router)
    assert guarded.outcome("GET", f"{prefix}/secret") == ruled_by("secret")


@pytest.mark.parametrize("clearing", CLEARINGS.values(), ids=CLEARINGS)
def test_frontend_that_is_left_is_decided_by_its_own_rule(tmp_path: Path, clearing: Change) -> None:
    (tmp_path / "x").write_text("ran secret")
    app = make_app()
    app.frontend("/", directory=tmp_path)
    app.router.routes.append(public_route())
    guarded = Guarded(app, {"GET /{name}": PUBLIC, "GET /**": "secret"})
    assert guarded.outcome("GET", "/x") == OPEN
    clearing(app.router)
    assert guarded.outcome("GET", "/x") == ruled_by("secret")


@pytest.mark.parametrize("clearing", CLEARINGS.values(), ids=CLEARINGS)
def test_mount_behind_a_route_that_is_gone_is_decided_by_its_own_rule(clearing: Change) -> None:
    app, outer = make_app(), Router([public_route()])
    app.mount("/m", outer)
    outer.default = Router([Mount("", Router([secret()]))])
    guarded = Guarded(app, {"GET /m/{name}": PUBLIC, "GET /m/secret": "secret"})
    assert guarded.outcome("GET", "/m/secret") == OPEN
    clearing(outer)
    assert guarded.outcome("GET", "/m/secret") == ruled_by("secret")
